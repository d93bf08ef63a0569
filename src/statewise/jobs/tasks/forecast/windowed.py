"""Train a window network, and forecast with it: from the last ``lookback`` rows to the whole horizon at once.

A network reads levels less the last one of its window, so a series that has drifted away from its training part is no
other world to it. It writes corrections to a naive forecast, the last level or the last season, whichever misses less
in the training part: untrained it gives that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InputError
from ...training.task import Task
from .bank import Array, Bank, Rows
from .config import Plan
from .direct import DirectNetwork
from .outputs import Output
from .scores import seasonal_error
from .segment import SegmentNetwork

CHUNK = 1024  # windows that are forecast at once
MOST_JUDGED = 4000  # windows of the validation part that are looked at after each epoch


class Window(NamedTuple):
    """N windows."""

    past: Tensor  # (N, L, F)
    ahead: Tensor  # (N, H, K)
    channel: Tensor  # (N,)
    base: Tensor  # (N, H), the naive forecast that the network starts from
    target: Tensor  # (N, H)
    seen: Tensor  # (N, H), 1 where there is a target


class Windows:
    """The windows of a bank as tensors.

    ``flags``: whether a row says that its value is missing. ``season``: rows back that the naive forecast repeats.
    """

    def __init__(self, bank: Bank, lookback: int, horizon: int, *, flags: bool, season: int) -> None:
        known = np.concatenate([bank.calendar, bank.known], axis=1)
        there = np.isfinite(bank.levels)
        flag = [there[:, None].astype(np.float64)] if flags else []
        self.rows = _tensor(np.concatenate([bank.filled[:, None], *flag, bank.observed, known], axis=1))  # (R, F)
        self.known = _tensor(known)  # (R, K)
        self.levels = _tensor(np.where(there, bank.levels, 0.0))  # (R,)
        self.seen = _tensor(bank.real.astype(np.float64))  # (R,)
        self.back, self.on = torch.arange(-lookback, 0), torch.arange(horizon)
        self.naive = torch.arange(horizon) % season - season  # (H,), the row that each step repeats

    def to(self, device: torch.device) -> None:
        """Move everything to ``device``."""
        for name in ("rows", "known", "levels", "seen", "back", "on", "naive"):
            setattr(self, name, getattr(self, name).to(device))

    def take(self, origins: Tensor, channel: Tensor) -> Window:
        """The windows whose first row to forecast is in ``origins``, (N,); ``channel`` (N,) is each one's series."""
        past = self.rows[origins[:, None] + self.back]  # (N, L, F)
        base = self.rows[origins[:, None] + self.naive, 0]  # (N, H)
        past[:, :, 0] -= past[:, -1:, 0].clone()
        future = origins[:, None] + self.on
        return Window(past, self.known[future], channel, base, self.levels[future], self.seen[future])


def make_network(plan: Plan, features: int, known: int, channels: int, size: int) -> nn.Module:
    """The network of ``plan``."""
    common: dict[str, Any] = {
        "features": features,
        "known": known,
        "channels": channels,
        "horizon": plan.horizon,
        "units": plan.units,
        "layers": plan.layers,
        "dropout": plan.dropout,
        "size": size,
    }
    if plan.model == "segment":
        return SegmentNetwork(plan.cell, segment=plan.segment, **common)
    return DirectNetwork(plan.cell, **common)


