"""How a cell's step is computed on one block of units: in which phases, what is saved, what is computed again.

Between the phases of a step stands what needs all units of a row: a late product, or the norm of a state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from .cell import Cell
from .derive import gradients
from .expression import Node, in_order
from .slots import MOST_SLOTS, Slot, Step, Unsupported, step_of

MOST_STATES, MOST_VECTORS, MOST_NORMS = 8, 16, 4

Place = tuple[str, int]
"""One of a functor's arrays and a place in it."""


@dataclass(frozen=True, slots=True)
class Program:
    """What one function computes: ``writes`` in their order, after everything is read.

    Attributes:
        reads: what is given, and where.
        writes: what is computed, and where it goes.
    """

    reads: Mapping[Node, Place]
    writes: tuple[tuple[Place, Node], ...]

    def computed(self) -> list[Node]:
        """Everything that is computed, in order, constants left out."""
        nodes = in_order([node for _, node in self.writes], self.reads)
        return [n for n in nodes if n not in self.reads and not n.is_constant()]

    def used(self) -> set[str]:
        """The arrays that are read or written."""
        read = {self.reads[n][0] for n in in_order([n for _, n in self.writes], self.reads) if n in self.reads}
        return read | {place[0] for place, _ in self.writes}


@dataclass(frozen=True, slots=True)
class Plan:
    """A cell's functor.

    Attributes:
        cell: whose.
        slots: what feeds each of the slots.
        normalised: the numbers of the states that are normalised between the phases.
        forward: a program for each phase. Arrays: ``a`` (in: pre-activations, out: what is saved), ``before``, ``w``,
            ``crossed``, ``after``, ``crossing``.
        backward: likewise; the last phase runs first. Arrays: besides ``a`` to ``after``, gradients: ``ds`` of the
            states after, ``db`` of those before, ``d`` of the pre-activations, ``dw`` and ``dcross``.
        crossing: what the late product reads, from what is saved; None without one.
    """

    cell: Cell
    slots: tuple[Slot, ...]
    normalised: tuple[int, ...]
    forward: tuple[Program, ...]
    backward: tuple[Program, ...]
    crossing: Program | None

    @property
    def reads_h(self) -> bool:
        """Whether the step reads h itself, beside the product with it."""
        programs = [*self.forward, *self.backward, *([self.crossing] if self.crossing else [])]
        return any(("before", 0) in program.reads.values() and _reads_h(program) for program in programs)

    @property
    def saves_h(self) -> bool:
        """Whether what is saved is h alone."""
        return len(self.slots) == 1 and dict(self.forward[0].writes).get(("a", 0)) is self._h()

    def _h(self) -> Node:
        return next(node for program in self.forward for place, node in program.writes if place == ("after", 0))


def _reads_h(program: Program) -> bool:
    nodes = in_order([node for _, node in program.writes], program.reads)
    return any(program.reads.get(node) == ("before", 0) for node in nodes)


def plan_of(cell: Cell) -> Plan:
    """The cheapest plan that the search finds.

    Raises:
        Unsupported: the kernels can't serve the cell.
    """
    vectors = sum(max(1, len(v.parts)) for v in cell.vectors)
    _limit("states", len(cell.states), MOST_STATES)
    _limit("vectors of weights", vectors, MOST_VECTORS)
    step = step_of(cell)
    _limit("normalised states", len(step.normalised), MOST_NORMS)
    return _Planner(cell, step, vectors).best()


def _limit(what: str, count: int, most: int) -> None:
    if count > most:
        raise Unsupported(f"the cell has {count} {what}, the kernels have place for {most}")


Saved = tuple[Node, ...]  # by slot

_COSTS = {
    "div": 5,
    "sqrt": 6,
    "exp": 10,
    "one_minus_exp": 10,
    "sigmoid": 14,
    "tanh": 14,
    "log": 14,
    "softplus": 24,
    "logsigmoid": 24,
}


