"""Take what a program has in memory as a polars frame, and give columns back as the kind of frame that it came as.

That is frames of polars, pandas, Arrow and their kin, and numpy arrays. An index that says something, such as pandas'
dates, becomes a column, and a column that was an index becomes one again. Nothing is copied that needn't be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..lazy import LazyModule

if TYPE_CHECKING:
    import narwhals as nw
    import polars as pl
else:
    nw = LazyModule("narwhals")
    pl = LazyModule("polars")

Type = tuple[str, ...]
"""A type of a column as JSON has it: narwhals' name of it, of times the unit and the zone, of periods the frequency."""


@dataclass(frozen=True)
class FrameKind:
    """As what kind of frame a table came: what columns of the same names are to come back as. JSON can hold it."""

    implementation: str = "polars"
    """narwhals' name of it."""
    types: dict[str, Type] = field(default_factory=dict)
    """Of its columns."""
    index: tuple[str, ...] = ()
    """The columns that were the index of a pandas frame, outermost first."""
    unnamed: tuple[str, ...] = ()
    """Those of them that had no name."""

    @staticmethod
    def of(source: Any) -> FrameKind:
        """That of ``source``, a frame; of anything else a polars frame, whose columns have the types they happen to."""
        if nw.dependencies.is_pandas_like_dataframe(source) or nw.dependencies.is_pandas_like_series(source):
            whole = _as_columns(source.iloc[:50])
            known = set(_columns_of(source))
            index = tuple(name for name in map(str, whole.columns) if name not in known)
            bare = index if source.index.nlevels == 1 and source.index.name is None else ()
            types = FrameKind._types(nw.from_native(whole))
            if index and hasattr(source.index, "freqstr") and hasattr(source.index, "to_timestamp"):
                types[index[0]] = ("Period", source.index.freqstr)
            types |= {str(name): ("Period", str(source[name].dtype)[7:-1]) for name in _periods(source)}
            return FrameKind(nw.from_native(whole).implementation.value, types, index, bare)
        if isinstance(source, (list, tuple, np.ndarray)):
            return FrameKind()
        frame = nw.from_native(source, allow_series=True)
        frame = frame.to_frame() if isinstance(frame, nw.Series) else frame
        implementation = "polars" if isinstance(frame, nw.LazyFrame) else frame.implementation.value
        return FrameKind(implementation, FrameKind._types(frame))

    @staticmethod
    def _types(frame: Any) -> dict[str, Type]:
        return {str(name): _type_of(dtype) for name, dtype in frame.collect_schema().items()}

    def keep(self, names: Sequence[str]) -> FrameKind:
        """The same of some columns alone."""
        return FrameKind(
            self.implementation,
            {name: self.types[name] for name in names if name in self.types},
            tuple(name for name in self.index if name in names),
            tuple(name for name in self.unnamed if name in names),
        )

    def frame(self, columns: Mapping[str, Any]) -> Any:
        """A frame of this kind with ``columns``, arrays or lists, which have the types that they had."""
        made = {name: self._column(name, values) for name, values in columns.items()}
        found = nw.from_dict(made).to_native()
        index = [name for name in self.index if name in columns]
        if not index or len(index) < len(self.index):
            return found
        found = found.set_index(index)
        kind = self.types.get(index[0], ("",))
        if kind[0] == "Period":
            found.index = found.index.to_period(kind[1])
        elif len(index) == 1 and kind[0] == "Datetime" and len(found) > 2:
            found.index = type(found.index)(found.index, freq="infer")
        return found.rename_axis([None if name in self.unnamed else name for name in index])

    def _column(self, name: str, values: Any) -> nw.Series[Any]:
        implementation: Any = self.implementation
        series = nw.new_series(name, values, backend=implementation)
        kind, *more = self.types.get(name, ("",))
        if kind == "Period" and name not in self.index:
            return nw.from_native(series.to_native().dt.to_period(more[0]), series_only=True)
        if kind == "Datetime" and isinstance(series.dtype, nw.Datetime):
            series = series.cast(nw.Datetime(more[0], None))  # type: ignore[arg-type]
            if len(more) < 2 or more[1] == "UTC":
                return series if len(more) < 2 else series.dt.replace_time_zone("UTC")
            if more[2:] == ["UTC"]:
                return series.dt.replace_time_zone("UTC").dt.convert_time_zone(more[1])
            return series.dt.replace_time_zone(more[1])
        dtype = getattr(nw, kind, None)
        if kind in ("", "Period", "Datetime", "Enum") or dtype is None:
            return series
        return series == "True" if kind == "Boolean" else series.cast(dtype)


def is_time_series(source: Any) -> bool:
    """Whether ``source`` is a ``TimeSeries`` as darts has them, told by what it can do: nothing is imported."""
    return all(hasattr(source, name) for name in ("to_dataframe", "time_index", "components"))


def _type_of(dtype: Any) -> Type:
    if isinstance(dtype, nw.Datetime):
        return ("Datetime", dtype.time_unit, *([dtype.time_zone] if dtype.time_zone else []))
    return (type(dtype).__name__,)


def _columns_of(source: Any) -> list[str]:
    """The names of what isn't the index."""
    if nw.dependencies.is_pandas_like_series(source):
        return ["value" if source.name is None else str(source.name)]
    return list(map(str, source.columns))


def to_polars(source: Any) -> pl.DataFrame:
    """``source`` with its columns under their names as text. Raises ``InputError`` for anything that is no table."""
    if isinstance(source, (list, tuple, np.ndarray)):
        return _array(np.asarray(source))
    if nw.dependencies.is_pandas_like_dataframe(source) or nw.dependencies.is_pandas_like_series(source):
        source = _as_columns(source)
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


def _as_columns(source: Any) -> Any:
    """A pandas frame, or a series as one, whose index is a column too unless it only counts the rows.

    Periods, such as months, begin some day, which stands for them.
    """
    if nw.dependencies.is_pandas_like_series(source):
        source = source.to_frame("value" if source.name is None else source.name)
    index = source.index
    if periods := _periods(source):
        source = source.copy(deep=False)
        for name in periods:
            source[name] = source[name].dt.to_timestamp()
    if hasattr(index, "to_timestamp"):
        source = source.set_axis(index.to_timestamp(), axis=0).rename_axis(index.name or "time").reset_index()
    elif not _counts(source):
        if index.name is None and index.nlevels == 1:
            source = source.rename_axis("time" if hasattr(index, "tz") else "index")
        source = source.reset_index()
    named = all(isinstance(name, str) for name in source.columns)
    return source if named else source.rename(columns=str)


def _periods(source: Any) -> list[Any]:
    """The names of the columns of periods."""
    if nw.dependencies.is_pandas_like_series(source):
        return []
    return [name for name, dtype in source.dtypes.items() if str(dtype).startswith("period[")]


def _counts(source: Any) -> bool:
    """Whether the index of a pandas frame says nothing: numbers without a name, as are left when rows were chosen."""
    index = source.index
    plain = type(index).__name__ == "Index" and index.name is None and index.dtype.kind in "iu"
    return type(index).__name__ == "RangeIndex" or (plain and source.shape[1] > 1)


def _column(name: str, series: nw.Series[Any]) -> pl.Series:
    """One column by way of numpy, which needs no Arrow, or cell by cell where it has gaps or no plain type."""
    dtype = series.dtype
    if isinstance(dtype, nw.Datetime) and dtype.time_zone is None:
        return pl.Series(name, series.to_numpy().astype("datetime64[us]"))
    missing = series.is_null().to_list()
    if dtype.is_numeric() and not any(missing):
        return pl.Series(name, series.to_numpy())
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
