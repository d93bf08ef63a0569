"""What the validation part teaches: how wide intervals are, and how much each of several forecasts counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ....errors import InputError
from .. import statistical
from ..dataset import Scaling, make_dataset, window_values
from ..intervals import find_ranks, lately, reach_of, shifted, shifts_of, transformed
from ..learner import Learner
from ..linear.folds import independent
from ..linear.forecast import Linear
from ..model import mix
from ..season import seasonal_spread
from ..split import Array, Rows, origins, thinned
from .fitting import base_of, have_gaps
from .worth import share_of

if TYPE_CHECKING:
    from .problem import ForecastProblem

MOST_CALIBRATED = 4000  # windows of the validation part that the shifts are taken from
MOST_STATISTICAL = 60  # series that AutoETS and AutoTheta are fitted to


@dataclass(frozen=True)
class Judge:
    """What has seen the rows before ``begin`` (S,) and is judged by those up to ``end``."""

    learner: Learner
    scaling: Scaling
    linear: Linear | None
    begin: Rows
    end: Rows


def calibrated(
    problem: ForecastProblem, judges: Sequence[Judge], unit: Array
) -> tuple[Array, Array, NDArray[np.float32], float, dict[str, float]]:
    """The quantiles' shifts, (H, Q), their reach, the ranks (n, H), how much the networks count, and what is beside.

    All of it follows from what is missed in rows that were not learnt from.
    """
    plan, parts = problem.plan, []
    for judge in judges:
        rows, of = thinned(*origins(judge.begin, judge.end, plan.horizon), most=MOST_CALIBRATED)
        dataset = make_dataset(problem.series, judge.scaling, plan.cycles, judge.learner.before, plan.horizon)
        base = base_of(judge.linear, judge.scaling, problem.series, rows, of) if judge.linear else None
        found = judge.learner.forecast(dataset, rows + dataset.begin[of], of, base)
        base = found[..., plan.median] if base is None else base
        parts.append((rows, of, *(judge.scaling.backward(each, of) for each in (base, found))))
    rows, of, base, found = (np.concatenate(column) for column in zip(*parts, strict=True))
    real = window_values(problem.series, rows, of, plan.horizon)
    apart = independent(problem.folds, plan.horizon)
    alone = not (problem.known.columns or problem.observed.columns)  # which the linear forecast can't read
    sides = (base, found[..., plan.median])
    plain = np.array([seasonal_spread(values, plan.season) for values in problem.before_test])  # no logarithms
    how = partial(share_of, alone=alone, short=plan.short, series=len(problem.series))
    share = how(sides, real, plain[of], apart) if plan.combine else 1.0
    moved = mix(transformed(base, plan), transformed(found, plan), share)
    found = np.exp(moved) if plan.log else moved
    own = lately(problem.series, rows, of, unit, plan)
    shifts = shifts_of(found, real, own, plan, apart)
    reach = reach_of(found, real, own, plan, apart)
    found = shifted(found, shifts, own, plan)
    beside: dict[str, float] = {}
    if _statistical(problem):
        judged = [(part[0], part[1]) for part in parts]
        beside = statistical.weights(problem.series, judged, found[..., plan.median], real, plain, plan.season, apart)
    return shifts, reach, find_ranks(found, real, plan.median), share, beside


def _statistical(problem: ForecastProblem) -> bool:
    """Whether statistical methods may count. Raises ``InputError`` where they are asked for and aren't there."""
    plan, there = problem.plan, statistical.there()
    if plan.statistical and not there:
        raise InputError("--statistical: statsforecast isn't installed: pip install 'statewise[statsforecast]'")
    suits = plan.short and plan.combine and not plan.channels and plan.season <= statistical.LONGEST
    suits = suits and not plan.from_zero and len(problem.series) <= MOST_STATISTICAL and not have_gaps(problem.series)
    return there and suits and plan.statistical is not False


def calibration_origins(problem: ForecastProblem) -> tuple[Rows, Rows]:
    """The first rows of the forecasts inside the validation part, and their series."""
    split = problem.split
    return thinned(*origins(split.train, split.validation, problem.plan.horizon), most=MOST_CALIBRATED)
