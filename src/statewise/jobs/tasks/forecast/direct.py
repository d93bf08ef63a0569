"""The direct way: from the last ``lookback`` rows to the whole horizon at once, by ``seq2seq`` or ``segrnn``.

A network reads scaled values less the last one of its window, so a series that has drifted away from its training part
is no other world to it. It writes corrections to a base: the linear forecast or, if that isn't wanted, a naive one, the
last value or the last season, whichever misses less in the training part. Untrained it gives the base, and quantiles
of what the base misses.
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
from .dataset import PanelDataset
from .distributions import Output
from .networks import FEW, Learner, SegRNN, Seq2Seq, move
from .season import seasonal_spread
from .split import Array, Rows

CHUNK = 1024  # windows that are forecast at once
MOST_JUDGED = 4000  # windows of the validation part that are looked at after each epoch


class Window(NamedTuple):
    """N windows."""

    past: Tensor  # (N, L, F)
    future: Tensor  # (N, H, K)
    channel: Tensor  # (N,)
    base: Tensor  # (N, H), the forecast that the network starts from
    target: Tensor  # (N, H)
    seen: Tensor  # (N, H), 1 where there is a target
    unit: Tensor  # (N,), what a scaled value of 1 stands for


class Windows:
    """The windows of a dataset as tensors.

    ``flags``: whether a row says that its value is missing. ``season``: rows back that the naive forecast repeats.
    """

    def __init__(self, dataset: PanelDataset, lookback: int, horizon: int, *, flags: bool, season: int) -> None:
        known = np.concatenate([dataset.calendar, dataset.known], axis=1)
        there = np.isfinite(dataset.scaled)
        flag = [there[:, None].astype(np.float64)] if flags else []
        self.rows = _tensor(np.concatenate([dataset.filled[:, None], *flag, dataset.observed, known], axis=1))  # (R, F)
        self.known = _tensor(known)  # (R, K)
        self.scaled = _tensor(np.where(there, dataset.scaled, 0.0))  # (R,)
        self.unit = _tensor(dataset.unit)  # (R,)
        self.seen = _tensor(dataset.real.astype(np.float64))  # (R,)
        self.back, self.on = torch.arange(-lookback, 0), torch.arange(horizon)
        self.naive = torch.arange(horizon) % max(season, 1) - max(season, 1)  # (H,), the row that each step repeats

    def take(self, origins: Tensor, channel: Tensor, base: Tensor | None = None) -> Window:
        """The windows whose first row to forecast is in ``origins``, (N,); ``channel`` (N,) is each one's series.

        ``base`` (N, H) is what the network starts from; None: the naive forecast.
        """
        past = self.rows[origins[:, None] + self.back]  # (N, L, F)
        base = self.rows[origins[:, None] + self.naive, 0] if base is None else base  # (N, H)
        past[:, :, 0] -= past[:, -1:, 0].clone()
        future = origins[:, None] + self.on
        unit = self.unit[origins]
        return Window(past, self.known[future], channel, base, self.scaled[future], self.seen[future], unit)


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
        bases: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> None:
        self.model, self.output, self.windows = model, output, windows
        self.base, judged_base = (None, None) if bases is None else bases
        self.origins, self.channel = map(torch.from_numpy, train)  # (n,) each
        self.judged, self.judged_channel = (_some(torch.from_numpy(x)) for x in validation)
        self.judged_base = None if judged_base is None else _some(judged_base)
        self.judged_first = self.base is not None and len(self.judged) > 0
        self.rows = min(len(self.origins), most)
        dataset, judged = (windows.rows, windows.scaled, windows.seen), (self.judged, self.judged_channel)
        self.data = [*dataset, self.origins, *judged, output.kind, list(output.quantiles)]

    def to(self, device: torch.device) -> None:
        super().to(device)
        move(self, device)
        move(self.windows, device)

    def order(self, epoch: int, random: torch.Generator) -> Tensor:
        """Other windows in every epoch, where there are more than ``rows``."""
        return torch.randperm(len(self.origins), generator=random)[: self.rows]

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        rows = rows.to(self.origins.device)
        base = None if self.base is None else self.base[rows]
        window = self.windows.take(self.origins[rows], self.channel[rows], base)
        raw = model(window.past, window.future, window.channel).float()
        return self.output.loss(self.output.place(raw, window.base), window.target, window.seen, window.unit)

    def validate(self) -> Mapping[str, float]:
        if not len(self.judged):
            return {}
        lost, squares, terms = 0.0, 0.0, 0.0
        for chunk in _chunks(self.judged, self.judged_channel, self.judged_base):
            window = self.windows.take(*chunk)
            placed = _placed(self.model, self.output, window)
            loss, count = self.output.loss(placed, window.target, window.seen, window.unit)
            middle = self.output.read(placed, window.unit)[..., self.output.quantiles.index(0.5)]
            lost, terms = lost + float(loss), terms + count
            squares += float(((middle - window.target).square() * window.seen).sum())
        return {"loss": lost / max(terms, 1.0), "mse": squares / max(terms, 1.0)}


@dataclass(frozen=True)
class WindowInputs:
    """What a direct network reads of a row."""

    features: int
    known: int
    channels: int
    flags: bool
    season: int
    """Rows back that the naive forecast repeats, to which the network writes corrections; 0: they are the linear's."""

    def __post_init__(self) -> None:
        if self.season < 0:
            raise ValueError(f"a season of {self.season} rows")