class WindowTask(Task):
    """Windows of the training part to learn from, windows of the validation part to judge by."""

    def __init__(
        self,
        model: nn.Module,
        output: Output,
        windows: Windows,
        train: tuple[Rows, Rows],
        validation: tuple[Rows, Rows],
        most: int,
    ) -> None:
        self.model, self.output, self.windows = model, output, windows
        self.origins, self.channel = (torch.from_numpy(x) for x in train)  # (n,) each
        every = slice(None, None, -(-len(validation[0]) // MOST_JUDGED))
        self.judged = tuple(torch.from_numpy(np.ascontiguousarray(x[every])) for x in validation)
        self.rows = min(len(self.origins), most)
        bank = (windows.rows, windows.levels, windows.seen)
        self.data = [*bank, self.origins, *self.judged, output.kind, list(output.levels)]

    def to(self, device: torch.device) -> None:
        super().to(device)
        self.windows.to(device)
        self.origins, self.channel = self.origins.to(device), self.channel.to(device)
        self.judged = tuple(x.to(device) for x in self.judged)

    def order(self, epoch: int, random: torch.Generator) -> Tensor:
        """Other windows in every epoch, where there are more than ``rows``."""
        return torch.randperm(len(self.origins), generator=random)[: self.rows]

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        rows = rows.to(self.origins.device)
        window = self.windows.take(self.origins[rows], self.channel[rows])
        raw = model(window.past, window.ahead, window.channel).float()
        return self.output.loss(self.output.place(raw, window.base), window.target, window.seen)

    def validate(self) -> Mapping[str, float]:
        lost, squares, terms = 0.0, 0.0, 0.0
        for origins, channel in zip(*(torch.split(x, CHUNK) for x in self.judged), strict=True):
            window = self.windows.take(origins, channel)
            placed = self.output.place(self.model(window.past, window.ahead, window.channel), window.base)
            loss, count = self.output.loss(placed, window.target, window.seen)
            middle = self.output.quantiles(placed)[..., self.output.levels.index(0.5)]
            lost, terms = lost + float(loss), terms + count
            squares += float(((middle - window.target).square() * window.seen).sum())
        return {"loss": lost / max(terms, 1.0), "mse": squares / max(terms, 1.0)}


@dataclass(frozen=True)
class WindowLearner:
    """Trained window networks, and what they expect a row to hold."""

    plan: Plan
    features: int
    known: int
    channels: int
    flags: bool
    season: int
    """Rows back that the naive forecast repeats, to which the network writes corrections."""
    networks: tuple[nn.Module, ...]

    @property
    def before(self) -> int:
        """Rows that a bank must have ahead of each series."""
        return max(self.plan.lookback, self.season)

    @property
    def memory(self) -> int:
        """Rows of a series that decide its next forecast."""
        return self.before

    def relative_spread(self, levels: Array) -> float:
        """The spread of a new series whose standardised ``levels`` (T,) are these."""
        return seasonal_spread(levels, self.plan.season)

    @torch.no_grad()
    def forecast(self, bank: Bank, origins: Rows, series: Rows) -> Array:
        """The quantiles of ``horizon`` rows from each of ``origins`` (n,) on, in levels: (n, H, Q).

        Raises ``InputError`` where values are missing and none was where the networks learnt.
        """
        self._check(bank, origins)
        windows = Windows(bank, self.plan.lookback, self.plan.horizon, flags=self.flags, season=self.season)
        output = Output(self.plan.output, self.plan.quantiles)
        channel = torch.from_numpy(series) if self.channels else torch.zeros(len(series), dtype=torch.int64)
        parts = []
        for rows, own in zip(torch.split(torch.from_numpy(origins), CHUNK), torch.split(channel, CHUNK), strict=True):
            window = windows.take(rows, own)
            found = [
                output.quantiles(output.place(network(window.past, window.ahead, window.channel), window.base))
                for network in self.networks
            ]
            parts.append(torch.stack(found).double().mean(0).numpy())
        return np.concatenate(parts) if parts else np.zeros((0, self.plan.horizon, len(self.plan.quantiles)))

    def _check(self, bank: Bank, origins: Rows) -> None:
        if self.flags or not len(origins):
            return
        at = origins[:, None] + np.arange(-self.plan.lookback, 0)
        if np.isnan(bank.levels[at]).any():
            raise InputError(
                f"{self.plan.label} looks back {self.plan.lookback} rows and has learnt without missing values;"
                " a series is shorter than that or has gaps (--gaps carry repeats the last value)"
            )

    def tensors(self) -> dict[str, Tensor]:
        """The weights, as a model file keeps them."""
        return {f"network.{i}.{name}": w for i, n in enumerate(self.networks) for name, w in n.state_dict().items()}

    def to_json(self) -> dict[str, Any]:
        """Everything else, beside the plan."""
        return {
            "features": self.features,
            "known": self.known,
            "channels": self.channels,
            "flags": self.flags,
            "season": self.season,
        }

    @staticmethod
    def build(plan: Plan, content: Mapping[str, Any], networks: tuple[nn.Module, ...] = ()) -> WindowLearner:
        """The learner that ``to_json`` describes, with new networks unless some are given."""
        sizes = {name: int(content[name]) for name in ("features", "known", "channels")}
        size = Output(plan.output, plan.quantiles).size
        networks = networks or tuple(make_network(plan, **sizes, size=size).eval() for _ in range(plan.ensemble))
        return WindowLearner(
            plan, **sizes, flags=bool(content["flags"]), season=int(content["season"]), networks=networks
        )


def seasonal_spread(levels: Array, season: int) -> float:
    """How much ``levels`` (T,) move from a season to the next on average; 1 where they don't.

    On this scale the errors of all series count as they do in MASE, however large the series' own swings are.
    """
    return seasonal_error(levels, min(season, max(1, len(levels) - 1))) or 1.0


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
