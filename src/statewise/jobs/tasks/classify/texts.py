"""Texts, and sequences of symbols such as bases or events: what differs by being another, never by its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...config import Level
from ...errors import InputError
from .sequences import Rows

LEAST_WORDS, SHORT = 3, 100
Item = str | tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Texts:
    """``n`` texts, or ``n`` sequences of symbols."""

    items: Sequence[Item]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Item:
        return self.items[row]

    @property
    def symbols(self) -> bool:
        """Whether each comes as a list of symbols already."""
        return bool(self.items) and not isinstance(self.items[0], str)

    @cached_property
    def lengths(self) -> Rows:
        """Of how many characters, or symbols, each is: (n,)."""
        return np.array([len(item) for item in self.items], np.int64)

    @property
    def usual_length(self) -> float:
        """The median of the lengths."""
        return float(np.median(self.lengths))

    @property
    def levels(self) -> tuple[Level, ...]:
        """At which levels texts like these may be read, that which suits most first.

        As characters where half of them are of one or two words; else as words or pieces of words, and as characters
        where half are of at most ``SHORT`` of them.
        """
        if self.symbols or float(np.median([len(str(item).split()) for item in self.items])) < LEAST_WORDS:
            return ("char",)
        pieces: tuple[Level, ...] = ("subword",) if find_spec("tokenizers") else ()
        return ("word", *pieces, *(("char",) if self.usual_length <= SHORT else ()))

    def select(self, rows: Rows) -> Texts:
        """Those that ``rows`` name, in that order."""
        return Texts([self.items[row] for row in rows])

    def arrays(self) -> list[Any]:
        """The content, which tells these texts from others."""
        return [list(self.items)]

    def described(self) -> str:
        """How many there are of what, in words."""
        least, most = int(self.lengths.min()), int(self.lengths.max())
        size = f"{least}" if least == most else f"{least} to {most}"
        return f"{len(self)} {'sequences' if self.symbols else 'texts'} of {size} {self.unit}"

    @property
    def unit(self) -> str:
        """What the lengths count."""
        return "symbols" if self.symbols else "characters"


def is_texts(X: Any) -> bool:
    """Whether ``X``, of a program, is a column of texts, or of lists of symbols, and no array of numbers."""
    if getattr(X, "ndim", 1) not in (1, 2) or not hasattr(X, "__len__") or isinstance(X, (str, bytes)) or not len(X):
        return False
    if hasattr(X, "columns"):
        return False
    first = next(iter(X))
    while isinstance(first, (list, tuple, np.ndarray)) and len(first):
        first = first[0]
    return isinstance(first, str)


def as_texts(X: Any) -> Texts:
    """``X`` as ``Texts``: a list or column of texts, (n,) or (n, 1), or of lists of symbols.

    Raises ``InputError`` by the first that is neither.
    """
    items: list[Item] = []
    column = isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] == 1
    for row, item in enumerate(X[:, 0] if column else X, 1):
        if isinstance(item, str):
            items.append(str(item))
        elif isinstance(item, (list, tuple, np.ndarray)) and len(item) and all(isinstance(s, str) and s for s in item):
            items.append(tuple(map(str, item)))
        else:
            got = "a missing value" if item is None or item != item else f"{type(item).__name__} {item!r:.40}"
            raise InputError(f"sequence {row}: expected a text, or a list of symbols that are texts, got {got}")
        if isinstance(items[-1], str) != isinstance(items[0], str):
            expected = "a text" if isinstance(items[0], str) else "a list of symbols"
            raise InputError(f"sequence {row}: expected {expected} as sequence 1 is, got {item!r:.40}")
    return Texts(items)
