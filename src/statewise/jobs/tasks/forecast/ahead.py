"""What comes after the last rows of series, to the horizon and beyond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...data.tables import name_of, read_table
from ...errors import InputError
from . import holiday
from .dataset import EncodedSeries
from .intervals import continued, filled_up, sampled
from .long import read_ahead
from .newer import hear, hear_each
from .series import Head, there
from .split import Array

if TYPE_CHECKING:
    from .model import Model

TOGETHER = 64  # series that are continued at once


@dataclass(frozen=True)
class Forecast:
    """What comes after the last row of each of S series."""

    names: list[str]
    places: NDArray[np.int64]  # (S, H), on the model's grid
    labels: list[list[str]]  # S of H
    quantiles: Array  # (S, H, Q), as many rows as were asked for, or (S, H, N), ways that they may go
    floor: Array  # (S,), what nothing of a series is below


def forecast_ahead(
    model: Model,
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
    rows = model.plan.horizon if rows is None else rows
    if model.known.columns:
        series = [reaching(model, each, rows) for each in series]
    together = [series[s : s + TOGETHER] for s in range(0, len(series), TOGETHER)]
    model = hear(model, series)
    parts = [
        sampled(model, each, rows, samples, seed + s).swapaxes(1, 2)
        if samples
        else continued(model, each, rows, spread=spread)
        for s, each in enumerate(together)
    ]
    return _dated(model, series, labels, rows, np.concatenate(parts))


def forecast_each(
    model: Model, asked: Sequence[tuple[Sequence[EncodedSeries], Sequence[Sequence[str]] | None, int]]
) -> list[Forecast]:
    """``forecast_ahead`` of several ``(series, labels, rows)``, each for itself, whatever their names.

    What isn't beyond the horizon is forecast at once.
    """
    found: dict[int, Forecast] = {}
    near = [k for k, (*_, rows) in enumerate(asked) if rows <= model.plan.horizon]
    told = [
        [reaching(model, each, asked[k][2]) for each in asked[k][0]] if model.known.columns else list(asked[k][0])
        for k in near
    ]
    stretch = [heard.stretch_of(series) for heard, series in zip(hear_each(model, told), told, strict=True)]
    every = [filled_up(model, each, asked[k][2]) for k, series in zip(near, told, strict=True) for each in series]
    stretches = np.concatenate([np.zeros((0, len(model.plan.quantiles))), *stretch])
    parts = [np.zeros((0, model.plan.horizon, len(model.plan.quantiles)))]
    for begin in range(0, len(every), TOGETHER):
        some = every[begin : begin + TOGETHER]
        ends = np.array([len(each.values) for each in some], dtype=np.int64)
        parts.append(model.forecast(some, ends, np.arange(len(some)), stretches[begin : begin + TOGETHER]))
    ahead = np.split(np.concatenate(parts), np.cumsum([len(series) for series in told])[:-1]) if near else []
    for k, series, quantiles in zip(near, told, ahead, strict=True):
        found[k] = _dated(model, series, asked[k][1], asked[k][2], quantiles[:, : asked[k][2]])
    return [found[k] if k in found else forecast_ahead(model, *asked[k]) for k in range(len(asked))]


def _dated(
    model: Model, series: Sequence[EncodedSeries], labels: Sequence[Sequence[str]] | None, rows: int, quantiles: Array
) -> Forecast:
    """``quantiles`` of rows behind the ends of ``series``, and when these are."""
    ends = np.array([each.first + len(each.values) for each in series], dtype=np.int64)
    places = ends[:, None] + np.arange(rows)
    written = [model.grid.labels(row) for row in places]
    for row, told in zip(written, labels or [], strict=bool(labels)):
        row[: len(told)] = told[:rows]
    floor = model.floor(series, np.array([len(each.values) for each in series]), np.arange(len(series)))
    return Forecast([each.name for each in series], places, written, quantiles, floor)


def reaching(model: Model, series: EncodedSeries, rows: int) -> EncodedSeries:
    """``series`` with what is known of ``rows`` rows ahead: static covariates as they always were, and holidays."""
    ahead = len(series.known) - len(series.values)
    if ahead >= rows:
        return series
    if model.columns.known:
        names = ", ".join(model.columns.known)
        raise InputError(
            f"series {series.name!r}: the model needs {names} of {rows} rows after the last value, got {ahead}"
        )
    country, more, cells = model.columns.holidays, rows - ahead, dict[str, Any]()
    if country:
        cells = holiday.cells(country, model.grid, series.first + len(series.known) + np.arange(more))
    told = model.known.encode("", cells, [""] * more, more, series.known[-1])
    return replace(series, known=np.concatenate([series.known, told]))


def told_ahead(model: Model, series: Sequence[EncodedSeries], heads: Sequence[Head], ahead: Any) -> list[EncodedSeries]:
    """``series`` with what the table ``ahead`` knows of the rows behind their ends."""
    where, found = name_of(ahead), []
    if not model.columns.known:
        raise InputError(f"{where}: the model has learnt without covariates that are known ahead")
    told = read_ahead(read_table(ahead), where, model.columns, model.grid)
    for each, head in zip(series, heads, strict=True):
        key, end = head.key if model.columns.id else (), each.first + len(each.values)
        if key not in told:
            raise InputError(f"{where}: no rows of series {each.name!r}")
        places = told[key].places
        rows = np.arange(len(told[key].labels)) if places is None else np.flatnonzero(places >= end)
        expected = end + np.arange(len(rows))
        if places is not None and (places[rows] != expected).any():
            lacks = model.grid.labels(expected[places[rows] != expected][:1])[0]
            raise InputError(f"{where}: series {each.name!r}: expected a row for {lacks}")
        cells = {name: column[rows] for name, column in told[key].cells.items()}
        for name, column in cells.items():
            if model.plan.gaps != "mask" and not there(column).all():
                raise InputError(f"{where}: series {each.name!r}: column {name!r}: a value is missing")
        if model.columns.holidays:
            cells |= holiday.cells(model.columns.holidays, model.grid, expected)
        labels = [told[key].labels[row] for row in rows]
        known = model.known.encode(where, cells, labels, len(rows), each.known[-1])
        found.append(replace(each, known=np.concatenate([each.known[: len(each.values)], known])))
    return found
