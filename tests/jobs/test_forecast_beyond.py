"""Forecasts further ahead than the horizon: their intervals grow as errors do, and a loaded model gives the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from statewise.jobs import Forecaster, ForecastRegressor
from statewise.jobs.errors import InputError

AHEAD = 18


def walk(rows, seed):
    return np.cumsum(np.random.default_rng(seed).normal(size=rows))


def fitted(horizon):
    forecaster = Forecaster(model="seq2seq", horizon=horizon, season=1, lookback=12, units=8, epochs=4, log=False)
    return forecaster.fit(walk(2000, seed=1))


@pytest.fixture(scope="module")
def short():
    return fitted(6)


def continuing(forecaster, past):
    """``forecaster`` as if it had seen ``past`` last."""
    tail = forecaster.model_.tails[0]
    other = Forecaster(**forecaster.get_params())
    other.__dict__.update(vars(forecaster))
    count = len(tail.values)
    other.model_ = replace(forecaster.model_, tails=(replace(tail, values=past[-count:]),))
    return other


def of_many_walks(forecaster, count=40):
    """Widths and hits of the 80 % interval at each of 18 steps: (count, 18) each."""
    widths, hits = [], []
    for seed in range(count):
        values = walk(100 + AHEAD, seed=100 + seed)
        quantiles = continuing(forecaster, values[:100]).predict_quantiles(h=AHEAD)
        widths.append(quantiles[:, -1] - quantiles[:, 0])
        hits.append((quantiles[:, 0] <= values[100:]) & (values[100:] <= quantiles[:, -1]))
    return np.array(widths), np.array(hits)


def test_on_a_random_walk_intervals_grow_as_those_of_a_model_that_reaches_so_far(short):
    widths, hits = of_many_walks(short)
    reaching, _ = of_many_walks(fitted(AHEAD), count=5)
    mean = widths.mean(0)
    np.testing.assert_allclose(mean, reaching.mean(0), rtol=0.25)
    ideal = 2 * 1.2816 * np.sqrt(np.arange(1, AHEAD + 1))  # what a walk of steps of spread 1 does in 80 % of all cases
    np.testing.assert_allclose(mean, ideal, rtol=0.25)
    assert 0.72 <= hits[:, 6:].mean() <= 0.92


def test_errors_die_away_where_the_model_lets_them():
    # White noise around 0, which the network's naive forecast is: what came last says nothing, so no step is harder to
    # tell than the first.
    noise = np.random.default_rng(0).normal(size=400)
    forecaster = Forecaster(model="lstm", horizon=6, season=1, ensemble=1, epochs=3).fit(noise)
    quantiles = forecaster.predict_quantiles(h=AHEAD)
    widths = quantiles[:, -1] - quantiles[:, 0]
    assert widths[6:].max() < 1.2 * widths[:6].mean()


def test_within_the_horizon_and_along_the_median_nothing_changes(short):
    far = short.predict_quantiles(h=AHEAD)
    np.testing.assert_array_equal(far[:6], short.predict_quantiles())
    np.testing.assert_array_equal(far[:, 1], short.predict(h=AHEAD))
    assert (np.diff(far, axis=1) >= 0).all()
    np.testing.assert_array_equal(far, short.predict_quantiles(h=AHEAD))  # drawn from the same seed


def test_a_file_keeps_what_paths_are_made_of(short, tmp_path):
    short.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    for h in (None, AHEAD):
        np.testing.assert_array_equal(loaded.predict_quantiles(h=h), short.predict_quantiles(h=h))


def test_channels_with_covariates_go_on_each_by_itself():
    random = np.random.default_rng(0)
    price = random.normal(size=(300, 1))
    y = np.stack([walk(300, 1) + price[:, 0], 5 * walk(300, 2)], axis=1)
    forecaster = ForecastRegressor(model="seq2seq", horizon=3, season=1, units=8, epochs=2).fit(price, y)
    quantiles = forecaster.predict_quantiles(np.zeros((8, 1)))
    assert quantiles.shape == (8, 2, 3)
    widths = quantiles[..., -1] - quantiles[..., 0]
    assert (widths[-1] > 1.2 * widths[2]).all()
    assert (widths[:, 1] > 2 * widths[:, 0]).all()


@pytest.mark.parametrize("target", [["y"], ["y0", "y1"]])
def test_a_loaded_model_of_a_table_stays_one_whatever_its_columns_are_called(target, tmp_path):
    frame = pl.DataFrame(
        {"shop": np.repeat(["a", "b"], 60), **{name: walk(120, seed) for seed, name in enumerate(target)}}
    )
    forecaster = Forecaster(id="shop", target=target, horizon=3, ensemble=1, epochs=1).fit(frame)
    forecaster.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.predict().equals(forecaster.predict())
    assert len(loaded.predict()) == 2 * len(target) * 3
    assert loaded.predict(frame).equals(forecaster.predict(frame))
    with pytest.raises(InputError, match="a table was fitted"):
        loaded.predict_quantiles()


def test_a_loaded_model_of_a_table_of_nothing_but_y_gives_tables(tmp_path):
    frame = pl.DataFrame({"y": walk(80, 1)})
    forecaster = Forecaster(horizon=3, ensemble=1, epochs=1).fit(frame)
    forecaster.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.predict().equals(forecaster.predict())
    assert loaded.predict(frame).equals(forecaster.predict(frame))
