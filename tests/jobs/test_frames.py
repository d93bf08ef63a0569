"""Tables that a program has in memory: every library's frame says the same."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from statewise.jobs import InputError
from statewise.jobs.data.frames import FrameKind
from statewise.jobs.data.tables import read_table

DAYS = [datetime(2020, 1, 1), datetime(2020, 1, 2), datetime(2020, 1, 3)]
PLAIN = {"day": DAYS, "n": [1, 2, 3], "x": [0.5, 1.5, -2.0], "s": ["a", "b", None]}


def assert_same(frame, expected=PLAIN):
    assert frame.columns == list(expected)
    assert frame.to_dict(as_series=False) == expected


def test_polars():
    frame = pl.DataFrame(PLAIN)
    assert read_table(frame).equals(frame)
    assert read_table(frame.lazy()).equals(frame)
    assert_same(read_table(frame["x"]), {"x": PLAIN["x"]})


def test_rows_of_nothing_at_the_end_are_left_out():
    assert read_table(pl.DataFrame({"a": [1, None, 2, None, None]})).to_series().to_list() == [1, None, 2]


def test_arrow():
    pa = pytest.importorskip("pyarrow")
    assert_same(read_table(pa.table(PLAIN)))
    with pytest.raises(InputError, match=r"(?s)two columns have the same name: .*'a' 2 times"):
        read_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))


class TestPandas:
    @pytest.fixture
    def pd(self):
        return pytest.importorskip("pandas")

    def test_columns(self, pd):
        frame = read_table(pd.DataFrame(PLAIN))
        assert_same(frame)
        assert frame.schema["day"] == pl.Datetime("us")
        assert frame.schema["n"].is_integer()

    def test_an_index_of_dates_is_a_column(self, pd):
        expected = {"time": DAYS, "x": PLAIN["x"]}
        assert_same(read_table(pd.Series(PLAIN["x"], index=pd.DatetimeIndex(DAYS), name="x")), expected)
        assert_same(read_table(pd.DataFrame({"x": PLAIN["x"]}, index=pd.DatetimeIndex(DAYS))), expected)
        named = pd.DataFrame({"x": PLAIN["x"]}, index=pd.DatetimeIndex(DAYS, name="day"))
        assert_same(read_table(named), {"day": DAYS, "x": PLAIN["x"]})

    def test_periods_are_their_first_day(self, pd):
        series = pd.Series([1.0, 2.0], index=pd.period_range("2020-01", periods=2, freq="M"))
        assert_same(read_table(series), {"time": [datetime(2020, 1, 1), datetime(2020, 2, 1)], "value": [1.0, 2.0]})

    def test_columns_of_periods_come_back(self, pd):
        frame = pd.DataFrame({"month": pd.period_range("2020-01", periods=2, freq="M"), 3: [1.0, 2.0]})
        assert_same(read_table(frame), {"month": [datetime(2020, 1, 1), datetime(2020, 2, 1)], "3": [1.0, 2.0]})
        later = FrameKind.of(frame).frame({"month": np.array(["2021-05"], "datetime64[us]")})
        assert later["month"].tolist() == [pd.Period("2021-05", "M")]
        assert frame["month"].dtype == "period[M]"  # what was given is as it was

    def test_an_index_of_names_or_of_two_levels(self, pd):
        assert_same(read_table(pd.Series([1], index=["a"])), {"index": ["a"], "value": [1]})
        index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["id", "t"])
        assert_same(read_table(pd.DataFrame({"x": [0, 1]}, index=index)), {"id": ["a", "b"], "t": [1, 2], "x": [0, 1]})

    def test_an_index_that_counts_is_no_column(self, pd):
        assert_same(read_table(pd.Series([1.5, 2.5])), {"value": [1.5, 2.5]})

    def test_its_many_types(self, pd):
        frame = pd.DataFrame(
            {
                "nullable": pd.array([1, None, 3], dtype="Int64"),
                "category": pd.Categorical(["u", "v", "u"]),
                "truth": [True, False, True],
                "gap": [0.5, float("nan"), 2.0],
                "zone": pd.date_range("2020-01-01", periods=3, tz="Europe/Berlin"),
                "mixed": ["a", 1, None],
                3: [7, 8, 9],
            }
        )
        read = read_table(frame)
        assert read.columns == [*map(str, frame.columns)]
        assert read["nullable"].to_list() == [1, None, 3]
        assert read["category"].cast(pl.String).to_list() == ["u", "v", "u"]
        assert read["truth"].to_list() == [True, False, True]
        assert read["gap"].fill_nan(None).to_list() == [0.5, None, 2.0]
        assert read["zone"].to_list() == frame["zone"].to_list()
        assert read["mixed"].to_list() == ["a", "1", None]
        assert read["3"].to_list() == [7, 8, 9]

    def test_two_columns_of_one_name(self, pd):
        with pytest.raises(InputError, match=r"(?s)two columns have the same name: .*'a' 2 times"):
            read_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_arrays():
    assert_same(read_table(np.array([1.0, 2.0])), {"value": [1.0, 2.0]})
    assert_same(read_table(np.array([[1, 2], [3, 4]]).T), {"0": [1, 2], "1": [3, 4]})
    assert_same(read_table([3.0, 4.0]), {"value": [3.0, 4.0]})
    assert_same(read_table(np.array([("a", 1.5)], dtype=[("id", "U1"), ("x", "f8")])), {"id": ["a"], "x": [1.5]})
    assert_same(read_table(np.array(["2020-01-01"], "datetime64[s]")), {"value": [datetime(2020, 1, 1)]})
    assert_same(read_table(np.array([["a", 1.5]], dtype=object)), {"0": ["a"], "1": [1.5]})


@pytest.mark.parametrize("source", [None, 3, {"a": [1]}, object(), np.zeros((2, 2, 2)), np.zeros(2, "complex64")])
def test_what_is_no_table_is_refused(source):
    with pytest.raises(InputError, match="expected a"):
        read_table(source)
