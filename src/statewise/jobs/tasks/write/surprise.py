"""How likely a network finds each symbol of a text, given those before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .items import Lines
from .vocabulary import Corpus, Ids

STRETCH, RUN_UP = 2048, 256
SIDE_BY_SIDE = 64
STEPS_AT_ONCE = 256
LOGITS_AT_ONCE = 1 << 23

Nats = NDArray[np.float64]
Judged = Iterator[tuple[Ids, Nats, NDArray[np.bool_]]]
"""Places in a corpus, what each surprised by, and whether it was the likeliest."""


@dataclass(frozen=True)
class Score:
    """How well something predicts a text: ``nats`` are minus the logarithms of its symbols' likelihoods, summed."""

    name: str
    nats: float
    symbols: int
    characters: int

    @property
    def loss(self) -> float:
        """Nats per symbol."""
        return self.nats / self.symbols

    @property
    def perplexity(self) -> float:
        """Among how many equally likely symbols it would be as hard to choose."""
        return math.exp(min(self.loss, 700))

    @property
    def bits(self) -> float:
        """Bits per character of the text."""
        return self.nats / math.log(2) / self.characters


@dataclass(frozen=True, eq=False)
class Surprise:
    """Of each symbol of a corpus how much it surprised, in nats, and whether it was the likeliest: (S,) each.

    The first symbol of a running text is not predicted: it has 0 nats.
    """

    corpus: Corpus
    nats: Nats
    right: NDArray[np.bool_]

    def score(self, name: str) -> Score:
        """The whole in a few numbers."""
        return Score(name, float(self.nats.sum()), self.corpus.terms, self.corpus.characters)

    @property
    def accuracy(self) -> float:
        """The share of symbols that were the likeliest."""
        return float(self.right.sum()) / self.corpus.terms


@torch.no_grad()
def surprise(network: nn.Module, corpus: Corpus) -> Surprise:
    """What ``network``, in evaluation mode, says of ``corpus``. Lines are read from their beginning.

    A running text is read once, up to ``STRETCH`` + ``RUN_UP`` symbols. Of a longer one stretches are read side by
    side, each after a run-up of the ``RUN_UP`` symbols before it that aren't counted again.
    """
    nats, right = np.zeros(len(corpus.ids)), np.zeros(len(corpus.ids), bool)
    device = next(iter(network.state_dict().values())).device
    symbols = network.state_dict()["output.bias"].numel()
    for places, found, hits in (_of_text if corpus.lengths is None else _of_lines)(network, corpus, device, symbols):
        nats[places], right[places] = found, hits
    return Surprise(corpus, nats, right)


def _of_text(network: nn.Module, corpus: Corpus, device: torch.device, symbols: int) -> Judged:
    """Stretches of a running text, side by side."""
    ids = torch.from_numpy(corpus.ids)
    terms = len(ids) - 1
    stretches = max(1, -(-(terms - RUN_UP) // STRETCH))
    for first in range(0, stretches, SIDE_BY_SIDE):
        begin = torch.arange(first, min(first + SIDE_BY_SIDE, stretches)) * STRETCH  # (N,)
        longest = min(STRETCH + RUN_UP, terms - int(begin[0]))
        at_once = max(1, min(STEPS_AT_ONCE, LOGITS_AT_ONCE // (len(begin) * symbols)))
        state = None
        for time in torch.split(torch.arange(longest), at_once):
            places = begin + time[:, None]  # (T, N), of the inputs
            logits, state = network(ids[places.clamp(max=terms - 1)].to(device), state)
            counts = (places < terms) & ((time[:, None] >= RUN_UP) | (begin == 0))
            targets = places[counts] + 1
            yield targets.numpy(), *_judged(logits[counts.flatten().to(device)], ids[targets].to(device))


def _of_lines(network: nn.Module, corpus: Corpus, device: torch.device, symbols: int) -> Judged:
    """Lines, those of like length together."""
    lines = Lines(corpus)
    lines.to(device)
    order = lines.lengths.argsort(stable=True)
    begin = 0
    while begin < len(order):
        # In rising order the longest of a batch is its last: take as many as fit.
        longest = lines.lengths[order[begin:]]
        fits = int((longest * torch.arange(1, len(longest) + 1) * symbols <= LOGITS_AT_ONCE).sum())
        inputs, lengths, targets, places = lines.take(order[begin : begin + max(1, fits)])
        logits, _ = network(inputs, None, lengths)
        yield places.numpy(), *_judged(logits, targets)
        begin += max(1, fits)


def _judged(logits: Tensor, targets: Tensor) -> tuple[Nats, NDArray[np.bool_]]:
    """The nats of ``targets`` (S,), and whether they were the likeliest."""
    nats = cross_entropy(logits.float(), targets, reduction="none")
    return nats.double().cpu().numpy(), (logits.argmax(-1) == targets).cpu().numpy()


def line_numbers(corpus: Corpus, end: int | None) -> Ids:
    """The line, counted from 0, that each symbol belongs to, a line's end to the line: (S,)."""
    ends = corpus.ids == end if end is not None else np.zeros(len(corpus.ids), bool)
    numbers: Ids = np.cumsum(ends) - ends
    return numbers
