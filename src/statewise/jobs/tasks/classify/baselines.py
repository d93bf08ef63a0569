"""What costs nothing, or little, to compare a network with. Each sees the training part alone, scaled as the network
sees it: what is usual, a linear model of a few features, MiniROCKET, the nearest neighbour.

What would take minutes sees a part of the rows, and its name says so, or is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from . import dtw, neighbours
from .encoder import Encoder
from .examples import Examples
from .features import Lesson, Scores
from .rocket import FEATURES, Rocket
from .sequences import Rows, Sequences
from .targets import Said, Target, Values
from .texts import Item, Texts

Features = NDArray[np.float32]

MOST_FEATURES = 4096  # of a flattened sequence; longer ones are thinned out
REGRESSION_COST = 6e7  # numbers that a linear model may train on
NEIGHBOUR_COST = 6e11  # products that finding neighbours may take
ROCKET_COST = 3e10  # comparisons that features may take
ROCKET_ROWS = 4000  # whose products with each other a ridge regression may take apart
DTW_COST = 6e9  # cells of all tables, most of which are left out,
DTW_RAGGED_COST = 1.5e9  # and where lengths differ none
LEAST_ROWS = 20  # fewer say nothing
NGRAMS = 4

Found = Iterator[tuple[str, Said | None]]
"""The name of each baseline, and what it says of the test part; None where it is left out."""


def baselines(
    encoder: Encoder,
    target: Target,
    train: Examples,
    values: Values,
    test: Examples,
    rocket: tuple[Scores, Scores] | None = None,
) -> Found:
    """All that suit the input and the ``target``.

    ``rocket`` is what MiniROCKET says of ``test``, and of each of ``train`` by those without it, where that is known.
    """
    name, said = target.usual(values)
    yield name, np.repeat(said, len(test), axis=0)
    if isinstance(train.sequences, Texts) and isinstance(test.sequences, Texts):
        for level in (level for level in train.sequences.levels if level != "subword"):
            yield _of_texts(target, train.sequences, values, test.sequences, words=level == "word")
        return
    ours, theirs = (encoder.encoded(part.sequences) for part in (train, test))
    yield from _of_numbers(target, ours, values, theirs, rocket, images=train.picture is not None)


def _of_texts(target: Target, train: Texts, values: Values, test: Texts, *, words: bool) -> tuple[str, Said]:
    """A linear model of tf-idf: of words and pairs of them, or of up to 4 characters or symbols in a row."""
    how = {"ngram_range": (1, 2), "token_pattern": r"\w+|[^\w\s]"} if words else {"analyzer": _ngrams}
    tfidf = TfidfVectorizer(**how, sublinear_tf=True, dtype=np.float32)
    x = tfidf.fit_transform(train.items)
    what = "words and pairs of words" if words else f"n-grams of {train.unit}"
    return f"{target.LINEAR} on tf-idf of {what}", target.linear(x, values, tfidf.transform(test.items))


def _ngrams(item: Item) -> Iterator[Item]:
    """Up to ``NGRAMS`` in a row of the symbols of ``item``, between its ends."""
    edge = "\n" if isinstance(item, str) else ("\n",)
    item = edge + item + edge  # type: ignore[operator]
    return (item[at : at + n] for n in range(1, NGRAMS + 1) for at in range(len(item) - n + 1))


def _of_numbers(
    target: Target,
    train: Sequences,
    values: Values,
    test: Sequences,
    rocket: tuple[Scores, Scores] | None,
    *,
    images: bool,
) -> Found:
    flat, flat_test = flattened(train, test)
    if images:
        yield _linear(target, "pixels", flat, values, flat_test)
    else:
        scaler = StandardScaler().fit(summary(train))
        features, features_test = (scaler.transform(summary(part)) for part in (train, test))
        yield _linear(target, "mean, spread, ends of each channel", features, values, features_test)
        known = None if rocket is None else target.of_scores(*rocket, values)
        yield _rocket(target, train, values, test) if known is None else (Rocket.KIND, known)
    rows = _sample(len(flat), NEIGHBOUR_COST / (len(flat_test) * flat.shape[1]))
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(flat[rows])
    found = rows[nearest.kneighbors(flat_test, return_distance=False)[:, 0]]
    yield f"nearest neighbour{_part(rows, train)}", target.copied(values[found])
    if not images:
        yield _warped(target, train, values, test)


def _linear(target: Target, what: str, x: Features, values: Values, test: Features) -> tuple[str, Said]:
    rows = _sample(len(x), REGRESSION_COST / x.shape[1])
    said = target.linear(x[rows], values[rows], test)
    return f"{target.LINEAR} on {what}{_part(rows, x)}", said


def _rocket(target: Target, train: Sequences, values: Values, test: Sequences) -> tuple[str, Said | None]:
    """Ridge regression on MiniROCKET's features."""
    most = (ROCKET_COST / FEATURES - len(test.steps)) / float(train.lengths.mean())
    if most < min(LEAST_ROWS, len(train)):
        return f"{Rocket.KIND} (left out, it takes too long)", None
    rows = _sample(len(train), min(most, ROCKET_ROWS))
    rocket, weights, bias, left_out = Rocket.fitted(Lesson(train.select(rows), target, values[rows]))
    said = target.of_scores(rocket.times(test, weights) + bias, left_out, values[rows])
    return f"{Rocket.KIND}{_part(rows, train)}", said


