"""What a small call costs outside the kernels: Python, autograd, memory.

Time as such says little on a busy machine, so the unit is what torch itself needs for the smallest thing that it
differentiates, one matrix product forward and backward, measured in the same rounds.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..case import Case, Shape
from ..clock import Effort
from ..record import by_case, pivot
from ..runner import Kind, Table
from ..sides import Problem
from . import bench

PRODUCT = "torch's product"
# Where the kernels take about as long as the rest: a net for short words and a narrow one.
SHAPES = (Shape(3, 10, 26, 128, 1), Shape(27, 26, 27, 5, 1))


class Product:
    """One product, forward and backward to both factors, in the size of a small layer."""

    def __init__(self) -> None:
        self._a, self._b = torch.randn(30, 26, requires_grad=True), torch.randn(26, 128, requires_grad=True)
        self._incoming = torch.ones(30, 128)

    def feed(self, *given: object) -> None:
        """Nothing: its factors stay."""

    def __call__(self) -> None:
        with torch.enable_grad():
            self._a.grad = self._b.grad = None
            torch.mm(self._a, self._b).backward(self._incoming)

    def results(self) -> dict[str, torch.Tensor]:
        """Nothing that is compared."""
        return {}


def problem(case: Case) -> Problem:
    """statewise, held against float64, beside the product."""
    both = bench.problem(case)
    ours = both.sides["statewise"]
    return Problem(
        {"statewise": ours, PRODUCT: {"": Product()}}, {"statewise": both.exact["statewise"]}, both.draw, (PRODUCT,)
    )


def sections(records: Table) -> dict[str, str]:
    """A row a case."""
    return {"overhead": pivot(_entries(records), "")}


def _entries(records: Table) -> Iterator[tuple[list[str], str, str]]:
    for case, sides in by_case(records).items():
        ours, unit = sides["statewise"], sides[PRODUCT]
        kernels = ours.kernels or 0.0
        rest = ours.value - kernels
        for name, us in (("whole", ours.value), ("kernels", kernels), ("rest", rest)):
            yield [str(case)], name, f"{us:.0f} us"
        yield [str(case)], "rest / torch's product", f"{rest / unit.value:.2f}{ours.busy}"


KIND = Kind(
    "what small calls cost outside the kernels, in units of one of torch's matrix products",
    bench.plain,
    problem,
    sections,
    effort=Effort(clean=40, at_least=10, seconds=2.0, sample=2e-3),
    shapes=SHAPES,
)
