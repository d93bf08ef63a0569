"""The stepwise models: a recurrent net forecasts one row, reads its own forecast, and goes on, over any horizon.

It isn't asked for the series itself: its target is what the best naive forecast misses (``differences.py``), scaled to
1, so an untrained one gives that naive forecast. Three things keep it from learning the noise of a short series: few
updates, noise on the inputs, and turning every other window upside down, since a differenced series may as well go
down as up (not where the calendar or covariates are told: they don't turn along). Long series train until the
validation part says stop, without the mirror.

The defaults come from the first 101 months of the airline series alone; docs/jobs.md tells how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....layers import GRU, LSTM, RNN
from ...config import from_json
from ...errors import InputError
from ...training.task import Task
from .bank import Array, Bank, Rows
from .config import Plan
from .differences import Differences

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
CALENDAR_AMPLITUDE = 0.3
FAR = 8.0  # scales that an outlier counts at most
RIDGE = 8.0  # noise of variance RIDGE / rows on the inputs acts on a linear reader as this ridge penalty
CHUNK = 1024  # origins that are forecast at once


class StepNetwork(nn.Module):
    """Reads rows one by one and gives, for each, the correction to the naive forecast. Untrained it gives zero."""

    def __init__(self, cell: str, features: int, units: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.recurrent = CELLS[cell](features, units, layers, dropout=dropout if layers > 1 else 0.0)
        self.head = nn.Linear(units, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """From (T, N, features) to (T, N)."""
        output, _ = self.recurrent(x)  # (T, N, hidden)
        result: Tensor = self.head(output).squeeze(-1)
        return result

    def begin(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Any]:
        """The correction after the last of ``lengths`` (N,) rows of ``x`` (T, N, features), (N,), and the state."""
        output, state = self.recurrent(x, lengths=lengths)
        last = output[lengths - 1, torch.arange(len(lengths))]  # (N, hidden)
        return self.head(last).squeeze(-1), state

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The correction after one more row (N, features), (N,), and the state."""
        output, state = self.recurrent(x[None], state)
        return self.head(output[0]).squeeze(-1), state


class Steps:
    """The rows of a bank as a stepwise network reads them, and what it is to say.

    Row t of ``inputs`` holds nothing of row t or later but the calendar and the covariates known ahead.
    """

    def __init__(
        self, bank: Bank, differences: Differences, lags: Sequence[int], flags: bool, cycles: Sequence[int]
    ) -> None:
        total = len(bank.levels)
        self.missed, self.filled = np.zeros(total), np.zeros(total)  # (R,) each
        self.seen = np.zeros(total)  # 1 where the target is known
        self.first = bank.begin + differences.start  # (S,), the first row with a naive forecast
        self.gaps = False  # whether a value is missing inside a series
        for begin, end, first in zip(bank.begin, bank.end, self.first, strict=True):
            self.gaps |= bool(np.isnan(bank.levels[begin:end]).any())
            missed, self.filled[begin:end] = differences.missed(bank.levels[begin:end])
            self.missed[first:end] = missed[first - begin :]
            self.seen[first:end] = bank.real[first:end]
        told = differences.told(cycles)
        self.constant = np.concatenate([CALENDAR_AMPLITUDE * bank.calendar[:, told], bank.known], axis=1)  # (R, K)
        self.lags, self.flags, self.differences = tuple(lags), flags, differences
        known = np.clip(self.missed, -FAR, FAR)
        columns = [np.concatenate([np.zeros(lag), known[:-lag]]) for lag in lags]
        if flags:
            columns.append(np.concatenate([[0.0], self.seen[:-1]]))
        self.inputs = np.concatenate([np.stack(columns, axis=1), self.constant], axis=1)  # (R, F)

    @property
    def signs(self) -> Array:
        """-1 for the inputs that change sign when the series is turned upside down, else 1: (F,)."""
        return np.array([-1.0] * len(self.lags) + [1.0] * (self.inputs.shape[1] - len(self.lags)))


