"""Text as symbols and symbols as numbers: characters, words, or pieces of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...errors import InputError

END, UNKNOWN = 0, 1
SPECIAL = ("", "<unk>")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The symbols of one side, each told by its place."""

    level: str
    symbols: tuple[str, ...]
    merges: tuple[str, ...] = ()
    """Of pieces of words: which two pieces become one, in this order, with a blank between them."""

    @classmethod
    def of(cls, texts: Iterable[str], level: str, *, most: int, at_least: int) -> Vocabulary:
        """That of ``texts``: of words and characters those that occur ``at_least`` times, the ``most`` frequent."""
        if level == "subword":
            return cls.of_merges(_learnt(texts, most))
        counts = Counter(symbol for text in texts for symbol in (text if level == "char" else text.split()))
        kept = sorted((s for s, n in counts.items() if n >= at_least), key=lambda s: (-counts[s], s))
        return cls(level, (*SPECIAL, *kept[:most]))

    @classmethod
    def of_merges(cls, merges: Sequence[str]) -> Vocabulary:
        """That of all bytes, and of what ``merges`` make of them. ValueError where one of them makes nothing new."""
        from tokenizers.pre_tokenizers import ByteLevel

        known = dict.fromkeys(sorted(ByteLevel.alphabet()))
        for merge in merges:
            left, _, right = merge.partition(" ")
            if left not in known or right not in known:
                raise ValueError(f"no piece of a word: {merge!r}")
            known[left + right] = None
        return cls("subword", (*SPECIAL, *known), tuple(merges))

    @classmethod
    def from_json(cls, content: Any) -> Vocabulary:
        """What ``asdict`` made of one. ValueError for anything else."""
        level, symbols, merges = (content[name] for name in ("level", "symbols", "merges"))
        for texts in (symbols, merges):
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise ValueError("expected a list of texts")
        if level not in ("char", "word", "subword") or tuple(symbols[:2]) != SPECIAL or len({*symbols}) < len(symbols):
            raise ValueError("expected different symbols of a level, and two special ones before")
        of_merges = cls.of_merges(merges).symbols if level == "subword" else ()
        if of_merges != tuple(symbols[: len(of_merges)]):
            raise ValueError("expected the pieces of words that are made by merging")
        return cls(level, tuple(symbols), tuple(merges))

    def with_features(self, features: Iterable[Sequence[str]]) -> Vocabulary:
        """The same with what else is known of a source as symbols."""
        more = sorted({f"<{each}>" for row in features for each in row} - set(self.symbols))
        return Vocabulary(self.level, (*self.symbols, *more), self.merges)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each symbol."""
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    def cut(self, text: str) -> list[str]:
        """``text`` as symbols, known or not."""
        if self.level == "subword":
            pieces: list[str] = self._tokenizer.encode(text).tokens
            return pieces
        return list(text) if self.level == "char" else text.split()

    def encode(self, text: str, features: Sequence[str] = ()) -> list[int]:
        """``text`` as numbers, what is known besides before it, and an end."""
        cut = [*(f"<{each}>" for each in features), *self.cut(text)]
        return [*(self.numbers.get(symbol, UNKNOWN) for symbol in cut), END]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that ``numbers`` stand for."""
        symbols = [self.symbols[number] for number in numbers]
        if self.level == "subword":
            text: str = self._tokenizer.decoder.decode(symbols)
            return text.strip()
        return ("" if self.level == "char" else " ").join(symbols)

    @cached_property
    def _tokenizer(self) -> Any:
        return _tokenizer({symbol: n for n, symbol in enumerate(self.symbols)}, self.merges)


def _tokenizer(symbols: dict[str, int] | None = None, merges: Sequence[str] = ()) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(models.BPE() if symbols is None else models.BPE(symbols, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _learnt(texts: Iterable[str], most: int) -> list[str]:
    """The merges of a vocabulary of ``most`` pieces, by byte-pair encoding."""
    import json

    from tokenizers import pre_tokenizers, trainers

    tokenizer = _tokenizer()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if most < len(alphabet):
        raise InputError(f"--vocabulary {most}: pieces of words need {len(alphabet)} or more")
    trainer = trainers.BpeTrainer(vocab_size=most, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
