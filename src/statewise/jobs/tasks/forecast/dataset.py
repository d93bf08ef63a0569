"""Series as numbers: covariates encoded, values scaled, all series behind one another so that windows are cut by index.

What a column means (its mean, its spread, its categories) and how values are scaled is decided on the training rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ...config import from_json
from ...errors import InputError
from .series import Panel
from .split import Array, Rows

MOST_CATEGORIES = 200
SMALL = 4096  # numbers, which are indexed sooner than a view of them is made


@dataclass(frozen=True)
class Column:
    """How one covariate becomes numbers: standardised, or one column of 0 and 1 a category.

    ``flagged`` adds a column that is 1 where the value is missing.
    """

    name: str
    categories: tuple[str, ...] | None
    mean: float = 0.0
    spread: float = 1.0
    flagged: bool = False

    def __post_init__(self) -> None:
        if not self.spread > 0:
            raise ValueError(f"{self.name}: expected a spread above 0, got {self.spread}")

    @property
    def width(self) -> int:
        """How many numbers a cell becomes."""
        return (1 if self.categories is None else len(self.categories)) + self.flagged

    def encode(self, where: str, cells: NDArray[Any], labels: Sequence[str]) -> Array:
        """The numbers of ``cells`` (T,): (T, width). A missing value is the mean, a category never seen is all 0.

        Raises ``InputError`` where a value is missing and none was in training.
        """
        if (cells.dtype.kind == "f") != (self.categories is None):
            expected = "numbers" if self.categories is None else "text"
            raise InputError(f"{where}: column {self.name!r}: expected {expected}, as in training")
        missing = np.isnan(cells) if self.categories is None else np.asarray(cells == "", dtype=np.bool_)
        if missing.any() and not self.flagged:
            row = labels[int(np.flatnonzero(missing)[0])]
            raise InputError(
                f"{where}: column {self.name!r}, row {row}: expected a value; none was missing where the model learnt"
            )
        if self.categories is None:
            encoded = np.where(missing, 0.0, (cells - self.mean) / self.spread)[:, None]
        else:
            encoded = (cells[:, None] == np.array(self.categories, dtype=object)).astype(np.float64)
        return np.concatenate([encoded, missing[:, None].astype(np.float64)], axis=1) if self.flagged else encoded


@dataclass(frozen=True)
class Encoding:
    """Some covariates of a panel."""

    columns: tuple[Column, ...] = ()

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return sum(column.width for column in self.columns)

    def encode(
        self,
        where: str,
        cells: Mapping[str, NDArray[Any]],
        labels: Sequence[str],
        rows: int,
        static: Array | None = None,
    ) -> Array:
        """The numbers of the first ``rows`` rows: (rows, width); of columns that aren't there those of ``static``."""
        parts, at = [np.zeros((rows, 0))], 0
        for column in self.columns:
            if column.name in cells or static is None:
                parts.append(column.encode(where, cells[column.name][:rows], labels))
            else:
                parts.append(np.repeat(static[None, at : at + column.width], rows, axis=0))
            at += column.width
        return np.concatenate(parts, axis=1)

    def to_json(self) -> list[dict[str, Any]]:
        """As a model file keeps it."""
        return [asdict(column) for column in self.columns]

    @staticmethod
    def from_json(content: Sequence[Any]) -> Encoding:
        """What ``to_json`` gave. ValueError for what it can't have given."""
        return Encoding(tuple(from_json(Column, column) for column in content))


def find_encoding(panel: Panel, names: Sequence[str], train: Rows, *, ahead: bool) -> Encoding:
    """How the covariates ``names`` are encoded; ``train`` is where each series' training part ends, (S,).

    Whether a column has missing values is looked up in all rows, so that a gap after the training part has its flag.
    """
    return Encoding(tuple(_column(panel, name, train, ahead) for name in names))


def _column(panel: Panel, name: str, train: Rows, ahead: bool) -> Column:
    every = [s.cells[name] if ahead else s.cells[name][: len(s)] for s in panel.series]
    seen = np.concatenate([cells[:end] for cells, end in zip(every, train, strict=True)])
    if seen.dtype.kind == "f":
        there = seen[np.isfinite(seen)]
        mean, spread = (float(there.mean()), float(there.std()) or 1.0) if len(there) else (0.0, 1.0)
        return Column(name, None, mean, spread, any(bool(np.isnan(cells).any()) for cells in every))
    categories = sorted({str(cell) for cell in seen} - {""})
    if len(categories) > MOST_CATEGORIES:
        raise InputError(
            f"{panel.source}: column {name!r} has {len(categories)} different texts, expected at most"
            f" {MOST_CATEGORIES} categories or numbers"
        )
    return Column(name, tuple(categories), flagged=any(bool((cells == "").any()) for cells in every))


