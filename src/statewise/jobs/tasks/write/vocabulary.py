"""Text as numbers: a symbol is a character or a word, and the end of a line is one as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError

END, UNKNOWN = "\n", "<unk>"

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as numbers of symbols."""

    ids: Ids  # (S,)
    lengths: Ids | None
    """Symbols of each line, its end among them (n,); None where the text is to be read as one."""
    unknown: int
    """How many symbols the vocabulary hasn't got: words, which are ``<unk>``, or characters, which are left out."""
    characters: int
    """Of the text."""

    @property
    def terms(self) -> int:
        """How many symbols can be predicted: all but the first of a running text."""
        return len(self.ids) if self.lengths is not None else max(0, len(self.ids) - 1)

    @cached_property
    def starts(self) -> Ids:
        """Where each line begins in ``ids``; a running text is one line here: (n,)."""
        return np.zeros(1, np.int64) if self.lengths is None else np.cumsum(self.lengths) - self.lengths


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The symbols that a model knows, each told by its place."""

    level: str
    symbols: tuple[str, ...]

    @classmethod
    def of(cls, text: str, level: str, *, most: int, at_least: int) -> Vocabulary:
        """That of ``text``: of words those that occur ``at_least`` times, the ``most`` frequent, and ``<unk>``."""
        if level == "char":
            return cls(level, tuple(sorted(set(text))))
        counts = Counter(_words(text))
        for special in (END, UNKNOWN):
            counts.pop(special, None)
        kept = sorted((word for word, n in counts.items() if n >= at_least), key=lambda word: (-counts[word], word))
        if not kept:
            raise InputError(f"the training part has no word that occurs {at_least} times; --min-count 1 takes all")
        return cls(level, (END, UNKNOWN, *kept[:most]))

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def places(self) -> dict[str, int]:
        """The number of each symbol."""
        return {symbol: place for place, symbol in enumerate(self.symbols)}

    @property
    def end(self) -> int | None:
        """The number of a line's end; None where the text has no second line."""
        return self.places.get(END)

    @property
    def unknown(self) -> int | None:
        """The number of ``<unk>``; None for characters."""
        return self.places.get(UNKNOWN) if self.level == "word" else None

    @property
    def noun(self) -> str:
        """What a symbol is called."""
        return "character" if self.level == "char" else "word"

    def numbers(self, text: str) -> Ids:
        """The symbols of ``text`` as numbers, -1 for those that are not known: (S,)."""
        if self.level == "char":
            return self._of_characters(text)
        places = self.places
        return np.fromiter((places.get(word, -1) for word in _words(text)), np.int64)

    def encode(self, text: str, *, lines: bool = False) -> Corpus:
        """``text`` as numbers; with ``lines`` every line, its end included, is one for itself."""
        ids = self.numbers(text)
        missing = ids < 0
        if self.unknown is not None:
            ids[missing] = self.unknown
            missing = ids == self.unknown
            kept = ids
        else:
            kept = ids[~missing]
        lengths = np.diff(np.flatnonzero(kept == self.end), prepend=-1) if lines else None
        return Corpus(kept, lengths, int(missing.sum()), len(text))

    def decode(self, ids: Iterable[int]) -> str:
        """The text that ``ids`` stand for."""
        return self.joined([self.symbols[place] for place in ids])

    def joined(self, symbols: Sequence[str]) -> str:
        """``symbols`` as text: between words there are blanks, unless a line has ended."""
        if self.level == "char":
            return "".join(symbols)
        return " ".join(symbols).replace(f" {END} ", END).replace(f"{END} ", END).replace(f" {END}", END)

    def _of_characters(self, text: str) -> Ids:
        known = _codes("".join(self.symbols))  # rises, since the symbols do
        codes = _codes(text)
        places = np.searchsorted(known, codes).clip(max=len(known) - 1)
        return np.where(known[places] == codes, places, -1)


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def _words(text: str) -> Iterable[str]:
    """The words of ``text``, what stands between blanks, and the ends of its lines, that of the last among them."""
    for line in text.removesuffix(END).split(END):
        yield from line.split()
        yield END
