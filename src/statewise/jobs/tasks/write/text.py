"""Text: as it is read, in two parts, and as numbers of symbols.

Text is UTF-8, and its lines end in ``\\n`` whatever they ended in. A symbol is a character, a word or a piece of a
word, and the end of a line is one as well.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.content import decoded
from ...data.split import share_held_out
from ...data.symbols import Symbols
from ...data.vocabulary import BYTE_OF, learnt, pieces, tokenizer
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

    Of a running text the end is held out, cut between words unless ``level`` is ``char``. Of ``lines`` it is lines
    drawn by ``seed``, all that are equal together, so that none of the second part is in the first. ``share`` is how
    much; 0 for nothing, None for a tenth where that says enough.
    """
    parts = lines_of(text) if lines else []
    different = sorted(set(parts))
    share = share_held_out(share, len(different) if lines else len(text), LEAST_HELD_OUT[lines])
    if lines:
        drawn = np.random.default_rng(seed).permutation(len(different))[: int(len(different) * share)]
        held = {different[row] for row in drawn}
        return of_lines(x for x in parts if x not in held), of_lines(x for x in parts if x in held)
    cut = int(len(text) * (1 - share))
    while level != "char" and cut < len(text) and not text[cut - 1].isspace():
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
    words: int
    """What stands in the text between blanks, and the ends of its lines."""

    @property
    def terms(self) -> int:
        """How many symbols can be predicted: all but the first of a running text."""
        return len(self.ids) if self.lengths is not None else max(0, len(self.ids) - 1)

    @cached_property
    def starts(self) -> Ids:
        """Where each line begins in ``ids``; a running text is one line here: (n,)."""
        return np.zeros(1, np.int64) if self.lengths is None else np.cumsum(self.lengths) - self.lengths


NOUNS = {"char": "character", "word": "word", "subword": "piece"}


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The symbols that a model knows."""

    level: str
    symbols: Symbols
    """Of pieces of words the text of each; of one that is no whole character its bytes, as ``<0xE2>``."""
    merges: tuple[str, ...] = ()
    """Of pieces of words: which two become one, in this order, with a blank between them."""

    @classmethod
    def of(cls, text: str, level: str, *, most: int, min_count: int) -> Vocabulary:
        """That of ``text``: all its characters, ``most`` words that occur ``min_count`` times, or ``most`` pieces."""
        if level == "char":
            return cls(level, Symbols(sorted(set(text))))
        if level == "subword":
            return cls.of_merges(learnt(text.split(END), most, apart=False))
        counts = Counter(_words(text))
        for special in (END, UNKNOWN):
            counts.pop(special, None)
        kept = sorted((word for word, n in counts.items() if n >= min_count), key=lambda word: (-counts[word], word))
        if not kept:
            raise InputError(f"the training part has no word that occurs {min_count} times; --min-count 1 takes all")
        return cls(level, Symbols((END, UNKNOWN, *kept[:most])))

    @classmethod
    def of_merges(cls, merges: Iterable[str]) -> Vocabulary:
        """That of all bytes and of what ``merges`` make of them. ValueError where one of them makes nothing new."""
        merges = tuple(merges)
        return cls("subword", Symbols(map(_shown, map(_bytes, pieces(merges)))), merges)

    def to_json(self) -> dict[str, Any]:
        """What ``from_json`` reads."""
        return {"symbols": list(self.symbols)} | ({"merges": list(self.merges)} if self.merges else {})

    @classmethod
    def from_json(cls, level: str, content: Mapping[str, Any]) -> Vocabulary:
        """What ``to_json`` gave of one of this ``level``. ValueError for anything else."""
        symbols = Symbols.from_json(content["symbols"])
        if level == "char" and (list(symbols) != sorted(symbols) or any(len(symbol) != 1 for symbol in symbols)):
            raise ValueError("its characters are out of order")
        if level == "word" and symbols[:2] != (END, UNKNOWN):
            raise ValueError("its words begin otherwise")
        if level != "subword":
            return cls(level, symbols)
        made = cls.of_merges(Symbols.from_json(content.get("merges", [])))
        if made.symbols != symbols:
            raise ValueError("its pieces of words are not those that are made by merging")
        return made

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def end(self) -> int | None:
        """The number of a line's end; None where the text has no second line."""
        return self.symbols.numbers.get(END)

    @property
    def unknown(self) -> int | None:
        """The number of ``<unk>``; None where the level has none."""
        return self.symbols.numbers.get(UNKNOWN) if self.level == "word" else None

    @property
    def noun(self) -> str:
        """What a symbol is called."""
        return NOUNS[self.level]

    def numbers(self, text: str) -> Ids:
        """The symbols of ``text`` as numbers, -1 for those that are not known: (S,)."""
        if self.level == "subword":
            cut = self._tokenizer.encode_batch(text.split(END))
            return np.array([n for line in cut for n in (*line.ids, self.end)][:-1], np.int64)
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
        return Corpus(kept, lengths, int(missing.sum()), len(text), sum(1 for _ in _words(text)))

    def decode(self, ids: Iterable[int]) -> str:
        """The text that ``ids`` stand for."""
        return "".join(self.spelt(ids))

    def spelt(self, ids: Iterable[int], before: str = END) -> Iterator[str]:
        """What each of ``ids`` adds to a text after the symbol ``before``.

        Between words there are blanks, unless a line has ended. Of pieces of words, what isn't a whole character yet
        adds nothing, and what never becomes one the sign for that.
        """
        if self.level == "subword":
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            yield from (decoder.decode(self._pieces[place]) for place in ids)
            yield decoder.decode(b"", final=True)
            return
        for place in ids:
            symbol = self.symbols[place]
            yield f" {symbol}" if self.level == "word" and END not in (before, symbol) else symbol
            before = symbol

    @cached_property
    def _pieces(self) -> list[bytes]:
        return list(map(_bytes, pieces(self.merges)))

    @cached_property
    def _tokenizer(self) -> Any:
        numbers = {piece: place for place, piece in enumerate(pieces(self.merges))}
        return tokenizer(numbers, self.merges, apart=False)


def _words(text: str) -> Iterable[str]:
    """The words of ``text``, what stands between blanks, and the ends of its lines, that of the last among them."""
    for line in text.removesuffix(END).split(END):
        yield from line.split()
        yield END


def _bytes(piece: str) -> bytes:
    return bytes(BYTE_OF[letter] for letter in piece)


def _shown(piece: bytes) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in piece)
