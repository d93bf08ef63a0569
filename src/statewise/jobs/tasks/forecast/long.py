"""Long tables: each row is a time step, of one series or of several that columns of ids tell apart.

Rows may come in any order. Columns are looked up, or found by a convention (conventions.py) or where there is but one
candidate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...data import columns as cells
from ...errors import InputError, remark
from ...lazy import LazyModule
from .config import Columns
from .conventions import recognised, style
from .grid import Grid, Places, find_grid
from .series import Head, Panel, Series, filled, make_series, missing, there
from .split import Array

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

EVERY = "*"  # as a target


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


@dataclass(frozen=True)
class Ahead:
    """What is known of n rows of a series."""

    places: Places | None
    """On the grid, (n,), rising; None where rows are counted: the next ones."""
    labels: list[str]
    cells: Mapping[str, NDArray[Any]]


Group = tuple[tuple[str, ...], Places]
"""What the rows of a series have in the columns of ids, and which rows they are, in the order of time."""


def read_long(frame: pl.DataFrame, where: str, columns: Columns, gaps: str, grid: Grid | None) -> Panel:
    """The series of ``frame``. ``grid`` is that of a model, which knows the static covariates of its series already.

    Raises ``InputError`` for what can't be used.
    """
    columns = _picked(frame, where, columns, again=grid is not None)
    groups = _groups(frame, where, columns.id)
    when, labels = None, [str(row + 1) for row in range(len(frame))]
    if columns.time is not None:
        labels = cells.labels(frame[columns.time])
    if columns.time is not None and gaps != "ignore":
        when = cells.times(where, frame[columns.time], daily=None if grid is None else grid.daily)
        groups = _in_order(where, columns.time, groups, when, labels)
        grid = grid or find_grid(when, labels, [rows for _, rows in groups])
    told = replace(columns, static=tuple(column for column in columns.static if column in frame.columns))
    read = _Long(
        where,
        told,
        labels,
        grid if grid is not None and when is not None else Grid(),
        when,
        {target: cells.numbers(where, frame[target], missing=True) for target in columns.target},
        {column: _cells(where, frame[column]) for column in told.covariates},
        gaps,
    )
    series = [one for key, rows in groups for one in _of_group(read, key, rows)]
    names = [one.name for one in series]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{where}: the ids of two series read {twice!r} when they stand behind one another")
    return Panel("table", where, tuple(series), read.grid, columns)


# Columns


def _picked(frame: pl.DataFrame, where: str, columns: Columns, *, again: bool) -> Columns:
    """``columns`` with what is open found, and every name looked up; static ones may be missing the second time."""
    found = recognised(columns, frame.columns)
    taken = _looked_up(frame, where, found, again=again)
    every = found.target == (EVERY,)
    if found.time is None:
        others = frame.drop([*taken, *(() if every else found.target)])
        found = replace(found, time=cells.pick_time(where, others))
    if not found.target or every:
        found = replace(found, target=cells.pick_targets(where, frame.drop(taken), found.time, every=every))
    if not again and style(found) != "plain" and found != columns:
        told = {*found.id, *found.target, *found.covariates, found.time}
        if unread := [name for name in frame.columns if name not in told]:
            remark(f"{where}: not read: {cells.listed(unread)}; --known, --observed and --static name covariates")
    return found


def _looked_up(frame: pl.DataFrame, where: str, columns: Columns, *, again: bool) -> list[str]:
    """The columns that options other than --time and --target name. ``InputError`` for names that can't be used."""
    options = [("--id", c) for c in columns.id] + [("--known", c) for c in columns.known]
    options += [("--observed", c) for c in columns.observed]
    options += [("--static", c) for c in columns.static if not again or c in frame.columns]
    taken: dict[str, str] = {}
    others = [("--time", columns.time)] + [("--target", c) for c in columns.target if columns.target != (EVERY,)]
    for option, column in options + others:
        if column is None:
            continue
        if column not in frame.columns:
            there = cells.listed(frame.columns)
            raise InputError(f"{where}: no column {column!r} for {option}; there are: {there}")
        if column in taken:
            raise InputError(f"{where}: {column!r} is named both as {taken[column]} and as {option}")
        taken[column] = option
    return [column for _, column in options]


