"""Many series on one grid, with the columns that go along with them: what is forecast, before anything is learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .config import Columns
from .grid import Grid

Array = NDArray[np.float64]


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
