"""Which column is the time and which the target, and what their cells say. Nothing is repaired, nothing guessed twice:
a cell that can't be used is refused by column and row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..lazy import LazyModule

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

Where = PathLike[str] | str
"""What messages begin with: the path of the table, or what ``table.name_of`` calls it."""
MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "?"}
HUGE = 1e100  # squares must not overflow
LONGEST_NAME = 60  # characters of a column's name in a message
GLANCE = 50  # rows that decide what a column looks like

_DATES = ("%Y-%m-%d", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%b %Y", "%B %Y", "%d %b %Y", "%Y%m%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S%.f")


def pick_time(path: Where, frame: pl.DataFrame) -> str | None:
    """The only column that could be the time; None where there is none."""
    clocks = [name for name in frame.columns if looks_like_time(frame[name])]
    if len(clocks) > 1:
        raise InputError(f"{path}: {len(clocks)} columns could be the time, choose with --time: {listed(clocks)}")
    return clocks[0] if clocks else None


def pick_targets(path: Where, frame: pl.DataFrame, time: str | None, *, every: bool) -> tuple[str, ...]:
    """The only column of numbers beside ``time``, or ``every`` one of them."""
    targets = [name for name in frame.columns if name != time and reads_as_numbers(frame[name])]
    if not targets:
        raise InputError(f"{path}: no column of numbers to forecast; there are: {listed(frame.columns)}")
    if len(targets) > 1 and not every:
        raise InputError(
            f"{path}: {len(targets)} columns could be the target, choose with --target ('*' takes all):"
            f" {listed(targets)}"
        )
    return tuple(targets)


def numbers(path: Where, column: pl.Series, *, missing: bool = False) -> NDArray[np.float64]:
    """The cells as float64; refuses text and infinity, and missing values, unless ``missing``: then they are NaN."""
    if (column.dtype.is_integer() or column.dtype.is_float()) and not column.null_count():
        plain = column.to_numpy().astype(np.float64)
        if ((np.abs(plain) <= HUGE) | (np.isnan(plain) if missing else False)).all():
            return plain
    values = _as_float(column)
    absent = _is_missing(column)
    if missing:
        values = values.set(absent, 0.0)
    bad = (~values.is_finite().fill_null(False) | (values.abs() > HUGE).fill_null(True)).arg_true()
    if not len(bad):
        found: NDArray[np.float64] = np.array(values.to_numpy())
        found[absent.to_numpy()] = np.nan
        return found
    row = int(bad[0])
    if absent[row]:
        raise InputError(
            f"{path}: column {column.name!r}, row {row + 1}: expected a number, the value is missing"
            f" ({int(absent.sum())} of {len(column)} are); fill or cut the gaps first"
        )
    cell = str(column[row])
    hint = "; write a point for decimals and nothing between thousands" if re.fullmatch(r"\s*[-\d.,]+\s*", cell) else ""
    expected = "a finite number" if values[row] is not None else "a number"
    if values[row] is not None and HUGE < abs(values[row]) < np.inf:
        expected = f"a number of at most {HUGE:g} in size"
    raise InputError(f"{path}: column {column.name!r}, row {row + 1}: expected {expected}, got {_short(cell)}{hint}")


def times(path: Where, column: pl.Series, *, daily: bool | None = None) -> NDArray[Any]:
    """The cells as datetime64 or, where they are plain numbers, as float64; refuses what is neither.

    Times of a zone are read as its clocks show them where they are ``daily``, all at the same hour; else, since clocks
    change, in UTC.
    """
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        wall = column.dt.replace_time_zone(None)
        daily = wall.dt.time().n_unique() == 1 if daily is None else daily
        column = wall if daily else column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if not _looks_like_dates(column):
        if reads_as_numbers(column):
            return numbers(path, column)
        raise InputError(f"{path}: column {column.name!r}, row 1: expected a date or time, got {_short(column[0])}")
    readings = [_parse(column, form) for form in _formats(column)]
    # Day and month can't be told apart by one cell; times that rise, or keep the same distance once sorted, can.
    best = max(readings, key=lambda r: (r.count(), r.drop_nulls().is_sorted(), -_uneven(r)))
    if best.null_count():
        row = int(best.is_null().arg_true()[0])
        raise InputError(
            f"{path}: column {column.name!r}, row {row + 1}: expected a date or time, got {_short(column[row])}"
        )
    return best.to_numpy().astype("datetime64[us]")


def labels(column: pl.Series) -> list[str]:
    """The cells as they are to be written again."""
    return [cell.isoformat() if hasattr(cell, "isoformat") else str(cell).strip() for cell in column.to_list()]


def _uneven(times: pl.Series) -> float:
    """How many times as long as usual the longest gap between ``times`` is."""
    steps = np.diff(times.drop_nulls().unique().sort().to_numpy().astype("datetime64[us]").astype(np.float64))
    return float(steps.max() / np.median(steps)) if len(steps) else 1.0


def looks_like_time(column: pl.Series) -> bool:
    """Whether the first rows are dates, or the whole column counts up in equal steps as a row number does."""
    return _looks_like_dates(column) or _counts_up(column)


def _looks_like_dates(column: pl.Series) -> bool:
    if column.dtype.is_temporal():
        return True
    glance = column.head(GLANCE)
    if glance.null_count() == len(glance):
        return False
    readings = [_parse(glance, form) for form in _formats(glance)]
    return any(2 * reading.count() > len(glance) for reading in readings)


def _counts_up(column: pl.Series) -> bool:
    if not reads_as_numbers(column):
        return False
    steps = np.diff(_as_float(column).to_numpy())
    return len(steps) > 1 and bool(steps[0] > 0) and bool(np.all(steps == steps[0]))


def reads_as_numbers(column: pl.Series) -> bool:
    """Whether most cells that are filled are numbers, so that the one that isn't is refused by name.

    Numbers with a comma count too: they can't be used, and the user is to hear why.
    """
    if column.dtype.is_temporal():
        return False
    if column.dtype == pl.String:
        column = column.str.replace_all(",", "", literal=True)
    filled = int((~_is_missing(column)).sum())
    return 2 * _as_float(column).count() > filled > 0


def _as_float(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    elif not column.dtype.is_numeric():
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    return column.cast(pl.Float64, strict=False)


def _is_missing(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return column.is_null() | column.str.strip_chars().str.to_lowercase().is_in(sorted(MISSING))
    return column.is_null() | (column.is_nan() if column.dtype.is_float() else False)


def _formats(column: pl.Series) -> Iterator[str]:
    if column.dtype.is_temporal():
        yield ""
    elif column.dtype == pl.String and _as_float(column.head(GLANCE)).null_count() == 0:
        yield "%Y%m%d"  # the only date that reads as a number; a wide table is looked through in no time
    elif column.dtype == pl.String:
        yield from (date + clock for date in _DATES for clock in _CLOCKS)


def _parse(column: pl.Series, form: str) -> pl.Series:
    """``column`` read by one format, null where it doesn't fit."""
    if not form:
        return _naive(column)
    distinct = column.unique()
    if 2 * len(distinct) < len(column):  # series of the same times
        return column.replace_strict(distinct, _parse(distinct, form), return_dtype=pl.Datetime("us"))
    cells = _normal(column)
    if form == "%Y%m%d":  # chrono would take a year of any length
        cells = cells.set(~cells.str.contains(r"^(19|20)\d{6}$"), None)
    return cells.str.to_datetime(form, strict=False, time_unit="us")