def _warped(target: Target, train: Sequences, values: Values, test: Sequences) -> tuple[str, Said | None]:
    """The nearest neighbour by dynamic time warping, in the window with which the training part finds its own best."""
    name, widest = "nearest neighbour by DTW", neighbours.windows(train)[-1]
    cost = DTW_RAGGED_COST if widest is None else DTW_COST
    most = cost / dtw.cost(train.select(np.arange(1)), test, widest)
    if most < min(LEAST_ROWS, len(train)):
        return f"{name} (left out, it takes too long)", None
    rows = _sample(len(train), most)
    part = train.select(rows)
    found = neighbours.nearest(test, part, neighbours.chosen_window(part, target, values[rows]))
    return f"{name}{_part(rows, train)}", target.copied(values[rows[found]])


def summary(sequences: Sequences) -> Features:
    """Of each sequence its length, and of each channel mean, spread, least, most, first, last and mean step: (n, F)."""
    steps, lengths, starts = sequences.steps, sequences.lengths, sequences.starts
    count = lengths[:, None]
    first, last = steps[starts], steps[starts + lengths - 1]
    mean = np.add.reduceat(steps, starts) / count
    variance = np.add.reduceat((steps - np.repeat(mean, lengths, axis=0)) ** 2, starts) / count
    moves = np.abs(np.diff(steps, axis=0, prepend=steps[:1]))
    moves[starts] = 0  # no step leads from one sequence into the next
    least, most = np.minimum.reduceat(steps, starts), np.maximum.reduceat(steps, starts)
    move = np.add.reduceat(moves, starts) / count
    return np.concatenate([count, mean, np.sqrt(variance), least, most, first, last, move], axis=1, dtype=np.float32)


def flattened(train: Sequences, test: Sequences) -> tuple[Features, Features]:
    """The sequences of each part at one length, the median of the training part's, as rows: (n, T * I)."""
    channels = train.channels
    length = max(1, min(int(np.median(train.lengths)), MOST_FEATURES // channels))
    return _at_length(train, length), _at_length(test, length)


def _at_length(sequences: Sequences, length: int) -> Features:
    """Every sequence at ``length`` places equally spread over it, in straight lines between its steps."""
    steps, lengths, starts = sequences.steps, sequences.lengths, sequences.starts
    if sequences.length == length:
        return np.asarray(steps.reshape(len(lengths), -1))
    places = np.linspace(0, 1, length) * (lengths[:, None] - 1)  # (n, length)
    before = np.floor(places).astype(np.int64)
    after = np.minimum(before + 1, lengths[:, None] - 1)
    weight = (places - before)[:, :, None].astype(np.float32)
    begin = starts[:, None]
    blended = steps[begin + before] * (1 - weight) + steps[begin + after] * weight  # (n, length, I)
    return np.asarray(blended.reshape(len(blended), -1))


def _sample(count: int, most: float) -> Rows:
    """All of ``count`` rows or, where that is more than ``most``, as many drawn at random."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, max(1, int(most)), replace=False))


def _part(rows: Rows, x: Features | Sequences) -> str:
    return f" ({len(rows)} of {len(x)})" if len(rows) < len(x) else ""
