"""What a small call costs outside the kernels: Python, autograd, memory. ``python -m benchmarks --overhead``.

Time as such says little on a busy machine, so the unit is what torch itself needs for the smallest thing that it
differentiates, one matrix product forward and backward, measured in the same rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch

import statewise
from statewise.kernels import cpu

from .cases import Case, Shape
from .clock import no_garbage_collection
from .compare import Side, build
from .table import markdown

# Where the kernels take about as long as the rest: a net for short words and a narrow one.
SHAPES = (Shape(3, 10, 26, 128, 1), Shape(27, 26, 27, 5, 1))
ROUNDS, QUICK_ROUNDS = 200, 40
CALLS = 20  # in a round; few, so that a round fits between two disturbances


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds a call: of the whole, of the kernels in it, of torch's product beside it."""

    whole: float
    kernel: float
    product: float

    @property
    def rest(self) -> float:
        """What the call spends outside the kernels."""
        return self.whole - self.kernel


@dataclass(frozen=True, slots=True)
class Overhead:
    """A case with what its calm rounds say; times in seconds."""

    case: Case
    whole: float
    kernel: float
    rest: float
    product: float
    ratio: float  # rest over product, round by round

    @classmethod
    def of(cls, case: Case, rounds: Sequence[Round]) -> Overhead:
        """The medians over the quarter of the rounds in which torch's product was fastest."""
        calm = sorted(rounds, key=lambda r: r.product)[: max(1, len(rounds) // 4)]
        return cls(
            case,
            whole=median(r.whole for r in calm),
            kernel=median(r.kernel for r in calm),
            rest=median(r.rest for r in calm),
            product=median(r.product for r in calm),
            ratio=median(r.rest / r.product for r in calm),
        )

    def __str__(self) -> str:
        times = f"whole {self.whole * 1e6:6.1f} us  kernels {self.kernel * 1e6:6.1f} us  rest {self.rest * 1e6:6.1f} us"
        return f"{self.case} {times}  {self.ratio:5.2f} of torch's product ({self.product * 1e6:.1f} us)"

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        times = {"whole": self.whole, "kernels": self.kernel, "rest": self.rest, "torch_product": self.product}
        rounded = {f"{name}_us": round(seconds * 1e6, 2) for name, seconds in times.items()}
        return {**self.case.as_dict(), **rounded, "rest_in_products": round(self.ratio, 3)}


def measure(cases: Iterable[Case], *, rounds: int = ROUNDS) -> list[Overhead]:
    """Time all ``cases``, which share one number of threads, in turns: one round of each, and again."""
    calls = {case: _call(case) for case in cases}
    product = _product()
    taken: dict[Case, list[Round]] = {case: [] for case in calls}
    with no_garbage_collection():
        for _ in range(rounds):
            for case, call in calls.items():
                product_time = _time(product)
                call()  # brings its own code and data back into the caches
                before = cpu.nanoseconds_in_kernels()
                whole = _time(call)
                taken[case].append(Round(whole, (cpu.nanoseconds_in_kernels() - before) / 1e9 / CALLS, product_time))
    return [Overhead.of(case, found) for case, found in taken.items()]


def table(figures: Iterable[Overhead]) -> str:
    """A markdown table: a row a case."""
    head = ["", "whole", "kernels", "rest", "rest / torch's product"]
    rows = [
        [str(f.case), *(f"{seconds * 1e6:.0f} us" for seconds in (f.whole, f.kernel, f.rest)), f"{f.ratio:.2f}"]
        for f in figures
    ]
    return markdown([head, *([" ".join(name.split()), *rest] for name, *rest in rows)])


def _call(case: Case) -> Side:
    s = case.shape
    side = Side(build(statewise, case), case)
    side.feed([torch.randn(s.T, s.N, s.I)], torch.randn(s.T, s.N, s.H))
    return side


def _product() -> Callable[[], None]:
    """One product, forward and backward to both factors, in the size of a small layer."""
    a, b, incoming = (
        torch.randn(30, 26, requires_grad=True),
        torch.randn(26, 128, requires_grad=True),
        torch.ones(30, 128),
    )

    def call() -> None:
        a.grad = b.grad = None
        torch.mm(a, b).backward(incoming)

    return call


def _time(call: Callable[[], object]) -> float:
    """Seconds a call."""
    start = perf_counter()
    for _ in range(CALLS):
        call()
    return (perf_counter() - start) / CALLS
