"""What costs nothing, or little, to compare a network with: the most frequent class, logistic regression, the nearest
neighbour. Each sees the training part alone, scaled as the network sees it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from .sequences import Batches, Rows

Features = NDArray[np.float32]

MOST_FEATURES = 4096  # of a flattened sequence; longer ones are thinned out
REGRESSION_COST = 6e7  # numbers that logistic regression may train on
NEIGHBOUR_COST = 6e11  # products that finding neighbours may take


def baselines(train: Batches, targets: Rows, test: Batches, *, images: bool) -> Iterator[tuple[str, Rows]]:
    """The name of each baseline and what it says of the sequences of ``test``, as numbers of classes: (n,)."""
    yield "most frequent class", np.full(len(test), np.bincount(targets).argmax())
    flat, flat_test = flattened(train, test)
    if images:
        yield _regression("pixels", flat, targets, flat_test)
    else:
        scaler = StandardScaler().fit(summary(train))
        features, features_test = (scaler.transform(summary(part)) for part in (train, test))
        yield _regression("mean, spread, ends of each channel", features, targets, features_test)
    rows = _sample(len(flat), NEIGHBOUR_COST / (len(flat_test) * flat.shape[1]))
    nearest = KNeighborsClassifier(1, algorithm="brute").fit(flat[rows], targets[rows])
    yield f"nearest neighbour{_part(rows, flat)}", nearest.predict(flat_test)


def summary(batches: Batches) -> Features:
    """Of each sequence its length, and of each channel mean, spread, least, most, first, last and mean step: (n, F)."""
    steps, lengths, starts = batches.steps.numpy(), batches.lengths.numpy(), batches.starts.numpy()
    count = lengths[:, None]
    first, last = steps[starts], steps[starts + lengths - 1]
    mean = np.add.reduceat(steps, starts) / count
    variance = np.add.reduceat((steps - np.repeat(mean, lengths, axis=0)) ** 2, starts) / count
    moves = np.abs(np.diff(steps, axis=0, prepend=steps[:1]))
    moves[starts] = 0  # no step leads from one sequence into the next
    least, most = np.minimum.reduceat(steps, starts), np.maximum.reduceat(steps, starts)
    move = np.add.reduceat(moves, starts) / count
    return np.concatenate([count, mean, np.sqrt(variance), least, most, first, last, move], axis=1, dtype=np.float32)


def flattened(train: Batches, test: Batches) -> tuple[Features, Features]:
    """The sequences of each part at one length, the median of the training part's, as rows: (n, T * I)."""
    channels = train.steps.shape[1]
    length = max(1, min(int(train.lengths.median()), MOST_FEATURES // channels))
    return _at_length(train, length), _at_length(test, length)


def _at_length(batches: Batches, length: int) -> Features:
    """Every sequence at ``length`` places equally spread over it, in straight lines between its steps."""
    steps, lengths, starts = batches.steps.numpy(), batches.lengths.numpy(), batches.starts.numpy()
    if batches.equal == length:
        return np.asarray(steps.reshape(len(lengths), -1))
    places = np.linspace(0, 1, length) * (lengths[:, None] - 1)  # (n, length)
    before = np.floor(places).astype(np.int64)
    after = np.minimum(before + 1, lengths[:, None] - 1)
    weight = (places - before)[:, :, None].astype(np.float32)
    begin = starts[:, None]
    blended = steps[begin + before] * (1 - weight) + steps[begin + after] * weight  # (n, length, I)
    return np.asarray(blended.reshape(len(blended), -1))


def _regression(what: str, x: Features, targets: Rows, test: Features) -> tuple[str, Rows]:
    rows = _sample(len(x), REGRESSION_COST / x.shape[1])
    regression = LogisticRegression(max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not wholly converged is as good here
        regression.fit(x[rows], targets[rows])
    return f"logistic regression on {what}{_part(rows, x)}", regression.predict(test)


def _sample(count: int, most: float) -> Rows:
    """All of ``count`` rows or, where that is more than ``most``, as many drawn at random."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, max(1, int(most)), replace=False))


def _part(rows: Rows, x: Features) -> str:
    return f" ({len(rows)} of {len(x)})" if len(rows) < len(x) else ""
