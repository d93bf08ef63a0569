"""The networks, as torch trains them; what runs them afterwards, without torch, is running.py.

``StepNetwork`` says one row and reads it back. ``Seq2Seq`` and ``SegRNN`` write the whole horizon: quantiles, or the
parameters of a distribution (distributions.py). All of them are untrained a zero, so that they give the naive forecast
that they correct.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ....layers import GRU, LSTM, RNN
from .config import Plan
from .running import STEP

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def recurrent(plan: Plan, features: int) -> nn.Module:
    """The recurrent layers of ``plan``, on ``features`` inputs."""
    between = plan.dropout if plan.layers > 1 else 0.0
    layers: nn.Module = CELLS[plan.cell](features, plan.units, plan.layers, dropout=between)
    return layers


def silent(head: nn.Linear) -> nn.Linear:
    """``head`` with weights of 0."""
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


class StepNetwork(nn.Module):
    """Reads rows one by one and gives, for each, the correction to the naive forecast."""

    def __init__(self, plan: Plan, features: int) -> None:
        super().__init__()
        self.recurrent = recurrent(plan, features)
        self.head = silent(nn.Linear(plan.units, 1))

    def forward(self, x: Tensor) -> Tensor:
        """From (T, N, features) to (T, N)."""
        output, _ = self.recurrent(x)  # (T, N, units)
        result: Tensor = self.head(output).squeeze(-1)
        return result


class Seq2Seq(nn.Module):
    """One recurrent net reads the past row by row, another writes the whole horizon from its state.

    No forecast is fed back: what the second net reads at a step is the step's number and the covariates known of it.
    ``features`` are those of a past row, ``known`` those of a future one; ``channels`` series have an embedding each, 0
    for none; ``size`` numbers are written for each step.
    """

    def __init__(self, plan: Plan, features: int, known: int, channels: int, size: int) -> None:
        super().__init__()
        self.reader = recurrent(plan, features)
        self.writer = recurrent(plan, known + 2 * STEP if channels else known + STEP)
        self.position = nn.Parameter(torch.randn(plan.horizon, STEP))
        self.channel = nn.Parameter(torch.randn(channels, STEP) * 0.1) if channels else None
        self.dropout = nn.Dropout(plan.dropout)
        self.head = silent(nn.Linear(plan.units, size))
        self.offsets = nn.Parameter(torch.zeros(plan.horizon, size))

    def forward(self, past: Tensor, future: Tensor, channel: Tensor) -> Tensor:
        """From ``past`` (N, L, features), ``future`` (N, H, known) and ``channel`` (N,) to (N, H, size)."""
        rows, horizon = len(channel), len(self.position)
        _, state = self.reader(past.transpose(0, 1))
        told = [future, self.position.expand(rows, horizon, -1)]
        if self.channel is not None:
            told.append(self.channel[channel][:, None].expand(rows, horizon, -1))
        output, _ = self.writer(torch.cat(told, dim=-1).transpose(0, 1), state)  # (H, N, units)
        result: Tensor = self.head(self.dropout(output)).transpose(0, 1) + self.offsets
        return result


class SegRNN(nn.Module):
    """The past is read, and the future written, many rows at once. Sizes are those of ``Seq2Seq``.

    A recurrent net that reads 720 rows one by one forgets, and one that feeds its forecasts back adds up errors. Here
    the lookback is cut into segments, each projected to one vector, so that a GRU takes 15 steps where there were 720;
    every segment of the future is then written from the same state, told apart by an embedding of its position alone.

    Source: Lin et al., SegRNN: Segment Recurrent Neural Network for Long-Term Time Series Forecasting, 2023 (the
    parallel decoding variant). Covariates, known and observed, are an addition.
    """

    def __init__(self, plan: Plan, features: int, known: int, channels: int, size: int) -> None:
        super().__init__()
        self.horizon, self.segment, self.size = plan.horizon, plan.segment, size
        pieces, units = -(-plan.horizon // plan.segment), plan.units
        own = units // 2 if channels else 0
        self.project = nn.Linear(plan.segment * features, units)
        self.recurrent = recurrent(plan, units)
        self.position = nn.Parameter(torch.randn(pieces, units - own) * 0.1)
        self.channel = nn.Parameter(torch.randn(channels, own) * 0.1) if channels else None
        self.ahead = nn.Linear(plan.segment * known, units, bias=False) if known else None
        self.dropout = nn.Dropout(plan.dropout)
        self.head = silent(nn.Linear(units, plan.segment * size))
        self.offsets = nn.Parameter(torch.zeros(plan.horizon, size))

    def forward(self, past: Tensor, future: Tensor, channel: Tensor) -> Tensor:
        """From ``past`` (N, L, features), ``future`` (N, H, known) and ``channel`` (N,) to (N, H, size)."""
        rows = past.shape[0]
        pieces = past.reshape(rows, -1, self.segment * past.shape[2]).transpose(0, 1)  # (L / segment, N, ...)
        _, state = self.recurrent(torch.relu(self.project(pieces)))
        questions = self._questions(future, channel)  # (N, M, units)
        count = questions.shape[1]
        output, _ = self.recurrent(questions.reshape(1, rows * count, -1), _repeated(state, count))
        written = self.head(self.dropout(output[0]))  # (N * M, segment * size)
        steps: Tensor = written.reshape(rows, count * self.segment, self.size)
        return steps[:, : self.horizon] + self.offsets

    def _questions(self, future: Tensor, channel: Tensor) -> Tensor:
        """What tells the segments of the future apart, (N, M, units): where, whose, and what is known of them."""
        rows, count = len(channel), len(self.position)
        questions = self.position.expand(rows, count, -1)
        if self.channel is not None:
            own = self.channel[channel][:, None].expand(rows, count, -1)
            questions = torch.cat([questions, own], dim=-1)
        if self.ahead is not None:
            short = count * self.segment - self.horizon
            padded = nn.functional.pad(future, (0, 0, 0, short))
            questions = questions + self.ahead(padded.reshape(rows, count, -1))
        return questions


def _repeated(state: Tensor | tuple[Tensor, Tensor], count: int) -> Tensor | tuple[Tensor, Tensor]:
    """The state (layers, N, units), or a pair of them, once for each of M segments: (layers, N * M, units)."""
    if isinstance(state, tuple):
        return state[0].repeat_interleave(count, dim=1), state[1].repeat_interleave(count, dim=1)
    return state.repeat_interleave(count, dim=1)


@contextmanager
def one_thread() -> Iterator[None]:
    """What is this small loses more by handing work over than a second thread gains."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def move(owner: object, device: torch.device) -> None:
    """Move every tensor that ``owner`` has to ``device``."""
    for name, value in vars(owner).items():
        if isinstance(value, Tensor):
            setattr(owner, name, value.to(device))
