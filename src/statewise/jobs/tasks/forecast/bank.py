"""All series behind one another in flat arrays, so that windows of any series are cut out by index alone.

Each series has ``before`` empty rows ahead of its first and ``after`` rows behind its last, in which only the calendar
and the covariates known ahead are filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scaling import Scaling

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Track:
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

    def tail(self, rows: int) -> Track:
        """The last ``rows`` rows, and what is known of those to come."""
        cut = max(0, len(self.values) - rows)
        return Track(self.name, self.first + cut, self.values[cut:], self.known[cut:], self.observed[cut:])


@dataclass(frozen=True)
class Bank:
    """R rows of all S series; series s is in rows ``begin[s]`` to ``end[s]``."""

    levels: Array  # (R,), NaN where there is no value
    filled: Array  # (R,), the last level there was; before a series the first one of it
    calendar: Array  # (R, 2C), sine and cosine of each cycle
    known: Array  # (R, K)
    observed: Array  # (R, O)
    real: NDArray[np.bool_]  # (R,), where the level is one of the table's
    begin: Rows  # (S,)
    end: Rows  # (S,)

    def window(self, origins: Rows, steps: int) -> Array:
        """What came in ``steps`` rows from each of ``origins`` (n,) on, as levels: (n, steps), NaN where missing."""
        at = origins[:, None] + np.arange(steps)
        return np.where(self.real[at], self.levels[at], np.nan)


def make_bank(tracks: Sequence[Track], scaling: Scaling, cycles: Sequence[int], before: int, after: int) -> Bank:
    """The bank of ``tracks``; ``scaling`` has their constants in the same order."""
    sizes = np.array([before + len(track.values) + after for track in tracks], dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    total = int(sizes.sum())
    levels, filled, real = np.full(total, np.nan), np.zeros(total), np.zeros(total, np.bool_)
    calendar = np.zeros((total, 2 * len(cycles)))
    known = np.zeros((total, tracks[0].known.shape[1]))
    observed = np.zeros((total, tracks[0].observed.shape[1]))
    for s, (track, start, size) in enumerate(zip(tracks, starts, sizes, strict=True)):
        part, first, count = slice(start, start + size), start + before, len(track.values)
        levels[first : first + count] = scaling.forward(track.values, s)
        filled[part] = _carried(levels[part])
        real[first : first + count] = np.isfinite(track.real)
        there = min(len(track.known), count + after)
        known[first : first + there] = track.known[:there]
        observed[first : first + count] = track.observed
        places = track.first - before + np.arange(size)
        for c, cycle in enumerate(cycles):
            angle = 2 * np.pi * (places % cycle) / cycle
            calendar[part, 2 * c], calendar[part, 2 * c + 1] = np.sin(angle), np.cos(angle)
    begin = starts + before
    return Bank(levels, filled, calendar, known, observed, real, begin, begin + sizes - before - after)


def _carried(levels: Array) -> Array:
    """Each missing level with the last one there was; the first ones with the first there is."""
    there = np.isfinite(levels)
    if not there.any():
        return np.zeros_like(levels)
    last = np.maximum.accumulate(np.where(there, np.arange(len(levels)), -1))
    return levels[np.where(last < 0, int(np.flatnonzero(there)[0]), last)]
