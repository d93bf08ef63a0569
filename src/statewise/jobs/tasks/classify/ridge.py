"""Ridge regression of few rows and many features, and what it says of each row when that one is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PENALTIES = np.logspace(-3, 6, 19)


@dataclass(frozen=True, eq=False)
class Ridge:
    """(x - mean) / scale times ``weights``, and ``bias``."""

    mean: NDArray[np.float32]  # (F,)
    scale: NDArray[np.float32]  # (F,)
    weights: NDArray[np.float32]  # (F, W)
    bias: NDArray[np.float32]  # (W,)

    @classmethod
    def fitted(cls, x: NDArray[np.float32], y: Array) -> tuple[Ridge, Array]:
        """To say ``y`` (n, W) of ``x`` (n, F), with the penalty that loses least on rows left out one by one.

        Also what is said of each row by those without it: (n, W).
        """
        mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
        scale = np.where(spread > 1e-6, spread, 1.0)
        z = (x - mean.astype(np.float32)) / scale.astype(np.float32)
        products = (z @ z.T).astype(np.float64)
        products -= products.mean(0)
        products -= products.mean(1, keepdims=True)
        values, vectors = np.linalg.eigh(products)
        # All ones is one of the vectors: what lies along it is the bias, which no penalty is on.
        level = np.abs(vectors.sum(0)).argmax()
        along, squares = vectors.T @ (y - y.mean(0)), vectors**2
        best = None
        for penalty in PENALTIES:
            inverse = 1 / (np.maximum(values, 0) + penalty)
            inverse[level] = 0
            dual = vectors @ (inverse[:, None] * along)  # (n, W)
            missed = dual / np.maximum(squares @ inverse, 1e-300)[:, None]
            lost = float(np.square(missed).mean())
            if best is None or lost < best[0]:
                best = lost, dual, missed
        assert best is not None
        weights = z.T @ best[1].astype(np.float32)
        return cls(*(a.astype(np.float32) for a in (mean, scale, weights, y.mean(0)))), y - best[2]

    def __call__(self, x: NDArray[np.float32]) -> Array:
        """What is said of ``x`` (n, F): (n, W)."""
        said: Array = ((x - self.mean) / self.scale) @ self.weights + self.bias.astype(np.float64)
        return said

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What it is made of."""
        return dict(vars(self))
