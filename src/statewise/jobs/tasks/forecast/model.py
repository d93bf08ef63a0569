"""A trained forecaster: how the rows before an origin become calibrated quantiles of those behind it.

What follows the ends of series is told by ahead.py, of tables by prediction.py; newer.py has it learn of rows that have
come since; stored.py has the file that holds it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ....runtime.forecaster import Forecaster
from ...artifacts import model_file
from ...data.frames import FrameKind
from ...errors import InputError
from . import statistical, stored
from .ahead import Forecast
from .config import Columns, Plan
from .dataset import EncodedSeries, Encoding, Scaling, bridged, encode, floors, make_dataset, past_values, standardise
from .following import stretched
from .grid import Grid
from .intervals import LATELY, at_shares, lately, recent_rows, shifted, transformed
from .learner import Learner
from .linear.folds import FOLDS
from .linear.forecast import Linear, units
from .prediction import predict
from .season import seasonal_spread
from .series import Head, Panel
from .split import Array, Rows

if TYPE_CHECKING:
    from torch import nn

AGAIN = "again "  # what the name begins with of a network that learns all rows before the test


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Trained networks (``learner``), how data reach them, and what the validation part taught about their errors."""

    KIND: ClassVar[str] = "forecast model"
    FORMAT: ClassVar[int] = 4
    CONFIG: ClassVar[type[Any]] = Plan
    LAYOUT: ClassVar[type[Any]] = FrameKind
    MISSING: ClassVar[Collection[str]] = ("tail.values",)

    config: Plan
    columns: Columns
    grid: Grid
    known: Encoding
    observed: Encoding
    names: tuple[str, ...]
    scaling: Scaling
    unit: Array  # (S,), what the shifts of a series are counted in
    shifts: Array  # (H, Q)
    learner: Learner
    tails: tuple[EncodedSeries, ...]
    """The last rows of each series, enough to go on from."""
    ranks: NDArray[np.float32]
    """(n, H), of some windows of the validation part: where among the misses of all windows each was, see intervals."""
    dimensions: int = 0
    """Of the array that was fitted, 1 or 2; 0: a table was."""
    linear: Linear | None = None
    """What is simple, which the networks correct."""
    share: float = 1.0
    """How much of what the networks say beside that counts."""
    lately: float = LATELY
    """The power of how much a series has moved of late in the width of its intervals; 0 in files of before that."""
    heads: tuple[Head, ...] = ()
    """Which series of the table each is."""
    positive: bool = False
    """Whether no value was below 0, so that none of a forecast is, as long as none is below that has come since."""
    reach: Array | None = None
    """How much further out than the outermost quantiles the intervals ``FAR`` are; None: as the normal distribution."""
    stretch: Array | None = None
    """(S, Q), what the values since training have made of the intervals, see following.py; None: nothing."""

    statistical: Mapping[str, float] = field(default_factory=dict)
    """How much of each statistical method there is in the forecast, see statistical.py."""

    @property
    def plan(self) -> Plan:
        """The configuration."""
        return self.config

    @property
    def label(self) -> str:
        """Its name for readers."""
        return "combination" if self.linear else self.plan.label

    def running(self) -> Forecaster:
        return Forecaster(self)

    def networks(self) -> dict[str, nn.Module]:
        """Those that are averaged; what calibrates them when they learn more goes on from the same."""
        networks = {f"network {number}": network for number, network in enumerate(self.learner.networks, 1)}
        every = ("", AGAIN, *map(calibration, range(1, FOLDS + 1)))
        return {f"{part}{name}": network for part in every for name, network in networks.items()}

    @property
    def memory(self) -> int:
        """Rows of a series that decide its next forecast."""
        return max(self.learner.memory, recent_rows(self.plan), self.linear.lookback if self.linear else 0)

    @property
    def kept(self) -> int:
        """Rows at the end of each series that it goes on from."""
        return max(self.memory, statistical.ROWS if self.statistical else 0) + self.plan.horizon

    def encode(self, panel: Panel) -> list[EncodedSeries]:
        """The series of ``panel`` as numbers; static covariates that it hasn't got are those that were learnt with.

        Raises ``InputError`` where they are missing of a series that is new.
        """
        lacking = [column for column in self.columns.static if column not in panel.series[0].cells]
        rows = {tail.name: tail.known[0] for tail in self.tails} if lacking else {}
        new = [series.name for series in panel.series if series.name not in rows]
        if lacking and new:
            raise InputError(f"{panel.source}: series {new[0]!r} is new, expected the column {lacking[0]!r} as well")
        return encode(panel, self.known, self.observed, rows)

    def constants(self, series: Sequence[EncodedSeries]) -> tuple[Scaling, Array, Array]:
        """The scaling and the units of ``series``, (S,), and the linear forecast's, (S, 2).

        They are those learnt or, for a new series, those of the rows it brings.
        """
        place = {name: s for s, name in enumerate(self.names)}
        new = [each for each in series if each.name not in place]
        if new and self.plan.channels:
            raise InputError(f"the model knows {', '.join(self.names)}; {new[0].name!r} is none of them")
        parts = [self._constants_of(each, place.get(each.name)) for each in series]
        floor, centre, spread, unit, moves = (np.array(column) for column in zip(*parts, strict=True))
        return Scaling(self.scaling.log, floor, centre, spread), unit, moves

    def _constants_of(self, series: EncodedSeries, s: int | None) -> tuple[Any, ...]:
        if s is not None:
            moves = self.linear.unit[s] if self.linear else (1.0, 1.0)
            return (*(float(getattr(self.scaling, name)[s]) for name in stored.CONSTANTS), float(self.unit[s]), moves)
        if self.plan.log and np.nanmin(series.values) <= 0:
            raise InputError(
                f"series {series.name!r}: expected values above 0, as those the model learnt from, got"
                f" {np.nanmin(series.values):g}"
            )
        own = standardise([series.values], self.plan.log, from_zero=self.plan.from_zero)
        spread = own.spread * self.learner.relative_spread(own.forward(series.values, 0))
        unit = seasonal_spread(transformed(series.values, self.plan), self.plan.season)
        return float(own.floor[0]), float(own.centre[0]), float(spread[0]), unit, units(bridged(series.values))

    def forecast(self, series: Sequence[EncodedSeries], rows: Rows, of: Rows, stretch: Array | None = None) -> Array:
        """The quantiles of the steps from row ``rows`` of ``series`` number ``of`` on, (n,) each: (n, H, Q).

        ``stretch`` is that of ``series``, (S, Q); None: the model's, by their names.
        """
        found, floor = self.calibrated(series, rows, of), self.floor(series, rows, of)
        return self.finished(found, (self.stretch_of(series) if stretch is None else stretch)[of], floor)

    def calibrated(self, series: Sequence[EncodedSeries], rows: Rows, of: Rows) -> Array:
        """The quantiles as the validation part has them moved, (n, H, Q)."""
        scaling, unit, moves = self.constants(series)
        with np.errstate(over="ignore", invalid="ignore"):
            found = self._scaled(series, rows, of, scaling, moves)
            own = lately(series, rows, of, unit, self.plan, self.lately)
            found = shifted(scaling.backward(found, of), self.shifts, own, self.plan)
        return statistical.moved(found, self.statistical, series, rows, of, self.plan) if self.statistical else found

    def stretch_of(self, series: Sequence[EncodedSeries]) -> Array:
        """That of ``series``, (n, Q); of new ones none."""
        found = np.zeros((len(series), len(self.plan.quantiles)))
        if self.stretch is not None:
            place = {name: s for s, name in enumerate(self.names)}
            for row, each in zip(found, series, strict=True):
                if each.name in place:
                    row[:] = self.stretch[place[each.name]]
        return found

    def floor(self, series: Sequence[EncodedSeries], rows: Rows, of: Rows) -> Array:
        """What forecasts are not below, (n,)."""
        return floors(series, rows, of) if self.positive else np.full(len(rows), -np.inf)

    def at_shares(self, quantiles: Array, shares: Sequence[float], floor: Array) -> Array:
        """(n, h, K): the quantiles of ``shares`` (K,) of forecasts (n, h, Q) of series not below ``floor`` (n,)."""
        return at_shares(quantiles, self.plan, shares, self.reach, floor)

    def finished(self, quantiles: Array, stretch: Array, floor: Array) -> Array:
        """Those of a forecast, (n, H, Q). Raises ``InputError`` where they are none."""
        with np.errstate(over="ignore", invalid="ignore"):
            quantiles = stretched(quantiles, stretch, self.plan)
        if not np.isfinite(quantiles).all():
            raise InputError("a forecast is not finite: the model's file is damaged, or the values are far too large")
        return np.maximum(quantiles, floor[:, None, None])

    def _scaled(self, series: Sequence[EncodedSeries], rows: Rows, of: Rows, scaling: Scaling, moves: Array) -> Array:
        """What the networks say, as far as they count, and the linear forecast, scaled: (n, H, Q)."""
        base = None
        if self.linear is not None:
            past = past_values(series, rows, of, self.linear.lookback)
            base = scaling.forward(self.linear.forecast(past, moves[of]), of)  # (n, H)
            if not self.share:
                return np.repeat(base[..., None], len(self.plan.quantiles), axis=2)
        dataset = make_dataset(series, scaling, self.plan.cycles, self.learner.before, self.plan.horizon)
        whose = of
        if self.plan.channels:  # each series has an embedding, in the order of training
            whose = np.array([self.names.index(each.name) for each in series], dtype=np.int64)[of]
        return mix(base, self.learner.forecast(dataset, rows + dataset.begin[of], whose, base), self.share)

    def predict(self, source: Any = None, **how: Any) -> tuple[Forecast, Any]:
        """What follows the series of ``source``, and that as a table: ``prediction.predict``."""
        return predict(self, source, **how)

    def content(self) -> dict[str, Any]:
        """Everything but the numbers."""
        return stored.content(self)

    def tensors(self) -> model_file.Arrays:
        """Weights, constants and the last rows."""
        return stored.tensors(self)

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Former formats had other names."""
        return stored.renamed(content)

    @classmethod
    def built(cls, content: Mapping[str, Any], arrays: model_file.Arrays, **shared: Any) -> Model:
        """The model of ``content`` and ``arrays``; ValueError where they don't fit."""
        return cls(**shared, **stored.parts(content, arrays, shared["config"], shared["kernels"]))


def mix(base: Array | None, found: Array, share: float) -> Array:
    """Quantiles (n, H, Q) that count by their ``share`` beside the forecast ``base`` (n, H)."""
    return found if base is None else base[..., None] + share * (found - base[..., None])


def calibration(fold: int) -> str:
    """What the names of networks begin with that calibrate on this piece, counted from 1, of a short series."""
    return "calibration " if fold == 1 else f"calibration {fold} "
