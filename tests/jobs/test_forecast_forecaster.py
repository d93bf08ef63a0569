"""``Forecaster``: tables and plain values."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from statewise.jobs import Forecaster, InputError
from statewise.jobs.tasks.forecast.panel import BUNDLED


def quick(**arguments):
    return Forecaster(**{"ensemble": 1, "epochs": 2, "season": 12, "horizon": 6, **arguments})


@pytest.fixture(scope="module")
def airline():
    return pl.read_csv(BUNDLED)["Passengers"].to_numpy().astype(float)


@pytest.mark.slow
def test_importing_and_naming_it_import_no_torch():
    code = "import sys, statewise.jobs as j; print('torch' in sys.modules, j.Forecaster and 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_arguments_are_stored_as_they_are_and_cloned():
    quantiles = (0.2, 0.8)
    forecaster = Forecaster(quantiles=quantiles, horizon=3)
    assert forecaster.quantiles is quantiles
    copy = clone(forecaster.set_params(units=5))
    assert copy.get_params() == forecaster.get_params()
    assert not hasattr(copy, "model_")
    with pytest.raises(NotFittedError):
        copy.predict()


def test_values_alone(airline):
    forecaster = quick().fit(airline)
    forecast = forecaster.predict()
    assert forecast.shape == (6,)
    assert np.abs(forecast / airline[-12:-6] - 1).max() < 0.3
    quantiles = forecaster.predict_quantiles()
    assert quantiles.shape == (6, 3)
    np.testing.assert_array_equal(quantiles[:, 1], forecast)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert forecaster.history_[-1]["epoch"] == 2


def test_beyond_the_horizon_it_goes_on_from_its_own_forecasts(airline):
    forecaster = quick().fit(airline)
    far = forecaster.predict(h=20)
    assert far.shape == (20,)
    np.testing.assert_array_equal(far[:6], forecaster.predict())
    longer = quick(horizon=12).fit(airline).predict()
    np.testing.assert_allclose(far[:12], longer, rtol=0.05)
    np.testing.assert_array_equal(forecaster.predict(), far[:6])  # and forgets them again


@pytest.mark.parametrize("model", ["lstm", "segrnn", "seq2seq"])
def test_several_channels(airline, model):
    channels = np.stack([airline, airline[::-1]], axis=1)
    forecaster = quick(model=model, lookback=24).fit(channels)
    assert forecaster.predict().shape == (6, 2)
    assert forecaster.predict_quantiles(h=8).shape == (8, 2, 3)


def test_tables(tmp_path):
    forecaster = Forecaster(time="Month", target="Passengers", ensemble=1, epochs=2).fit(BUNDLED)
    ahead = forecaster.predict()
    assert ahead.columns == ["Month", "step", "forecast", "q0.1", "q0.9"]
    assert (len(ahead), ahead["Month"][0]) == (12, "1961-01")
    assert ahead.equals(forecaster.predict(BUNDLED))
    assert ahead.equals(forecaster.predict(pl.read_csv(BUNDLED)))
    earlier = forecaster.predict(pl.read_csv(BUNDLED).head(132))
    assert earlier["Month"][0] == "1960-01"
    with pytest.raises(InputError, match="a table was fitted"):
        forecaster.predict_quantiles()


@pytest.mark.parametrize("kind", ["values", "channels", "table"])
def test_a_saved_one_predicts_the_same(airline, kind, tmp_path):
    forecaster = quick(random_state=3)
    if kind == "table":
        forecaster.set_params(target="Passengers").fit(BUNDLED)
    else:
        forecaster.fit(airline if kind == "values" else np.stack([airline, 2 * airline], axis=1))
    path = tmp_path / "model.safetensors"
    forecaster.save(path)
    again = Forecaster.load(path)
    before, after = forecaster.predict(), again.predict()
    assert before.equals(after) if kind == "table" else np.array_equal(before, after)
    assert again.get_params()["units"] == 16
    assert clone(again).get_params() == again.get_params()


def test_x_and_y_are_for_the_other_class(airline):
    with pytest.raises(InputError, match=r"y: expected a table or values alone, got array.*; ForecastRegressor"):
        quick().fit(np.zeros((144, 2)), airline)
    with pytest.raises(InputError, match=r"nowhere.csv: no such file"):
        quick().fit("nowhere.csv")
