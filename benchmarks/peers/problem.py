"""One thing that every library computes: the case, the weights, the inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from statewise.cells import by_name

from ..cases import CELLS, FORWARD, TRAINING, Case, Shape
from ..compare import build

Array = NDArray[np.float32]

STEPS = (Shape(1, 1, 64, 64, 1), Shape(1, 1, 256, 256, 1))
SEQUENCES = (Shape(100, 1, 64, 64, 1), Shape(128, 32, 128, 128, 1), Shape(128, 32, 128, 256, 1))
TRAININGS = (Shape(28, 32, 28, 50, 1), Shape(128, 32, 128, 128, 1), Shape(100, 1, 64, 64, 1))


def cases(threads: int) -> Iterator[Case]:
    """Single steps with the state carried on, whole sequences, training."""
    for shapes, mode in ((STEPS, FORWARD), (SEQUENCES, FORWARD), (TRAININGS, TRAINING)):
        for cell in CELLS:
            for shape in shapes:
                yield Case(cell, shape, mode, threads)


class Side(Protocol):
    """One library's way to compute a problem; a call of it is what is timed."""

    def feed(self, x: Tensor, grad_output: Tensor) -> None:
        """Take a new input, (T, N, I), and the gradient that comes in from above, (T, N, H)."""

    def __call__(self) -> None:
        """Compute. A carried state goes on from the call before."""

    def results(self) -> dict[str, Tensor]:
        """What the last call computed: ``output`` and the states, or the gradients of x and of every weight."""


class Problem:
    """A case with its weights. The state is carried from call to call where a call is one step."""

    def __init__(self, case: Case, *, seed: int = 0) -> None:
        self.case = case
        self.carried = case.mode == FORWARD and case.shape.T == 1
        self._generator = torch.Generator().manual_seed(seed)
        layer = build(nn, case)
        assert isinstance(layer, nn.RNNBase)
        self.layer = layer

    @property
    def state_names(self) -> tuple[str, ...]:
        """What is carried from step to step."""
        return ("h", "c") if self.case.cell == "LSTM" else ("h",)

    @property
    def gates(self) -> int:
        """G."""
        return len(by_name(CELLS[self.case.cell]).gates)

    def inputs(self) -> tuple[Tensor, Tensor]:
        """A fresh input, (T, N, I), and incoming gradient, (T, N, H)."""
        s = self.case.shape
        x, grad_output = (torch.randn(s.T, s.N, width, generator=self._generator) for width in (s.I, s.H))
        return x, grad_output

    def weights(self) -> dict[str, Array]:
        """``weight_ih_l0`` (G*H, I), ``weight_hh_l0`` (G*H, H), ``bias_ih_l0``, ``bias_hh_l0`` (G*H)."""
        return {name: p.detach().numpy() for name, p in self.layer.named_parameters()}

    def initial(self, dtype: torch.dtype = torch.float32) -> Any:
        """The state of zeros as a layer takes it: (1, N, H), for the LSTM two."""
        s = self.case.shape
        states = tuple(torch.zeros(1, s.N, s.H, dtype=dtype) for _ in self.state_names)
        return states if len(states) > 1 else states[0]
