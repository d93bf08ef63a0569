"""The gate: equal results pass, and each kind of wrong one is named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import statewise
from benchmarks.cases import CELLS, FORWARD, MODES, TRAINING, Case, Shape
from benchmarks.gate import failures

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
