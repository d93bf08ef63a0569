"""``statewise forecast`` from the command line: what it prints and writes, and every input that it refuses."""

from __future__ import annotations

import errno
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
from statewise.jobs import InputError
from statewise.jobs.forecast import load, read_series
from statewise.jobs.runs import new_run

FILES = ["forecast.png", "metrics.json", "model.safetensors", "predictions.csv"]
QUICK = ["--seeds", "1", "--updates", "2"]
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
    assert err == ""  # no progress bar where nobody looks
    rmse = {
        name: float(value) for name, value in re.findall(r"^(.*\S)  +([\d.]+)  +[\d.]+  +[\d.]+$", out, re.MULTILINE)
    }
    assert rmse["LSTM"] <= 15.5
    assert rmse["the same, network outputs zero"] == 16.37
    assert rmse["persistence"] == 49.97
    assert rmse["seasonal naive (12)"] == 42.71
    assert "The LSTM beats" in out
    folder = Path("runs/forecast-airline-passengers-1")
    assert f"{folder}: {', '.join(FILES)}" in out
    assert sorted(os.listdir(folder)) == FILES
    assert os.listdir("runs") == [folder.name]

    written = pl.read_csv(folder / "predictions.csv")
    assert written.columns == ["time", "real", "predicted", "part"]
    assert written["part"].to_list() == ["train"] * 101 + ["test"] * 43
    assert written["time"][0] == "1949-01"
    test = written.filter(pl.col("part") == "test")
    assert np.sqrt(np.mean((test["real"] - test["predicted"]).to_numpy() ** 2)) == pytest.approx(rmse["LSTM"], abs=0.01)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["scores"][0]["rmse"] == pytest.approx(rmse["LSTM"], abs=0.01)
    assert metrics["rows"] == {"training": 101, "test": 43}
    again = load(folder / "model.safetensors").predict(read_series().values)[:-1]
    np.testing.assert_array_equal(again[13:], written["predicted"].to_numpy()[13:])
    assert (folder / "forecast.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_run_twice_writes_the_same_bytes_into_two_folders(capsys):
    assert forecast(table()) == forecast(None) == 0
    capsys.readouterr()
    first, second = (Path(f"runs/forecast-sales-{n}") for n in (1, 2))
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_out_names_the_folder(capsys):
    Path("empty").mkdir()
    for out in ("a/b/c", "empty"):
        assert forecast(table(), "--out", out) == 0
        assert sorted(os.listdir(out)) == FILES
    assert not Path("runs").exists()


def test_a_model_that_loses_says_so(capsys):
    walk = np.cumsum(np.random.default_rng(3).standard_normal(60)).tolist()
    content = "y\n" + "\n".join(f"{v:.3f}" for v in walk) + "\n"
    assert forecast(content, "--updates", "300", "--hidden", "32", name="walk.csv") == 0
    out = capsys.readouterr().out
    assert "The LSTM loses to" in out
    assert "persistence in RMSE" in out


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_cells(cell, capsys):
    assert forecast(table(), "--cell", cell, "--season", "12") == 0
    assert f"\n{cell.upper()} " in capsys.readouterr().out


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
    series = read_series(Path("sales.csv"))
    assert (series.time, series.target, series.step, series.cycles) == ("month", "sales", "month", (12,))
    assert series.labels == MONTHS
    np.testing.assert_array_equal(series.values, VALUES)


def test_parquet(capsys):
    from datetime import date

    days = [date(1990 + i // 12, i % 12 + 1, 1) for i in range(48)]
    pl.DataFrame({"day": days, "y": VALUES, "text": ["x"] * 48}).write_parquet("sales.parquet")
    series = read_series(Path("sales.parquet"))
    assert (series.time, series.target, series.step) == ("day", "y", "month")
    assert series.labels[1] == "1990-02-01"
    assert "a damaged Parquet file" in refused(capsys, b"PAR1 and no more", name="bad.parquet")


@pytest.mark.parametrize(
    ("times", "step", "cycles"),
    [
        ([f"{1990 + i}" for i in range(40)], "row", None),
        ([f"{1990 + i // 4}Q{i % 4 + 1}" for i in range(40)], "quarter", (4,)),
        ([f"{1990 + i // 4}/{3 * (i % 4) + 1}/1" for i in range(40)], "quarter", (4,)),
        ([f"{1990 + i}-12-31" for i in range(40)], "year", None),
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
    series = read_series(Path("x.csv"))
    assert (series.time, series.target, series.step, series.cycles) == ("when", "y", step, cycles)
    assert series.ahead == (f"{step} ahead" if step[0].isdigit() else f"one {step} ahead")


def test_month_first_and_day_first_are_told_apart():
    from datetime import date, timedelta

    days = [date(2021, 1, 1) + timedelta(i) for i in range(40)]
    for form in ("%m/%d/%Y", "%d/%m/%Y"):
        Path("x.csv").write_text("d,y\n" + "\n".join(f"{d.strftime(form)},{i * 7 % 5}.5" for i, d in enumerate(days)))
        assert read_series(Path("x.csv")).when.astype("datetime64[D]").tolist() == days


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "sales.csv: no such file"),
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"\x00\x01\x02\xff" * 50, "neither Parquet nor text in UTF-8"),
        (b"a,b\n\xff\xfe,1\n", "neither Parquet nor text in UTF-8"),
        ("month,sales\n", "0 rows, at least 30 are needed"),
        (table(VALUES[:29], MONTHS[:29]), "29 rows, at least 30 are needed"),
        (table(header="1990-01,3"), "the first line must name the columns, it reads '1990-01, 3'"),
        (table(header="sales,sales"), "two columns are named 'sales'"),
        (table() + "1994-01,5,6\n", "not a regular CSV table"),
        (table([f"{m},1" for m in MONTHS]), "not a regular CSV table"),
        (table(replaced(7, "abc")), "column 'sales', row 7: expected a number, got 'abc'"),
        (table(replaced(7, "")), "column 'sales', row 7: expected a number, the value is missing (1 of 48 are)"),
        (table(replaced(7, "NA")), "column 'sales', row 7: expected a number, the value is missing"),
        (table(replaced(7, "nan")), "row 7: expected a number, the value is missing"),
        (table(replaced(7, "inf")), "row 7: expected a finite number, got 'inf'"),
        (table(replaced(7, "1e200")), "row 7: expected a finite number, got '1e200'"),
        (table(replaced(7, "1.234,5".replace(",", "'"))), "row 7: expected a number, got"),
        (
            table([str(v).replace(".", ",") for v in VALUES], header="month;sales", sep=";"),
            "got '100,0'; write a point",
        ),
        (table(["x"] * 48), "no column of numbers to forecast; there are: month, sales"),
        (table([5] * 48), "column 'sales' never changes in the training part: 34 times 5"),
        (table([5] * 34 + VALUES[34:]), "column 'sales' never changes in the training part"),
        (table(header="month,a,b", values=[f"{v},{-v}" for v in VALUES]), "choose with --target: a, b"),
        (
            table(months=[*MONTHS[:9], "soon", *MONTHS[10:]]),
            "column 'month', row 10: expected a date or time, got 'soon'",
        ),
        (table(months=[*MONTHS[:9], "", *MONTHS[10:]]), "column 'month', row 10: expected a date or time, got nothing"),
        (table(months=[*MONTHS[:9], MONTHS[8], *MONTHS[10:]]), "row 10: the time 1990-09 comes twice in a row"),
        (table(months=MONTHS[::-1]), "row 2: the time goes back from 1993-12 to 1993-11; sort the rows by time"),
        (table(VALUES[1:], MONTHS[:9] + MONTHS[10:]), "row 10: from 1990-09 to 1990-11 is 1 missing"),
        (table(VALUES[:32], [f"2020-01-{i:02}" for i in range(1, 32)] + ["2020-01-31 05:00"]), "row 32"),
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
        (["--season", "0"], "--season 0: two seasons must fit into the 34 training rows, so 1 to 17"),
        (["--season", "18"], "--season 18: two seasons"),
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


def test_gaps_can_be_ignored(capsys):
    assert forecast(table(VALUES[1:], MONTHS[:9] + MONTHS[10:]), "--ignore-gaps") == 0
    assert "one row ahead" in capsys.readouterr().out


def test_zeros_negatives_and_a_fall_below_zero_after_the_split(capsys):
    for values in (
        [v - 120 for v in VALUES],
        [0.0 if i % 5 else v for i, v in enumerate(VALUES)],
        [*VALUES[:40], *(-v for v in VALUES[40:])],
    ):
        assert forecast(table(values)) == 0
    assert "nan" not in capsys.readouterr().out


def test_a_full_disk_is_one_line():
    def fill():
        with new_run("forecast", "x", None):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match="can't write to runs: No space left on device"):
        fill()
    assert os.listdir() == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, BrokenPipeError])
