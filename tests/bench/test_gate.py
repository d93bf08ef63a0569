"""The gate: equal results pass, and each kind of wrong one is named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import statewise
from benchmarks.case import CELLS, FORWARD, MODES, TRAINING, Case, Shape
from benchmarks.gate import judge, verdicts
from benchmarks.kinds.bench import problem

SHAPE = Shape(5, 3, 4, 6, 2)


class _Rounding(torch.autograd.Function):
    """Passes its argument through and, on the way back, alters the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * (1 + 1e-4)


class _WrongOutput(nn.LSTM):
    def forward(self, x: Tensor, hx: Any = None) -> Any:
        output, state = super().forward(x, hx)
        return output + 1e-4, state


class _WrongState(nn.LSTM):
    def forward(self, x: Tensor, hx: Any = None) -> Any:
        output, (h, c) = super().forward(x, hx)
        return output, (h, c * float("nan"))


class _WrongGradient(nn.LSTM):
    def forward(self, x: Tensor, hx: Any = None) -> Any:
        return super().forward(_Rounding.apply(x), hx)


class _NoGradient(nn.LSTM):
    def forward(self, x: Tensor, hx: Any = None) -> Any:
        return super().forward(x.detach(), hx)


def failures(case: Case, ours: Any) -> list[str]:
    with torch.set_grad_enabled(case.mode == TRAINING):
        return verdicts(problem(case, ours))["statewise", ""].wrong


def wrong(module: type[nn.LSTM], mode: str) -> list[str]:
    return failures(Case("LSTM", SHAPE, mode, 1), SimpleNamespace(LSTM=module))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", [nn, statewise], ids=["torch.nn", "statewise"])
def test_right_results_pass(cell: str, mode: str, side: Any) -> None:
    assert failures(Case(cell, SHAPE, mode, 1), side) == []


def test_a_wrong_output_fails() -> None:
    (line,) = wrong(_WrongOutput, FORWARD)
    assert line.startswith("output is off by")


def test_nan_fails() -> None:
    (line,) = wrong(_WrongState, FORWARD)
    assert line.startswith("c_n is off by nan")


def test_a_wrong_gradient_fails_though_the_output_is_right() -> None:
    assert wrong(_WrongGradient, FORWARD) == []
    (line,) = wrong(_WrongGradient, TRAINING)
    assert line.startswith("gradient of x is off by")


def test_a_missing_gradient_fails() -> None:
    assert wrong(_NoGradient, TRAINING) == ["gradient of x is missing"]


def test_the_gradients_that_come_from_the_final_states_count() -> None:
    class WrongBack(nn.LSTM):
        def forward(self, x: Tensor, hx: Any = None) -> Any:
            output, (h, c) = super().forward(x, hx)
            return output, (h, _Rounding.apply(c))

    assert len(wrong(WrongBack, TRAINING)) > 1


def test_axes_of_one_do_not_count_and_others_do() -> None:
    exact = torch.randn(3, 1, 5, dtype=torch.float64)
    assert judge("output", exact, None, exact.float()[:, 0]) is None
    assert judge("output", exact, None, exact.float()[:2]) == "output has the shape (2, 1, 5), expected (3, 1, 5)"


def test_twice_the_error_of_torch_nn_is_allowed() -> None:
    exact = torch.ones(3, dtype=torch.float64)
    assert judge("x", exact, exact + 1e-3, exact + 1.9e-3) is None
    assert (
        judge("x", exact, exact + 1e-3, exact + 2.1e-3)
        == "x is off by 2.1e-03 of its largest value, allowed are 2.0e-03"
    )
