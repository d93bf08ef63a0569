"""Hold a share of the rows out. The same seed gives the same rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

HELD_OUT, LEAST_HELD_OUT = 0.1, 50  # a smaller part held out says little of which epoch is best


def share_held_out(told: float | None, rows: int, least: int = LEAST_HELD_OUT) -> float:
    """The share of ``rows`` rows to validate with: what was ``told``, else a tenth where that is ``least`` or more."""
    return told if told is not None else HELD_OUT if rows * HELD_OUT >= least else 0.0


def grouped_split(groups: Rows, share: float, seed: int, classes: Rows | None = None) -> tuple[Rows, Rows]:
    """The rows that stay and the rows held out, each rising, all rows of a group in the same part.

    ``groups`` (n,) are any numbers. They come in any order, and one is held out where that brings what is held out of
    each of ``classes`` (n,), None: of all rows, nearer to ``share``, and some of each are left.
    """
    classes = np.zeros(len(groups), np.int64) if classes is None else np.unique(classes, return_inverse=True)[1]
    names, group = np.unique(groups, return_inverse=True)
    table = np.zeros((len(names), classes.max(initial=0) + 1))
    np.add.at(table, (group, classes), 1)
    counts, held, out = table.sum(0), np.zeros(table.shape[1]), np.zeros(len(names), bool)
    for row in np.random.default_rng(seed).permutation(len(names)):
        more = held + table[row]
        nearer = np.square(more - share * counts) @ (1 / counts) < np.square(held - share * counts) @ (1 / counts)
        if nearer and (more < counts).all():
            held, out[row] = more, True
    return np.flatnonzero(~out[group]), np.flatnonzero(out[group])


def random_split(count: int, share: float, seed: int) -> tuple[Rows, Rows]:
    """The rows of ``count`` that stay, at least one, and the ``share`` held out, rounded; each rising."""
    out = min(round(share * count), count - 1)
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[out:]), np.sort(order[:out])


def stratified_split(targets: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """The rows that stay and the rows held out, each rising. ``targets`` (n,) are the rows' classes.

    ``share`` of each class is held out, rounded, at least one of a class of several and never all of a class; none
    where ``share`` is 0.
    """
    random = np.random.default_rng(seed)
    held = np.zeros(len(targets), bool)
    for label in np.unique(targets) if share > 0 else ():
        rows: Rows = random.permutation(np.flatnonzero(targets == label))
        held[rows[: min(max(1, round(share * len(rows))), len(rows) - 1)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
