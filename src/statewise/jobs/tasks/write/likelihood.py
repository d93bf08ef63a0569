"""How likely a network finds each symbol of a text, given those before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .network import counting
from .text import END, Corpus, Ids, Vocabulary

STRETCH, RUN_UP = 2048, 256
SIDE_BY_SIDE = 64
STEPS_AT_ONCE = 256
LOGITS_AT_ONCE = 1 << 23

Nats = NDArray[np.float64]
Judged = Iterator[tuple[Ids, Tensor, Tensor]]
"""Places in a corpus, the logits there (S, symbols), and what stands there."""


@dataclass(frozen=True)
class Score:
    """How well something predicts a text: ``nats`` are minus the logarithms of its symbols' likelihoods, summed."""

    name: str
    nats: float
    symbols: int
    characters: int
    words: int

    @property
    def loss(self) -> float:
        """Nats per symbol."""
        return self.nats / self.symbols

    @property
    def perplexity(self) -> float:
        """Among how many equally likely symbols it would be as hard to choose."""
        return math.exp(min(self.loss, 700))

    @property
    def perplexity_per_word(self) -> float:
        """The perplexity as it would be of words, the ends of lines among them: whatever is a symbol, it compares."""
        return math.exp(min(self.nats / self.words, 700))

    @property
    def bits(self) -> float:
        """Bits per character of the text."""
        return self.nats / math.log(2) / self.characters


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Of each symbol of a corpus minus the logarithm of its likelihood, and whether it was the likeliest: (S,) each.

    The first symbol of a running text is not predicted: it has 0 nats.
    """

    corpus: Corpus
    nats: Nats
    right: NDArray[np.bool_]

    def score(self, name: str) -> Score:
        """The whole in a few numbers."""
        return Score(name, float(self.nats.sum()), self.corpus.terms, self.corpus.characters, self.corpus.words)

    @property
    def accuracy(self) -> float:
        """The share of symbols that were the likeliest."""
        return float(self.right.sum()) / self.corpus.terms

    def by_line(self, vocabulary: Vocabulary) -> pl.DataFrame:
        """A row for each line of the text: its number, it, how many symbols of it were predicted, and how well."""
        corpus, numbers = self.corpus, line_numbers(self.corpus, vocabulary.end)
        counted = np.ones(len(corpus.ids))
        counted[: len(corpus.ids) - corpus.terms] = 0  # the first symbol of a running text
        nats, symbols = np.bincount(numbers, self.nats), np.bincount(numbers, counted)
        pieces = np.split(corpus.ids, np.flatnonzero(np.diff(numbers)) + 1)
        columns = {
            "line": np.arange(1, len(pieces) + 1),
            "text": [vocabulary.decode(piece.tolist()).removesuffix(END) for piece in pieces],
            "symbols": symbols.astype(np.int64),
            "nats_per_symbol": nats / np.maximum(symbols, 1),
        }
        return pl.DataFrame(columns).filter(pl.col("symbols") > 0)


class LineDataset:
    """Lines on a device, to be drawn as batches. A line begins after an end, and its own end is to be predicted."""

    def __init__(self, corpus: Corpus) -> None:
        assert corpus.lengths is not None
        self.ids = torch.from_numpy(corpus.ids)  # (S,)
        self.before = self.ids.roll(1)  # before a line stands the end of another, before the first that of the last
        self.lengths = torch.from_numpy(corpus.lengths)  # (n,), on the CPU always
        self.starts = torch.from_numpy(corpus.starts)  # (n,)

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device) -> None:
        """Move the text to ``device``."""
        self.ids, self.before = self.ids.to(device), self.before.to(device)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the lines ``rows`` (N,): inputs (T, N), their lengths (N,), and the targets that count (S,), with places.

        T is the longest of these; past its end a line repeats its last symbol. The places, (S,), are those in ``ids``.
        """
        lengths, starts = self.lengths[rows], self.starts[rows]
        time = torch.arange(int(lengths.max()))[:, None]  # (T, 1)
        places = torch.minimum(time, lengths - 1) + starts  # (T, N)
        counted = places[counting(len(time), lengths)]  # (S,)
        return self.before[places.to(self.ids.device)], lengths, self.ids[counted.to(self.ids.device)], counted


@torch.no_grad()
def likelihood(network: nn.Module, corpus: Corpus) -> Likelihood:
    """What ``network``, in evaluation mode, says of ``corpus``. Lines are read from their beginning.

    A running text is read once, up to ``STRETCH`` + ``RUN_UP`` symbols. Of a longer one stretches are read side by
    side, each after a run-up of the ``RUN_UP`` symbols before it that aren't counted again.
    """
    nats, right = np.zeros(len(corpus.ids)), np.zeros(len(corpus.ids), bool)
    bias = network.state_dict()["output.bias"]
    for places, logits, targets in (_of_text if corpus.lengths is None else _of_lines)(network, corpus, bias):
        found = cross_entropy(logits.float(), targets, reduction="none")
        nats[places] = found.double().cpu().numpy()
        right[places] = (logits.argmax(-1) == targets).cpu().numpy()
    return Likelihood(corpus, nats, right)


def _of_text(network: nn.Module, corpus: Corpus, bias: Tensor) -> Judged:
    """Stretches of a running text, side by side."""
    ids, device = torch.from_numpy(corpus.ids), bias.device
    terms = len(ids) - 1
    stretches = max(1, -(-(terms - RUN_UP) // STRETCH))
    for first in range(0, stretches, SIDE_BY_SIDE):
        begin = torch.arange(first, min(first + SIDE_BY_SIDE, stretches)) * STRETCH  # (N,)
        longest = min(STRETCH + RUN_UP, terms - int(begin[0]))
        at_once = max(1, min(STEPS_AT_ONCE, LOGITS_AT_ONCE // (len(begin) * len(bias))))
        state = None
        for time in torch.split(torch.arange(longest), at_once):
            places = begin + time[:, None]  # (T, N), of the inputs
            logits, state = network(ids[places.clamp(max=terms - 1)].to(device), state)
            counts = (places < terms) & ((time[:, None] >= RUN_UP) | (begin == 0))
            targets = places[counts] + 1
            yield targets.numpy(), logits[counts.flatten().to(device)], ids[targets].to(device)


def _of_lines(network: nn.Module, corpus: Corpus, bias: Tensor) -> Judged:
    """Lines, those of like length together."""
    lines = LineDataset(corpus)
    lines.to(bias.device)
    order = lines.lengths.argsort(stable=True)
    while len(order):
        # In rising order the longest of a batch is its last: take as many as fit.
        fits = lines.lengths[order] * torch.arange(1, len(order) + 1) * len(bias) <= LOGITS_AT_ONCE
        rows, order = order.tensor_split([max(1, int(fits.sum()))])
        inputs, lengths, targets, places = lines.take(rows)
        yield places.numpy(), network(inputs, None, lengths)[0], targets


def line_numbers(corpus: Corpus, end: int | None) -> Ids:
    """The line, counted from 0, that each symbol belongs to, a line's end to the line: (S,)."""
    ends = corpus.ids == end if end is not None else np.zeros(len(corpus.ids), bool)
    numbers: Ids = np.cumsum(ends) - ends
    return numbers
