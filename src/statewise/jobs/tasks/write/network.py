"""The network: an embedding of symbols, recurrent layers over it, an output that says which symbol comes next."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from .... import layers
from .config import Plan

NAMES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}

State = Sequence[Any]
"""Of each layer what it carries on: a tensor (1, N, H), of an LSTM two of them."""


class Network(nn.Module):
    """Gives the logits of ``symbols`` symbols for the step after each. ``library`` has the layers' classes.

    Where the output has the embedding's weights the last layer is as wide as that.
    """

    def __init__(self, symbols: int, config: Plan, library: Any = layers) -> None:
        super().__init__()
        layer = getattr(library, NAMES[config.cell])
        last = config.embedding if config.tie else config.units
        widths = [config.embedding, *[config.units] * (config.layers - 1), last]
        noise = {"weight_dropout": config.weight_dropout} if config.weight_dropout else {}
        self.dropout, self.embedding_dropout = config.dropout, config.embedding_dropout
        self.embedding = nn.Embedding(symbols, config.embedding)
        # A layer at a time, since what is dropped between them stays the same over the steps.
        self.recurrent = nn.ModuleList([layer(read, put, **noise) for read, put in pairwise(widths)])
        self.output = nn.Linear(last, symbols)
        nn.init.zeros_(self.output.bias)
        if config.tie:
            nn.init.uniform_(self.output.weight, -0.1, 0.1)
            self.embedding.weight = self.output.weight

    def forward(
        self, ids: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, list[Any]]:
        """Logits of what follows ``ids`` (T, N), and the state after them, to go on with.

        They are (T * N, symbols), time after time; with ``lengths`` (N,), on the CPU, those of the steps that count
        alone: (S, symbols).
        """
        x = self._dropped(self._embedded(ids))  # (T, N, E)
        after = []
        skip = lengths if lengths is not None and not ids.is_cuda else None  # cuDNN computes what isn't looked at
        for number, layer in enumerate(self.recurrent):
            before = None if state is None else state[number]
            x, final = layer(x, before) if skip is None else layer(x, before, lengths=skip)
            x = self._dropped(x)  # (T, N, H)
            after.append(final)
        rows = x.flatten(0, 1) if lengths is None else x[counting(len(ids), lengths.to(ids.device))]
        return self.output(rows), after

    def _embedded(self, ids: Tensor) -> Tensor:
        """The vectors of ``ids`` (T, N), in training without those of symbols that are dropped wherever they stand."""
        x: Tensor = self.embedding(ids)
        if not self.training or self.embedding_dropout == 0:
            return x
        kept = dropout(x.new_ones(len(self.embedding.weight)), self.embedding_dropout)
        return x * kept[ids][..., None]

    def _dropped(self, x: Tensor) -> Tensor:
        """``x`` (T, N, F) with units dropped, in training: of a row the same ones in all steps."""
        if not self.training or self.dropout == 0:
            return x
        return x * dropout(x.new_ones(1, *x.shape[1:]), self.dropout)


def counting(steps: int, lengths: Tensor) -> Tensor:
    """Which of ``steps`` steps are in rows of these ``lengths`` (N,): (T, N)."""
    return torch.arange(steps, device=lengths.device)[:, None] < lengths
