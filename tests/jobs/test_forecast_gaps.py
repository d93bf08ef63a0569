"""``--gaps carry``: what is put into a gap is read as a value, but it is none, and nothing is held against it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from statewise import cli
from statewise.jobs import Forecaster

ROWS = 120
DAYS = [str(np.datetime64("2020-01-01") + n) for n in range(ROWS)]
VALUES = np.round(50 + 9 * np.sin(np.arange(ROWS) * 2 * np.pi / 7) + np.random.default_rng(0).normal(size=ROWS), 2)
GAPS = range(90, 110, 4)  # inside the test part


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(missing):
    """A file without the rows ``missing``."""
    lines = [f"{day},{value}" for row, (day, value) in enumerate(zip(DAYS, VALUES, strict=True)) if row not in missing]
    Path("sales.csv").write_text("\n".join(["day,sales", *lines]) + "\n")
    return "sales.csv"


@pytest.mark.parametrize("model", ["lstm", "seq2seq"])
def test_filled_values_are_counted_and_not_scored(model, capsys):
    options = ["--horizon", "4", "--ensemble", "1", "--epochs", "1", "--season", "7", "--model", model, "--out", "run"]
    assert cli.main(["forecast", written(GAPS), "--gaps", "carry", *options]) == 0
    assert (
        f"  missing     {len(GAPS)} values: not scored, not learnt from, read as the last value"
        in capsys.readouterr().out
    )
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["data"]["missing"] == len(GAPS)
    with Path("run/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    invented = {DAYS[row] for row in GAPS}
    assert all((row["sales"] == "") == (row["day"] in invented) for row in rows)
    errors = [abs(float(row["sales"]) - float(row["forecast"])) for row in rows if row["sales"]]
    assert metrics["scores"][0]["mae"] == pytest.approx(np.mean(errors), rel=1e-6)


def test_what_is_filled_does_not_become_a_target(tmp_path):
    # All of the odd values of a row of +1 and -1 are missing: repeated, they would be +1 as well, and nothing changes.
    y = np.where(np.arange(200) % 2, -1.0, 1.0)
    y[150:-1][y[150:-1] < 0] = np.nan
    filled = Forecaster(model="seq2seq", horizon=2, season=1, gaps="carry", units=4, epochs=1).fit(y)
    assert np.isfinite(filled.predict()).all()
    rows = Path("rows.csv")
    rows.write_text(
        "\n".join(
            [
                ",".join(f"t{n}" for n in range(60)),
                *[",".join("" if n in (50, 55) else str(n % 7 + s) for n in range(60)) for s in (1, 2)],
            ]
        )
        + "\n"
    )
    assert (
        cli.main(
            [
                "forecast",
                "rows.csv",
                "--layout",
                "rows",
                "--gaps",
                "carry",
                "--horizon",
                "2",
                "--epochs",
                "1",
                "--ensemble",
                "1",
                "--out",
                "r",
            ]
        )
        == 0
    )
    assert json.loads(Path("r/metrics.json").read_text())["data"]["missing"] == 4


def test_a_test_file_has_its_gaps_too(capsys):
    whole = written(GAPS)
    lines = Path(whole).read_text().splitlines()
    Path("train.csv").write_text("\n".join(lines[:81]) + "\n")
    Path("test.csv").write_text("\n".join([lines[0], *lines[81:]]) + "\n")
    options = ["--gaps", "carry", "--horizon", "4", "--ensemble", "1", "--epochs", "1", "--season", "7", "--out", "run"]
    assert cli.main(["forecast", "train.csv", "--test", "test.csv", *options]) == 0
    assert json.loads(Path("run/metrics.json").read_text())["data"]["missing"] == len(GAPS)
