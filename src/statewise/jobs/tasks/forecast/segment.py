"""The segment model: the past is read, and the future written, many rows at once, as SegRNN does it.

A recurrent net that reads 720 rows one by one forgets, and one that feeds its forecasts back adds up errors. Here the
lookback is cut into segments, each projected to one vector, so that a GRU takes 15 steps where there were 720; every
segment of the future is then written from the same state, told apart by an embedding of its position alone.

Source: Lin et al., SegRNN: Segment Recurrent Neural Network for Long-Term Time Series Forecasting, 2023 (the parallel
decoding variant). Covariates, known and observed, are an addition.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ....layers import GRU, LSTM, RNN

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


class SegmentNetwork(nn.Module):
    """From a window's past to ``size`` numbers for each of ``horizon`` steps.

    ``features`` are those of a past row, ``known`` those of a future one; ``channels`` series have an embedding each, 0
    for none. Untrained it gives zero everywhere.
    """

    def __init__(
        self,
        cell: str,
        *,
        features: int,
        known: int,
        channels: int,
        horizon: int,
        segment: int,
        units: int,
        layers: int,
        dropout: float,
        size: int,
    ) -> None:
        super().__init__()
        self.horizon, self.segment, self.size = horizon, segment, size
        pieces = -(-horizon // segment)
        own = units // 2 if channels else 0
        self.project = nn.Linear(segment * features, units)
        self.recurrent = CELLS[cell](units, units, layers, dropout=dropout if layers > 1 else 0.0)
        self.position = nn.Parameter(torch.randn(pieces, units - own) * 0.1)
        self.channel = nn.Parameter(torch.randn(channels, own) * 0.1) if channels else None
        self.ahead = nn.Linear(segment * known, units, bias=False) if known else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(units, segment * size)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, past: Tensor, ahead: Tensor, channel: Tensor) -> Tensor:
        """From ``past`` (N, L, features), ``ahead`` (N, horizon, known) and ``channel`` (N,) to (N, horizon, size)."""
        rows = past.shape[0]
        pieces = past.reshape(rows, -1, self.segment * past.shape[2]).transpose(0, 1)  # (L / segment, N, ...)
        _, state = self.recurrent(torch.relu(self.project(pieces)))
        questions = self._questions(ahead, channel)  # (N, M, units)
        count = questions.shape[1]
        output, _ = self.recurrent(questions.reshape(1, rows * count, -1), _repeated(state, count))
        written = self.head(self.dropout(output[0]))  # (N * M, segment * size)
        steps: Tensor = written.reshape(rows, count * self.segment, self.size)
        return steps[:, : self.horizon]

    def _questions(self, ahead: Tensor, channel: Tensor) -> Tensor:
        """What tells the segments of the future apart, (N, M, units): where, whose, and what is known of them."""
        rows, count = len(channel), len(self.position)
        questions = self.position.expand(rows, count, -1)
        if self.channel is not None:
            own = self.channel[channel][:, None].expand(rows, count, -1)
            questions = torch.cat([questions, own], dim=-1)
        if self.ahead is not None:
            short = count * self.segment - self.horizon
            padded = nn.functional.pad(ahead, (0, 0, 0, short))
            questions = questions + self.ahead(padded.reshape(rows, count, -1))
        return questions


def _repeated(state: Tensor | tuple[Tensor, Tensor], count: int) -> Tensor | tuple[Tensor, Tensor]:
    """The state (layers, N, units), or a pair of them, once for each of M segments: (layers, N * M, units)."""
    if isinstance(state, tuple):
        return state[0].repeat_interleave(count, dim=1), state[1].repeat_interleave(count, dim=1)
    return state.repeat_interleave(count, dim=1)
