"""Values that are never below 0, and demand that comes now and then."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone

from statewise.jobs import Forecaster
from statewise.jobs.tasks.forecast import report
from statewise.jobs.tasks.forecast.ahead import forecast_ahead
from statewise.jobs.tasks.forecast.backtest import backtest
from statewise.jobs.tasks.forecast.baselines import SMOOTHING, intermittent, of_demand, smoothed_demand
from statewise.jobs.tasks.forecast.config import ForecastConfig
from statewise.jobs.tasks.forecast.panel import array_panel
from statewise.jobs.tasks.forecast.training import prepare
from statewise.jobs.training.problem import Trainer


def demand(rows, seed, often=0.3):
    random = np.random.default_rng(seed)
    return np.where(random.random(rows) < often, random.poisson(3.0, rows), 0).astype(float)


def trained(values, **options):
    quick = {"model": "seq2seq", "units": 2, "epochs": 1, "windows": 64}
    made = prepare(array_panel(np.zeros((len(values), 0)), values, "refuse"), ForecastConfig(**quick | options))
    return made, made.train(Trainer())


def test_demand_is_smoothed_as_croston_and_teunter_have_it():
    values = np.array([0.0, 4.0, 0.0, 0.0, 2.0, np.nan, 0.0])
    found = smoothed_demand(values)
    size = 4 + SMOOTHING * (2 - 4)
    interval = 2 + SMOOTHING * (3 - 2)
    chance = 0.5 * (1 - SMOOTHING) ** 2
    chance += SMOOTHING * (1 - chance)
    np.testing.assert_allclose(found[:, 0], [0, 1, 0])
    np.testing.assert_allclose(found[:, 2], [4, 2, 0.5])
    np.testing.assert_allclose(found[:, 5], [size, interval, chance])
    np.testing.assert_allclose(found[:, 7], [size, interval, chance * (1 - SMOOTHING)])
    rows, of = np.array([5, 7]), np.zeros(2, dtype=int)
    every = of_demand([values], rows, of)
    np.testing.assert_allclose(every["Croston"], size / interval)
    np.testing.assert_allclose(every["SBA"], 0.95 * size / interval)
    np.testing.assert_allclose(every["TSB"], size * np.array([chance, chance * (1 - SMOOTHING)]))
    assert every["zero"].tolist() == [0.0, 0.0]
    assert every["median"].tolist() == [0.0, 0.0]


def test_on_steady_demand_all_of_them_find_its_mean():
    values = demand(4000, 0)
    found = of_demand([values], np.arange(2000, 4000), np.zeros(2000, dtype=int))
    assert found["SBA"].mean() == pytest.approx(0.9, rel=0.06)
    assert found["TSB"].mean() == pytest.approx(0.9, rel=0.06)
    assert found["Croston"].mean() > found["SBA"].mean()


def test_what_comes_now_and_then():
    assert intermittent([demand(100, 0), demand(100, 1)])
    assert not intermittent([demand(100, 0) - 1])
    assert not intermittent([np.random.default_rng(0).poisson(4.0, 100).astype(float)])
    assert not intermittent([np.full(3, np.nan)])


def test_they_are_printed_where_demand_comes_now_and_then_and_nothing_is_below_zero():
    made, model = trained(demand(300, 0), horizon=4, season=1)
    tested = backtest(model, made)
    names = [score.name for score in tested.scores]
    assert names[-5:] == ["zero", "median", "Croston", "SBA", "TSB"]
    assert model.positive
    assert tested.quantiles.min() == 0
    assert forecast_ahead(tested.model, tested.model.tails).quantiles.min() == 0
    assert "never below 0" in dict(report.choices(model))["scale"]


def test_intervals_of_any_level_are_not_below_zero_unless_a_value_was():
    values = demand(120, 1)
    quick = {"model": "seq2seq", "units": 2, "epochs": 1, "windows": 64}
    forecaster = Forecaster(horizon=4, season=1, quantiles=(0.03, 0.97), **quick).fit(values)
    beyond = forecast_ahead(forecaster.model_, forecaster.model_.tails, rows=12)
    assert beyond.quantiles.min() == 0  # of paths
    assert forecaster.predict_quantiles(level=[99, 99.9], h=9).min() == 0
    table = pl.DataFrame({"ds": np.arange(120), "y": values})
    found = clone(forecaster).cross_validation(table, n_windows=3, level=[99])
    assert found["statewise-lo-99"].min() == 0
    lower = forecaster.predict_quantiles(np.append(values, -4.0), level=[99])
    assert lower.min() < 0


def test_a_series_that_falls_below_zero_may_from_then_on_be_forecast_there():
    values = 3 + np.random.default_rng(0).standard_normal(300).clip(-2.5, 2.5)
    values[260:] -= 8
    made, model = trained(values, horizon=4, season=1)
    tested = backtest(model, made)
    lowest = tested.quantiles.min((1, 2))
    assert model.positive
    assert lowest[tested.rows <= 260].min() >= 0
    assert lowest[tested.rows == 261] < 0
    assert not backtest(*reversed(trained(values - 3, horizon=4, season=1))).model.positive


def test_nothing_counts_most_where_most_rows_are_zeros():
    _, model = trained(demand(400, 0, often=0.2), horizon=4, season=1)
    weights = {str(name): weight for name, weight in model.linear.members.items()}
    assert max(weights, key=weights.get) == "zero (always)"
    _, model = trained(demand(400, 0, often=0.9), horizon=4, season=1)
    assert "zero (always)" not in {str(name) for name in model.linear.members}


@pytest.mark.parametrize(
    ("values", "distribution"), [(demand(400, 0), "negative-binomial"), (demand(400, 0) / 3, "tweedie")]
)
def test_demand_has_its_distribution_by_default(values, distribution):
    panel = array_panel(np.zeros((400, 0)), values, "refuse")
    plan = prepare(panel, ForecastConfig(horizon=4)).plan
    assert (plan.model, plan.distribution, plan.log) == ("seq2seq", distribution, False)
    assert prepare(panel, ForecastConfig(horizon=4, distribution="quantiles")).plan.model == "lstm"
    assert prepare(panel, ForecastConfig(horizon=4, model="gru")).plan.distribution is None
    steady = array_panel(np.zeros((400, 0)), values + 1, "refuse")
    assert prepare(steady, ForecastConfig(horizon=4)).plan.distribution is None


def test_what_demand_has_taught_can_be_taught_more():
    forecaster = Forecaster(horizon=4, season=1, units=4, epochs=1, windows=64).fit(demand(300, 0))
    assert forecaster.model_.plan.distribution == "negative-binomial"
    more = forecaster.partial_fit(demand(300, 1)).model_
    assert more.plan.distribution == "negative-binomial"
    assert np.isfinite(forecast_ahead(more, more.tails).quantiles).all()
