"""Take what a program has in memory as a polars frame: frames of polars, pandas, Arrow and their kin, numpy arrays.

An index that says something, such as pandas' dates, becomes a column. Nothing is copied that needn't be.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import InputError


def to_polars(source: Any) -> pl.DataFrame:
    """``source`` with its columns under their names as text. Raises ``InputError`` for anything that is no table."""
    if isinstance(source, (list, tuple, np.ndarray)):
        return _array(np.asarray(source))
    if nw.dependencies.is_pandas_like_dataframe(source) or nw.dependencies.is_pandas_like_series(source):
        source = _with_index(source)
    try:
        frame = nw.from_native(source, allow_series=True)
    except nw.exceptions.DuplicateError as error:
        raise InputError(f"two columns have the same name: {error}") from None
    except TypeError:
        raise InputError(
            f"expected a path, an array, or a frame of polars, pandas or Arrow, got {type(source).__name__}"
        ) from None
    if isinstance(frame, nw.Series):
        frame = frame.to_frame()
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if isinstance(native := frame.to_native(), pl.DataFrame):
        return native
    return pl.DataFrame([_column(name, frame[name]) for name in frame.columns])


def _with_index(source: Any) -> Any:
    """A pandas frame, or a series as one, whose index is a column too unless it only counts the rows."""
    if nw.dependencies.is_pandas_like_series(source):
        source = source.to_frame("value" if source.name is None else source.name)
    index = source.index
    if hasattr(index, "to_timestamp"):  # periods, such as months, begin some day
        source = source.set_axis(index.to_timestamp(), axis=0).rename_axis(index.name or "time").reset_index()
    elif type(index).__name__ != "RangeIndex":
        if index.name is None and index.nlevels == 1:
            source = source.rename_axis("time" if hasattr(index, "tz") else "index")
        source = source.reset_index()
    return source.rename(columns=str)


def _column(name: str, series: nw.Series[Any]) -> pl.Series:
    """One column by way of numpy, which needs no Arrow, or cell by cell where it has gaps or no plain type."""
    dtype, missing = series.dtype, series.is_null().to_list()
    if dtype.is_numeric() and not any(missing):
        return pl.Series(name, series.to_numpy())
    if isinstance(dtype, nw.Datetime) and dtype.time_zone is None:
        return pl.Series(name, series.to_numpy().astype("datetime64[us]"))
    cells = [None if gap else cell for cell, gap in zip(series.to_list(), missing, strict=True)]
    try:
        return pl.Series(name, cells)
    except (TypeError, ValueError, pl.exceptions.PolarsError):  # cells of several types
        return pl.Series(name, [None if cell is None else str(cell) for cell in cells], dtype=pl.String)


def _array(array: np.ndarray[Any, Any]) -> pl.DataFrame:
    """The rows of an array: one column of name ``value``, or as many as it has, named by their number."""
    if array.dtype.names:
        return pl.DataFrame({name: array[name] for name in array.dtype.names})
    if array.ndim not in (1, 2) or array.dtype.kind not in "biufMUO":
        raise InputError(f"expected an array of one or two dimensions, got {array.dtype} {array.shape}")
    if array.ndim == 1:
        return pl.DataFrame([pl.Series("value", _plain(array), strict=False)])
    return pl.DataFrame([pl.Series(str(n), _plain(array[:, n]), strict=False) for n in range(array.shape[1])])


def _plain(column: np.ndarray[Any, Any]) -> Any:
    """As polars takes it: cells of any kind one by one, times in a unit that it knows."""
    if column.dtype.kind == "O":
        return column.tolist()
    return np.ascontiguousarray(column.astype("datetime64[us]") if column.dtype.kind == "M" else column)


def as_numbers(X: Any, expected: str) -> NDArray[Any]:
    """``X``, an array, a frame or what can be one, as an array of numbers, whole or float.

    Raises ``InputError``, which begins with ``expected``, for anything else, and TypeError for objects.
    """
    if hasattr(X, "toarray"):
        raise InputError(f"{expected}; got a sparse {type(X).__name__}, and dense data is required")
    try:
        array = np.asarray(X.to_numpy() if hasattr(X, "to_numpy") else X)
        if array.dtype.kind not in "iubfc":
            array = array.astype(np.float64)
    except ValueError as error:
        raise InputError(f"{expected}: {error}") from None
    except TypeError as error:
        raise TypeError(f"{expected}: {error}") from None
    if array.dtype.kind == "c":
        raise InputError(f"{expected}: Complex data not supported")
    return array.astype(np.float32) if array.dtype == np.float16 else array
