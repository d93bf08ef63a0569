"""From a table or arrays to a panel of series on one grid: which rows belong together, and what to do about gaps.

A table has one of three layouts. Long: a row is a time step, several series told apart by an id column. Several
targets: each is a series. Rows: a row of the table is a whole series, of any length.

Gaps are rows that the grid has and the table hasn't, and cells without a value. They are refused by row unless the
user says how to go on: ``mask`` leaves them out of the loss and tells the network; ``carry`` repeats the last value;
``ignore`` takes the rows as equally spaced, whatever their times say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data import columns as cells
from ...data.content import plain_name
from ...data.frames import as_numbers
from ...data.tables import name_of, read_table
from ...errors import InputError
from .config import Columns
from .grid import Grid, Places, find_grid
from .split import Array

BUNDLED = Path(__file__).parents[2] / "data" / "airline-passengers.csv"


@dataclass(frozen=True)
class Series:
    """One series; T rows from its first value to its last, and F rows after it, of which only covariates are known."""

    name: str
    first: int
    """The place of row 0 on the panel's grid; the others follow without a gap."""
    values: Array  # (T,), NaN where missing
    labels: list[str]  # (T + F,)
    cells: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # each (T + F,): float64, NaN missing; or str, ""
    filled: NDArray[np.bool_] | None = None
    """Which of the values the table hasn't got, and repeat the last one (T,); None: none of them."""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where the table has no value: (T,)."""
        gaps = np.isnan(self.values)
        return gaps if self.filled is None else gaps | self.filled

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Panel:
    """All series of a run."""

    name: str
    source: str
    """What an error calls the table."""
    series: tuple[Series, ...]
    grid: Grid
    columns: Columns

    @property
    def missing(self) -> int:
        """How many values between the first and the last of their series the table hasn't got."""
        return sum(int(series.missing.sum()) for series in self.series)


def joined(panel: Panel, later: Panel) -> Panel:
    """``panel`` with the rows of ``later`` behind its own, series by series, as a test file continues a training file.

    Raises ``InputError`` where a series is in one of them alone, or doesn't continue.
    """
    following = {series.name: series for series in later.series}
    if set(following) != {series.name for series in panel.series}:
        only = sorted(set(following) ^ {series.name for series in panel.series})
        raise InputError(f"{later.source}: expected the same series as in {panel.source}; {only[0]!r} is in one alone")
    return replace(panel, series=tuple(_continued(panel, s, following[s.name], later) for s in panel.series))


def _continued(panel: Panel, series: Series, after: Series, later: Panel) -> Series:
    total, first = len(series), series.first
    place = first + total if panel.grid.unit == "row" else after.first
    if place != first + total:
        raise InputError(
            f"{later.source}: series {series.name!r} begins at {after.labels[0]},"
            f" expected the step after {series.labels[total - 1]}, the last of {panel.source}"
        )
    places = first + np.arange(total, total + len(after.labels))
    written = panel.grid.labels(places) if panel.grid.unit == "row" else after.labels
    cells = {name: np.concatenate([column[:total], after.cells[name]]) for name, column in series.cells.items()}
    values = np.concatenate([series.values, after.values])
    filled = np.concatenate([one.missing & ~np.isnan(one.values) for one in (series, after)])
    return Series(series.name, first, values, series.labels[:total] + list(written), cells, filled)


# Tables


def read_panel(
    source: Any = BUNDLED, columns: Columns | None = None, *, gaps: str = "refuse", grid: Grid | None = None
) -> Panel:
    """The series in a CSV or Parquet file or a data frame.

    ``grid`` is the one to stand on, where a model brings it; else it is found. Raises ``InputError`` for what can't be
    used: a missing column, text among numbers, times out of order, and gaps, where ``gaps`` is ``refuse``.
    """
    columns = columns or Columns()
    frame, where = read_table(source), name_of(source)
    name = plain_name(Path(source)) if isinstance(source, (str, PathLike)) else "table"
    if not len(frame):
        raise InputError(f"{where}: a table without rows")
    if columns.layout == "rows":
        return _rows(frame, where, name, columns, gaps)
    return _long(frame, where, name, columns, gaps, grid)


