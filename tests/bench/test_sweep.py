"""The sweep: which cases there are, and where the cost of a step rises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import sweep
from benchmarks.cases import CELLS, FORWARD, MODES, Case
from benchmarks.results import Result
from benchmarks.samples import Summary


def result(seconds: float, *, cell: str = "LSTM", mode: str = FORWARD, **sizes: int) -> Result:
    case = Case(cell, replace(sweep.BASE, **sizes), mode, 1)
    summary = Summary(times=(seconds, 2 * seconds), reference=1.0, clean=9, taken=10, quartile=1.0)
    return Result(case, summary, peak=2 * case.flops / seconds)


def proportional(size: str, *values: int) -> list[Result]:
    return [
        result(1e-6 * Case("LSTM", replace(sweep.BASE, **{size: v}), FORWARD, 1).flops, **{size: v}) for v in values
    ]


def test_every_size_once_with_every_cell_and_mode() -> None:
    every = list(sweep.cases(CELLS, MODES, 1))
    shapes = {case.shape for case in every}
    assert len(every) == len(set(every)) == len(shapes) * len(CELLS) * len(MODES)
    for size, values in sweep.SIZES.items():
        assert {getattr(s, size) for s in shapes if replace(s, **{size: 1}) == replace(sweep.BASE, **{size: 1})} == set(
            values
        )
        assert getattr(sweep.BASE, size) in values  # so that all lines cross there


def test_lines_run_from_small_to_large_and_share_the_base() -> None:
    points = [result(1.0, T=256), result(1.0), result(1.0, N=32), result(1.0, T=8)]
    found = {(line.size, *line.values) for line in sweep.lines(points)}
    assert found == {("T", 8, 64, 256), ("N", 16, 32)}


@pytest.mark.parametrize("size", sweep.SIZES)
def test_proportional_cost_has_no_rise(size: str) -> None:
    (line,) = sweep.lines(proportional(size, 16, 64, 256))
    assert line.rises() == []
    assert sweep.rises([line]) == "Nowhere."


@pytest.mark.parametrize(("size", "unit"), [("T", "a step"), ("H", "an operation")])
def test_a_rise_is_named_with_torchs_own(size: str, unit: str) -> None:
    small, large = proportional(size, 64, 128)
    dear = replace(large.summary, times=(1.5 * large.summary.ours, large.summary.theirs))
    (line,) = sweep.lines([small, replace(large, summary=dear)])
    assert sweep.rises([line]) == f"- {size} 64 to 128, LSTM, forward: +50% {unit} (torch.nn +0%)"


def test_the_section_has_a_table_for_each_size() -> None:
    text = sweep.section([*proportional("T", 16, 64), *proportional("H", 16, 64)], "a machine")
    assert text.count("### Along") == 2
    assert "| 16 | 50% (2.0) |" in text
    assert "on a machine." in text
