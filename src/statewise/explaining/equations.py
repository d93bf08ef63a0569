"""A cell's equations as a reader writes them, from its one description."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ..cells import Cell
from ..cells.symbols import Symbol, trace

_BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_WORDS = {"logsigmoid": "log_sigmoid", "maximum": "max", "minimum": "min"}
_SPARE = "abdejklpqsuvwy"


def equations(cell: Cell, bias: bool = True) -> list[str]:
    """One line for each gate, for what is used more than once, and for each state: ``f_t = sigmoid(...)``.

    ``W_if x_t`` is the share of the input in gate f, ``W_hf h_(t-1)`` that of the state before; ``*`` goes unit by
    unit.
    """
    return Written(cell, bias).lines


@dataclass(frozen=True)
class Operand:
    """A place in a formula where a number can stand: ``text`` is how its symbol is written."""

    symbol: Symbol
    text: str


Pieces = list["str | Operand"]


@dataclass(frozen=True)
class Definition:
    """``name = ...``: the right side in pieces, from left to right."""

    name: str
    symbol: Symbol
    pieces: Pieces

    def __str__(self) -> str:
        return f"{self.name} = {text_of(self.pieces)}"


def text_of(pieces: Pieces) -> str:
    """A formula as text."""
    return "".join(piece.text if isinstance(piece, Operand) else piece for piece in pieces)


class Written:
    """A cell's step written down.

    Attributes:
        trace: the step as a graph.
        names: what the symbols with a name are called, by their ids: ``f_t``.
        definitions: of each of them.
        lines: the equations.
    """

    def __init__(self, cell: Cell, bias: bool = True) -> None:
        self.cell, self.bias = cell, bias
        self.names: dict[int, str] = {}
        self.spare = iter([letter for letter in _SPARE if letter not in (*cell.gates, *cell.states)])
        self.trace = trace(cell)
        self.uses = Counter(id(a) for s in self.trace.symbols for a in s.args if isinstance(a, Symbol))
        self.roots = {id(s): letter for s, letter in zip(self.trace.states, cell.states, strict=True)}
        found: list[Definition] = []
        for symbol in self.trace.symbols:
            if name := self._name(symbol):
                found.append(Definition(name, symbol, self.pieces(symbol)))
                self.names[id(symbol)] = name
        taken = self.names.values()
        order = [f"{gate}_t" for gate in cell.gates]

        def stands_alone(made: Definition) -> bool:
            return made.name in order and not any(other in text_of(made.pieces) for other in taken)

        # First the gates that need no other, in the order of their rows in the weights.
        first = sorted(filter(stands_alone, found), key=lambda made: order.index(made.name))
        self.definitions = [*first, *[made for made in found if made not in first]]
        self.lines = [str(made) for made in self.definitions]

    def _name(self, symbol: Symbol) -> str:
        """What a symbol is called; nothing for what is written where it is used."""
        if id(symbol) in self.roots:
            return "" if symbol.op == "state" else f"{self.roots[id(symbol)]}_t"
        if symbol.op in ("x", "r", "late", "state", "vector", "constant"):
            return ""
        often = self.uses[id(symbol)] > 1
        if often or symbol.op not in _BINARY:
            gates = {s.args[0] for s in self._below(symbol) if s.op in ("x", "r", "late")}
            names = [f"{gate}_t" for gate in gates if gate not in self.cell.states]
            if len(gates) == len(names) == 1 and names[0] not in self.names.values():
                return names[0]
        return f"{next(self.spare)}_t" if often else ""

    def _below(self, symbol: Symbol) -> Iterator[Symbol]:
        """What a symbol is made of, down to what has a name."""
        if id(symbol) in self.names:
            return
        yield symbol
        for a in symbol.args:
            if isinstance(a, Symbol):
                yield from self._below(a)

    def text(self, symbol: Symbol, tight: bool = False) -> str:
        """As a formula; in parentheses where ``tight`` asks for one factor."""
        return text_of(self.pieces(symbol, tight))

    def pieces(self, symbol: Symbol, tight: bool = False) -> Pieces:
        """Likewise, with what numbers stand for apart."""
        if id(symbol) in self.names:
            return [Operand(symbol, self.names[id(symbol)])]
        op, args = symbol.op, symbol.args
        if op in ("x", "r", "late"):
            share = Operand(symbol, self.share(op, *args))
            return ["(", share, ")"] if tight and " " in share.text else [share]
        if op == "state":
            return [Operand(symbol, f"{self.cell.states[args[0]]}_(t-1)")]
        if op == "vector":
            return [Operand(symbol, f"{args[0]}_{args[1]}" if args[1] else str(args[0]))]
        if op == "constant":
            return [f"{args[0]:g}"]
        if op == "norm":
            return [f"norm_{args[0]}(", *self.pieces(args[1]), ")"]
        if op == "neg":
            return ["-", *self.pieces(args[0], tight=True)]
        if op in _BINARY:
            factor = op in ("mul", "div")
            left = self.pieces(args[0], tight=factor)
            right = self.pieces(args[1], tight=op != "add")
            both = [*left, f" {_BINARY[op]} ", *right]
            return ["(", *both, ")"] if tight else both
        inside = [[", ", *self.pieces(a)] for a in args]
        return [f"{_WORDS.get(op, op)}(", *[piece for each in inside for piece in each][1:], ")"]

    def share(self, op: str, gate: str, value: Symbol | None = None) -> str:
        """W x + b of one of the two products."""
        letter, read = ("i", "x_t") if op == "x" else ("h", "h_(t-1)")
        if value is not None:
            read = f"({self.text(value)})"
        text = f"W_{letter}{gate} {read}"  # as torch.nn's documentation has it: W_if is W_ih's share for gate f
        if ("x" if op == "x" else "r") in self.cell.norms:
            text = f"norm({text})"
        has_bias = self.bias and (op == "x" or self.cell.biases == "xh")
        return f"{text} + b_{letter}{gate}" if has_bias else text
