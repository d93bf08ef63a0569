"""Ratios, means, the share of peak, the tables."""

from __future__ import annotations

import math

import pytest

from benchmarks.cases import FORWARD, TRAINING, Case, Shape
from benchmarks.results import Result, geometric_mean, means
from benchmarks.samples import Summary
from benchmarks.table import (
    everyday_summary,
    everyday_table,
    limits_table,
    markdown,
    means_table,
    page,
    shapes_table,
)

SMALL, LARGE = Shape(2, 3, 4, 5, 1), Shape(20, 30, 40, 50, 1)


def result(
    ratio: float,
    *,
    cell: str = "LSTM",
    shape: Shape = SMALL,
    mode: str = FORWARD,
    threads: int = 1,
    call: str = "",
    disturbed: bool = False,
) -> Result:
    case = Case(cell, shape, mode, threads, call)
    seconds = 1e-3
    summary = Summary(
        times=(seconds, ratio * seconds), reference=1.0, clean=9, taken=10, quartile=1.0, disturbed=disturbed
    )
    return Result(case, summary, peak=4 * case.flops / seconds)  # so that a quarter of peak is reached


def test_geometric_mean() -> None:
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)
    assert geometric_mean([1.0, 4.0, 16.0]) == pytest.approx(4.0)


def test_share_of_peak() -> None:
    assert result(2.0).peak_fraction == pytest.approx(0.25)


def test_limit_is_the_ratio_at_peak() -> None:
    assert result(2.0).limit == pytest.approx(2.0 / 0.25)
    (mean,) = means([result(2.0), result(8.0, shape=LARGE)])
    assert mean.limit == pytest.approx(4.0 / 0.25)
    assert limits_table([mean]).splitlines()[2:] == ["| LSTM, forward | **4.0** of 16 |"]


def test_means_are_taken_over_shapes_alone() -> None:
    results = [result(2.0), result(8.0, shape=LARGE), result(3.0, mode=TRAINING), result(5.0, threads=2)]
    assert [(m.mode, m.threads, round(m.ratio, 6), m.lowest, m.highest) for m in means(results)] == [
        (FORWARD, 1, 4.0, 2.0, 8.0),
        (TRAINING, 1, 3.0, 3.0, 3.0),
        (FORWARD, 2, 5.0, 5.0, 5.0),
    ]


def test_markdown() -> None:
    assert markdown([["a", "b"], ["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_means_table_has_a_row_a_mode_and_a_column_a_thread_count() -> None:
    lines = means_table(means([result(2.0), result(8.0, shape=LARGE), result(3.0, threads=2)])).splitlines()
    assert lines[0].endswith("| 1 thread | 2 threads |")
    assert lines[2:] == ["| LSTM, forward | **4.0** (2.0 to 8.0) | **3.0** (3.0 to 3.0) |"]


def test_shapes_table_leaves_a_dash_where_nothing_was_measured() -> None:
    table = shapes_table([result(2.0), result(3.0, shape=LARGE, threads=2), result(9.0, cell="GRU")], "LSTM")
    assert table.splitlines()[2:] == [
        "| 2,3,4,5,1 | **2.00**, 25%, 8.0 | - |",
        "| 20,30,40,50,1 | - | **3.00**, 25%, 12 |",
    ]


def test_the_page_shows_every_cell_once() -> None:
    text = page([result(2.0), result(3.0, cell="GRU")], "a machine")
    assert text.count("## LSTM") == text.count("## GRU") == 1
    assert "on a machine." in text


def test_everyday_calls_have_a_mean_of_their_own_and_no_limit() -> None:
    results = [result(3.0), result(0.5, call="packed"), result(8.0, call="cell", mode=TRAINING)]
    plain, everyday = means(results)
    assert (plain.mode, plain.ratio) == (FORWARD, pytest.approx(3.0))
    assert (everyday.mode, everyday.ratio, everyday.lowest) == ("everyday calls", pytest.approx(2.0), 0.5)
    assert len(limits_table([plain, everyday]).splitlines()) == 3
    assert "limit" not in results[1].as_dict()
    assert results[1].as_dict()["call"] == "packed"


def test_everyday_calls_are_told_one_by_one_and_together() -> None:
    results = [
        result(0.5, call="packed", threads=2),
        result(8.0, call="packed", threads=2, cell="GRU", disturbed=True),
        result(2.0, call="cell", mode=TRAINING),
    ]
    assert (
        everyday_table(results).splitlines()[0].endswith("| mode | LSTM, 2 threads | GRU, 2 threads | LSTM, 1 thread |")
    )
    assert everyday_table(results).splitlines()[2:] == [
        "| packed | 2,3,4,5,1 | forward | **0.50** | **8.00** (busy) | - |",
        "| cell | 2,3,4,5,1 | forward+backward | - | - | **2.00** |",
    ]
    assert everyday_summary(results).splitlines() == [
        "- 2 threads: geometric mean **2.00** over 2; lowest 0.50 (LSTM, packed, forward); 1 under 1.0",
        "- 1 thread: geometric mean **2.00** over 1; lowest 2.00 (LSTM, cell, forward+backward); 0 under 1.0",
    ]


def test_the_page_tells_everyday_calls_apart() -> None:
    text = page([result(2.0), result(3.0, call="packed", cell="GRU")], "a machine")
    shapes, everyday = text.split("## Everyday calls")
    assert "## GRU" not in shapes
    assert "| packed |" in everyday


def test_json_holds_plain_rounded_numbers() -> None:
    row = result(2.0).as_dict()
    assert row["statewise_us"] == 1000.0
    assert row["torch_us"] == 2000.0
    assert row["ratio"] == 2.0
    assert (row["T"], row["cell"], row["clean_samples"]) == (2, "LSTM", 9)
    assert all(isinstance(v, str | int) or math.isfinite(v) for v in row.values())
