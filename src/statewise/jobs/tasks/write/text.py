"""Text: as it is read, in two parts, and as numbers of symbols.

Text is UTF-8, and its lines end in ``\\n`` whatever they ended in. A symbol is a character or a word, and the end of a
line is one as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.content import decoded
from ...data.split import share_held_out
from ...data.symbols import Symbols
from ...errors import InputError
from .config import LEAST_HELD_OUT

END, UNKNOWN = "\n", "<unk>"

Ids = NDArray[np.int64]


def read_text(path: Path) -> str:
    """The text in ``path``, packed as .gz or not. Raises ``InputError`` where there is none."""
    return as_text(decoded(path), str(path))


def as_text(text: str, where: str) -> str:
    """``text`` with its lines ended by ``\\n``; refuses what is empty or no text. ``where`` begins the message."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise InputError(f"{where}: expected text, got {'blanks alone' if text else 'nothing'}")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{where}: expected text, got a character of number 0 in line {line}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: character {error.start + 1} is no character but half of a pair") from None
    return text


def lines_of(text: str) -> list[str]:
    """The lines of ``text`` that aren't blank, without blanks around them."""
    return [line for line in map(str.strip, text.split("\n")) if line]


def of_lines(lines: Iterable[str]) -> str:
    """The text of ``lines``, each ended."""
    return "".join(f"{line}\n" for line in lines)


def held_out(text: str, share: float | None, *, lines: bool, level: str = "char", seed: int = 0) -> tuple[str, str]:
    """``text`` in two parts, to train on and to validate with.

    Of a running text the end is held out, cut between words where ``level`` is ``word``. Of ``lines`` it is lines drawn
    by ``seed``, all that are equal together, so that none of the second part is in the first. ``share`` is how much; 0
    for nothing, None for a tenth where that says enough.
    """
    parts = lines_of(text) if lines else []
    different = sorted(set(parts))
    share = share_held_out(share, len(different) if lines else len(text), LEAST_HELD_OUT[lines])
    if lines:
        drawn = np.random.default_rng(seed).permutation(len(different))[: int(len(different) * share)]
        held = {different[row] for row in drawn}
        return of_lines(x for x in parts if x not in held), of_lines(x for x in parts if x in held)
    cut = int(len(text) * (1 - share))
    while level == "word" and cut < len(text) and not text[cut - 1].isspace():
        cut += 1
    return text[:cut], text[cut:]


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
    """The symbols that a model knows."""

    level: str
    symbols: Symbols

    @classmethod
    def of(cls, text: str, level: str, *, max_words: int, min_count: int) -> Vocabulary:
        """That of ``text``: of words those that occur ``min_count`` times, ``max_words`` at most, and ``<unk>``."""
        if level == "char":
            return cls(level, Symbols(sorted(set(text))))
        counts = Counter(_words(text))
        for special in (END, UNKNOWN):
            counts.pop(special, None)
        kept = sorted((word for word, n in counts.items() if n >= min_count), key=lambda word: (-counts[word], word))
        if not kept:
            raise InputError(f"the training part has no word that occurs {min_count} times; --min-count 1 takes all")
        return cls(level, Symbols((END, UNKNOWN, *kept[:max_words])))

    @classmethod
    def from_json(cls, level: str, content: object) -> Vocabulary:
        """That of the symbols which a header lists. ValueError where they can't be those of this ``level``."""
        symbols = Symbols.from_json(content)
        if level == "char" and (list(symbols) != sorted(symbols) or any(len(symbol) != 1 for symbol in symbols)):
            raise ValueError("its characters are out of order")
        if level == "word" and symbols[:2] != (END, UNKNOWN):
            raise ValueError("its words begin otherwise")
        return cls(level, symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def end(self) -> int | None:
        """The number of a line's end; None where the text has no second line."""
        return self.symbols.numbers.get(END)

    @property
    def unknown(self) -> int | None:
        """The number of ``<unk>``; None for characters."""
        return self.symbols.numbers.get(UNKNOWN) if self.level == "word" else None

    @property
    def noun(self) -> str:
        """What a symbol is called."""
        return "character" if self.level == "char" else "word"

    def numbers(self, text: str) -> Ids:
        """The symbols of ``text`` as numbers, -1 for those that are not known: (S,)."""
        return self.symbols.encode(text if self.level == "char" else _words(text))

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
        """The text that ``ids`` stand for: between words there are blanks, unless a line has ended."""
        symbols: Sequence[str] = [self.symbols[place] for place in ids]
        if self.level == "char":
            return "".join(symbols)
        return " ".join(symbols).replace(f" {END} ", END).replace(f"{END} ", END).replace(f" {END}", END)


def _words(text: str) -> Iterable[str]:
    """The words of ``text``, what stands between blanks, and the ends of its lines, that of the last among them."""
    for line in text.removesuffix(END).split(END):
        yield from line.split()
        yield END