def test_a_run_that_fails_leaves_nothing(error):
    def fail(out):
        with new_run("forecast", "x", out) as run:
            (run.draft / "half").write_text("written")
            raise error

    for out in (None, Path("a/b")):
        with pytest.raises(error):
            fail(out)
        assert os.listdir() == []


def test_a_run_folder_that_others_use_stays(tmp_path):
    (tmp_path / "runs" / "other").mkdir(parents=True)
    (tmp_path / "runs" / "forecast-x-1").mkdir()
    with new_run("forecast", "x", None) as run:
        assert run.folder is None
    assert run.folder == Path("runs/forecast-x-2")
    assert sorted(os.listdir("runs")) == ["forecast-x-1", "forecast-x-2", "other"]


def test_a_name_of_any_characters_makes_a_plain_folder():
    with new_run("forecast", "../a b/ü", None) as run:
        pass
    assert run.folder == Path("runs/forecast-a-b-1")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_in_the_middle_of_training_leaves_nothing():
    command = [sys.executable, "-m", "statewise", "forecast", "--updates", "1000000"]
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
    [("monthly-sunspots.csv", [], "none found"), ("taylor.csv", [], "336 rows"), ("ETTh1.csv", ["--target", "OT"], "")],
)
def test_other_series_run_and_beat_the_zero_network(name, options, season, capsys):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    assert cli.main(["forecast", str(path), "--seeds", "2", "--updates", "50", *options]) == 0
    out = capsys.readouterr().out
    assert f"season    {season}" in out
    assert "in RMSE (" not in out  # so says the line that names what it loses to


def test_missing_values_in_a_real_file_are_named(capsys):
    path = SHARED / "pollution.csv"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    assert cli.main(["forecast", str(path), "--target", "pm2.5"]) == 2
    assert "column 'pm2.5', row 1: expected a number, the value is missing (2067 of 43824" in capsys.readouterr().err