# Rows: a series in each.


def _rows(frame: pl.DataFrame, where: str, name: str, columns: Columns, gaps: str) -> Panel:
    if columns.time or columns.target or columns.covariates:
        raise InputError(f"{where}: with --layout rows there are no columns of times, targets or covariates to name")
    first = frame.columns[0]
    named = columns.id or (first if not cells.reads_as_numbers(frame[first]) else None)
    names = cells.labels(frame[named]) if named else [str(row + 1) for row in range(len(frame))]
    _check_names(where, names)
    numbers = frame.drop(named) if named else frame
    table = np.stack([cells.numbers(where, numbers[c], missing=True) for c in numbers.columns], axis=1)  # (series, T)
    series = []
    for row, values in enumerate(table):
        filled = np.flatnonzero(np.isfinite(values))
        if not len(filled):
            raise InputError(f"{where}: row {row + 1}: series {names[row]!r} has no value")
        values = values[filled[0] : filled[-1] + 1]
        if np.isnan(values).any() and gaps in ("refuse", "ignore"):
            at = int(filled[0]) + int(np.flatnonzero(np.isnan(values))[0])
            raise InputError(f"{where}: row {row + 1}, column {numbers.columns[at]!r}: {_missing(values)}")
        labels = [str(step + 1) for step in range(len(values))]
        series.append(_series(names[row], 0, values, labels, {}, gaps))
    return Panel(name, where, tuple(series), Grid(), replace(columns, id=named))


