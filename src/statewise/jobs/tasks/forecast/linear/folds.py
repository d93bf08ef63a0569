"""Pieces of the series that something is decided on, and the weights that follow from what is missed there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..split import Array, Rows

SHARP = 1.0  # how fast a weight falls with the standard errors that a member is behind the best
FOLDS, MANY = 3, 1000  # pieces to decide on, and from how many rows on one is enough
UNTOLD, LEAST_ERROR, MOST_ERROR = 1.5, 0.002, 0.2  # of the best member's error: what a single window can't tell


def folds(stop: Rows, horizon: int, season: int) -> list[tuple[Rows, Rows]]:
    """Pieces [begin, end) of each series (S,), one after another before ``stop``, the last one first.

    What is decided on each of them knows the rows before it, of which enough are left to learn from.
    """
    rows = int(stop.min())
    count = FOLDS if rows < MANY else 1
    least = max(2 * season + horizon, 1.5 * horizon, 0.45 * rows, 12)
    size = int(max(0.15 * rows, min(4 * horizon, 0.35 * rows), horizon))
    if count > 1:
        size = int(max(horizon, min(0.55 * rows / count, 3 * horizon)))
    while count > 1 and rows - count * size < least:
        count -= 1
    size = max(horizon, min(size, rows - max(2 * season, horizon) - 6))
    return [(stop - (fold + 1) * size, stop - fold * size) for fold in range(count)]


def independent(folds: Sequence[tuple[Rows, Rows]], horizon: int) -> float:
    """How many windows in them have no row in common, as far as series say the same."""
    rows = sum(float((end - begin).mean()) for begin, end in folds)
    return rows / horizon * float(np.sqrt(len(folds[0][0])))


def weigh(misses: Array, independent: float, before: Array | float = 1.0, *, untold: float = UNTOLD) -> Array:
    """(K,) from the mean absolute misses of K members in n windows (K, n), as if ``independent`` of them had no row in
    common: exp(-d / s) for a member that is d behind the best, where d is known up to s, times what it counted
    ``before``.

    A single miss that is far off makes s large, and must not save what misses by far: s has a most.
    """
    mean, known = misses.mean(1), max(independent, 1.0)
    best = mean.min() + 1e-12
    error = (misses - misses[np.argmin(mean)]).std(axis=1) / np.sqrt(known) / best
    error = np.minimum(error, MOST_ERROR) + LEAST_ERROR + untold / known
    weights = before * np.exp(-SHARP * (mean / best - mean.min() / best) / error)
    return np.asarray(weights / weights.sum())
