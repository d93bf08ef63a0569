"""How much a network counts beside the linear forecast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..linear.folds import SHARP, weigh
from ..split import Array

SHARES = (0.25, 0.5, 0.75)  # of networks that read the series alone; the last one not where few are short
SEVERAL = 10  # series are no longer few
LEAD = 1 / (1 + np.exp(-0.4 * SHARP))  # the weight of what is better by 0.4 standard errors
LEAD_SHORT = 1 / (1 + np.exp(-SHARP))  # by a whole one, where series are short
UNTOLD_TWO = 0.2  # as ``folds.UNTOLD``, where there are but two to choose from
LEAST_GAIN = 0.001  # of the error in the validation part, below which networks add nothing


def share_of(
    sides: Sequence[Array], real: Array, unit: Array, independent: float, *, alone: bool, short: bool, series: int = 1
) -> float:
    """How much the second of two forecasts (n, H) of ``series`` counts beside the first one; 0 where it adds nothing.

    ``alone``: they read the same. Then networks that have won a validation part by far lose after it about as often as
    not, so that they count for nothing without a lead. Of few series that are ``short`` that is one of a standard error
    of the networks alone, and they count for half at most. Of others it is enough that what both say together leads.
    """
    there = np.isfinite(real)
    whole = there.any(1)
    count, own = np.maximum(there.sum(1), 1), unit[:, None]

    def misses(share: float) -> Array:
        forecast = sides[0] + share * (sides[1] - sides[0])
        return np.asarray((np.where(there, np.abs(forecast - real) / own, 0.0).sum(1) / count)[whole])

    def weight(share: float) -> float:
        return float(weigh(np.stack([misses(0.0), misses(share)]), independent, untold=UNTOLD_TWO)[1])

    if not whole.any():
        return 0.0
    share = weight(1.0)
    if alone:
        few = short and series < SEVERAL
        best = min(SHARES[:-1] if few else SHARES, key=lambda each: float(misses(each).mean()))
        lead, least = (share, LEAD_SHORT) if few else (max(share, weight(best)), LEAD)
        share = best if lead >= least else 0.0
    gain = 1 - misses(share).mean() / (misses(0.0).mean() or 1.0)
    return share if gain >= LEAST_GAIN else 0.0
