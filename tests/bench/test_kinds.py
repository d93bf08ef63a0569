"""The kinds of run that have no file of their own here: cells and options, small calls, bfloat16, memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import statewise
from benchmarks.case import CELLS, FORWARD, MODES, TRAINING, Case, Shape
from benchmarks.clock import Effort
from benchmarks.kinds import bfloat16, cells, memory, narrow, overhead
from benchmarks.record import Record, by_case
from benchmarks.runner import Kind, run

INSTANT = Effort(clean=1, at_least=1, seconds=0.0, sample=0.0)
TINY = Shape(3, 2, 8, 8, 1)
linux = pytest.mark.skipif(not memory.RESET_PEAK.exists(), reason="the peak is read from Linux's /proc")


def measured(kind: Kind, cases: list[Case]) -> list[Record]:
    records, failed = run(replace(kind, effort=INSTANT), cases)
    assert not failed
    return records


@pytest.mark.usefixtures("steady_clock", "no_reference_product", "threads")
@pytest.mark.slow
def test_every_cell_and_option_is_measured_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda steps: steps)
    monkeypatch.setattr(cells, "SHAPE", TINY)
    every = list(cells.cases((), [1]))
    assert [c.name for c in every if c.cell == "cell"][::2] == [c.name for c in statewise.cells.CELLS]
    records = measured(cells.KIND, every)
    assert [r.case for r in records if r.side == "statewise"] == every
    assert all(r.error is not None and r.error < 1e-4 for r in records if r.side == "statewise")
    table = cells.sections(records)["cells"]
    assert all(f"| {c.name} |" in table or f"| `{c.name}` |" in table for c in every)


def test_the_loop_in_python_is_an_lstm() -> None:
    loop, layer = cells.Loop(3, 5), statewise.LSTM(3, 5)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(loop.input.weight)
        layer.bias_ih_l0.copy_(loop.input.bias)
        layer.weight_hh_l0.copy_(loop.recurrent.weight)
        layer.bias_hh_l0.copy_(loop.recurrent.bias)
    x = torch.randn(4, 2, 3)
    torch.testing.assert_close(loop(x), layer(x)[0])


@pytest.mark.slow
@pytest.mark.usefixtures("no_reference_product", "threads")
def test_weights_in_fewer_bits_are_off_by_what_rounding_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrow, "WIDTHS", (40,))
    records = measured(narrow.KIND, list(narrow.cases((), (1,))))
    for sides in by_case(records).values():
        assert sides[narrow.WHOLE].error < sides["bfloat16"].error < sides["int8"].error < 0.03
    assert narrow.sections(records)["narrow"].count("\n| GRU | 40 |") == len(narrow.CALLS)


@pytest.mark.slow
@pytest.mark.usefixtures("no_reference_product", "threads")
def test_kernels_are_timed_within_the_whole() -> None:
    every = [Case("GRU", TINY, mode, 1) for mode in MODES]
    for sides in by_case(measured(overhead.KIND, every)).values():
        ours, product = sides["statewise"], sides[overhead.PRODUCT]
        assert 0 < (ours.kernels or 0) < ours.value
        assert product.kernels is None
        assert (product.ratio, ours.error is not None) == (1.0, True)


def test_the_rest_is_told_in_products() -> None:
    case = Case("LSTM", TINY, FORWARD, 2)
    records = [Record(case, "statewise", 10.0, 5.0, kernels=4.0), Record(case, overhead.PRODUCT, 2.0, 1.0)]
    table = overhead.sections(records)["overhead"]
    assert table.splitlines()[0] == "|  | whole | kernels | rest | rest / torch's product |"
    assert table.splitlines()[2] == "| LSTM 3,2,8,8,1 forward 2 threads | 10 us | 4 us | 6 us | 3.00 |"


@pytest.mark.usefixtures("steady_clock", "no_reference_product", "threads")
@pytest.mark.slow
def test_every_way_to_bfloat16_is_measured_with_its_errors() -> None:
    before = torch.get_float32_matmul_precision()
    every = [c for c in bfloat16.cases([Shape(3, 4, 32, 32, 1)], [1]) if c.cell == "GRU"]
    assert len(every) == len(bfloat16.WAYS) * len(MODES)
    records = measured(bfloat16.KIND, every)
    assert torch.get_float32_matmul_precision() == before
    for case, sides in by_case(records).items():
        other = sides[bfloat16.WITHOUT if case.name == bfloat16.MEDIUM else "torch.nn"]
        assert other.error is not None
        assert (other.error < 1e-5) == (case.name == bfloat16.MEDIUM)
        assert sides["statewise"].error < 0.05
    rows = bfloat16.sections(records)["bfloat16"].splitlines()
    assert len(rows) == 2 + len(bfloat16.WAYS)
    assert rows[0] == "| T,N,I,H,L | forward | error of the output | forward+backward | of the worst gradient |"


@linux
@pytest.mark.usefixtures("threads")
@pytest.mark.slow
def test_a_step_adds_at_least_its_results_and_its_tape() -> None:
    found = {r.side: r for r in measured(memory.KIND, [Case("LSTM", Shape(2000, 8, 32, 64, 1), TRAINING, 1)])}
    results = 2000 * 8 * (32 + 64) * 4 / 2**20
    tape = 2000 * 8 * 5 * 64 * 4 / 2**20  # four gates and c
    assert found[memory.RESULTS].value == pytest.approx(results, rel=0.05)
    assert results + tape < found["statewise"].value < 2 * (results + tape)
    assert found["torch.nn"].value > results
    assert memory.CHECKPOINTED not in found


@linux
@pytest.mark.slow
def test_checkpoints_are_measured_on_long_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LONG", 1000)
    found = {r.side: r.value for r in memory.measure(Case("GRU", Shape(2000, 8, 32, 64, 1), TRAINING, 1))}
    assert found[memory.RESULTS] < found[memory.CHECKPOINTED] < found["statewise"]


def test_memory_needs_linux(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(memory, "RESET_PEAK", tmp_path / "absent")
    with pytest.raises(ValueError, match="needs Linux"):
        memory.measure(Case("GRU", TINY, TRAINING, 1))


def test_the_table_of_memory() -> None:
    case = Case("LSTM", TINY, TRAINING, 2)
    values = {memory.RESULTS: 5.9, "statewise": 25.2, "torch.nn": 61.4}
    records = [Record(case, side, mb, mb / 25.2, unit="MB") for side, mb in values.items()]
    assert memory.sections(records)["memory"].splitlines()[-1] == "| LSTM 3,2,8,8,1 | 6 MB | 25 MB | 61 MB | 0.41 |"
    assert len(list(memory.cases(memory.SHAPES, [2]))) == len(CELLS) * len(memory.SHAPES)
