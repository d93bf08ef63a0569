"""A trained forecaster: everything that a forecast needs, from the columns of a table to calibrated quantiles."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ...artifacts import model_file
from ...errors import InputError
from . import storage
from .bank import Array, Rows, Track, make_bank
from .config import Columns, Plan
from .covariates import Encoding
from .grid import Grid
from .learning import Learner
from .panel import Panel
from .scaling import Scaling, standardise
from .scores import seasonal_error


@dataclass(frozen=True)
class Forecast:
    """What comes after the last row of each of S series."""

    names: list[str]
    places: NDArray[np.int64]  # (S, H), on the model's grid
    labels: list[list[str]]  # S of H
    quantiles: Array  # (S, H, Q)


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(model_file.Model):
    """Trained networks (``learner``), how data reach them, and what the validation part taught about their errors."""

    KIND: ClassVar[str] = "forecast model"
    CONFIG: ClassVar[type[Any]] = Plan
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
    tails: tuple[Track, ...]
    """The last rows of each series, enough to go on from."""
    ranks: NDArray[np.float32]
    """(n, H), of some windows of the validation part: where among the misses of all windows each was, see paths.py."""
    dimensions: int = 0
    """Of the array that was fitted, 1 or 2; 0: a table was."""

    @property
    def plan(self) -> Plan:
        """The configuration."""
        return self.config

    def networks(self) -> dict[str, nn.Module]:
        """Those that are averaged."""
        return {f"network {number}": network for number, network in enumerate(self.learner.networks, 1)}

    def content(self) -> dict[str, Any]:
        """Everything but the numbers."""
        return storage.content_of(self)

    def tensors(self) -> dict[str, Tensor]:
        """Weights, constants and the last rows."""
        return storage.tensors_of(self)

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Format 1 had other names."""
        return storage.former(content)

    @classmethod
    def built(cls, content: Mapping[str, Any], tensors: dict[str, Tensor], **shared: Any) -> Model:
        """The model of ``content`` and ``tensors``; ValueError where they don't fit."""
        return cls(**shared, **storage.parts_of(shared["config"], content, tensors))

    def tracks(self, panel: Panel) -> list[Track]:
        """The series of ``panel`` as numbers."""
        return encode(panel, self.known, self.observed)

    def constants(self, tracks: Sequence[Track]) -> tuple[Scaling, Array]:
        """The scaling and the units of ``tracks``: those learnt, or, for a new series, those of the rows it brings."""
        place = {name: s for s, name in enumerate(self.names)}
        new = [track for track in tracks if track.name not in place]
        if new and self.plan.channels:
            raise InputError(f"the model knows {', '.join(self.names)}; {new[0].name!r} is none of them")
        parts = [self._constants_of(track, place.get(track.name)) for track in tracks]
        floor, centre, spread, unit = (np.array(column) for column in zip(*parts, strict=True))
        return Scaling(self.scaling.log, floor, centre, spread), unit

    def _constants_of(self, track: Track, s: int | None) -> tuple[float, float, float, float]:
        if s is not None:
            mine = self.scaling.take([s])
            return float(mine.floor[0]), float(mine.centre[0]), float(mine.spread[0]), float(self.unit[s])
        if self.plan.log and np.nanmin(track.values) <= 0:
            raise InputError(
                f"series {track.name!r}: expected values above 0, as those the model learnt from, got"
                f" {np.nanmin(track.values):g}"
            )
        own = standardise([track.values], self.plan.log)
        spread = own.spread * self.learner.relative_spread(own.forward(track.values, 0))
        unit = height_unit(track.values, self.plan)
        return float(own.floor[0]), float(own.centre[0]), float(spread[0]), unit

    def forecast(self, tracks: Sequence[Track], rows: Rows, series: Rows) -> Array:
        """The quantiles of the steps from row ``rows`` of series ``series`` of ``tracks`` on, (n,) each: (n, H, Q)."""
        scaling, unit = self.constants(tracks)
        bank = make_bank(tracks, scaling, self.plan.cycles, self.learner.before, self.plan.horizon)
        whose = series
        if self.plan.channels:  # each series has an embedding, in the order of training
            whose = np.array([self.names.index(track.name) for track in tracks], dtype=np.int64)[series]
        found = self.learner.forecast(bank, rows + bank.begin[series], whose)
        with np.errstate(over="ignore", invalid="ignore"):
            quantiles = shifted(scaling.backward(found, series), self.shifts, unit[series], self.plan)
        if not np.isfinite(quantiles).all():
            raise InputError("a forecast is not finite: the model's file is damaged, or the values are far too large")
        return quantiles

    def forecast_ahead(self, tracks: Sequence[Track], labels: Sequence[Sequence[str]] | None = None) -> Forecast:
        """What comes after ``tracks``; ``labels`` are the times of rows behind their ends, as far as a table has them.

        Raises ``InputError`` where covariates known ahead don't reach over the horizon.
        """
        horizon = self.plan.horizon
        for track in tracks:
            ahead = len(track.known) - len(track.values)
            if self.known.columns and ahead < horizon:
                names = ", ".join(column.name for column in self.known.columns)
                raise InputError(
                    f"series {track.name!r}: the model needs {names} of {horizon} rows after the last value,"
                    f" got {ahead}"
                )
        ends = np.array([len(track.values) for track in tracks], dtype=np.int64)
        series = np.arange(len(tracks))
        quantiles = self.forecast(tracks, ends, series)
        firsts = np.array([track.first for track in tracks], dtype=np.int64) + ends
        places = firsts[:, None] + np.arange(horizon)
        written = [self.grid.labels(row) for row in places]
        for row, there in zip(written, labels or [], strict=bool(labels)):
            row[: len(there)] = there[:horizon]
        return Forecast([track.name for track in tracks], places, written, quantiles)


