"""Read a table into a polars frame: a CSV or Parquet file, or a frame that a program has already.

Cells of a CSV file stay text: what a column means is decided in ``columns.py``.
"""

from __future__ import annotations

import csv
import io
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, remark
from ..lazy import LazyModule
from .content import check_unpacked, read_content
from .parquet import sizes

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

SEPARATORS = ",;\t|"
YEARS = (-719_162, 2_932_897)  # the days from 1970 to the years 1 and 10000
PARQUET = b"PAR1"  # what such a file begins with
HEADER = 2**20  # characters that must hold the header
NUMERIC = re.compile(r"[-+\d.:/eE T]*\d[-+\d.:/eE TZ]*")  # a number or a date
DATE = re.compile(r"\d{4}[-/]\d{1,2}([-/]|$)|\d{1,2}([-/.])\d{1,2}\2\d{2,4}")

Source = Any
"""A path, or a frame of polars, pandas, Arrow or any library that narwhals knows, or a numpy array."""


def read_table(source: Source, header: bool | None = True) -> pl.DataFrame:
    """The table in ``source``, without blank rows at its end.

    A path is that of a CSV or Parquet file, ``.gz`` or not; ``header`` says whether the first line of a CSV file names
    its columns, which are 1, 2, ... else. None: it is looked at. Raises ``InputError`` for what is no table.
    """
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        frame = _read(path, read_content(path, "a CSV or Parquet file"), header)
    else:
        from .frames import to_polars  # a file needs no narwhals

        frame = to_polars(source)
    _check_times(name_of(source), frame)
    return _without_blank_end(frame)


def name_of(source: Source) -> str:
    """What messages call ``source``: the path, or what kind of frame it is."""
    return str(source) if isinstance(source, (str, PathLike)) else f"the {type(source).__name__}"


def _read(path: Path, content: bytes, header: bool | None) -> pl.DataFrame:
    if content.startswith(PARQUET):
        return _parquet(path, content)
    return _csv(path, content, header)


def _parquet(path: Path, content: bytes) -> pl.DataFrame:
    try:
        told = sizes(content)
    except ValueError as error:
        raise InputError(f"{path}: a damaged Parquet file: {error}") from None
    check_unpacked(path, max(8 * told.values, told.unpacked), f"in {told.values} cells")
    try:
        with _quiet():
            table = pl.scan_parquet(io.BytesIO(content))
            cells = table.select(pl.len()).collect().item() * len(table.collect_schema())
            check_unpacked(path, 8 * cells, f"in {cells} cells")
            return table.collect()
    except InputError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, MemoryError, ValueError):
        raise InputError(f"{path}: a damaged Parquet file") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """polars' threads write where they panicked, with a backtrace, past Python; we say it in one line."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    except BaseException:
        time.sleep(0.05)  # the thread that panicked may still be writing
        raise
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _csv(path: Path, content: bytes, header: bool | None) -> pl.DataFrame:
    whole = _with_line_feeds(content.removeprefix(b"\xef\xbb\xbf"))  # a byte order mark
    content = whole.lstrip(b"\r\n")  # blank lines
    blank = whole[: len(whole) - len(content)].count(b"\n")
    if not content.strip():
        raise InputError(f"{path}: the file is empty, expected a table with a header line")
    if b"\0" in content or not _is_utf8(content):
        raise InputError(f"{path}: neither Parquet nor text in UTF-8, expected a CSV or Parquet file")
    start = content[:HEADER].decode(errors="ignore")
    separator = max(SEPARATORS, key=start.splitlines()[0].count)  # of equals the first: a comma
    try:
        rows = csv.reader(io.StringIO(start, newline=""), delimiter=separator)
        names, below = ([cell.strip() for cell in next(rows, [])] for _ in range(2))
    except csv.Error as error:
        raise InputError(f"{path}: not a regular CSV table: its header can't be read: {error}") from None
    named = _is_header(names, below) if header is None else header
    if header is None and not named:
        remark(f"{path}: the first line names no columns, it reads {', '.join(names)!r}; they are called 1, 2, ...")
    if named:
        _check_header(path, names)
    else:
        names = [str(number) for number in range(1, len(names) + 1)]
    try:
        with _quiet():
            frame = pl.read_csv(content, infer_schema=False, separator=separator, has_header=named)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = _irregular(content, separator, len(names), blank) or str(error).splitlines()[0]
        raise InputError(f"{path}: not a regular CSV table: {reason}") from None
    if len(names) != frame.width:
        raise InputError(f"{path}: the first line names {len(names)} columns, the table has {frame.width}")
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _irregular(content: bytes, separator: str, width: int, before: int) -> str | None:
    """The first line with more than ``width`` fields, in words; ``before`` lines are missing at the beginning."""
    rows = csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator)
    try:
        wide = next((len(row), before + rows.line_num) for row in rows if len(row) > width)
    except (StopIteration, csv.Error):
        return None
    return f"expected {width} fields as in its header, got {wide[0]} in line {wide[1]}"


def _with_line_feeds(content: bytes) -> bytes:
    """``content`` with lines that end in ``\\n``, where they end in ``\\r`` alone."""
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_header(names: list[str], below: list[str]) -> bool:
    """Whether a first line names columns: not all cells are numbers and dates, none is a date like that below it."""
    dates = (DATE.match(name) and DATE.match(cell) for name, cell in zip(names, below, strict=False))
    return not (all(map(NUMERIC.fullmatch, names)) or any(dates))


def _check_header(path: Path, names: list[str]) -> None:
    if all(map(NUMERIC.fullmatch, names)):
        raise InputError(f"{path}: the first line must name the columns, it reads {', '.join(names)!r}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: two columns are named {twice!r}")


def _check_times(where: str, frame: pl.DataFrame) -> None:
    """Refuse times that Python's have no room for: polars' own reach further."""
    for column in frame:
        second = 10 ** {"ms": 3, "us": 6, "ns": 9}[getattr(column.dtype, "time_unit", None) or "ns"]
        if column.dtype == pl.Date:
            least, beyond = YEARS
        elif column.dtype == pl.Datetime:
            least, beyond = (day * 86_400 * second for day in YEARS)
        elif column.dtype in (pl.Time, pl.Duration):
            beyond = 86_400 * second * (1 if column.dtype == pl.Time else 10**9)
            least = 0 if column.dtype == pl.Time else 1 - beyond
        else:
            continue
        ticks = column.to_physical()
        low, high = ticks.min(), ticks.max()
        if low is not None and not (least <= low and high < beyond):  # type: ignore[operator]
            raise InputError(f"{where}: column {column.name!r}: expected times in the years 1 to 9999")


def _without_blank_end(frame: pl.DataFrame) -> pl.DataFrame:
    if any(len(column) and column[-1] is not None for column in frame):
        return frame
    filled = (~frame.select(pl.all_horizontal(pl.all().is_null())).to_series()).arg_true()
    return frame.head(int(filled[-1]) + 1 if len(filled) else 0)
