"""``ForecastRegressor``: scikit-learn's conventions, for arrays."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from statewise.jobs import Forecaster, ForecastRegressor, InputError
from statewise.jobs.tasks.forecast.panel import BUNDLED


def quick(**arguments):
    return ForecastRegressor(**{"ensemble": 1, "epochs": 2, "season": 12, "horizon": 6, **arguments})


@pytest.fixture(scope="module")
def airline():
    return pl.read_csv(BUNDLED)["Passengers"].to_numpy().astype(float)


def test_as_many_rows_as_it_is_told_of(airline):
    regressor = quick().fit(airline)
    far = regressor.predict(np.zeros((20, 0)))
    assert far.shape == (20,)
    np.testing.assert_array_equal(far[:6], regressor.predict())
    np.testing.assert_array_equal(far, Forecaster(**quick().get_params()).fit(airline).predict(h=20))


def test_a_saved_one_predicts_the_same_and_only_this_class_reads_it(airline, tmp_path):
    X = np.arange(144.0)[:, None] % 5
    regressor = quick(random_state=3).fit(X, airline)
    path = tmp_path / "model.safetensors"
    regressor.save(path)
    again = ForecastRegressor.load(path)
    np.testing.assert_array_equal(again.predict(X[:6]), regressor.predict(X[:6]))
    assert clone(again).get_params() == again.get_params()
    with pytest.raises(InputError, match=r"has learnt arrays X and y; ForecastRegressor.load reads it"):
        Forecaster.load(path)
    Forecaster(ensemble=1, epochs=1).fit(BUNDLED).save(path)
    with pytest.raises(InputError, match=r"has learnt a table; Forecaster.load reads it"):
        ForecastRegressor.load(path)


def test_cross_validation_continues_each_fold(airline):
    X = np.zeros((144, 0))
    folds = TimeSeriesSplit(3)
    found = cross_val_score(quick(), X, airline, cv=folds)
    expected = []
    for train, test in folds.split(X):
        regressor = quick().fit(X[train], airline[train])
        expected.append(r2_score(airline[test], regressor.predict(X[test])))
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(found).all()
    assert found[-1] > 0


def test_covariates_in_a_pipeline_and_a_grid():
    random = np.random.default_rng(0)
    X = (random.random((300, 1)) < 0.3) * 1000.0
    y = 5 + X[:, 0] / 500 + 0.1 * random.standard_normal(300)
    pipeline = make_pipeline(
        StandardScaler(), ForecastRegressor(model="lstm", horizon=10, season=1, ensemble=1, epochs=60)
    )
    assert cross_val_score(pipeline, X, y, cv=TimeSeriesSplit(2)).min() > 0.7
    search = GridSearchCV(quick(), {"units": [2, 4]}, cv=TimeSeriesSplit(2)).fit(X, y)
    assert search.best_params_["units"] in (2, 4)


def test_what_cannot_be_predicted(airline):
    regressor = quick().fit(np.zeros((144, 2)), airline)
    with pytest.raises(InputError, match="expected X, the 2 covariates of the rows to forecast, got nothing"):
        regressor.predict()
    with pytest.raises(InputError, match="expected X with 2 columns as in fit, got 3"):
        regressor.predict(np.zeros((6, 3)))


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
    ],
)
def test_what_cannot_be_fitted(X, y, said):
    with pytest.raises(InputError, match=said):
        quick().fit(X, y)
