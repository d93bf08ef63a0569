"""The rules of the game: what a method may read, where it forecasts from, and how it is scored.

The last five horizons of a series, at most 30 % of it, are the test part. Methods are fitted once, on the rows before
it; then they forecast from several origins inside it, each time with all rows before the origin. Errors are counted in
the mean absolute error of the seasonal naive forecast before the test part, so that series weigh alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .fetch import OFFSETS, Source

Array = NDArray[np.float64]

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
SEASONS = {"M": (12,), "Q": (4,), "W": (52,), "D": (7, 365), "h": (24, 168), "30min": (48, 336), "5min": (288,)}
HORIZONS, SHARE = 5, 0.3
FORECASTS, MOST_ORIGINS, LEAST_ORIGINS = 120, 12, 3  # per set; per series

Method = Callable[["Problem"], Array]


@dataclass(frozen=True)
class Problem:
    """A set, cut into what came before and what is to be forecast. NaN where a value is missing."""

    name: str
    frequency: str
    season: int  # the shortest that the calendar knows; 1 without dates
    horizon: int
    ids: list[str]
    times: list[list[str]]  # S of T
    values: list[Array]  # S of (T,)
    rows: int  # of the test part
    origins: list[tuple[int, int]]  # N of (series, first row of the forecast)

    def before(self, s: int) -> Array:
        """What methods are fitted on, without gaps."""
        return filled(self.values[s][: len(self.values[s]) - self.rows])

    def past(self, s: int, row: int) -> Array:
        """What a forecast from ``row`` may read, without gaps."""
        return filled(self.values[s][:row])

    @property
    def seasons(self) -> list[int]:
        """Those of the calendar that come twice before the test part."""
        shortest = min(map(len, self.values)) - self.rows
        return [season for season in SEASONS.get(self.frequency, ()) if 2 * season <= shortest]

    @property
    def real(self) -> Array:
        """What came, (N, H)."""
        return np.stack([self.values[s][row : row + self.horizon] for s, row in self.origins])

    @property
    def scale(self) -> Array:
        """Of the errors of each forecast, (N,); NaN where a series never changes."""
        per = [np.abs(seasonal_differences(self.before(s), self.season)).mean() for s in range(len(self.values))]
        return np.array([per[s] if per[s] > 0 else np.nan for s, _ in self.origins])


def filled(values: Array) -> Array:
    """``values`` with straight lines over the gaps, and the last value carried on."""
    there = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), there, values[there])


def seasonal_differences(values: Array, season: int) -> Array:
    """What the seasonal naive forecast misses, one row ahead; the naive one where two seasons don't fit."""
    lag = season if len(values) >= 2 * season else 1
    return np.asarray(values[lag:] - values[:-lag])


def load(source: Source, file: Path) -> Problem:
    """The problem of a set that is kept in ``file``, or in a folder under its name."""
    table = pd.read_csv(file / f"{source.name}.csv" if file.is_dir() else file)
    ids, times, values = [], [], []
    for name, part in table.groupby("id"):
        series = part.set_index("time")["y"]
        if source.time and source.frequency != "row":
            series.index = pd.to_datetime(series.index)
            step = OFFSETS.get(source.frequency, source.frequency)
            series = series.reindex(pd.date_range(series.index[0], series.index[-1], freq=step))
        ids.append(str(name))
        times.append([str(time) for time in series.index])
        values.append(series.to_numpy(dtype=float))
    return cut(source.name, source.frequency, source.horizon, ids, times, values)


def cut(
    name: str,
    frequency: str,
    horizon: int,
    ids: Sequence[str],
    times: Sequence[list[str]],
    values: Sequence[Array],
) -> Problem:
    """The problem of these series."""
    shortest = min(map(len, values))
    rows = max(horizon, min(HORIZONS * horizon, int(SHARE * shortest)))
    count = int(np.clip(FORECASTS // len(values), LEAST_ORIGINS, MOST_ORIGINS))
    back = np.unique(np.linspace(horizon, rows, count).round().astype(int))[::-1]
    origins = [(s, len(series) - b) for s, series in enumerate(values) for b in map(int, back)]
    origins = [(s, row) for s, row in origins if np.isfinite(values[s][row : row + horizon]).any()]
    season = SEASONS.get(frequency, (1,))[0]
    return Problem(name, frequency, season, horizon, list(ids), list(times), list(values), rows, origins)


@dataclass(frozen=True)
class Score:
    """Of one method on one set."""

    mase: float
    loss: float  # scaled quantile loss
    cover80: float
    cover95: float


def score(problem: Problem, quantiles: Array) -> Score:
    """``quantiles`` (N, H, 5), at ``LEVELS``."""
    real, scale = problem.real, problem.scale[:, None]
    above = real[..., None] - quantiles
    levels = np.array(LEVELS)
    pinball = 2 * np.maximum(levels * above, (levels - 1) * above).mean(-1)
    there = np.isfinite(real)
    inside = [((real >= quantiles[..., i]) & (real <= quantiles[..., -1 - i]))[there].mean() for i in (1, 0)]
    points, losses = (_mean(problem, errors / scale) for errors in (np.abs(above[..., 2]), pinball))
    return Score(points, losses, float(inside[0]), float(inside[1]))


def _mean(problem: Problem, errors: Array) -> float:
    """Over the series of each one's mean."""
    series = np.array([s for s, _ in problem.origins])
    parts = [errors[series == s] for s in np.unique(series)]
    return float(np.mean([np.nanmean(part) for part in parts if np.isfinite(part).any()]))
