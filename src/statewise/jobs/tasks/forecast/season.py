"""The season of a series: the period, in rows, that its training part repeats. 1 means that none was found.

With dates only the calendar's own periods are candidates (a month has 12 a year); without dates every period is. A
candidate is a season when the first differences correlate with themselves that many rows before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST_CORRELATION = 0.3
LONGEST = 1000
JUDGES = 50  # series that vote


def common_season(trains: Sequence[NDArray[np.float64]], candidates: Sequence[int] | None) -> int:
    """The season that most series have; of equals the shortest. Missing values may be NaN."""
    judges = [trains[i] for i in np.unique(np.linspace(0, len(trains) - 1, JUDGES).astype(int))]
    votes = Counter(find_season(train, candidates)[0] for train in judges)
    return min(votes, key=lambda season: (-votes[season], season))


def autocorrelation(values: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Correlation of ``values`` with themselves 0 to ``longest`` rows before, by the fast Fourier transform."""
    centred = values - values.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    products = np.fft.irfft(np.abs(spectrum) ** 2)[: longest + 1]  # (longest + 1,)
    return np.asarray(products / products[0] if products[0] > 0 else np.zeros_like(products))


def find_season(train: NDArray[np.float64], candidates: Sequence[int] | None) -> tuple[int, float]:
    """The season of ``train`` and its autocorrelation; ``candidates`` None stands for every period.

    Two whole periods must fit, three where no calendar vouches for them. A multiple of the true period correlates as
    well as the period itself, so of several the shortest is taken that leaves little more unexplained than the best.
    """
    longest = min(len(train) // (3 if candidates is None else 2), LONGEST)
    if longest < 2:
        return 1, 0.0
    train = _bridged(train)
    steps = np.diff(np.log(train) if train.min() > 0 else train)
    correlation = autocorrelation(steps, longest)
    correlation = np.minimum(correlation * len(steps) / (len(steps) - np.arange(longest + 1)), 1.0)
    if candidates is None:
        inner = correlation[1:-1]
        peaks = (inner >= correlation[:-2]) & (inner >= correlation[2:])
        periods = [int(p) for p in np.flatnonzero(peaks) + 1 if p > 1]
    else:
        periods = [p for p in candidates if 2 <= p <= longest]
    threshold = max(LEAST_CORRELATION, 3 / np.sqrt(len(steps)))
    best = max((float(correlation[p]) for p in periods), default=0.0)
    if best < threshold:
        return 1, best
    chance = 1 / np.sqrt(len(steps))  # by which the correlation of a multiple may be higher
    season = min(p for p in periods if 1 - correlation[p] <= 1.25 * (1 - best) + chance)
    return season, float(correlation[season])


def _bridged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``values`` with a straight line over every gap. It looks ahead, so it serves here and nowhere else."""
    there = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), there, values[there]) if len(there) < len(values) else values