def _cells(where: str, column: pl.Series) -> NDArray[Any]:
    """A covariate: numbers with NaN where missing, or text with "" where missing."""
    if cells.reads_as_numbers(column):
        return cells.numbers(where, column, missing=True)
    text = column.cast(pl.String).fill_null("").str.strip_chars()
    return np.array(["" if t.lower() in cells.MISSING else t for t in text.to_list()], dtype=object)


# Rows


def _groups(frame: pl.DataFrame, where: str, ids: Sequence[str]) -> list[Group]:
    """The rows of each series, counted from 0, series in the order of their first rows."""
    if not ids:
        return [((), np.arange(len(frame), dtype=np.int64))]
    for column in ids:
        if frame[column].null_count():
            row = int(frame[column].is_null().arg_true()[0])
            raise InputError(f"{where}: column {column!r}, row {row + 1}: expected the id of a series, got nothing")
    if all(frame[column].n_unique() == 1 for column in ids):
        return [(tuple(cells.labels(frame[column].head(1))[0] for column in ids), np.arange(len(frame)))]
    keys = pl.DataFrame({str(n): cells.labels(frame[column]) for n, column in enumerate(ids)})
    found = keys.with_row_index("row").group_by(keys.columns, maintain_order=True).agg("row")
    rows = found["row"].to_list()
    return [(key, np.array(each, dtype=np.int64)) for key, each in zip(found[keys.columns].rows(), rows, strict=True)]


def read_ahead(frame: pl.DataFrame, where: str, columns: Columns, grid: Grid) -> dict[tuple[str, ...], Ahead]:
    """What a table without targets knows of rows to come, by what it has in the columns of ids.

    Raises ``InputError`` for what can't be used, such as a column that isn't there.
    """
    for column in (*columns.id, *columns.known, *([columns.time] if columns.time else [])):
        if column not in frame.columns:
            raise InputError(f"{where}: no column {column!r}; there are: {cells.listed(frame.columns)}")
    groups = _groups(frame, where, columns.id)
    labels = [str(row + 1) for row in range(len(frame))]
    when: NDArray[Any] | None = None
    if columns.time is not None and grid.unit != "row":
        labels = cells.labels(frame[columns.time])
        when = cells.times(where, frame[columns.time], daily=grid.daily)
        groups = _in_order(where, columns.time, groups, when, labels)
    told = {column: _cells(where, frame[column]) for column in columns.known}
    found = {}
    for key, rows in groups:
        written = [labels[row] for row in rows]
        places = None if when is None else grid.places(where, columns.time or "", when[rows], written, rows)
        found[key] = Ahead(places, written, {column: values[rows] for column, values in told.items()})
    return found


def _in_order(
    where: str, column: str, groups: Sequence[Group], when: NDArray[Any], labels: Sequence[str]
) -> list[Group]:
    """The groups with their rows in the order of time. ``InputError`` where a time comes twice."""
    found, moved = list[Group](), 0
    for key, rows in groups:
        order = rows[np.argsort(when[rows], kind="stable")]
        moved += int((order != rows).any())
        twice = np.flatnonzero(when[order[1:]] == when[order[:-1]])
        if len(twice):
            row = order[twice[0] + 1]
            hint = "" if key else "; name the column that tells the series apart with --id"
            of = f" in series {'/'.join(key)!r}" if key else ""
            raise InputError(f"{where}: column {column!r}, row {row + 1}: the time {labels[row]} comes twice{of}{hint}")
        found.append((key, order))
    if moved:
        of = f" in {moved} of {len(groups)} series" if len(groups) > 1 else ""
        remark(f"{where}: the rows weren't in the order of {column!r}{of}; they were sorted")
    return found


