"""The parts of the forecasting job: what they choose, on series whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from statewise.jobs import InputError
from statewise.jobs.forecast import Settings, fit, read_series
from statewise.jobs.forecast.effort import LEAST, find_effort
from statewise.jobs.forecast.inputs import FAR, choose_lags, inputs, partial_autocorrelation
from statewise.jobs.forecast.scores import losses, mase_scale, score, shifted
from statewise.jobs.forecast.season import autocorrelation, find_season
from statewise.jobs.forecast.transform import Transform, choose_transform
from statewise.jobs.progress import Silent


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def waves(n, season, seed=0):
    return 10 * np.sin(2 * np.pi * np.arange(n) / season) + noise(n, seed)


def test_autocorrelation_is_what_it_says():
    values = noise(50)
    centred = values - values.mean()
    expected = [np.sum(centred[k:] * centred[: 50 - k]) / np.sum(centred**2) for k in range(6)]
    np.testing.assert_allclose(autocorrelation(values, 5), expected, atol=1e-12)


def test_partial_autocorrelation_of_an_autoregression_ends_at_its_order():
    values = noise(4000)
    for t in range(2, len(values)):
        values[t] += 0.5 * values[t - 1] - 0.4 * values[t - 2]
    partial = partial_autocorrelation(values, 6)
    assert partial[2] == pytest.approx(-0.4, abs=0.05)
    assert np.abs(partial[3:]).max() < 0.06


def test_season_is_found_with_and_without_a_calendar():
    assert find_season(waves(120, 12), (12,))[0] == 12
    assert find_season(waves(120, 12), None)[0] == 12
    assert find_season(waves(400, 7), (7, 365))[0] == 7


def test_no_season_in_noise_in_a_random_walk_or_in_too_few_rows():
    assert find_season(np.cumsum(noise(200)), (12,))[0] == 1
    assert find_season(noise(200), (12,))[0] == 1
    assert find_season(waves(23, 12), (12,))[0] == 1  # two whole periods don't fit
    assert find_season(np.arange(4.0), None)[0] == 1


def test_transform_of_the_airline_series():
    chosen = choose_transform(read_series().values[:101], 12)
    assert (chosen.log, chosen.difference, chosen.seasonal) == (True, True, True)
    assert str(chosen) == "logarithm, differences at lag 1 and 12"


def test_transform_takes_only_the_differences_that_help():
    assert str(choose_transform(noise(200), 1)) == "no logarithm, no differences"
    assert str(choose_transform(np.cumsum(noise(200)), 1)) == "no logarithm, differences at lag 1"
    assert str(choose_transform(waves(200, 12), 12)) == "no logarithm, differences at lag 12"


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("seasonal", [False, True])
def test_transform_comes_back_and_looks_only_back(log, difference, seasonal):
    values = 50 + np.abs(waves(60, 12))
    transform = Transform(log, difference, seasonal, 12, 3.0, 1.0)
    levels = transform.forward(values)
    np.testing.assert_allclose(transform.backward(levels), values)
    naive = transform.naive(levels)
    assert naive.shape == (61,)
    assert np.isnan(naive[: transform.start]).all()
    assert np.isfinite(naive[transform.start :]).all()
    for t in range(transform.start, 61):
        np.testing.assert_array_equal(transform.naive(levels[:t])[-1], naive[t])


def test_a_value_that_has_no_logarithm_is_taken_for_the_floor():
    transform = Transform(True, True, False, 1, 0.0, 2.0)
    np.testing.assert_array_equal(transform.forward(np.array([-5.0, 0.0, 4.0])), np.log([2.0, 2.0, 4.0]))


def test_inputs_hold_nothing_of_their_own_row():
    target = noise(40)
    whole = inputs(target, (1, 12), (12,), first=13)
    assert whole.shape == (41, 4)
    np.testing.assert_array_equal(whole[1:, 0], target)
    np.testing.assert_array_equal(whole[12:, 1], target[:29])
    np.testing.assert_array_equal(whole[:12, 1], 0.0)
    for t in range(41):
        np.testing.assert_array_equal(inputs(target[:t], (1, 12), (12,), first=13), whole[: t + 1])


def test_inputs_of_a_series_shorter_than_its_lags_and_of_an_outlier():
    np.testing.assert_array_equal(inputs(np.array([1e30]), (1, 5), (), first=0), [[0, 0], [FAR, 0]])


def test_lags_are_few_unless_the_series_asks_for_more():
    assert choose_lags(noise(90), 12) == (1, 12)
    values = noise(3000)
    for t in range(5, len(values)):
        values[t] += 0.6 * values[t - 5]
    assert choose_lags(values, 1) == (1, 5)


def test_a_short_series_gets_the_least_updates_without_a_search():
    import torch

    x, y = torch.zeros(90, 2), torch.zeros(90)
    found = find_effort(x, y, -torch.ones(2), Settings(), Silent())
    assert (found.updates, found.mirror) == (LEAST, True)
    asked = Settings(updates=7, mirror=False)
    assert find_effort(x, y, -torch.ones(2), asked, Silent()) == asked


def test_a_long_series_that_is_worth_it_gets_more_effort(monkeypatch):
    monkeypatch.setattr("statewise.jobs.forecast.effort.MOST", 4 * LEAST)
    values = np.full(600, 0.3)
    for t in range(1, len(values)):
        values[t] = 3.8 * values[t - 1] * (1 - values[t - 1])  # even about its middle: no mirrored network learns it
    forecaster = fit(values, settings=Settings(seeds=1))
    assert forecaster.settings.updates is not None
    assert forecaster.settings.updates > LEAST
    assert forecaster.settings.mirror is False
    missed = (forecaster.predict(values)[:-1] - values)[forecaster.transform.start :]
    assert np.sqrt(np.mean(missed**2)) < 0.3 * values.std()


def test_scores():
    real, predicted = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 5.0])
    got = score("a", real, predicted, 2.0)
    assert (got.mae, got.mase) == (1.0, 0.5)
    assert got.rmse == pytest.approx(np.sqrt(5 / 3))
    assert score("a", real, predicted, 0.0).mase is None
    assert mase_scale(np.array([1.0, 5.0, 2.0, 7.0]), 2) == 1.5
    np.testing.assert_array_equal(shifted(real, 1), [np.nan, 1.0, 2.0])


def test_a_model_that_loses_is_told_so():
    real = np.arange(3.0)
    good, bad = score("good", real, real + 1, 1.0), score("bad", real, real + 2, 1.0)
    assert losses(good, [bad]) == []
    assert losses(bad, [good]) == ["good in RMSE (2 against 1)", "good in MAE (2 against 1)"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [(np.ones(40), "never changes"), (np.arange(10.0), "at least 20"), (np.full(30, np.nan), "finite")],
)
def test_fit_refuses(values, reason):
    with pytest.raises(InputError, match=reason):
        fit(values)


def test_predict_refuses_a_series_shorter_than_it_looks_back():
    forecaster = fit(waves(60, 12) + 3 * np.arange(60), season=12, settings=Settings(seeds=1, updates=1))
    with pytest.raises(InputError, match="looks back"):
        forecaster.predict(np.ones(3))


@pytest.mark.parametrize(
    "values",
    [np.arange(40.0), np.tile([1.0, 5.0, 2.0], 20), 1e90 * noise(40), 1e-90 * (noise(40) + 9), -np.exp(noise(50))],
    ids=["a line", "a perfect season", "huge", "tiny", "negative"],
)
def test_odd_series_give_finite_forecasts(values):
    forecaster = fit(values, settings=Settings(seeds=1, updates=3))
    assert np.isfinite(forecaster.predict(values)[forecaster.transform.start :]).all()
