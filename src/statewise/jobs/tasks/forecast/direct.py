"""The direct way: from the last ``lookback`` rows to the whole horizon at once, by ``seq2seq`` or ``segrnn``.

A network reads scaled values less the last one of its window, so a series that has drifted away from its training part
is no other world to it. It writes corrections to a base: the linear forecast or, if that isn't wanted, a naive one, the
last value or the last season, whichever misses less in the training part. Untrained it gives the base, and quantiles
of what the base misses. Of several networks every second one corrects the naive forecast in the place of the linear
one: what these two miss has less in common than what two of the same kind do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import InputError
from .dataset import PanelDataset
from .distributions import Output
from .learner import Learner
from .running import SegRNNRunner, Seq2SeqRunner
from .season import seasonal_spread
from .split import Array, Rows

if TYPE_CHECKING:
    from torch import nn

CHUNK = 1024  # windows that are forecast at once


class Window(NamedTuple):
    """N windows: arrays or, in training, tensors, of float32 but for ``channel``."""

    past: Any  # (N, L, F)
    future: Any  # (N, H, K)
    channel: Any  # (N,)
    base: Any  # (N, H), the forecast that the network starts from
    target: Any  # (N, H)
    seen: Any  # (N, H), 1 where there is a target
    unit: Any  # (N,), what a scaled value of 1 stands for


class Windows:
    """The windows of a dataset. What ``take`` does suits arrays and tensors.

    ``flags``: whether a row says that its value is missing. ``season``: rows back that the naive forecast repeats.
    """

    def __init__(self, dataset: PanelDataset, lookback: int, horizon: int, *, flags: bool, season: int) -> None:
        known = np.concatenate([dataset.calendar, dataset.known], axis=1)
        there = np.isfinite(dataset.scaled)
        flag = [there[:, None].astype(np.float64)] if flags else []
        self.rows = _single(np.concatenate([dataset.filled[:, None], *flag, dataset.observed, known], axis=1))  # (R, F)
        self.known = _single(known)  # (R, K)
        self.scaled = _single(np.where(there, dataset.scaled, 0.0))  # (R,)
        self.unit = _single(dataset.unit)  # (R,)
        self.seen = _single(dataset.real.astype(np.float64))  # (R,)
        self.back, self.on = np.arange(-lookback, 0), np.arange(horizon)
        self.naive = self.on % max(season, 1) - max(season, 1)  # (H,), the row that each step repeats

    def take(self, origins: Any, channel: Any, base: Any = None) -> Window:
        """The windows whose first row to forecast is in ``origins``, (N,); ``channel`` (N,) is each one's series.

        ``base`` (N, H) is what the network starts from; None: the naive forecast.
        """
        past = self.rows[origins[:, None] + self.back]  # (N, L, F)
        base = self.repeated(origins) if base is None else base  # (N, H)
        past[:, :, 0] = past[:, :, 0] - past[:, -1:, 0]
        future = origins[:, None] + self.on
        unit = self.unit[origins]
        return Window(past, self.known[future], channel, base, self.scaled[future], self.seen[future], unit)

    def repeated(self, origins: Any) -> Any:
        """The naive forecast from ``origins`` (N,) on, (N, H)."""
        return self.rows[origins[:, None] + self.naive, 0]


@dataclass(frozen=True)
class WindowInputs:
    """What a direct network reads of a row."""

    features: int
    known: int
    channels: int
    flags: bool
    season: int
    """Rows back that the naive forecast repeats, to which the network writes corrections; 0: they are the linear's."""
    second: int = 0
    """The same for every second of several networks, where the others correct the linear forecast; 0: they all do."""

    def __post_init__(self) -> None:
        if min(self.season, self.second) < 0 or (self.season and self.second):
            raise ValueError(f"seasons of {self.season} and {self.second} rows")

    def naive(self, number: int) -> int:
        """``season`` of the network of this ``number``, from 0."""
        return self.second if number % 2 and self.second else self.season


@dataclass(frozen=True, eq=False)
class Direct(Learner):
    """Trained direct networks, and what they expect a row to hold."""

    INPUTS = WindowInputs

    inputs: WindowInputs

    @property
    def output(self) -> Output:
        """What is written for a step."""
        return Output.of(self.plan.output, self.plan.quantiles)

    @property
    def sizes(self) -> dict[str, int]:
        """Of a network."""
        told = self.inputs
        return {"features": told.features, "known": told.known, "channels": told.channels, "size": self.output.size}

    def network(self) -> nn.Module:
        from .networks import SegRNN, Seq2Seq

        return (SegRNN if self.plan.model == "segrnn" else Seq2Seq)(self.plan, **self.sizes)

    def runner(self, weights: Mapping[str, Any]) -> Any:
        kind: type[Any] = SegRNNRunner if self.plan.model == "segrnn" else Seq2SeqRunner
        return kind(self.plan, weights, self.kernels, **self.sizes)

    @property
    def before(self) -> int:
        return max(self.plan.lookback, self.inputs.season, self.inputs.second)

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
        season = inputs.season or inputs.second
        return Windows(dataset, plan.lookback, plan.horizon, flags=inputs.flags, season=season)

    def forecast(self, dataset: PanelDataset, origins: Rows, series: Rows, base: Array | None = None) -> Array:
        self._check(dataset, origins)
        told = _single(base) if base is not None and not self.inputs.season else None
        windows, output = self.windows(dataset), self.output
        channel = series if self.inputs.channels else np.zeros(len(series), np.int64)
        parts = [np.zeros((0, self.plan.horizon, len(self.plan.quantiles)))]
        for chunk in chunks(origins, channel, told):
            window = windows.take(*chunk)
            naive = windows.repeated(chunk[0]) if self.inputs.second else None
            found = []
            for number, run in enumerate(self.runners):
                base = window.base if naive is None or not self.inputs.naive(number) else naive
                raw = run(window.past, window.future, window.channel)
                found.append(output.read(output.place(raw, base), window.unit))
            parts.append(np.mean(found, axis=0, dtype=np.float64))
        return np.concatenate(parts)

    def _check(self, dataset: PanelDataset, origins: Rows) -> None:
        if self.inputs.flags or not len(origins):
            return
        at = origins[:, None] + np.arange(-self.plan.lookback, 0)
        if np.isnan(dataset.scaled[at]).any():
            raise InputError(
                f"{self.plan.label} looks back {self.plan.lookback} rows and has learnt without missing values;"
                " a series is shorter than that or has gaps (--gaps carry repeats the last value)"
            )


def chunks(*columns: Any) -> Iterator[tuple[Any, ...]]:
    """``columns``, without those that are None, in pieces."""
    told = [column for column in columns if column is not None]
    return (tuple(each[at : at + CHUNK] for each in told) for at in range(0, len(told[0]), CHUNK))


def _single(values: Array) -> Any:
    with np.errstate(over="ignore"):  # what comes of such values is refused
        return values.astype(np.float32)
