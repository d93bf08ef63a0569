"""Intervals that follow the values that come, and those that few windows give, on series of known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from statewise.jobs import Forecaster
from statewise.jobs.tasks.forecast import report
from statewise.jobs.tasks.forecast.ahead import forecast_ahead
from statewise.jobs.tasks.forecast.backtest import Held, backtest
from statewise.jobs.tasks.forecast.config import ForecastConfig
from statewise.jobs.tasks.forecast.following import MOST_STRETCH, RATE, follow, missed_share, stretched
from statewise.jobs.tasks.forecast.intervals import FAR, at_shares, reach_of, shifts
from statewise.jobs.tasks.forecast.model import Model
from statewise.jobs.tasks.forecast.newer import hear
from statewise.jobs.tasks.forecast.panel import array_panel
from statewise.jobs.tasks.forecast.training import prepare
from statewise.jobs.training.problem import Trainer

QUANTILES = (0.1, 0.5, 0.9)


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def plan(log=False, quantiles=QUANTILES):
    made = prepare(
        array_panel(np.zeros((200, 0)), 100 + noise(200), "refuse"), ForecastConfig(season=1, horizon=3), test_rows=0
    )
    return replace(made.plan, log=log, quantiles=quantiles)


def walk(kind, rows, seed):
    if kind == "walk":
        return 100 + np.cumsum(noise(rows, seed))
    if kind == "season":
        return 50 + 10 * np.sin(np.arange(rows) * np.pi / 6) + 2 * noise(rows, seed)
    if kind == "counts":
        return np.random.default_rng(seed).poisson(4.0, rows).astype(float)
    values = np.zeros(rows)
    for t, step in enumerate(noise(rows, seed)):
        values[t] = 0.8 * values[t - 1] + step
    return values


def trained(values, **options):
    split = options.pop("split", None)
    made = prepare(array_panel(np.zeros((len(values), 0)), values, "refuse"), ForecastConfig(**options), split=split)
    return made, made.train(Trainer())


def linear(values, **options):
    """A model whose networks are not trained for long: what is linear does the work."""
    return trained(values, model="seq2seq", units=2, epochs=1, windows=64, **options)


# Following


def windows_of(values, scale, horizon=1):
    """Forecasts of 0 from every row, whose 80 % interval is right for noise of the spread ``scale``."""
    rows = np.arange(len(values) - horizon + 1)
    ends = 1.2816 * scale * np.array([-1.0, 0.0, 1.0])
    return np.tile(ends, (len(rows), horizon, 1)), values[rows[:, None] + np.arange(horizon)], rows


@pytest.mark.parametrize("scale", [0.75, 1.0, 1.3])
def test_in_the_long_run_as_many_are_missed_as_should_be(scale):
    quantiles, real, rows = windows_of(noise(2000), scale)
    told = plan()
    at, last = follow(quantiles, real, rows, np.zeros(2000, dtype=int), np.zeros((1, 3)), told)
    found = stretched(quantiles, at, told)
    inside = (found[..., 0] <= real) & (real <= found[..., -1])
    assert inside.mean() == pytest.approx(0.8, abs=0.01)
    assert np.exp(last[0, 2]) == pytest.approx(1 / scale, rel=0.4)
    assert (found[..., 1] == 0).all()


def test_a_forecast_knows_what_came_before_it_and_nothing_else():
    told, horizon = plan(), 3
    values = noise(60)
    quantiles, real, rows = windows_of(values, 1.0, horizon)
    of, none = np.zeros(len(rows), dtype=int), np.zeros((1, 3))
    whole, _ = follow(quantiles, real, rows, of, none, told)
    changed = values.copy()
    changed[30:] = 1e6
    other, _ = follow(quantiles, windows_of(changed, 1.0, horizon)[1], rows, of, none, told)
    np.testing.assert_array_equal(whole[:31], other[:31])  # that from row 30 on has seen rows up to 29
    assert (other[31] > whole[31]).any()
    # By hand: row 0 was forecast once, row 1 twice; each counts a third.
    first = RATE / horizon * ((abs(values[0]) > 1.2816) - 0.2)
    second = sum(abs(values[1]) > 1.2816 * np.exp(one) for one in (0.0, first)) - 2 * 0.2
    np.testing.assert_allclose(whole[:3, 2], [0.0, first, first + RATE / horizon * second])


def test_each_series_and_each_interval_for_itself_and_gaps_say_nothing():
    told = plan(quantiles=(0.025, 0.1, 0.5, 0.9, 0.975))
    rows, of = np.tile(np.arange(400), 2), np.repeat([0, 1], 400)
    ends = np.tile(stats.norm.ppf(told.quantiles), (800, 1, 1))
    real = np.concatenate([0.5 * noise(400), np.full(400, np.nan)])[:, None]
    at, last = follow(ends, real, rows, of, np.zeros((2, 5)), told)
    assert not last[1].any()
    assert not at[400:].any()
    assert last[0, 0] == last[0, 4] < 0
    assert last[0, 1] == last[0, 3] < 0
    assert last[0, 2] == 0
    np.testing.assert_allclose(missed_share(told.quantiles), [0.05, 0.2, 0, 0.2, 0.05], atol=1e-12)
    np.testing.assert_allclose(missed_share((0.2, 0.5, 0.9)), [0.2, 0, 0.1], atol=1e-12)


def test_a_stretch_has_bounds_and_logarithms_are_stretched_as_such():
    told = plan(log=True)
    quantiles, real = np.tile([8.0, 10.0, 12.5], (300, 1, 1)), np.full((300, 1), 1000.0)
    at, last = follow(quantiles, real, np.arange(300), np.zeros(300, dtype=int), np.zeros((1, 3)), told)
    assert np.exp(last[0, 2]) == pytest.approx(MOST_STRETCH)
    np.testing.assert_allclose(stretched(quantiles, at, told)[-1, 0], [6.4, 10.0, 15.625])
    assert np.isfinite(
        follow(np.full((9, 1, 3), 1.0), np.ones((9, 1)), np.arange(9), np.zeros(9, int), at[:1], told)[1]
    ).all()


# Few windows


def test_few_windows_are_as_wide_as_students_t():
    real = noise(4)[:, None]
    spread = np.sqrt((real**2).mean())
    for count, freedom in ((1.0, 1.5), (2.0, 2.0), (9.9, 9.9)):
        moved = shifts(np.zeros((4, 1, 3)), real, QUANTILES, count)
        np.testing.assert_allclose(moved, spread * stats.t.ppf(0.9, freedom) * np.array([-1, 0, 1]))
        wide = np.array([-5.0, 0.0, 5.0]) + np.zeros((4, 1, 3))  # what a network says narrows to the same
        np.testing.assert_allclose(shifts(wide, real, QUANTILES, count) + wide[0, 0], moved)
    assert shifts(wide, np.full((4, 1), np.nan), QUANTILES, 2.0).tolist() == [0.0, 0.0, 0.0]


def test_four_windows_are_enough_for_intervals_that_hold_what_they_should():
    quantiles = (0.025, 0.1, 0.5, 0.9, 0.975)

    def held(real):  # (n, 5, H): four windows to learn from, one to come
        moved = np.array([shifts(np.zeros((*one[:4].shape, 5)), one[:4], quantiles, 4.0) for one in real])
        return [float((np.abs(real[:, 4]) <= moved[:, None, q]).mean()) for q in (3, 4)]

    steps = np.random.default_rng(0).standard_normal((600, 5, 8))
    assert held(steps[..., :1]) == pytest.approx([0.8, 0.95], abs=0.02)
    walks = held(np.cumsum(steps, axis=2) / np.sqrt(np.arange(1, 9)))  # whose steps say more than a window's one
    assert 0.8 < walks[0] < 0.86
    assert walks[1] > 0.95


def test_the_outer_interval_is_wider_than_the_inner_one_though_the_outermost_miss_is_in_both():
    real = np.array([-1.0, 1.0, 2.0, -2.0])[:, None]
    moved = shifts(np.zeros((4, 1, 5)), real, (0.025, 0.1, 0.5, 0.9, 0.975), 4.0)
    assert moved[4] >= moved[3] * stats.norm.ppf(0.975) / stats.norm.ppf(0.9) - 1e-9


@pytest.mark.parametrize("heavy", [False, True])
def test_what_lies_further_out_than_the_plan_is_as_far_as_it_was(heavy):
    random = np.random.default_rng(0)
    draw = random.standard_t(3, (20_000, 1)) if heavy else random.standard_normal((20_000, 1))
    told, found = plan(), np.zeros((20_000, 1, 3))
    reach = reach_of(found, draw, np.ones(20_000), told, 20_000.0)
    truth = stats.t(3) if heavy else stats.norm
    expected = [truth.ppf((1 + level) / 2) / truth.ppf(0.9) for level in FAR]
    np.testing.assert_allclose(reach, expected, rtol=0.1)
    ends = np.array([[[-1.0, 0.0, 1.0]]]) * truth.ppf(0.9)
    np.testing.assert_allclose(at_shares(ends, told, (0.025, 0.975), reach)[0, 0], truth.ppf([0.025, 0.975]), rtol=0.1)
    np.testing.assert_allclose(at_shares(ends, told, (0.1, 0.5))[0, 0], ends[0, 0, :2])
    assert at_shares(ends, told, (0.025, 0.1), reach, np.array([0.0])).min() == 0.0


# Whole models


@pytest.mark.parametrize("kind", ["walk", "autoregression", "season", "counts"])
def test_what_intervals_hold_on_series_of_known_truth(kind):
    shares = []
    for seed in range(2):
        made, model = linear(walk(kind, 900, seed), horizon=6, season=12 if kind == "season" else 1)
        shares.append([[each.share, each.without] for each in backtest(model, made).held])
    mean = np.mean(shares, axis=0)  # (80 and 95 %, following or not)
    assert 0.76 <= mean[0, 0] <= 0.86
    assert 0.91 <= mean[1, 0] <= 0.985


def test_a_variance_that_doubles_is_followed():
    values = np.concatenate([noise(700), 2 * noise(300, 1)])
    made, model = linear(values, horizon=4, season=1, split=(600, 100, 300))
    held = backtest(replace(model, lately=0.0), made).held[0]
    assert held.without < 0.65
    assert 0.72 < held.share < 0.85


@pytest.fixture(scope="module")
def short():
    return Forecaster(horizon=4, season=1, model="seq2seq", units=2, epochs=1, windows=64).fit(noise(600))


def test_a_program_is_told_by_newer_rows_and_a_file_keeps_what_it_was_told(short, tmp_path):
    model = short.model_
    whole = model.tails[0]
    newer = replace(whole, values=np.concatenate([whole.values, 5 * noise(50, 1)]))
    newer = replace(newer, known=np.zeros((len(newer.values), 0)), observed=np.zeros((len(newer.values), 0)))
    heard = hear(model, [newer])
    assert (heard.stretch[0, [0, 2]] > 0.2).all()
    before, after = (np.ptp(forecast_ahead(one, [newer]).quantiles) for one in (replace(model, tails=(newer,)), model))
    assert after > 1.2 * before
    assert hear(model, [whole]) is model
    assert hear(model, [replace(newer, name="another")]) is model
    heard.save(tmp_path / "model")
    np.testing.assert_array_equal(Model.load(tmp_path / "model").stretch, heard.stretch)
    np.testing.assert_array_equal(Model.load(tmp_path / "model").reach, model.reach)


def test_the_backtest_says_what_intervals_hold_with_and_without():
    made, model = linear(noise(300), horizon=4, season=1)
    tested = backtest(model, made)
    plain = replace(tested.model, stretch=None)
    first = plain.forecast(tested.problem.series, tested.rows[:1], tested.series[:1])
    np.testing.assert_allclose(tested.quantiles[:1], first)
    assert [round(each.level, 6) for each in tested.held] == [0.8, 0.95]
    assert tested.held[0].share == pytest.approx(tested.scores[0].coverage)
    assert tested.model.stretch.any()


def test_a_miss_is_told_only_where_it_is_none_of_chance():
    narrow, wide = Held(0.8, 0.6, 0.6), Held(0.95, 0.86, 0.9)
    assert report._off(narrow, 20.0) == ("Its 80 % intervals are too narrow: they hold 60.0 %.", False)
    assert report._off(wide, 20.0) == ("Its 95 % intervals are too narrow: they hold 86.0 %.", False)
    chance = report._off(narrow, 3.0)  # a standard error is 23 points
    assert chance == ("Its 80 % intervals hold 60.0 %, in too few windows to tell why.", True)
    assert report._off(replace(narrow, share=0.28), 3.0)[1] is False
    assert report._off(Held(0.8, 0.74, 0.7), 100.0) is None


def test_a_stream_is_as_wide_as_what_it_has_heard_calls_for(short):
    values = np.concatenate([noise(600), 3 * noise(40, 1)])
    whole = replace(
        short.model_.tails[0], first=0, values=values, known=np.zeros((640, 0)), observed=np.zeros((640, 0))
    )
    stream = short.stream()
    for value in values[600:]:
        stream.step(value)
    row_by_row, at_once = stream.forecaster.model_.stretch, hear(short.model_, [whole]).stretch
    assert row_by_row[0, 2] > 0.3
    np.testing.assert_allclose(row_by_row, at_once, atol=0.1)
    assert short.model_.stretch is None
    assert len(stream.state[0].values) == len(short.model_.tails[0].values)


def test_windows_of_a_cross_validation_follow_what_came_before_them():
    values = np.concatenate([noise(400), 3 * noise(80, 1)])
    forecaster = Forecaster(horizon=4, season=1, model="seq2seq", units=2, epochs=1, windows=64)
    frame = pl.DataFrame({"unique_id": "a", "ds": np.arange(480), "y": values})
    found = forecaster.cross_validation(frame, h=4, n_windows=20, level=80)
    low, high = (next(name for name in found.columns if side in name) for side in ("-lo-", "-hi-"))
    widths = (found[high] - found[low]).to_numpy().reshape(20, 4).mean(1)
    assert widths[-1] > 1.9 * widths[0]  # by what has moved of late alone it is 1.7 times
