"""What a network reads of texts: their words, characters or pieces of words, or the symbols that they are lists of, as
numbers, and in front of the layers a vector for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...data.symbols import WORD, plain
from ...data.vocabulary import UNKNOWN, Vocabulary
from ...errors import InputError
from .config import ClassifyConfig
from .encoder import Encoder, Kind
from .sequences import Rows, Sequences
from .texts import Item, Texts


@dataclass(frozen=True, eq=False)
class Spelling(Encoder):
    """The symbols of ``vocabulary`` by their places; what isn't among them is one unknown symbol."""

    KIND: ClassVar[Kind] = "symbols"

    vocabulary: Vocabulary
    longest: int
    """Symbols of a text that are read: of a longer one half of them from each end."""
    lists: bool
    """Whether sequences come as lists of symbols already."""

    @classmethod
    def fitted(cls, texts: Texts, config: ClassifyConfig) -> Spelling:
        """What there is in ``texts``. Raises ``InputError`` where there is nothing."""
        level = config.level or "char"
        items = texts.items if texts.symbols or level != "word" else [normal(str(item)) for item in texts.items]
        vocabulary = Vocabulary.of(items, level, most=config.max_words, at_least=config.min_count)
        if not any(map(len, texts.items)):
            raise InputError("every text is empty, there is nothing to learn")
        return cls(vocabulary, config.longest, texts.symbols)

    @property
    def channels(self) -> int:
        """A step is one number, the symbol's."""
        return 1

    def check(self, sequences: Any) -> None:
        """Raises ``InputError`` where there are numbers, or texts in the place of lists of symbols."""
        if not isinstance(sequences, Texts):
            raise InputError("the model reads symbols, the sequences are numbers")
        if sequences.symbols != self.lists:
            kinds = ("texts", "lists of symbols")
            raise InputError(f"the model reads {kinds[self.lists]}, the sequences are {kinds[not self.lists]}")

    def cut(self, item: Item, *, whole: bool = False) -> Sequence[str]:
        """The symbols of ``item``: those that are read, or the ``whole``."""
        symbols: Sequence[str] = item
        if isinstance(item, str):
            symbols = self.vocabulary.cut(normal(item) if self.vocabulary.level == "word" else item)
        if whole or len(symbols) <= self.longest:
            return symbols
        end = self.longest // 2
        return [*symbols[: self.longest - end], *symbols[len(symbols) - end :]]

    def encoded(self, sequences: Texts, segment: int = 1) -> Sequences:
        """The symbols of ``sequences`` as numbers, those that aren't known as one; an empty text is such a one."""
        rows = [self.vocabulary.numbers(self.cut(item) or ("",)) for item in sequences.items]
        lengths: Rows = np.array([len(row) for row in rows], np.int64)
        return Sequences(np.concatenate(rows)[:, None], lengths)

    @property
    def symbols(self) -> int:
        """Those of the vocabulary."""
        return len(self.vocabulary.symbols)

    def width(self, config: ClassifyConfig) -> int:
        """Of a symbol's vector."""
        return config.embedding or 1

    def blank(self, rows: int) -> NDArray[np.int64]:
        """The unknown symbol: (rows, 1)."""
        return np.full((rows, 1), UNKNOWN)

    def read(self, x: Any, before: NDArray[Any], gaps: str) -> NDArray[np.int64]:
        """The numbers of a symbol of each sequence, as texts: (rows, 1)."""
        level = self.vocabulary.level
        if level == "subword":
            raise InputError("pieces of words need whole texts; --level word or char reads step by step")
        if isinstance(x, str) or len(x) != len(before) or not all(isinstance(each, str) and each for each in x):
            raise InputError(f"expected a symbol of each of {len(before)} sequences, texts, got {x!r:.40}")
        lower = level == "word" and not self.lists
        return self.vocabulary.numbers(plain(each) if lower else each for each in x)[:, None]

    def content(self) -> dict[str, Any]:
        """All of it."""
        return {"spelling": asdict(self)}

    @classmethod
    def built(cls, content: Mapping[str, Any], arrays: dict[str, Any]) -> Spelling:
        """What ``content`` says."""
        said = content["spelling"]
        longest, lists = said["longest"], said["lists"]
        if not isinstance(lists, bool) or not isinstance(longest, int) or longest < 1:
            raise ValueError("expected how much of a text is read")
        return cls(Vocabulary.from_json(said["vocabulary"]), longest, lists)


def normal(text: str) -> str:
    """``text`` as words and signs in lower case, with 0 for every digit, a blank between them."""
    return " ".join(map(plain, WORD.findall(text)))
