"""Words, characters, tags: different texts, each told by its number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w+(?:[.,:/'\u2019\-&@+]\w+)*|\S")
"""A word of running text: letters, digits and ``_``, and between them one at a time of some other signs; or a sign."""
DIGIT = re.compile(r"\d")


def plain(word: str) -> str:
    """``word`` in lower case, every digit a 0."""
    return DIGIT.sub("0", word.lower())


class Symbols(tuple[str, ...]):
    """Texts, each of which stands in it once. The number of a text is its place."""

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each."""
        return {symbol: number for number, symbol in enumerate(self)}

    def encode(self, items: Iterable[str]) -> NDArray[np.int64]:
        """The numbers of ``items``, -1 for those that aren't there: (S,)."""
        return np.fromiter(map(self.numbers.get, items, repeat(-1)), np.int64)

    @classmethod
    def from_json(cls, content: object) -> Symbols:
        """What a header lists. ValueError where those are no texts, one is empty, or one is there twice."""
        if not isinstance(content, list) or not all(isinstance(text, str) and text for text in content):
            raise ValueError("expected a list of texts")
        if len(set(content)) != len(content):
            raise ValueError("a word, a character or a tag is there twice")
        return cls(content)
