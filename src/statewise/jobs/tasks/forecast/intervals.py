"""Intervals: quantiles moved by what was missed in rows not learnt from, and paths for what is beyond the horizon.

*Split-conformal.* Two quantiles as far out on either side (0.1 and 0.9) are moved apart, or together, by as much as
makes the interval between them hold with at least its probability, if misses to come are like those in the rows that
calibrate (Romano et al. 2019; for a point forecast it is the quantile of the absolute misses, Vovk et al.). A quantile
without its counterpart is moved for itself. The steps of the horizon lend each other strength: misses are counted in
what is usual at their step, a smooth curve, and looked at together. Fewer than ``FEW`` windows that don't overlap
can't tell a quantile: Student's t of as many stands in for it, as wide as the root mean square of their misses calls
for. Of more it is taken half a standard error further out, and one beyond 80 % is as far from that as the normal
distribution has it, or further. And all of it is counted in how much a series has moved of late, to the power
``LATELY``. Series that drift break the "if", so intervals follow what comes (following.py), and a report tells the
coverage measured on the test part. The point forecast is not moved. What was tried and dropped:
docs/jobs/forecast-method.md.

*Paths.* Further ahead, block after block continues what the one before has said. A block is told of the forecast before
it, not of what came, and so can't know how wrong that was. Therefore many paths are continued side by side. Each goes
through a block as real values might, as far above or below the median as the model missed by, step by step, in some
window of the validation part (its *ranks*); the next block reads that path. The quantiles of a step are those of all
paths together, so errors add up, or die away, as the model itself lets them. The point forecast continues itself: it is
the path along the medians.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .config import Plan
from .dataset import EncodedSeries, past_values
from .normal import normal_quantiles
from .split import Array, Rows

if TYPE_CHECKING:
    from .model import Model

PATHS = 256  # of each series
LEAST_USUAL = 0.02  # of the mean square of all steps
LATELY, LEAST_LATELY, MOST_LATELY = 0.4, 8, 5.0  # the power; rows that can tell; the ratio to what is usual
FEW = 10  # independent windows, below which Student's t of their misses says how wide an interval is
ONE_WINDOW = 1.5  # degrees of freedom of the misses of one, as many as those of a random walk have
USUAL = 0.8  # of the values are in an interval beyond which misses are at least as far apart as normal ones
FAR = (0.9, 0.95, 0.98, 0.99)  # intervals further out than the plan's, which a model knows too
MOST_RANKS = 256  # windows of the validation part that paths are made of
BETWEEN = np.arange(0.02, 1, 0.04)  # where the quantiles of a path's block are mixed with those of the others


def transformed(values: Array, plan: Plan) -> Array:
    """The scale on which errors are compared: logarithms where the networks read those."""
    return np.log(np.maximum(values, np.finfo(np.float64).tiny)) if plan.log else values


def lately(
    series: Sequence[EncodedSeries], rows: Rows, of: Rows, unit: Array, plan: Plan, power: float = LATELY
) -> Array:
    """What errors are counted in at each of ``rows`` (n,) of the series ``of``, (n,).

    ``unit`` (S,) is how much a series usually moves from a season to the next, which it may have done more of late.
    """
    season = max(1, plan.season)
    back = min(recent_rows(plan), max(len(each.values) for each in series))  # before that there is nothing to see
    past = transformed(past_values(series, rows, of, back, gaps=True), plan)  # (n, rows)
    moved = np.abs(past[:, season:] - past[:, :-season])
    there = np.isfinite(moved)
    count, total = there.sum(1), np.where(there, moved, 0.0).sum(1)
    known = (count >= LEAST_LATELY) & (total > 0)
    ratio = np.where(known, total / np.maximum(count, 1) / unit[of], 1.0)
    return np.asarray(unit[of] * np.clip(ratio, 1 / MOST_LATELY, MOST_LATELY) ** power)


def recent_rows(plan: Plan) -> int:
    """How many rows ``lately`` looks back."""
    return max(1, plan.season) + max(2 * plan.season, 24)


def shifts_of(forecast: Array, real: Array, unit: Array, plan: Plan, independent: float) -> Array:
    """What moves quantiles (n, H, Q) of windows whose values ``real`` (n, H) came, in units (n,): (H, Q).

    ``independent`` is as many of the windows as have no row in common.
    """
    found, came, usual = _counted(forecast, real, unit, plan)
    return shifts(found, came, plan.quantiles, independent) * usual[:, None]


def reach_of(forecast: Array, real: Array, unit: Array, plan: Plan, independent: float) -> Array:
    """How much further out than the plan's outermost quantiles the intervals ``FAR`` reach: (len(FAR),), at least 1.

    1 where they are no further out, or there is no interval. Arguments as above.
    """
    found, came, _ = _counted(forecast, real, unit, plan)
    low, high = plan.quantiles[0], plan.quantiles[-1]
    if low == high or round(low + high, 9) != 1:
        return np.ones(len(FAR))
    outer = found[..., [0, plan.median, -1]]
    far = [level for level in FAR if level > high - low]
    middle = (outer[..., -1] + outer[..., 0]) / 2
    half = float(np.nanmean(outer[..., -1] - middle))
    widths = [
        half + shifts(outer, came, ((1 - level) / 2, 0.5, (1 + level) / 2), independent)[-1]
        for level in (high - low, *far)
    ]
    known = max(widths[0], 1e-12)
    least = [_normal(level) / _normal(high - low) for level in far]
    reach = np.maximum.accumulate(np.maximum(np.array(widths[1:]) / known, least))
    return np.concatenate([np.ones(len(FAR) - len(far)), reach])


def _counted(forecast: Array, real: Array, unit: Array, plan: Plan) -> tuple[Array, Array, Array]:
    """Forecasts and values in what is usual at their step, and that, (H,), in units (n,)."""
    own = unit[:, None]
    found, came = transformed(forecast, plan) / own[..., None], transformed(real, plan) / own
    usual = usual_misses(came - found[..., plan.median])
    return found / usual[:, None], came / usual, usual


def usual_misses(missed: Array) -> Array:
    """The root mean square of ``missed`` (n, H) by step, half of its square on a straight line: (H,), above 0."""
    there = np.isfinite(missed)
    squares = np.where(there, missed, 0.0) ** 2
    mean = float(squares.sum() / max(there.sum(), 1)) or 1.0
    steps = np.where(there.any(0), squares.sum(0) / np.maximum(there.sum(0), 1), mean)  # (H,)
    line = steps
    if len(steps) > 1:
        at = np.arange(len(steps))
        line = np.polyval(np.polyfit(at, steps, 1), at)
    return np.sqrt(np.maximum((steps + np.maximum(line, 0.0)) / 2, LEAST_USUAL * mean))


def shifts(forecast: Array, real: Array, quantiles: Sequence[float], independent: float = np.inf) -> Array:
    """What to add to each quantile, (Q,), of ``forecast`` (n, H, Q), where ``real`` (n, H) came, NaN where missing."""
    result = np.zeros(forecast.shape[-1])
    place = {round(quantile, 9): q for q, quantile in enumerate(quantiles)}
    for q, quantile in enumerate(quantiles):
        other = place.get(round(1 - quantile, 9))
        if quantile == 0.5 or (other is not None and other > q):
            continue  # the median, and what its counterpart settles
        misses = real - forecast[..., q]  # (n, H)
        if other is not None:
            share = quantile - quantiles[other]
            low, high = forecast[..., other], forecast[..., q]
            half = float(np.mean(high - low)) / 2
            if independent < FEW:
                result[q] = _students_half(real - (high + low) / 2, share, independent, half) - half
            else:
                beyond = np.fmax(low - real, misses)  # how far out of the interval
                result[q] = _quantile(beyond, share, independent)
                if share > USUAL:
                    usual = half + _quantile(beyond, USUAL, independent)
                    result[q] = max(result[q], usual * _normal(share) / _normal(USUAL) - half)
            result[other] = -result[q]
        else:
            result[q] = _quantile(misses, quantile, independent)
    return result


def _quantile(misses: Array, probability: float, independent: float) -> float:
    """What a miss to come stays below with ``probability``; the outermost miss where none is far enough."""
    there = np.sort(misses[np.isfinite(misses)])
    if not len(there):
        return 0.0
    error = np.sqrt(probability * (1 - probability) / max(independent, 1.0))
    probability = float(np.clip(probability + np.copysign(error / 2, probability - 0.5), 0.0, 1.0))
    rank = (np.ceil if probability >= 0.5 else np.floor)(probability * (len(there) + 1))
    return float(there[int(np.clip(rank, 1, len(there))) - 1])


def _students_half(misses: Array, share: float, independent: float, otherwise: float) -> float:
    """Half the width of an interval of Student's t of ``misses`` (n, H) from its middle; ``otherwise`` of none."""
    from scipy.special import stdtrit

    there = misses[np.isfinite(misses)]
    if not len(there):
        return otherwise
    return float(np.sqrt(np.mean(there**2))) * float(stdtrit(max(independent, ONE_WINDOW), (1 + share) / 2))


