"""The nearest neighbour by dynamic time warping: how far sequences are apart when time may be stretched.

Sums of squared differences, along the cheapest path that strays from the diagonal by at most a window of steps. All
pairs go through the table together, an anti-diagonal at a time, whose cells don't depend on one another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .sequences import Rows, Sequences
from .targets import Target, Values

Distances = NDArray[np.float32]

AT_ONCE = 1 << 16  # numbers in memory at a time: what a cache holds
WINDOWS = (0.0, 0.02, 0.05, 0.1, 0.2)  # that are tried, as shares of the length


def distances(ours: Sequences, theirs: Sequences, window: int | None = None) -> Distances:
    """How far each of n sequences is from each of m others: (n, m). ``window`` None: no bound.

    Sequences of different lengths have no bound either.
    """
    a, b = _padded(ours), _padded(theirs)  # (T, n, I), (U, m, I)
    if window is None or ours.length is None or ours.length != theirs.length:
        window = max(len(a), len(b))
    cells = min(2 * window + 1, len(a), len(b))
    rows = max(1, AT_ONCE // (cells * b.shape[1]))
    parts = [slice(begin, begin + rows) for begin in range(0, a.shape[1], rows)]
    lengths, others = ours.lengths, theirs.lengths
    return np.concatenate([_table(a[:, part], b, lengths[part], others, window) for part in parts])


def windows(sequences: Sequences) -> list[int | None]:
    """Those to try, in steps, the widest last; None, no bound, where lengths differ."""
    if sequences.length is None:
        return [None]
    return list(dict.fromkeys(round(share * sequences.length) for share in WINDOWS))


def chosen_window(sequences: Sequences, target: Target, values: Values) -> int | None:
    """The window with which the nearest other sequence says most of each; the narrowest of several."""
    best: tuple[float, int | None] | None = None
    for window in windows(sequences):
        found = distances(sequences, sequences, window)
        np.fill_diagonal(found, np.inf)
        value = next(iter(target.measured(values, target.copied(values[found.argmin(1)])).values()))
        if best is None or value > best[0]:
            best = value, window
    return None if best is None else best[1]


def cost(ours: Sequences, theirs: Sequences, window: int | None) -> float:
    """How many cells all tables together have."""
    steps = float(ours.lengths.max()), float(theirs.lengths.max())
    width = max(steps) if window is None else min(2 * window + 1, max(steps))
    return len(ours) * len(theirs) * min(steps) * width * ours.channels


def _padded(sequences: Sequences) -> NDArray[np.float32]:
    """All sequences (T, n, I), their last step repeated."""
    block: NDArray[np.float32] = sequences.block(np.arange(len(sequences)))[0]
    return block


def _table(a: NDArray[np.float32], b: NDArray[np.float32], lengths: Rows, others: Rows, window: int) -> Distances:
    """The distances of ``a`` (T, n, I) and ``b`` (U, m, I)."""
    t, u = len(a), len(b)
    pairs = a.shape[1], b.shape[1]
    # Cells of an anti-diagonal i + j = d are kept at their i, one place on, so that the first has a neighbour.
    before, last, now = (np.full((t + 1, *pairs), np.inf, np.float32) for _ in range(3))
    result = np.empty(pairs, np.float32)
    ends: dict[int, list[tuple[Rows, Rows]]] = {}
    for i in np.unique(lengths):
        for j in np.unique(others):
            ends.setdefault(int(i + j - 2), []).append((np.flatnonzero(lengths == i), np.flatnonzero(others == j)))
    for d in range(t + u - 1):
        first, end = max(0, d - u + 1, -(-(d - window) // 2)), min(t, d + 1, (d + window) // 2 + 1)
        now[max(first, 0) : end + 1] = np.inf  # the places at both sides of what is written below
        x, y = a[first:end], b[d - end + 1 : d - first + 1][::-1]  # i rises, j falls
        step = np.square(x[:, :, None, 0] - y[:, None, :, 0])
        for channel in range(1, a.shape[2]):
            step += np.square(x[:, :, None, channel] - y[:, None, :, channel])
        if d:
            best = np.minimum(last[first:end], last[first + 1 : end + 1])  # (i - 1, j), (i, j - 1)
            np.minimum(best, before[first:end], out=best)  # (i - 1, j - 1)
            step += best
        now[first + 1 : end + 1] = step
        if end < t:
            now[end + 1] = np.inf
        for ours, theirs in ends.get(d, ()):
            i = int(lengths[ours[0]]) - 1
            result[np.ix_(ours, theirs)] = now[i + 1][np.ix_(ours, theirs)]
        before, last, now = last, now, before
    return result
