"""A trained forecaster: everything that a forecast needs, from the columns of a table to calibrated quantiles.

Its file has weights, constants and the last rows as tensors, the rest in its header.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ....runtime.forecaster import Forecaster
from ...artifacts import model_file
from ...config import from_json
from ...data.frames import FrameKind
from ...data.tables import name_of, read_table
from ...errors import InputError, remark
from . import holiday, statistical
from .answer import Words, shares_of
from .config import Columns, Plan, former
from .dataset import (
    EncodedSeries,
    Encoding,
    Scaling,
    bridged,
    encode,
    floors,
    make_dataset,
    past_values,
    standardise,
    window_values,
)
from .direct import Direct
from .following import MOST_STRETCH, follow, stretched
from .grid import Grid
from .intervals import (
    FAR,
    LATELY,
    at_shares,
    continued,
    filled_up,
    lately,
    longer,
    recent_rows,
    sampled,
    shifted,
    transformed,
)
from .learner import Learner
from .linear import FOLDS, Linear, units
from .long import read_ahead
from .panel import read_panel
from .recursive import Recursive
from .season import seasonal_spread
from .series import Head, Panel, there
from .split import Array, Rows, origins

if TYPE_CHECKING:
    from torch import nn

CONSTANTS = ("floor", "centre", "spread")
AGAIN = "again "  # what the name begins with of a network that learns all rows before the test
RANKS = 256  # of a model that has none
MOST_HEARD = 1000  # of the rows that have come since training, the last ones, tell how wide intervals are
FAR_OFF = 3.0
TOGETHER = 64  # series that are continued at once
MOST_ROWS = 10_000_000  # that a forecast may look at, of all series together, unless the file has about as many
FURTHEST = {"month": 8000 * 12, "microsecond": 8000 * 366 * 86_400 * 10**6, "number": 1e100}  # from 1970, or from 0


@dataclass(frozen=True)
class Forecast:
    """What comes after the last row of each of S series."""

    names: list[str]
    places: NDArray[np.int64]  # (S, H), on the model's grid
    labels: list[list[str]]  # S of H
    quantiles: Array  # (S, H, Q), as many rows as were asked for, or (S, H, N), ways that they may go


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
            return (*(float(getattr(self.scaling, name)[s]) for name in CONSTANTS), float(self.unit[s]), moves)
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
        found, floor = self._calibrated(series, rows, of), self.floor(series, rows, of)
        return self._finished(found, (self._stretch(series) if stretch is None else stretch)[of], floor)

    def follow(self, series: Sequence[EncodedSeries], rows: Rows, of: Rows, real: Array) -> tuple[Array, Array, Model]:
        """The quantiles from ``rows`` on, of intervals that learn from what has come before, and of those that don't.

        ``real`` (n, H) came, NaN where nothing did. The third is the model that has heard all of it.
        """
        found, floor = self._calibrated(series, rows, of), self.floor(series, rows, of)
        stretch, heard = self._following(found, series, rows, of, real)
        still = self._stretch(series)[of]
        following, still = (self._finished(found, each, floor) for each in (stretch, still))
        return following, still, heard

    def _following(
        self, found: Array, series: Sequence[EncodedSeries], rows: Rows, of: Rows, real: Array
    ) -> tuple[Array, Model]:
        """The stretch at each origin of forecasts ``found`` (n, H, Q), and the model that has heard what came."""
        start = self._stretch(series)
        stretch, last = follow(found, real, rows, of, start, self.plan)
        place = {each.name: s for s, each in enumerate(series)}
        known = [(s, place[name]) for s, name in enumerate(self.names) if name in place]
        heard = self._stretch(self.tails) if self.tails else start.copy()
        for s, mine in known:
            heard[s] = last[mine]
        return stretch, replace(self, stretch=heard)

    def hear(self, series: Sequence[EncodedSeries]) -> Model:
        """The model that has heard the values of the series it has learnt that have come since."""
        return self._heard([series])[0]

    def _heard(self, asked: Sequence[Sequence[EncodedSeries]]) -> list[Model]:
        """``hear`` for several, each for itself: the forecasts that the values are held against are made at once."""
        told = [self._news(series) for series in asked]
        every, rows, of = list[EncodedSeries](), list[Rows](), list[Rows]()
        for new, at, whose, _ in told:
            rows.append(at)
            of.append(whose + len(every))
            every += new
        heard, count = [self] * len(told), sum(map(len, rows))
        if not count:
            return heard
        found = self._calibrated(every, np.concatenate(rows), np.concatenate(of))
        parts = np.split(found, np.cumsum([len(at) for at in rows])[:-1])
        for k, ((new, at, whose, real), part) in enumerate(zip(told, parts, strict=True)):
            if len(at):
                heard[k] = self._following(part, new, at, whose, real)[1]
        return heard

    def _news(self, series: Sequence[EncodedSeries]) -> tuple[list[EncodedSeries], Rows, Rows, Array]:
        """The series of which there are new values, the origins and series of forecasts of these, and what came."""
        ends = {tail.name: tail.first + len(tail.values) for tail in self.tails}
        new = [each for each in series if ends.get(each.name, np.inf) < each.first + len(each.values)]
        horizon = self.plan.horizon
        if not new:
            return [], np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, horizon))
        whole = horizon if self.known.columns else 1  # what is known of a row further ahead may not be there
        came = np.array([ends[each.name] - each.first for each in new])  # rows that were heard before
        end = np.array([len(each.values) for each in new]) - whole + 1
        begin = np.maximum(np.maximum(came - horizon + 1, self.memory), end - MOST_HEARD)
        rows, of = origins(begin, end, 1, max(1, horizon // 8))
        padded = [replace(each, values=np.append(each.real, np.full(horizon, np.nan)), filled=None) for each in new]
        real = window_values(padded, rows, of, horizon)
        real[rows[:, None] + np.arange(horizon) < came[of][:, None]] = np.nan
        return new, rows, of, real

    def after(self, values: Array) -> Model:
        """The model once ``values`` (S, h) have come."""
        newer = longer(self, self.tails, values, self.kept)
        return make_tails(self.hear(newer), newer)

    def updated(self, panel: Panel) -> Model:
        """The model once the rows of ``panel`` have come that follow those it has heard; older ones change nothing.

        Raises ``InputError`` for a series that is new, and for one that doesn't go on where it ended.
        """
        later = {each.name: each for each in self.encode(panel)}
        if new := [name for name in later if name not in self.names]:
            raise InputError(f"{panel.source}: series {new[0]!r} is new: predict takes new series, fit learns them")
        counted = self.grid.unit == "row"
        newer = [_followed(panel.source, tail, later.get(tail.name), counted=counted) for tail in self.tails]
        return make_tails(self.hear(newer), newer)

    def _calibrated(self, series: Sequence[EncodedSeries], rows: Rows, of: Rows) -> Array:
        """The quantiles as the validation part has them moved, (n, H, Q)."""
        scaling, unit, moves = self.constants(series)
        with np.errstate(over="ignore", invalid="ignore"):
            found = self._scaled(series, rows, of, scaling, moves)
            own = lately(series, rows, of, unit, self.plan, self.lately)
            found = shifted(scaling.backward(found, of), self.shifts, own, self.plan)
        return statistical.moved(found, self.statistical, series, rows, of, self.plan) if self.statistical else found

    def _stretch(self, series: Sequence[EncodedSeries]) -> Array:
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

    def _finished(self, quantiles: Array, stretch: Array, floor: Array) -> Array:
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

    def forecast_ahead(
        self,
        series: Sequence[EncodedSeries],
        labels: Sequence[Sequence[str]] | None = None,
        rows: int | None = None,
        *,
        spread: bool = True,
        samples: int = 0,
        seed: int = 0,
    ) -> Forecast:
        """``rows`` rows after ``series``, by default the horizon; ``spread`` as in ``intervals.continued``.

        With ``samples`` it is so many ways that they may go, drawn with ``seed``, in the place of quantiles.
        ``labels`` are the times of rows behind their ends, as far as a table has them. Raises ``InputError`` where
        covariates known ahead don't reach so far.
        """
        rows = self.plan.horizon if rows is None else rows
        if self.known.columns:
            series = [self._reaching(each, rows) for each in series]
        together = [series[s : s + TOGETHER] for s in range(0, len(series), TOGETHER)]
        model = self.hear(series)
        parts = [
            sampled(model, each, rows, samples, seed + s).swapaxes(1, 2)
            if samples
            else continued(model, each, rows, spread=spread)
            for s, each in enumerate(together)
        ]
        return self._dated(series, labels, rows, np.concatenate(parts))

    def forecast_each(
        self, asked: Sequence[tuple[Sequence[EncodedSeries], Sequence[Sequence[str]] | None, int]]
    ) -> list[Forecast]:
        """``forecast_ahead`` of several ``(series, labels, rows)``, each for itself, whatever their names.

        What isn't beyond the horizon is forecast at once.
        """
        found: dict[int, Forecast] = {}
        near = [k for k, (*_, rows) in enumerate(asked) if rows <= self.plan.horizon]
        told = [
            [self._reaching(each, asked[k][2]) for each in asked[k][0]] if self.known.columns else list(asked[k][0])
            for k in near
        ]
        stretch = [model._stretch(series) for model, series in zip(self._heard(told), told, strict=True)]
        every = [filled_up(self, each, asked[k][2]) for k, series in zip(near, told, strict=True) for each in series]
        stretches = np.concatenate([np.zeros((0, len(self.plan.quantiles))), *stretch])
        parts = [np.zeros((0, self.plan.horizon, len(self.plan.quantiles)))]
        for begin in range(0, len(every), TOGETHER):
            some = every[begin : begin + TOGETHER]
            ends = np.array([len(each.values) for each in some], dtype=np.int64)
            parts.append(self.forecast(some, ends, np.arange(len(some)), stretches[begin : begin + TOGETHER]))
        ahead = np.split(np.concatenate(parts), np.cumsum([len(series) for series in told])[:-1]) if near else []
        for k, series, quantiles in zip(near, told, ahead, strict=True):
            found[k] = self._dated(series, asked[k][1], asked[k][2], quantiles[:, : asked[k][2]])
        return [found[k] if k in found else self.forecast_ahead(*asked[k]) for k in range(len(asked))]

    def _dated(
        self, series: Sequence[EncodedSeries], labels: Sequence[Sequence[str]] | None, rows: int, quantiles: Array
    ) -> Forecast:
        """``quantiles`` of rows behind the ends of ``series``, and when these are."""
        ends = np.array([each.first + len(each.values) for each in series], dtype=np.int64)
        places = ends[:, None] + np.arange(rows)
        written = [self.grid.labels(row) for row in places]
        for row, told in zip(written, labels or [], strict=bool(labels)):
            row[: len(told)] = told[:rows]
        return Forecast([each.name for each in series], places, written, quantiles)

    def _reaching(self, series: EncodedSeries, rows: int) -> EncodedSeries:
        """``series`` with what is known of ``rows`` rows ahead: static covariates as they always were, and holidays."""
        ahead = len(series.known) - len(series.values)
        if ahead >= rows:
            return series
        if self.columns.known:
            names = ", ".join(self.columns.known)
            raise InputError(
                f"series {series.name!r}: the model needs {names} of {rows} rows after the last value, got {ahead}"
            )
        country, more, cells = self.columns.holidays, rows - ahead, dict[str, Any]()
        if country:
            cells = holiday.cells(country, self.grid, series.first + len(series.known) + np.arange(more))
        told = self.known.encode("", cells, [""] * more, more, series.known[-1])
        return replace(series, known=np.concatenate([series.known, told]))

    def _told(self, series: Sequence[EncodedSeries], heads: Sequence[Head], ahead: Any) -> list[EncodedSeries]:
        """``series`` with what the table ``ahead`` knows of the rows behind their ends."""
        where, found = name_of(ahead), []
        if not self.columns.known:
            raise InputError(f"{where}: the model has learnt without covariates that are known ahead")
        told = read_ahead(read_table(ahead), where, self.columns, self.grid)
        for each, head in zip(series, heads, strict=True):
            key, end = head.key if self.columns.id else (), each.first + len(each.values)
            if key not in told:
                raise InputError(f"{where}: no rows of series {each.name!r}")
            places = told[key].places
            rows = np.arange(len(told[key].labels)) if places is None else np.flatnonzero(places >= end)
            expected = end + np.arange(len(rows))
            if places is not None and (places[rows] != expected).any():
                lacks = self.grid.labels(expected[places[rows] != expected][:1])[0]
                raise InputError(f"{where}: series {each.name!r}: expected a row for {lacks}")
            cells = {name: column[rows] for name, column in told[key].cells.items()}
            for name, column in cells.items():
                if self.plan.gaps != "mask" and not there(column).all():
                    raise InputError(f"{where}: series {each.name!r}: column {name!r}: a value is missing")
            if self.columns.holidays:
                cells |= holiday.cells(self.columns.holidays, self.grid, expected)
            labels = [told[key].labels[row] for row in rows]
            known = self.known.encode(where, cells, labels, len(rows), each.known[-1])
            found.append(replace(each, known=np.concatenate([each.known[: len(each.values)], known])))
        return found

    def predict(
        self,
        source: Any = None,
        *,
        ahead: Any = None,
        rows: int | None = None,
        level: Any = None,
        samples: int = 0,
        seed: int = 0,
        text: bool = False,
    ) -> tuple[Forecast, Any]:
        """What follows the series of ``source``, a file or a frame, and that as a table; None: those seen last.

        ``rows``, ``samples`` and ``seed`` as above, ``level`` are the intervals in per cent; None: the quantiles that
        were learnt. ``ahead`` is another table, of the covariates of rows to come; None: they are in ``source``.
        With ``text`` the table is CSV.
        """
        shares = shares_of(level, self.plan.quantiles)
        if source is None:
            heads, words = self.heads, Words(self.columns, self.grid, self.layout or _text(self.columns))
            tails = self.tails if ahead is None else self._told(self.tails, heads, ahead)
            found = self.forecast_ahead(tails, rows=rows, samples=samples, seed=seed)
        else:
            panel = read_panel(source, self.columns, gaps=self.plan.gaps, grid=self.grid)
            heads, words = tuple(one.head for one in panel.series), Words(self.columns, self.grid, panel.kind)
            labels = [series.labels[len(series) :] for series in panel.series]
            series = self.encode(panel)
            series = series if ahead is None else self._told(series, heads, ahead)
            found = self.forecast_ahead(series, labels, rows, samples=samples, seed=seed)
            self._look_at(panel.source, series)
        said = words.text if text else words.table
        if samples:
            return found, said(heads, found.places, found.labels, (), found.quantiles)
        quantiles = at_shares(found.quantiles, self.plan, shares, self.reach)
        return found, said(heads, found.places, found.labels, shares, quantiles)

    def _look_at(self, where: str, series: Sequence[EncodedSeries]) -> None:
        """Remark series that are shorter than what a forecast reads, and values far off those that were learnt from."""
        read = self.linear.lookback if self.linear else self.learner.before
        short = [each for each in series if len(each.values) < read]
        if short:
            remark(
                f"{where}: series {short[0].name!r}{_and_more(short)}: {len(short[0].values)} rows, the model looks"
                f" back at {read}; those before count as the first one"
            )
        known = {tail.name: tail.values for tail in self.tails}
        far = [each for each in series if each.name in known and _far(each.values, known[each.name])]
        if far:
            name, (low, high) = far[0].name, _range(far[0].values)
            learnt = _range(known[name])
            remark(
                f"{where}: series {name!r}{_and_more(far)}: values from {low:g} to {high:g}, far off those that the"
                f" model saw last, {learnt[0]:g} to {learnt[1]:g}"
            )

    def content(self) -> dict[str, Any]:
        """Everything but the numbers."""
        return {
            "columns": asdict(self.columns),
            "grid": asdict(self.grid),
            "dimensions": self.dimensions,
            "known": self.known.to_json(),
            "observed": self.observed.to_json(),
            "names": list(self.names),
            "heads": [[list(head.key), head.target] for head in self.heads],
            "learner": self.learner.to_json(),
            "linear": self.linear.to_json() if self.linear else None,
            "share": self.share,
            "lately": self.lately,
            "statistical": dict(self.statistical),
            "positive": self.positive,
            "first": [tail.first for tail in self.tails],
            "rows": [len(tail.values) for tail in self.tails],
            "known_rows": [len(tail.known) for tail in self.tails],
        }

    def tensors(self) -> model_file.Arrays:
        """Weights, constants and the last rows."""
        arrays = {f"scaling.{name}": getattr(self.scaling, name) for name in CONSTANTS}
        kept = ("unit", "shifts", "ranks", "reach", "stretch")
        arrays |= {name: array for name in kept if (array := getattr(self, name)) is not None}
        arrays |= self.linear.tensors() if self.linear else {}
        arrays |= {
            f"tail.{name}": np.concatenate([getattr(tail, name) for tail in self.tails])
            for name in ("values", "known", "observed")
        }
        return arrays | self.learner.tensors()

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Former formats had other names."""
        if "plan" in content:  # format 1
            columns = {"target" if name == "targets" else name: value for name, value in content["columns"].items()}
            content = content | {"config": content["plan"], "columns": columns, "notes": {}}
        named = content["columns"].get("id")
        columns = content["columns"] | {"id": [] if named is None else [named]}
        return content | {"config": former(content["config"], content.get("gaps")), "columns": columns}

    @classmethod
    def built(cls, content: Mapping[str, Any], arrays: model_file.Arrays, **shared: Any) -> Model:
        """The model of ``content`` and ``arrays``; ValueError where they don't fit."""
        plan: Plan = shared["config"]
        columns = from_json(Columns, content["columns"])
        known, observed = Encoding.from_json(content["known"]), Encoding.from_json(content["observed"])
        names = tuple(map(str, content["names"]))
        if not names or len(set(names)) != len(names):
            raise ValueError("expected the names of the series")
        scaling = Scaling(plan.log, *(_array(arrays, f"scaling.{name}", len(names)) for name in CONSTANTS))
        unit = _array(arrays, "unit", len(names))
        if not (scaling.spread > 0).all() or not (unit > 0).all() or (plan.log and not (scaling.floor > 0).all()):
            raise ValueError("expected a spread and a unit above 0 for every series")
        tails = _tails(content, arrays, names, known.width, observed.width)
        linear = content.get("linear")
        linear = None if linear is None else Linear.build(linear, arrays, len(names), plan.horizon)
        told = content.get("statistical", {})
        return cls(
            **shared,
            columns=columns,
            grid=_grid(content["grid"], tails, plan.horizon),
            known=known,
            observed=observed,
            names=names,
            scaling=scaling,
            unit=unit,
            shifts=_array(arrays, "shifts", plan.horizon, len(plan.quantiles)),
            learner=_learner(plan, content["learner"], arrays, tails, linear, shared["kernels"]),
            tails=tails,
            heads=_heads(content, columns, names),
            ranks=_ranks(arrays, plan.horizon),
            dimensions=_dimensions(content, columns),
            linear=linear,
            share=_share(content, "share", 1.0),
            lately=_share(content, "lately", 0.0),
            positive=content.get("positive", False) is True,
            statistical={name: _share(told, name, 0.0) for name in statistical.METHODS if name in told},
            reach=_reach(arrays),
            stretch=_stretch(arrays, len(names), len(plan.quantiles)),
        )


