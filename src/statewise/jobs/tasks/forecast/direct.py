"""The direct model: one recurrent net reads the past row by row, another writes the whole horizon from its state.

No forecast is fed back: what the second net reads at a step is the step's number and the covariates known of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .segment import CELLS

STEP = 16  # numbers that tell a step of the horizon from the others


class DirectNetwork(nn.Module):
    """From a window's past to ``size`` numbers for each of ``horizon`` steps. Untrained it gives zero everywhere.

    ``features`` are those of a past row, ``known`` those of a future one; ``channels`` series have an embedding each.
    """

    def __init__(
        self,
        cell: str,
        *,
        features: int,
        known: int,
        channels: int,
        horizon: int,
        units: int,
        layers: int,
        dropout: float,
        size: int,
    ) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.reader = CELLS[cell](features, units, layers, dropout=between)
        self.writer = CELLS[cell](known + 2 * STEP if channels else known + STEP, units, layers, dropout=between)
        self.position = nn.Parameter(torch.randn(horizon, STEP))
        self.channel = nn.Parameter(torch.randn(channels, STEP) * 0.1) if channels else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(units, size)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, past: Tensor, ahead: Tensor, channel: Tensor) -> Tensor:
        """From ``past`` (N, L, features), ``ahead`` (N, H, known) and ``channel`` (N,) to (N, H, size)."""
        rows, horizon = len(channel), len(self.position)
        _, state = self.reader(past.transpose(0, 1))
        told = [ahead, self.position.expand(rows, horizon, -1)]
        if self.channel is not None:
            told.append(self.channel[channel][:, None].expand(rows, horizon, -1))
        output, _ = self.writer(torch.cat(told, dim=-1).transpose(0, 1), state)  # (H, N, units)
        result: Tensor = self.head(self.dropout(output)).transpose(0, 1)
        return result
