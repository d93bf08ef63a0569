"""Distances by dynamic time warping: how far sequences are apart when time may be stretched.

Sums of squared differences, along the cheapest path that strays from the diagonal by at most a window of steps. Many
pairs go through their tables together, an anti-diagonal at a time, whose cells don't depend on one another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .sequences import Rows, Sequences

Floats = NDArray[np.float32]

AT_ONCE = 1 << 16  # numbers in memory at a time: what a cache holds
LOOKS = 6  # times that a table is asked whether its path is too long already


def distances(ours: Sequences, theirs: Sequences, window: int | None = None) -> Floats:
    """How far each of n sequences is from each of m others: (n, m). ``window`` None: no bound.

    Sequences of different lengths have no bound either.
    """
    n, m = len(ours), len(theirs)
    rows, others = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
    return of_pairs(ours, theirs, rows, others, window).reshape(n, m)


def of_pairs(
    ours: Sequences,
    theirs: Sequences,
    rows: Rows,
    others: Rows,
    window: int | None = None,
    most: Floats | None = None,
) -> Floats:
    """How far ``rows`` (P,) of ``ours`` are from ``others`` (P,) of ``theirs``: (P,). ``window`` as for ``distances``.

    ``most`` (P,) are distances that don't interest: what is found to be larger may be said to be infinite.
    """
    a, b = _padded(ours), _padded(theirs)  # (T, n, I), (U, m, I)
    if window is None or ours.length is None or ours.length != theirs.length:
        window = max(len(a), len(b))
    most = np.full(len(rows), np.inf, np.float32) if most is None else most
    lengths = np.stack([ours.lengths[rows], theirs.lengths[others]])  # (2, P)
    size = max(1, AT_ONCE // min(2 * window + 1, len(a), len(b)))
    parts = [slice(begin, begin + size) for begin in range(0, len(rows), size)]
    found = [_tables(a.take(rows[p], 1), b.take(others[p], 1), lengths[:, p], window, most[p]) for p in parts]
    return np.concatenate([np.empty(0, np.float32), *found])


def _padded(sequences: Sequences) -> Floats:
    """All sequences (T, n, I), their last step repeated."""
    block: Floats = sequences.block(np.arange(len(sequences)))[0]
    return block


def _tables(a: Floats, b: Floats, lengths: Rows, window: int, most: Floats) -> Floats:
    """The distances of ``a`` (T, P, I) and ``b`` (U, P, I), of which ``lengths`` (2, P) steps count."""
    t, u, pairs = len(a), len(b), np.arange(len(most))
    result = np.full(len(most), np.inf, np.float32)
    # Cells of an anti-diagonal i + j = d are kept at their i, one place on, so that the first has a neighbour.
    before, last, now = (np.full((t + 2, len(pairs)), np.inf, np.float32) for _ in range(3))
    ends = lengths.sum(0) - 2
    done, every = set(ends.tolist()), max(1, (t + u) // LOOKS)
    for d in range(t + u - 1):
        first, end = max(0, d - u + 1, -(-(d - window) // 2)), min(t, d + 1, (d + window) // 2 + 1)
        now[first] = now[end + 1] = np.inf  # the places at both sides of what is written below
        x, y, cells = a[first:end], b[d - end + 1 : d - first + 1][::-1], now[first + 1 : end + 1]  # i rises, j falls
        best = np.minimum(last[first:end], last[first + 1 : end + 1])  # (i - 1, j), (i, j - 1)
        np.minimum(best, before[first:end], out=best)  # (i - 1, j - 1)
        np.subtract(x[:, :, 0], y[:, :, 0], out=cells)
        np.square(cells, out=cells)
        for channel in range(1, a.shape[2]):
            cells += np.square(x[:, :, channel] - y[:, :, channel])
        if d:
            cells += best
        if d in done:
            ended = np.flatnonzero(ends == d)
            result[pairs[ended]] = now[lengths[0, ended], ended]
        before, last, now = last, now, before
        if d % every == every - 1 and d + 1 < t + u - 1:
            # Every path goes through one of two neighbouring diagonals.
            least = np.minimum(last[first : end + 2].min(0), before[first : end + 2].min(0))
            open = np.flatnonzero((least < most) & (ends > d))
            if len(open) < 0.7 * len(pairs):
                if not len(open):
                    break
                pairs, ends, lengths, most = pairs[open], ends[open], lengths[:, open], most[open]
                a, b, before, last, now = (x.take(open, 1) for x in (a, b, before, last, now))
    return result


def cost(ours: Sequences, theirs: Sequences, window: int | None) -> float:
    """How many cells all tables together have."""
    steps = float(ours.lengths.max()), float(theirs.lengths.max())
    width = max(steps) if window is None else min(2 * window + 1, max(steps))
    return len(ours) * len(theirs) * min(steps) * width * ours.channels