def make_tails(model: Model, series: Sequence[EncodedSeries]) -> Model:
    """``model`` with the ends of ``series``, so that it can go on from them, and hear how its last forecasts did."""
    return replace(model, tails=tuple(each.tail(model.kept) for each in series))


def _followed(where: str, tail: EncodedSeries, after: EncodedSeries | None, *, counted: bool) -> EncodedSeries:
    """``tail`` with the rows of ``after`` behind it. Where rows are ``counted`` these are the next ones."""
    if after is None:
        return tail
    count, end = len(tail.values), tail.first + len(tail.values)
    heard = 0 if counted else end - after.first  # rows of it that aren't new
    if heard < 0:
        raise InputError(
            f"{where}: series {tail.name!r} begins {-heard} rows too late: expected the rows after the last one heard"
        )
    if heard >= len(after.values):
        return tail
    new = np.zeros(len(after.values), np.bool_) if after.filled is None else after.filled
    return replace(
        tail,
        values=np.concatenate([tail.values, after.values[heard:]]),
        known=np.concatenate([tail.known[:count], after.known[heard:]]),
        observed=np.concatenate([tail.observed, after.observed[heard:]]),
        filled=np.concatenate([np.zeros(count, np.bool_), new[heard:]]),
    )


def mix(base: Array | None, found: Array, share: float) -> Array:
    """Quantiles (n, H, Q) that count by their ``share`` beside the forecast ``base`` (n, H)."""
    return found if base is None else base[..., None] + share * (found - base[..., None])


