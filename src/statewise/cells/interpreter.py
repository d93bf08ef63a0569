"""A cell's functor without a compiler: its programs run on numbers, for tests and for a look at what a kernel does."""

from __future__ import annotations

from collections.abc import Mapping

from .arithmetic import FUNCTIONS
from .cell import Cell
from .expression import Node
from .plan import Program, plan_of

Arrays = Mapping[str, list[float]]
"""A functor's arguments for one unit, by their names."""


class Functor:
    """What the C++ struct of ``cell`` computes, in double precision, without fused multiply-adds.

    Every array is a list with one number where C++ has a vector of units.
    """

    def __init__(self, cell: Cell) -> None:
        self.plan = plan_of(cell)

    def forward(self, phase: int, arrays: Arrays) -> None:
        """One phase of a step: reads a, before, w and crossed; writes a, after and crossing."""
        _run(self.plan.forward[phase], arrays)

    def backward(self, phase: int, arrays: Arrays) -> None:
        """One phase of a step's gradient: reads a, before, after, w and crossed; changes ds, db, d, dw and dcross."""
        _run(self.plan.backward[phase], arrays)

    def crossing(self, arrays: Arrays) -> None:
        """What a late product reads, once more from what is saved: reads a, before and w; writes crossing."""
        if self.plan.crossing is None:
            raise ValueError("the cell has no late product")
        _run(self.plan.crossing, arrays)


def _run(program: Program, arrays: Arrays) -> None:
    values: dict[Node, float] = {}

    def value(node: Node) -> float:
        if node.is_constant():
            return node.value
        if node in program.reads:
            name, k = program.reads[node]
            return arrays[name][k]
        return values[node]

    for node in program.computed():
        values[node] = FUNCTIONS[node.op](*[value(a) for a in node.args])
    found = [(place, value(node)) for place, node in program.writes]
    for (name, k), number in found:
        arrays[name][k] = number
