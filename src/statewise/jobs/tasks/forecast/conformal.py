"""Split-conformal quantiles: what the model missed in rows it hadn't learnt from moves what it says of new ones.

For each step of the horizon, two quantiles as far out on either side (0.1 and 0.9) are moved apart, or together, by as
much as makes the interval between them hold with at least its probability, if misses to come are like those of the
validation part (Romano et al. 2019; for a point forecast it is the quantile of the absolute misses, Vovk et al.). A
quantile without its counterpart is moved for itself. Windows that overlap and series that drift break that "if", so a
report tells the coverage measured on the test part. The point forecast is not moved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def shifts(forecast: Array, real: Array, levels: Sequence[float]) -> Array:
    """What to add to each quantile: (H, Q). ``forecast`` (n, H, Q), ``real`` (n, H), NaN where missing."""
    result = np.zeros(forecast.shape[1:])
    place = {round(level, 9): q for q, level in enumerate(levels)}
    for q, level in enumerate(levels):
        other = place.get(round(1 - level, 9))
        if level == 0.5 or (other is not None and other > q):
            continue  # the median, and what its counterpart settles
        misses = real - forecast[..., q]  # (n, H)
        if other is not None:
            beyond = np.fmax(forecast[..., other] - real, misses)  # how far out of the interval
            result[:, q] = [_quantile(step, level - levels[other]) for step in beyond.T]
            result[:, other] = -result[:, q]
        else:
            result[:, q] = [_quantile(step, level) for step in misses.T]
    return result


def _quantile(misses: Array, level: float) -> float:
    """What a miss to come stays below with the probability ``level``; the outermost miss where none is far enough."""
    there = np.sort(misses[np.isfinite(misses)])
    if not len(there):
        return 0.0
    rank = np.ceil(level * (len(there) + 1)) if level >= 0.5 else np.floor(level * (len(there) + 1))
    return float(there[int(np.clip(rank, 1, len(there))) - 1])


def least_windows(levels: Sequence[float]) -> int:
    """How many misses a step needs before its outermost quantiles, or the interval between them, can be told."""
    outside = 1 - (levels[-1] - levels[0]) if levels[0] + levels[-1] == 1 else min(levels[0], 1 - levels[-1])
    return int(np.ceil(1 / outside - 1e-9)) - 1
