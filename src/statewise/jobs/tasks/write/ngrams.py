"""What counting alone says of a text: how often a symbol followed the one, two or four before it.

The estimates of shorter contexts fill in where longer ones have seen little (Witten and Bell, 1991): a context seen C
times, with U different symbols after it, keeps C / (C + U) for what it has seen and leaves the rest to the context
shorter by one; under all lies the same chance for every symbol. There is nothing to be set.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .likelihood import Score
from .text import Corpus, Ids

ORDERS = {"char": (1, 2, 3, 5), "word": (1, 2, 3), "subword": (1, 2, 3)}
NAMES = {1: "frequencies alone", 2: "bigrams", 3: "trigrams", 5: "5-grams"}

Chances = NDArray[np.float64]


def baselines(train: Corpus, test: Corpus, symbols: int, level: str) -> Iterator[Score]:
    """How well counts of ``train`` predict ``test``: by a symbol's frequency, after the one before it, and so on."""
    orders = [n for n in ORDERS[level] if (symbols + 1) ** n < 2**62]
    chances = np.full(len(test.ids), 1 / symbols)
    for order in range(1, orders[-1] + 1):
        chances = mixed(grams(train, order, symbols), grams(test, order, symbols), symbols, chances)
        if order in orders:
            predicted = chances if test.lengths is not None else chances[1:]
            yield Score(NAMES[order], float(-np.log(predicted).sum()), test.terms, test.characters, test.words)


def grams(corpus: Corpus, order: int, symbols: int) -> Ids:
    """Each symbol with the ``order`` - 1 before it as one number, the symbol its last digit: (S,).

    In the place of what would be before the beginning, of the text or of the line, stands one symbol more.
    """
    ids, base = corpus.ids, symbols + 1
    place = np.arange(len(ids)) - np.repeat(corpus.starts, corpus.lengths if corpus.lengths is not None else len(ids))
    numbers = ids.copy()
    for back in range(1, order):
        before = np.where(place >= back, np.roll(ids, back), symbols)
        numbers += before * base**back
    return numbers


def mixed(train: Ids, test: Ids, symbols: int, shorter: Chances) -> Chances:
    """The chance of each gram of ``test`` by those of ``train``, with the chances of the ``shorter`` context: (S,)."""
    base = symbols + 1
    seen, counts = np.unique(train, return_counts=True)
    contexts, first = np.unique(seen // base, return_index=True)
    totals = np.add.reduceat(counts, first)
    different = np.diff(first, append=len(seen))
    count = _looked_up(seen, counts, test)
    total = _looked_up(contexts, totals, test // base)
    kinds = _looked_up(contexts, different, test // base)
    return np.where(total > 0, (count + kinds * shorter) / np.maximum(total + kinds, 1), shorter)


def _looked_up(keys: Ids, values: Ids, wanted: Ids) -> Ids:
    """The value of each of ``wanted`` in ``keys``, which rise; 0 for what isn't there."""
    places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)
