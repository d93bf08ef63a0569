"""How far a side is from float64: nothing is timed before it is known."""

from __future__ import annotations

import copy
from math import inf, isnan

import torch
from torch import Tensor

from ..cases import TRAINING
from .layers import LayerSide
from .problem import Problem, Side

# Of the largest value. Wide enough for approximations of tanh and sigmoid, too narrow for gates in another order or a
# product in bfloat16.
TOLERANCE = 1e-4
STEPS = 5  # with the state carried from each to the next


def error(problem: Problem, side: Side) -> float:
    """The largest deviation of any result, relative to the largest value of that result; inf where one is missing."""
    layer = copy.deepcopy(problem.layer).double()
    exact = LayerSide(problem, layer, dict(layer.named_parameters()))
    worst = 0.0
    with torch.set_grad_enabled(problem.case.mode == TRAINING):
        for _ in range(STEPS if problem.carried else 1):
            x, grad_output = problem.inputs()
            for one in (exact, side):
                one.feed(x, grad_output)
                one()
            worst = max(worst, _worst(exact, side))
    return worst


def _worst(exact: Side, side: Side) -> float:
    found = side.results()
    return max(_deviation(found.get(name), value.detach()) for name, value in exact.results().items())


def _deviation(found: Tensor | None, exact: Tensor) -> float:
    # Only the number of elements counts: a cell has no axis for its one step, an ONNX model has one for its direction.
    if found is None or found.numel() != exact.numel():
        return inf
    off = (found.detach().double().reshape(exact.shape) - exact).abs().max().item()
    return inf if isnan(off) else off / (exact.abs().max().item() or 1.0)
