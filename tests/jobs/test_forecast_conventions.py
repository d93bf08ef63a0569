"""How others call things: recognised, and given back in the same words, types and kind of frame."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from statewise import cli
from statewise.jobs import Forecaster, InputError, Remark

QUICK = {"ensemble": 1, "epochs": 1, "horizon": 3}
MONTHS = 40
NIXTLA = ["unique_id", "ds", "statewise", "statewise-lo-95", "statewise-lo-80", "statewise-hi-80", "statewise-hi-95"]


def nixtla(ids=("b", "a"), rows=MONTHS, freq="MS"):
    noise = np.random.default_rng(0).normal(size=(len(ids), rows))
    return pd.DataFrame(
        {
            "unique_id": np.repeat(ids, rows),
            "ds": np.tile(pd.date_range("2018-01-01", periods=rows, freq=freq), len(ids)),
            "y": (100 + np.arange(rows) + 10 * np.sin(np.arange(rows) * np.pi / 6) + noise).ravel(),
        }
    )


def fitted(frame, **more):
    return Forecaster(**{**QUICK, **more}).fit(frame)


@pytest.fixture(scope="module")
def both():
    return fitted(nixtla())


def test_nixtla_needs_no_word_and_gets_its_own_columns_back(both):
    ahead = both.predict(level=[80, 95])
    assert ahead.columns.tolist() == NIXTLA
    assert ahead["unique_id"].tolist() == ["b"] * 3 + ["a"] * 3
    expected = pd.date_range("2021-05-01", periods=3, freq="MS")
    assert ahead["ds"].tolist() == [*expected, *expected]
    bounds = ahead[["statewise-lo-95", "statewise-lo-80", "statewise", "statewise-hi-80", "statewise-hi-95"]]
    assert (np.diff(bounds.to_numpy(), axis=1) > 0).all()
    own = both.predict()
    assert own.columns.tolist() == [*NIXTLA[:3], "statewise-lo-80", "statewise-hi-80"]
    pd.testing.assert_frame_equal(own, ahead[own.columns])


def test_a_table_like_prophets_has_no_id():
    ahead = fitted(nixtla(["a"]).drop(columns="unique_id")).predict(level=90)
    assert ahead.columns.tolist() == ["ds", "statewise", "statewise-lo-90", "statewise-hi-90"]


@pytest.mark.parametrize("indexed", [False, True])
def test_autogluon(indexed):
    frame = nixtla().set_axis(["item_id", "timestamp", "target"], axis=1)
    ahead = fitted(frame.set_index(["item_id", "timestamp"]) if indexed else frame).predict()
    if indexed:
        assert ahead.index.names == ["item_id", "timestamp"]
        ahead = ahead.reset_index()
    assert ahead.columns.tolist() == ["item_id", "timestamp", "mean", "0.1", "0.5", "0.9"]
    assert ahead["timestamp"].dtype == frame["timestamp"].dtype


def test_darts_have_a_column_for_each_component():
    wide = nixtla().pivot(index="ds", columns="unique_id", values="y").rename_axis(index="time", columns=None)
    ahead = fitted(wide, convention="darts").predict()
    assert ahead.columns.tolist() == ["a", "a_q0.10", "a_q0.90", "b", "b_q0.10", "b_q0.90"]
    assert ahead.index.name == "time"
    assert ahead.index.freqstr == "MS"
    one = fitted(wide, target="*").predict()  # the same below one another
    np.testing.assert_array_equal(ahead["b"], one["forecast"][one["target"] == "b"])


def test_a_convention_can_be_asked_for_where_columns_have_other_names():
    frame = nixtla().set_axis(["shop", "day", "sales"], axis=1)
    ahead = fitted(frame, id="shop", convention="nixtla").predict()
    assert ahead.columns.tolist() == ["shop", "day", "statewise", "statewise-lo-80", "statewise-hi-80"]
    assert fitted(frame, id="shop").predict().columns.tolist() == ["shop", "day", "step", "forecast", "q0.1", "q0.9"]
    assert fitted(nixtla(), convention="plain", id="unique_id").predict().columns[2] == "step"


@pytest.mark.parametrize(
    "change",
    [
        {"unique_id": lambda column: column.map({"a": 1, "b": 2**60 + 1})},
        {"unique_id": lambda column: column.astype("category")},
        {"unique_id": lambda column: column == "a"},
        {"ds": lambda column: column.astype("datetime64[ns]")},
        {"ds": lambda column: column.dt.tz_localize("Europe/Berlin")},
        {"ds": lambda column: column.dt.strftime("%Y-%m")},
        {"ds": lambda column: column.dt.month + 12 * column.dt.year},
    ],
)
def test_types_come_back(change):
    frame = nixtla()
    for name, how in change.items():
        frame[name] = how(frame[name])
    ahead = fitted(frame).predict()
    assert ahead.dtypes[["unique_id", "ds"]].to_dict() == frame.dtypes[["unique_id", "ds"]].to_dict()
    assert ahead["unique_id"].unique().tolist() == frame["unique_id"].unique().tolist()
    assert (ahead["ds"] > frame["ds"].max()).all()


def test_hours_of_a_zone_whose_clocks_change():
    frame = nixtla(["a"], rows=120, freq="h")
    frame["ds"] = pd.date_range("2024-10-25", periods=120, freq="h", tz="Europe/Berlin")  # back on the 27th
    ahead = fitted(frame, model="seq2seq", lookback=8, season=1).predict()
    assert ahead["ds"].tolist() == list(pd.date_range("2024-10-25", periods=123, freq="h", tz="Europe/Berlin")[-3:])


def test_times_of_text_are_written_on_as_they_came(tmp_path):
    frame = nixtla(["a"])
    for form, expected in {"%m/%d/%Y": "05/01/2021", "%b %Y": "May 2021", "%YQ%q": "2021Q2"}.items():
        rows = (
            frame if "%q" not in form else frame.assign(ds=pd.date_range("2016-04-01", periods=len(frame), freq="QS"))
        )
        period = rows["ds"].dt.to_period("Q") if "%q" in form else rows["ds"]
        texts = rows.assign(ds=period.dt.strftime(form))
        assert fitted(texts).save(tmp_path / "model") is None
        ahead = Forecaster.load(tmp_path / "model").predict(h=1)
        assert ahead["ds"].tolist() == ([expected] if "%q" not in form else [str(period.iloc[-1] + 1)])
    periods = fitted(frame.assign(ds=frame["ds"].dt.to_period("M"))).predict(h=2)
    assert periods["ds"].tolist() == [pd.Period("2021-05"), pd.Period("2021-06")]


def test_kinds_come_back():
    frame = pl.from_pandas(nixtla()).with_columns(pl.col("ds").cast(pl.Date))
    ahead = fitted(frame).predict()
    assert (type(ahead), ahead["ds"][0]) == (pl.DataFrame, date(2021, 5, 1))
    assert fitted(frame.lazy()).predict().equals(ahead)
    table = frame.to_arrow()
    found = fitted(table).predict()
    assert isinstance(found, pa.Table)
    assert found.schema.field("ds").type == table.schema.field("ds").type
    assert found.column("ds").to_pylist() == ahead["ds"].to_list()


@pytest.mark.parametrize("named", [None, "day"])
def test_an_index_comes_back(named):
    series = nixtla(["a"]).set_index("ds")["y"].rename_axis(named)
    ahead = fitted(series).predict()
    assert ahead.index.name == named
    assert ahead.index.tolist() == list(pd.date_range("2021-05-01", periods=3, freq="MS"))
    months = fitted(series.to_period("M")).predict()
    assert months.index.equals(ahead.index.to_period("M"))
    assert "index" not in fitted(nixtla(["a"]).iloc[::-1].iloc[::-1].iloc[2:]).predict().columns


def test_what_is_loaded_gives_the_same_frame(both, tmp_path):
    both.save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.predict(h=5), both.predict(h=5))
    assert isinstance(again.predict(pl.from_pandas(nixtla())), pl.DataFrame)  # the kind that it is asked with


def test_newer_rows_and_any_horizon(both):
    frame = nixtla(rows=MONTHS + 2)
    ahead = both.predict(frame)
    assert ahead["ds"][0] == pd.Timestamp("2021-07-01")
    shorter, longer = both.predict(frame, h=2), both.predict(frame, h=8)
    assert len(shorter) == 4
    assert len(longer) == 16
    for name in ("a", "b"):
        own = longer[longer["unique_id"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(own.head(2), shorter[shorter["unique_id"] == name].reset_index(drop=True))
        width = own["statewise-hi-80"] - own["statewise-lo-80"]
        assert width.iloc[3:].mean() > width.iloc[:3].mean()
    for wrong in (0, 1.5):
        with pytest.raises(InputError, match="h: expected a whole number of at least 1, got"):
            both.predict(h=wrong)
    with pytest.raises(InputError, match="level: expected numbers between 0 and 100, got"):
        both.predict(level=[0.8, 100])


def test_rows_in_any_order_are_sorted_and_that_is_said(both):
    frame = nixtla().sample(frac=1, random_state=1)
    with pytest.warns(Remark, match="weren't in the order of 'ds' in 2 of 2 series; they were sorted") as seen:
        found = both.predict(frame)
    assert seen[0].filename == __file__
    expected = both.predict()
    order = found["unique_id"].unique().tolist()
    pd.testing.assert_frame_equal(
        found, expected.set_index("unique_id").loc[order].reset_index(), check_index_type=False
    )


def test_several_columns_of_ids():
    frame = nixtla(["x", "y", "z"]).set_axis(["shop", "day", "sales"], axis=1)
    frame.insert(0, "region", frame["shop"].map({"x": 1, "y": 1, "z": 2}))
    frame["shop"] = frame["shop"].replace("z", "x")
    forecaster = fitted(frame, id=["region", "shop"])
    ahead = forecaster.predict()
    assert ahead.columns.tolist() == ["region", "shop", "day", "step", "forecast", "q0.1", "q0.9"]
    assert ahead.iloc[::3, :2].to_numpy().tolist() == [[1, "x"], [1, "y"], [2, "x"]]
    assert forecaster.model_.names == ("1/x", "1/y", "2/x")
    frame["shop"], frame["region"] = "b", frame["region"].map({1: "a", 2: "a/b"})
    frame.loc[frame["region"] == "a", "shop"] = "b/b"
    with pytest.raises(InputError, match="the ids of two series read 'a/b/b' when they stand behind one another"):
        fitted(frame.iloc[MONTHS:], id=["region", "shop"])


def test_static_covariates_are_asked_for_once():
    frame = nixtla().assign(city=np.repeat(["north", "south"], MONTHS), size=np.repeat([3.0, 5.0], MONTHS))
    forecaster = fitted(frame, static=["city", "size"], model="seq2seq", lookback=6, combine=False)
    pd.testing.assert_frame_equal(forecaster.predict(nixtla()), forecaster.predict(frame, h=3))
    with pytest.raises(InputError, match=r"series 'c' is new, expected the column 'city' as well"):
        forecaster.predict(nixtla(["c"]))


def test_what_a_table_has_beside_a_convention_is_remarked():
    with pytest.warns(Remark, match="not read: price; --known, --observed and --static name covariates"):
        fitted(nixtla().assign(price=1.0))


class TestCrossValidation:
    def test_columns_and_cutoffs(self):
        frame = nixtla()
        found = Forecaster(**QUICK).cross_validation(frame, 2, n_windows=3, step_size=4, level=[80])
        assert found.columns.tolist() == [
            *("unique_id", "ds", "cutoff", "y", "statewise", "statewise-lo-80", "statewise-hi-80")
        ]
        assert len(found) == 2 * 3 * 2
        cutoffs = list(pd.date_range("2018-01-01", periods=MONTHS, freq="MS")[[-11, -7, -3]])
        assert found["cutoff"].drop_duplicates().tolist() == cutoffs
        assert (found["ds"] > found["cutoff"]).all()
        both = found.merge(frame, on=["unique_id", "ds"])
        assert (both["y_x"] == both["y_y"]).all()

    @pytest.mark.parametrize("refit", [False, True, 2])
    def test_no_forecast_knows_what_comes_after_its_cutoff(self, refit):
        frame, forecaster = nixtla(["a"]), Forecaster(**QUICK)
        how = {"h": 3, "n_windows": 3, "refit": refit}
        before = forecaster.cross_validation(frame, **how)
        cut = before["cutoff"].unique()[1]
        frame.loc[frame["ds"] > cut, "y"] *= 7
        after = forecaster.cross_validation(frame, **how)
        same = before["cutoff"] <= cut
        pd.testing.assert_frame_equal(after[same].drop(columns="y"), before[same].drop(columns="y"))
        assert not hasattr(forecaster, "model_")
        last = before["cutoff"] == before["cutoff"].max()
        alone = fitted(nixtla(["a"]).iloc[:-3]).predict()
        assert np.allclose(alone["statewise"], before["statewise"][last]) == (refit is True or refit == 2)

    def test_what_cannot_be(self):
        forecaster = Forecaster(**QUICK)
        with pytest.raises(InputError, match="series 'b' has 40 rows, 20 windows of 3 rows, 3 apart, take 60 of them"):
            forecaster.cross_validation(nixtla(), n_windows=20)
        with pytest.raises(InputError, match="expected a table; ForecastRegressor takes arrays"):
            forecaster.cross_validation(np.arange(50.0), 3)


class TestCommand:
    @pytest.fixture(autouse=True)
    def _in_tmp(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def run(self, *words):
        return cli.main(["forecast", *words, "--ensemble", "1", "--epochs", "1", "--horizon", "3", "--out", "run"])

    def test_nixtla(self, capsys):
        nixtla().to_csv("sales.csv", index=False)
        assert self.run("sales.csv") == 0
        tested = pl.read_csv("run/predictions.csv")
        assert tested.columns == [
            *("unique_id", "ds", "cutoff", "y", "statewise", "statewise-lo-80", "statewise-hi-80")
        ]
        model = "run/model.safetensors"
        assert cli.main(["forecast", "predict", model, "--horizon", "7", "--level", "80", "95", "--out", "a.csv"]) == 0
        ahead = pl.read_csv("a.csv")
        assert ahead.columns == NIXTLA
        assert ahead["ds"].to_list()[::6] == ["2021-05-01", "2021-11-01", "2021-10-01"]
        assert capsys.readouterr().out.endswith("a.csv: 2 series, 2021-05-01 to 2021-11-01\n")

    def test_a_file_without_a_header(self, capsys):
        frame = nixtla()
        frame.to_csv("bare.csv", index=False, header=False)
        assert self.run("bare.csv", "--id", "1") == 0
        said = capsys.readouterr()
        assert said.err.startswith(
            "statewise forecast: remark: bare.csv: the first line names no columns, it reads 'b, 2"
        )
        assert "2 series (b, a)" in said.out
        assert cli.main(["forecast", "predict", "run/model.safetensors", "bare.csv"]) == 0
        assert pl.read_csv("bare-forecast.csv").columns == ["1", "2", "step", "forecast", "q0.1", "q0.9"]
        Path("text.csv").write_text("\n".join(f"a,{value}" for value in frame["y"]) + "\n")
        assert (
            cli.main(["forecast", "text.csv", "--no-header", "--target", "2", "--epochs", "1", "--ensemble", "1"]) == 0
        )
        assert "2, 12 rows ahead" in capsys.readouterr().out

    def test_every_column_of_numbers(self, capsys):
        nixtla().pivot(index="ds", columns="unique_id", values="y").assign(note="x").to_csv("wide.csv")
        assert self.run("wide.csv", "--target", "*") == 0
        assert "2 series (a, b)" in capsys.readouterr().out


def test_what_is_odd_about_newer_rows_is_remarked(both):
    with pytest.warns(Remark, match=r"series 'b' and 1 more: values from .*, far off those that the model saw"):
        both.predict(nixtla().assign(y=lambda frame: 1000 * frame["y"]))
    with pytest.warns(Remark, match=r"series 'a': 14 rows, the model looks back at \d+; those before count as"):
        both.predict(nixtla(["a"], rows=14))


def test_a_default_horizon_that_does_not_fit_is_shortened():
    quarters = nixtla(["a"], rows=24, freq="QS").assign(y=np.random.default_rng(2).normal(size=24))
    with pytest.warns(Remark, match="the horizon is 11 quarters: 12 quarters, which would be usual, don't fit into"):
        found = fitted(quarters, horizon=None)
    assert found.horizon_ == 11
    with pytest.raises(InputError, match="12 rows are left for training, expected at least 14 at a horizon of 12"):
        fitted(quarters, horizon=12)