@dataclass(frozen=True)
class EncodedSeries:
    """A series as numbers alone: T rows of values, F more of covariates known ahead."""

    name: str
    first: int  # place of row 0 on the grid
    values: Array  # (T,), NaN where missing
    known: Array  # (T + F, K)
    observed: Array  # (T, O)
    filled: NDArray[np.bool_] | None = None  # (T,), which values are none of the table's but repeat the last one

    @property
    def real(self) -> Array:
        """The values that the table has, which forecasts are held against: (T,), NaN where it has none."""
        return self.values if self.filled is None else np.where(self.filled, np.nan, self.values)

    def tail(self, rows: int) -> EncodedSeries:
        """The last ``rows`` rows, and what is known of those to come."""
        cut = max(0, len(self.values) - rows)
        return EncodedSeries(self.name, self.first + cut, self.values[cut:], self.known[cut:], self.observed[cut:])


def encode(
    panel: Panel, known: Encoding, observed: Encoding, static: Mapping[str, Array] | None = None
) -> list[EncodedSeries]:
    """The series of ``panel`` as numbers; ``static`` are the rows (K,) of those that lack static covariates."""
    rows = static or {}
    return [
        EncodedSeries(
            s.name,
            s.first,
            s.values,
            known.encode(panel.source, s.cells, s.labels, len(s.labels) if known.columns else len(s), rows.get(s.name)),
            observed.encode(panel.source, s.cells, s.labels, len(s)),
            s.filled,
        )
        for s in panel.series
    ]


def values_before(series: Sequence[EncodedSeries], end: Rows) -> list[Array]:
    """The values of each series before row ``end`` (S,) of it, (T,) each."""
    return [each.values[:to] for each, to in zip(series, end, strict=True)]


def window_values(series: Sequence[EncodedSeries], rows: Rows, of: Rows, steps: int) -> Array:
    """The values of ``steps`` rows from each of ``rows`` of the series ``of`` on: (n, steps), NaN where missing."""
    values = np.concatenate([each.real for each in series])
    starts = np.cumsum([0] + [len(each.values) for each in series])[:-1]
    return np.asarray(values[(starts[of] + rows)[:, None] + np.arange(steps)])


def past_values(series: Sequence[EncodedSeries], rows: Rows, of: Rows, steps: int, *, gaps: bool = False) -> Array:
    """The values of ``steps`` rows before each of ``rows`` of the series ``of``: (n, steps).

    Missing ones, and those before a series begins, are NaN with ``gaps``. Else there is a straight line over each gap
    that has ended by then, the last value after the last one, and the first before the first.
    """
    parts = [np.concatenate([np.full(steps, np.nan), each.real if gaps else each.values]) for each in series]
    starts = np.cumsum([0] + [len(part) for part in parts])[:-1] + steps
    first, values = starts[of] + rows, np.concatenate(parts)  # behind the window, (n,)
    if gaps:
        return _cut(values, first, steps)
    known = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))
    bridges = np.concatenate([bridged(part) for part in parts])
    found = _cut(bridges, first, steps)
    cut = np.flatnonzero(known[first - 1] < first - 1)  # these end in a gap, of which they don't know the other side
    if len(cut):
        last = np.maximum(known[first[cut] - 1], starts[of[cut]])[:, None]  # a series begins with a value
        found[cut] = bridges[np.minimum(first[cut, None] + np.arange(-steps, 0), last)]
    return found


def _cut(values: Array, first: Rows, steps: int) -> Array:
    """The ``steps`` values before each of ``first``, (n, steps): as they lie, or by number where they are few."""
    few = len(first) * steps < SMALL
    return np.asarray(
        values[first[:, None] + np.arange(-steps, 0)] if few else sliding_window_view(values, steps)[first - steps]
    )


def floors(series: Sequence[EncodedSeries], rows: Rows, of: Rows) -> Array:
    """What no value before each of ``rows`` of the series ``of`` is below, 0 or minus infinity: (n,)."""
    least = np.concatenate([np.fmin.accumulate(np.concatenate([[0.0], each.values])) for each in series])
    starts = np.cumsum([0] + [len(each.values) + 1 for each in series])[:-1]
    return np.where(least[starts[of] + rows] >= 0, 0.0, -np.inf)


# From values to the scale that networks read and write, and back.


@dataclass(frozen=True)
class Scaling:
    """Scaled = (log of the value, or the value, less ``centre``) / ``spread``, each series with its own constants.

    A log takes values below ``floor`` for ``floor``.
    """

    log: bool
    floor: Array  # (S,)
    centre: Array  # (S,)
    spread: Array  # (S,)

    def forward(self, values: Array, of: Rows | int) -> Array:
        """The scaled ``values`` (n, ...) of the series ``of``, (n,) or one for all."""
        floor, centre, spread = (_beside(x[of], values) for x in (self.floor, self.centre, self.spread))
        transformed = np.log(np.maximum(values, floor)) if self.log else values
        return np.asarray((transformed - centre) / spread)

    def backward(self, scaled: Array, of: Rows | int) -> Array:
        """The inverse of ``forward``."""
        transformed = scaled * _beside(self.spread[of], scaled) + _beside(self.centre[of], scaled)
        return np.asarray(np.exp(transformed) if self.log else transformed)

    def take(self, series: list[int]) -> Scaling:
        """The constants of some series."""
        return Scaling(self.log, self.floor[series], self.centre[series], self.spread[series])


