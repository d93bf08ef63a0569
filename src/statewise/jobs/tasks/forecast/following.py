"""Intervals that follow the values that come: wider after misses, narrower after none.

An interval's width has a factor, its *stretch*, of its own in each series. When a value comes, all forecasts of it,
from as many origins as there are steps, are held against it: the logarithm of the stretch grows by ``RATE`` times the
share of them that missed, less the share that should. (Adaptive conformal inference, Gibbs & Candès 2021, moves the
quantile's probability by that, Angelopoulos et al. 2023 its value.) So in the long run as many values are missed as
should be, whatever the series does, and a forecast knows the values before its origin and none behind it. What was
tried and dropped: docs/jobs.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .config import Plan
from .intervals import rising, transformed
from .split import Array, Rows

RATE, MOST_STRETCH = 0.1, 2.0


def follow(quantiles: Array, real: Array, rows: Rows, of: Rows, start: Array, plan: Plan) -> tuple[Array, Array]:
    """The logarithms of the stretch at each of n origins, (n, Q), and after all values, (S, Q).

    ``quantiles`` (n, H, Q) of no stretch begin at the ``rows`` of the series ``of``, (n,) each; ``real`` (n, H) is what
    came, NaN where nothing did; ``start`` (S, Q) was before.
    """
    stretch, at = start.copy(), np.zeros((len(rows), len(plan.quantiles)))
    if not len(rows):
        return at, stretch
    horizon, most = real.shape[1], np.log(MOST_STRETCH)
    needed, aimed = _needed(quantiles, real, plan), missed_share(plan.quantiles)
    first = np.full(len(start), np.iinfo(np.int64).max)
    np.minimum.at(first, of, rows)
    place = rows - first[of]  # how many values have come before each origin
    window = np.full((int(place.max()) + 1, len(start)), -1)  # (K, S): which begins there
    window[place, of] = np.arange(len(rows))
    apart = float(np.median(np.diff(np.unique(place)))) if place.any() else 1.0
    for come in range(len(window) + horizon - 1):
        if come < len(window):
            begun = window[come][window[come] >= 0]
            at[begun] = stretch[of[begun]]
        step = np.arange(max(0, come - len(window) + 1), min(horizon, come + 1))
        judged = window[come - step]  # (h, S)
        need = needed[judged, step[:, None]]  # (h, S, Q)
        there = ((judged >= 0) & np.isfinite(real[judged, step[:, None]]))[..., None]
        missed = np.where(there, (need > at[judged]) - aimed, 0.0).sum(0)
        stretch = np.clip(stretch + RATE * apart / horizon * missed, -most, most)
    return at, stretch


def missed_share(quantiles: Sequence[float]) -> Array:
    """How many values should be outside the interval of each quantile and its counterpart, or beyond it alone: (Q,)."""
    place = {round(quantile, 9) for quantile in quantiles}
    outer = np.array([2 * min(q, 1 - q) if round(1 - q, 9) in place else min(q, 1 - q) for q in quantiles])
    return np.where(np.array(quantiles) == 0.5, 0.0, outer)


def _needed(quantiles: Array, real: Array, plan: Plan) -> Array:
    """The logarithm of the stretch from which on each value is inside, (n, H, Q); of the median minus infinity."""
    known, came = transformed(quantiles, plan), transformed(real, plan)[..., None]
    middle = known[..., plan.median, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (came - middle) / (known - middle)
    ratio = np.where(known == middle, np.where(came == middle, 0.0, np.inf), ratio)
    place = {round(quantile, 9): q for q, quantile in enumerate(plan.quantiles)}
    for q, quantile in enumerate(plan.quantiles):
        if (other := place.get(round(1 - quantile, 9), q)) > q:
            ratio[..., q] = ratio[..., other] = np.fmax(ratio[..., q], ratio[..., other])
    ratio[..., plan.median] = 0.0
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.fmax(ratio, 0.0)))


def stretched(quantiles: Array, stretch: Array, plan: Plan) -> Array:
    """``quantiles`` (n, H, Q), each as much further from the median as ``stretch`` (n, Q), in logarithms, says."""
    if not stretch.any():
        return quantiles
    known = transformed(quantiles, plan)
    middle = known[..., plan.median, None]
    moved = middle + (known - middle) * np.exp(stretch)[:, None]
    moved = np.exp(moved) if plan.log else moved
    moved[..., plan.median] = quantiles[..., plan.median]
    return rising(moved, plan.median)
