"""The everyday calls: which there are, that every one is right, and that a wrong one is told."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import statewise
from benchmarks.case import CELLS, MODES, TRAINING, Case, Shape
from benchmarks.gate import verdicts
from benchmarks.kinds import bench
from benchmarks.kinds.bench import EVERYDAY, Call, everyday, problem
from benchmarks.sides import ModuleSide, tensors_in


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The everyday calls in sizes for tests."""
    for name, call in EVERYDAY.items():
        s = call.shape
        monkeypatch.setitem(EVERYDAY, name, replace(call, shape=Shape(min(s.T, 5), min(s.N, 3), 6, 7, s.L)))


def failures(case: Case, ours: Any) -> list[str]:
    return verdicts(problem(case, ours))["statewise", ""].wrong


def case_of(cell: str, name: str) -> Case:
    return Case(cell, EVERYDAY[name].shape, TRAINING, 1, name)


def test_there_are_54() -> None:
    found = list(everyday((), [2]))
    assert len(found) == len(set(found)) == 54
    assert [c.mode for c in found if c.cell == "GRU"].count(TRAINING) == 13


def test_they_are_left_out_beside_shapes_of_ones_own() -> None:
    assert len(list(bench.cases(bench.SHAPES, [1, 2]))) == 3 * 11 * 2 * 2 + 108
    assert len(list(bench.cases([Shape(3, 2, 4, 5, 1)], [1]))) == 3 * len(MODES)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("name", EVERYDAY)
@pytest.mark.usefixtures("tiny")
def test_both_sides_compute_the_same(cell: str, name: str) -> None:
    case = case_of(cell, name)
    assert failures(case, nn) == []
    assert failures(case, statewise) == []
    found = problem(case)
    sides = [found.sides[library][""] for library in ("statewise", "torch.nn")]
    found.feed(sides, step=True)
    leaves = []
    for side in sides:
        assert isinstance(side, ModuleSide)
        side()
        leaves.append([*side.inputs, *side.parameters.values()])
    assert len(leaves[0]) > 3
    for a, b in zip(*leaves, strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert b.grad.any()
        if name != "dropout between layers":  # each side draws its own masks
            loose = 0.1 if "bfloat16" in name else 1e-5
            torch.testing.assert_close(a.grad, b.grad, rtol=loose, atol=loose)


@pytest.mark.parametrize("name", EVERYDAY)
@pytest.mark.usefixtures("tiny")
def test_a_wrong_gradient_is_told(name: str) -> None:
    def wrong(kind: Any) -> Any:
        def make(*args: Any, **options: Any) -> nn.Module:
            module: nn.Module = kind(*args, **options)
            module.weight_hh_hook = next(p for n, p in module.named_parameters() if "weight_hh" in n).register_hook(
                lambda g: 1.5 * g
            )
            return module

        return make

    found = failures(case_of("GRU", name), SimpleNamespace(GRU=wrong(nn.GRU), GRUCell=wrong(nn.GRUCell)))
    assert [line.split(" is off")[0] for line in found] in (["gradient of weight_hh_l0"], ["gradient of weight_hh"])


@pytest.mark.usefixtures("tiny")
def test_masks_are_the_same_on_both_sides_of_the_gate() -> None:
    case = case_of("LSTM", "dropout between layers")
    assert failures(case, SimpleNamespace(LSTM=lambda *a, **o: nn.LSTM(*a, **{**o, "dropout": 0.4})))


def test_ragged_rows_take_lengths_where_there_are_lengths() -> None:
    shape, x = Shape(8, 3, 4, 5, 1), torch.randn(8, 3, 4)
    assert bench.lengths(shape).tolist() == [8, 5, 2]
    run = bench.ragged(shape)
    with torch.no_grad():
        ours, theirs = run(statewise.GRU(4, 5), x), run(nn.GRU(4, 5), x)
    for a, b in zip(tensors_in(ours), tensors_in(theirs), strict=True):
        assert a.shape == b.shape
    assert not ours[0][5:, 1].any()
    assert not theirs[0][5:, 1].any()


def test_a_plain_call_has_x_alone() -> None:
    assert Call(Shape(3, 2, 4, 5, 1)).sizes("GRU") == {"x": [3, 2, 4]}


def test_both_sides_stay_equal_and_every_repetition_differs() -> None:
    found = problem(Case("GRU", Shape(3, 2, 4, 5, 1), TRAINING, 1), nn)
    sides = [found.sides[library][""] for library in ("statewise", "torch.nn")]
    seen = []
    for _ in range(2):
        found.feed(sides, step=True)
        leaves = []
        for side in sides:
            assert isinstance(side, ModuleSide)
            side()
            leaves.append([*side.inputs, *side.parameters.values()])
        for a, b in zip(*leaves, strict=True):
            assert torch.equal(a, b)
            assert a.grad is not None
            assert b.grad is not None
            torch.testing.assert_close(a.grad, b.grad)
        seen.append([leaf.detach().clone() for leaf in leaves[0]])
    assert all(not torch.equal(a, b) for a, b in zip(*seen, strict=True))
