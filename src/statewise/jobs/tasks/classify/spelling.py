"""What a network reads of texts: their words, characters or pieces of words, or the symbols that they are lists of, as
numbers, and in front of the layers a vector for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding, pad

from ...data.symbols import WORD, plain
from ...data.vocabulary import END, UNKNOWN, Vocabulary
from ...errors import InputError
from .config import ClassifyConfig
from .encoder import Encoder, Kind
from .sequences import Batches, Rows
from .texts import Item, Texts

WEIGHTS, MOST_BUCKETS = 1 << 20, 1 << 18  # of the n-grams
SPREAD = 0.3  # of the vectors before training
FACTOR = 0x5851F42D4C957F2D  # an odd number of no pattern (Knuth's of MMIX)
UNSEEN = 0.1  # how often a symbol is taken for an unknown one, in training


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

    def cut(self, item: Item) -> Sequence[str]:
        """The symbols of ``item`` that are read."""
        symbols: Sequence[str] = item
        if isinstance(item, str):
            symbols = self.vocabulary.cut(normal(item) if self.vocabulary.level == "word" else item)
        end = self.longest // 2
        return symbols if len(symbols) <= self.longest else [*symbols[: self.longest - end], *symbols[len(symbols) - end :]]

    def batches(self, sequences: Texts, segment: int = 1) -> Batches:
        """The symbols of ``sequences`` as numbers, those that aren't known as one; an empty text is such a one."""
        rows = [self.vocabulary.numbers(self.cut(item) or ("",)) for item in sequences.items]
        lengths: Rows = np.array([len(row) for row in rows], np.int64)
        return Batches(np.concatenate(rows)[:, None], lengths)

    def front(self, config: ClassifyConfig) -> tuple[nn.Module, int]:
        """A table of vectors, one for each symbol."""
        size = config.embedding or 1
        return Embedding(len(self.vocabulary.symbols), size, config), size

    def beside(self, config: ClassifyConfig, outputs: int) -> nn.Module | None:
        """The n-grams of the symbols."""
        return NGrams(config.ngrams, outputs, config.dropout) if config.ngrams else None

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
    def built(cls, content: Mapping[str, Any], tensors: dict[str, Tensor]) -> Spelling:
        """What ``content`` says."""
        said = content["spelling"]
        longest, lists = said["longest"], said["lists"]
        if not isinstance(lists, bool) or not isinstance(longest, int) or longest < 1:
            raise ValueError("expected how much of a text is read")
        return cls(Vocabulary.from_json(said["vocabulary"]), longest, lists)


def normal(text: str) -> str:
    """``text`` as words and signs in lower case, with 0 for every digit, a blank between them."""
    return " ".join(map(plain, WORD.findall(text)))


class Embedding(nn.Embedding):
    """A vector for each of ``symbols`` symbols, with dropout; in training some are taken for the unknown one."""

    def __init__(self, symbols: int, size: int, config: ClassifyConfig) -> None:
        super().__init__(symbols, size)
        nn.init.normal_(self.weight, 0, SPREAD)
        self.weight.requires_grad_(not config.vectors_frozen)
        self.dropout = config.dropout

    def forward(self, x: Tensor) -> Tensor:
        """The vectors (T, N, E) of the symbols ``x`` (T, N, 1)."""
        symbols = x[..., 0]
        if self.training:
            symbols = symbols.masked_fill(torch.rand(symbols.shape, device=x.device) < UNSEEN, UNKNOWN)
        return dropout(super().forward(symbols), self.dropout, self.training)


class NGrams(nn.Module):
    """A linear model beside the layers: a weight of each output for each n-gram of up to ``most`` symbols.

    A text begins and ends with a symbol of its own. n-grams are told by a hash, so that some share their weights. The
    sum is divided by the root of their number.
    """

    def __init__(self, most: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.most, self.dropout = most, dropout
        buckets = min(MOST_BUCKETS, 1 << max(1, (WEIGHTS // outputs).bit_length() - 1))
        self.weight = nn.Parameter(torch.zeros(buckets, outputs))

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """What the symbols x (T, N, 1), of which the first ``lengths`` (N,) count, add to the outputs: (N, outputs)."""
        steps, rows = x.shape[:2]
        last = x.new_full((rows,), steps) if lengths is None else lengths.to(x)  # (N,)
        time = torch.arange(steps + 2, device=x.device)[:, None]
        symbols = pad(x[..., 0], (0, 0, 1, 1), value=END).masked_fill(time > last, END)  # (T+2, N)
        keys, found, there = torch.zeros_like(symbols), [], []
        for n in range(1, min(self.most, steps + 2) + 1):
            keys = keys[: steps + 3 - n] * FACTOR + symbols[n - 1 :] + n  # of the n-grams that begin at each step
            found.append(keys)
            there.append(time[n - 1 :] <= last + 1)
        counted = torch.cat(there).to(self.weight)  # (G, N)
        scale = counted.sum(0).rsqrt()
        counted = dropout(counted, self.dropout, self.training) * scale
        return torch.einsum("gn,gno->no", counted, self._weights(torch.cat(found)))

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The same after one more symbol x (N, 1) of each text, and the state: the last symbols, sum and number."""
        begin = x.new_full((1, len(x)), END)
        if state is None:
            state = begin, *self._ending(begin)
        tail, total, count = state
        tail = torch.cat((tail, x.T))[-self.most :]
        now, more = self._ending(tail)
        state = tail, total + now, count + more
        now, more = self._ending(torch.cat((tail, begin))[-self.most :])
        return (state[1] + now) * (state[2] + more) ** -0.5, state

    def _ending(self, symbols: Tensor) -> tuple[Tensor, int]:
        """The sum of the weights of all n-grams that end with the last of ``symbols`` (S, N), and how many they are."""
        found = []
        for n in range(1, len(symbols) + 1):
            keys = torch.zeros_like(symbols[0])
            for place, symbol in enumerate(symbols[-n:], 1):
                keys = keys * FACTOR + symbol + place
            found.append(keys)
        return self._weights(torch.stack(found)).sum(0), len(found)

    def _weights(self, keys: Tensor) -> Tensor:
        """Those of n-grams told by ``keys`` (...): (..., outputs)."""
        return embedding(keys * FACTOR >> 32 & (len(self.weight) - 1), self.weight)
