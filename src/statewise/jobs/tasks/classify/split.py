"""Hold a share of the sequences out, the same share of every class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .sequences import Rows


def stratified(targets: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """The rows that stay and the rows held out, each rising. ``targets`` (n,) are the rows' classes.

    ``share`` of each class is held out, rounded, at least one of a class of several and never all of a class; none
    where ``share`` is 0. The same seed gives the same rows.
    """
    random = np.random.default_rng(seed)
    held = np.zeros(len(targets), bool)
    for label in np.unique(targets) if share > 0 else ():
        rows: NDArray[np.int64] = random.permutation(np.flatnonzero(targets == label))
        held[rows[: min(max(1, round(share * len(rows))), len(rows) - 1)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
