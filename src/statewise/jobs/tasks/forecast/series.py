"""Series on one grid: what a run learns and forecasts, as a table or an array had it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.frames import FrameKind
from ...errors import InputError
from .config import Columns
from .grid import Grid
from .split import Array, Rows


@dataclass(frozen=True)
class Head:
    """Which series of a table it is."""

    key: tuple[str, ...] = ()
    """What its rows have in the columns of ids, as text."""
    target: str = ""
    """The column of its values."""


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
    head: Head = Head()

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where the table has no value: (T,)."""
        gaps = np.isnan(self.values)
        return gaps if self.filled is None else gaps | self.filled

    def __len__(self) -> int:
        return len(self.values)

    def before(self, end: int) -> Series:
        """The rows before ``end``."""
        filled = None if self.filled is None else self.filled[:end]
        cells = {name: column[:end] for name, column in self.cells.items()}
        return replace(self, values=self.values[:end], labels=self.labels[:end], cells=cells, filled=filled)


@dataclass(frozen=True)
class Panel:
    """All series of a run."""

    name: str
    source: str
    """What an error calls the table."""
    series: tuple[Series, ...]
    grid: Grid
    columns: Columns
    kind: FrameKind = FrameKind()
    """As what kind of frame the table came."""

    @property
    def missing(self) -> int:
        """How many values between the first and the last of their series the table hasn't got."""
        return sum(int(series.missing.sum()) for series in self.series)

    def before(self, ends: Rows) -> Panel:
        """The rows before ``ends`` (S,) of each series, as if no more were known."""
        return replace(self, series=tuple(one.before(int(end)) for one, end in zip(self.series, ends, strict=True)))


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
    count = len(after.labels)
    cells = {  # a static covariate needn't be told again
        name: np.concatenate([column[:total], after.cells.get(name, np.repeat(column[:1], count))])
        for name, column in series.cells.items()
    }
    values = np.concatenate([series.values, after.values])
    filled = np.concatenate([one.missing & ~np.isnan(one.values) for one in (series, after)])
    labels = series.labels[:total] + list(written)
    return replace(series, values=values, labels=labels, cells=cells, filled=filled)


def make_series(
    name: str,
    first: int,
    values: Array,
    labels: list[str],
    carried: Mapping[str, NDArray[Any]],
    gaps: str,
    head: Head,
) -> Series:
    """The series, its missing values filled where ``gaps`` asks for that, and known to be."""
    if gaps != "carry":
        return Series(name, first, values, labels, carried, head=head)
    return Series(name, first, filled(values), labels, carried, np.isnan(values), head)


def filled(column: NDArray[Any]) -> NDArray[Any]:
    """Every missing cell with the last one before it that isn't; those before all stay missing."""
    last = np.maximum.accumulate(np.where(there(column), np.arange(len(column)), -1))
    return np.where(last >= 0, column[np.maximum(last, 0)], column)


def there(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Which cells of numbers or texts aren't missing."""
    return np.isfinite(column) if column.dtype.kind == "f" else np.asarray(column != "", dtype=np.bool_)


def missing(column: Array) -> str:
    """What is said against missing values."""
    return (
        f"expected a number, the value is missing ({int(np.isnan(column).sum())} of {len(column)} are);"
        " --gaps mask leaves them out, --gaps carry repeats the last value"
    )
