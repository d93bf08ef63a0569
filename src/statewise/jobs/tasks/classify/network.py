"""The network: recurrent layers over a sequence, a head that makes one vector of its steps, a linear output."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ....layers import GRU, LSTM, RNN
from ...data.vocabulary import UNKNOWN
from .batches import Batches
from .config import ClassifyConfig
from .encoder import Encoder
from .sequences import Sequences

CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
STEPS_AT_ONCE = 1 << 17  # in a batch of prediction
SPREAD = 0.3  # of symbols' vectors before training
UNSEEN = 0.1  # how often a symbol is taken for an unknown one, in training


class Network(nn.Module):
    """Gives ``outputs`` numbers, such as logits; ``front`` makes of a batch what the layers read, ``size`` wide."""

    def __init__(self, front: nn.Module | None, size: int, outputs: int, config: ClassifyConfig) -> None:
        super().__init__()
        self.front = front
        units, dropout = config.units or 1, config.dropout or 0.0
        self.recurrent = CELLS[config.cell](
            size,
            units,
            config.layers,
            bidirectional=config.bidirectional,
            dropout=dropout if config.layers > 1 else 0.0,
        )
        width = units * (2 if config.bidirectional else 1)
        self.head = config.head
        if config.head == "attention":
            self.attention = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs (N, W) of x (T, N, K), segments as steps, of which the first ``lengths`` (N,) count.

        All count where ``lengths`` is None.
        """
        steps, last = self._read(x, lengths)
        summary: Tensor = last if self.head == "last" else self._pool(steps, lengths)
        outputs: Tensor = self.output(self.dropout(summary))
        return outputs

    def _read(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """The last layer's outputs (T, N, D*H), zero past a sequence's end, and its final states (N, D*H)."""
        x = x if self.front is None else self.front(x)  # (T, N, I)
        if lengths is not None and self.packs(x):
            packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
            outputs, states = self.recurrent(packed)
            steps, _ = pad_packed_sequence(outputs, total_length=len(x))
        else:
            steps, states = self.recurrent(x) if lengths is None else self.recurrent(x, lengths=lengths)
        final = states[0] if isinstance(states, tuple) else states  # (L*D, N, H)
        directions = 2 if self.recurrent.bidirectional else 1
        return steps, torch.cat(tuple(final[-directions:]), dim=-1)

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Outputs (N, W) after one more step, or segment, x (N, K) of sequences read in one direction; the state.

        ``state`` is what the step before gave, None at first.
        """
        hidden, pooled = (None, None) if state is None else state
        steps, hidden = self.recurrent(x[None] if self.front is None else self.front(x[None]), hidden)
        summary = now = steps[0]  # (N, H)
        if self.head == "max":
            summary = pooled = now if pooled is None else torch.maximum(pooled, now)
        elif self.head != "last":
            # The mean, its weights as far as they are known: all scaled so that the largest is 1.
            score = self.attention(now) if self.head == "attention" else now.new_zeros(len(now), 1)
            total, weight, largest = (0 * now, 0 * score, score) if pooled is None else pooled
            highest = torch.maximum(largest, score)
            kept, own = (largest - highest).exp(), (score - highest).exp()
            pooled = total * kept + own * now, weight * kept + own, highest
            summary = pooled[0] / pooled[1]
        return self.output(summary), (hidden, pooled)

    def packs(self, x: Tensor) -> bool:
        """Whether sequences go into the layers as a PackedSequence, since cuDNN knows no ``lengths=``."""
        return x.is_cuda

    def _pool(self, steps: Tensor, lengths: Tensor | None) -> Tensor:
        """One vector for each sequence, of its own steps alone: (N, D*H)."""
        if self.head == "mean":
            return steps.mean(0) if lengths is None else steps.sum(0) / lengths.to(steps)[:, None]  # zeros past the end
        if self.head == "max":
            return _without(steps, lengths).amax(0)
        weights = _without(self.attention(steps), lengths).softmax(0)  # (T, N, 1)
        return (weights * steps).sum(0)


def _without(steps: Tensor, lengths: Tensor | None) -> Tensor:
    """``steps`` (T, N, F) with minus infinity past the end of a sequence."""
    if lengths is None:
        return steps
    past = torch.arange(steps.shape[0], device=steps.device)[:, None] >= lengths.to(steps.device)  # (T, N)
    return steps.masked_fill(past[:, :, None], -torch.inf)


def made(encoder: Encoder, outputs: int, config: ClassifyConfig) -> Network:
    """The network that reads what ``encoder`` gives, its weights drawn at random."""
    size = encoder.width(config)
    front = Embedding(encoder.symbols, size, config) if encoder.symbols else None
    return Network(front, size, outputs, config)


@torch.no_grad()
def outputs_of(network: nn.Module, sequences: Sequences | Batches) -> Tensor:
    """What ``network`` says of all sequences: (n, W), float64 on the CPU.

    Sequences of like length go together, so that a long one takes its memory once.
    """
    batches = sequences if isinstance(sequences, Batches) else Batches(sequences)
    order = rest = batches.lengths.argsort(stable=True)
    found: list[Tensor] = []
    while len(rest):
        # In rising order the longest of a batch is its last: take as many as fit.
        fits = batches.lengths[rest] * torch.arange(1, len(rest) + 1) <= STEPS_AT_ONCE
        rows, rest = rest.tensor_split([max(1, int(fits.sum()))])
        found.append(network(*batches.take(rows)).double().cpu())
    return torch.cat(found)[order.argsort()]


class Embedding(nn.Embedding):
    """A vector for each of ``symbols`` symbols, with dropout; in training some are taken for the unknown one."""

    def __init__(self, symbols: int, size: int, config: ClassifyConfig) -> None:
        super().__init__(symbols, size)
        nn.init.normal_(self.weight, 0, SPREAD)
        self.weight.requires_grad_(not config.vectors_frozen)
        self.dropout = config.dropout or 0.0

    def forward(self, x: Tensor) -> Tensor:
        """The vectors (T, N, E) of the symbols ``x`` (T, N, 1)."""
        symbols = x[..., 0]
        if self.training:
            symbols = symbols.masked_fill(torch.rand(symbols.shape, device=x.device) < UNSEEN, UNKNOWN)
        return dropout(super().forward(symbols), self.dropout, self.training)
