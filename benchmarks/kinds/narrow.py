"""Weights in fewer bits: a frozen layer that keeps them in bfloat16 or in eight bits beside the one that doesn't.

Errors are from float64 with the weights as they were, so that they tell what rounding the weights does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn

import statewise

from ..case import FORWARD, Case, Shape
from ..clock import Effort
from ..record import by_case, pivot
from ..runner import Kind, Table
from ..sides import Problem, Tensors

WHOLE = "float32"
NARROW = ("bfloat16", "int8")
CELLS = ("LSTM", "GRU")
WIDTHS = (384, 768, 1536)  # the kernels were tuned on powers of two
CALLS = {"a step": (1, 1), "64 steps": (64, 1), "a step of 8 rows": (1, 8), "8 steps of 32 rows": (8, 32)}


class Frozen:
    """A call of a frozen layer."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer, self._dtype = layer, next(iter(layer.state_dict().values())).dtype
        self._x = torch.empty(0)

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """See ``Side``: x (T, N, I)."""
        self._x = inputs[0].to(self._dtype)

    def __call__(self) -> Tensor:
        output: Tensor = self._layer(self._x)[0]
        return output

    def results(self) -> dict[str, Tensor]:
        """The output."""
        return {"output": self()}


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """Every cell, width and call."""
    for cell, width, (name, (steps, rows)) in product(CELLS, WIDTHS, CALLS.items()):
        yield Case(cell, Shape(steps, rows, width, width, 1), FORWARD, 1, name)


def problem(case: Case) -> Problem:
    """A layer, frozen as it is and in fewer bits."""
    s = case.shape
    layer = getattr(statewise, case.cell)(s.I, s.H)
    exact = getattr(nn, case.cell)(s.I, s.H).double()
    exact.load_state_dict(layer.state_dict())
    sides = {WHOLE: statewise.freeze(layer)} | {dtype: statewise.freeze(layer, dtype=dtype) for dtype in NARROW}
    draw = partial(torch.randn, s.T, s.N, s.I, generator=torch.Generator().manual_seed(0))
    return Problem(
        {name: {"": Frozen(side)} for name, side in sides.items()},
        dict.fromkeys(sides, Frozen(exact)),
        lambda: ([draw()], [], []),
        unit=NARROW,
        reference="",
        floor=0.03,
    )


def sections(records: Table) -> dict[str, str]:
    """A row a cell, width and call: microseconds, how many times sooner, and the error."""
    return {"narrow": pivot(_entries(records), "cell", "I = H", "call")}


def _entries(records: Table) -> Iterator[tuple[list[str], str, str]]:
    for case, sides in by_case(records).items():
        whole = sides[WHOLE]
        row = [case.cell, str(case.shape.H), case.name]
        yield row, WHOLE, f"{whole.value:.0f} us{whole.busy}"
        for dtype in NARROW:
            yield row, dtype, f"**{whole.value / sides[dtype].value:.2f}**"
        for dtype in NARROW:
            yield row, f"error of {dtype}", f"{sides[dtype].error:.1e}"


KIND = Kind(
    "weights in fewer bits: frozen layers with bfloat16 and int8 beside float32",
    cases,
    problem,
    sections,
    effort=Effort(clean=15, at_least=5, seconds=0.6, sample=5e-4),
    threads=(1,),
)
