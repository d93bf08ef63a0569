"""Which column is the time and which the target, and what their cells say. Nothing is repaired, nothing guessed twice:
a cell that can't be used is refused by column and row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..lazy import LazyModule
from .dates import looks_like_dates, read

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

Where = PathLike[str] | str
"""What messages begin with: the path of the table, or what ``table.name_of`` calls it."""
MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "?"}
HUGE = 1e100  # squares must not overflow
LONGEST_NAME = 60  # characters of a column's name in a message


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
    if column.dtype in (pl.Datetime("us"), pl.Datetime("ms")) and not column.null_count():
        return column.to_numpy().astype("datetime64[us]")
    dates = looks_like_dates(column)
    if not dates and reads_as_numbers(column):
        return numbers(path, column)
    found = read(column, daily=daily) if dates else pl.Series(column.name, [None])
    if found.null_count():
        row = int(found.is_null().arg_true()[0])
        raise InputError(
            f"{path}: column {column.name!r}, row {row + 1}: expected a date or time, got {_short(column[row])}"
        )
    return found.to_numpy().astype("datetime64[us]")


def labels(column: pl.Series) -> list[str]:
    """The cells as they are to be written again."""
    if column.dtype in (pl.Date, pl.Datetime, pl.Time) and not column.null_count():
        return [cell.isoformat() for cell in column.to_list()]
    return [cell.isoformat() if hasattr(cell, "isoformat") else str(cell).strip() for cell in column.to_list()]


def looks_like_time(column: pl.Series) -> bool:
    """Whether the first rows are dates, or the whole column counts up in equal steps as a row number does."""
    return looks_like_dates(column) or _counts_up(column)


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


def listed(names: Sequence[str], most: int = 12) -> str:
    """The names in a row, the first ones of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    shown = (" ".join(name.split()) for name in names[:most])  # a name may hold the end of a line
    return ", ".join(name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…" for name in shown) + more


def _short(cell: Any) -> str:
    text = "nothing" if cell is None else repr(cell if isinstance(cell, (str, datetime)) else str(cell))
    return text if len(text) <= 40 else text[:37] + "..."
