"""What a forecaster is held against: forecasts that cost nothing, statisticians' models, a linear and a boosted one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .protocol import LEVELS, Array, Method, Problem

Point = Callable[[Array, int], Array]


def naive(past: Array, horizon: int) -> Array:
    """The last value."""
    return np.repeat(past[-1], horizon)


def drift(past: Array, horizon: int) -> Array:
    """The line from the first value through the last."""
    return np.asarray(past[-1] + (past[-1] - past[0]) / max(len(past) - 1, 1) * np.arange(1, horizon + 1))


def seasonal(past: Array, horizon: int, season: int) -> Array:
    """The last season."""
    return np.asarray(past[-season:][np.arange(horizon) % season]) if len(past) >= season else naive(past, horizon)


def simple(point: Point) -> Method:
    """A method from a point forecast; its intervals are what it missed from origins before the test part."""

    def method(problem: Problem) -> Array:
        horizon, misses = problem.horizon, {}
        for s in range(len(problem.values)):
            values = problem.before(s)
            first = max(2 * problem.season, len(values) // 3)
            rows = np.unique(np.linspace(first, len(values) - horizon, 60).astype(int))
            rows = rows[rows >= 2]
            found = [values[r : r + horizon] - point(values[:r], horizon) for r in rows]
            misses[s] = np.quantile(found, LEVELS, axis=0).T if found else np.zeros((horizon, len(LEVELS)))
            misses[s][:, 2] = 0.0
        return np.stack([point(problem.past(s, r), horizon)[:, None] + misses[s] for s, r in problem.origins])

    return method


def statistical(model: Callable[[], Any]) -> Method:
    """A model of statsforecast, fitted once for each series and moved on to each origin."""

    def method(problem: Problem) -> Array:
        result, last = [], None
        for s, row in problem.origins:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if last is None or last[0] != s:
                    last = s, model().fit(problem.before(s))
                found = last[1].forward(problem.past(s, row), problem.horizon, level=[80, 95])
            names = ("lo-95", "lo-80", "mean", "hi-80", "hi-95")
            result.append(np.stack([found[name] for name in names], axis=-1))
        return np.stack(result).astype(float)

    return method


def windows(problem: Problem, lookback: int) -> tuple[Array, Array]:
    """Windows before the test part, in units of their own scale and from their last value on: (n, L) and (n, H)."""
    past, ahead = [], []
    most = max(20000 // len(problem.values), 200)
    for s in range(len(problem.values)):
        values = problem.before(s)
        rows = np.arange(lookback, len(values) - problem.horizon + 1)
        rows = rows[:: max(1, len(rows) // most)]
        past.append(values[rows[:, None] + np.arange(-lookback, 0)])
        ahead.append(values[rows[:, None] + np.arange(problem.horizon)])
    return np.concatenate(past), np.concatenate(ahead)


def normal(past: Array) -> tuple[Array, Array]:
    """Last value and mean absolute deviation of windows (n, L): (n, 1) each."""
    spread = np.abs(past - past.mean(1, keepdims=True)).mean(1, keepdims=True)
    return past[:, -1:], np.where(spread > 0, spread, 1.0)


def lookback_of(problem: Problem) -> int:
    """Two seasons, or two horizons, as far as there are rows."""
    shortest = min(len(problem.before(s)) for s in range(len(problem.values)))
    return int(max(2, min(max(2 * problem.season, 2 * problem.horizon), (shortest - problem.horizon) // 2)))


def learnt(fit: Callable[[Array, Array], Callable[[Array], Array]]) -> Method:
    """A method from a regression of windows; a last fifth of the windows tells the intervals."""

    def method(problem: Problem) -> Array:
        lookback = lookback_of(problem)
        past, ahead = windows(problem, lookback)
        last, spread = normal(past)
        x, y = (past - last) / spread, (ahead - last) / spread
        order = np.arange(len(x)) % 5 == 4
        misses = np.quantile(y[order] - fit(x[~order], y[~order])(x[order]), LEVELS, axis=0).T  # (H, Q)
        misses[:, 2] = 0.0
        now = np.stack([problem.past(s, r)[-lookback:] for s, r in problem.origins])
        last, spread = normal(now)
        found = fit(x, y)((now - last) / spread)
        return np.asarray(last[..., None] + spread[..., None] * (found[..., None] + misses))

    return method


def ridge(x: Array, y: Array) -> Callable[[Array], Array]:
    """Linear in the window; leave-one-out chooses the penalty."""
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(alphas=np.logspace(-3, 4, 15)).fit(x, y)
    return lambda x: np.asarray(model.predict(x))


def boosted(x: Array, y: Array) -> Callable[[Array], Array]:
    """One gradient-boosted model of trees for all steps, the step being a feature."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    steps = np.arange(y.shape[1])

    def with_step(x: Array) -> Array:
        return np.concatenate([np.repeat(x, len(steps), axis=0), np.tile(steps, len(x))[:, None]], axis=1)

    few = slice(None, None, max(1, len(x) * len(steps) // 20000))
    model = HistGradientBoostingRegressor(loss="absolute_error", random_state=0).fit(with_step(x[few]), y[few].ravel())
    return lambda x: model.predict(with_step(x)).reshape(len(x), -1)


def simple_methods(problem: Problem) -> dict[str, Method]:
    """What the command prints beside itself."""
    found: dict[str, Method] = {"naive": simple(naive), "drift": simple(drift)}
    for each in problem.seasons:
        found[f"seasonal naive ({each})"] = simple(partial(seasonal, season=each))
    return {**found, "linear": learnt(ridge)}


def methods(problem: Problem) -> dict[str, Method]:
    """All that make sense for a set."""
    from statsforecast.models import MSTL, AutoARIMA, AutoETS, AutoTheta

    season, forecasts = problem.season, len(problem.values)
    found = {**simple_methods(problem), "boosted trees": learnt(boosted)}
    short = season if season <= 24 else 1
    if season > 24:
        found["MSTL"] = statistical(partial(MSTL, season))
    found["AutoETS"] = statistical(partial(AutoETS, short))
    found["AutoTheta"] = statistical(partial(AutoTheta, season))
    if short == season and forecasts * max(map(len, problem.values)) * season <= 15000:
        found["AutoARIMA"] = statistical(partial(AutoARIMA, season_length=season))
    return found
