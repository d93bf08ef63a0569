"""Expressions over one unit's values, each of which exists once: equal computations are the same node."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator

from .arithmetic import FUNCTIONS


class Node:
    """One value: an ``op`` of ``args``; of a constant its ``value``, of a leaf its ``name``. Made by a ``Graph``."""

    __slots__ = ("args", "name", "number", "op", "value")

    def __init__(self, number: int, op: str, args: Args, name: Name, value: float) -> None:
        self.number, self.op, self.args, self.name, self.value = number, op, args, name, value

    def is_constant(self, value: float | None = None) -> bool:
        """Whether this is a constant; and, where ``value`` is given, that one."""
        return self.op == "constant" and (value is None or self.value == value)

    def __repr__(self) -> str:
        if self.op == "constant":
            return repr(self.value)
        if self.op == "leaf":
            return ".".join(map(str, self.name))
        return f"{self.op}({', '.join(map(repr, self.args))})"


Args = tuple[Node, ...]
Name = tuple[object, ...]


class Graph:
    """Makes nodes: the same one for the same computation, and a simpler one where that has the same value.

    A product with 0 stays, for it is NaN where the other factor is infinite.
    """

    def __init__(self) -> None:
        self._nodes: dict[tuple[object, ...], Node] = {}

    def _node(
        self,
        key: tuple[object, ...],
        op: str,
        args: tuple[Node, ...] = (),
        name: tuple[object, ...] = (),
        value: float = 0,
    ) -> Node:
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = Node(len(self._nodes), op, args, name, value)
        return found

    def leaf(self, *name: object) -> Node:
        """The value that is given under ``name``."""
        return self._node(("leaf", *name), "leaf", name=name)

    def constant(self, value: float) -> Node:
        """The same number for all units."""
        return self._node(("constant", repr(value)), "constant", value=value)

    def add(self, a: Node, b: Node) -> Node:
        if b.op == "neg":
            return self.sub(a, b.args[0])
        if a.op == "neg":
            return self.sub(b, a.args[0])
        if a.is_constant(0):
            return b
        return a if b.is_constant(0) else self._make("add", a, b)

    def sub(self, a: Node, b: Node) -> Node:
        if b.op == "neg":
            return self.add(a, b.args[0])
        if a.is_constant(0):
            return self.neg(b)
        return a if b.is_constant(0) else self._make("sub", a, b)

    def mul(self, a: Node, b: Node) -> Node:
        for p, q in ((a, b), (b, a)):
            if p.is_constant(1):
                return q
            if p.is_constant(-1):
                return self.neg(q)
        return self._make("mul", a, b)

    def div(self, a: Node, b: Node) -> Node:
        if b.is_constant() and math.isfinite(b.value) and abs(math.frexp(b.value)[0]) == 0.5:
            reciprocal = 1 / b.value if abs(b.value) > 1e-30 else math.inf
            if math.isfinite(reciprocal):
                return self.mul(a, self.constant(reciprocal))  # exact: a power of two
        return self._make("div", a, b)

    def neg(self, a: Node) -> Node:
        if a.op == "neg":
            return a.args[0]
        return self.sub(a.args[1], a.args[0]) if a.op == "sub" else self._make("neg", a)

    def call(self, op: str, *args: Node) -> Node:
        """``op`` of ``args``, one of ``arithmetic.FUNCTIONS``."""
        simplify: Callable[..., Node] | None = getattr(self, op, None) if op in _SIMPLIFIED else None
        return simplify(*args) if simplify else self._make(op, *args)

    def _make(self, op: str, *args: Node) -> Node:
        if all(a.is_constant() for a in args):
            return self.constant(FUNCTIONS[op](*[a.value for a in args]))
        numbers = [a.number for a in args]
        return self._node((op, *(sorted(numbers) if op in _COMMUTATIVE else numbers)), op, args)


_SIMPLIFIED = frozenset({"add", "sub", "mul", "div", "neg"})
_COMMUTATIVE = frozenset({"add", "mul"})


def in_order(roots: Iterable[Node], given: Collection[Node] = ()) -> list[Node]:
    """Every node that ``roots`` need, each after its arguments; those ``given`` need none."""
    found: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node in found:
            return
        if node not in given:
            for a in node.args:
                visit(a)
        found[node] = None

    for root in roots:
        visit(root)
    return list(found)


def count_uses(nodes: Iterable[Node], roots: Iterable[Node], given: Collection[Node] = ()) -> dict[Node, int]:
    """How often each node is an argument of one of ``nodes`` that isn't ``given``, or a root."""
    uses: dict[Node, int] = {}
    for used in _used(nodes, roots, given):
        uses[used] = uses.get(used, 0) + 1
    return uses


def _used(nodes: Iterable[Node], roots: Iterable[Node], given: Collection[Node]) -> Iterator[Node]:
    for node in nodes:
        if node not in given:
            yield from node.args
    yield from roots
