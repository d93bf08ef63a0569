"""Which earlier misses a stepwise network is handed beside the last one, since its state can't look them up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .season import autocorrelation

Array = NDArray[np.float64]

MOST_LAGS = 6


def choose_lags(misses: Sequence[Array], season: int) -> tuple[int, ...]:
    """Lags 1, the season and twice the season, and what stands out in the partial autocorrelation up to 1.5 seasons.

    A recurrent state remembers, so a lag must be far beyond chance (four standard errors) to be handed over as well.
    ``misses`` are those of the training part, one array a series; the median over the series decides.
    """
    shortest, total = min(map(len, misses)), sum(map(len, misses))
    lags = {lag for lag in (1, season, 2 * season) if lag <= max(1, shortest // 3)}
    longest = min(max(24, season + season // 2), shortest // 4)
    if longest >= 2:
        partial = np.abs(np.median([partial_autocorrelation(miss, longest) for miss in misses], axis=0))
        strong = [k for k in range(1, longest + 1) if partial[k] > max(4 / np.sqrt(total), 0.1)]
        lags |= set(sorted(strong, key=lambda k: -partial[k])[:MOST_LAGS])
    return tuple(sorted(lags))


def partial_autocorrelation(values: Array, longest: int) -> Array:
    """Partial autocorrelation at lags 0 to ``longest``, by Durbin and Levinson's recursion."""
    r = autocorrelation(values, longest)
    partial = np.zeros(longest + 1)
    phi = np.zeros(0)
    for k in range(1, longest + 1):
        error = 1 - phi @ r[1:k]
        if error <= 1e-9:  # the past tells everything: nothing is left to explain
            break
        partial[k] = (r[k] - phi @ r[k - 1 : 0 : -1]) / error
        phi = np.append(phi - partial[k] * phi[::-1], partial[k])
    return partial
