"""Intervals that follow the values that come: wider after misses, narrower after none.

An interval's width has a factor, its *stretch*, of its own in each series. When a value comes, all forecasts of it,
from as many origins as there are steps, are held against it: the logarithm of the stretch grows by ``RATE`` times the
share of them that missed, less the share that should. (Adaptive conformal inference, Gibbs & Candès 2021, moves the
quantile's probability by that, Angelopoulos et al. 2023 its value.) So in the long run as many values are missed as
should be, whatever the series does, and a forecast knows the values before its origin and none behind it. What was
tried and dropped: docs/jobs/forecast-method.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .config import Plan
from .intervals import transformed
from .split import Array, Rows

RATE, MOST_STRETCH = 0.1, 2.0
CHUNK = 1024  # forecasts at once


def follow(quantiles: Array, real: Array, rows: Rows, of: Rows, start: Array, plan: Plan) -> tuple[Array, Array]:
    """The logarithms of the stretch at each of n origins, (n, Q), and after all values, (S, Q).

    ``quantiles`` (n, H, Q) of no stretch begin at the ``rows`` of the series ``of``, (n,) each; ``real`` (n, H) is what
    came, NaN where nothing did; ``start`` (S, Q) was before.
    """
    intervals = _intervals(plan.quantiles)  # P of them
    stretch, at = start[:, [ends[-1] for ends in intervals]], np.zeros((len(rows), len(intervals)))
    aimed, horizon, most = missed_share(plan.quantiles), real.shape[1], np.log(MOST_STRETCH)
    first = np.full(len(start), np.iinfo(np.int64).max)
    np.minimum.at(first, of, rows)
    place = rows - first[of]  # how many values have come before each origin
    window = np.full((int(place.max(initial=0)) + horizon, len(start)), -1)  # (K + H - 1, S): which begins there
    window[place, of] = np.arange(len(rows))
    apart = float(np.median(np.diff(np.unique(place)))) if place.any() else 1.0
    missed = np.zeros((len(window) + horizon, *stretch.shape))  # of each row's values, by the forecasts so far
    for come, begin in enumerate(window):
        begun = begin[begin >= 0]
        if not len(begun):  # the last ones that began are still to come true
            stretch = np.clip(stretch + RATE * apart / horizon * missed[come], -most, most)
            continue
        series = of[begun]
        at[begun] = stretch[series]
        known, came = transformed(quantiles[begun], plan), transformed(real[begun], plan)
        middle, there = known[..., plan.median], np.isfinite(came)
        came, factor = came - middle, np.exp(at[begun])[:, None]
        for p, ends in enumerate(intervals):
            outside = np.zeros(came.shape, dtype=np.bool_)
            for q in ends:
                edge = factor[..., p] * (known[..., q] - middle)
                outside |= came < edge if q < plan.median else came > edge
            judged = np.where(there, outside - aimed[ends[-1]], 0.0)  # (s, H)
            missed[come : come + horizon, series, p] += judged.T
        stretch = np.clip(stretch + RATE * apart / horizon * missed[come], -most, most)
    found = [np.zeros((len(each), len(plan.quantiles))) for each in (at, stretch)]
    for p, ends in enumerate(intervals):
        for q in ends:
            found[0][:, q], found[1][:, q] = at[:, p], stretch[:, p]
    return found[0], found[1]


def _intervals(quantiles: Sequence[float]) -> list[tuple[int, ...]]:
    """Which quantiles are the two ends of an interval, and which one alone, having no counterpart."""
    place = {round(quantile, 9): q for q, quantile in enumerate(quantiles)}
    pairs = [(place.get(round(1 - quantile, 9), q), q) for q, quantile in enumerate(quantiles) if quantile != 0.5]
    return [(low, q) if low < q else (q,) for low, q in pairs if low <= q]


def missed_share(quantiles: Sequence[float]) -> Array:
    """How many values should be outside the interval of each quantile and its counterpart, or beyond it alone: (Q,)."""
    place = {round(quantile, 9) for quantile in quantiles}
    outer = np.array([2 * min(q, 1 - q) if round(1 - q, 9) in place else min(q, 1 - q) for q in quantiles])
    return np.where(np.array(quantiles) == 0.5, 0.0, outer)


def stretched(quantiles: Array, stretch: Array, plan: Plan) -> Array:
    """``quantiles`` (n, H, Q), each as much further from the median as ``stretch`` (n, Q), in logarithms, says."""
    if not stretch.any():
        return quantiles
    found, median = quantiles.copy(), plan.median
    order = [*range(median + 1, len(plan.quantiles)), *range(median - 1, -1, -1)]
    for begin in range(0, len(quantiles), CHUNK):
        part = slice(begin, begin + CHUNK)
        known = transformed(quantiles[part], plan)
        middle, factor = known[..., median], np.exp(stretch[part])[:, None]
        for q in order:
            moved = middle + (known[..., q] - middle) * factor[..., q]
            moved = np.exp(moved) if plan.log else moved
            inner = found[part, :, q + (1 if q < median else -1)]
            found[part, :, q] = (np.minimum if q < median else np.maximum)(moved, inner)
    return found
