"""Where a step's pre-activations lie: which parts of W_ih x and W_hh h share a vector of a row of gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .cell import Cell
from .expression import Graph, Node, count_uses, in_order
from .symbols import Symbol, trace

MOST_SLOTS = 8


class Unsupported(Exception):  # noqa: N818 (said of a description, not of a call)
    """Why the kernels can't serve a description, in plain words; the reference can."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What feeds one vector of a unit in a row of gates: the part of W_ih and that of W_hh by their numbers, or -1.

    Attributes:
        late: whether the part of W_hh reads what the step gives it, not h.
    """

    from_x: int
    from_h: int
    late: bool = False

    @property
    def kind(self) -> int:
        """The order of slots, by which what x feeds is contiguous, and what h feeds."""
        if self.from_h < 0:
            return 0
        return 3 if self.from_x < 0 else 1 if self.late else 2


@dataclass(frozen=True, slots=True)
class Step:
    """A cell's step as expressions of slots.

    The leaves are ("slot", number), ("before", number of the state), ("vector", number of the part) and ("crossed", j)
    for the normalised state ``normalised[j]``.

    Attributes:
        graph: what made the expressions.
        slots: in their order.
        after: the states after the step.
        late: what the late products read; None without any.
        normalised: the numbers of the states that are normalised within the step.
    """

    graph: Graph
    slots: tuple[Slot, ...]
    after: tuple[Node, ...]
    late: Node | None
    normalised: tuple[int, ...]


def step_of(cell: Cell) -> Step:
    """The step of ``cell`` over as few slots as it needs.

    A gate's parts of W_ih x and W_hh h share a slot where they occur nowhere but in one sum.

    Raises:
        Unsupported: the kernels have no place for it.
    """
    graph = Graph()
    after, read = _expressions(cell, graph)
    late = _late(cell, graph, read)
    normalised = _normalised(cell, graph, after, read)

    gates = [graph.leaf("x", k) for k in range(len(cell.gates))]
    recurrent = tuple(cell.recurrent or ())
    products = [graph.leaf("late" if letter in cell.late else "r", k) for k, letter in enumerate(recurrent)]
    own = {gates[tuple(cell.gates).index(letter)]: r for letter, r in zip(recurrent, products, strict=True)}
    sums = _Sums((*after, *read.values()), own)
    partner = {x: r for pairs in sums.shared.values() for x, r in pairs}
    # What step leaves out has a place all the same.
    partner |= {x: r for x, r in own.items() if not sums.uses.get(x) and not sums.uses.get(r)}
    alone = [r for r in products if r not in partner.values()]
    for r in alone:
        if r.name[0] == "late":
            raise Unsupported(
                f"the late product of {recurrent[products.index(r)]} stands in no sum with an input's share"
            )

    number = {r: k for k, r in enumerate(products)}
    slots = {
        x: Slot(k, number[partner[x]] if x in partner else -1, x in partner and partner[x].name[0] == "late")
        for k, x in enumerate(gates)
    } | {r: Slot(-1, number[r]) for r in alone}
    ordered = sorted(slots.items(), key=lambda item: item[1].kind)
    if len(ordered) > MOST_SLOTS:
        raise Unsupported(f"a unit needs {len(ordered)} sums of products, the kernels have place for {MOST_SLOTS}")

    if late is not None and len(cell.late) == len(recurrent):
        raise Unsupported("all recurrent products are late, and the kernels' first phase has one")

    renamed = {leaf: graph.leaf("slot", k) for k, (leaf, _) in enumerate(ordered)}
    renamed |= {graph.leaf("norm", k): graph.leaf("crossed", j) for j, k in enumerate(normalised)}
    rewrite = _Rewriter(graph, sums, renamed)
    return Step(
        graph,
        tuple([slot for _, slot in ordered]),
        tuple([rewrite(state) for state in after]),
        None if late is None else rewrite(late),
        normalised,
    )


def _expressions(cell: Cell, graph: Graph) -> tuple[tuple[Node, ...], dict[Node, Node]]:
    """The states after the step; and what each late product and norm reads, by the leaf that stands for its result."""
    parts = [(v.name, part) for v in cell.vectors for part in (tuple(v.parts) or ("",))]
    numbers = {"x": tuple(cell.gates), "r": tuple(cell.recurrent or ()), "norm": tuple(cell.states)}
    found: dict[int, Node] = {}
    read: dict[Node, Node] = {}

    def node(symbol: Symbol) -> Node:
        op, args = symbol.op, symbol.args
        if op == "constant":
            return graph.constant(args[0])
        if op == "state":
            return graph.leaf("before", args[0])
        if op == "vector":
            return graph.leaf("vector", parts.index((args[0], args[1])))
        if op in ("x", "r"):
            return graph.leaf(op, numbers[op].index(args[0]))
        if op in ("late", "norm"):
            leaf, value = graph.leaf(op, numbers["r" if op == "late" else op].index(args[0])), found[id(args[1])]
            if read.setdefault(leaf, value) is not value:
                what = "the late product" if op == "late" else "the norm"
                raise Unsupported(f"step takes {what} of {args[0]} of two different values")
            return leaf
        return graph.call(op, *[found[id(a)] for a in args])

    traced = trace(cell)
    for symbol in traced.symbols:
        found[id(symbol)] = node(symbol)
    return tuple([found[id(state)] for state in traced.states]), read


def _late(cell: Cell, graph: Graph, read: Mapping[Node, Node]) -> Node | None:
    """What the late products read."""
    values = {value for leaf, value in read.items() if leaf.name[0] == "late"}
    if sum(leaf.name[0] == "late" for leaf in read) < len(cell.late):
        raise Unsupported("step leaves out a late product")
    if len(values) > 1:
        raise Unsupported("the late products read different values")
    for value in values:
        if any(node.name[:1] == ("late",) for node in in_order([value])):
            raise Unsupported("a late product reads another one")
        return value
    return None


def _normalised(cell: Cell, graph: Graph, after: tuple[Node, ...], read: Mapping[Node, Node]) -> tuple[int, ...]:
    """The numbers of the states that step normalises."""
    found = []
    for k, letter in enumerate(cell.states):
        value = read.get(graph.leaf("norm", k))
        if value is None:
            continue
        if value is not after[k]:
            raise Unsupported(f"the norm of {letter} is of another value than the state {letter} that step returns")
        if any(node.name[:1] == ("norm",) for node in in_order([value])):
            raise Unsupported(f"the norm of {letter} reads another norm")
        found.append(k)
    if len(found) < sum(letter in cell.norms for letter in cell.states):
        raise Unsupported("step leaves out the norm of a state")
    return tuple(found)


_SUMS = frozenset({"add", "sub", "neg"})
Terms = list[tuple[int, Node]]


class _Sums:
    """The sums in an expression, and who share a slot in them.

    Attributes:
        uses: how often each node is used.
        shared: the (x, r) that occur in a sum and nowhere else, by the last node of the sum.
    """

    def __init__(self, roots: tuple[Node, ...], own: Mapping[Node, Node]) -> None:
        nodes = in_order(roots)
        self._own = own  # the product with h of the same gate
        self.uses = count_uses(nodes, roots)
        inner = {a for node in nodes if node.op in _SUMS for a in node.args if self._belongs(a)}
        self.shared = {node: self._pairs(self.terms(node)) for node in nodes if node.op in _SUMS and node not in inner}

    def _belongs(self, node: Node) -> bool:
        """Whether a term is itself a sum, and part of no other."""
        return node.op in _SUMS and self.uses[node] == 1

    def terms(self, node: Node, sign: int = 1) -> Terms:
        """What a sum adds up, each with its sign, from left to right."""
        signs = {"add": (1, 1), "sub": (1, -1), "neg": (-1,)}[node.op]
        found: Terms = []
        for own, a in zip(signs, node.args, strict=True):
            found += self.terms(a, sign * own) if self._belongs(a) else [(sign * own, a)]
        return found

    def _pairs(self, terms: Terms) -> list[tuple[Node, Node]]:
        once = [(sign, node) for sign, node in terms if node.op == "leaf" and self.uses[node] == 1]
        return [(x, self._own[x]) for sign, x in once if x in self._own and (sign, self._own[x]) in once]


class _Rewriter:
    """Expressions with other leaves, in which what shares a slot is one."""

    def __init__(self, graph: Graph, sums: _Sums, renamed: Mapping[Node, Node]) -> None:
        self._graph, self._sums, self._done = graph, sums, dict(renamed)

    def __call__(self, node: Node) -> Node:
        if node not in self._done:
            self._done[node] = self._rewritten(node)
        return self._done[node]

    def _rewritten(self, node: Node) -> Node:
        pairs = self._sums.shared.get(node)
        if pairs:
            return self._sum([t for t in self._sums.terms(node) if t[1] not in {r for _, r in pairs}])
        return self._graph.call(node.op, *[self(a) for a in node.args]) if node.args else node

    def _sum(self, terms: Terms) -> Node:
        """The terms from left to right, beginning with one that is added."""
        first = next((k for k, (sign, _) in enumerate(terms) if sign > 0), None)
        if first is None:
            return self._graph.neg(self._sum([(1, node) for _, node in terms]))
        total = self(terms[first][1])
        for sign, node in terms[:first] + terms[first + 1 :]:
            total = self._graph.add(total, self(node)) if sign > 0 else self._graph.sub(total, self(node))
        return total
