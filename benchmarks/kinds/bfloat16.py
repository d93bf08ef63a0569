"""bfloat16: how exact and how fast.

Layers of such weights and autocast stand beside torch.nn's; float32 under the matmul precision "medium" beside the same
layer without. Errors are relative to float64, whose weights and input are the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

import statewise

from ..case import CELLS, FORWARD, MODES, Case, Shape
from ..record import by_case, pivot
from ..runner import Kind, Table
from ..sides import Problem, Side, Tensors
from .bench import Call, autocast

SHAPES = (Shape(32, 64, 256, 256, 1), Shape(100, 32, 64, 128, 1))
MEDIUM, WITHOUT = "medium", "statewise without it"
WAYS: dict[str, Callable[[Shape], Call]] = {
    "autocast": lambda shape: Call(shape, run=autocast),
    "weights": lambda shape: Call(shape, dtype=torch.bfloat16),
    MEDIUM: Call,
}


class Medium:
    """A side under the matmul precision "medium"."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """As the side is fed."""
        self._side.feed(inputs, incoming, steps)

    def __call__(self) -> None:
        with _medium():
            self._side()

    def results(self) -> dict[str, Tensor]:
        """What the side computes."""
        with _medium():
            return self._side.results()


@contextmanager
def _medium() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """Every way with every cell and shape."""
    for count, cell, shape, way, mode in product(threads, CELLS, shapes, WAYS, MODES):
        yield Case(cell, shape, mode, count, way)


def problem(case: Case) -> Problem:
    """statewise beside torch.nn, or beside itself in full precision."""
    call = WAYS[case.name](case.shape)
    if case.name != MEDIUM:
        return call.problem(case.cell, case.mode, statewise)
    full = call.problem(case.cell, case.mode, statewise, peer=statewise)
    sides = {"statewise": {"": Medium(full.sides["statewise"][""])}, WITHOUT: full.sides["torch.nn"]}
    return replace(full, sides=sides, exact=dict.fromkeys(sides, full.exact["statewise"]), reference="", floor=0.05)


def sections(records: Table) -> dict[str, str]:
    """A row for each cell, shape and way."""
    return {"bfloat16": pivot(_entries(records), "T,N,I,H,L")}


def _entries(records: Table) -> Iterator[tuple[list[str], str, str]]:
    for case, sides in by_case(records).items():
        ours, other = sides.values()
        row = [f"{case.cell} {case.shape} {case.name}"]
        yield row, case.mode, f"{other.ratio:.2f}{other.busy}"
        what = "error of the output" if case.mode == FORWARD else "of the worst gradient"
        yield row, what, f"{ours.error:.1e} ({other.error:.1e})"


KIND = Kind(
    'how exact and how fast bfloat16 is: its weights, autocast, the matmul precision "medium"',
    cases,
    problem,
    sections,
    shapes=SHAPES,
    threads=(1,),
)
