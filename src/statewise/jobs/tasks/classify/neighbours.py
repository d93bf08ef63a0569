"""The nearest neighbour by dynamic time warping, without a table for most of the pairs.

A pair is left out where a part of its distance is more than the whole one of another pair: squared, how far one
sequence is out of the other's envelope, which is what that reaches within the window around each step (Keogh and
Ratanamahatana 2005). Without warping all distances are a product of matrices, and each is at least what it is with it.
"""

from __future__ import annotations

import numpy as np

from . import dtw
from .dtw import Floats
from .sequences import Rows, Sequences, segmented
from .targets import Target, Values

WINDOWS = (0.0, 0.02, 0.05, 0.1, 0.2)  # that are tried, as shares of the length
ASKED = 100  # sequences whose neighbours are looked for to choose a window
WINDOW_COST = 2e9  # cells of all of their tables; what would have more is made coarser


def nearest(ours: Sequences, theirs: Sequences, window: int | None, but: Rows | None = None) -> Rows:
    """Which of ``theirs`` is nearest to each of ``ours``: (n,). ``but`` (n,) are no answers, such as itself.

    ``window`` as for ``dtw.distances``.
    """
    return _found(ours, theirs, [window], but)[0]


def windows(sequences: Sequences) -> list[int | None]:
    """Those to try, in steps, the widest last; None, no bound, where lengths differ."""
    if sequences.length is None:
        return [None]
    return list(dict.fromkeys(round(share * sequences.length) for share in WINDOWS))


def chosen_window(sequences: Sequences, target: Target, values: Values, seed: int = 0) -> int | None:
    """The window with which the nearest other sequence says most of each; the narrowest of several.

    That is asked of some sequences, drawn with ``seed``, and of coarser ones, where it would take long.
    """
    tried = windows(sequences)
    if len(tried) == 1:
        return tried[0]
    asked = np.sort(np.random.default_rng(seed).permutation(len(sequences))[:ASKED])
    cells = sum(dtw.cost(sequences.select(asked), sequences, window) for window in tried)
    coarser = int(np.ceil(np.sqrt(cells / WINDOW_COST)))
    if coarser > 1:
        steps = segmented(sequences, coarser)
        means = steps.steps.reshape(len(steps.steps), coarser, -1).mean(1, dtype=np.float32)
        sequences = Sequences(means, steps.lengths)
    steps_tried = [round(window / coarser) for window in tried if window is not None]
    found = _found(sequences.select(asked), sequences, steps_tried, asked)
    truth = values[asked]
    said = [next(iter(target.measured(truth, target.copied(values[rows])).values())) for rows in found]
    return tried[int(np.argmax(said))]


def _found(ours: Sequences, theirs: Sequences, tried: list[int | None] | list[int], but: Rows | None) -> list[Rows]:
    """``nearest`` in each of the windows ``tried``, which rise."""
    rows = np.arange(len(ours))
    if ours.length is None or ours.length != theirs.length:
        far = dtw.distances(ours, theirs)
        if but is not None:
            far[rows, but] = np.inf
        return [far.argmin(1)] * len(tried)
    a, b = (part.steps.reshape(len(part), part.length or 0, -1) for part in (ours, theirs))  # (n, T, I), (m, T, I)
    far = _squared(a, b)
    if but is not None:
        far[rows, but] = np.inf
    found, answers = far.argmin(1), []
    bound = np.square(a - b[found]).sum((1, 2), dtype=np.float32)
    for window in tried:
        if window != 0:
            low = _lowest(a, b, a.shape[1] if window is None else window)
            if but is not None:
                low[rows, but] = np.inf
            found, bound = _nearer(ours, theirs, window, low, found, bound)
        answers.append(found)
    return answers


def _nearer(
    ours: Sequences, theirs: Sequences, window: int | None, low: Floats, found: Rows, bound: Floats
) -> tuple[Rows, Floats]:
    """The nearest (n,) and how far it is, at most ``bound`` (n,), where ``low`` (n, m) are no more than distances.

    Those that could be nearest are looked at first, in rounds of twice as many each, so that the later ones are few.
    """
    bound = np.minimum(bound, dtw.of_pairs(ours, theirs, np.arange(len(ours)), found, window))
    row, other = np.nonzero(low < bound[:, None])
    order = np.lexsort((low[row, other], row))
    row, other = row[order], other[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)  # among those of its row
    found, begin, count = found.copy(), 0, 1
    while begin <= place.max(initial=-1):
        now = (place >= begin) & (place < begin + count)
        i, j = row[now], other[now]
        near = low[i, j] < bound[i]
        i, j = i[near], j[near]
        far = dtw.of_pairs(ours, theirs, i, j, window, bound[i])
        best = np.lexsort((far, i))
        i, j, far = i[best], j[best], far[best]
        first = np.unique(i, return_index=True)[1]
        first = first[far[first] < bound[i[first]]]
        found[i[first]], bound[i[first]] = j[first], far[first]
        begin, count = begin + count, 2 * count
    return found, bound


def _squared(a: Floats, b: Floats) -> Floats:
    """The squared distances without warping of ``a`` (n, T, I) and ``b`` (m, T, I): (n, m)."""
    x, y = (part.reshape(len(part), -1).astype(np.float64) for part in (a, b))
    far = x @ y.T
    far *= -2
    far += np.square(x).sum(1)[:, None]
    far += np.square(y).sum(1)
    return far.astype(np.float32)


def _lowest(a: Floats, b: Floats, window: int) -> Floats:
    """What no distance of ``a`` (n, T, I) and ``b`` (m, T, I) is less than: (n, m)."""
    return np.maximum(_beyond(b, *_envelope(a, window)), _beyond(a, *_envelope(b, window)).T)


def _beyond(x: Floats, least: Floats, most: Floats) -> Floats:
    """The squares of how far each x (m, T, I) is out of each envelope (n, T, I), added up: (n, m)."""
    found = np.empty((len(least), len(x)), np.float32)
    flat = x.reshape(len(x), -1)
    out = np.empty_like(flat)
    for row, (below, above) in enumerate(zip(least.reshape(len(least), -1), most.reshape(len(most), -1), strict=True)):
        np.maximum(flat, below, out=out)  # with the next one half of the time of clip
        np.minimum(out, above, out=out)
        np.subtract(flat, out, out=out)
        np.einsum("nt,nt->n", out, out, out=found[row])
    return found


def _envelope(x: Floats, window: int) -> tuple[Floats, Floats]:
    """The least and the most of x (n, T, I) that is within ``window`` steps of each."""
    least, most, reach = x.copy(), x.copy(), 0
    while reach < min(window, x.shape[1] - 1):
        by = min(reach + 1, window - reach)  # what is known of these steps' sides comes together
        least, most = (_spread(part, by, pick) for part, pick in ((least, np.minimum), (most, np.maximum)))
        reach += by
    for ends in (least, most):  # both ends are those of every path
        ends[:, [0, -1]] = x[:, [0, -1]]
    return least, most


def _spread(x: Floats, by: int, pick: np.ufunc) -> Floats:
    """x (n, T, I) with what ``pick`` takes of each step and of those ``by`` before and behind it."""
    wide = x.copy()
    pick(wide[:, by:], x[:, :-by], out=wide[:, by:])
    pick(wide[:, :-by], x[:, by:], out=wide[:, :-by])
    return wide
