"""Forecast the test part from every origin, model and baselines alike, and score them.

An origin is the first row of a forecast; it rolls on by ``stride`` rows. Each forecast reads the rows before its origin
and nothing else, and lies inside the test part as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bank import Array, Bank, Rows, make_bank
from .baselines import drift, fit_linear, persistence, seasonal_naive
from .conformal import shifts
from .model import Model, heights, shifted
from .scaling import standardise
from .scores import Score, Truth, score, seasonal_error
from .split import origins
from .stepwise import StepLearner
from .training import ForecastProblem, calibration_origins, window_values


@dataclass(frozen=True)
class Backtest:
    """n forecasts of H steps, what came, and the scores: the model's first."""

    rows: Rows  # (n,), the first row of each in its series
    series: Rows  # (n,)
    real: Array  # (n, H)
    quantiles: Array  # (n, H, Q), the model's
    scores: tuple[Score, ...]
    calibrated: int
    """How many windows of the validation part each step's intervals come from."""


def backtest(model: Model, prepared: ForecastProblem, stride: int = 1) -> Backtest:
    """Roll over the test part."""
    plan, tracks, split = model.plan, prepared.tracks, prepared.split
    rows, series = origins(split.validation, split.test, plan.horizon, stride)
    real = window_values(tracks, rows, series, plan.horizon)
    truth = Truth(
        real,
        series,
        np.array([seasonal_error(values, plan.season) for values in prepared.before_test]),
        standardise([t.values[:end] for t, end in zip(tracks, split.train, strict=True)], log=False).spread,
        plan.quantiles,
    )
    quantiles = model.forecast(tracks, rows, series)
    scores = [score(plan.label, truth, quantiles)]
    scores += [score(name, truth, found) for name, found in _baselines(model, prepared, rows, series)]
    return Backtest(rows, series, real, quantiles, tuple(scores), len(calibration_origins(prepared)[0]))


def _baselines(model: Model, prepared: ForecastProblem, rows: Rows, series: Rows) -> list[tuple[str, Array]]:
    """The quantiles of each baseline, their intervals taken from the validation part as the model's are."""
    plan, tracks = model.plan, prepared.tracks
    judged, judged_series = calibration_origins(prepared)
    scaling = standardise([t.values[:end] for t, end in zip(tracks, prepared.split.train, strict=True)], plan.log)
    lookback = _linear_lookback(model, prepared)
    before = max(lookback, plan.season, model.learner.before)
    bank = make_bank(tracks, scaling, plan.cycles, before, plan.horizon)
    at, tried = rows + bank.begin[series], judged + bank.begin[judged_series]
    points = {"persistence": [persistence(bank, o, plan.horizon) for o in (at, tried)]}
    if plan.season > 1:
        name = f"seasonal naive ({plan.season})"
        points[name] = [seasonal_naive(bank, o, plan.horizon, plan.season) for o in (at, tried)]
    points["drift"] = [drift(bank, o, s, plan.horizon) for o, s in ((at, series), (tried, judged_series))]
    if lookback:
        points[f"linear ({lookback} rows)"] = list(_linear(bank, prepared, lookback, at, tried))
    unit = model.unit
    real = window_values(tracks, judged, judged_series, plan.horizon)

    def calibrated(test: Array, validation: Array) -> Array:
        found = np.repeat(scaling.backward(test, series)[..., None], len(plan.quantiles), axis=2)
        there = np.repeat(scaling.backward(validation, judged_series)[..., None], len(plan.quantiles), axis=2)
        own = unit[judged_series][:, None]
        moved = shifts(heights(there, plan) / own[..., None], heights(real, plan) / own, plan.quantiles)
        return shifted(found, moved, unit[series], plan)

    return [(name, calibrated(*pair)) for name, pair in points.items()]


def _linear(bank: Bank, prepared: ForecastProblem, lookback: int, at: Rows, tried: Rows) -> tuple[Array, Array]:
    """What the linear model says at the rows ``at``, and what one that hadn't seen them says at ``tried``."""
    horizon, split = prepared.plan.horizon, prepared.split

    def windows(end: Rows) -> Rows:
        found, of = origins(np.minimum(lookback, end), end, horizon)
        return found + bank.begin[of]

    model = fit_linear(bank, windows(split.train), tried, lookback, horizon)
    last = model
    if prepared.plan.short:  # as the networks do
        last = fit_linear(bank, windows(split.validation), tried, lookback, horizon, model.penalty)
    return last.forecast(bank, at), model.forecast(bank, tried)


def _linear_lookback(model: Model, prepared: ForecastProblem) -> int:
    """As many rows as a window model reads, or two seasons; 0 where the training parts are too short for that."""
    plan, shortest = model.plan, int(prepared.split.train.min())
    wanted = max(2 * plan.season + 1, 12) if isinstance(model.learner, StepLearner) else plan.lookback
    return wanted if shortest >= wanted + plan.horizon + 10 else 0


def best_to_worst(scores: Sequence[float | None]) -> list[int]:
    """The series with a score, best first."""
    known = [(value, s) for s, value in enumerate(scores) if value is not None]
    return [s for _, s in sorted(known)]
