"""bfloat16: how exact and how fast. ``python -m benchmarks --bfloat16``.

Layers of such weights and autocast stand beside torch.nn's; float32 under the matmul precision "medium" beside the same
layer without. Errors are relative to float64, whose weights and input are the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import statewise

from .cases import Shape
from .clock import Clock, Effort
from .table import markdown

SHAPES = (Shape(32, 64, 256, 256, 1), Shape(100, 32, 64, 128, 1))
WAYS = ("autocast", "weights", "medium")
_HALF = torch.bfloat16


@dataclass(frozen=True, slots=True)
class Figure:
    """One cell, shape and way. Errors: of the output, and the largest of any gradient."""

    cell: str
    shape: Shape
    way: str
    forward: float  # the other side's time / ours
    training: float
    errors: tuple[float, float]
    others: tuple[float, float]  # torch.nn's, or under "medium" those without it

    def __str__(self) -> str:
        return f"{self.cell:4} {self.shape!s:18} {self.way:9}" + "  ".join(self._cells())

    def _cells(self) -> list[str]:
        pairs = zip(self.errors, self.others, strict=True)
        return [f"{self.forward:.2f}", f"{self.training:.2f}", *(f"{a:.1e} ({b:.1e})" for a, b in pairs)]

    def row(self) -> list[str]:
        """For the table."""
        return [f"{self.cell} {self.shape} {self.way}", *self._cells()]

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "cell": self.cell,
            "shape": str(self.shape),
            "way": self.way,
            "forward": round(self.forward, 3),
            "forward+backward": round(self.training, 3),
            "errors": self.errors,
            "others": self.others,
        }


class Side:
    """A module, and in which surroundings it is called."""

    def __init__(self, module: nn.Module, x: Tensor, grad: Tensor, around: Callable[[], AbstractContextManager[Any]]):
        self.module, self.around = module, around
        dtype = next(module.parameters()).dtype
        self.x, self.grad = x.to(dtype).requires_grad_(), grad

    def forward(self) -> Tensor:
        """Without a gradient."""
        with torch.no_grad(), self.around():
            output: Tensor = self.module(self.x)[0]
        return output

    def train(self) -> list[Tensor]:
        """The output and all gradients."""
        inputs = [self.x, *self.module.parameters()]
        with self.around():
            output = self.module(self.x)[0]
        gradients = torch.autograd.grad(output, inputs, self.grad.to(output.dtype))
        return [output.detach(), *gradients]


class Rounds:
    """The sides in one mode, for the clock."""

    def __init__(self, sides: Sequence[Callable[[], object]]) -> None:
        self.sides = sides

    def renew(self) -> None:
        """Nothing: the input stays."""


def measure(cells: Iterable[str], shapes: Iterable[Shape], effort: Effort, threads: int) -> Iterator[Figure]:
    """The figures, as they come."""
    clock, shapes = Clock(effort), list(shapes)
    torch.set_num_threads(threads)
    for cell in cells:
        for shape in shapes:
            for way in WAYS:
                yield _figure(cell, shape, way, clock, threads)


def _figure(cell: str, shape: Shape, way: str, clock: Clock, threads: int) -> Figure:
    ours, theirs, exact = _sides(cell, shape, way)
    wanted = exact.train()
    return Figure(
        cell,
        shape,
        way,
        clock.measure(Rounds([ours.forward, theirs.forward]), threads).ratio,
        clock.measure(Rounds([ours.train, theirs.train]), threads).ratio,
        _errors(ours.train(), wanted),
        _errors(theirs.train(), wanted),
    )


def _sides(cell: str, shape: Shape, way: str) -> tuple[Side, Side, Side]:
    """Ours, what it is compared with, and float64."""
    torch.manual_seed(0)
    dtype = _HALF if way == "weights" else torch.float32
    sizes = (shape.I, shape.H, shape.L)
    theirs = getattr(nn, cell)(*sizes, dtype=dtype)
    ours = getattr(statewise, cell)(*sizes, dtype=dtype)
    exact = getattr(nn, cell)(*sizes, dtype=torch.float64)
    for module in (ours, exact):
        module.load_state_dict(theirs.state_dict())
    x, grad = torch.randn(shape.T, shape.N, shape.I).to(dtype), torch.randn(shape.T, shape.N, shape.H)
    if way == "autocast":
        around: Callable[[], AbstractContextManager[Any]] = partial(torch.autocast, "cpu", _HALF)
        pair = Side(ours, x, grad, around), Side(theirs, x, grad, around)
    elif way == "weights":
        pair = Side(ours, x, grad, nullcontext), Side(theirs, x, grad, nullcontext)
    else:
        pair = Side(ours, x, grad, _medium), Side(ours, x, grad, nullcontext)
    return *pair, Side(exact, x, grad, nullcontext)


@contextmanager
def _medium() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _errors(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> tuple[float, float]:
    errors = [float((a.double() - b).norm() / b.norm()) for a, b in zip(found, wanted, strict=True)]
    return errors[0], max(errors[1:])


def table(figures: Iterable[Figure]) -> str:
    """A markdown table: a row a case."""
    head = ["T,N,I,H,L", "forward", "forward+backward", "error of the output", "of the worst gradient"]
    return markdown([head, *(f.row() for f in figures)])
