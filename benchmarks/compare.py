"""The two sides of a case: the same module twice, with the same weights and the same input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .calls import call_of, tensors_in
from .cases import FORWARD, Case

STEP = 1e-3


class Side:
    """One module and its own copy of the inputs; a call of it is what is timed."""

    def __init__(self, module: nn.Module, case: Case) -> None:
        self._module = module
        self._run = call_of(case).run
        self._parameters = list(module.parameters())
        self._backward = case.mode != FORWARD
        self._inputs: list[Tensor] = []
        self._grad_output = torch.empty(0)

    def feed(self, inputs: Sequence[Tensor], grad_output: Tensor) -> None:
        """Take a new x and new states, if states are given, and the gradient of the output."""
        self._inputs = [t.clone().requires_grad_(self._backward) for t in inputs]
        self._grad_output = grad_output

    def step(self, directions: list[Tensor]) -> None:
        """Change the weights in place, as an optimizer does."""
        with torch.no_grad():
            for parameter, direction in zip(self._parameters, directions, strict=True):
                parameter.sub_(direction, alpha=STEP)

    def __call__(self) -> None:
        """Once forward without gradients, or forward and backward to every input and weight."""
        if not self._backward:
            with torch.no_grad():
                self._run(self._module, *self._inputs)
            return
        for leaf in (*self._inputs, *self._parameters):
            leaf.grad = None
        output = self._run(self._module, *self._inputs)
        while not isinstance(output, Tensor):
            output = output[0]
        output.backward(self._grad_output)


class Comparison:
    """Ours and torch.nn's, kept equal."""

    def __init__(self, case: Case, ours: Any, *, seed: int = 0) -> None:
        """``ours`` is the namespace that has the class: statewise, or torch.nn for a measurement against itself."""
        self._generator = torch.Generator().manual_seed(seed)
        self._call = call_of(case)
        mine, peer = build(ours, case), build(nn, case)
        mine.load_state_dict(peer.state_dict())
        self._inputs = list(self._call.sizes(case.cell).values())
        self._weights = [p.shape for p in peer.parameters()]
        with torch.no_grad():
            inputs = [self._normal(*size) for size in self._inputs]
            self._output = tensors_in(self._call.run(peer, *inputs))[0]  # for its shape and dtype
        self.ours, self.theirs = Side(mine, case), Side(peer, case)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both, ours first."""
        return self.ours, self.theirs

    def renew(self) -> None:
        """Fresh input and freshly stepped weights, the same ones for both."""
        inputs = [self._normal(*size) for size in self._inputs]
        grad_output = self._normal(*self._output.shape).to(self._output.dtype)
        directions = [self._normal(*size) for size in self._weights]
        for side in self.sides:
            side.feed(inputs, grad_output)
            side.step(directions)

    def _normal(self, *size: int) -> Tensor:
        return torch.randn(*size, generator=self._generator).to(self._call.dtype)


def build(namespace: Any, case: Case) -> nn.Module:
    """The case's module as ``namespace`` has it."""
    return call_of(case).build(namespace, case.cell)