def _naive(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.Datetime):
        column = column.dt.replace_time_zone(None)
    return column.cast(pl.Datetime("us"), strict=False)


def _normal(column: pl.Series) -> pl.Series:
    """One spelling for what has several: 2020/1/2T10:00Z is 2020-1-2 10:00, 2020-03 and 2020-Q2 have a first day."""
    cells = column.str.strip_chars().str.replace(r"(Z|[+-]00:?00)$", "").str.replace_all("/", "-", literal=True)
    cells = cells.str.replace(r"^(\d[\d-]*)T(\d)", "${1} ${2}")
    for quarter in range(1, 5):
        cells = cells.str.replace(rf"^(\d{{4}})-?[Qq]{quarter}$", f"${{1}}-{3 * quarter - 2}-01")
    return cells.str.replace(r"^(\d{4}-\d{1,2})$", "${1}-01")


def listed(names: Sequence[str], most: int = 12) -> str:
    """The names in a row, the first ones of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    shown = (" ".join(name.split()) for name in names[:most])  # a name may hold the end of a line
    return ", ".join(name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…" for name in shown) + more


def _short(cell: Any) -> str:
    text = "nothing" if cell is None else repr(cell if isinstance(cell, (str, datetime)) else str(cell))
    return text if len(text) <= 40 else text[:37] + "..."
