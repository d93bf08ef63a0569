"""Newer rows taken in, what is known ahead in a table of its own, and series as darts has them."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest

from statewise import cli
from statewise.jobs import Forecaster, InputError, Remark

ROWS, NEWER = 60, 6
QUICK = {"ensemble": 1, "epochs": 1, "horizon": 3}


def table(ids=("a", "b"), rows=ROWS):
    random = np.random.default_rng(0)
    price = np.round(random.uniform(1, 2, (len(ids), rows)), 2)
    noise = random.normal(size=(len(ids), rows))
    return pd.DataFrame(
        {
            "unique_id": np.repeat(ids, rows),
            "ds": np.tile(pd.date_range("2020-01-01", periods=rows, freq="D"), len(ids)),
            "y": (50 + 5 * np.sin(np.arange(rows) * 2 * np.pi / 7) - 8 * price + noise).ravel(),
            "price": price.ravel(),
        }
    )


def split(frame, rows):
    """The first ``rows`` of each series, and the others."""
    place = frame.groupby("unique_id").cumcount()
    return frame[place < rows], frame[place >= rows]


@pytest.fixture(scope="module")
def known():
    """Fitted on all but the last rows, whose prices are known."""
    return Forecaster(**QUICK, known=("price",)).fit(split(table(), ROWS - NEWER)[0])


@pytest.fixture(scope="module")
def plain():
    return Forecaster(**QUICK).fit(split(table().drop(columns="price"), ROWS - NEWER)[0])


def test_after_an_update_it_says_what_it_says_of_the_whole(plain):
    whole = table().drop(columns="price")
    expected = plain.predict(whole, level=[80])
    one, weights = deepcopy(plain), plain.model_.learner.tensors()
    for rows in (ROWS - 4, ROWS - 4, ROWS):  # a bit, nothing new, the rest
        newer = split(whole, rows)[0]
        assert one.update(newer[newer["ds"] > "2020-01-20"]) is one
    found = one.predict(level=[80])
    pd.testing.assert_frame_equal(found, expected)
    assert not np.allclose(found["statewise"], plain.predict()["statewise"])
    for name, weight in one.model_.learner.tensors().items():
        np.testing.assert_array_equal(weight, weights[name])


def test_an_update_of_one_series_leaves_the_others(plain):
    newer = split(table().drop(columns="price"), ROWS - NEWER)[1]
    found = deepcopy(plain).update(newer[newer["unique_id"] == "b"]).predict()
    before = plain.predict()
    assert found["ds"].tolist()[3:] == list(pd.date_range("2020-03-01", periods=3))
    pd.testing.assert_frame_equal(found.iloc[:3], before.iloc[:3])


def test_updates_that_cannot_be(plain):
    newer = split(table().drop(columns="price"), ROWS - NEWER)[1]
    with pytest.raises(InputError, match="series 'c' is new: predict takes new series, fit learns them"):
        deepcopy(plain).update(newer.replace({"b": "c"}))
    with pytest.raises(InputError, match="series 'a' begins 2 rows too late: expected the rows after the last one"):
        deepcopy(plain).update(newer[newer["ds"] > "2020-02-25"])


@pytest.mark.parametrize("shape", [(90,), (90, 2)])
def test_values_are_the_next_ones(shape):
    values = np.cumsum(np.random.default_rng(0).normal(size=shape), axis=0)
    one = Forecaster(**QUICK).fit(values[:80])
    expected = one.predict_quantiles(values, level=[90])
    np.testing.assert_allclose(one.update(values[80:85]).update(values[85:]).predict_quantiles(level=[90]), expected)
    with pytest.raises(InputError, match="update: expected values of the shape"):
        one.update(np.zeros((4, 3)))


def test_what_is_known_ahead_may_be_a_table_of_its_own(known):
    first, rest = split(table(), ROWS - NEWER)
    expected = known.predict(pd.concat([first, rest.assign(y=np.nan)]).sort_values(["unique_id", "ds"]))
    ahead = rest.drop(columns="y")
    pd.testing.assert_frame_equal(known.predict(X_df=ahead), expected)
    with pytest.warns(Remark, match="the rows weren't in the order of 'ds'"):
        pd.testing.assert_frame_equal(known.predict(first, X_df=ahead.iloc[::-1]), expected)
    with_past = table().drop(columns="y")
    pd.testing.assert_frame_equal(known.predict(X_df=with_past), expected)
    assert len(known.predict(X_df=ahead, h=NEWER)) == 2 * NEWER
    other = known.predict(X_df=ahead.assign(price=9.0))
    assert not np.allclose(other["statewise"], expected["statewise"])
    updated = deepcopy(known).update(rest[rest["ds"] < "2020-02-26"])
    assert updated.predict(X_df=ahead)["ds"].tolist()[0] == pd.Timestamp("2020-02-26")


def test_the_command_takes_it_too(known, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known.save("model")
    split(table(), ROWS - NEWER)[1].drop(columns="y").to_csv("prices.csv", index=False)
    assert cli.main(["forecast", "predict", "model", "--ahead", "prices.csv", "--out", "ahead.csv"]) == 0
    expected = known.predict(X_df="prices.csv")
    found = pd.read_csv("ahead.csv")
    np.testing.assert_allclose(found["statewise"], expected["statewise"])


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (lambda rows: rows.drop(columns="price"), "no column 'price'"),
        (lambda rows: rows[rows["unique_id"] == "a"], "no rows of series 'b'"),
        (lambda rows: rows[rows["ds"] != "2020-02-25"], "series 'a': expected a row for 2020-02-25"),
        (lambda rows: rows[rows["ds"] < "2020-02-25"], "needs price of 3 rows after the last value, got 1"),
        (lambda rows: rows.assign(price=np.nan), "column 'price': a value is missing"),
    ],
)
def test_what_is_known_ahead_has_every_row(known, ahead, said):
    with pytest.raises(InputError, match=said):
        known.predict(X_df=ahead(split(table(), ROWS - NEWER)[1].drop(columns="y")))


def test_nothing_known_ahead_is_asked_for(plain):
    with pytest.raises(InputError, match="learnt without covariates that are known ahead"):
        plain.predict(X_df=table())


class TimeSeries:
    """What of darts' class is looked at."""

    def __init__(self, frame):
        self.frame = frame

    components = property(lambda self: self.frame.columns)
    time_index = property(lambda self: self.frame.index)

    def to_dataframe(self):
        return self.frame.copy()


def test_a_series_of_darts_is_read_as_its_table():
    index = pd.date_range("2020-01-01", periods=ROWS, freq="D", name="time")
    frame = pd.DataFrame(table()["y"].to_numpy().reshape(2, ROWS).T, index=index, columns=["tea", "coffee"])
    found = Forecaster(**QUICK).fit(TimeSeries(frame)).predict()
    expected = Forecaster(**QUICK, convention="darts").fit(frame).predict()
    assert found.columns.tolist() == ["tea", "tea_q0.10", "tea_q0.90", "coffee", "coffee_q0.10", "coffee_q0.90"]
    pd.testing.assert_frame_equal(found, expected)
    assert found.index.name == "time"
