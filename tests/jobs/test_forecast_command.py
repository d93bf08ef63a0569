"""``statewise forecast`` from the command line: what it prints and writes, and every input that it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from statewise import cli
from statewise.jobs.tasks.forecast.grid import Grid
from statewise.jobs.tasks.forecast.model import Model
from statewise.jobs.tasks.forecast.panel import read_panel

FILES = [
    "config.json",
    "forecast.png",
    "metrics.json",
    "metrics.jsonl",
    "model.safetensors",
    "predictions.csv",
    "report.html",
]
QUICK = ["--ensemble", "1", "--epochs", "1"]
SHARED = Path(__file__).parents[3] / "shared" / "data" / "forecast"

MONTHS = [f"{1990 + i // 12}-{i % 12 + 1:02}" for i in range(48)]
VALUES = [round(100 + i + 20 * float(np.sin(i * np.pi / 6)), 2) for i in range(48)]


def table(values=VALUES, months=MONTHS, header="month,sales", sep=","):
    return "\n".join([header, *(f"{m}{sep}{v}" for m, v in zip(months, values, strict=True))]) + "\n"


def replaced(row, value):
    return [*VALUES[: row - 1], value, *VALUES[row:]]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def forecast(content, *options, name="sales.csv"):
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    elif content is not None:
        Path(name).write_text(content, encoding="utf-8")
    return cli.main(["forecast", name, *QUICK, *options])


def refused(capsys, content, *options, name="sales.csv"):
    """The one line that refuses ``content``; nothing is written."""
    before = sorted(os.listdir())
    assert forecast(content, *options, name=name) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("statewise forecast: ")
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == sorted({*before, name} if content is not None else before)
    return err.removeprefix("statewise forecast: ").rstrip("\n")


def test_without_an_argument_it_forecasts_the_airline_series(capsys):
    assert cli.main(["forecast"]) == 0
    out, err = capsys.readouterr()
    assert "\r" not in err  # no progress bar where nobody looks; a line a minute at most
    mase = {row[0]: float(row[1]) for row in re.findall(r"^(.*?\S)  +(?:[\d.]+ +){3}([\d.]+) ", out, re.MULTILINE)}
    assert mase["combination"] <= 0.50
    assert mase["seasonal naive (12)"] == 1.196
    assert "12 steps, 32 origins" in out
    assert "The combination beats every baseline" in out
    folder = Path("runs/forecast-airline-passengers-1")
    assert f"{folder}: {', '.join(FILES)}" in out
    assert sorted(os.listdir(folder)) == FILES
    assert os.listdir("runs") == [folder.name]

    written = pl.read_csv(folder / "predictions.csv")
    assert written.columns == ["Month", "step", "cutoff", "Passengers", "forecast", "q0.1", "q0.9"]
    assert len(written) == 32 * 12
    assert written.row(0)[:5] == ("1957-06", 1, "1957-05", 422.0, pytest.approx(422, rel=0.2))
    assert written["Month"].max() == "1960-12"
    error = (written["forecast"] - written["Passengers"]).abs().mean()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["scores"][0]["mae"] == pytest.approx(error)
    assert metrics["scores"][0]["mase"] == pytest.approx(mase["combination"], abs=1e-3)
    assert metrics["rows"] == {"training": 65, "validation": 36, "test": 43}
    inside = ((written["q0.1"] <= written["Passengers"]) & (written["Passengers"] <= written["q0.9"])).mean()
    assert metrics["scores"][0]["coverage"] == pytest.approx(inside)
    assert [round(each["level"], 6) for each in metrics["intervals"]] == [0.8, 0.95]
    assert metrics["intervals"][0]["share"] == pytest.approx(inside)
    assert metrics["intervals"][0]["without"] != metrics["intervals"][0]["share"]
    assert Model.load(folder / "model.safetensors").stretch.any()  # of what came in the test part
    assert (folder / "forecast.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text()
    for said in (
        "The combination beats every baseline",
        "seasonal naive (12)",
        "The error by step",
        "Intervals",
        "s t says how far",
        "not following",
        "too few to tell",
        "<svg",
    ):
        assert said in page
    assert 'http-equiv="refresh"' not in page
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 40 * 40

    assert cli.main(["forecast", "predict", str(folder / "model.safetensors")]) == 0
    assert capsys.readouterr().out == "forecast-airline-passengers-1-forecast.csv: Passengers, 1961-01 to 1961-12\n"
    ahead = pl.read_csv("forecast-airline-passengers-1-forecast.csv")
    assert ahead.columns == ["Month", "step", "forecast", "q0.1", "q0.9"]
    assert ahead["Month"].to_list() == [f"1961-{month:02}" for month in range(1, 13)]
    assert (ahead["q0.1"] <= ahead["forecast"]).all()
    assert (ahead["forecast"] <= ahead["q0.9"]).all()
    assert 300 < ahead["forecast"].min() < ahead["forecast"].max() < 900


def test_the_same_run_twice_writes_the_same_bytes_into_two_folders(capsys):
    assert forecast(table()) == forecast(None) == 0
    capsys.readouterr()
    first, second = (Path(f"runs/forecast-sales-{n}") for n in (1, 2))
    for name in ("forecast.png", "model.safetensors", "predictions.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_out_names_the_folder_and_fit_is_what_it_does_anyway(capsys):
    Path("empty").mkdir()
    Path("sales.csv").write_text(table())
    for out in ("a/b/c", "empty"):
        assert cli.main(["forecast", "fit", "sales.csv", *QUICK, "--out", out]) == 0
        assert sorted(os.listdir(out)) == FILES
    assert not Path("runs").exists()


def test_predict_continues_another_file_as_the_run_would(capsys):
    assert forecast(table(), "--out", "run", "--horizon", "6") == 0
    assert cli.main(["forecast", "predict", "run/model.safetensors", "--out", "a.csv"]) == 0
    assert cli.main(["forecast", "predict", "run/model.safetensors", "sales.csv", "--out", "b.csv"]) == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    Path("short.csv").write_text(table(VALUES[:40], MONTHS[:40]))
    assert cli.main(["forecast", "predict", "run/model.safetensors", "short.csv"]) == 0
    earlier = pl.read_csv("short-forecast.csv")
    assert earlier["month"][0] == MONTHS[40]
    tested = pl.read_csv("run/predictions.csv").filter(pl.col("cutoff") == MONTHS[39])
    np.testing.assert_allclose(earlier["forecast"], tested["forecast"], rtol=1e-5)


def test_predict_refuses_what_the_model_cannot_continue(capsys):
    assert forecast(table(), "--out", "run", "--horizon", "6") == 0
    capsys.readouterr()
    for content, said in (
        (None, "other.csv: no such file"),
        (table(header="month,turnover"), "other.csv: no column 'sales' for --target; there are: month, turnover"),
        (table(VALUES[1:], MONTHS[:9] + MONTHS[10:]), "row 10: from 1990-09 to 1990-11 is 1 missing"),
        (table(VALUES[:10], MONTHS[:10]), "a series is shorter than that"),
        (table(months=[MONTHS[1], *MONTHS[1:]]), "row 2: the time 1990-02 comes twice; name the column"),
    ):
        if content is not None:
            Path("other.csv").write_text(content)
        assert cli.main(["forecast", "predict", "run/model.safetensors", "other.csv"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("statewise forecast predict: ")
        assert error.count("\n") == 1
        assert said in error
        assert not Path("other-forecast.csv").exists()


def test_a_model_that_loses_says_so(capsys):
    walk = np.cumsum(np.random.default_rng(3).standard_normal(80)).tolist()
    content = "y\n" + "\n".join(f"{v:.3f}" for v in walk) + "\n"
    alone = ["--no-combine", "--epochs", "60", "--units", "32", "--horizon", "4"]
    assert forecast(content, *alone, name="walk.csv") == 0
    out = capsys.readouterr().out
    assert "The LSTM loses to" in out
    assert "The LSTM loses to" in Path("runs/forecast-walk-1/report.html").read_text()


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru", "seq2seq", "segrnn"])
@pytest.mark.slow
def test_models(model, capsys):
    assert forecast(table(), "--model", model, "--season", "12", "--horizon", "6") == 0
    name = f"{model} GRU" if model in ("seq2seq", "segrnn") else model.upper()
    said = capsys.readouterr().out
    assert f"network     {name}, " in said
    assert "\ncombination " in said
    assert "  made of     a forecast linear in " in said


@pytest.mark.slow
@pytest.mark.parametrize("distribution", ["gaussian", "student-t"])
def test_distributions(distribution, capsys):
    options = ["--model", "seq2seq", "--distribution", distribution, "--horizon", "6", "--quantiles", "0.05,0.95"]
    assert forecast(table(), *options) == 0
    written = pl.read_csv("runs/forecast-sales-1/predictions.csv")
    assert (written["q0.05"] < written["forecast"]).all()
    assert (written["forecast"] < written["q0.95"]).all()


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + table(),
        table().replace("\n", "\r\n"),
        table() + "\n\n",
        table().rstrip("\n"),
        table(header="month;sales", sep=";"),
        table(header="month\tsales", sep="\t"),
        table([f'"{v}"' for v in VALUES], header='"month","sales"'),
        table([f" {v} " for v in VALUES], header=" month , sales "),
        table(header="month,note,sales", values=[f"ok,{v}" for v in VALUES]),
    ],
    ids=["bom", "crlf", "blank end", "no newline", "semicolons", "tabs", "quoted", "spaces", "text column"],
)
def test_spellings_of_the_same_table(content):
    Path("sales.csv").write_bytes(content.encode())
    panel = read_panel("sales.csv")
    assert (panel.columns.time, panel.columns.target) == ("month", ("sales",))
    assert (panel.grid.step, panel.grid.cycles) == ("month", (12,))
    assert panel.series[0].labels == MONTHS
    np.testing.assert_array_equal(panel.series[0].values, VALUES)


def test_parquet(capsys):
    from datetime import date

    days = [date(1990 + i // 12, i % 12 + 1, 1) for i in range(48)]
    pl.DataFrame({"day": days, "y": VALUES, "text": ["x"] * 48}).write_parquet("sales.parquet")
    panel = read_panel("sales.parquet")
    assert (panel.columns.time, panel.columns.target, panel.grid.step) == ("day", ("y",), "month")
    assert panel.series[0].labels[1] == "1990-02-01"
    assert "a damaged Parquet file" in refused(capsys, b"PAR1 and no more", name="bad.parquet")


@pytest.mark.parametrize(
    ("times", "step", "cycles"),
    [
        ([f"{1990 + i}" for i in range(40)], "row", ()),
        ([f"{1990 + i // 4}Q{i % 4 + 1}" for i in range(40)], "quarter", (4,)),
        ([f"{1990 + i // 4}/{3 * (i % 4) + 1}/1" for i in range(40)], "quarter", (4,)),
        ([f"{1990 + i}-12-31" for i in range(40)], "year", ()),
        ([f"{i}.1.2021" for i in range(1, 32)], "day", (7, 365)),
        ([f"2020-01-{i // 24 + 1:02}T{i % 24:02}:00Z" for i in range(40)], "hour", (24, 168, 8766)),
        ([f"2020-01-01 {i // 2:02}:{30 * (i % 2):02}:00.000" for i in range(40)], "30 minutes", (48, 336, 17532)),
        ([f"{m} {y}" for y in range(1990, 2004) for m in ("Jan", "May", "Sep")], "4 months", (3,)),
        ([f"202001{i:02}" for i in range(1, 31)], "day", (7, 365)),
    ],
)
def test_times(times, step, cycles):
    rows = "\n".join(f"{t},{i * 7 % 5}.5" for i, t in enumerate(times))
    Path("x.csv").write_text(f"when,y\n{rows}\n")
    panel = read_panel("x.csv")
    assert (panel.columns.time, panel.columns.target) == ("when", ("y",))
    assert (panel.grid.step, panel.grid.cycles) == (step, cycles)
    first, count = panel.series[0].first, len(times)
    following = panel.grid.when(np.arange(first, first + count + 1))
    assert (np.diff(following) > np.zeros(1, following.dtype).astype(np.diff(following).dtype)).all()
    np.testing.assert_array_equal(
        panel.grid.places("x", "when", following, ["?"] * (count + 1), np.arange(count + 1)),
        np.arange(first, first + count + 1),
    )


def test_an_hour_is_no_season_of_five_minutes():
    grid = Grid("microsecond", 300 * 10**6)
    assert (grid.cycles, grid.seasons) == ((12, 288, 2016, 105192), (288, 2016, 105192))
    assert Grid("month").seasons == (12,)


def test_month_first_and_day_first_are_told_apart():
    from datetime import date, timedelta

    days = [date(2021, 1, 1) + timedelta(i) for i in range(40)]
    for form in ("%m/%d/%Y", "%d/%m/%Y"):
        Path("x.csv").write_text("d,y\n" + "\n".join(f"{d.strftime(form)},{i * 7 % 5}.5" for i, d in enumerate(days)))
        panel = read_panel("x.csv")
        when = panel.grid.when(panel.series[0].first + np.arange(40))
        assert when.astype("datetime64[D]").tolist() == days


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "sales.csv: no such file"),
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"\x00\x01\x02\xff" * 50, "neither Parquet nor text in UTF-8"),
        (b"a,b\n\xff\xfe,1\n", "neither Parquet nor text in UTF-8"),
        ("month,sales\n", "a table without rows"),
        (table(VALUES[:19], MONTHS[:19]), "19 rows, at least 20 are needed"),
        (table(header="sales,sales"), "two columns are named 'sales'"),
        (table() + "1994-01,5,6\n", "not a regular CSV table"),
        (table([f"{m},1" for m in MONTHS]), "not a regular CSV table"),
        (table(replaced(7, "abc")), "column 'sales', row 7: expected a number, got 'abc'"),
        (table(replaced(7, "")), "column 'sales', row 7: expected a number, the value is missing (1 of 48 are)"),
        (table(replaced(7, "NA")), "column 'sales', row 7: expected a number, the value is missing"),
        (table(replaced(7, "nan")), "row 7: expected a number, the value is missing"),
        (table(replaced(7, "inf")), "row 7: expected a finite number, got 'inf'"),
        (table(replaced(7, "1e200")), "row 7: expected a number of at most 1e+100 in size, got '1e200'"),
        (table(replaced(7, "1.234,5".replace(",", "'"))), "row 7: expected a number, got"),
        (
            table([str(v).replace(".", ",") for v in VALUES], header="month;sales", sep=";"),
            "got '100,0'; write a point",
        ),
        (table(["x"] * 48), "no column of numbers to forecast; there are: month, sales"),
        (table([5] * 48), "column 'sales' never changes before the test part: 34 times 5"),
        (table([5] * 34 + VALUES[34:]), "column 'sales' never changes before the test part"),
        (table(header="month,a,b", values=[f"{v},{-v}" for v in VALUES]), "choose with --target ('*' takes all): a, b"),
        (
            table(months=[*MONTHS[:9], "soon", *MONTHS[10:]]),
            "column 'month', row 10: expected a date or time, got 'soon'",
        ),
        (table(months=[*MONTHS[:9], "", *MONTHS[10:]]), "column 'month', row 10: expected a date or time, got nothing"),
        (table(months=[*MONTHS[:9], MONTHS[8], *MONTHS[10:]]), "row 10: the time 1990-09 comes twice; name the column"),
        (table(VALUES[1:], MONTHS[:9] + MONTHS[10:]), "row 10: from 1990-09 to 1990-11 is 1 missing"),
        (
            table(VALUES[:32], [f"2020-01-{i:02}" for i in range(1, 32)] + ["2020-01-31 05:00"]),
            "row 32: expected a date or time, got '2020-01-31 05:00'",
        ),
    ],
)
def test_a_file_that_cannot_be_used(content, said, capsys):
    assert said in refused(capsys, content)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--target", "turnover"], "no column 'turnover' for --target; there are: month, sales"),
        (["--time", "date"], "no column 'date' for --time; there are: month, sales"),
        (["--time", "sales", "--target", "sales"], "'sales' is named both as --time and as --target"),
        (["--target", "month"], "column 'month', row 1: expected a number, got '1990-01'"),
        (["--season", "18"], "--season 18: two seasons must fit into the 34 rows before the test part, so 1 to 17"),
        (["--horizon", "20"], "series 'sales': a horizon of 20 doesn't fit into the 14 rows of its test part"),
        (["--split", "40,6,6"], "--split: series 'sales' has 48 rows, the parts need 52"),
        (
            ["--split", "4,22,22", "--horizon", "12"],
            "4 rows are left for training, expected at least 14 at a horizon of 12",
        ),
        (["--known", "price"], "no column 'price' for --known; there are: month, sales"),
        (["--time", "month", "--known", "month"], "'month' is named both as --known and as --time"),
        (["--time", "month", "--id", "month"], "'month' is named both as --id and as --time"),
        (["--layout", "rows", "--target", "sales"], "with --layout rows there are no columns"),
        (["--base", "both", "--no-combine"], "--base both: one of them is the linear forecast"),
        (["--model", "lstm", "--distribution", "gaussian"], "lstm takes its intervals from the validation part alone"),
        (
            ["--model", "segrnn", "--lookback", "13", "--segment", "6"],
            "--lookback 13: expected a multiple of --segment 6",
        ),
        (["--device", "nowhere"], "device 'nowhere' can't be used"),
        (["--out", "sales.csv"], "--out sales.csv: is a file, expected a folder"),
        (["--out", "sales.csv/x"], "can't write to"),
        (["--out", "."], "--out .: the folder is not empty"),
        (["--out", "/proc/x"], "can't write to /proc"),
    ],
)
def test_options_that_cannot_be_used(options, said, capsys):
    assert forecast(table(), *options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
    assert os.listdir() == ["sales.csv"]


def test_a_folder_and_two_time_columns_are_refused(capsys):
    Path("folder.csv").mkdir()
    assert "is a folder, expected a CSV or Parquet file" in refused(capsys, None, name="folder.csv")
    twice = table(header="month,again,sales", values=[f"{m},{v}" for m, v in zip(MONTHS, VALUES, strict=True)])
    assert "choose with --time: month, again" in refused(capsys, twice)


def test_many_columns_are_not_all_listed(capsys):
    header = ",".join(["month", *(f"c{i}" for i in range(100))])
    said = refused(capsys, table(header=header, values=[",".join(["1.5"] * 100)] * 48))
    assert "100 columns could be the target" in said
    assert said.endswith("and 88 more")


@pytest.mark.slow
def test_gaps_are_left_out_filled_or_ignored(capsys):
    values, months = [*VALUES[:19], "NA", *VALUES[20:]], [*MONTHS]
    del values[9], months[9]
    said = {"mask": "missing     2 values", "carry": "12 months ahead", "ignore": None}
    for gaps, expected in said.items():
        code = forecast(table(values, months), "--gaps", gaps)
        out, err = capsys.readouterr()
        if expected is None:
            assert code == 2
            assert "row 19: expected a number, the value is missing (1 of 47 are)" in err
        else:
            assert (code, expected in out) == (0, True)
    assert forecast(table(VALUES[1:], months), "--gaps", "ignore") == 0
    assert "12 rows ahead" in capsys.readouterr().out


def test_many_series_with_covariates_of_all_kinds(capsys):
    frame = shops(48, future=6)
    frame.write_csv("shops.csv")
    options = ["--id", "shop", "--target", "sales", "--known", "price", "--observed", "rain", "--static", "city"]
    assert forecast(None, *options, "--horizon", "6", "--model", "segrnn", "--out", "run", name="shops.csv") == 0
    assert "3 series (a, b, c), 6 days ahead" in capsys.readouterr().out
    model = Model.load(Path("run/model.safetensors"))
    assert [column.name for column in model.known.columns] == ["price", "city"]
    assert model.known.columns[1].categories == ("north", "south")
    written = pl.read_csv("run/predictions.csv")
    assert written["shop"].unique().sort().to_list() == ["a", "b", "c"]
    page = Path("run/report.html").read_text()
    assert all(said in page for said in ("the best series", "the worst series", "From series to series"))

    assert cli.main(["forecast", "predict", "run/model.safetensors", "shops.csv"]) == 0
    ahead = pl.read_csv("shops-forecast.csv")
    assert len(ahead) == 3 * 6
    assert ahead["day"][0] == "2024-02-18"
    shops(48, future=5).write_csv("less.csv")
    assert cli.main(["forecast", "predict", "run/model.safetensors", "less.csv"]) == 2
    assert "the model needs price of 6 rows after the last value, got 5" in capsys.readouterr().err
    shops(48, future=6, city="west").write_csv("west.csv")
    assert cli.main(["forecast", "predict", "run/model.safetensors", "west.csv"]) == 0  # a city never seen is none


def shops(days, future, city="south"):
    """Three shops; the last ``future`` days have covariates known ahead alone."""
    from datetime import date, timedelta

    random, rows = np.random.default_rng(1), []
    for shop in "abc":
        for day in range(days + future):
            come = day < days
            price = 10.0 + day % 7
            sales = f"{200 - 5 * price + random.normal():.3f}" if come else None
            rain = f"{random.random():.3f}" if come else None
            there = city if shop == "c" else "north"
            rows.append((shop, date(2024, 1, 1) + timedelta(day), sales, price, rain, there))
    return pl.DataFrame(rows, schema=["shop", "day", "sales", "price", "rain", "city"], orient="row")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"price": None}, "column 'price', row 5: expected a value, it is missing (1 of 54 are)"),
        ({"rain": None}, "column 'rain', row 5: expected a value, it is missing (1 of 48 are)"),
        ({"city": "east"}, "column 'city', row 5: expected 'north' as in the series' first row, got 'east'"),
        ({"shop": None}, "column 'shop', row 5: expected the id of a series, got nothing"),
        ({"price": float("inf")}, "column 'price', row 5: expected a finite number"),
    ],
)
def test_a_covariate_that_cannot_be_used(change, said, capsys):
    frame = shops(48, future=6)
    name, value = next(iter(change.items()))
    column = frame[name].to_list()
    column[4] = value
    frame.with_columns(pl.Series(name, column)).write_csv("shops.csv")
    options = ["--id", "shop", "--target", "sales", "--known", "price", "--observed", "rain", "--static", "city"]
    assert said in refused(capsys, None, *options, "--horizon", "6", name="shops.csv")


def test_several_targets_are_series_that_share_a_network(capsys):
    header, rows = "month,a,b", [f"{v},{200 - v}" for v in VALUES]
    assert forecast(table(rows, header=header), "--target", "a", "b", "--model", "seq2seq", "--horizon", "6") == 0
    model = Model.load(Path("runs/forecast-sales-1/model.safetensors"))
    assert (model.names, model.plan.channels) == (("a", "b"), True)


def test_a_series_in_each_row_and_a_test_file(capsys):
    rows = [",".join(["id", *(f"v{i}" for i in range(60))])]
    tests = [",".join(["id", *(f"v{i}" for i in range(6))])]
    for name, length in (("p", 60), ("q", 50)):
        values = [f"{10 + i % 5 + 0.01 * i:.2f}" for i in range(length + 6)]
        rows.append(",".join([name, *values[:length], *[""] * (60 - length)]))
        tests.append(",".join([name, *values[length:]]))
    Path("later.csv").write_text("\n".join(tests))
    options = ["--layout", "rows", "--test", "later.csv", "--horizon", "6", "--season", "5", "--model", "seq2seq"]
    assert forecast("\n".join(rows), *options) == 0
    assert "test        6 rows of each" in capsys.readouterr().out
    written = pl.read_csv("runs/forecast-sales-1/predictions.csv")
    assert written["real"].to_list()[:6] == [float(v) for v in tests[1].split(",")[1:]]
    assert written.filter(pl.col("step") == 1)["cutoff"].to_list() == [60, 50]
    Path("later.csv").write_text("\n".join([*tests[:2], tests[2].replace("q", "r")]))
    assert "expected the same series as in sales.csv; 'q' is in one alone" in refused_again(capsys, options)


def refused_again(capsys, options):
    assert cli.main(["forecast", "sales.csv", *QUICK, *options]) == 2
    return capsys.readouterr().err


def test_zeros_negatives_and_a_fall_below_zero_after_the_split(capsys):
    for values in (
        [v - 120 for v in VALUES],
        [0.0 if i % 5 else v for i, v in enumerate(VALUES)],
        [*VALUES[:40], *(-v for v in VALUES[40:])],
    ):
        assert forecast(table(values)) == 0
    assert "nan" not in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_training_leaves_nothing():
    command = [sys.executable, "-m", "statewise", "forecast", "--epochs", "1000000"]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not os.path.exists("runs") and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        job.send_signal(signal.SIGINT)
        _, error = job.communicate(timeout=30)
    finally:
        job.kill()
    # Python itself ends by the signal, which a shell calls 130 as well, if it was inside an exec() when it came.
    assert job.returncode in (130, -signal.SIGINT)
    assert re.fullmatch(r"statewise forecast: interrupted, nothing written\n", error)
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("name", "options", "season"),
    [
        ("monthly-sunspots.csv", [], "none found"),
        ("taylor.csv", ["--horizon", "48", "--stride", "7"], "336 rows"),
        ("ETTh1.csv", ["--target", "OT", "--stride", "7"], ""),
    ],
)
@pytest.mark.slow
def test_other_series_run_and_beat_persistence(name, options, season, capsys):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    assert cli.main(["forecast", str(path), "--windows", "4000", *options]) == 0
    assert f"season      {season}" in capsys.readouterr().out
    (run,) = Path("runs").iterdir()
    model, persistence, *_ = json.loads((run / "metrics.json").read_text())["scores"]
    assert model["mae"] < persistence["mae"]


def test_missing_values_in_a_real_file_are_named(capsys):
    path = SHARED / "pollution.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    assert cli.main(["forecast", str(path), "--time", "No", "--target", "pm2.5"]) == 2
    said = "column 'pm2.5', row 1: expected a number, the value is missing (2067 of 43824"
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_pollution_with_its_gaps_beats_persistence_a_day_ahead(capsys):
    path = SHARED / "pollution.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    data = ["--time", "No", "--target", "pm2.5", "--gaps", "mask", "--observed", "DEWP", "TEMP", "PRES", "cbwd", "Iws"]
    size = ["--horizon", "24", "--season", "24", "--windows", "6000", "--epochs", "3", "--stride", "24", "--out", "run"]
    assert cli.main(["forecast", str(path), *data, *size]) == 0
    model, persistence, *_ = json.loads(Path("run/metrics.json").read_text())["scores"]
    assert model["rmse"] < persistence["rmse"]
    assert model["mae"] < persistence["mae"]
