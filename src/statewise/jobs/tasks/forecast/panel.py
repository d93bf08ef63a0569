"""From a table or arrays to a panel of series on one grid: which rows belong together, and what to do about gaps.

A table has one of three layouts. Long: a row is a time step, several series told apart by an id column. Several
targets: each is a series. Rows: a row of the table is a whole series, of any length.

Gaps are rows that the grid has and the table hasn't, and cells without a value. They are refused by row unless the
user says how to go on: ``mask`` leaves them out of the loss and tells the network; ``carry`` repeats the last value;
``ignore`` takes the rows as equally spaced, whatever their times say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data import columns as cells
from ...data.content import plain_name
from ...data.frames import FrameKind, as_numbers, is_time_series
from ...data.tables import name_of, read_table
from ...errors import InputError
from ...lazy import LazyModule
from . import holiday
from .config import Columns
from .grid import Grid
from .long import read_long
from .series import Head, Panel, Series, make_series, missing
from .split import Array

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

BUNDLED = Path(__file__).parents[2] / "data" / "airline-passengers.csv"

# Tables


def read_panel(
    source: Any = BUNDLED, columns: Columns | None = None, *, gaps: str = "refuse", grid: Grid | None = None
) -> Panel:
    """The series in a CSV or Parquet file or a data frame.

    ``grid`` is the one to stand on, where a model brings it; else it is found. Raises ``InputError`` for what can't be
    used: a missing column, text among numbers, times out of order, and gaps, where ``gaps`` is ``refuse``.
    """
    columns, where, of_file = columns or Columns(), name_of(source), isinstance(source, (str, PathLike))
    if is_time_series(source):
        source = source.to_dataframe()
        if columns.convention == "auto":
            columns = replace(columns, convention="darts")
    frame = read_table(source, columns.header)
    if not len(frame):
        raise InputError(f"{where}: a table without rows")
    if columns.layout == "rows":
        panel = _rows(frame, where, columns, gaps)
    else:
        panel = read_long(frame, where, columns, gaps, grid)
    kind = FrameKind(types=dict.fromkeys(frame.columns, ("String",))) if of_file else FrameKind.of(source)
    if country := panel.columns.holidays:
        panel = replace(panel, series=tuple(_with_holidays(one, country, panel.grid) for one in panel.series))
    named = (*panel.columns.id, *([panel.columns.time] if panel.columns.time else []))
    return replace(panel, name=plain_name(Path(source)) if of_file else "table", kind=kind.keep(named))


def _with_holidays(series: Series, country: str, grid: Grid) -> Series:
    places = series.first + np.arange(len(series.labels), dtype=np.int64)
    return replace(series, cells={**series.cells, **holiday.cells(country, grid, places)})


# Rows: a series in each.


def _rows(frame: pl.DataFrame, where: str, columns: Columns, gaps: str) -> Panel:
    if columns.time or columns.target or columns.covariates:
        raise InputError(f"{where}: with --layout rows there are no columns of times, targets or covariates to name")
    first = frame.columns[0]
    named = columns.id or ((first,) if not cells.reads_as_numbers(frame[first]) else ())
    keys = list(zip(*(cells.labels(frame[name]) for name in named), strict=True)) if named else [()] * len(frame)
    names = ["/".join(key) or str(row + 1) for row, key in enumerate(keys)]
    _check_names(where, names)
    numbers = frame.drop(named)
    table = np.stack([cells.numbers(where, numbers[c], missing=True) for c in numbers.columns], axis=1)  # (series, T)
    series = []
    for row, values in enumerate(table):
        filled = np.flatnonzero(np.isfinite(values))
        if not len(filled):
            raise InputError(f"{where}: row {row + 1}: series {names[row]!r} has no value")
        values = values[filled[0] : filled[-1] + 1]
        if np.isnan(values).any() and gaps in ("refuse", "ignore"):
            at = int(filled[0]) + int(np.flatnonzero(np.isnan(values))[0])
            raise InputError(f"{where}: row {row + 1}, column {numbers.columns[at]!r}: {missing(values)}")
        labels = [str(step + 1) for step in range(len(values))]
        head = Head(keys[row] or (names[row],), "")
        series.append(make_series(names[row], 0, values, labels, {}, gaps, head))
    return Panel("table", where, tuple(series), Grid(), replace(columns, id=named))


def _check_names(where: str, names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if name in seen:
            raise InputError(f"{where}: row {row + 1}: series {name!r} comes twice, first in row {seen[name] + 1}")
        seen[name] = row


# Arrays


def features(X: Any) -> Array:
    """``X`` as (n, columns) numbers. Raises ``InputError`` for anything else."""
    expected = "X: expected numbers of the shape (n, columns)"
    found = as_numbers(X, expected)
    if found.ndim == 1 and len(found):
        found = found[:, None]
    if found.ndim != 2:
        raise InputError(f"{expected}, got {found.dtype} {found.shape}")
    if (odd := ~np.isfinite(found)).any():
        row, column = np.argwhere(odd)[0]
        value = "NaN" if np.isnan(found[row, column]) else f"{found[row, column]:g}"
        raise InputError(f"X: expected finite numbers, column x{column} has {value}")
    return found.astype(np.float64)


def array_panel(X: Any, y: Any, gaps: str) -> Panel:
    """The panel of the columns of ``y`` (n,) or (n, channels), with the covariates ``X`` (n, columns) known ahead.

    Raises ``InputError`` for what can't be used.
    """
    expected = "y: expected numbers of the shape (n,) or (n, channels)"
    values, known = as_numbers(y, expected), features(X)
    if values.ndim not in (1, 2) or 0 in values.shape:
        raise InputError(f"{expected}, got {values.dtype} {values.shape}")
    if len(known) != len(values):
        raise InputError(f"expected as many rows of X as of y, got {len(known)} and {len(values)}")
    names = ("y",) if values.ndim == 1 else tuple(f"y{c}" for c in range(values.shape[1]))
    targets = values.reshape(len(values), -1).T.astype(np.float64)  # (channels, n)
    told = {f"x{c}": column for c, column in enumerate(known.T)}
    series = tuple(_of_array(*each, told, gaps) for each in zip(names, targets, strict=True))
    return Panel("series", "the array", series, Grid(), Columns(target=names, known=tuple(told)))


def _of_array(name: str, values: Array, told: Mapping[str, Array], gaps: str) -> Series:
    if np.isinf(values).any() or (np.isnan(values).any() and gaps in ("refuse", "ignore")):
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"{name}, row {row}: expected a finite number, got {values[row]}; gaps='mask' leaves NaN out")
    there = np.flatnonzero(np.isfinite(values))
    if not len(there) or there[-1] != len(values) - 1:
        raise InputError(f"{name}: the last value must be there, it is what a forecast continues")
    first = int(there[0])
    labels = [str(row + 1) for row in range(first, len(values))]
    cells = {column: known[first:] for column, known in told.items()}
    return make_series(name, first, values[first:], labels, cells, gaps, Head(target=name))
