"""Forecast the test part from every origin, model and baselines alike, and score them.

An origin is the first row of a forecast; it rolls on by ``stride`` rows. Each forecast reads the rows before its origin
and nothing else, and lies inside the test part as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .ahead import Forecast, forecast_ahead
from .baselines import drift, fit_linear, intermittent, of_demand, persistence, seasonal_naive
from .dataset import PanelDataset, floors, make_dataset, standardise, values_before, window_values
from .following import CHUNK, follow, stretched
from .intervals import lately, shifted, shifts_of
from .linear.folds import independent
from .model import Model
from .newer import forecast_following
from .season import seasonal_error
from .split import Array, Rows, origins
from .training import ForecastProblem
from .training.calibration import MOST_CALIBRATED, calibration_origins

BLOCK = 256  # windows that are scored at once, as many as a processor's cache holds


@dataclass(frozen=True)
class Score:
    """One row of the table. RMSE, MAE and pinball are in the series' own units, over all forecasts alike.

    ``mase`` is the mean over the series of MAE divided by that of the seasonal naive forecast one step ahead inside the
    part before the test, None where no series ever changes there. ``smape`` is in percent. What is
    called standardised is that of series with mean 0 and variance 1 in the training part, as papers on long horizons
    give it.
    """

    name: str
    rmse: float
    mae: float
    smape: float
    mase: float | None
    mse_standardised: float
    mae_standardised: float
    pinball: float
    """Averaged over the quantiles."""
    coverage: float
    """The share of real values between the outermost quantiles."""
    width: float
    """The mean distance of the outermost quantiles."""
    rmse_by_step: tuple[float, ...]
    mae_by_step: tuple[float, ...]
    mase_by_series: tuple[float | None, ...]


@dataclass(frozen=True)
class Truth:
    """What forecasts are held against: n windows of H steps."""

    real: Array  # (n, H), NaN where missing
    series: Rows  # (n,)
    scale: Array  # (S,), of MASE; 0 where a series never changes
    spread: Array  # (S,), the standard deviation of the training part
    quantiles: tuple[float, ...]  # (Q,)


@dataclass(frozen=True)
class Held:
    """The share of the real values that intervals of a probability hold."""

    level: float
    share: float
    without: float
    """The same of intervals that learn nothing from the values that come."""


@dataclass(frozen=True)
class Backtest:
    """n forecasts of H steps, what came, and the scores: the model's first."""

    problem: ForecastProblem
    model: Model
    """That has heard the test part: its intervals are as wide as what came there calls for."""
    rows: Rows  # (n,), the first row of each in its series
    series: Rows  # (n,)
    real: Array  # (n, H)
    quantiles: Array  # (n, H, Q), the model's, which know the values before their origin
    scores: tuple[Score, ...]
    calibrated: int
    """How many windows of the validation part each step's intervals come from."""
    held: tuple[Held, ...]
    """What the outermost intervals and those of 95 % hold."""

    @property
    def windows(self) -> float:
        """How many of the forecasts have no row in common."""
        return independent([(self.problem.split.validation, self.problem.split.test)], self.model.plan.horizon)

    @cached_property
    def future(self) -> Forecast | None:
        """The forecast beyond the data; None where covariates known ahead don't reach that far."""
        tails, horizon = self.model.tails, self.model.plan.horizon
        if self.model.columns.known and any(len(t.known) - len(t.values) < horizon for t in tails):
            return None
        return forecast_ahead(self.model, tails)

    def test_part(self, series: int) -> tuple[int, int]:
        """The first row of a series' test part, and the one behind its last."""
        return int(self.problem.split.validation[series]), int(self.problem.split.test[series])

    @cached_property
    def order(self) -> list[int]:
        """The series, best first; the first one where none has a score."""
        known = [(mase, s) for s, mase in enumerate(self.scores[0].mase_by_series) if mase is not None]
        return [s for _, s in sorted(known)] or [0]