class _Planner:
    """Looks for what to save: for each slot the pre-activation, or what is computed of it."""

    def __init__(self, cell: Cell, step: Step, vectors: int) -> None:
        self.cell, self.step, self.graph = cell, step, step.graph
        self.raw: Saved = tuple([self.graph.leaf("slot", k) for k in range(len(step.slots))])
        self.given: dict[Node, Place] = {self.graph.leaf("before", k): ("before", k) for k in range(len(cell.states))}
        self.given |= {self.graph.leaf("vector", k): ("w", k) for k in range(vectors)}
        self.crossed = [self.graph.leaf("crossed", j) for j in range(len(step.normalised))]
        between = [step.after[k] for k in step.normalised] + ([] if step.late is None else [step.late])
        self.phases = 2 if between else 1
        needed_first = set(in_order(between))
        self.first = [k for k, leaf in enumerate(self.raw) if self.phases == 1 or leaf in needed_first]
        self.last = [k for k in range(len(self.raw)) if k not in self.first]

    def best(self) -> Plan:
        """The plan to which no other choice for a single slot is cheaper."""
        options = [self._options(k) for k in range(len(self.raw))]
        saved, cost = self.raw, _cost(self._plan(self.raw))
        improved = True
        while improved:
            improved = False
            for k, nodes in enumerate(options):
                for node in nodes:
                    other = (*saved[:k], node, *saved[k + 1 :])
                    plan = self._plan(other) if len(set(other)) == len(other) else None
                    if plan and _cost(plan) < cost:
                        saved, cost, improved = other, _cost(plan), True
        found = self._plan(saved)
        assert found  # it was found above
        return found

    def _options(self, slot: int) -> list[Node]:
        """What the slot's phase computes of it, the states aside that are kept anyway."""
        step = self.step
        later = {*self.crossed, *[self.raw[k] for k in self.last]} if slot in self.first else set()
        found = []
        for node in in_order([*step.after, *([] if step.late is None else [step.late])]):
            needed = in_order([node])
            if self.raw[slot] in needed and later.isdisjoint(needed) and node not in step.after[1:]:
                found.append(node)
        return found

    def _plan(self, saved: Saved) -> Plan | None:
        """What follows from saving ``saved``; None if something needed couldn't be computed."""
        phases = range(self.phases)
        forward = tuple([self._forward(phase, saved) for phase in phases])
        backward = tuple([self._backward(phase, saved) for phase in phases])
        crossing = None
        if self.step.late is not None:
            crossing = Program(self._with(self._saved(saved)), ((("crossing", 0), self.step.late),))
        for program in (*forward, *backward, *([crossing] if crossing else [])):
            if any(node.op == "leaf" for node in program.computed()):
                return None
        return Plan(self.cell, self.step.slots, self.step.normalised, forward, backward, crossing)

    def _with(self, *more: Mapping[Node, Place]) -> dict[Node, Place]:
        """Where what is given lies, and ``more``."""
        return dict(chain(*[m.items() for m in (self.given, *more)]))

    def _saved(self, saved: Saved) -> dict[Node, Place]:
        return {node: ("a", k) for k, node in reversed(list(enumerate(saved)))}

    def _between(self) -> dict[Node, Place]:
        """The states that are finished between the phases, and their norms."""
        after = {self.step.after[k]: ("after", k) for k in self.step.normalised}
        return after | {node: ("crossed", j) for j, node in enumerate(self.crossed)}

    def _states(self, phase: int) -> list[int]:
        """The states that a phase computes."""
        normalised, late = self.step.normalised, self.phases == 2
        return [k for k in range(len(self.step.after)) if not late or (k in normalised) == (phase == 0)]

    def _forward(self, phase: int, saved: Saved) -> Program:
        step, own = self.step, self.last if phase else self.first
        reads = self._with({self.raw[k]: ("a", k) for k in own})
        if phase:
            reads |= self._between() | {saved[k]: ("a", k) for k in self.first}
        writes: list[tuple[Place, Node]] = [(("a", k), saved[k]) for k in own if saved[k] is not self.raw[k]]
        writes += [(("after", k), step.after[k]) for k in reversed(self._states(phase))]
        if phase == 0 and step.late is not None:
            writes.append((("crossing", 0), step.late))
        return Program(reads, tuple(writes))

    def _backward(self, phase: int, saved: Saved) -> Program:
        step, graph = self.step, self.graph
        own = self.last if phase else self.first
        seeds = [(step.after[k], graph.leaf("ds", k)) for k in self._states(phase)]
        if self.phases == 2 and phase == 0:
            seeds += [(saved[k], graph.leaf("d", k)) for k in self.first]
            seeds += [] if step.late is None else [(step.late, graph.leaf("dcross", 0))]
        ends = [*self._between(), *[saved[k] for k in self.first]] if phase else []
        found = gradients(graph, seeds, ends)

        def gradient(node: Node) -> Node:
            return found.get(node, graph.constant(0))

        def total(name: str, k: int, node: Node) -> Iterator[tuple[Place, Node]]:
            if node in found:
                yield (name, k), graph.add(graph.leaf(name, k), found[node])

        writes: list[tuple[Place, Node]] = [(("d", k), gradient(self.raw[k])) for k in own]
        if phase:
            writes += [(("d", k), gradient(saved[k])) for k in self.first]
            writes += [(("dcross", j), gradient(node)) for j, node in enumerate(self.crossed)]
            for k in step.normalised:
                writes += total("ds", k, step.after[k])
        for node, (name, k) in self.given.items():
            if name == "w":
                writes += total("dw", k, node)
            elif k > 0 or self.cell.carries_h:
                assigned = self.phases == 1 or phase == 1
                writes += [(("db", k), gradient(node))] if assigned else total("db", k, node)
        names = ("ds", "db", "d", "dw", "dcross")
        leaves = {leaf: leaf.name for leaf in _leaves(node for _, node in writes) if leaf.name[0] in names}
        after = {step.after[k]: ("after", k) for k in reversed(range(1, len(step.after)))}
        reads = self._with(after, self._between() if phase else {}, self._saved(saved))
        return Program(reads | {leaf: (str(name), int(str(k))) for leaf, (name, k) in leaves.items()}, tuple(writes))


def _leaves(roots: Iterable[Node]) -> Iterator[Node]:
    return (node for node in in_order(roots) if node.op == "leaf")


def _cost(plan: Plan | None) -> float:
    """What backward costs, and what of forward is done twice."""
    if plan is None:
        return float("inf")
    programs = (*plan.backward, *plan.forward[1:])
    return sum(_COSTS.get(node.op, 1) for program in programs for node in program.computed())


__all__ = ["MOST_SLOTS", "Place", "Plan", "Program", "Unsupported", "plan_of"]
