"""A writer: symbols become numbers, and numbers what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np

from .cache import Cache, CachedProgram
from .file import Arrays
from .network import Array, Network, State


class Writer(Network):
    """Says how likely each symbol, a character, a word or a piece of a word, is to come next.

    ``run`` and ``step`` take what ``encode`` gives, and give the logarithms of probabilities.
    """

    def __init__(self, content: Mapping[str, Any], arrays: Arrays, threads: int = 1) -> None:
        from ..jobs.tasks.write.text import Vocabulary

        told = dict(content)
        cache = told.pop("cache", None)
        self.cache = None if cache is None else Cache.of(cache)
        """What stands beside the network, if anything does. It is no part of the program in ``content``."""
        self.vocabulary = Vocabulary.from_json(content["level"], {"symbols": content["labels"], **_merges(content)})
        super().__init__(told, arrays, threads)

    def _made(self) -> Any:
        if self.cache is None:
            return super()._made()
        return CachedProgram(self.content, self._arrays, self._threads, self.cache)

    @property
    def _cached(self) -> CachedProgram:
        program = self._current()
        assert isinstance(program, CachedProgram)
        return program

    @cached_property
    def fingerprint(self) -> str:
        """What tells it from others, its cache among that."""
        own = super().fingerprint
        return own if self.cache is None else sha256(f"{own} {self.cache}".encode()).hexdigest()

    def states(self, x: Array, state: State | None) -> tuple[Array, State]:
        """Of a writer with a cache: what its output reads after each of ``x`` (T, N), (T, N, H), without the cache.

        And the network's state after them; None at first.
        """
        (found,), after = self._cached.below.feed((x,), state, None, True)
        return found, after

    @property
    def state_width(self) -> int:
        """H, of what ``states`` gives."""
        return self._cached.width

    def said(self, states: Array) -> Array:
        """The logarithms of what the network alone says where its output reads ``states`` (S, H): (S, symbols)."""
        return np.asarray(self._cached.said(states[:, None])[:, 0])

    def encode(self, text: str) -> Array:
        """The numbers of the symbols of ``text``, as ``run`` takes them, (T, 1); a word that isn't known is ``<unk>``.

        Of words every line's end is one. Raises ValueError for a character that isn't known; pieces of words need the
        package tokenizers.
        """
        numbers, unknown = self.vocabulary.numbers(text), self.vocabulary.unknown
        if unknown is None and (numbers < 0).any():
            raise ValueError(f"the model has never seen the character {text[int((numbers < 0).argmax())]!r}")
        return np.where(numbers < 0, unknown or 0, numbers)[:, None]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that ``numbers`` of symbols stand for."""
        return self.vocabulary.decode(map(int, numbers))


def _merges(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"merges": content["merges"]} if content["merges"] else {}