@dataclass(frozen=True)
class Direct(Learner):
    """Trained direct networks, and what they expect a row to hold."""

    INPUTS = WindowInputs

    inputs: WindowInputs

    @property
    def output(self) -> Output:
        """What is written for a step."""
        return Output.of(self.plan.output, self.plan.quantiles)

    def network(self) -> nn.Module:
        kind = SegRNN if self.plan.model == "segrnn" else Seq2Seq
        return kind(self.plan, self.inputs.features, self.inputs.known, self.inputs.channels, self.output.size)

    @property
    def before(self) -> int:
        return max(self.plan.lookback, self.inputs.season)

    @property
    def memory(self) -> int:
        return self.before

    def relative_spread(self, scaled: Array) -> float:
        return seasonal_spread(scaled, self.plan.season)

    def expected_inputs(self, known: int, observed: int, series: int) -> dict[str, int]:
        told = 2 * len(self.plan.cycles) + known
        channels = series if self.plan.channels else 0
        return {"features": 1 + self.inputs.flags + observed + told, "known": told, "channels": channels}

    def windows(self, dataset: PanelDataset) -> Windows:
        """The windows of ``dataset`` as the networks read them."""
        plan, inputs = self.plan, self.inputs
        return Windows(dataset, plan.lookback, plan.horizon, flags=inputs.flags, season=inputs.season)

    @torch.no_grad()
    def forecast(self, dataset: PanelDataset, origins: Rows, series: Rows, base: Array | None = None) -> Array:
        self._check(dataset, origins)
        told = _tensor(base) if base is not None and not self.inputs.season else None
        windows, output = self.windows(dataset), self.output
        networks = self.frozen if len(origins) <= FEW else self.networks
        channel = torch.from_numpy(series) if self.inputs.channels else torch.zeros(len(series), dtype=torch.int64)
        parts = []
        for chunk in _chunks(torch.from_numpy(origins), channel, told):
            window = windows.take(*chunk)
            found = [output.read(_placed(network, output, window), window.unit) for network in networks]
            parts.append(torch.stack(found).double().mean(0).numpy())
        return np.concatenate(parts) if parts else np.zeros((0, self.plan.horizon, len(self.plan.quantiles)))

    def _check(self, dataset: PanelDataset, origins: Rows) -> None:
        if self.inputs.flags or not len(origins):
            return
        at = origins[:, None] + np.arange(-self.plan.lookback, 0)
        if np.isnan(dataset.scaled[at]).any():
            raise InputError(
                f"{self.plan.label} looks back {self.plan.lookback} rows and has learnt without missing values;"
                " a series is shorter than that or has gaps (--gaps carry repeats the last value)"
            )


def _placed(network: nn.Module, output: Output, window: Window) -> Tensor:
    return output.place(network(window.past, window.future, window.channel), window.base)


def _chunks(*columns: Tensor | None) -> Any:
    return zip(*(torch.split(column, CHUNK) for column in columns if column is not None), strict=True)


def _some(rows: Tensor) -> Tensor:
    """At most as many of them as are judged, evenly."""
    return rows[:: -(-len(rows) // MOST_JUDGED) or 1].contiguous()


def _tensor(values: Array) -> Tensor:
    with np.errstate(over="ignore"):  # what comes of such values is refused
        return torch.from_numpy(values.astype(np.float32))
