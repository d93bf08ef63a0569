"""The sweep: which cases there are, and where the cost of a step rises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.case import CELLS, FORWARD, MODES, Case
from benchmarks.kinds import sweep
from benchmarks.record import Record


def result(us: float, *, mode: str = FORWARD, **sizes: int) -> list[Record]:
    case = Case("LSTM", replace(sweep.BASE, **sizes), mode, 1)
    peak = 2 * case.flops / us / 1e3  # GFLOP/s, of which the half is reached
    return [Record(case, "statewise", us, 1.0, peak=peak), Record(case, "torch.nn", 2 * us, 2.0, peak=peak)]


def proportional(size: str, *values: int, factor: float = 1.0) -> list[Record]:
    flops = [Case("LSTM", replace(sweep.BASE, **{size: v}), FORWARD, 1).flops for v in values]
    return [r for v, f in zip(values, flops, strict=True) for r in result(factor * f / 1e6, **{size: v})]


def test_every_size_once_with_every_cell_and_mode() -> None:
    every = list(sweep.cases((), [1]))
    shapes = {case.shape for case in every}
    assert len(every) == len(set(every)) == len(shapes) * len(CELLS) * len(MODES)
    for size, values in sweep.SIZES.items():
        alone = {s for s in shapes if replace(s, **{size: 1}) == replace(sweep.BASE, **{size: 1})}
        assert {getattr(s, size) for s in alone} == set(values)
        assert getattr(sweep.BASE, size) in values  # so that all lines cross there


def test_lines_run_from_small_to_large_and_share_the_base() -> None:
    points = [r for sizes in ({"T": 256}, {}, {"N": 32}, {"T": 8}) for r in result(1.0, **sizes)]
    found = {(size, *(p.value for p in line)) for (size, _, _), line in sweep.lines(points).items()}
    assert found == {("T", 8, 64, 256), ("N", 16, 32)}


@pytest.mark.parametrize("size", sweep.SIZES)
def test_proportional_cost_has_no_rise(size: str) -> None:
    assert sweep.sections(proportional(size, 16, 64, 256))["rises"] == "Nowhere."


@pytest.mark.parametrize(("size", "unit"), [("T", "a step"), ("H", "an operation")])
def test_a_rise_is_named_with_torchs_own(size: str, unit: str) -> None:
    dear, theirs = proportional(size, 128, factor=1.5)
    records = [*proportional(size, 64), dear, replace(theirs, value=theirs.value * 4 / 3)]
    assert sweep.sections(records)["rises"] == f"- {size} 64 to 128, LSTM, forward: +50% {unit} (torch.nn +100%)"


def test_there_is_a_table_for_each_size() -> None:
    found = sweep.sections([*proportional("T", 16, 64), *proportional("H", 16, 64)])
    assert "| 16 | 50% (2.0) |" in found["sweep-H"]
    assert [line.split(" | ")[0] for line in found["sweep-T"].splitlines()[2:]] == ["| 16", "| 64"]
