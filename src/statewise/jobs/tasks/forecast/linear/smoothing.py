"""Exponential smoothing as matrices: the response of its forecast to each row of a window."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..split import Array

TREND = ((0.0, 0.0), (0.05, 0.9), (0.1, 0.98), (0.02, 1.0))  # of exponential smoothing: slope's constant, damping
SURE = 20.0  # the power of a constant's error in its weight, where there are windows enough


def smoothing(lookback: int, horizon: int, season: int) -> dict[str, Array]:
    """Each (G, L, H), one for each of G constants: Holt-Winters and, with half the window's slope in the place of a
    trend of its own, Theta."""
    levels = (0.02, 0.1, 0.3, 0.8) if season > 60 else (0.02, 0.1, 0.25, 0.5, 0.8, 0.99)
    trends = TREND[: 2 if season > 60 else None]
    seasonal = (0.03, 0.12, 0.35) if season > 1 else (0.0,)
    constants = np.array([(a, b, damping, c) for a, (b, damping), c in product(levels, trends, seasonal)])
    found = holt_winters(lookback, horizon, season, constants)
    theta = found[constants[:, 2] == 0]
    theta += 0.5 * _slope(lookback, season)[:, None] * np.arange(1, horizon + 1)
    return {"smoothing": found, "theta": theta}


def smoothed(x: Array, y: Array, found: Array, *, independent: float) -> Array:
    """(1, L + 1, H): the mean of the forecasts ``found`` (G, L, H), and 0 for the constant.

    Each is weighted by how little it misses in the windows ``x`` (n, L) and ``y`` (n, H), the more so the more of them
    are ``independent``; all alike where there is no window.
    """
    weights = np.ones(len(found))
    if len(x):
        misses = np.array([np.abs(x @ one - y).mean() for one in found]) + 1e-12
        weights = (misses.min() / misses) ** (SURE * independent / (independent + 1))
    mean = np.tensordot(weights / weights.sum(), found, 1)
    return np.concatenate([mean, np.zeros((1, y.shape[1]))])[None]


def holt_winters(lookback: int, horizon: int, season: int, constants: Array) -> Array:
    """(G, L, H): the response of each forecast to each row of a window.

    ``constants`` (G, 4) are those of level and slope, the damping, and that of the season.
    """
    alpha, beta, damping, gamma = (column[:, None] for column in constants.T)
    rows, kept, count = np.eye(lookback), max(season, 1), len(constants)
    seasons = min(3, lookback // season) if season > 1 else 1
    profile = np.zeros((kept, count, lookback))
    level, trend = np.repeat(rows[: min(3, lookback)].mean(0)[None], count, 0), np.zeros((count, lookback))
    if seasons > 1:
        head = rows[: seasons * season].reshape(seasons, season, lookback)
        means = head.mean(1)
        slope = (means[-1] - means[0]) / (season * (seasons - 1))
        centred = (head - means[:, None] - (np.arange(season) - (season - 1) / 2)[:, None] * slope).mean(0)
        profile += (centred - centred.mean(0))[:, None]
        trend = np.where(damping > 0, slope, 0.0)
        level = means[0] - (season - 1) / 2 * trend - trend
    for t in range(lookback):
        seen = max(t + 1, seasons * season, 3)  # of rows behind these nothing is known yet
        ahead, now = level[:, :seen] + damping * trend[:, :seen], profile[t % kept, :, :seen]
        miss = rows[t, :seen] - ahead - now
        level[:, :seen] = ahead + alpha * miss
        trend[:, :seen] = damping * trend[:, :seen] + alpha * beta * miss
        if season > 1:
            now += gamma * (1 - alpha) * miss
    growth = np.cumsum(damping[None] ** np.arange(1, horizon + 1)[:, None, None], 0)  # (H, G, 1)
    paths = level + growth * trend + profile[(lookback + np.arange(horizon)) % kept]  # (H, G, L)
    return np.ascontiguousarray(paths.transpose(1, 2, 0))


def _slope(lookback: int, season: int) -> Array:
    """(L,): the least-squares slope of a window, from the means of its last whole seasons where there are two."""
    season = season if lookback >= 2 * season else 1
    turns = lookback // season
    place = np.arange(turns) - (turns - 1) / 2
    found = np.zeros(lookback)
    found[lookback - turns * season :] = np.repeat(place / (place @ place) / season**2, season)
    return found
