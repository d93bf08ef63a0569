"""Ridge regressions from rows before an origin to what follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..split import Array, Rows

# Of ridges, times the mean square of an input, times the windows:
PENALTIES: Array = np.array([1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0])
NONE = PENALTIES[:0]
WINDOWS, MOST_WINDOWS = 16_000, 128_000  # to fit on; of many series, up to 300 of each
BLOCK = 1 << 17  # numbers
LEAST_SPREAD = 0.05  # of a window, in the median of all


def windows(
    series: Sequence[Array],
    end: Rows,
    lags: Rows,
    after: int,
    *,
    most: int | None = None,
    begin: Rows | None = None,
    stop: Rows | None = None,
) -> tuple[Array, Array]:
    """What was ``lags``, rising, rows before, (n, lags), and ``after`` rows that follow, (n, H), up to ``end``, thinned
    out, to about ``most`` of all series.

    With ``stop`` they are thinned out as those up to there are; those that were there by ``begin`` are left out.
    """
    each = max(WINDOWS // len(series), min(300, MOST_WINDOWS // len(series)), 1)
    longest, first = int(lags[-1]), list[Rows]()
    begin, stop = np.zeros_like(end) if begin is None else begin, end if stop is None else stop
    starts = np.cumsum([0, *map(len, series)])  # of each in all of them, one behind another
    for start, low, high, top in zip(starts, begin.tolist(), end.tolist(), stop.tolist(), strict=False):
        some = np.arange(longest, top - after + 1)[:: max(1, (top - after + 1 - longest) // each)]
        first.append(start + some[(some > low - after) & (some <= high - after)])
    rows = np.concatenate(first)
    rows = rows[:: max(1, len(rows) // most) if most else 1]
    if not len(rows):
        return np.zeros((0, len(lags))), np.zeros((0, after))
    values = np.concatenate(series)
    past = sliding_window_view(values[::-1], longest)[len(values) - rows]
    runs = np.split(lags - 1, np.flatnonzero(np.diff(lags) > 1) + 1)  # rows that stand together are copied together
    x = past if len(lags) == longest else np.concatenate([past[:, run[0] : run[-1] + 1] for run in runs], axis=1)
    return x, sliding_window_view(values, after)[rows]


@dataclass(frozen=True)
class Sums:
    """Over windows, of the K rows that are read and the H that follow, less the last one read, and of their products.

    Where windows count in units of their own the sums are 0, as if their means were.
    """

    count: int
    square: Array  # (K, K)
    product: Array  # (K, H)
    inputs: Array  # (K,)
    outputs: Array  # (H,)

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.count + other.count,
            self.square + other.square,
            self.product + other.product,
            self.inputs + other.inputs,
            self.outputs + other.outputs,
        )


def sums(x: Array, y: Array, lags: Rows, unit: Array | None = None) -> Sums:
    """Of the windows ``x`` (n, lags) and what follows, ``y`` (n, H), in units (n, 1) of their own or as they are."""
    inputs, outputs = np.zeros(x.shape[1]), np.zeros(y.shape[1])
    square, product = np.zeros((len(inputs), len(inputs))), np.zeros((len(inputs), len(outputs)))
    for rows in _blocks(x):
        last = x[rows, np.argmin(lags), None]
        before, after = x[rows] - last, y[rows] - last
        if unit is None:
            inputs += before.sum(0)
            outputs += after.sum(0)
        else:
            before /= unit[rows]
            after /= unit[rows]
        square += before.T @ before
        product += before.T @ after
    return Sums(len(x), square, product, inputs, outputs)


class Growing:
    """The sums over the windows of ``series`` that read ``lags``, up to one end after another.

    No window is looked at twice: the sums up to an end go on from those up to the ones of ``ends`` before it. The last
    of these says how windows are thinned out, and is the last that is asked for.
    """

    def __init__(self, series: Sequence[Array], lags: Rows, after: int, ends: Sequence[Rows]) -> None:
        self.series, self.lags, self.after, self.ends = series, lags, after, ends
        self.found: dict[tuple[bool, bytes], Sums] = {}
        self.calm: dict[bytes, float] = {}

    def until(self, end: Rows, kinds: Sequence[bool]) -> list[Sums]:
        """Those up to ``end`` (S,): for each of ``kinds`` whether windows count in units of their own spread.

        The spread of calm ones is a part of what was usual in those that are looked at first.
        """
        way = [each for each in self.ends if (each <= end).all() and (each < end).any()]
        begin: Rows | None = None
        for each in (*way, end):
            if lacking := [scaled for scaled in kinds if (scaled, each.tobytes()) not in self.found]:
                x, y = windows(self.series, each, self.lags, self.after, begin=begin, stop=self.ends[-1])
                spread = _spread(x) if any(lacking) else np.ones((len(x), 1))
                if any(lacking) and len(x):
                    calm = self.calm.setdefault((way or [end])[0].tobytes(), LEAST_SPREAD * float(np.median(spread)))
                    spread = np.maximum(spread, calm) + 1e-12
                for scaled in lacking:
                    found = sums(x, y, self.lags, spread if scaled else None)
                    if begin is not None:
                        found = self.found[scaled, begin.tobytes()] + found
                    self.found[scaled, each.tobytes()] = found
            begin = each
        return [self.found[scaled, end.tobytes()] for scaled in kinds]


def ridges(known: Sums, lags: Rows, lookback: int, penalties: Array = PENALTIES) -> Array:
    """(P, L + 1, H), for all ``penalties``: from rows before the origin, less the last, to what follows, less the last.

    ``lags`` are those rows, the last among them; the matrices are for ``lookback`` rows.
    """
    middle, mean = known.inputs / max(known.count, 1), known.outputs / max(known.count, 1)
    square = known.square - known.count * np.outer(middle, middle)
    product = known.product - known.count * np.outer(middle, mean)
    result = np.zeros((len(penalties), lookback + 1, len(mean)))
    for weights, slopes in zip(result, solved(square, product, penalties), strict=True):
        weights[lookback - lags] = slopes
        weights[lookback - 1] += 1 - slopes.sum(0)
        weights[-1] = mean - middle @ slopes
    return result


def _spread(x: Array) -> Array:
    """The mean distance of a window's rows from their mean, (n, 1)."""
    parts = [np.abs(x[rows] - x[rows].mean(1, keepdims=True)).mean(1, keepdims=True) for rows in _blocks(x)]
    return np.concatenate([np.zeros((0, 1)), *parts])


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
    values, vectors = np.linalg.eigh(square)  # 8 systems take as long
    values, turned = np.maximum(values, 0.0), vectors.T @ product
    for penalty in penalties:
        yield np.asarray(vectors @ (turned / (values + penalty * unit)[:, None]))