def calibration(fold: int) -> str:
    """What the names of networks begin with that calibrate on this piece, counted from 1, of a short series."""
    return "calibration " if fold == 1 else f"calibration {fold} "


def _range(values: Array) -> tuple[float, float]:
    return float(np.nanmin(values)), float(np.nanmax(values))


def _far(values: Array, known: Array) -> bool:
    """Whether the middle of the last ``values``, as many as ``known``, is ``FAR_OFF`` times the range of those away."""
    low, high = _range(known)
    middle = float(np.nanmedian(values[-len(known) :])) if np.isfinite(values[-len(known) :]).any() else low
    return max(low - middle, middle - high) > FAR_OFF * ((high - low) or abs(high) or 1.0)


def _and_more(series: Sequence[EncodedSeries]) -> str:
    return f" and {len(series) - 1} more" if len(series) > 1 else ""


def _text(columns: Columns) -> FrameKind:
    """What tables were answered with before their kind was noted."""
    return FrameKind(types=dict.fromkeys((*columns.id, columns.time or ""), ("String",)))


# What a file says, looked at


def _ranks(arrays: Mapping[str, Array], horizon: int) -> NDArray[np.float32]:
    if "ranks" not in arrays:  # as in files of before there were any
        rank = (np.arange(RANKS, dtype=np.float32)[:, None] + 0.5) / RANKS
        return np.repeat(rank, horizon, axis=1)  # all steps of a path as far off as each other
    ranks: NDArray[Any] = arrays["ranks"]
    if ranks.ndim != 2 or ranks.shape[1] != horizon or not len(ranks) or ranks.dtype != np.float32:
        raise ValueError(f"expected ranks over {horizon} steps, got {ranks.dtype} of the shape {ranks.shape}")
    if not ((ranks > 0) & (ranks < 1)).all():
        raise ValueError("expected ranks between 0 and 1")
    return ranks