def backtest(model: Model, problem: ForecastProblem, stride: int = 1) -> Backtest:
    """Roll over the test part."""
    plan, split = model.plan, problem.split
    rows, series = origins(split.validation, split.test, plan.horizon, stride)
    truth = Truth(
        window_values(problem.series, rows, series, plan.horizon),
        series,
        np.array([seasonal_error(values, plan.season) for values in problem.before_test]),
        standardise(values_before(problem.series, split.train), log=False).spread,
        plan.quantiles,
    )
    quantiles, without, after = forecast_following(model, problem.series, rows, series, truth.real)
    scores = [score(model.label, truth, quantiles)]
    scores += [score(name, truth, found) for name, found in _baselines(model, problem, rows, series, truth.real)]
    calibrated = sum(min(len(origins(*fold, plan.horizon)[0]), MOST_CALIBRATED) for fold in problem.folds)
    floor = model.floor(problem.series, rows, series)
    held = tuple(
        Held(ends[1] - ends[0], *(_held(side, truth.real, ends, floor, after) for side in (quantiles, without)))
        for ends in _judged(plan.quantiles)
    )
    return Backtest(problem, after, rows, series, truth.real, quantiles, tuple(scores), calibrated, held)


def _judged(quantiles: Sequence[float]) -> list[tuple[float, float]]:
    """The ends of the outermost interval and, where that is in the middle, of one of 95 %."""
    low, high = quantiles[0], quantiles[-1]
    found = {(low, high), (0.025, 0.975)} if round(low + high, 9) == 1 else {(low, high)}
    return sorted(found, reverse=True) if low < high else []


def _held(quantiles: Array, real: Array, ends: tuple[float, float], floor: Array, model: Model) -> float:
    """The share of ``real`` (n, H) between the quantiles ``ends`` of forecasts (n, H, Q), none below ``floor`` (n,)."""
    parts = [slice(begin, begin + CHUNK) for begin in range(0, len(real), CHUNK)]
    shares = [_inside(model.at_shares(quantiles[part], ends, floor[part]), real[part]) for part in parts]
    counts = [np.isfinite(real[part]).sum() for part in parts]
    return float(np.average(np.nan_to_num(shares), weights=counts))


def _inside(ends: Array, real: Array) -> float:
    """The share of ``real`` (n, H) between ``ends`` (n, H, 2)."""
    inside = (real >= ends[..., 0]) & (real <= ends[..., -1])
    there = np.isfinite(real)
    return float(inside[there].mean()) if there.any() else float("nan")


def _baselines(
    model: Model, problem: ForecastProblem, rows: Rows, series: Rows, came: Array
) -> Iterator[tuple[str, Array]]:
    """The quantiles of each baseline, their intervals taken from the validation part, and following, as the model's."""
    plan, horizon, unit = model.plan, model.plan.horizon, model.unit
    tried, tried_series = calibration_origins(problem)
    scaling = standardise(values_before(problem.series, problem.split.train), plan.log)
    lookback = _linear_lookback(problem)
    before = max(lookback, plan.season, *problem.seasons, 1)
    dataset = make_dataset(problem.series, scaling, plan.cycles, before, horizon)
    of = np.concatenate([series, tried_series])
    at = np.concatenate([rows, tried]) + dataset.begin[of]
    points = {"persistence": persistence(dataset, at, horizon)}
    for season in problem.seasons:
        points[f"seasonal naive ({season})"] = seasonal_naive(dataset, at, horizon, season)
    points["drift"] = drift(dataset, at, of, horizon)
    if lookback:
        name = f"linear ({lookback} rows)"
        points[name] = _linear(dataset, problem, lookback, at[: len(rows)], at[len(rows) :])
    real = window_values(problem.series, tried, tried_series, horizon)
    apart = independent([(problem.split.train, problem.split.validation)], horizon)
    own = lately(problem.series, np.concatenate([rows, tried]), of, unit, plan)
    floor = floors(problem.series, rows, series)[:, None, None] if model.positive else -np.inf
    none = np.zeros((len(problem.series), len(plan.quantiles)))

    def calibrated(point: Array) -> Array:
        found = np.repeat(point[..., None], len(plan.quantiles), axis=2)
        shifts = shifts_of(found[len(rows) :], real, own[len(rows) :], plan, apart)
        found = shifted(found[: len(rows)], shifts, own[: len(rows)], plan)
        found = stretched(found, follow(found, came, rows, series, none, plan)[0], plan)
        return np.maximum(found, floor)

    for name, point in points.items():
        yield name, calibrated(scaling.backward(point, of))
    if intermittent(problem.before_test):
        real_of = [each.real for each in problem.series]
        for name, value in of_demand(real_of, np.concatenate([rows, tried]), of).items():
            yield name, calibrated(np.repeat(value[:, None], horizon, axis=1))