def _of_group(read: _Long, key: tuple[str, ...], rows: Places) -> Iterator[Series]:
    """The series of one id: one for each target."""
    places = _places(read, rows)
    span = int(places[-1] - places[0]) + 1
    at = places - places[0]
    for target in read.columns.target:
        several = len(read.columns.target) > 1 or not key
        name = "/".join((*key, target) if several else key)
        values = _spread(read.targets[target][rows], at, span)
        known = np.flatnonzero(np.isfinite(values))
        if not len(known):
            raise InputError(f"{read.where}: column {target!r}: series {name!r} has no value")
        first, end = int(known[0]), int(known[-1]) + 1
        if read.gaps in ("refuse", "ignore"):
            _refuse_missing(read, target, rows, 0, end if read.columns.ahead else len(rows))
        keep = slice(first, span if read.columns.ahead else end)
        carried = {c: _spread(read.covariates[c][rows], at, span)[keep] for c in read.columns.covariates}
        for column in read.columns.static:
            carried[column] = _constant(read, column, rows, len(carried[column]))
        if read.gaps == "carry":
            carried = {c: filled(column) for c, column in carried.items()}
        elif read.gaps in ("refuse", "ignore"):
            _refuse_missing_covariates(read, rows[keep], carried, end - first)
        value = values[first:end]
        labels = _labels(read, places, rows, keep)
        yield make_series(name, int(places[0]) + first, value, labels, carried, read.gaps, Head(key, target))


def _places(read: _Long, rows: Places) -> Places:
    """Where on the grid the rows of one series are."""
    if read.when is None:
        return np.arange(len(rows), dtype=np.int64)
    column = read.columns.time or ""
    written = [read.labels[row] for row in rows]
    places = read.grid.places(read.where, column, read.when[rows], written, rows)
    steps = np.diff(places)
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


def _constant(read: _Long, column: str, rows: Places, length: int) -> NDArray[Any]:
    """The one cell of a static covariate, for every row."""
    values = read.covariates[column][rows]
    known = np.flatnonzero(there(values))
    if not len(known):
        raise InputError(f"{read.where}: column {column!r}, row {rows[0] + 1}: expected a value for its series")
    other = np.flatnonzero(values[known] != values[known[0]])
    if len(other):
        row = rows[known[other[0]]]
        raise InputError(
            f"{read.where}: column {column!r}, row {row + 1}: expected {values[known[0]]!r} as in the series' first"
            f" row, got {values[known[other[0]]]!r}; name a column that changes with --known or --observed"
        )
    return np.full(length, values[known[0]], dtype=values.dtype)


def _refuse_missing(read: _Long, target: str, rows: Places, first: int, end: int) -> None:
    column = read.targets[target][rows]
    bad = np.flatnonzero(np.isnan(column[first:end]))
    if len(bad):
        row = rows[first + int(bad[0])]
        raise InputError(f"{read.where}: column {target!r}, row {row + 1}: {missing(column[first:end])}")


def _refuse_missing_covariates(
    read: _Long, rows: Places, carried: Mapping[str, NDArray[Any]], observed_end: int
) -> None:
    for name, column in carried.items():
        needed = column[:observed_end] if name in read.columns.observed else column
        bad = np.flatnonzero(~there(needed))
        if len(bad):
            missing = f"expected a value, it is missing ({len(bad)} of {len(needed)} are); --gaps mask or carry goes on"
            raise InputError(f"{read.where}: column {name!r}, row {rows[int(bad[0])] + 1}: {missing}")


def _labels(read: _Long, places: Places, rows: Places, keep: slice) -> list[str]:
    """The times as the table writes them, and as the grid does where the table has no row."""
    if len(rows) == places[-1] - places[0] + 1:
        return [read.labels[row] for row in rows[keep]]
    written = read.grid.labels(np.arange(places[0], places[-1] + 1))
    for place, row in zip(places - places[0], rows, strict=True):
        written[place] = read.labels[row]
    return written[keep]