def _heads(content: Mapping[str, Any], columns: Columns, names: Sequence[str]) -> tuple[Head, ...]:
    """Which series is which; a file of before that was noted says it by their names."""
    if "heads" not in content:
        return tuple(_head(name, columns) for name in names)
    heads = tuple(from_json(Head, {"key": key, "target": target}) for key, target in content["heads"])
    if len(heads) != len(names) or {len(head.key) for head in heads} != {len(heads[0].key)}:
        raise ValueError("expected the ids of every series")
    return heads


def _head(name: str, columns: Columns) -> Head:
    if not columns.id:
        return Head((name,)) if columns.layout == "rows" else Head(target=name)
    if len(columns.target) < 2:
        return Head((name,), *columns.target)
    target = next((each for each in columns.target if name.endswith(f"/{each}")), columns.target[0])
    return Head((name.removesuffix(f"/{target}"),), target)


def _reach(arrays: Mapping[str, Array]) -> Array | None:
    if "reach" not in arrays:
        return None
    reach = _array(arrays, "reach", len(FAR))
    if not ((reach >= 1) & (np.diff(reach, prepend=1.0) >= 0)).all():
        raise ValueError("expected rising numbers from 1 on")
    return reach


def _stretch(arrays: Mapping[str, Array], series: int, quantiles: int) -> Array | None:
    if "stretch" not in arrays:
        return None
    stretch = _array(arrays, "stretch", series, quantiles)
    if not (np.abs(stretch) <= np.log(MOST_STRETCH)).all():
        raise ValueError(f"expected intervals stretched {MOST_STRETCH:g} times at most")
    return stretch


