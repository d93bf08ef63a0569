"""The bar of the main job, and that nothing leaks from the test part into any forecast."""

from __future__ import annotations

import numpy as np
import pytest

from statewise.jobs.forecast import Settings, fit, read_series

SPLIT = 101


@pytest.fixture(scope="module")
def airline():
    return read_series()


def rmse(predicted, real):
    return float(np.sqrt(np.mean((predicted - real)[SPLIT:] ** 2)))


def test_airline_reaches_the_bar_and_the_network_helps(airline):
    forecaster = fit(airline.values[:SPLIT], cycles=airline.cycles)
    values = airline.values
    assert len(values) - SPLIT == 43
    reached = rmse(forecaster.predict(values)[:-1], values)
    zero = rmse(forecaster.predict_zero(values)[:-1], values)
    assert zero == pytest.approx(16.368, abs=1e-3)
    assert reached <= 15.5
    assert reached < zero


def test_the_zero_network_is_the_classic_forecast(airline):
    forecaster = fit(airline.values[:SPLIT], cycles=airline.cycles, settings=Settings(seeds=1, updates=1))
    y = airline.values
    classic = y[12:-1] * y[1:-12] / y[:-13]  # y[t-1] * y[t-12] / y[t-13] for t from 13 on
    np.testing.assert_allclose(forecaster.predict_zero(y)[13:-1], classic, rtol=1e-12)


def test_the_bar_does_not_hang_on_the_seed(airline):
    for seed in (1000, 2000):
        forecaster = fit(airline.values[:SPLIT], cycles=airline.cycles, settings=Settings(seed=seed))
        assert rmse(forecaster.predict(airline.values)[:-1], airline.values) <= 15.5


@pytest.mark.parametrize("last", [np.linspace(1.0, 2000.0, 10), np.full(10, -7.0), np.full(10, 1e90)])
def test_the_last_ten_values_change_no_forecast_before_them(airline, last):
    changed = airline.values.copy()
    changed[-10:] = last
    settings = Settings(seeds=2)
    before = fit(airline.values[:SPLIT], cycles=airline.cycles, settings=settings).predict(airline.values)
    after = fit(changed[:SPLIT], cycles=airline.cycles, settings=settings).predict(changed)
    rows = len(changed) - 10 + 1  # the forecast of the first changed row has not seen it either
    np.testing.assert_array_equal(before[:rows].view(np.int64), after[:rows].view(np.int64))
    assert np.isfinite(after[13:]).all()


def test_two_runs_give_the_same_bits(airline):
    first, second = (fit(airline.values[:SPLIT], settings=Settings(seeds=2)).predict(airline.values) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_fit_leaves_torch_random_state_alone(airline):
    import torch

    before = torch.random.get_rng_state()
    fit(airline.values[:SPLIT], settings=Settings(seeds=1, updates=2))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_other_cells_help_as_well(airline, cell):
    forecaster = fit(airline.values[:SPLIT], cycles=airline.cycles, settings=Settings(cell=cell, seeds=5))
    values = airline.values
    assert rmse(forecaster.predict(values)[:-1], values) < rmse(forecaster.predict_zero(values)[:-1], values)
