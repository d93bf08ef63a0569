"""The n-grams of texts, as most would begin with: tf-idf, and logistic regression on it. Read step by step too."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...data.vocabulary import END
from .features import Features, Floats, Lesson, Scores
from .sequences import Rows, Sequences
from .targets import Classes

FACTOR = 0x5851F42D4C957F2D  # odd, of no pattern (the multiplier of Knuth's MMIX): tells n-grams by one number
SEEN, MOST_WEIGHTS = 2, 1 << 22  # texts that an n-gram must be in; numbers in the table
STRENGTH, ITERATIONS = 10.0, 100  # of the regression: the inverse of its penalty, and steps at most
AT_ONCE, NEVER = 1 << 18, -20.0  # symbols in memory at a time; the bias of a class that isn't there

Keys = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class NGrams(Features):
    """Of each n-gram of up to ``most`` symbols, of which ``keys`` (F,), rising, are known, how often it is there.

    Times its ``idf`` (F,), over the root of the sum of squares of all idf that are there. A text begins and ends with
    a symbol of its own.
    """

    KIND: ClassVar[str] = "n-grams"
    LINEAR: ClassVar[str] = "logistic regression on the tf-idf of n-grams"
    ARRAYS: ClassVar[Mapping[str, str]] = {"most": "int64", "keys": "int64", "idf": "float32"}
    STEPS: ClassVar[bool] = True

    most: Keys  # ()
    keys: Keys
    idf: Floats

    @classmethod
    def fitted(cls, lesson: Lesson) -> tuple[NGrams, Floats, Floats, None] | None:
        """None where no n-gram is in several texts, and where the target isn't classes."""
        sequences, target, values = lesson.sequences, lesson.target, lesson.values
        if not isinstance(target, Classes) or len(np.unique(values)) < 2:
            return None
        from scipy.sparse import csr_array
        from sklearn.linear_model import LogisticRegression

        parts = [(rows[there], keys[there]) for rows, keys, there in ngrams_of(sequences, lesson.reach)]
        texts, keys = (np.concatenate(part) for part in zip(*parts, strict=True))
        known, places = np.unique(keys, return_inverse=True)
        shape = len(sequences), len(known)
        counts = csr_array((np.ones(len(places)), (texts, places)), shape=shape)  # of each in each
        counts.sum_duplicates()
        seen = np.bincount(counts.indices, minlength=len(known))
        kept = np.flatnonzero(seen >= SEEN)
        kept = np.sort(kept[np.argsort(-seen[kept], kind="stable")][: MOST_WEIGHTS // (1 + target.width)])
        if not len(kept):
            return None
        idf = 1 + np.log((1 + len(sequences)) / (1 + seen[kept]))
        counts = csr_array(counts[:, kept])
        norm = np.sqrt(counts @ idf**2)
        scaled = csr_array(counts * idf / np.where(norm, norm, 1)[:, None])
        model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS, tol=1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not wholly converged is as good here
            model.fit(scaled, values, lesson.weights)
        table, bias = np.zeros((len(kept), target.width), np.float32), np.full(target.width, NEVER, np.float32)
        half = [-0.5, 0.5] if len(model.classes_) == 2 else 1  # of two classes the regression has the second's alone
        table[:, model.classes_], bias[model.classes_] = model.coef_.T * half, model.intercept_ * half
        return cls(np.array(lesson.reach), known[kept], idf.astype(np.float32)), table, bias, None

    @property
    def count(self) -> int:
        """F."""
        return len(self.keys)

    def check(self, channels: int) -> None:
        """ValueError where the arrays aren't n-grams."""
        if self.most.shape or self.most < 1 or channels != 1 or self.idf.shape != self.keys.shape or not self.count:
            raise ValueError("expected n-grams of at least one symbol, and an idf for each")

    def times(self, sequences: Sequences, weights: Floats) -> Scores:
        """Each n-gram's idf times its weights, summed."""
        said, norm = np.zeros((len(sequences), weights.shape[1])), np.zeros(len(sequences))
        for rows, keys, there in ngrams_of(sequences, int(self.most)):
            idf, found = self._found(keys, weights, there)
            begins = np.flatnonzero(np.diff(rows, prepend=-1))
            texts = rows[begins]
            norm[texts] += np.add.reduceat(idf**2, begins)
            said[texts] += np.add.reduceat(found, begins)
        return _scaled(said, norm)

    def step(self, x: NDArray[Any], state: Any, weights: Floats) -> tuple[Scores, Any]:
        """The state: the last symbols, and two sums."""
        edge = np.full_like(x, END)
        tail, said, norm = (edge, *self._ending(edge, weights)) if state is None else state
        tail = np.concatenate((tail, x), 1)[:, -int(self.most) :]  # (N, most)
        more, squares = self._ending(tail, weights)
        state = tail, said + more, norm + squares
        more, squares = self._ending(np.concatenate((tail, edge), 1)[:, -int(self.most) :], weights)
        return _scaled(state[1] + more, state[2] + squares), state

    def _ending(self, symbols: NDArray[Any], weights: Floats) -> tuple[Scores, Scores]:
        """The sums over the n-grams that end with the last of ``symbols`` (N, S): (N, W), (N,)."""
        said, norm = np.zeros((len(symbols), weights.shape[1])), np.zeros(len(symbols))
        for n in range(1, symbols.shape[1] + 1):
            keys = np.zeros(len(symbols), np.int64)
            for place, symbol in enumerate(symbols[:, -n:].T, 1):
                keys = keys * FACTOR + symbol + place
            idf, found = self._found(keys, weights)
            said, norm = said + found, norm + idf**2
        return said, norm

    def _found(self, keys: Keys, weights: Floats, there: NDArray[Any] | bool = True) -> tuple[Scores, Scores]:
        """Of ``keys`` (G,) the idf (G,), 0 of what isn't known or not ``there``, and that times the weights: (G, W)."""
        places = np.searchsorted(self.keys, keys).clip(max=self.count - 1)
        idf = np.where((self.keys[places] == keys) & there, self.idf[places], 0).astype(np.float64)
        return idf, weights[places] * idf[:, None]


def ngrams_of(sequences: Sequences, most: int) -> Iterator[tuple[Rows, Keys, NDArray[np.bool_]]]:
    """Of all n-grams the text that each begins in, its key, and whether it ends there too; piece by piece.

    Of each n every text has one at least: where a text is too short none is there.
    """
    ends = np.cumsum(sequences.lengths)
    for part in np.split(np.arange(len(ends)), np.flatnonzero(np.diff(ends // AT_ONCE)) + 1):
        if not len(part):
            continue
        lengths = sequences.lengths[part] + 2
        rows = np.repeat(part, lengths)
        symbols = np.full(len(rows), END, np.int64)
        last = np.cumsum(lengths) - 1
        inner = np.ones(len(rows), np.bool_)
        inner[last], inner[last - lengths + 1] = False, False
        symbols[inner] = sequences.steps[ends[part[0]] - sequences.lengths[part[0]] : ends[part[-1]], 0]
        keys, left = np.zeros_like(symbols), np.repeat(last, lengths) - np.arange(len(rows))  # symbols that follow
        for n in range(1, min(most, int(lengths.max())) + 1):
            keys = keys * FACTOR + np.append(symbols[n - 1 :], np.zeros(n - 1, np.int64)) + n
            yield rows, keys, left >= n - 1


def _scaled(said: Scores, norm: Scores) -> Scores:
    return said / np.sqrt(np.maximum(norm, 1e-12))[:, None]
