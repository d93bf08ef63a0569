"""From values to the scale that networks read and write, *levels*, and back. Constants come from the training part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Scaling:
    """Level = (log of the value, or the value, less ``centre``) / ``spread``, each series with its own constants.

    A log takes values below ``floor`` for ``floor``.
    """

    log: bool
    floor: Array  # (S,)
    centre: Array  # (S,)
    spread: Array  # (S,)

    def forward(self, values: Array, of: Index | int) -> Array:
        """The levels of ``values`` (n, ...) of the series ``of``, (n,) or one for all."""
        floor, centre, spread = (_beside(x[of], values) for x in (self.floor, self.centre, self.spread))
        heights = np.log(np.maximum(values, floor)) if self.log else values
        return np.asarray((heights - centre) / spread)

    def backward(self, levels: Array, of: Index | int) -> Array:
        """The inverse of ``forward``."""
        heights = levels * _beside(self.spread[of], levels) + _beside(self.centre[of], levels)
        return np.asarray(np.exp(heights) if self.log else heights)

    def take(self, series: list[int]) -> Scaling:
        """The constants of some series."""
        return Scaling(self.log, self.floor[series], self.centre[series], self.spread[series])


def standardise(trains: list[Array], log: bool) -> Scaling:
    """Mean 0 and variance 1 in every training part, ``trains``, which may have NaN; a constant keeps its units."""
    heights = [np.log(train) if log else train for train in trains]
    spread = np.array([float(np.nanstd(h)) or 1.0 for h in heights])
    floor = np.array([float(np.nanmin(train)) / 2 for train in trains])
    return Scaling(log, floor, np.array([float(np.nanmean(h)) for h in heights]), spread)


def grows_with_level(trains: list[Array], season: int) -> bool:
    """Whether, in most series, all values are positive and the spread inside a season grows with its level."""
    return all(np.nanmin(train) > 0 for train in trains) and 2 * sum(spread_grows(t, season) for t in trains) > len(
        trains
    )


def spread_grows(train: Array, season: int) -> bool:
    """Whether the spread inside a block of one season grows with its level (Guerrero's rule, log or nothing)."""
    width = season if season > 1 else 12
    count = len(train) // width
    if count < 3:
        return False
    blocks = train[len(train) - count * width :].reshape(count, width)
    blocks = blocks[np.isfinite(blocks).all(1)]
    if len(blocks) < 3:
        return False
    spread, level = blocks.std(axis=1), blocks.mean(axis=1)
    return bool(_variation(spread / level) < _variation(spread))


def _variation(values: Array) -> float:
    mean = float(values.mean())
    return float(values.std()) / mean if mean > 0 else np.inf


def _beside(constants: Array | np.float64, values: Array) -> Array:
    """``constants``, (n,) or one, shaped so that they go with the rows of ``values`` (n, ...)."""
    whole = np.asarray(constants)
    return whole.reshape(whole.shape + (1,) * (values.ndim - whole.ndim)) if whole.ndim else whole