def standardise(trains: Sequence[Array], log: bool, *, from_zero: bool = False) -> Scaling:
    """Mean 0 and variance 1 in every training part, ``trains``, which may have NaN; a constant keeps its units.

    ``from_zero``: 0 stays where it is.
    """
    transformed = [np.log(train) if log else train for train in trains]
    spread = np.array([float(np.nanstd(t)) or 1.0 for t in transformed])
    floor = np.array([float(np.nanmin(train)) / 2 for train in trains])
    centre = np.array([0.0 if from_zero else float(np.nanmean(t)) for t in transformed])
    return Scaling(log, floor, centre, spread)


def _beside(constants: Array | np.float64, values: Array) -> Array:
    """``constants``, (n,) or one, shaped so that they go with the rows of ``values`` (n, ...)."""
    whole = np.asarray(constants)
    return whole.reshape(whole.shape + (1,) * (values.ndim - whole.ndim)) if whole.ndim else whole


def grows_with_level(trains: Sequence[Array], season: int) -> bool:
    """Whether, in most series, all values are positive and the spread inside a season grows with its level."""
    if any(np.nanmin(train) <= 0 for train in trains):
        return False
    return 2 * sum(spread_grows(train, season) for train in trains) > len(trains)


def spread_grows(train: Array, season: int) -> bool:
    """Whether the spread inside a block of one season grows with its level (Guerrero's rule, log or nothing)."""
    width = season if season > 1 else 12
    count = len(train) // width
    blocks = train[len(train) - count * width :].reshape(count, width)
    blocks = blocks[np.isfinite(blocks).all(1)]
    if len(blocks) < 3:
        return False
    spread, level = blocks.std(axis=1), blocks.mean(axis=1)
    return bool(_variation(spread / level) < _variation(spread))


def _variation(values: Array) -> float:
    mean = float(values.mean())
    return float(values.std()) / mean if mean > 0 else np.inf


@dataclass(frozen=True)
class PanelDataset:
    """R rows of all S series behind one another; series s is in rows ``begin[s]`` to ``end[s]``.

    Each has ``before`` empty rows ahead of its first and ``after`` rows behind its last, in which only the calendar and
    the covariates known ahead are filled.
    """

    scaled: Array  # (R,), NaN where there is no value
    filled: Array  # (R,), the last one there was; before a series the first one of it
    calendar: Array  # (R, 2C), sine and cosine of each cycle
    known: Array  # (R, K)
    observed: Array  # (R, O)
    real: NDArray[np.bool_]  # (R,), where the value is one of the table's
    unit: Array  # (R,), what a scaled value of 1 stands for
    begin: Rows  # (S,)
    end: Rows  # (S,)

    def window(self, origins: Rows, steps: int) -> Array:
        """What came in ``steps`` rows from each of ``origins`` (n,) on, scaled: (n, steps), NaN where missing."""
        at = origins[:, None] + np.arange(steps)
        return np.where(self.real[at], self.scaled[at], np.nan)


def make_dataset(
    series: Sequence[EncodedSeries], scaling: Scaling, cycles: Sequence[int], before: int, after: int
) -> PanelDataset:
    """The dataset of ``series``; ``scaling`` has their constants in the same order."""
    sizes = np.array([before + len(each.values) + after for each in series], dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    total = int(sizes.sum())
    scaled, filled, real = np.full(total, np.nan), np.zeros(total), np.zeros(total, np.bool_)
    calendar = np.zeros((total, 2 * len(cycles)))
    known, observed = (np.zeros((total, x.shape[1])) for x in (series[0].known, series[0].observed))
    for s, (each, start, size) in enumerate(zip(series, starts, sizes, strict=True)):
        part, first, count = slice(start, start + size), start + before, len(each.values)
        scaled[first : first + count] = scaling.forward(each.values, s)
        filled[part] = carried(scaled[part])
        real[first : first + count] = np.isfinite(each.real)
        there = min(len(each.known), count + after)
        known[first : first + there] = each.known[:there]
        observed[first : first + count] = each.observed
        places = each.first - before + np.arange(size)
        for c, cycle in enumerate(cycles):
            angle = 2 * np.pi * (places % cycle) / cycle
            calendar[part, 2 * c], calendar[part, 2 * c + 1] = np.sin(angle), np.cos(angle)
    begin = starts + before
    unit = np.repeat(scaling.spread, sizes)
    return PanelDataset(scaled, filled, calendar, known, observed, real, unit, begin, begin + sizes - before - after)


def bridged(values: Array) -> Array:
    """``values`` (T,) with a straight line over every gap, the first and the last value before and behind them."""
    there = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), there, values[there]) if len(there) < len(values) else values


def carried(values: Array) -> Array:
    """``values`` (T,), each missing one the last there was; the first ones the first there is."""
    there = np.isfinite(values)
    if not there.any():
        return np.zeros_like(values)
    last = np.maximum.accumulate(np.where(there, np.arange(len(values)), -1))
    return values[np.where(last < 0, int(np.flatnonzero(there)[0]), last)]
