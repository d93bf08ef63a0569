"""Ridge regressions from rows before an origin to what follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..split import Array, Rows

# Of ridges, times the mean square of an input, times the windows:
PENALTIES: Array = np.array([1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0])
NONE = PENALTIES[:0]
WINDOWS, MOST_WINDOWS = 16_000, 64_000  # to fit on; of many series, up to 150 of each
BLOCK = 1 << 17  # numbers
LEAST_SPREAD = 0.05  # of a window, in the median of all


def windows(
    series: Sequence[Array], end: Rows, lags: Rows, after: int, *, most: int | None = None
) -> tuple[Array, Array]:
    """What was ``lags``, rising, rows before, (n, lags), and ``after`` rows that follow, (n, H), up to ``end``, thinned
    out, to about ``most`` of all series."""
    each = max(WINDOWS // len(series), min(150, MOST_WINDOWS // len(series)), 1)
    longest = int(lags[-1])
    starts = np.cumsum([0, *map(len, series)])  # of each in all of them, one behind another
    first = [np.arange(start + longest, start + int(to) - after + 1) for start, to in zip(starts, end, strict=False)]
    rows = np.concatenate([some[:: max(1, len(some) // each)] for some in first])
    rows = rows[:: max(1, len(rows) // most) if most else 1]
    if not len(rows):
        return np.zeros((0, len(lags))), np.zeros((0, after))
    values = np.concatenate(series)
    past = sliding_window_view(values[::-1], longest)[len(values) - rows]
    runs = np.split(lags - 1, np.flatnonzero(np.diff(lags) > 1) + 1)  # rows that stand together are copied together
    x = past if len(lags) == longest else np.concatenate([past[:, run[0] : run[-1] + 1] for run in runs], axis=1)
    return x, sliding_window_view(values, after)[rows]


def ridges(
    x: Array, y: Array, lags: Rows, lookback: int, penalties: Array = PENALTIES, *, scaled: bool = False
) -> Array:
    """(P, L + 1, H), for all ``penalties``: from rows before the origin, less the last, to what follows, less the last.

    ``x`` (n, lags) are those rows, the last among them; the matrices are for ``lookback`` rows. Where it is ``scaled``,
    windows count in units of their own spread, so that wild ones say no more than calm ones.
    """
    inputs, outputs = np.zeros(x.shape[1]), np.zeros(y.shape[1])  # their sums
    square, product = np.zeros((len(inputs), len(inputs))), np.zeros((len(inputs), len(outputs)))
    unit = _spread(x) if scaled else np.ones((len(x), 1))
    for rows in _blocks(x):
        last = x[rows, np.argmin(lags), None]
        before, after = (x[rows] - last) / unit[rows], (y[rows] - last) / unit[rows]
        square += before.T @ before
        product += before.T @ after
        inputs += before.sum(0)
        outputs += after.sum(0)
    middle, mean = (total / len(x) * (not scaled) for total in (inputs, outputs))
    square -= len(x) * np.outer(middle, middle)
    product -= len(x) * np.outer(middle, mean)
    result = np.zeros((len(penalties), lookback + 1, y.shape[1]))
    for weights, slopes in zip(result, solved(square, product, penalties), strict=True):
        weights[lookback - lags] = slopes
        weights[lookback - 1] += 1 - slopes.sum(0)
        weights[-1] = mean - middle @ slopes
    return result


def _spread(x: Array) -> Array:
    """The mean distance of a window's rows from their mean, (n, 1); of calm ones a part of what is usual."""
    parts = [np.abs(x[rows] - x[rows].mean(1, keepdims=True)).mean(1, keepdims=True) for rows in _blocks(x)]
    spread = np.concatenate(parts)
    return np.asarray(np.maximum(spread, LEAST_SPREAD * np.median(spread)) + 1e-12)


def _blocks(x: Array) -> list[slice]:
    """The rows of ``x``, as many at once as a processor's cache holds."""
    size = max(x.shape[1], BLOCK // x.shape[1])
    return [slice(row, row + size) for row in range(0, len(x), size)]


def solved(square: Array, product: Array, penalties: Array) -> Iterator[Array]:
    """(K, H) for each of the penalties (P,), which count in the mean of ``square``'s (K, K) diagonal."""
    unit = float(np.trace(square)) / len(square) or 1.0
    if len(penalties) == 1:  # a fifth of what the eigenvectors take
        square[np.diag_indices_from(square)] += penalties[0] * unit
        yield np.asarray(np.linalg.solve(square, product))
        return
    values, vectors = np.linalg.eigh(square)
    values, turned = np.maximum(values, 0.0), vectors.T @ product
    for penalty in penalties:
        yield np.asarray(vectors @ (turned / (values + penalty * unit)[:, None]))