def _check_names(where: str, names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        if name in seen:
            raise InputError(f"{where}: row {row + 1}: series {name!r} comes twice, first in row {seen[name] + 1}")
        seen[name] = row


# Long: a time step in each row.


@dataclass(frozen=True)
class _Long:
    """A table whose cells have been read."""

    where: str
    columns: Columns
    labels: list[str]
    grid: Grid
    when: NDArray[Any] | None
    targets: Mapping[str, Array]
    covariates: Mapping[str, NDArray[Any]]
    gaps: str


def _long(frame: pl.DataFrame, where: str, name: str, columns: Columns, gaps: str, grid: Grid | None) -> Panel:
    columns = _picked(frame, where, columns)
    groups = _groups(frame, where, columns.id)
    when, labels = None, [str(row + 1) for row in range(len(frame))]
    if columns.time is not None and gaps != "ignore":
        when, labels = cells.times(where, frame[columns.time]), cells.labels(frame[columns.time])
        grid = grid or find_grid(where, columns.time, when, labels, [rows for _, rows in groups])
    elif columns.time is not None:
        labels = cells.labels(frame[columns.time])
    read = _Long(
        where,
        columns,
        labels,
        grid if grid is not None and when is not None else Grid(),
        when,
        {target: cells.numbers(where, frame[target], missing=True) for target in columns.target},
        {column: _cells(where, frame[column]) for column in columns.covariates},
        gaps,
    )
    series = [one for group, rows in groups for one in _of_group(read, group, rows)]
    return Panel(name, where, tuple(series), read.grid, columns)


def _picked(frame: pl.DataFrame, where: str, columns: Columns) -> Columns:
    """``columns`` with the time and the target found, and every name looked up."""
    named = [("--id", columns.id)] + [("--known", c) for c in columns.known]
    named += [("--observed", c) for c in columns.observed] + [("--static", c) for c in columns.static]
    taken: dict[str, str] = {}
    for option, column in named + [("--time", columns.time)] + [("--target", c) for c in columns.target]:
        if column is None:
            continue
        if column not in frame.columns:
            there = cells.listed(frame.columns)
            raise InputError(f"{where}: no column {column!r} for {option}; there are: {there}")
        if column in taken:
            raise InputError(f"{where}: {column!r} is named both as {taken[column]} and as {option}")
        taken[column] = option
    rest = frame.drop([c for _, c in named if c is not None])
    if len(columns.target) > 1:
        time, _ = cells.pick(where, rest.drop(columns.target[1:]), columns.time, columns.target[0])
        targets = columns.target
    else:
        time, target = cells.pick(where, rest, columns.time, columns.target[0] if columns.target else None)
        targets = (target,)
    return replace(columns, time=time, target=targets)


def _groups(frame: pl.DataFrame, where: str, column: str | None) -> list[tuple[str | None, Places]]:
    """The rows of each id, counted from 0, ids in the order of their first rows."""
    if column is None:
        return [(None, np.arange(len(frame), dtype=np.int64))]
    if frame[column].null_count():
        row = int(frame[column].is_null().arg_true()[0])
        raise InputError(f"{where}: column {column!r}, row {row + 1}: expected the id of a series, got nothing")
    ids = np.array(cells.labels(frame[column]))
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    sorted_rows = np.argsort(inverse, kind="stable").astype(np.int64)
    ends = np.cumsum(np.bincount(inverse))
    parts = np.split(sorted_rows, ends[:-1])
    return [(str(ids[first[i]]), parts[i]) for i in np.argsort(first)]


def _cells(where: str, column: pl.Series) -> NDArray[Any]:
    """A covariate: numbers with NaN where missing, or text with "" where missing."""
    if cells.reads_as_numbers(column):
        return cells.numbers(where, column, missing=True)
    text = column.cast(pl.String).fill_null("").str.strip_chars()
    return np.array(["" if t.lower() in cells.MISSING else t for t in text.to_list()], dtype=object)


def _of_group(read: _Long, group: str | None, rows: Places) -> Iterator[Series]:
    """The series of one id: one for each target."""
    places = _places(read, rows)
    span = int(places[-1] - places[0]) + 1
    at = places - places[0]
    for target in read.columns.target:
        name = target if group is None else group if len(read.columns.target) == 1 else f"{group}/{target}"
        values = _spread(read.targets[target][rows], at, span)
        filled = np.flatnonzero(np.isfinite(values))
        if not len(filled):
            raise InputError(f"{read.where}: column {target!r}: series {name!r} has no value")
        first, end = int(filled[0]), int(filled[-1]) + 1
        if read.gaps in ("refuse", "ignore"):
            _refuse_missing(read, target, rows, 0, end if read.columns.ahead else len(rows))
        keep = slice(first, span if read.columns.ahead else end)
        carried = {c: _spread(read.covariates[c][rows], at, span)[keep] for c in read.columns.covariates}
        for column in read.columns.static:
            carried[column] = _constant(read, column, rows, len(carried[column]))
        if read.gaps == "carry":
            carried = {c: _filled(column) for c, column in carried.items()}
        elif read.gaps in ("refuse", "ignore"):
            _refuse_missing_covariates(read, rows[keep], carried, end - first)
        value = values[first:end]
        labels = _labels(read, places, rows, keep)
        yield _series(name, int(places[0]) + first, value, labels, carried, read.gaps)


def _series(
    name: str, first: int, values: Array, labels: list[str], carried: Mapping[str, NDArray[Any]], gaps: str
) -> Series:
    """The series, its missing values filled where that is asked for, and known to be."""
    if gaps != "carry":
        return Series(name, first, values, labels, carried)
    return Series(name, first, _filled(values), labels, carried, np.isnan(values))


def _places(read: _Long, rows: Places) -> Places:
    """Where on the grid the rows of one series are."""
    if read.when is None:
        return np.arange(len(rows), dtype=np.int64)
    column = read.columns.time or ""
    written = [read.labels[row] for row in rows]
    places = read.grid.places(read.where, column, read.when[rows], written, rows)
    steps = np.diff(places)
    if (steps < 1).any():  # a grid that came with a model checks the order here
        at = int(np.flatnonzero(steps < 1)[0]) + 1
        raise InputError(
            f"{read.where}: column {column!r}, row {rows[at] + 1}:"
            f" the time goes from {written[at - 1]} to {written[at]}, expected later times row by row"
        )
    if read.gaps == "refuse" and (steps > 1).any():
        at = int(np.flatnonzero(steps > 1)[0]) + 1
        raise InputError(
            f"{read.where}: column {column!r}, row {rows[at] + 1}: from {written[at - 1]} to {written[at]} is"
            f" {steps[at - 1] - 1} missing; the rows must be equally spaced (--gaps mask leaves gaps out, carry repeats"
            " the last value, ignore takes the rows as equally spaced)"
        )
    if int(places[-1] - places[0]) > 100 * len(rows):
        raise InputError(
            f"{read.where}: column {column!r}: {len(rows)} rows spread over {places[-1] - places[0]} steps of"
            f" {read.grid.step}; that is more gap than data"
        )
    return places


def _spread(column: NDArray[Any], at: Places, span: int) -> NDArray[Any]:
    """``column`` on all ``span`` places, missing where no row is."""
    if len(column) == span:
        return column
    result: NDArray[Any] = np.full(span, np.nan if column.dtype.kind == "f" else "", dtype=column.dtype)
    result[at] = column
    return result


def _filled(column: NDArray[Any]) -> NDArray[Any]:
    """Every missing cell with the last one before it that isn't; those before all stay missing."""
    there = _there(column)
    last = np.maximum.accumulate(np.where(there, np.arange(len(column)), -1))
    return np.where(last >= 0, column[np.maximum(last, 0)], column)


def _there(column: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isfinite(column) if column.dtype.kind == "f" else np.asarray(column != "", dtype=np.bool_)


def _constant(read: _Long, column: str, rows: Places, length: int) -> NDArray[Any]:
    """The one cell of a static covariate, for every row."""
    values = read.covariates[column][rows]
    there = np.flatnonzero(_there(values))
    if not len(there):
        raise InputError(f"{read.where}: column {column!r}, row {rows[0] + 1}: expected a value for its series")
    other = np.flatnonzero(values[there] != values[there[0]])
    if len(other):
        row = rows[there[other[0]]]
        raise InputError(
            f"{read.where}: column {column!r}, row {row + 1}: expected {values[there[0]]!r} as in the series' first"
            f" row, got {values[there[other[0]]]!r}; name a column that changes with --known or --observed"
        )
    return np.full(length, values[there[0]], dtype=values.dtype)


def _refuse_missing(read: _Long, target: str, rows: Places, first: int, end: int) -> None:
    column = read.targets[target][rows]
    bad = np.flatnonzero(np.isnan(column[first:end]))
    if len(bad):
        row = rows[first + int(bad[0])]
        raise InputError(f"{read.where}: column {target!r}, row {row + 1}: {_missing(column[first:end])}")


def _refuse_missing_covariates(
    read: _Long, rows: Places, carried: Mapping[str, NDArray[Any]], observed_end: int
) -> None:
    for name, column in carried.items():
        needed = column[:observed_end] if name in read.columns.observed else column
        bad = np.flatnonzero(~_there(needed))
        if len(bad):
            missing = f"expected a value, it is missing ({len(bad)} of {len(needed)} are); --gaps mask or carry goes on"
            raise InputError(f"{read.where}: column {name!r}, row {rows[int(bad[0])] + 1}: {missing}")


def _missing(column: Array) -> str:
    return (
        f"expected a number, the value is missing ({int(np.isnan(column).sum())} of {len(column)} are);"
        " --gaps mask leaves them out, --gaps carry repeats the last value"
    )


def _labels(read: _Long, places: Places, rows: Places, keep: slice) -> list[str]:
    """The times as the table writes them, and as the grid does where the table has no row."""
    if len(rows) == places[-1] - places[0] + 1:
        return [read.labels[row] for row in rows[keep]]
    written = read.grid.labels(np.arange(places[0], places[-1] + 1))
    for place, row in zip(places - places[0], rows, strict=True):
        written[place] = read.labels[row]
    return written[keep]


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
    return _series(name, first, values[first:], labels, {c: column[first:] for c, column in told.items()}, gaps)