def _dimensions(content: Mapping[str, Any], columns: Columns) -> int:
    """What a file of before this was noted says of it by the names that ``Forecaster`` gives the columns of arrays."""
    named = columns.time is None and not columns.id and columns.target[:1] in (("y",), ("y0",))
    found = content.get("dimensions", (1 if columns.target == ("y",) else 2) if named else 0)
    if found not in (0, 1, 2) or (found == 1 and len(columns.target) != 1):
        raise ValueError(f"expected a table or an array of 1 or 2 dimensions, got {found!r}")
    return int(found)


def _array(arrays: Mapping[str, Array], name: str, *shape: int) -> Array:
    array: Array = arrays[name]
    if array.shape != shape or array.dtype != np.float64:
        raise ValueError(f"{name} is {array.dtype} of the shape {array.shape}, expected float64 {shape}")
    return array


def _grid(content: Any, tails: Sequence[EncodedSeries], horizon: int) -> Grid:
    """The grid; ValueError where the rows and the horizon are not on its calendar."""
    grid = from_json(Grid, content)
    ends = np.array([(tail.first, tail.first + len(tail.values) + horizon) for tail in tails], dtype=np.int64)
    when = grid.size * ends.astype(np.float64) + grid.offset
    if not (np.abs(when) <= FURTHEST.get(grid.unit, model_file.LARGEST)).all():
        raise ValueError("its rows are in no year that a calendar has")
    return grid


