"""The panel of public series: sets come in one form, methods read what they may, scores are what they are called."""

from __future__ import annotations

import csv
import hashlib
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

from panel import baselines, command, fetch, limit, measure, protocol, report  # noqa: E402
from panel.protocol import Array, Problem  # noqa: E402

MONTHLY = fetch.Source("tiny", "some/where", "0" * 40, "a b.csv", "", "M", 3, "Month", "Count", "Shop")


def months(first: str, count: int) -> list[str]:
    """2001 Jan, 2001 Feb ..."""
    return [date.strftime("%Y %b") for date in pd.date_range(first, periods=count, freq="MS")]


@pytest.fixture
def problem() -> Problem:
    """Two series of 60 months that repeat each year, ten times as high the second; the second has a gap."""
    year = np.arange(12.0)
    values = [np.tile(year, 5), 10 * np.tile(year, 5)]
    values[1][7] = np.nan
    return protocol.cut("two", "M", 3, ["a", "b"], [[str(t) for t in range(60)]] * 2, values)


def test_every_set_is_named_once_and_has_a_checksum() -> None:
    """And both halves are large; what defaults were made with is in none that figures are reported of."""
    sources = fetch.sources()
    assert len({source.name for source in sources}) == len(sources)
    assert all(len(source.sha256) == 64 and len(source.commit) == 40 for source in sources)
    assert all(source.repository in fetch.LICENCES for source in sources)
    halves = [source.half for source in sources]
    assert min(halves.count("dev"), halves.count("report")) >= 24
    assert {source.half for source in sources if source.name in fetch.SEEN} == {"dev"}


def test_a_file_that_is_not_the_one_named_is_refused(tmp_path: Path) -> None:
    """From a folder of copies as from the net."""
    (tmp_path / "some/where").mkdir(parents=True)
    (tmp_path / "some/where/a b.csv").write_text("x")
    assert MONTHLY.url.endswith("/some/where/" + "0" * 40 + "/a%20b.csv")
    with pytest.raises(ValueError, match="tiny"):
        fetch.fetch(MONTHLY, tmp_path)
    assert fetch.fetch(replace(MONTHLY, sha256=hashlib.sha256(b"x").hexdigest()), tmp_path) == b"x"


def test_a_long_table_becomes_series_on_a_grid(tmp_path: Path) -> None:
    """A month that is left out, and one without a value, are gaps; a far shorter series than the longest is dropped."""
    table = pd.DataFrame({"Month": months("2001-01-01", 40), "Count": np.arange(40.0), "Shop": "a"})
    table.loc[5, "Count"] = np.nan
    short = pd.DataFrame({"Month": months("2001-01-01", 5), "Count": 1.0, "Shop": "b"})
    fetch.tidy(pd.concat([table.drop(index=3), short]), MONTHLY).to_csv(tmp_path / "tiny.csv", index=False)
    found = protocol.load(MONTHLY, tmp_path)
    assert (found.ids, found.season, found.seasons) == (["a"], 12, [12])
    assert np.flatnonzero(np.isnan(found.values[0])).tolist() == [3, 5]
    assert found.values[0][39] == 39
    assert found.times[0][0].startswith("2001-01-01")


@pytest.mark.parametrize(("value", "key"), [("*", ""), ("rows", "name")])
def test_wide_tables_have_a_series_a_column_or_a_line(value: str, key: str) -> None:
    """Rows are counted where there are no dates."""
    source = replace(MONTHLY, frequency="row", time="", value=value, id=key)
    columns = pd.DataFrame({"rownames": range(14), "a": np.arange(14.0), "b": 2 * np.arange(14.0)})
    lines = columns[["a", "b"]].T.rename_axis("name").reset_index()
    found = fetch.tidy(columns if value == "*" else lines, source)
    assert found["id"].tolist() == ["a"] * 14 + ["b"] * 14
    assert found["time"].tolist() == [*range(14)] * 2
    assert found["y"].tolist() == [*range(14), *range(0, 28, 2)]


@pytest.mark.parametrize(
    ("frequency", "written", "meant"),
    [
        ("Q", ["1998 Q2"], "1998-04-01"),
        ("Q", [1956.75], "1956-10-01"),
        ("M", [1949.083333], "1949-02-01"),
        ("W", ["1989 W28"], "1989-07-10"),
        ("h", ["2016-10-22 01:00:00"], "2016-10-22 01:00"),
    ],
)
def test_dates_in_the_ways_that_sources_write_them(frequency: str, written: list[Any], meant: str) -> None:
    """Years with a fraction, quarters, ISO weeks."""
    column = fetch._times(pd.Series(written), replace(MONTHLY, frequency=frequency))
    assert pd.Series(column)[0] == pd.Timestamp(meant)


