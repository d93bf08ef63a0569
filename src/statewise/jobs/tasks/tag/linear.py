"""A linear tagger beside the network: what each cue of a word adds to the scores of the tags there. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ...artifacts.model_file import Arrays
from .corpus import Sentences
from .cues import Keys, cues

Scores = NDArray[np.float32]
AT_ONCE = 1024  # words whose cues are looked up


@dataclass(frozen=True, eq=False)
class Linear:
    """Of each cue that is known, by its key (F,), rising, what it adds to the score of each tag: ``weights`` (F, K)."""

    PREFIX: ClassVar[str] = "linear."

    keys: Keys
    weights: Scores

    def scores(self, words: Sentences, features: Sequence[Sentences] = ()) -> Scores:
        """What all cues of a word add: of all words of all sentences, one after the other, (S, K)."""
        asked = cues(words, features)
        found = np.empty((len(asked), self.weights.shape[1]), np.float32)
        for begin in range(0, len(asked), AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            places, known = found_in(self.keys, asked[part])
            found[part] = np.einsum("sj,sjk->sk", known.astype(np.float32), self.weights[places])
        return found

    def times(self, factor: float) -> Linear:
        """One that counts so much."""
        return replace(self, weights=np.float32(factor) * self.weights)

    def arrays(self) -> Arrays:
        """What ``taken`` reads."""
        return {f"{self.PREFIX}keys": self.keys, f"{self.PREFIX}weights": self.weights}

    @classmethod
    def taken(cls, arrays: Arrays, tags: int) -> Linear | None:
        """The one in ``arrays``, which it takes out of them; None: there is none. ValueError where it is damaged."""
        names = f"{cls.PREFIX}keys", f"{cls.PREFIX}weights"
        if not any(name in arrays for name in names):
            return None
        keys, weights = (arrays.pop(name) for name in names)
        if keys.dtype != np.int64 or keys.ndim != 1 or not len(keys) or (np.diff(keys) <= 0).any():
            raise ValueError("expected rising keys of cues")
        if weights.dtype != np.float32 or weights.shape != (len(keys), tags):
            raise ValueError(f"expected what each cue adds as float32 of size {(len(keys), tags)}")
        return cls(keys, weights)


def found_in(keys: Keys, asked: Keys) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where in the rising ``keys`` those that are ``asked`` for stand, and whether they do: as many each."""
    places = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    return places, keys[places] == asked
