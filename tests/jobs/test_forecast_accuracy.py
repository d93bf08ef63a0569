"""How good forecasts are on real series, and that nothing leaks from later rows into any of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from statewise.jobs.tasks.forecast.ahead import forecast_ahead
from statewise.jobs.tasks.forecast.backtest import backtest
from statewise.jobs.tasks.forecast.config import Columns, ForecastConfig
from statewise.jobs.tasks.forecast.panel import read_panel
from statewise.jobs.tasks.forecast.series import joined
from statewise.jobs.tasks.forecast.training import prepare
from statewise.jobs.training.problem import Trainer

SHARED = Path(__file__).parents[3] / "shared" / "data" / "forecast"


@pytest.fixture(scope="module")
def airline():
    return read_panel()


def trained(panel, settings, *, test_rows=None, split=None, gaps="refuse", **recipe):
    prepared = prepare(panel, replace(settings, gaps=gaps, **recipe), test_rows=test_rows, split=split)
    return prepared, prepared.train(Trainer())


def scores(panel, settings, *, stride=1, **how):
    prepared, model = trained(panel, settings, **how)
    tested = backtest(model, prepared, stride)
    return tested, {score.name.split(" (")[0]: score for score in tested.scores}


def with_values(panel, values):
    return replace(panel, series=(replace(panel.series[0], values=values),))


@pytest.mark.slow
def test_airline_reaches_the_bar(airline):
    tested, found = scores(airline, ForecastConfig())
    assert len(tested.rows) == 32
    assert found["combination"].mase <= 0.50
    assert found["seasonal naive"].mase == pytest.approx(1.196, abs=5e-4)
    assert found["combination"].rmse < 0.75 * found["linear"].rmse


def test_a_network_alone_reaches_its_bar(airline):
    _, found = scores(airline, ForecastConfig(combine=False))
    assert found["LSTM"].mase <= 0.68
    assert found["LSTM"].rmse < found["linear"].rmse
    assert 0.6 < found["LSTM"].coverage < 0.95


def test_networks_that_output_zero_give_the_classic_forecast(airline):
    prepared, model = trained(airline, ForecastConfig(ensemble=1, combine=False), epochs=1, learning_rate=1e-30)
    y, rows = airline.series[0].values, np.array([101, 120])
    found = model.forecast(prepared.series, rows, np.zeros(2, dtype=np.int64))[..., 1]
    for row, forecast in zip(rows, found, strict=True):  # y[t-12] * y[t-1] / y[t-13], its own forecasts fed back
        np.testing.assert_allclose(forecast, y[row - 12 : row] * y[row - 1] / y[row - 13], rtol=1e-6)


@pytest.mark.slow
def test_the_result_does_not_hang_on_the_seed(airline):
    for seed in (1000, 2000):
        _, found = scores(airline, ForecastConfig(combine=False), seed=seed)
        assert found["LSTM"].mase <= 0.70
        assert found["LSTM"].rmse < found["linear"].rmse


@pytest.mark.parametrize("model", ["rnn", "gru"])
def test_other_cells_reach_about_as_much(airline, model):
    _, found = scores(airline, ForecastConfig(model=model, ensemble=5, combine=False))
    assert found[model.upper()].mase <= 0.71


MODELS = [
    ForecastConfig(ensemble=1),
    ForecastConfig(model="seq2seq", horizon=12, lookback=24, units=8),
    ForecastConfig(model="segrnn", horizon=12, lookback=24, segment=6, units=8),
]


@pytest.mark.parametrize("settings", MODELS, ids=lambda s: s.model)
@pytest.mark.parametrize("last", [np.linspace(1.0, 2000.0, 10), np.full(10, 1e-7), np.full(10, 1e90)])
def test_the_last_ten_values_change_no_forecast_before_them(airline, settings, last):
    changed = airline.series[0].values.copy()
    changed[-10:] = last
    results = []
    for panel in (airline, with_values(airline, changed)):
        prepared, model = trained(panel, settings, epochs=1)
        results.append(backtest(model, prepared))
    before, after = results
    unseen = before.rows <= len(changed) - 10  # the forecast of the first changed row has not seen it either
    assert unseen.sum() == 144 - 10 - 101 + 1 - (2 if unseen.sum() < 34 else 0)
    np.testing.assert_array_equal(before.quantiles[unseen].view(np.int64), after.quantiles[unseen].view(np.int64))
    for ours, theirs in zip(before.scores[1:], after.scores[1:], strict=True):
        assert ours.name == theirs.name
    assert np.isfinite(after.quantiles).all()


@pytest.mark.parametrize("settings", MODELS, ids=lambda s: s.model)
def test_an_origin_is_forecast_alike_in_the_backtest_and_at_the_end_of_the_data(airline, settings):
    prepared, model = trained(airline, settings, epochs=1)
    whole = model.forecast(prepared.series, np.array([125]), np.zeros(1, dtype=np.int64))
    cut = [replace(prepared.series[0], values=prepared.series[0].values[:125])]
    cut = [replace(cut[0], known=np.zeros((125, 0)), observed=np.zeros((125, 0)))]
    np.testing.assert_allclose(forecast_ahead(model, cut).quantiles, whole, rtol=1e-6)
    np.testing.assert_allclose(forecast_ahead(model, [cut[0].tail(model.memory)]).quantiles, whole, rtol=1e-6)


@pytest.mark.parametrize("settings", MODELS, ids=lambda s: s.model)
def test_two_trainings_give_the_same_bits_and_leave_the_random_state_alone(airline, settings):
    before = torch.random.get_rng_state()
    first, second = (trained(airline, settings, epochs=2)[1] for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    for name, weights in first.learner.tensors().items():
        assert np.array_equal(weights, second.learner.tensors()[name])
    np.testing.assert_array_equal(first.shifts, second.shifts)


@pytest.mark.parametrize("model", ["lstm", "seq2seq", "segrnn"])
def test_a_covariate_known_ahead_is_made_use_of(model):
    import polars as pl

    random = np.random.default_rng(0)
    sale = (random.random(420) < 0.2).astype(float)
    frame = pl.DataFrame({"y": 10 + 5 * sale + 0.2 * random.standard_normal(420), "sale": sale})
    panel = read_panel(frame, Columns(target=("y",), known=("sale",)))
    settings = ForecastConfig(model=model, horizon=4, season=1, units=16, ensemble=1, lookback=8)
    _, found = scores(panel, settings, epochs=60 if model == "lstm" else 15, batch=16, learning_rate=0.01)
    assert found["combination"].rmse < 0.5 * found["linear"].rmse


@pytest.mark.parametrize("model", ["gru", "segrnn", "seq2seq"])
@pytest.mark.parametrize("share", [0.0, 0.2])
def test_missing_values_are_neither_learnt_nor_scored(model, share):
    import polars as pl

    values = 10 + 3 * np.sin(np.arange(240) * 2 * np.pi / 12) + 0.1 * np.random.default_rng(1).standard_normal(240)
    real = values.copy()
    gone = np.random.default_rng(2).random(240) < share
    gone[[0, -1]] = False
    values[gone] = np.nan
    panel = read_panel(pl.DataFrame({"y": values}), Columns(target=("y",)), gaps="mask")
    assert panel.missing == gone.sum()
    settings = ForecastConfig(model=model, horizon=6, season=12, ensemble=1, lookback=24, units=16)
    tested, found = scores(panel, settings, gaps="mask", epochs=20, batch=16)
    assert np.isnan(tested.real).any() == (share > 0)
    assert np.isfinite(tested.quantiles).all()
    truth = real[tested.rows[:, None] + np.arange(6)]  # also where it was taken away
    assert np.abs(tested.quantiles[..., 1] - truth).mean() < 0.6
    assert found["persistence"].mae > 1.5


@pytest.mark.parametrize(
    "values",
    [np.arange(60.0), np.tile([1.0, 5.0, 2.0], 20), 1e90 * np.sin(np.arange(60.0)), -np.exp(np.sin(np.arange(60.0)))],
    ids=["a line", "a perfect season", "huge", "negative"],
)
@pytest.mark.parametrize("model", ["lstm", "seq2seq", "segrnn"])
def test_odd_series_give_finite_forecasts(values, model):
    import polars as pl

    panel = read_panel(pl.DataFrame({"y": values}), Columns(target=("y",)))
    prepared, forecaster = trained(panel, ForecastConfig(model=model, horizon=3, ensemble=1), epochs=1)
    assert np.isfinite(backtest(forecaster, prepared).quantiles).all()
    assert np.isfinite(forecast_ahead(forecaster, forecaster.tails).quantiles).all()


@pytest.mark.slow
def test_m4_hourly_beats_the_seasonal_naive_forecast():
    files = [SHARED / f"m4-hourly-{part}.csv.gz" for part in ("train", "test")]
    if not files[0].exists():
        pytest.skip(f"{files[0]} is not here")
    panel, later = (read_panel(file, Columns(layout="rows")) for file in files)
    panel = joined(panel, later)
    settings = ForecastConfig(
        model="segrnn", combine=False, horizon=48, lookback=336, segment=24, season=24, windows=20_000
    )
    _, found = scores(panel, settings, test_rows=48, epochs=5)
    assert found["seasonal naive"].mase == pytest.approx(1.193, abs=5e-4)
    assert found["seasonal naive"].smape == pytest.approx(13.912, abs=5e-3)
    assert found["segrnn GRU"].mase <= 1.1


@pytest.mark.slow
def test_etth1_is_split_and_scored_as_in_the_papers():
    path = SHARED / "ETTh1.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    names = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    panel = read_panel(path, Columns(target=names))
    settings = ForecastConfig(
        model="segrnn", horizon=96, lookback=720, segment=48, season=24, dropout=0.5, base="last", calendar=False,
        units=64, windows=20_000, combine=False,
    )  # fmt: skip
    tested, found = scores(panel, settings, split=(8640, 2880, 2880), epochs=3, learning_rate=0.003)
    assert len(tested.rows) == 7 * 2785
    assert found["persistence"].mse_standardised == pytest.approx(1.294, abs=2e-3)
    assert found["linear"].mse_standardised < 0.38
    assert found["segrnn GRU"].mse_standardised < 0.5
