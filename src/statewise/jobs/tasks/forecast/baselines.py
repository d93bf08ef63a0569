"""What a model has to beat: forecasts that cost nothing, and a linear model on the same windows.

All of them forecast from the same rows as the model, on scaled values. The linear one is the honest opponent: ridge
regression from the last ``lookback`` values to all steps of the horizon, one for all series, in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dataset import PanelDataset
from .split import Array, Rows

MOST_WINDOWS = 100_000
CHUNK = 4096
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