def test_origins_lie_in_the_test_part_and_methods_see_nothing_of_it(problem: Problem) -> None:
    """The last five horizons, and the last forecast ends with the series."""
    assert problem.rows == 15
    rows = [row for s, row in problem.origins if s == 0]
    assert (rows[0], rows[-1]) == (45, 57)
    assert len(problem.before(1)) == 45
    assert np.isfinite(problem.before(1)).all()
    assert len(problem.past(0, 50)) == 50


def test_a_seasonal_forecast_is_right_where_years_repeat(problem: Problem) -> None:
    """And is scored in what it misses before the test part, as everybody; the gap is no part of either."""
    noisy = [values + np.random.default_rng(s).normal(size=60) for s, values in enumerate(problem.values)]
    found = replace(problem, values=noisy)
    repeated = baselines.simple(partial(baselines.seasonal, season=12))(found)
    last = baselines.simple(baselines.naive)(found)
    assert repeated.shape == (len(found.origins), 3, 5)
    assert (np.diff(repeated[..., [0, 1, 3, 4]], axis=-1) >= 0).all()
    assert protocol.score(found, repeated).mase < 1.5 < protocol.score(found, last).mase
    exact = np.repeat(found.real[..., None], 5, axis=2)
    assert protocol.score(found, exact) == protocol.Score(0.0, 0.0, 1.0, 1.0)


def test_scores_by_hand() -> None:
    """A series that grows by 2 a row, so that the scale is 2, forecast 3 too high."""
    found = protocol.cut("line", "row", 2, ["a"], [[str(t) for t in range(40)]], [2 * np.arange(40.0)])
    quantiles = found.real[..., None] + 3 + np.array([-4.0, -1.0, 0.0, 1.0, 4.0])
    result = protocol.score(found, quantiles)
    levels, above = np.array(protocol.LEVELS), -np.array([-1.0, 2.0, 3.0, 4.0, 7.0])
    assert result.mase == pytest.approx(1.5)
    assert result.loss == pytest.approx(2 * np.maximum(levels * above, (levels - 1) * above).mean() / 2)
    assert (result.cover80, result.cover95) == (0.0, 1.0)


def test_regressions_learn_a_repeating_year(problem: Problem) -> None:
    """Windows are in their own unit, so one model serves both series."""
    filled = replace(problem, values=[protocol.filled(values) for values in problem.values])
    for fit, error in ((baselines.ridge, 0.2), (baselines.boosted, 1.5)):
        found = baselines.learnt(fit)(filled)
        scale = np.array([1.0, 10.0])[[s for s, _ in filled.origins]]
        assert (np.abs(found[..., 2] - filled.real) / scale[:, None]).mean() < error


