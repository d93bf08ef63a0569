"""Read a CSV or Parquet file into a polars frame. Text stays text: what a column means is decided in ``columns.py``."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import polars as pl

from .errors import InputError

SEPARATORS = ",;\t|"


def read_table(path: Path) -> pl.DataFrame:
    """The table in ``path``, without blank rows at its end."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a CSV or Parquet file")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    if not content.strip():
        raise InputError(f"{path}: the file is empty, expected a table with a header line")
    frame = _parquet(path, content) if content.startswith(b"PAR1") else _csv(path, content)
    return _without_blank_end(frame)


def _parquet(path: Path, content: bytes) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError):
        raise InputError(f"{path}: a damaged Parquet file") from None


def _csv(path: Path, content: bytes) -> pl.DataFrame:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InputError(f"{path}: neither Parquet nor text in UTF-8, expected a CSV or Parquet file")
    first = text.lstrip("\r\n").splitlines()[0]
    separator = max(SEPARATORS, key=first.count)  # of equals the first: a comma
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
    _check_header(path, names)
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), infer_schema=False, separator=separator)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a regular CSV table: {reason}") from None
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _check_header(path: Path, names: list[str]) -> None:
    if all(re.fullmatch(r"[-+\d.:/eE T]*\d[-+\d.:/eE TZ]*", name) for name in names):
        raise InputError(f"{path}: the first line must name the columns, it reads {', '.join(names)!r}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: two columns are named {twice!r}")


def _without_blank_end(frame: pl.DataFrame) -> pl.DataFrame:
    filled = (~frame.select(pl.all_horizontal(pl.all().is_null())).to_series()).arg_true()
    return frame.head(int(filled[-1]) + 1 if len(filled) else 0)