def _share(content: Mapping[str, Any], name: str, default: float) -> float:
    share = content.get(name, default)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise ValueError(f"expected a share, got {share!r}")
    return float(share)


def _learner(
    plan: Plan,
    content: Any,
    arrays: Mapping[str, Any],
    tails: Sequence[EncodedSeries],
    linear: Linear | None,
    kernels: model_file.Kernels,
) -> Learner:
    weights = {name: w for name, w in arrays.items() if name.startswith("network.")}
    kind: type[Learner] = Recursive if plan.recursive else Direct
    if linear is None and not plan.recursive:  # in files of before there were any offsets
        for number in range(plan.ensemble if plan.ensemble <= len(arrays) else 0):
            bias = weights.get(f"network.{number}.head.bias", np.zeros(0))
            size = len(bias) // (plan.segment if plan.model == "segrnn" else 1)
            weights.setdefault(f"network.{number}.offsets", np.zeros((plan.horizon, size), np.float32))
    _check_inputs(kind(plan, from_json(kind.INPUTS, content)), tails)
    learner = kind.build(plan, content, weights, kernels)
    if linear is None and getattr(learner.inputs, "season", 1) == 0:
        raise ValueError("there is no linear forecast that the networks could correct")
    return learner


def _check_inputs(learner: Learner, tails: Sequence[EncodedSeries]) -> None:
    """ValueError where the networks read something else than the series have, or more rows than there can be."""
    wanted = learner.expected_inputs(tails[0].known.shape[1], tails[0].observed.shape[1], len(tails))
    for name, count in wanted.items():
        if (found := getattr(learner.inputs, name)) != count:
            raise ValueError(f"expected {count} {name}, got {found}")
    rows = sum(len(tail.values) for tail in tails)
    needed = len(tails) * (learner.before + learner.memory + learner.plan.horizon)
    if needed > max(MOST_ROWS, 10 * rows):
        raise ValueError(f"a forecast of it would look at {needed} rows, the file has {rows}")


def _tails(
    content: Mapping[str, Any], arrays: Mapping[str, Array], names: tuple[str, ...], known: int, observed: int
) -> tuple[EncodedSeries, ...]:
    counts = {name: [_row_count(count) for count in content[name]] for name in ("rows", "known_rows")}
    total, ahead = (sum(counts[name]) for name in ("rows", "known_rows"))
    parts = (
        np.split(_array(arrays, "tail.values", total), np.cumsum(counts["rows"])[:-1]),
        np.split(_array(arrays, "tail.known", ahead, known), np.cumsum(counts["known_rows"])[:-1]),
        np.split(_array(arrays, "tail.observed", total, observed), np.cumsum(counts["rows"])[:-1]),
    )
    firsts = [_row_count(abs(first)) and int(first) for first in content["first"]]
    tails = tuple(EncodedSeries(*each) for each in zip(names, firsts, *parts, strict=True))
    for tail in tails:
        if len(tail.known) < len(tail.values) or np.isinf(tail.values).any():
            raise ValueError(f"the last rows of {tail.name!r} are not whole")
    return tails


def _row_count(count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= model_file.LARGEST:
        raise ValueError(f"expected a number of rows, got {count!r}")
    return count