def test_the_command_is_told_the_columns_and_its_forecasts_are_found_again(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the place of the command stands one that says where each forecast begins."""

    def run(told: list[str], **_: Any) -> None:
        assert told[5] == "--no-statistical"
        options = dict(zip(told[6::2], told[7::2], strict=True))
        before, test = (
            list(csv.DictReader(Path(file).read_text().splitlines())) for file in (told[4], options["--test"])
        )
        assert max(int(line["time"]) for line in before) == 44
        assert {int(line["time"]) for line in test} == {*range(45, 60)}
        assert options["--gaps"] == "mask"
        assert len(before) == 2 * 45 - 1
        horizon, stride = int(options["--horizon"]), int(options["--stride"])
        folder = Path(options["--out"])
        folder.mkdir()
        with (folder / "predictions.csv").open("w") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "time", "step", "cutoff", "y", "forecast", "q0.025", "q0.1", "q0.9", "q0.975"])
            for s, name in enumerate("ab"):
                for origin in range(45, 58, stride):
                    for step in range(horizon):
                        value = 1000 * s + origin + step / 10
                        rows.writerow([name, "", "", step + 1, 0, value, value - 2, value - 1, value + 1, value + 2])

    monkeypatch.setattr(subprocess, "run", run)
    found = command.statewise(problem)
    wanted = np.array([[1000 * s + row + step / 10 for step in range(3)] for s, row in problem.origins])
    assert np.array_equal(found[..., 2], wanted)
    assert np.allclose(found - found[..., 2:3], [-2, -1, 0, 1, 2])


def record(half: str, **errors: float) -> dict[str, Any]:
    """Of a set on which each method has an error."""
    scores = {
        name.replace("_", " "): {"mase": error, "loss": error / 2, "cover80": 0.8, "cover95": 0.9}
        for name, error in errors.items()
    }
    return {"half": half, "frequency": "M", "series": 1, "rows": 60, "horizon": 3, "scores": scores}


def test_the_page_tells_who_won() -> None:
    """Against the best of the simple ones, and of the field; sets without a figure of the command are left out."""
    records = {
        "won": record("report", statewise=0.5, naive=1.0, seasonal_naive=2.0, AutoETS=0.4),
        "lost": record("report", statewise=2.0, naive=1.0, linear=4.0),
        "unmeasured": record("report", naive=1.0),
    }
    assert report.ratio(records["won"], simple=True) == (0.5, "naive")
    assert report.ratio(records["won"], simple=False) == (1.25, "AutoETS")
    line = report.summary(records).splitlines()[-1]
    assert [cell.strip() for cell in line.split("|")][1:8] == [
        "kept apart",
        "2",
        "1.000",
        "1.250",
        "50%",
        "50%",
        "2.00",
    ]
    records["won"]["scores"][report.EXTRA] = records["won"]["scores"]["statewise"] | {"mase": 0.25}
    assert report.ratio(records["won"], simple=False) == (1.25, "AutoETS")  # the command isn't its own rival
    short = [[cell.strip() for cell in line.split("|")][1:4] for line in report.summary(records).splitlines()[-2:]]
    assert [row[1:] for row in short] == [["1", "0.500"], ["1", "0.250"]]
    rows = report.sets(records, "report").splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["lost", "won"]


def test_a_method_that_fails_has_no_score(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others keep theirs, measured before."""
    problem.values[0][:] = np.arange(60.0)

    def broken(_: Problem) -> Array:
        raise ValueError("no")

    monkeypatch.setattr(measure, "statewise", broken)
    monkeypatch.setattr(measure, "methods", lambda _: {"naive": baselines.simple(baselines.naive)})
    kept = {"scores": {"statewise": {"mase": 1.0}, "AutoETS": {"mase": 2.0}}}
    assert set(measure.measured(problem, "dev", kept, None)["scores"]) == {"naive", "AutoETS"}
    assert set(measure.measured(problem, "dev", kept, "naive")["scores"]) == {"statewise", "naive", "AutoETS"}


def test_the_command_is_measured_with_statistics_where_it_takes_them(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short series without gaps; everywhere it is measured without them."""

    def own(problem: Problem, *, statistical: bool = False) -> Array:
        asked.append(statistical)
        return np.zeros((len(problem.origins), problem.horizon, 5))

    asked: list[bool] = []
    monkeypatch.setattr(measure, "statewise", own)
    monkeypatch.setattr(measure, "methods", lambda _: {})
    problem.values[0][:] = np.arange(60.0) ** 2
    assert set(measure.measured(problem, "dev", {}, None)["scores"]) == {"statewise"}  # there is a gap
    problem.values[:] = [np.arange(60.0) ** 2, np.arange(60.0)[::-1] ** 2]
    assert set(measure.measured(problem, "dev", {}, None)["scores"]) == {"statewise", report.EXTRA}
    assert asked == [False, False, True]


def test_times_beside_several_columns_of_values() -> None:
    """Each column is a series with all of them."""
    table = pd.DataFrame({"a": range(12), "b": range(12)})
    table["Month"] = pd.date_range("2020-01", periods=12, freq="MS").strftime("%Y-%m")
    long = fetch.tidy(table, replace(MONTHLY, time="Month", value="*", id="", horizon=3))
    assert long.groupby("id").size().to_dict() == {"a": 12, "b": 12}
    assert long["y"].tolist() == [*range(12), *range(12)]


def test_what_could_be_had_is_the_best_forecast_of_its_law() -> None:
    """Its mean misses by what is yet to come alone, and its intervals hold what they say, with a season and without."""
    random, horizon, origins = np.random.default_rng(0), 9, range(30, 6000, 3)
    for law in (limit.Law(1.0, 0.0, 1), limit.Law(0.4, 0.3, 4)):
        values, level, season = law.drawn(6009, random)
        found = np.stack([law.forecast(level, season, row, horizon) for row in origins])  # (n, H, Q)
        missed = np.stack([values[row : row + horizon] for row in origins]) - found[..., 2]
        assert missed[:, 0].std() == pytest.approx(1.0, rel=0.05)
        assert abs(missed.mean()) < 0.2
        held = np.abs(missed) <= found[..., 3] - found[..., 2]  # (n, H)
        np.testing.assert_allclose(held.mean(0), 0.8, atol=0.03)


def test_what_could_be_had_is_scored_beside_the_simple_ones() -> None:
    """On series of the set's shape."""
    shape = {"half": "last", "frequency": "Q", "series": 2, "rows": 60, "horizon": 4, "scores": {}}
    found = limit.record(shape, 0.5, np.random.default_rng(0))
    assert set(found["scores"]) == {"statewise", "naive", "drift", "seasonal naive (4)", "linear"}
    assert limit.table({0.5: [found]}).splitlines()[-1].startswith("| 50% | ")