class StepTask(Task):
    """Stretches of the training parts, drawn at random, a loss at every row.

    ``end`` (S,) is where each training part ends. ``judge`` says how good the network is, {}: nothing does.
    """

    def __init__(
        self,
        model: StepNetwork,
        steps: Steps,
        end: Rows,
        *,
        width: int,
        windows: int,
        mirror: bool,
        judge: Any = dict,
    ) -> None:
        self.model, self.rows, self.mirror, self.judge = model, windows, mirror, judge
        self.x, self.y, self.seen, self.signs = (
            torch.from_numpy(a.astype(np.float32)) for a in (steps.inputs, steps.missed, steps.seen, steps.signs)
        )
        self.first, self.end = torch.from_numpy(steps.first), torch.from_numpy(end)
        lengths = (self.end - self.first).clamp(min=0)
        self.width = min(width, int(lengths.max()))
        self.choices = torch.where(lengths > 0, (lengths - self.width).clamp(min=0) + 1, 0).cumsum(0)  # (S,)
        self.data = [self.x, self.y, self.seen, self.end, self.width, mirror]
        self.noise = (RIDGE / max(1, int(lengths.sum()))) ** 0.5

    def to(self, device: torch.device) -> None:
        super().to(device)
        for name in ("x", "y", "seen", "signs", "first", "end", "choices"):
            setattr(self, name, getattr(self, name).to(device))

    def order(self, epoch: int, random: torch.Generator) -> Tensor:
        """Which stretch each of ``windows`` is: any of them, drawn with replacement."""
        return torch.randint(int(self.choices[-1]), (self.rows,), generator=random)

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        rows = rows.to(self.x.device)
        series = torch.searchsorted(self.choices, rows, right=True)  # (N,)
        before = torch.where(series > 0, self.choices[series - 1], 0)
        at = self.first[series] + rows - before + torch.arange(self.width, device=rows.device)[:, None]  # (T, N)
        inside = at < self.end[series]
        at = at.clamp(max=len(self.y) - 1)
        x, y, seen = self.x[at], self.y[at], self.seen[at] * inside
        x = x + self.noise * torch.randn_like(x)
        if self.mirror:
            upside_down = torch.arange(len(rows), device=rows.device) % 2 == 1
            x = x * torch.where(upside_down[:, None], self.signs, 1.0)
            y = y * torch.where(upside_down, -1.0, 1.0)
        return ((model(x) - y).square() * seen).sum(), float(seen.sum())

    def validate(self) -> Mapping[str, float]:
        return dict(self.judge())