def _linear(dataset: PanelDataset, problem: ForecastProblem, lookback: int, at: Rows, tried: Rows) -> Array:
    """What the linear model says at the rows ``at``, and what one that hadn't seen them says at ``tried``."""
    horizon, split = problem.plan.horizon, problem.split

    def windows(end: Rows) -> Rows:
        found, of = origins(np.minimum(lookback, end), end, horizon)
        return found + dataset.begin[of]

    model = fit_linear(dataset, windows(split.train), tried, lookback, horizon)
    last = model
    if problem.plan.short:  # as the networks do
        last = fit_linear(dataset, windows(split.validation), tried, lookback, horizon, model.penalty)
    return np.concatenate([last.forecast(dataset, at), model.forecast(dataset, tried)])


def _linear_lookback(problem: ForecastProblem) -> int:
    """As many rows as a direct model reads, or two seasons; 0 where the training parts are too short for that."""
    plan, shortest = problem.plan, int(problem.split.train.min())
    wanted = max(2 * plan.season + 1, 12) if plan.recursive else plan.lookback
    return wanted if shortest >= wanted + plan.horizon + 10 else 0


def score(name: str, truth: Truth, quantiles: Array) -> Score:
    """The score of ``quantiles`` (n, H, Q), of which that of 0.5 is the point forecast."""
    rows, horizon = truth.real.shape
    middle, nothing = truth.quantiles.index(0.5), float("nan")  # which is what the mean of no values is
    steps, windows = np.zeros((3, horizon)), np.zeros((3, rows))  # real values, sums of absolute and squared errors
    relative = pinball = width = inside = 0.0
    for begin in range(0, rows, BLOCK):
        part = slice(begin, begin + BLOCK)
        real, found = truth.real[part], np.moveaxis(quantiles[part], -1, 0)  # (B, H), (Q, B, H)
        there = np.isfinite(real)
        above = np.where(there, real - found, 0.0)  # (Q, B, H)
        size = np.abs(above[middle])
        for kept, each in enumerate((there, size, size**2)):
            steps[kept] += each.sum(0)
            windows[kept, part] = each.sum(1)
        both = np.abs(found[middle]) + np.abs(real)
        relative += np.divide(200 * size, both, out=np.zeros_like(size), where=size > 0).sum()
        pinball += sum(np.maximum(q * a, (q - 1) * a).sum() for q, a in zip(truth.quantiles, above, strict=True))
        inside += np.count_nonzero((real >= found[0]) & (real <= found[-1]))
        width += (found[-1] - found[0]).sum()
    terms = steps[0].sum() or nothing
    by_step = steps[1:] / np.where(steps[0], steps[0], nothing)
    own = truth.spread[truth.series]
    by_series = mase_by_series(windows[0], windows[1], truth)
    known = [value for value in by_series if value is not None]
    return Score(
        name,
        rmse=float(np.sqrt(steps[2].sum() / terms)),
        mae=float(steps[1].sum() / terms),
        smape=float(relative / terms),
        mase=float(np.mean(known)) if known else None,
        mse_standardised=float((windows[2] / own**2).sum() / terms),
        mae_standardised=float((windows[1] / own).sum() / terms),
        pinball=float(pinball / len(truth.quantiles) / terms),
        coverage=float(inside / terms),
        width=float(width / (rows * horizon or nothing)),
        rmse_by_step=tuple(np.sqrt(by_step[1]).tolist()),
        mae_by_step=tuple(by_step[0].tolist()),
        mase_by_series=by_series,
    )


def mase_by_series(count: Array, total: Array, truth: Truth) -> tuple[float | None, ...]:
    """Each series' mean absolute error in its scale, of the ``count`` errors of each window (n,) and their ``total``;
    None where it has no scale or no forecast."""
    series = len(truth.scale)
    terms, sums = (np.bincount(truth.series, weights=w, minlength=series) for w in (count, total))
    return tuple(
        float(s / n / scale) if n and scale > 0 else None for s, n, scale in zip(sums, terms, truth.scale, strict=True)
    )


def lost_to(model: Score, baselines: Sequence[Score]) -> list[str]:
    """Where the model is no better than a baseline, in words."""
    measures = [("RMSE", "rmse"), ("MAE", "mae")] + ([("MASE", "mase")] if len(model.mase_by_series) > 1 else [])
    return [
        f"{baseline.name} in {title} ({getattr(model, measure):.4g} against {getattr(baseline, measure):.4g})"
        for title, measure in measures
        for baseline in baselines
        if getattr(model, measure) is not None and getattr(model, measure) >= getattr(baseline, measure)
    ]