def _normal(share: float) -> float:
    """Half the width of the interval of the standard normal distribution that holds ``share``."""
    return float(normal_quantiles(np.array((1 + share) / 2)))


def shifted(values: Array, shifts: Array, unit: Array, plan: Plan) -> Array:
    """``values`` (n, H, Q) moved by ``shifts`` (H, Q) of ``unit`` (n,), rising, the median kept."""
    moved = transformed(values, plan) + shifts * unit[:, None, None]
    return rising(np.exp(moved) if plan.log else moved, plan.median)


def rising(quantiles: Array, median: int) -> Array:
    """``quantiles`` (..., Q) put into order, the one at ``median`` kept."""
    found = np.array(quantiles)
    middle = found[..., median : median + 1]
    for side, limit in ((found[..., :median], np.minimum), (found[..., median + 1 :], np.maximum)):
        if side.shape[-1] > 1:
            side.sort(axis=-1)
        limit(side, middle, out=side)
    return found


# Paths


def continued(model: Model, series: Sequence[EncodedSeries], rows: int, *, spread: bool = True) -> Array:
    """The quantiles of ``rows`` rows after ``series``, which know their covariates of as many: (S, rows, Q).

    Without ``spread`` the quantiles beyond the horizon are only those of the last block, which is all that the median
    needs.
    """
    plan, ends = model.plan, np.array([len(each.values) for each in series], dtype=np.int64)
    floor = model.floor(series, ends, np.arange(len(series)))[:, None, None]
    parts = [np.zeros((len(series), 0, len(plan.quantiles)))]
    for found, each, _ in _blocks(model, series, rows, PATHS if spread and len(plan.quantiles) > 1 else 0):
        if len(each) and len(parts) > 1:
            together = mixed(each.reshape(len(series), PATHS, *each.shape[1:]), plan)
            together[..., plan.median] = found[..., plan.median]
            found = np.maximum(rising(together, plan.median), floor)
        parts.append(found)
    return np.concatenate(parts, axis=1)


