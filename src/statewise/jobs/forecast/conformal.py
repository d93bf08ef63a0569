"""Split-conformal quantiles: what the model missed in rows it hadn't learnt from shifts what it says of new ones.

For each step of the horizon and each level, the shift is that empirical quantile of the misses (real less forecast) of
the validation part which makes the forecast hold with at least the level's probability, if misses to come are like
those (Vovk et al.; Romano et al. 2019 for quantile models). Windows that overlap and series that drift break that "if",
so a report tells the coverage measured on the test part. The point forecast is not shifted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def shifts(forecast: Array, real: Array, levels: Sequence[float]) -> Array:
    """What to add to each quantile: (H, Q). ``forecast`` (n, H, Q), ``real`` (n, H), NaN where missing."""
    misses = real[..., None] - forecast  # (n, H, Q)
    result = np.zeros(forecast.shape[1:])
    for q, level in enumerate(levels):
        if level != 0.5:
            for h in range(forecast.shape[1]):
                result[h, q] = _quantile(misses[:, h, q], level)
    return result


def _quantile(misses: Array, level: float) -> float:
    """The miss whose rank leaves at least ``level`` on its side, counting the one to come; the outermost where none does."""
    there = np.sort(misses[np.isfinite(misses)])
    if not len(there):
        return 0.0
    rank = np.ceil(level * (len(there) + 1)) if level > 0.5 else np.floor(level * (len(there) + 1))
    return float(there[int(np.clip(rank, 1, len(there))) - 1])


def least_windows(levels: Sequence[float]) -> int:
    """How many misses a step needs before its outermost quantiles exist."""
    edge = min(min(level, 1 - level) for level in levels)
    return int(np.ceil(1 / edge)) - 1
