"""What is linear in the window: each member is what its definition says, and nothing of the rows to come is read."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from statewise.jobs import Forecaster, InputError
from statewise.jobs.tasks.forecast.ahead import forecast_ahead
from statewise.jobs.tasks.forecast.config import Columns, ForecastConfig
from statewise.jobs.tasks.forecast.dataset import EncodedSeries, past_values
from statewise.jobs.tasks.forecast.intervals import lately, shifts, usual_misses
from statewise.jobs.tasks.forecast.linear import ridge
from statewise.jobs.tasks.forecast.linear.decided import Decided
from statewise.jobs.tasks.forecast.linear.folds import folds, weigh
from statewise.jobs.tasks.forecast.linear.forecast import Linear
from statewise.jobs.tasks.forecast.linear.members import lags_of, repeating
from statewise.jobs.tasks.forecast.linear.ridge import NONE, PENALTIES, Growing, ridges, sums, windows
from statewise.jobs.tasks.forecast.linear.smoothing import holt_winters, smoothed, smoothing
from statewise.jobs.tasks.forecast.panel import read_panel
from statewise.jobs.tasks.forecast.training import prepare
from statewise.jobs.tasks.forecast.training.fitting import best_epochs
from statewise.jobs.tasks.forecast.training.worth import share_of
from statewise.jobs.training.problem import Trainer


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def encoded(values):
    values = np.asarray(values, dtype=float)
    return EncodedSeries("a", 0, values, np.zeros((len(values), 0)), np.zeros((len(values), 0)))


def by_hand(y, horizon, season, alpha, beta, damping, gamma):
    """Holt-Winters as in a textbook, begun on the means of the first two or three seasons."""
    turns = min(3, len(y) // season)
    means = [float(np.mean(y[k * season : (k + 1) * season])) for k in range(turns)]
    slope = (means[-1] - means[0]) / (season * (turns - 1))
    profile = []
    for place in range(season):
        off = [y[k * season + place] - means[k] - (place - (season - 1) / 2) * slope for k in range(turns)]
        profile.append(float(np.mean(off)))
    profile = [each - float(np.mean(profile)) for each in profile]
    trend = slope if damping > 0 else 0.0
    level = means[0] - (season - 1) / 2 * trend - trend
    for t, value in enumerate(y):
        before, seasonal = level + damping * trend, profile[t % season]
        level = alpha * (value - seasonal) + (1 - alpha) * before
        trend = damping * trend + alpha * beta * (value - seasonal - before)
        profile[t % season] = seasonal + gamma * (1 - alpha) * (value - seasonal - before)
    growth = np.cumsum([damping**h for h in range(1, horizon + 1)])
    return [level + growth[h] * trend + profile[(len(y) + h) % season] for h in range(horizon)]


@pytest.mark.parametrize("constants", [(0.3, 0.0, 0.0, 0.12), (0.5, 0.1, 0.98, 0.35), (0.02, 0.02, 1.0, 0.03)])
@pytest.mark.parametrize("rows", [11, 17, 40])
def test_exponential_smoothing_is_a_matrix(constants, rows):
    y = 5 + noise(rows).cumsum()
    found = y @ holt_winters(rows, 7, 5, np.array([constants]))[0]
    np.testing.assert_allclose(found, by_hand(y, 7, 5, *constants), rtol=1e-9)


def test_a_mean_of_smoothings_continues_a_season_that_repeats():
    wave = np.tile([1.0, 4.0, 2.0, 9.0], 12)
    x = np.lib.stride_tricks.sliding_window_view(wave, 16)
    y = np.stack([wave[16 + n : 22 + n] for n in range(8)])
    for theta, count in product((False, True), (8, 0)):  # without a window to choose by, all constants count alike
        matrix = smoothed(
            x[:count], y[:count], smoothing(16, 6, 4)["theta" if theta else "smoothing"], independent=count / 6
        )[0]
        np.testing.assert_allclose(wave[:16] @ matrix[:-1] + matrix[-1], wave[16:22], atol=0.1)


def test_the_last_seasons_come_again():
    wave = np.arange(6.0)
    for turns, expected in ((1, [4, 5, 4]), (3, [2, 3, 2])):
        matrix = repeating(2, turns, 3)[0]
        np.testing.assert_allclose(wave[6 - 2 * turns :] @ matrix[:-1] + matrix[-1], expected)


def test_a_ridge_finds_a_linear_rule_whatever_the_level():
    values = noise(400)
    for t in range(3, len(values)):
        values[t] = 0.5 * values[t - 1] + 0.3 * values[t - 3] + 0.2 * values[t - 2]
    x = np.lib.stride_tricks.sliding_window_view(values, 3)[5:305, ::-1]
    y = np.stack([values[8 + n : 10 + n] for n in range(300)])
    past = values[350 - 6 : 350] + 100
    for unit in (None, np.abs(x).sum(1, keepdims=True)):
        matrix = ridges(sums(x, y, np.array([1, 2, 3]), unit), np.array([1, 2, 3]), 6)[0]
        np.testing.assert_allclose(past @ matrix[:-1] + matrix[-1], values[350:352] + 100, atol=0.05)
        np.testing.assert_allclose(matrix[:-1].sum(0), 1.0)


def test_a_day_of_minutes_does_not_make_a_ridge_of_thousands_of_rows():
    found = lags_of([1440], 60, 1600, 9000)
    assert max(map(len, found.values())) <= 700
    assert 1440 in found["seasonal"]


def test_wild_windows_say_no_more_than_calm_ones_to_a_scaled_ridge():
    calm, wild = noise(200), 1000 * noise(60).cumsum()
    for t in range(2, 200):
        calm[t] = 1.98 * calm[t - 1] - 0.98 * calm[t - 2] + 0.1 * calm[t]
    rows, end, lags = np.arange(3, 200), np.array([200, 60]), np.array([1, 2, 3])
    known = Growing([calm, wild], lags, 1, [end]).until(end, [False, True])
    plain, scaled = (ridges(each, lags, 3)[0] for each in known)
    missed = [np.abs(calm[rows[:, None] - [3, 2, 1]] @ m[:-1] - calm[rows][:, None]).mean() for m in (plain, scaled)]
    assert missed[1] < missed[0] / 2


@pytest.mark.parametrize("thinned", [False, True])
def test_sums_go_on_from_an_earlier_end_as_if_all_windows_were_looked_at(thinned, monkeypatch):
    monkeypatch.setattr(ridge, "WINDOWS", 60 if thinned else 16_000)
    monkeypatch.setattr(ridge, "MOST_WINDOWS", 60)
    series, lags = [100 + noise(90, 1).cumsum(), 5 * noise(120, 2)], np.array([1, 2, 5])
    ends = [np.array([30, 40]), np.array([55, 80]), np.array([90, 100])]
    growing = Growing(series, lags, 4, ends)
    looked = []
    monkeypatch.setattr(ridge, "windows", lambda *told, **how: looked.append(windows(*told, **how)) or looked[-1])
    for end in (*ends, np.array([60, 80]), ends[1]):
        found = growing.until(end, [False, True])
        x, y = windows(series, end, lags, 4, stop=ends[-1])
        first, _ = windows(series, ends[0], lags, 4, stop=ends[-1])
        spread = [np.abs(each - each.mean(1, keepdims=True)).mean(1, keepdims=True) for each in (first, x)]
        units = (None, np.maximum(spread[1], 0.05 * np.median(spread[0])))
        for each, unit in zip(found, units, strict=True):
            for name, value in vars(sums(x, y, lags, unit)).items():
                np.testing.assert_allclose(getattr(each, name), value, rtol=1e-9, atol=1e-9)
    assert (found[0].count < 90) == thinned
    assert sum(len(x) for x, _ in looked[:3]) == growing.until(ends[-1], [False])[0].count  # each of them once


def test_logarithms_continue_growth_and_cannot_explode():
    matrices = np.zeros((2, 3, 2))
    matrices[:, 1] = [2.0, 3.0]  # twice, and three times, the last less once and twice the one before: a line
    matrices[:, 0] = [-1.0, -2.0]
    line = Linear(matrices, np.array([[1.0, 0.5]]))
    np.testing.assert_allclose(line.forecast(np.array([[9.0, 1.0, 2.0]]), line.unit), [[3.0, 4.0]])
    grows = replace(line, logs=1.0)
    np.testing.assert_allclose(grows.forecast(np.array([[1.0, 2.0]]), grows.unit), [[4.0, 8.0]])
    bounded = grows.forecast(
        np.array([[1.0, 2.0]]), grows.unit / 5
    )  # what it moved within the window, and a little more
    np.testing.assert_allclose(bounded, [[4.0, 4 * np.exp(0.1 * 2**0.5)]])
    assert np.isfinite(grows.forecast(np.array([[-3.0, 0.0]]), grows.unit)).all()


def test_nothing_is_decided_by_rows_to_come():
    values = 50 + 10 * np.sin(np.arange(150) * 2 * np.pi / 12) + noise(150)
    changed = values.copy()
    changed[100:] = 1e6
    end = np.array([100])
    first, second = (Decided([encoded(v)], end, 6, [12]) for v in (values, changed))
    assert first.weights == second.weights
    np.testing.assert_array_equal(first.linear(end).matrices, second.linear(end).matrices)
    assert sum(first.weights.values()) == pytest.approx(1.0)


def test_what_counts_is_fitted_alone_as_it_is_among_all():
    values, end = 50 + 10 * np.sin(np.arange(150) * 2 * np.pi / 12) + noise(150), np.array([150])
    decided = Decided([encoded(values)], end, 6, [12])
    every = decided.members(end)
    counting = {name: PENALTIES[[decided.penalty[name]]] for name in [*decided.weights][1::2]}
    alone = decided.members(end, lambda name: counting.get(name, NONE))
    assert set(alone) == set(counting)
    for name, matrices in alone.items():
        np.testing.assert_allclose(matrices, every[name][[decided.penalty[name]]], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(
    ("rows", "horizon", "season"), [(20, 4, 1), (51, 12, 12), (101, 12, 12), (999, 48, 24), (5000, 96, 24)]
)
def test_pieces_follow_one_another_and_leave_enough_before_them(rows, horizon, season):
    found = folds(np.array([rows, rows + 7]), horizon, season)
    assert found[0][1].tolist() == [rows, rows + 7]
    for (begin, end), after in zip(found, [None, *found], strict=False):
        assert (end - begin >= horizon).all()
        assert after is None or (end == after[0]).all()
    assert found[-1][0][0] >= min(2 * season, rows // 3)


def test_weights_follow_what_can_be_told():
    base = np.abs(noise(300)) + 0.1
    assert weigh(np.stack([base, base]), 30).tolist() == [0.5, 0.5]
    assert weigh(np.stack([base, base + 1.0]), 30)[1] < 1e-6
    one = weigh(np.array([[1.0], [1.05]]), 1)  # a single window
    assert 0.4 < one[1] < 0.5
    assert weigh(np.array([[1.0], [1.05]]), 1, np.array([1.0, 3.0]))[1] > 0.7


def test_a_single_window_far_off_does_not_save_what_misses_by_far():
    base = np.abs(noise(300)) + 0.1
    off = base + 5.0
    off[7] = 1e5
    assert weigh(np.stack([base, off]), 30)[1] < 1e-6


def test_a_short_series_is_smoothed_and_a_long_one_is_learnt_from():
    season = 50 + 10 * np.sin(np.arange(1200) * 2 * np.pi / 12) + noise(1200)
    for rows, smooth in ((50, True), (1200, False)):
        found = Decided([encoded(season[:rows])], np.array([rows]), 6, [12]).linear(np.array([rows])).members
        smoothed = sum(share for name, share in found.items() if "smoothing (12)" in name or "theta (12)" in name)
        assert (smoothed > 0.5) == smooth, found


def test_gaps_and_short_pasts_are_filled_with_what_was_there():
    series = encoded([1.0, np.nan, 3.0, 4.0])
    at, of = np.array([4, 2]), np.array([0, 0])  # the second has not seen the end of the gap
    np.testing.assert_array_equal(past_values([series], at, of, 5), [[1, 1, 2, 3, 4], [1, 1, 1, 1, 1]])
    both = past_values([encoded([7.0, np.nan, np.nan, np.nan]), series], np.array([3, 3]), np.array([0, 1]), 2)
    np.testing.assert_array_equal(both, [[7, 7], [2, 3]])
    np.testing.assert_array_equal(past_values([series], at, of, 3, gaps=True), [[np.nan, 3, 4], [np.nan, 1, np.nan]])


# Intervals


def test_what_moves_less_of_late_has_narrower_intervals():
    plan = prepare(read_panel(), ForecastConfig()).plan
    plan = replace(plan, log=False, season=1)
    calm = np.concatenate([5 * noise(200), 0.5 * noise(200, 1)])
    unit = np.array([np.abs(np.diff(calm)).mean()])
    early, late = lately([encoded(calm)], np.array([200, 400]), np.array([0, 0]), unit, plan)
    assert early > unit[0] > late > 0
    np.testing.assert_allclose(lately([encoded(calm)], np.array([1]), np.array([0]), unit, plan), unit)
    far = replace(plan, season=2**31 - 1)  # as a damaged model has it: no memory is taken for rows that aren't there
    np.testing.assert_allclose(lately([encoded(calm)], np.array([200]), np.array([0]), unit, far), unit)


def test_steps_lend_each_other_strength():
    missed = noise(4000).reshape(400, 10) * np.sqrt(np.arange(1, 11))
    np.testing.assert_allclose(usual_misses(missed), np.sqrt(np.arange(1, 11)), rtol=0.2)
    assert (usual_misses(np.zeros((3, 2))) > 0).all()


def test_few_windows_call_for_wider_intervals():
    real, forecast = noise(200)[:, None], np.zeros((200, 1, 3))
    few, many = (shifts(forecast, real, (0.1, 0.5, 0.9), count)[2] for count in (4.0, np.inf))
    assert few > 1.1 * many


# The network beside it


def test_a_network_that_adds_nothing_counts_for_nothing():
    y = 100 + np.cumsum(noise(300))
    model = Forecaster(horizon=4, season=1, ensemble=1, epochs=1).fit(y).model_
    assert model.share == 0.0
    assert model.label == "combination"
    alone = replace(model, share=1.0)
    assert not np.array_equal(
        forecast_ahead(alone, alone.tails).quantiles, forecast_ahead(model, model.tails).quantiles
    )


def test_networks_count_with_a_lead_and_where_few_are_short_for_half_at_most():
    real, one = np.zeros((200, 2)), np.abs(noise(400).reshape(200, 2)) + 0.1
    alike, better, far = one[::-1], 0.9 * one, 0.5 * one

    def found(other, independent, *, alone=True, short=False, series=1):
        return share_of((one, other), real, np.ones(200), independent, alone=alone, short=short, series=series)

    assert found(alike, 20.0) == 0.0
    assert found(far, 20.0) == 0.75
    assert found(far, 20.0, alone=False) > 0.99
    assert [found(far, 20.0, short=True, series=many) for many in (9, 10)] == [0.5, 0.75]
    other = -one  # as far off to the other side: neither is better, both together are
    assert [found(other, 20.0, short=True, series=many) for many in (9, 10)] == [0.0, 0.5]
    assert found(other, 20.0) == 0.5
    assert (found(better, 1.6), found(better, 1.6, short=True)) == (0.75, 0.0)  # a short one tells less


def test_what_networks_are_worth_is_told_by_all_series_alike_however_large_they_are(monkeypatch):
    from statewise.jobs.tasks.forecast.training import calibration

    growing = np.exp(0.02 * np.arange(80)) * (10 + np.sin(np.arange(80)) + 0.1 * noise(80))
    panel = read_panel(np.stack([growing, 1000 * growing], axis=1), Columns(target=("*",)))
    problem = prepare(panel, ForecastConfig(horizon=4, season=1, ensemble=1, epochs=1))
    assert problem.plan.log
    told = []

    def share(sides, real, unit, *_, **__):
        told.append(np.unique(unit))
        return 0.0

    monkeypatch.setattr(calibration, "share_of", share)
    problem.train(Trainer())
    small, large = told[0]
    assert large == pytest.approx(1000 * small)


@pytest.mark.parametrize("name", ["seq2seq", "segrnn"])
def test_one_that_counts_learns_once_more_on_all_rows(name):
    t = np.arange(1300)
    level = np.where((t // 65) % 2, 30.0, 10.0)  # whether it is high or low decides where it goes: no linear rule
    y = level + 5 * np.sin(np.arange(1300) * 2 * np.pi / 13) * (level > 20) + 0.1 * noise(1300)
    trainer = Trainer()
    problem = prepare(read_panel(y), ForecastConfig(model=name, horizon=6, season=13, units=16, epochs=6))
    model = problem.train(trainer)
    assert model.share > 0
    fits = list(dict.fromkeys(record["fit"] for record in trainer.history))
    assert fits == ["network 1", "again network 1"]
    last = [record for record in trainer.history if record["fit"] == "again network 1"]
    judged = [record for record in trainer.history if "validation" in record and record["fit"] == "network 1"]
    best = min(judged, key=lambda record: record["validation"]["loss"])["epoch"]
    assert (last[-1]["epoch"], "validation" in last[-1]) == (best, False)


@pytest.mark.parametrize("name", ["seq2seq", "segrnn"])
def test_untrained_direct_networks_are_the_linear_forecast(name):
    y = 20 + 5 * np.sin(np.arange(700) * 2 * np.pi / 24) + noise(700)
    forecaster = Forecaster(model=name, horizon=6, epochs=1, learning_rate=1e-30).fit(y)
    model = replace(forecaster.model_, share=1.0)
    found = forecast_ahead(model, model.tails).quantiles[0]
    past = past_values(model.tails, np.array([len(model.tails[0].values)]), np.array([0]), model.linear.lookback)
    np.testing.assert_allclose(found[:, 1], model.linear.forecast(past, model.linear.unit)[0], rtol=1e-5)
    assert (found[:, 0] < found[:, 1]).all()


@pytest.mark.parametrize("name", ["seq2seq", "segrnn"])
def test_of_two_untrained_networks_one_is_the_linear_forecast_and_one_the_last_value(name, tmp_path):
    y = 20 + 5 * np.sin(np.arange(700) * 2 * np.pi / 24) + noise(700)
    forecaster = Forecaster(model=name, base="both", horizon=6, epochs=1, learning_rate=1e-30).fit(y)
    forecaster.save(tmp_path / "model")
    for model in (forecaster.model_, Forecaster.load(tmp_path / "model").model_):
        model = replace(model, share=1.0)
        found = forecast_ahead(model, model.tails).quantiles[0]
        past = past_values(model.tails, np.array([len(model.tails[0].values)]), np.array([0]), model.linear.lookback)
        linear = model.linear.forecast(past, model.linear.unit)[0]
        np.testing.assert_allclose(found[:, 1], (linear + y[-1]) / 2, rtol=1e-5)


def test_each_of_two_networks_learns_all_rows_for_as_many_passes_as_were_best_for_it():
    def curve(name, *losses):
        return [{"fit": name, "epoch": n, "validation": {"loss": loss}} for n, loss in enumerate(losses, 1)]

    history = [*curve("another", 1.0), *curve("network 1", 3.0, 1.0, 2.0), {"fit": "network 2", "epoch": 1}]
    assert best_epochs([*history, *curve("network 2", 1.0, 2.0)], 2) == [2, 1]


def test_without_it_the_network_stands_alone(tmp_path):
    y = 100 + np.cumsum(noise(300))
    forecaster = Forecaster(horizon=4, season=1, ensemble=1, epochs=1, combine=False).fit(y)
    assert (forecaster.model_.linear, forecaster.model_.share) == (None, 1.0)
    forecaster.save(tmp_path / "model")
    np.testing.assert_array_equal(Forecaster.load(tmp_path / "model").predict(), forecaster.predict())


def test_a_new_series_is_forecast_by_the_moves_it_has_itself():
    import polars as pl

    def frame(name, scale):
        return pl.DataFrame({"id": [name] * 120, "y": scale * (20 + np.cumsum(noise(120)))})

    forecaster = Forecaster(id="id", target="y", horizon=3, ensemble=1, epochs=1).fit(frame("a", 1.0))
    small, large = (forecaster.predict(frame("new", scale))["forecast"].to_numpy() for scale in (1.0, 1000.0))
    np.testing.assert_allclose(large, 1000 * small, rtol=1e-6)


def test_a_model_without_what_its_networks_correct_is_refused(tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    y = 20 + noise(600)
    Forecaster(model="seq2seq", horizon=3, lookback=8, epochs=1).fit(y).save(tmp_path / "model")
    with safe_open(tmp_path / "model", "pt") as opened:
        header = opened.metadata()["statewise"]
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    start = header.index('"linear": {')
    end = header.index('"share"')
    save_file(tensors, tmp_path / "bad", metadata={"statewise": header[:start] + '"linear": null, ' + header[end:]})
    with pytest.raises(InputError, match="no linear forecast that the networks could correct"):
        Forecaster.load(tmp_path / "bad")


def test_pieces_of_a_short_series_train_networks_each():
    trainer = Trainer()
    problem = prepare(read_panel(), ForecastConfig(ensemble=1, epochs=1))
    problem.train(trainer)
    names = [record["fit"] for record in trainer.history]
    assert len(problem.folds) == 3
    expected = ["calibration network 1", "calibration 2 network 1", "calibration 3 network 1", "network 1"]
    assert list(dict.fromkeys(names)) == expected


@pytest.mark.parametrize("lags", [[1, 2, 3, 4, 5], [1], [2, 3], [1, 2, 5, 6, 9]])
@pytest.mark.parametrize("most", [None, 7, 1000])
def test_windows_hold_what_was_and_what_follows(lags, most):
    series, end = [100.0 * s + np.arange(30 + s) for s in range(3)], np.array([30, 25, 11])
    x, y = windows(series, end, np.array(lags), 4, most=most)
    first = [(s, row) for s, to in enumerate(end) for row in range(max(lags), to - 4 + 1)]
    chosen = first[:: max(1, len(first) // most)] if most else first
    np.testing.assert_array_equal(x, [[series[s][row - lag] for lag in lags] for s, row in chosen])
    np.testing.assert_array_equal(y, [series[s][row : row + 4] for s, row in chosen])


def test_no_windows_where_no_series_is_long_enough():
    x, y = windows([np.arange(9.0)], np.array([8]), np.array([1, 2, 5]), 4)
    assert (x.shape, y.shape) == ((0, 3), (0, 4))
