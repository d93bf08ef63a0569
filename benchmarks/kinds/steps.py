"""One step of one row, from Python: torch.nn's layer, the frozen one, and the runtime that knows no torch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import statewise
from statewise import runtime

from ..case import FORWARD, Case, Shape
from ..clock import Effort
from ..record import by_case, pivot
from ..runner import Kind, Table
from ..sides import Problem, Tensors

FROZEN, RUNTIME = "statewise, frozen", "statewise.runtime"
CELLS = ("LSTM", "GRU")
WIDTHS = (8, 16, 32, 64, 128, 256)
STEPS = 20  # in a call that is timed: short, so that some calls are undisturbed on a busy machine


class Stream:
    """Steps of a layer, each from the state that the one before has left."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self.steps: Any = ()

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """See ``Side``: x (T, 1, 1, I)."""
        self.steps = list(inputs[0].to(next(iter(self._layer.state_dict().values())).dtype))

    def __call__(self) -> Any:
        state = None
        for x in self.steps:
            y, state = self._layer(x, state)
        return y

    def results(self) -> dict[str, Tensor]:
        """The output after the last step."""
        return {"output": self()}


class RuntimeStream(Stream):
    """The same by the runtime, from numpy's arrays."""

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """See ``Side``."""
        self._net, self.steps = _loaded(self._layer), list(inputs[0][:, 0].numpy().astype(np.float32))

    def __call__(self) -> Any:
        net = self._net
        state = net.start(1)
        for x in self.steps:
            y, state = net.step(x, state)
        return y

    def results(self) -> dict[str, Tensor]:
        """The output after the last step."""
        return {"output": torch.from_numpy(self())}


def _loaded(layer: nn.Module) -> runtime.Network:
    with tempfile.TemporaryDirectory() as folder:
        statewise.save(layer, Path(folder, "net.safetensors"))
        net: runtime.Network = runtime.load(Path(folder, "net.safetensors"))
        return net


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """Every cell and width."""
    for cell, width in product(CELLS, WIDTHS):
        yield Case(cell, Shape(STEPS, 1, width, width, 1), FORWARD, 1)


def problem(case: Case) -> Problem:
    """A layer of torch.nn's, and the others with its weights, held against it in float64."""
    width = case.shape.H
    layer: nn.Module = getattr(nn, case.cell)(width, width).eval()
    exact: nn.Module = getattr(nn, case.cell)(width, width).double().eval()
    exact.load_state_dict(layer.state_dict())
    sides = {"torch.nn": Stream(layer), FROZEN: Stream(statewise.freeze(layer)), RUNTIME: RuntimeStream(layer)}
    draw = torch.Generator().manual_seed(0)
    return Problem(
        {name: {"": side} for name, side in sides.items()},
        dict.fromkeys(sides, Stream(exact)),
        lambda: ([torch.randn(STEPS, 1, 1, width, generator=draw)], [], []),
        unit=(RUNTIME,),
        per=STEPS,
    )


def sections(records: Table) -> dict[str, str]:
    """A row a cell and width: microseconds a step."""
    return {"steps": pivot(_entries(records), "cell", "I = H")}


def _entries(records: Table) -> Iterator[tuple[list[str], str, str]]:
    for case, sides in by_case(records).items():
        for side, record in sides.items():
            yield [case.cell, str(case.shape.H)], side, f"{record.value:.1f} us{record.busy}"


KIND = Kind(
    "one step of one row from Python: torch.nn, frozen, and the runtime without torch",
    cases,
    problem,
    sections,
    effort=Effort(clean=15, at_least=5, seconds=2.0, sample=3e-4),
    threads=(1,),
)
