"""What a model has to beat: forecasts that cost nothing, and a linear model on the same windows.

All of them forecast from the same rows as the model, on scaled values. The linear one is the honest opponent: ridge
regression from the last ``lookback`` values to all steps of the horizon, one for all series, in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dataset import PanelDataset
from .split import Array, Rows

MOST_WINDOWS = 100_000
CHUNK = 4096
INTERMITTENT = 0.25  # of the rows are 0 where something is asked for less often than every 1.33 rows
SMOOTHING = 0.1  # of the sizes of a demand, and of how often there is one
RECENT = 100  # rows that a median is of, at most
PENALTIES = 10.0 ** np.arange(-6, 3)  # times the mean square of an input, times the windows


def persistence(dataset: PanelDataset, origins: Rows, horizon: int) -> Array:
    """The last value, repeated: (n, H)."""
    return np.repeat(dataset.filled[origins - 1][:, None], horizon, axis=1)


def seasonal_naive(dataset: PanelDataset, origins: Rows, horizon: int, season: int) -> Array:
    """The last season, repeated: (n, H)."""
    return np.asarray(dataset.filled[origins[:, None] - season + np.arange(horizon) % season])


def drift(dataset: PanelDataset, origins: Rows, series: Rows, horizon: int) -> Array:
    """The straight line from the first value through the last: (n, H)."""
    first = dataset.begin[series]
    slope = (dataset.filled[origins - 1] - dataset.filled[first]) / np.maximum(origins - 1 - first, 1)
    return np.asarray(dataset.filled[origins - 1][:, None] + slope[:, None] * np.arange(1, horizon + 1))


def intermittent(values: Sequence[Array]) -> bool:
    """Whether demand comes now and then: none of ``values`` (T,) of each series is below 0, and many are 0."""
    known = np.concatenate([each[np.isfinite(each)] for each in values])
    return bool(len(known) and known.min() >= 0 and np.mean(known == 0) >= INTERMITTENT)


def of_demand(series: Sequence[Array], rows: Rows, of: Rows) -> dict[str, Array]:
    """What is forecast at ``rows`` of ``series`` (T,) number ``of``, (n,) each, where demand comes now and then: (n,).

    Nothing; the median of what was; and what a row takes on average, as Croston (1972) has it, its bias corrected
    (Syntetos & Boylan 2005, SBA), and so that it fades where demand has ended (Teunter, Syntetos & Babai 2011, TSB).
    """
    found = {"zero": np.zeros(len(rows))}
    found["median"] = np.array(
        [np.nanmedian(series[s][max(0, row - RECENT) : row]) for s, row in zip(of, rows, strict=True)]
    )
    states = [smoothed_demand(values) for values in series]  # each (3, T + 1)
    size, interval, chance = np.array([states[s][:, row] for s, row in zip(of, rows, strict=True)]).reshape(-1, 3).T
    croston = size / interval
    return found | {"Croston": croston, "SBA": (1 - SMOOTHING / 2) * croston, "TSB": size * chance}


def smoothed_demand(values: Array) -> Array:
    """Before each row, and after the last one: how much is asked for, every how many rows, and how likely, (3, T + 1).

    All of them start from what the first demand says; before that, from none. Missing values change nothing.
    """
    found, since = np.tile([[0.0], [1.0], [0.0]], len(values) + 1), 1
    size, interval, chance = 0.0, 0.0, 0.0
    for row, value in enumerate(values):
        if value > 0:
            first = interval == 0.0
            size += (1.0 if first else SMOOTHING) * (value - size)
            interval += (1.0 if first else SMOOTHING) * (since - interval)
            chance = 1 / since if first else chance + SMOOTHING * (1 - chance)
            since = 1
        elif value == 0:
            chance -= SMOOTHING * chance
            since += 1
        found[:, row + 1] = size, interval or 1.0, chance
    return found


@dataclass(frozen=True)
class Linear:
    """``weights`` (L + 1, H) from a window less its last value, and 1, to the horizon less the same."""

    weights: Array
    penalty: float

    @property
    def lookback(self) -> int:
        """L."""
        return len(self.weights) - 1

    def forecast(self, dataset: PanelDataset, origins: Rows) -> Array:
        """(n, H)."""
        parts = [
            _inputs(dataset, rows, self.lookback) @ self.weights + dataset.filled[rows - 1][:, None]
            for rows in np.array_split(origins, -(-len(origins) // CHUNK) or 1)
        ]
        return np.concatenate(parts)


def fit_linear(
    dataset: PanelDataset, train: Rows, validation: Rows, lookback: int, horizon: int, penalty: float | None = None
) -> Linear:
    """The linear model of the windows that begin their forecasts at the rows ``train``.

    The penalty is the one that misses least in the windows ``validation``, unless it is given.
    """
    train = train[_whole(dataset, train, horizon)]
    train = train[:: -(-len(train) // MOST_WINDOWS) or 1]
    square, product = np.zeros((lookback + 1, lookback + 1)), np.zeros((lookback + 1, horizon))
    for rows in np.array_split(train, -(-len(train) // CHUNK) or 1):
        x = _inputs(dataset, rows, lookback)
        square += x.T @ x
        product += x.T @ (dataset.window(rows, horizon) - dataset.filled[rows - 1][:, None])
    values, vectors = np.linalg.eigh(square)
    turned = vectors.T @ product
    unit = float(np.trace(square)) / (lookback + 1) or 1.0
    judged = validation[:: -(-len(validation) // CHUNK) or 1]
    real = dataset.window(judged, horizon)

    def solve(penalty: float) -> Linear:
        return Linear(vectors @ (turned / (np.maximum(values, 0) + penalty * unit)[:, None]), penalty)

    def badness(model: Linear) -> float:
        return float(np.nanmean((model.forecast(dataset, judged) - real) ** 2))

    return solve(penalty) if penalty is not None else min(map(solve, PENALTIES), key=badness)


def _inputs(dataset: PanelDataset, origins: Rows, lookback: int) -> Array:
    """(n, L + 1): the window less its last value, and 1."""
    past = dataset.filled[origins[:, None] + np.arange(-lookback, 0)]
    return np.concatenate([past - past[:, -1:], np.ones((len(origins), 1))], axis=1)


def _whole(dataset: PanelDataset, origins: Rows, horizon: int) -> NDArray[np.bool_]:
    """Where every step of the horizon has a value."""
    parts = [
        np.isfinite(dataset.window(rows, horizon)).all(1)
        for rows in np.array_split(origins, -(-len(origins) // CHUNK) or 1)
    ]
    return np.concatenate(parts)
