"""The two sides of a case: the same module twice, with the same weights and the same input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .cases import FORWARD, Case

STEP = 1e-3


class Side:
    """One module and its own copy of the input; a call of it is what is timed."""

    def __init__(self, module: nn.Module, case: Case) -> None:
        self._module = module
        self._parameters = list(module.parameters())
        self._backward = case.mode != FORWARD
        self._x = torch.empty(0)
        self._grad_output = torch.empty(0)

    def feed(self, x: Tensor, grad_output: Tensor) -> None:
        """Take a new input, (T, N, I), and the gradient that comes in from above, (T, N, H)."""
        self._x = x.clone().requires_grad_(self._backward)
        self._grad_output = grad_output

    def step(self, directions: list[Tensor]) -> None:
        """Change the weights in place, as an optimizer does."""
        with torch.no_grad():
            for parameter, direction in zip(self._parameters, directions, strict=True):
                parameter.sub_(direction, alpha=STEP)

    def __call__(self) -> None:
        """Once forward without gradients, or forward and backward to x and to every weight."""
        if not self._backward:
            with torch.no_grad():
                self._module(self._x)
            return
        self._x.grad = None
        for parameter in self._parameters:
            parameter.grad = None
        output, _ = self._module(self._x)
        output.backward(self._grad_output)


class Comparison:
    """Ours and torch.nn's, kept equal."""

    def __init__(self, case: Case, ours: Any, *, seed: int = 0) -> None:
        """``ours`` is the namespace that has the class: statewise, or torch.nn for a measurement against itself."""
        self._case = case
        self._generator = torch.Generator().manual_seed(seed)
        mine, peer = build(ours, case), build(nn, case)
        mine.load_state_dict(peer.state_dict())
        self._sizes = [p.shape for p in peer.parameters()]
        self.ours, self.theirs = Side(mine, case), Side(peer, case)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both, ours first."""
        return self.ours, self.theirs

    def renew(self) -> None:
        """Fresh input and freshly stepped weights, the same ones for both."""
        s = self._case.shape
        x, grad_output = self._normal(s.T, s.N, s.I), self._normal(s.T, s.N, s.H)
        directions = [self._normal(*size) for size in self._sizes]
        for side in self.sides:
            side.feed(x, grad_output)
            side.step(directions)

    def _normal(self, *size: int) -> Tensor:
        return torch.randn(*size, generator=self._generator)


def build(namespace: Any, case: Case) -> nn.Module:
    """The case's module as ``namespace`` has it."""
    module = getattr(namespace, case.cell)(case.shape.I, case.shape.H, num_layers=case.shape.L)
    assert isinstance(module, nn.Module)
    return module