def sampled(model: Model, series: Sequence[EncodedSeries], rows: int, count: int, seed: int) -> Array:
    """``count`` ways that ``rows`` rows after ``series`` may go, as far off as whole windows were: (S, count, rows)."""
    blocks = _blocks(model, series, rows, count, seed)
    return np.concatenate([drawn for _, _, drawn in blocks], axis=1).reshape(len(series), count, rows)


def _blocks(
    model: Model, series: Sequence[EncodedSeries], rows: int, count: int, seed: int | None = None
) -> Iterator[tuple[Array, Array, Array]]:
    """Horizon after horizon, the quantiles along the median, (S, h, Q), and of ``count`` paths of each series.

    Those of the paths' next rows are (S * count, h, Q); the third are the rows, (S * count, h). Without a ``seed`` the
    last ones are of no use to anybody, and aren't drawn.
    """
    horizon, random = model.plan.horizon, np.random.default_rng(seed or 0)
    ends = np.array([len(each.values) for each in series], dtype=np.int64)
    floor = model.floor(series, ends, np.arange(len(series))).repeat(count)[:, None]
    medians, paths = list(series), list[EncodedSeries]()
    for begin in range(0, rows, horizon):
        more, steps = begin + horizon < rows, min(horizon, rows - begin)
        found = _block(model, medians, steps)
        each = _block(model, paths, steps) if paths else found.repeat(count, axis=0)
        drawn = each[..., model.plan.median]
        if count and (more or seed is not None):
            drawn = np.maximum(at_ranks(each, model.plan, _drawn(model, len(each), random), model.reach), floor)
        yield found, each, drawn
        if more:
            model = replace(model, statistical={})  # which is for what has come, and too slow for hundreds of paths
            paths = longer(model, paths or [one for one in medians for _ in range(count)], drawn)
            medians = longer(model, medians, found[..., model.plan.median])


