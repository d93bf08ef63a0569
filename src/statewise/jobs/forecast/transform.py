"""From values to what the network predicts, and back: logarithm and differences, chosen on the training part alone.

The differences that are taken are those of the best naive forecast: the mean, persistence, the seasonal naive one, or
y[t-1] + y[t-m] - y[t-m-1]. What that forecast misses is the network's target, so a network that outputs zero gives
the naive forecast itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Transform:
    """``log`` or not, which differences, and the constants that the training part gave."""

    log: bool
    difference: bool
    seasonal: bool
    season: int
    mean: float
    floor: float

    @property
    def start(self) -> int:
        """The first row that has a naive forecast."""
        return int(self.difference) + self.season * int(self.seasonal)

    def forward(self, values: Array) -> Array:
        """The values on the scale where differences are taken. A log takes values below ``floor`` for ``floor``."""
        return np.log(np.maximum(values, self.floor)) if self.log else values

    def backward(self, levels: Array) -> Array:
        """The inverse of ``forward``."""
        return np.exp(levels) if self.log else levels

    def naive(self, levels: Array) -> Array:
        """The naive forecast of every row and of the row after the last, on the scale of ``forward``: (n + 1,)."""
        n = len(levels)
        forecast = np.full(n + 1, np.nan)
        now = np.zeros(n + 1 - self.start)
        if self.difference:
            now += levels[self.start - 1 : n]
        if self.seasonal:
            now += levels[self.start - self.season : n + 1 - self.season]
        if self.difference and self.seasonal:
            now -= levels[: n - self.season]
        if not (self.difference or self.seasonal):
            now += self.mean
        forecast[self.start :] = now
        return forecast

    def __str__(self) -> str:
        lags = [str(lag) for lag, taken in ((1, self.difference), (self.season, self.seasonal)) if taken]
        differences = f"differences at lag {' and '.join(lags)}" if lags else "no differences"
        return f"{'logarithm' if self.log else 'no logarithm'}, {differences}"


def choose_transform(train: Array, season: int) -> Transform:
    """The transform that suits ``train``: log by ``spread_grows``, differences by the least naive error."""
    log = bool(train.min() > 0) and spread_grows(train, season)
    floor = float(train.min()) / 2
    levels = np.log(train) if log else train
    skip = season + 1 if season > 1 else 1  # every candidate is judged on the same rows
    choices = [
        Transform(log, difference, seasonal, season, float(levels.mean()), floor)
        for seasonal in ((False, True) if season > 1 else (False,))
        for difference in (False, True)
    ]
    return min(choices, key=lambda t: float(np.mean((levels - t.naive(levels)[:-1])[skip:] ** 2)))


def spread_grows(train: Array, season: int) -> bool:
    """Whether the spread inside a block of one season grows with its level (Guerrero's rule, log or nothing)."""
    width = season if season > 1 else 12
    count = len(train) // width
    if count < 3:
        return False
    blocks = train[len(train) - count * width :].reshape(count, width)
    spread, level = blocks.std(axis=1), blocks.mean(axis=1)
    return bool(_variation(spread / level) < _variation(spread))


def _variation(values: Array) -> float:
    mean = float(values.mean())
    return float(values.std()) / mean if mean > 0 else np.inf
