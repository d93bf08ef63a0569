"""``Forecaster``: scikit-learn's conventions, and the two ways to use it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from statewise.jobs import Forecaster, InputError
from statewise.jobs.tasks.forecast.panel import BUNDLED


def quick(**arguments):
    return Forecaster(**{"ensemble": 1, "epochs": 2, "season": 12, "horizon": 6, **arguments})


@pytest.fixture(scope="module")
def airline():
    return pl.read_csv(BUNDLED)["Passengers"].to_numpy().astype(float)


@pytest.mark.slow
def test_importing_it_imports_torch_only_when_it_is_named():
    code = "import sys, statewise.jobs as j; print('torch' in sys.modules, j.Forecaster and 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


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
    far = forecaster.predict(np.zeros((20, 0)))
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
    assert forecaster.predict_quantiles(np.zeros((8, 0))).shape == (8, 2, 3)


def test_cross_validation_continues_each_fold(airline):
    X = np.zeros((144, 0))
    folds = TimeSeriesSplit(3)
    found = cross_val_score(quick(), X, airline, cv=folds)
    expected = []
    for train, test in folds.split(X):
        forecaster = quick().fit(X[train], airline[train])
        expected.append(r2_score(airline[test], forecaster.predict(X[test])))
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(found).all()
    assert found[-1] > 0


def test_covariates_in_a_pipeline_and_a_grid():
    random = np.random.default_rng(0)
    X = (random.random((300, 1)) < 0.3) * 1000.0
    y = 5 + X[:, 0] / 500 + 0.1 * random.standard_normal(300)
    pipeline = make_pipeline(StandardScaler(), Forecaster(model="lstm", horizon=10, season=1, ensemble=1, epochs=60))
    assert cross_val_score(pipeline, X, y, cv=TimeSeriesSplit(2)).min() > 0.7
    search = GridSearchCV(quick(), {"units": [2, 4]}, cv=TimeSeriesSplit(2)).fit(X, y)
    assert search.best_params_["units"] in (2, 4)


def test_tables(tmp_path):
    forecaster = Forecaster(time="Month", target="Passengers", ensemble=1, epochs=2).fit(BUNDLED)
    ahead = forecaster.predict()
    assert ahead.columns == ["series", "time", "step", "forecast", "q0.1", "q0.9"]
    assert (len(ahead), ahead["time"][0]) == (12, "1961-01")
    assert ahead.equals(forecaster.predict(BUNDLED))
    assert ahead.equals(forecaster.predict(pl.read_csv(BUNDLED)))
    earlier = forecaster.predict(pl.read_csv(BUNDLED).head(132))
    assert earlier["time"][0] == "1960-01"
    with pytest.raises(InputError, match="a table was fitted"):
        forecaster.predict_quantiles()


@pytest.mark.parametrize("kind", ["values", "channels", "covariates", "table"])
def test_a_saved_one_predicts_the_same(airline, kind, tmp_path):
    X = np.arange(144.0)[:, None] % 5
    forecaster = quick(random_state=3)
    if kind == "table":
        forecaster.set_params(target="Passengers").fit(BUNDLED)
    elif kind == "covariates":
        forecaster.fit(X, airline)
    else:
        forecaster.fit(airline if kind == "values" else np.stack([airline, 2 * airline], axis=1))
    path = tmp_path / "model.safetensors"
    forecaster.save(path)
    again = Forecaster.load(path)
    told = (X[:6],) if kind == "covariates" else ()
    before, after = forecaster.predict(*told), again.predict(*told)
    assert before.equals(after) if kind == "table" else np.array_equal(before, after)
    assert again.get_params()["units"] == 16
    assert clone(again).get_params() == again.get_params()


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (np.zeros((144, 0)), np.zeros(143), "as many rows of X as of y, got 144 and 143"),
        (np.zeros((144, 2)), np.full(144, np.nan), "y, row 0: expected a finite number, got nan"),
        (np.full((144, 1), np.inf), np.arange(144.0), "X: expected finite numbers, column x0 has inf"),
        (np.full((144, 1), "a", dtype=object), np.arange(144.0), "X: expected numbers of the shape"),
        (np.zeros((2, 2, 2)), None, "y: expected numbers of the shape"),
        (np.arange(10.0), None, "has 10 rows, at least 20 are needed"),
        (np.ones(60), None, "never changes before the test part"),
        ("nowhere.csv", None, "nowhere.csv: no such file"),
    ],
)
def test_what_cannot_be_fitted(X, y, said):
    with pytest.raises(InputError, match=said):
        quick().fit(X, y)


def test_what_cannot_be_predicted(airline):
    forecaster = quick().fit(np.zeros((144, 2)), airline)
    with pytest.raises(InputError, match="expected X, the 2 covariates of the rows to forecast, got nothing"):
        forecaster.predict()
    with pytest.raises(InputError, match="expected X with 2 columns as in fit, got 3"):
        forecaster.predict(np.zeros((6, 3)))