def _drawn(model: Model, count: int, random: np.random.Generator) -> Array:
    """The ranks of ``count`` paths over the horizon, (count, H): all windows' as often as each other's."""
    ranks = model.ranks
    rounds = [random.permutation(len(ranks)) for _ in range(-(-count // len(ranks)))]
    return np.asarray(ranks[np.concatenate(rounds)[:count]], dtype=np.float64)


def _block(model: Model, series: Sequence[EncodedSeries], steps: int) -> Array:
    """The quantiles of ``steps`` rows, at most the horizon, after ``series``: (n, h, Q)."""
    there = [filled_up(model, each, steps) for each in series]
    ends = np.array([len(each.values) for each in there], dtype=np.int64)
    return model.forecast(there, ends, np.arange(len(there)))[:, :steps]


def filled_up(model: Model, series: EncodedSeries, steps: int) -> EncodedSeries:
    """``series`` with something known of all rows of the horizon: of those behind ``steps`` nobody asks."""
    horizon = model.plan.horizon
    if not model.known.columns or steps >= horizon:
        return series
    known = series.known[: len(series.values) + steps]
    return replace(series, known=np.concatenate([known, np.repeat(known[-1:], horizon - steps, axis=0)]))


def longer(
    model: Model, series: Sequence[EncodedSeries], values: Array, rows: int | None = None
) -> list[EncodedSeries]:
    """The last ``rows`` of ``series``, by default those that decide a forecast, once ``values`` (n, h) have come."""
    found = []
    for each, after in zip(series, values, strict=True):
        observed = np.concatenate([each.observed, np.zeros((len(after), each.observed.shape[1]))])
        past = np.concatenate([each.values, after])
        known = each.known if model.known.columns else np.zeros((len(past), 0))
        found.append(EncodedSeries(each.name, each.first, past, known, observed).tail(rows or model.memory))
    return found


def find_ranks(forecast: Array, real: Array, median: int) -> NDArray[np.float32]:
    """Where among the misses of all windows each miss is, from 0 to 1: (n, H).

    ``forecast`` (n, H, Q) and ``real`` (n, H) are windows of the validation part; a miss is counted in widths of its
    own interval. 0.5 where a value is missing.
    """
    every = slice(None, None, -(-len(real) // MOST_RANKS) or 1)
    width = forecast[..., -1] - forecast[..., 0]
    missed = (real - forecast[..., median]) / np.where(width > 0, width, 1.0)
    place = np.argsort(np.argsort(missed, axis=0, kind="stable"), axis=0)  # NaN last
    count = np.isfinite(missed).sum(0)
    ranks = np.where(np.isfinite(missed), (place + 0.5) / np.maximum(count, 1), 0.5)
    return ranks[every].astype(np.float32)


def at_ranks(quantiles: Array, plan: Plan, ranks: Array, reach: Array | None = None) -> Array:
    """The values at ``ranks``, (n, h) or one for all, of distributions whose quantiles as the plan has them are these
    (n, h, Q).

    Between them, and beyond those that ``reach`` tells of, they are straight lines over the normal distribution's
    quantiles, on the scale on which errors are compared.
    """
    if len(plan.quantiles) < 2:
        return quantiles[..., 0]
    scaled, known, out = transformed(quantiles, plan), plan.quantiles, np.zeros(0)
    if reach is not None and (reach > 1).any():
        out, far = reach[reach > 1], np.array(FAR)[reach > 1]
        known = (*((1 - far[::-1]) / 2), *known, *((1 + far) / 2))

    def column(k: int) -> Array:
        """The values at the k-th of what is known, (n, h)."""
        inner = k - len(out)
        if 0 <= inner < len(plan.quantiles):
            return np.asarray(scaled[..., inner])
        side, times = (0, out[::-1][k]) if inner < 0 else (-1, out[inner - len(plan.quantiles)])
        middle = scaled[..., plan.median]
        return np.asarray(middle + (scaled[..., side] - middle) * times)

    knots, at = normal_quantiles(np.array(known)), normal_quantiles(ranks[:, : quantiles.shape[1]])
    right = np.clip(np.searchsorted(knots, at), 1, len(knots) - 1)  # (n, h)
    if right.size == 1:
        low, high = (column(right.item() - back) for back in (1, 0))
    else:
        every = np.stack([column(k) for k in range(len(knots))], axis=-1)
        low, high = (np.take_along_axis(every, index[..., None], -1)[..., 0] for index in (right - 1, right))
    found = low + (high - low) * (at - knots[right - 1]) / (knots[right] - knots[right - 1])
    return np.asarray(np.exp(found) if plan.log else found)


def at_shares(
    quantiles: Array, plan: Plan, shares: Sequence[float], reach: Array | None = None, floor: Array | None = None
) -> Array:
    """The quantiles of K ``shares`` of distributions whose quantiles are these (n, h, Q): (n, h, K).

    None is below the ``floor`` (n,) of its series.
    """
    known = {share: quantiles[..., q] for q, share in enumerate(plan.quantiles)}
    found = np.stack(
        [
            known[share] if share in known else at_ranks(quantiles, plan, np.full((1, 1), share), reach)
            for share in shares
        ],
        axis=-1,
    )
    return found if floor is None else np.maximum(found, floor[:, None, None])


def mixed(quantiles: Array, plan: Plan) -> Array:
    """The quantiles of each step over P paths with these ``quantiles`` (S, P, h, Q): (S, h, Q)."""
    series, paths, steps, _ = quantiles.shape
    flat = quantiles.reshape(series * paths, steps, -1)
    drawn = [at_ranks(flat, plan, np.full((1, 1), rank)) for rank in BETWEEN]  # each (S * P, h)
    values = np.stack(drawn, axis=1).reshape(series, paths * len(BETWEEN), steps)
    return np.asarray(np.moveaxis(np.quantile(values, plan.quantiles, axis=1), 0, -1))