def encode(panel: Panel, known: Encoding, observed: Encoding) -> list[Track]:
    """The series of ``panel`` as numbers."""
    return [
        Track(
            s.name,
            s.first,
            s.values,
            known.encode(panel.source, s.cells, s.labels, len(s.labels) if known.columns else len(s)),
            observed.encode(panel.source, s.cells, s.labels, len(s)),
            s.filled,
        )
        for s in panel.series
    ]


def heights(values: Array, plan: Plan) -> Array:
    """The scale on which errors are compared: logarithms where the networks read those."""
    return np.log(np.maximum(values, np.finfo(np.float64).tiny)) if plan.log else values


def height_unit(values: Array, plan: Plan) -> float:
    """How much a series usually moves from a season to the next, on the scale of ``heights``; 1 where it doesn't."""
    return seasonal_error(heights(values, plan), min(plan.season, max(1, len(values) - 1))) or 1.0


def shifted(values: Array, shifts: Array, unit: Array, plan: Plan) -> Array:
    """``values`` (n, H, Q) moved by ``shifts`` (H, Q) of ``unit`` (n,), rising over the levels, the median kept."""
    moved = heights(values, plan) + shifts * unit[:, None, None]
    return rising(np.exp(moved) if plan.log else moved, plan.median)


def rising(quantiles: Array, median: int) -> Array:
    """``quantiles`` (..., Q) rising over the levels, the one at ``median`` kept."""
    middle = quantiles[..., median : median + 1]
    below = np.minimum(np.sort(quantiles[..., :median], axis=-1), middle)
    above = np.maximum(np.sort(quantiles[..., median + 1 :], axis=-1), middle)
    return np.concatenate([below, middle, above], axis=-1)


def make_tails(model: Model, tracks: Sequence[Track]) -> Model:
    """``model`` with the ends of ``tracks``, so that it can go on from them."""
    return replace(model, tails=tuple(track.tail(model.learner.memory) for track in tracks))
