"""A cell's step run once on symbols: what it reads and what it computes, as a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cell import Cell

OPERATIONS = (
    "sigmoid",
    "tanh",
    "relu",
    "exp",
    "log",
    "softplus",
    "logsigmoid",
    "maximum",
    "minimum",
    "abs",
    "sqrt",
    "where",
)


class Symbol:
    """A value (N, H) that is only known by how it is computed: ``op`` of ``args``. Leaves have a name as their arg."""

    __slots__ = ("args", "op")

    def __init__(self, op: str, *args: Any) -> None:
        self.op, self.args = op, args

    def __add__(self, other: Any) -> Symbol:
        return Symbol("add", self, as_symbol(other))

    def __radd__(self, other: Any) -> Symbol:
        return Symbol("add", as_symbol(other), self)

    def __sub__(self, other: Any) -> Symbol:
        return Symbol("sub", self, as_symbol(other))

    def __rsub__(self, other: Any) -> Symbol:
        return Symbol("sub", as_symbol(other), self)

    def __mul__(self, other: Any) -> Symbol:
        return Symbol("mul", self, as_symbol(other))

    def __rmul__(self, other: Any) -> Symbol:
        return Symbol("mul", as_symbol(other), self)

    def __truediv__(self, other: Any) -> Symbol:
        return Symbol("div", self, as_symbol(other))

    def __rtruediv__(self, other: Any) -> Symbol:
        return Symbol("div", as_symbol(other), self)

    def __neg__(self) -> Symbol:
        return Symbol("neg", self)

    def __pow__(self, other: Any) -> Symbol:
        if other != 2:
            raise TypeError("a cell's step has no power but the second: write the product, or exp and log")
        return Symbol("mul", self, self)

    def __bool__(self) -> bool:
        raise TypeError("a cell's step can't branch on a value: use where, maximum, minimum or relu")

    def _compared(self, other: Any) -> bool:
        return bool(self)

    __lt__ = __le__ = __gt__ = __ge__ = _compared


def as_symbol(value: Any) -> Symbol:
    """``value``, or the constant that a number stands for."""
    if isinstance(value, Symbol):
        return value
    if isinstance(value, (int, float)):
        return Symbol("constant", float(value))
    raise TypeError(f"a cell's step computes with its arguments and numbers, not with {type(value).__name__}")


def _operation(name: str) -> Callable[..., Symbol]:
    return lambda *args: Symbol(name, *[as_symbol(a) for a in args])


class Parts:
    """The parts of a weight or product by their letters; what has no letters is handed out as it is."""

    def __init__(self, **parts: Any) -> None:  # written out: torch.compile follows no SimpleNamespace
        for letter, part in parts.items():
            setattr(self, letter, part)

    def __getattr__(self, letter: str) -> Any:
        raise AttributeError(f"there is no {letter!r} here, but {', '.join(vars(self)) or 'nothing'}")


def parts_of(letters: Sequence[str], make: Callable[[str], Any]) -> Parts:
    """``make(letter)`` for each of ``letters``, by attribute."""
    return Parts(**{letter: make(letter) for letter in letters})


@dataclass(frozen=True)
class Trace:
    """A step as a graph: the states after it, and every symbol from the leaves on, each after its arguments."""

    states: tuple[Symbol, ...]
    symbols: tuple[Symbol, ...]

    @property
    def reads_h(self) -> bool:
        """Whether the step reads the first state before it, beside the product."""
        return any(s.op == "state" and s.args[0] == 0 for s in self.symbols)


def trace(cell: Cell) -> Trace:
    """Run the cell's step on symbols.

    The leaves are ("x", gate), ("r", gate), ("state", index), ("vector", name, letter or ""); ("late", gate, value) is
    the recurrent product of ``value``, and ("norm", letter, value) a normalised one.

    Raises:
        ValueError: the step doesn't return as many states as the cell has.
    """
    ops = SimpleNamespace(**{name: _operation(name) for name in OPERATIONS})
    x = parts_of(cell.gates, lambda gate: Symbol("x", gate))

    def recurrent(gate: str) -> Any:
        return (lambda value: Symbol("late", gate, as_symbol(value))) if gate in cell.late else Symbol("r", gate)

    def normalise(letter: str) -> Callable[[Any], Symbol]:
        return lambda value: Symbol("norm", letter, as_symbol(value))

    r = parts_of(cell.recurrent, recurrent) if cell.recurrent else None
    w = SimpleNamespace()
    for v in cell.vectors:
        part = partial(Symbol, "vector", v.name)
        setattr(w, v.name, parts_of(v.parts, part) if v.parts else part(""))
    for letter in cell.norms:
        if letter not in ("x", "r"):
            setattr(w, f"norm_{letter}", normalise(letter))
    before = tuple([Symbol("state", k) for k in range(len(cell.states))])
    try:
        found = cell.step(ops, x, r, w, before)
    except (TypeError, AttributeError) as error:
        raise type(error)(
            f"cell {cell.name}: step failed on symbols, with which it is traced: {error}. It may compute with its "
            "arguments, numbers, + - * / and what is in ops, and not with torch's own functions"
        ) from error
    if not isinstance(found, tuple) or len(found) != len(cell.states):
        raise ValueError(
            f"cell {cell.name}: Expected step to return a tuple of {len(cell.states)} states "
            f"({', '.join(cell.states)}), got {found!r}"
        )
    states = tuple([as_symbol(s) for s in found])
    return Trace(states, tuple(_in_order(states)))


def _in_order(roots: Sequence[Symbol]) -> list[Symbol]:
    """Every symbol that ``roots`` need, each after its arguments."""
    seen: set[int] = set()
    found: list[Symbol] = []

    def visit(symbol: Symbol) -> None:
        if id(symbol) in seen:
            return
        seen.add(id(symbol))
        for a in symbol.args:
            if isinstance(a, Symbol):
                visit(a)
        found.append(symbol)

    for root in roots:
        visit(root)
    return found
