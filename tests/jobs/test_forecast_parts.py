"""The parts of the forecasting job: what they choose and compute, on series whose answer is known."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
import torch

from statewise.jobs import InputError
from statewise.jobs.tasks.forecast.backtest import Truth, lost_to, score
from statewise.jobs.tasks.forecast.baselines import drift, fit_linear, persistence, seasonal_naive
from statewise.jobs.tasks.forecast.config import Columns, ForecastConfig, decided
from statewise.jobs.tasks.forecast.dataset import (
    Column,
    EncodedSeries,
    Encoding,
    Scaling,
    find_encoding,
    grows_with_level,
    make_dataset,
    standardise,
)
from statewise.jobs.tasks.forecast.intervals import shifts
from statewise.jobs.tasks.forecast.networks import SegRNN
from statewise.jobs.tasks.forecast.panel import read_panel
from statewise.jobs.tasks.forecast.recursive import FAR, StepInputs, Steps
from statewise.jobs.tasks.forecast.season import (
    Differences,
    autocorrelation,
    choose_differences,
    choose_lags,
    common_season,
    find_season,
    nested_seasons,
    partial_autocorrelation,
    seasonal_error,
)
from statewise.jobs.tasks.forecast.split import origins, split_rows


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def waves(n, season, seed=0):
    return 10 * np.sin(2 * np.pi * np.arange(n) / season) + noise(n, seed)


def encoded(values, name="a"):
    values = np.asarray(values, dtype=float)
    return EncodedSeries(name, 0, values, np.zeros((len(values), 0)), np.zeros((len(values), 0)))


def plain(series):
    """A scaling that changes nothing."""
    return Scaling(False, np.zeros(series), np.zeros(series), np.ones(series))


def dataset_of(*values, before=5, after=3, cycles=()):
    series = [encoded(v, f"s{i}") for i, v in enumerate(values)]
    return make_dataset(series, plain(len(values)), cycles, before, after)


# Season, differences, lags.


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


def test_season_is_found_with_and_without_a_calendar_and_with_gaps():
    assert find_season(waves(120, 12), (12,))[0] == 12
    assert find_season(waves(120, 12), None)[0] == 12
    assert find_season(waves(400, 7), (7, 365))[0] == 7
    gaps = waves(400, 7)
    gaps[50:55] = np.nan
    assert find_season(gaps, None)[0] == 7


def test_no_season_in_noise_in_a_random_walk_or_in_too_few_rows():
    assert find_season(np.cumsum(noise(200)), (12,))[0] == 1
    assert find_season(noise(200), (12,))[0] == 1
    assert find_season(waves(23, 12), (12,))[0] == 1  # two whole periods don't fit
    assert find_season(np.arange(4.0), None)[0] == 1


def test_the_season_of_many_series_is_that_of_most():
    assert common_season([waves(120, 12), waves(120, 12, 1), noise(120)], None) == 12
    assert common_season([noise(120), noise(120, 1), waves(120, 12)], (12,)) == 1
    faint = [waves(120, 12) + 5 * noise(120, seed) for seed in range(40)]
    assert sum(find_season(each, (12,))[0] == 12 for each in faint) < 10  # noise hides it in each
    assert common_season(faint, (12,)) == 12
    assert common_season([noise(120, seed) for seed in range(40)], (12,)) == 1


def test_a_day_and_a_week_are_found_without_a_calendar():
    t = np.arange(24 * 7 * 8)
    day, week = np.sin(2 * np.pi * t / 24), 0.8 * np.sign(np.sin(2 * np.pi * t / 168) - 0.4)
    both = [10 * day + 8 * week + 0.3 * noise(len(t), seed) for seed in range(3)]
    season = common_season(both, None)
    assert {season, *nested_seasons(both, season)} == {24, 168}
    assert nested_seasons([waves(480, 12)], 12) == []
    assert nested_seasons([noise(300)], 1) == []


def test_differences_of_the_airline_series():
    train = read_panel().series[0].values[:101]
    assert grows_with_level([train], 12)
    scaled = standardise([train], log=True).forward(train, 0)
    assert str(choose_differences([scaled], 12)) == "differences at lag 1 and 12"


def test_differences_are_taken_only_where_they_help():
    def chosen(values, season):
        return str(choose_differences([standardise([values], log=False).forward(values, 0)], season))

    assert chosen(noise(200), 1) == "no differences"
    assert chosen(np.cumsum(noise(200)), 1) == "differences at lag 1"
    assert chosen(waves(200, 12), 12) == "differences at lag 12"


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("seasonal", [False, True])
def test_what_is_missed_looks_only_back_and_adds_up(first, seasonal):
    levels = waves(60, 12)
    differences = Differences(first, seasonal, 12)
    missed, filled = differences.missed(levels)
    np.testing.assert_array_equal(filled, levels)
    assert np.isnan(missed[: differences.start]).all()
    for t in range(differences.start, 60):
        naive = differences.naive(levels[None, :t])[0] if t else 0.0
        assert naive + missed[t] == pytest.approx(levels[t])
        np.testing.assert_array_equal(differences.missed(levels[: t + 1])[0][-1], missed[t])


def test_a_gap_is_filled_by_the_naive_forecast_and_misses_nothing():
    levels = np.array([1.0, 2.0, np.nan, 4.0, np.nan, np.nan])
    missed, filled = Differences(True, False, 1).missed(levels)
    np.testing.assert_array_equal(filled, [1, 2, 2, 4, 4, 4])
    np.testing.assert_array_equal(missed, [np.nan, 1, 0, 2, 0, 0])


def test_lags_are_few_unless_the_series_asks_for_more():
    assert choose_lags([noise(90)], 12) == (1, 12, 24)
    assert choose_lags([noise(30)], 12) == (1,)
    values = noise(3000)
    for t in range(5, len(values)):
        values[t] += 0.6 * values[t - 5]
    assert choose_lags([values], 1) == (1, 2, 5)


# Scaling, the dataset, a recursive network's inputs.


@pytest.mark.parametrize("log", [False, True])
def test_scaling_comes_back(log):
    values = [50 + np.abs(waves(60, 12)), 7 + np.abs(noise(30))]
    scaling = standardise(values, log)
    for s, own in enumerate(values):
        np.testing.assert_allclose(scaling.backward(scaling.forward(own, s), s), own)
        assert scaling.forward(own, s).std() == pytest.approx(1.0)
    windows = np.stack([values[0][:5], values[1][:5]])
    of = np.array([0, 1])
    np.testing.assert_allclose(scaling.backward(scaling.forward(windows, of), of), windows)
    np.testing.assert_allclose(scaling.forward(windows, of)[1], scaling.forward(values[1][:5], 1))


def test_a_value_that_has_no_logarithm_is_taken_for_the_floor():
    scaling = standardise([np.array([4.0, 8.0, 16.0])], log=True)
    assert scaling.forward(np.array([-5.0, 0.0]), 0) == pytest.approx(scaling.forward(np.array([2.0, 2.0]), 0))


def test_the_dataset_keeps_series_apart():
    dataset = dataset_of([1.0, 2.0, np.nan, 4.0], [7.0, 8.0], before=2, after=3, cycles=(4,))
    assert dataset.scaled.shape == (4 + 2 + 2 * 5,)
    np.testing.assert_array_equal(dataset.begin, [2, 11])
    np.testing.assert_array_equal(dataset.end, [6, 13])
    np.testing.assert_array_equal(dataset.filled[:9], [1, 1, 1, 2, 2, 4, 4, 4, 4])
    np.testing.assert_array_equal(dataset.filled[9:], [7, 7, 7, 8, 8, 8, 8])
    np.testing.assert_array_equal(dataset.window(np.array([3]), 3), [[2, np.nan, 4]])
    np.testing.assert_allclose(dataset.calendar[dataset.begin], [[0, 1], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(dataset.calendar[dataset.begin + 1], [[1, 0], [1, 0]], atol=1e-12)


def test_inputs_hold_nothing_of_their_own_row():
    values, other = noise(40), noise(30, 1)
    differences = Differences(True, False, 1)

    def inputs(*series):
        dataset = dataset_of(*series, before=12, after=1)
        return dataset, Steps(dataset, StepInputs(differences, (1, 12), False), ())

    dataset, whole = inputs(values, other)
    at = dataset.begin[0]
    np.testing.assert_array_equal(whole.inputs[at + 2 : at + 41, 0], np.clip(np.diff(values), -FAR, FAR))
    np.testing.assert_array_equal(whole.inputs[at : at + 13, 1], 0.0)
    np.testing.assert_array_equal(
        whole.inputs[dataset.begin[1] : dataset.begin[1] + 2], 0.0
    )  # nothing of the series before
    for t in (5, 20, 39):
        _, cut = inputs(values[:t])
        np.testing.assert_array_equal(cut.inputs[at : at + t + 1], whole.inputs[at : at + t + 1])


def test_the_calendar_does_not_tell_what_seasonal_differences_took():
    dataset = dataset_of(waves(60, 12), cycles=(12, 24))
    for seasonal, told in ((True, 2), (False, 4)):
        inputs = StepInputs(Differences(True, seasonal, 12), (1,), False)
        assert Steps(dataset, inputs, (12, 24)).inputs.shape[1] == 1 + told


# Splits and settings.


def test_split_of_one_series():
    parts = split_rows([144], ["a"], 12, None)
    assert parts.counts == {"training": 65, "validation": 36, "test": 43}
    assert split_rows([17420], ["a"], 96, (8640, 2880, 2880)).counts["test"] == 2880
    assert split_rows([100], ["a"], 5, (0.5, 0.2, 0.3)).counts == {"training": 50, "validation": 20, "test": 30}
    assert split_rows([100], ["a"], 5, None, test=0).counts["test"] == 0


def test_origins_lie_inside_and_cover_the_part():
    rows, series = origins(np.array([10, 4]), np.array([15, 6]), 3)
    assert list(zip(rows.tolist(), series.tolist(), strict=True)) == [(10, 0), (11, 0), (12, 0)]
    rows, series = origins(np.array([0, 0]), np.array([9, 4]), 3, stride=3)
    assert list(zip(rows.tolist(), series.tolist(), strict=True)) == [(0, 0), (3, 0), (6, 0), (0, 1)]


@pytest.mark.parametrize(
    ("settings", "rows", "horizon", "observed", "model"),
    [
        (ForecastConfig(), 101, 12, False, "lstm"),
        (ForecastConfig(), 101, 12, True, "seq2seq"),
        (ForecastConfig(), 5000, 12, False, "seq2seq"),
        (ForecastConfig(), 5000, 96, False, "segrnn"),
        (ForecastConfig(model="gru"), 5000, 96, False, "gru"),
    ],
)
def test_the_model_follows_from_the_data(settings, rows, horizon, observed, model):
    data = {"season": 24, "cycles": (), "rows": rows, "learnt": rows, "channels": False, "log": False}
    plan = decided(settings, horizon=horizon, observed=observed, **data)
    assert plan.model == model
    assert plan.quantiles == (0.1, 0.5, 0.9)
    assert plan.model != "segrnn" or plan.lookback % plan.segment == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "transformer"}, "model: expected one of auto, lstm"),
        ({"horizon": 0}, "horizon: expected a whole number of at least 1, got 0"),
        ({"units": 2.5}, "units: expected a whole number"),
        ({"dropout": 1.0}, "dropout: expected a number of at least 0 and below 1, got 1.0"),
        ({"quantiles": (0.1, 1.0)}, "quantiles: expected numbers between 0 and 1"),
        (
            {"distribution": "poisson"},
            "distribution: expected one of quantiles, gaussian, student-t, negative-binomial, tweedie, got",
        ),
        ({"base": "mean"}, "base: expected one of auto, last, season"),
    ],
)
def test_settings_that_make_no_sense(change, said):
    with pytest.raises(InputError, match=said):
        ForecastConfig(**change)


# Covariates.


def test_covariates_are_standardised_by_the_training_rows_and_categories_are_columns():
    frame = pl.DataFrame({"y": [*noise(9), None], "n": [*[1.0, 3.0] * 4, 5.0, 7.0], "c": [*"ababababzz"]})
    panel = read_panel(frame, Columns(target=("y",), known=("n", "c")))
    encoding = find_encoding(panel, ("n", "c"), np.array([8]), ahead=True)
    found = encoding.encode("x", panel.series[0].cells, panel.series[0].labels, 10)
    np.testing.assert_allclose(found[:, 0], [*[-1, 1] * 4, 3, 5])
    np.testing.assert_array_equal(found[:, 1:], [*[[1, 0], [0, 1]] * 4, [0, 0], [0, 0]])  # z was never seen
    assert Encoding.from_json(json.loads(json.dumps(encoding.to_json()))) == encoding


def test_a_missing_covariate_is_flagged_or_refused():
    cells = np.array([1.0, np.nan])
    flagged = Column("n", None, mean=2.0, spread=1.0, flagged=True)
    np.testing.assert_array_equal(flagged.encode("x", cells, ["r1", "r2"]), [[-1, 0], [0, 1]])
    with pytest.raises(InputError, match="x: column 'n', row r2: expected a value; none was missing"):
        Column("n", None).encode("x", cells, ["r1", "r2"])
    with pytest.raises(InputError, match="column 'n': expected text, as in training"):
        Column("n", ("a",)).encode("x", cells, ["r1", "r2"])


# The SegRNN.


def test_segments_are_read_in_the_order_of_time_and_written_from_their_places():
    torch.manual_seed(0)
    told = ForecastConfig(model="segrnn", horizon=5, segment=3, units=4, layers=1, dropout=0.0, lookback=6)
    data = {"season": 1, "cycles": (), "rows": 99, "learnt": 99, "observed": False, "channels": True, "log": False}
    network = SegRNN(decided(told, horizon=5, **data), features=2, known=0, channels=3, size=2)
    torch.nn.init.normal_(network.head.weight)
    past, channel = torch.randn(2, 6, 2), torch.tensor([2, 0])
    expected = torch.zeros(2, 6, 2)
    for row in range(2):
        state = torch.zeros(1, 4)
        for begin in (0, 3):
            piece = network.project(past[row, begin : begin + 3].flatten())
            _, state = network.recurrent(piece.relu()[None], state)
        for place in range(2):
            question = torch.cat([network.position[place], network.channel[channel[row]]])
            output, _ = network.recurrent(question[None], state)
            expected[row, 3 * place : 3 * place + 3] = network.head(output[0]).view(3, 2)
    torch.testing.assert_close(network(past, torch.zeros(2, 5, 0), channel), expected[:, :5])


# Conformal shifts.


def test_shifted_intervals_cover_as_much_as_they_say():
    random = np.random.default_rng(0)
    levels, covered = (0.1, 0.5, 0.9), []
    for _ in range(400):
        real = random.standard_normal((40, 1))
        moved = shifts(np.zeros((39, 1, 3)), real[:39], levels)
        assert moved[0] == -moved[2]
        assert moved[1] == 0
        covered.append(abs(real[39, 0]) <= moved[2])
    assert 0.8 - 0.05 <= np.mean(covered) <= 0.83 + 0.05


@pytest.mark.parametrize(("count", "rank"), [(4, 4), (5, 5), (8, 8), (9, 8), (14, 12), (39, 32)])
def test_an_interval_reaches_to_the_miss_that_its_share_of_one_more_asks_for(count, rank):
    real = np.arange(1.0, count + 1)[::-1, None]  # the misses are 1 to ``count``; rank is 0.8 (count + 1), upwards
    assert shifts(np.zeros((count, 1, 3)), real, (0.1, 0.5, 0.9)).tolist() == [-rank, 0.0, rank]


def test_a_quantile_without_its_counterpart_moves_for_itself():
    real = np.arange(1.0, 100.0)[:, None]  # (99, 1)
    moved = shifts(np.zeros((99, 1, 2)), real, (0.5, 0.8))
    assert moved.tolist() == [0.0, 80.0]
    assert shifts(np.zeros((99, 1, 2)), real, (0.2, 0.5)).tolist() == [20.0, 0.0]
    real[0] = np.nan
    assert np.isfinite(shifts(np.zeros((99, 1, 2)), real, (0.5, 0.8))).all()


def test_intervals_that_are_too_wide_become_narrower():
    forecast = np.stack([np.full((50, 1), -9.0), np.zeros((50, 1)), np.full((50, 1), 9.0)], axis=-1)
    moved = shifts(forecast, noise(50)[:, None], (0.1, 0.5, 0.9))
    assert moved[2] < 0 < moved[0]


# Baselines and scores.


def test_baselines_repeat_what_was():
    dataset = dataset_of([1.0, 2.0, 3.0, 4.0, 9.0], after=3)
    at, of = dataset.begin[:1] + 4, np.array([0])
    assert persistence(dataset, at, 3).tolist() == [[4, 4, 4]]
    assert seasonal_naive(dataset, at, 3, 2).tolist() == [[3, 4, 3]]
    assert drift(dataset, at, of, 3).tolist() == [[5, 6, 7]]


def test_the_linear_model_finds_a_linear_rule_and_looks_only_back():
    values = np.zeros(300)
    values[:2] = 1.0, 2.0
    for t in range(2, 300):
        values[t] = 1.6 * values[t - 1] - 0.9 * values[t - 2] + 0.3
    dataset = dataset_of(values, before=4, after=2)
    rows = dataset.begin[0] + np.arange(4, 199)
    model = fit_linear(dataset, rows, rows[-20:], 4, 2)
    later = dataset.begin[0] + np.arange(200, 290)
    np.testing.assert_allclose(model.forecast(dataset, later), dataset.window(later, 2), atol=1e-3)
    changed = values.copy()
    changed[250:] = 1e6
    again = dataset_of(changed, before=4, after=2)
    early = later[later <= dataset.begin[0] + 250]
    np.testing.assert_array_equal(model.forecast(again, early), model.forecast(dataset, early))


def test_scores():
    truth = Truth(
        real=np.array([[1.0, 2.0], [3.0, np.nan]]),
        series=np.array([0, 1]),
        scale=np.array([2.0, 0.5]),
        spread=np.array([1.0, 2.0]),
        quantiles=(0.1, 0.5, 0.9),
    )
    middle = np.array([[2.0, 2.0], [5.0, 7.0]])
    found = score("a", truth, np.stack([middle - 1, middle, middle + 1], axis=-1))
    assert found.mae == pytest.approx(1.0)
    assert found.rmse == pytest.approx(np.sqrt(5 / 3))
    assert found.mase_by_series == (0.25, 4.0)
    assert found.mase == pytest.approx(2.125)
    assert found.mse_standardised == pytest.approx((1 + 0 + 1) / 3)
    assert found.smape == pytest.approx((200 / 3 + 0 + 400 / 8) / 3)
    assert found.coverage == pytest.approx(2 / 3)
    assert found.width == 2.0
    assert found.mae_by_step == (1.5, 0.0)
    # Above a quantile an error weighs its level, below it one less that, averaged over three levels and three values.
    losses = [0 + 0.5 + 0.1 * 2, 0.1 + 0 + 0.1, 0.9 + 1.0 + 0.3]
    assert found.pinball == pytest.approx(sum(losses) / 9)
    assert seasonal_error(np.array([1.0, 5.0, 2.0, 7.0]), 2) == 1.5
    assert seasonal_error(np.array([1.0, 5.0]), 2) == 0.0


def test_a_model_that_loses_is_told_so():
    truth = Truth(np.zeros((1, 3)), np.array([0]), np.ones(1), np.ones(1), (0.5,))
    good, bad = (score(name, truth, np.full((1, 3, 1), size)) for name, size in (("good", 1.0), ("bad", 2.0)))
    assert lost_to(good, [bad]) == []
    assert lost_to(bad, [good]) == ["good in RMSE (2 against 1)", "good in MAE (2 against 1)"]
