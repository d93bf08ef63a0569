"""Ridge regression of few rows and many features, and what it says of each row when that one is left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

AT_ONCE = 64  # rows that are added up in float64: of all of them the copies would take longer than the sums
PENALTIES = np.logspace(-3, 6, 19)


def ridge(
    x: Floats, y: Array, weights: Floats | None = None, groups: NDArray[np.int64] | None = None
) -> tuple[Floats, Floats, Array]:
    """Weights (F, W) and bias (W,) to say ``y`` (n, W) of ``x`` (n, F), each feature brought to a spread of 1.

    The penalty is that which loses least on rows left out one by one, and what is said of each row by those without it
    comes third: (n, W). ``weights`` (n,), above 0, are how much rows count; rows of one of ``groups`` (n,) are left out
    together.
    """
    counts = np.ones(len(x)) if weights is None else weights / weights.mean(dtype=np.float64)  # (n,)
    shares, root = counts / len(x), np.sqrt(counts)[:, None]
    parts = [slice(begin, begin + AT_ONCE) for begin in range(0, len(x), AT_ONCE)]
    mean, variance = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for part in parts:
        mean += shares[part] @ x[part]
    z = x - mean.astype(np.float32)
    for part in parts:
        variance += shares[part] @ np.square(z[part])
    spread, middle = np.sqrt(variance), shares @ y
    scale = np.where(spread > 1e-6, spread, 1.0)
    z /= scale.astype(np.float32)
    products = (z @ z.T).astype(np.float64)
    products -= shares @ products
    products -= (products @ shares)[:, None]
    values, vectors = np.linalg.eigh(products * root * root.T)
    # The roots of the counts are one of the vectors: what lies along it is the bias, which no penalty is on.
    level = np.abs(root.T @ vectors).argmax()
    along, squares = vectors.T @ (root * (y - middle)), vectors**2
    together = _of_several(groups)
    best = None
    for penalty in PENALTIES:
        inverse = 1 / (np.maximum(values, 0) + penalty)
        inverse[level] = 0
        dual = vectors @ (inverse[:, None] * along)  # (n, W)
        missed = dual / np.maximum(squares @ inverse, 1e-300)[:, None]
        for rows in together:
            block = (vectors[rows] * inverse) @ vectors[rows].T
            missed[rows] = np.linalg.lstsq(block, dual[rows], rcond=None)[0]
        lost = float(np.square(missed).mean())
        if best is None or lost < best[0]:
            best = lost, dual, missed
    assert best is not None
    found = z.T @ (root * best[1]).astype(np.float32) / scale[:, None].astype(np.float32)
    bias = middle - mean @ found
    return found, bias.astype(np.float32), y - best[2] / root


def _of_several(groups: NDArray[np.int64] | None) -> list[NDArray[np.int64]]:
    """The rows of each group that has several."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [rows for rows in parts if len(rows) > 1]
