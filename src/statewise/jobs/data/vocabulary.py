"""Texts as symbols and symbols as numbers: characters, words, or pieces of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ..config import Level
from ..errors import InputError
from .symbols import Symbols

END, UNKNOWN = 0, 1
LEVELS = get_args(Level)
SPECIAL = ("<end>", "<unk>")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The symbols of one side, each told by its place."""

    level: str
    symbols: Symbols
    merges: tuple[str, ...] = ()
    """Of pieces of words: which two pieces become one, in this order, with a blank between them."""

    @classmethod
    def of(cls, texts: Iterable[Any], level: str, *, most: int, at_least: int) -> Vocabulary:
        """That of ``texts``: of words and characters those that occur ``at_least`` times, the ``most`` frequent.

        At the level of characters a text may be a list of any symbols.
        """
        if level == "subword":
            return cls.of_merges(learnt(texts, most))
        counts = Counter(symbol for text in texts for symbol in (text if level == "char" else text.split()))
        kept = [s for s, n in counts.items() if n >= at_least and s not in SPECIAL]
        return cls(level, Symbols((*SPECIAL, *sorted(kept, key=lambda s: (-counts[s], s))[:most])))

    @classmethod
    def of_merges(cls, merges: Sequence[str]) -> Vocabulary:
        """That of all bytes, and of what ``merges`` make of them. ValueError where one of them makes nothing new."""
        return cls("subword", Symbols((*SPECIAL, *pieces(merges))), tuple(merges))

    @classmethod
    def from_json(cls, content: Any) -> Vocabulary:
        """What ``asdict`` made of one. ValueError for anything else."""
        level, symbols, merges = content["level"], Symbols.from_json(content["symbols"]), content["merges"]
        if level not in LEVELS or symbols[:2] != SPECIAL:
            raise ValueError("expected symbols of a level, the end and the unknown one first")
        made = cls.of_merges(Symbols.from_json(merges)).symbols if level == "subword" else ()
        if symbols[: len(made)] != made:
            raise ValueError("expected the pieces of words that are made by merging")
        return cls(level, symbols, tuple(merges))

    def with_features(self, features: Iterable[Sequence[str]]) -> Vocabulary:
        """The same with what else is known of a source as symbols."""
        more = sorted({f"<{each}>" for row in features for each in row} - set(self.symbols))
        return Vocabulary(self.level, Symbols((*self.symbols, *more)), self.merges)

    def cut(self, text: Any) -> list[str]:
        """``text`` as symbols, known or not."""
        if self.level == "subword":
            pieces: list[str] = self._tokenizer.encode(text).tokens
            return pieces
        return list(text) if self.level == "char" else text.split()

    def numbers(self, cut: Iterable[str]) -> NDArray[np.int64]:
        """The numbers of symbols, known or not: (T,)."""
        return self.symbols.encode(cut).clip(UNKNOWN)

    def encode(self, text: str, features: Sequence[str] = ()) -> NDArray[np.int64]:
        """``text`` as numbers, what is known besides before it, and an end: (T,)."""
        return np.append(self.numbers((*(f"<{each}>" for each in features), *self.cut(text))), END)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that ``numbers`` stand for."""
        symbols = [self.symbols[number] for number in numbers]
        if self.level == "subword":
            text: str = self._tokenizer.decoder.decode(symbols)
            return text.strip()
        return ("" if self.level == "char" else " ").join(symbols)

    @cached_property
    def _tokenizer(self) -> Any:
        return tokenizer(self.symbols.numbers, self.merges)


BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
"""Those that stand for themselves in pieces of words; the others are written as letters from 256 on, in their order."""
BYTE_OF = {chr(b): b for b in BYTES} | {chr(256 + n): b for n, b in enumerate(sorted({*range(256)} - {*BYTES}))}
"""The byte that each letter of a piece stands for."""


def pieces(merges: Iterable[str]) -> list[str]:
    """All bytes, and what ``merges`` make of them. ValueError where one of them makes nothing new."""
    known = dict.fromkeys(sorted(BYTE_OF))
    for merge in merges:
        left, _, right = merge.partition(" ")
        if left not in known or right not in known:
            raise ValueError(f"no piece of a word: {merge!r}")
        known[left + right] = None
    return list(known)


def tokenizer(numbers: dict[str, int] | None = None, merges: Sequence[str] = (), *, apart: bool = True) -> Any:
    """What cuts texts into pieces with these ``numbers``; ``apart`` has a blank before every text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    found = Tokenizer(models.BPE(numbers or {}, pairs))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=apart)
    found.decoder = decoders.ByteLevel()
    return found


def learnt(texts: Iterable[str], most: int, *, apart: bool = True) -> list[str]:
    """The merges of a vocabulary of ``most`` pieces, by byte-pair encoding."""
    import json

    from tokenizers import trainers

    if most < len(BYTE_OF):
        raise InputError(f"--max-words {most}: pieces of words need {len(BYTE_OF)} or more")
    found = tokenizer(apart=apart)
    trainer = trainers.BpeTrainer(vocab_size=most, initial_alphabet=list(BYTE_OF), show_progress=False)
    found.train_from_iterator(texts, trainer)
    merges = json.loads(found.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
