"""What the network reads before it forecasts row t: the scaled differences of earlier rows, and the calendar.

Row t of the inputs holds nothing of row t or later. Everything is scaled by constants of the training part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .season import autocorrelation

Array = NDArray[np.float64]

CALENDAR_AMPLITUDE = 0.3
FAR = 8.0
MOST_LAGS = 6


def choose_lags(target: Array, season: int) -> tuple[int, ...]:
    """Lags 1 and the season, and those up to a season and a half that stand out in the partial autocorrelation.

    A recurrent state remembers, so a lag must be far beyond chance (four standard errors) to be handed over as well.
    """
    lags = {1, season}
    longest = min(max(24, season + season // 2), len(target) // 4)
    if longest >= 2:
        partial = np.abs(partial_autocorrelation(target, longest))
        strong = [k for k in range(1, longest + 1) if partial[k] > max(4 / np.sqrt(len(target)), 0.1)]
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


def inputs(target: Array, lags: Sequence[int], cycles: Sequence[int], first: int) -> Array:
    """The inputs of every row and of the row after the last, from the scaled ``target``: (n + 1, features).

    Before the beginning a lag reads zero, the expected value of a difference. An outlier counts as ``FAR`` scales.
    ``first`` is the row of the series that ``target`` begins with: it says where in its cycles the calendar stands.
    """
    n = len(target)
    known = np.clip(target, -FAR, FAR)
    rows = first + np.arange(n + 1)
    columns = [np.concatenate([np.zeros(min(lag, n + 1)), known[: max(n + 1 - lag, 0)]]) for lag in lags]
    for cycle in cycles:
        angle = 2 * np.pi * rows / cycle
        columns += [CALENDAR_AMPLITUDE * np.sin(angle), CALENDAR_AMPLITUDE * np.cos(angle)]
    return np.stack(columns, axis=1)
