"""What a model, and each baseline, gets right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from .pairs import Pairs

TOGETHER = 4096  # edit distances that are computed at once
NEAREST_COST = 1e9  # pairs of sources that are looked at for the nearest


@dataclass(frozen=True)
class Score:
    """How good targets are that were written for sources, each beside the nearest of its source's true ones."""

    name: str
    exact: float
    """The share that is right as a whole."""
    characters: float
    """Those to be put in, left out or replaced, by the number of those of the true targets."""
    words: float
    """The same of words, what stands between blanks."""
    bleu: float | None = None
    chrf: float | None = None


def score(name: str, pairs: Pairs, written: Sequence[str], *, sentences: bool = False) -> Score:
    """The score of ``written`` (n,) as targets of ``pairs``; BLEU and chrF where they are ``sentences``."""
    targets, groups = pairs.known_targets, list(pairs.groups().values())
    rates = []
    for cut in (list, str.split):
        wrong, length = distances(list(map(cut, written)), list(map(cut, targets))), _lengths(map(cut, targets))
        best = [min(rows, key=lambda row: wrong[row] / length[row]) for rows in groups]
        rates.append(float(wrong[best].sum() / length[best].sum()))
    exact = float(np.mean([any(written[row] == targets[row] for row in rows) for rows in groups]))
    if not sentences:
        return Score(name, exact, rates[0], rates[1])
    from sacrebleu import corpus_bleu, corpus_chrf

    said = [written[rows[0]] for rows in groups]
    true = list(map(list, zip_longest(*([targets[row] for row in rows] for rows in groups))))
    return Score(name, exact, rates[0], rates[1], corpus_bleu(said, true).score, corpus_chrf(said, true).score)


def distances(a: Sequence[Sequence[str]], b: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """The edit distance of each of ``a`` to the one of ``b`` in its place: (n,). A row of all their tables at once."""
    if len(a) > TOGETHER:
        parts = [slice(at, at + TOGETHER) for at in range(0, len(a), TOGETHER)]
        return np.concatenate([distances(a[part], b[part]) for part in parts])
    known: dict[str, int] = {}
    left, right = (_padded([[known.setdefault(s, len(known)) for s in row] for row in side]) for side in (a, b))
    counts, ends, places = _lengths(a), _lengths(b), np.arange(right.shape[1] + 1)
    table = np.tile(places, (len(a), 1))  # (n, T' + 1): of the first i symbols of a to the first ones of b
    found = ends.copy()
    for i in range(1, left.shape[1] + 1):
        changed = np.minimum(table[:, 1:] + 1, table[:, :-1] + (left[:, i - 1, None] != right))
        table = np.concatenate([np.full((len(a), 1), i), changed], 1)
        table = np.minimum.accumulate(table - places, axis=1) + places  # put in what is missing
        done = np.flatnonzero(counts == i)
        found[done] = table[done, ends[done]]
    return found


def _lengths(rows: Iterator[Sequence[str]] | Sequence[Sequence[str]] | map[Sequence[str]]) -> NDArray[np.int64]:
    return np.array([len(row) for row in rows], np.int64)


def _padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    return (
        np.array(list(zip_longest(*rows, fillvalue=-1)), np.int64).reshape(max(map(len, rows), default=0), len(rows)).T
    )


def baselines(train: Pairs, test: Pairs) -> Iterator[tuple[str, Sequence[str]]]:
    """The name of each baseline, which trains nothing, and the targets that it writes for ``test``."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    targets = train.known_targets
    yield "the source as it is", test.sources
    yield "the most frequent target", [Counter(targets).most_common(1)[0][0]] * len(test)
    rows = np.arange(len(train))
    if len(train) * len(test) > NEAREST_COST:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[: int(NEAREST_COST / len(test))])
    ngrams = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), lowercase=False, dtype=np.float32)
    texts = [
        [" ".join((*features, source)) for features, source in zip(part.features, part.sources, strict=True)]
        for part in (train, test)
    ]
    known, asked = ngrams.fit_transform([texts[0][row] for row in rows]).T.tocsr(), ngrams.transform(texts[1])
    nearest = [
        row for at in range(0, len(test), 256) for row in np.asarray((asked[at : at + 256] @ known).argmax(1)).ravel()
    ]
    part = f" ({len(rows):,} of {len(train):,})" if len(rows) < len(train) else ""
    yield f"target of the nearest source by n-grams{part}", [targets[rows[place]] for place in nearest]
