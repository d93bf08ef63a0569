"""Forecasts further ahead than the horizon: block after block, each continuing what the one before has said.

A block is told of the forecast before it, not of what came, and so can't know how wrong that was. Therefore many paths
are continued side by side. Each goes through a block as real values might, as far above or below the median as the
model missed by, step by step, in some window of the validation part (its *ranks*); the next block reads that path. The
quantiles of a step are those of all paths together, so errors add up, or die away, as the model itself lets them.

The point forecast continues itself: it is the path along the medians.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .bank import Array, Track
from .config import Plan
from .model import Model, heights, rising

PATHS = 256  # of each series
MOST_RANKS = 256  # windows of the validation part that paths are made of
BETWEEN = np.arange(0.02, 1, 0.04)  # levels at which the quantiles of a path's block are mixed with those of the others


def continued(model: Model, known: Array, *, spread: bool = True) -> Array:
    """The quantiles of F rows after the last ones of S series: (S, F, Q), F as many as ``known`` (F, columns) has.

    ``known`` are the cells of the covariates known ahead. Without ``spread`` the quantiles beyond the horizon are only
    those of the last block, which is all that the median needs.
    """
    horizon, levels = model.plan.horizon, model.plan.quantiles
    random = np.random.default_rng(0)
    medians, paths = list(model.tails), list[Track]()
    parts = [np.zeros((len(medians), 0, len(levels)))]
    for begin in range(0, len(known), horizon):
        part = known[begin : begin + horizon]
        found = _block(model, medians, part)  # (S, h, Q)
        each = found.repeat(PATHS, axis=0) if not paths else _block(model, paths, part)  # (S * P, h, Q)
        if paths:
            together = mixed(each.reshape(len(medians), PATHS, *each.shape[1:]), model.plan)
            together[..., model.plan.median] = found[..., model.plan.median]
            found = rising(together, model.plan.median)
        parts.append(found)
        if begin + horizon < len(known) and spread and len(levels) > 1:
            paths = paths or [track for track in medians for _ in range(PATHS)]
            paths = _longer(model, paths, at_ranks(each, model.plan, _drawn(model, len(paths), random)), part)
        medians = _longer(model, medians, found[..., model.plan.median], part)
    return np.concatenate(parts, axis=1)


def _drawn(model: Model, count: int, random: np.random.Generator) -> Array:
    """The ranks of ``count`` paths over the horizon, (count, H): all windows' as often as each other's."""
    ranks = model.ranks
    rounds = [random.permutation(len(ranks)) for _ in range(-(-count // len(ranks)))]
    return np.asarray(ranks[np.concatenate(rounds)[:count]], dtype=np.float64)


def _block(model: Model, tracks: Sequence[Track], known: Array) -> Array:
    """The quantiles of the rows of ``known`` (h, columns) after ``tracks``, h at most the horizon: (n, h, Q)."""
    horizon = model.plan.horizon
    told = _told(model, np.concatenate([known, np.repeat(known[-1:], horizon - len(known), axis=0)]))
    there = [replace(track, known=np.concatenate([track.known[: len(track.values)], told])) for track in tracks]
    ends = np.array([len(track.values) for track in there], dtype=np.int64)
    return model.forecast(there, ends, np.arange(len(there)))[:, : len(known)]


def _longer(model: Model, tracks: Sequence[Track], values: Array, known: Array) -> list[Track]:
    """``tracks`` with ``values`` (n, h) as if they had come."""
    told, longer = _told(model, known), []
    for track, after in zip(tracks, values, strict=True):
        past = np.concatenate([track.known[: len(track.values)], told])
        observed = np.concatenate([track.observed, np.zeros((len(after), track.observed.shape[1]))])
        whole = Track(track.name, track.first, np.concatenate([track.values, after]), past, observed)
        longer.append(whole.tail(model.learner.memory))
    return longer


def _told(model: Model, known: Array) -> Array:
    """The numbers of the cells ``known`` (n, columns)."""
    cells = {column.name: known[:, c] for c, column in enumerate(model.known.columns)}
    return model.known.encode("X", cells, [str(row) for row in range(len(known))], len(known))


def find_ranks(forecast: Array, real: Array, median: int) -> NDArray[np.float32]:
    """Where among the misses of all windows each miss is, from 0 to 1: (n, H).

    ``forecast`` (n, H, Q) and ``real`` (n, H) are windows of the validation part; a miss is counted in widths of its
    own interval. 0.5 where a value is missing.
    """
    every = slice(None, None, -(-len(real) // MOST_RANKS) or 1)
    width = forecast[..., -1] - forecast[..., 0]
    missed = (real - forecast[..., median]) / np.where(width > 0, width, 1.0)
    place = np.argsort(np.argsort(missed, axis=0, kind="stable"), axis=0)  # NaN last
    count = np.isfinite(missed).sum(0)
    ranks = np.where(np.isfinite(missed), (place + 0.5) / np.maximum(count, 1), 0.5)
    return ranks[every].astype(np.float32)


def at_ranks(quantiles: Array, plan: Plan, ranks: Array) -> Array:
    """The values at ``ranks`` (n, h) of distributions whose quantiles at the plan's levels are these (n, h, Q).

    Between and beyond the levels they are straight lines over the normal distribution's quantiles, on the scale on
    which errors are compared.
    """
    from scipy.special import ndtri

    if len(plan.quantiles) < 2:
        return quantiles[..., 0]
    scaled = heights(quantiles, plan)
    knots, at = ndtri(np.array(plan.quantiles)), ndtri(np.asarray(ranks[:, : quantiles.shape[1]], dtype=np.float64))
    right = np.clip(np.searchsorted(knots, at), 1, len(knots) - 1)  # (n, h)
    low, high = (np.take_along_axis(scaled, index[..., None], -1)[..., 0] for index in (right - 1, right))
    found = low + (high - low) * (at - knots[right - 1]) / (knots[right] - knots[right - 1])
    return np.asarray(np.exp(found) if plan.log else found)


def mixed(quantiles: Array, plan: Plan) -> Array:
    """The quantiles of each step over P paths with these ``quantiles`` (S, P, h, Q): (S, h, Q)."""
    series, paths, steps, _ = quantiles.shape
    flat = quantiles.reshape(series * paths, steps, -1)
    drawn = [at_ranks(flat, plan, np.full((len(flat), steps), level)) for level in BETWEEN]  # each (S * P, h)
    values = np.stack(drawn, axis=1).reshape(series, paths * len(BETWEEN), steps)
    return np.asarray(np.moveaxis(np.quantile(values, plan.quantiles, axis=1), 0, -1))
