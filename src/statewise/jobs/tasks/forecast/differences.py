"""The naive forecast that a stepwise network starts from, and what it misses.

The differences that are taken are those of the best naive forecast: the mean, persistence, the seasonal naive one, or
y[t-1] + y[t-m] - y[t-m-1]. What that forecast misses is the network's target, so a network that outputs zero gives
the naive forecast itself. All of it happens on levels, whose mean in the training part is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Differences:
    """Which differences: at lag 1, at lag ``season``, both or none."""

    first: bool
    seasonal: bool
    season: int

    def __post_init__(self) -> None:
        if self.season < 1:
            raise ValueError(f"a season of {self.season} rows")

    def told(self, cycles: Sequence[int]) -> list[int]:
        """Which columns of the calendar, two for each of ``cycles``, say something that these have not taken out."""
        return [c for c in range(2 * len(cycles)) if not (self.seasonal and cycles[c // 2] == self.season)]

    @property
    def start(self) -> int:
        """How many rows the naive forecast looks back."""
        return int(self.first) + self.season * int(self.seasonal)

    def naive(self, past: Array) -> Array:
        """The forecast of the row after ``past`` (n, at least ``start``): (n,)."""
        forecast = np.zeros(len(past))
        if self.first:
            forecast += past[:, -1]
        if self.seasonal:
            forecast += past[:, -self.season]
        if self.first and self.seasonal:
            forecast -= past[:, -self.season - 1]
        return forecast

    def missed(self, levels: Array) -> tuple[Array, Array]:
        """What the naive forecast misses in ``levels`` (T,), and the levels with every gap filled by that forecast.

        The first ``start`` rows have no forecast: NaN. Where a level is missing, nothing is missed: 0.
        """
        filled = levels.copy()
        self._fill(filled)
        if len(levels) <= self.start:
            return np.full_like(levels, np.nan), filled
        past = np.lib.stride_tricks.sliding_window_view(filled, max(self.start, 1))  # (T - start + 1, start)
        naive = self.naive(past[: len(levels) - self.start]) if self.start else np.zeros(len(levels))
        missed = np.full_like(levels, np.nan)
        missed[self.start :] = np.where(np.isfinite(levels[self.start :]), filled[self.start :] - naive, 0.0)
        return missed, filled

    def _fill(self, levels: Array) -> None:
        """Fill gaps one after another, each by the naive forecast from what is before it."""
        gaps = np.flatnonzero(np.isnan(levels))
        there = np.flatnonzero(np.isfinite(levels))
        for at in gaps:
            if at >= max(self.start, 1):
                levels[at] = self.naive(levels[None, :at])[0]
            else:  # before any forecast: the last level, or the first there is
                levels[at] = levels[at - 1] if at else levels[there[0]] if len(there) else 0.0

    def __str__(self) -> str:
        lags = [str(lag) for lag, taken in ((1, self.first), (self.season, self.seasonal)) if taken]
        return f"differences at lag {' and '.join(lags)}" if lags else "no differences"


def choose_differences(levels: Sequence[Array], season: int) -> Differences:
    """The differences whose naive forecast misses least in the training parts ``levels``, each (T,)."""
    skip = season + 1 if season > 1 else 1  # every candidate is judged on the same rows
    choices = [Differences(f, s, season) for s in ((False, True) if season > 1 else (False,)) for f in (False, True)]

    def badness(choice: Differences) -> float:
        squares = [choice.missed(series)[0][skip:] ** 2 for series in levels if len(series) > skip]
        return float(np.mean([np.mean(square) for square in squares])) if squares else float(choice.start)

    return min(choices, key=badness)