@dataclass(frozen=True)
class StepLearner:
    """Trained stepwise networks, and the differences and lags that the training part called for."""

    plan: Plan
    differences: Differences
    lags: tuple[int, ...]
    flags: bool
    features: int
    networks: tuple[StepNetwork, ...]

    @property
    def before(self) -> int:
        """Rows that a bank must have ahead of each series."""
        return max(self.lags)

    @property
    def memory(self) -> int:
        """Rows of a series that decide its next forecast."""
        return self.plan.lookback + max(self.lags) + self.differences.start

    def relative_spread(self, levels: Array) -> float:
        """The spread of a new series whose standardised ``levels`` (T,) are these."""
        missed = self.differences.missed(levels)[0][self.differences.start :]
        return float(np.sqrt(np.mean(missed**2))) or 1.0 if len(missed) else 1.0

    @torch.no_grad()
    def forecast(self, bank: Bank, origins: Rows, series: Rows) -> Array:
        """The point forecast of ``horizon`` rows from each of ``origins`` (n,) on, in levels, as every quantile.

        (n, H, Q). Raises ``InputError`` where a series is too short to begin.
        """
        steps = Steps(bank, self.differences, self.lags, self.flags, self.plan.cycles)
        if (origins < steps.first[series]).any():
            raise InputError(f"a forecast looks back {self.differences.start} rows; a series is shorter than that")
        if steps.gaps and not self.flags:
            raise InputError(
                f"{self.plan.label} has learnt without missing values, and some are (--gaps carry repeats the last one)"
            )
        count = -(-len(origins) // CHUNK) or 1
        parts = [
            np.mean([self._roll(network, steps, rows, of) for network in self.networks], axis=0)
            for rows, of in zip(np.array_split(origins, count), np.array_split(series, count), strict=True)
        ]
        points = np.concatenate(parts)  # (n, H)
        return np.repeat(points[:, :, None], len(self.plan.quantiles), axis=2)

    def naive(self, bank: Bank, origins: Rows, series: Rows) -> Array:
        """What networks that output zero would forecast: (n, H)."""
        steps = Steps(bank, self.differences, self.lags, self.flags, self.plan.cycles)
        start, horizon = self.differences.start, self.plan.horizon
        levels = _before(steps.filled, origins, start, horizon)
        for h in range(horizon):
            levels[:, start + h] = self.differences.naive(levels[:, : start + h])
        return levels[:, start:]

    def _roll(self, network: StepNetwork, steps: Steps, origins: Rows, series: Rows) -> Array:
        """The forecasts of one network, each step fed back: (n, H)."""
        horizon, start, reach = self.plan.horizon, self.differences.start, max(self.lags)
        levels = _before(steps.filled, origins, start, horizon)  # (n, start + H)
        missed = _before(np.clip(steps.missed, -FAR, FAR), origins, reach, horizon)  # (n, reach + H)
        first = np.maximum(steps.first[series], origins - self.plan.lookback)
        lengths = origins - first + 1  # the row to forecast is read as well: its inputs are all known
        at = np.minimum(first + np.arange(int(lengths.max(initial=1)))[:, None], len(steps.inputs) - 1)  # (T, n)
        said, state = network.begin(_single(steps.inputs[at]), torch.from_numpy(lengths))
        for h in range(horizon):
            if h:
                row = [missed[:, reach + h - lag] for lag in self.lags] + [np.ones(len(origins))] * self.flags
                x = np.concatenate([np.stack(row, axis=1), steps.constant[origins + h]], axis=1)
                said, state = network.step(_single(x), state)
            correction = said.double().numpy()
            levels[:, start + h] = self.differences.naive(levels[:, : start + h]) + correction
            missed[:, reach + h] = np.clip(correction, -FAR, FAR)
        return levels[:, start:]

    def tensors(self) -> dict[str, Tensor]:
        """The weights, as a model file keeps them."""
        return {f"network.{i}.{name}": w for i, n in enumerate(self.networks) for name, w in n.state_dict().items()}

    def to_json(self) -> dict[str, Any]:
        """Everything else, beside the plan."""
        return {
            "differences": asdict(self.differences),
            "lags": list(self.lags),
            "flags": self.flags,
            "features": self.features,
        }

    @staticmethod
    def build(plan: Plan, content: Mapping[str, Any]) -> StepLearner:
        """The learner that ``to_json`` describes, its networks new."""
        features, flags = int(content["features"]), bool(content["flags"])
        differences = from_json(Differences, content["differences"])
        lags = tuple(map(int, content["lags"]))
        if not lags or min(lags) < 1 or features < 1:
            raise ValueError(f"expected rows to look back at, got {lags}")
        networks = tuple(
            StepNetwork(plan.cell, features, plan.units, plan.layers, plan.dropout).eval() for _ in range(plan.ensemble)
        )
        return StepLearner(plan, differences, lags, flags, features, networks)


def _before(values: Array, origins: Rows, back: int, on: int) -> Array:
    """The ``back`` values before each origin and room for ``on`` more: (n, back + on)."""
    result = np.zeros((len(origins), back + on))
    result[:, :back] = values[origins[:, None] + np.arange(-back, 0)]
    return result


def _single(values: Array) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
