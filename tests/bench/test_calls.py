"""The everyday calls: which there are, that every one is right, and that a wrong one is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import statewise
from benchmarks import calls
from benchmarks.calls import EVERYDAY, Call, everyday
from benchmarks.cases import CELLS, MODES, TRAINING, Case, Shape
from benchmarks.compare import Comparison
from benchmarks.gate import failures


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The everyday calls in sizes for tests."""
    for name, call in EVERYDAY.items():
        s = call.shape
        small = type(call)(Shape(min(s.T, 5), min(s.N, 3), 6, 7, s.L), call.modes)
        small.options = call.options
        monkeypatch.setitem(EVERYDAY, name, small)


def case_of(cell: str, name: str) -> Case:
    return Case(cell, EVERYDAY[name].shape, TRAINING, 1, name)


def test_there_are_54() -> None:
    found = list(everyday(CELLS, MODES, [2]))
    assert len(found) == len(set(found)) == 54
    assert [c.mode for c in everyday(["GRU"], [TRAINING], [1])] == [TRAINING] * 13


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("name", EVERYDAY)
@pytest.mark.usefixtures("tiny")
def test_both_sides_compute_the_same(cell: str, name: str) -> None:
    case = case_of(cell, name)
    assert failures(case, nn) == []
    assert failures(case, statewise) == []
    comparison = Comparison(case, statewise)
    comparison.renew()
    for side in comparison.sides:
        side()
    mine, peer = ([*side._inputs, *side._parameters] for side in comparison.sides)
    assert len(mine) > 3
    for a, b in zip(mine, peer, strict=True):
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
    ragged, x = calls.Ragged(Shape(8, 3, 4, 5, 1)), torch.randn(8, 3, 4)
    assert ragged.lengths.tolist() == [8, 5, 2]
    with torch.no_grad():
        ours = ragged.run(statewise.GRU(4, 5), x)
        theirs = ragged.run(nn.GRU(4, 5), x)
    for a, b in zip(calls.tensors_in(ours), calls.tensors_in(theirs), strict=True):
        assert a.shape == b.shape
    assert not ours[0][5:, 1].any()
    assert not theirs[0][5:, 1].any()


def test_a_plain_case_is_called_plainly() -> None:
    shape = Shape(3, 2, 4, 5, 1)
    call = calls.call_of(Case("GRU", shape, TRAINING, 1))
    assert type(call) is Call
    assert call.sizes("GRU") == {"x": (3, 2, 4)}
