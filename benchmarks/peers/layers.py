"""Sides that are called as torch.nn's layers are: ``output, state = call(x, state)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..cases import TRAINING
from .problem import Problem

Call = Callable[[Tensor, Any], tuple[Tensor, Any]]


class LayerSide:
    """A layer, or a function that takes and gives the same. ``parameters`` are those whose gradients count."""

    def __init__(self, problem: Problem, call: Call, parameters: dict[str, nn.Parameter], initial: Any = None) -> None:
        self._call = call
        self._parameters = parameters
        self._training = problem.case.mode == TRAINING
        self._carried = problem.carried
        self._dtype = next(iter(parameters.values())).dtype
        start = problem.initial(self._dtype) if initial is None else initial
        self._state = start if problem.carried else None
        self._x = self._grad_output = self._output = torch.empty(0)
        self._last: Any = None

    def feed(self, x: Tensor, grad_output: Tensor) -> None:
        """Take a new input and incoming gradient."""
        self._x = x.to(self._dtype, copy=True).requires_grad_(self._training)
        self._grad_output = grad_output.to(self._dtype)

    def __call__(self) -> None:
        """Once forward, or forward and backward. Who times inference has turned gradients off for all calls."""
        if self._training:
            self._x.grad = None
            for parameter in self._parameters.values():
                parameter.grad = None
            output, _ = self._call(self._x, None)
            torch.autograd.backward(output, self._grad_output)
            return
        self._output, self._last = self._call(self._x, self._state)
        if self._carried:
            self._state = self._last

    def results(self) -> dict[str, Tensor]:
        """Of the last call."""
        if self._training:
            gradients = {"x": self._x.grad, **{name: p.grad for name, p in self._parameters.items()}}
            return {f"gradient of {name}": g for name, g in gradients.items() if g is not None}
        states = self._last if isinstance(self._last, tuple) else (self._last,)
        return {"output": self._output, **{f"{name}_n": s for name, s in zip("hc", states, strict=False)}}


def layer_side(problem: Problem, layer: nn.Module, call: Call | None = None) -> LayerSide:
    """``layer`` with the problem's weights."""
    layer.load_state_dict(problem.layer.state_dict())
    return LayerSide(problem, call or layer, dict(layer.named_parameters()))


def cell_side(problem: Problem, cell: nn.Module) -> LayerSide:
    """A cell, (N, I) and (N, H) to (N, H), with the problem's weights: for single steps."""
    cell.load_state_dict(cell_weights(problem))
    return step_side(problem, cell, dict(cell.named_parameters()))


def cell_weights(problem: Problem) -> dict[str, Tensor]:
    """The problem's weights under the names that a cell has for them."""
    return {name.removesuffix("_l0"): p for name, p in problem.layer.state_dict().items()}


def step_side(problem: Problem, step: Callable[[Tensor, Any], Any], parameters: dict[str, nn.Parameter]) -> LayerSide:
    """A function of x, (N, I), and the state, (N, H), that gives the new state, called with one step at a time."""

    def call(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        after = step(x[0], state)
        return after[0] if isinstance(after, tuple) else after, after

    start = problem.initial()
    initial = tuple(s[0] for s in start) if isinstance(start, tuple) else start[0]
    return LayerSide(problem, call, parameters, initial)
