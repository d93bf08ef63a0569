"""A cell's functor as C++."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from textwrap import fill

from .cell import Cell
from .expression import Node, count_uses
from .plan import Place, Plan, Program, plan_of

_WIDTH = 96
_OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_STRENGTH = {"add": 1, "sub": 1, "mul": 2, "div": 2, "neg": 3}  # the rest binds more strongly
_ALONE = 4


def type_of(cell: Cell) -> str:
    """The name of a cell's functor."""
    words = re.findall("[A-Za-z0-9]+", cell.name)
    name = "".join([w[0].upper() + w[1:] for w in words])
    return name if name[:1].isalpha() else f"Cell{name}"


def struct_of(cell: Cell, name: str = "") -> str:
    """The functor of ``cell``, called ``name`` or, by default, ``type_of(cell)``.

    Raises:
        Unsupported: the kernels can't serve the cell.
    """
    plan = plan_of(cell)
    lines = [f"// Generated from the cell {_quoted(cell.name)}.", f"struct {name or type_of(cell)} {{"]
    lines += _shape(plan)
    lines += _function("forward", _FORWARD, plan.forward)
    lines += _function("backward", _BACKWARD, plan.backward)
    lines += _function("crossing", _CROSSING, [plan.crossing] if plan.crossing else [], phased=False)
    return "\n".join([*lines, "};", ""])


_FORWARD = ("a", "const before", "const w", "const crossed", "after", "crossing")
_BACKWARD = ("const a", "const before", "const after", "const w", "const crossed", "ds", "db", "d", "dw", "dcross")
_CROSSING = ("const a", "const before", "const w", "crossing")


def _quoted(text: str) -> str:
    """A string literal."""
    plain = {*range(32, 127)} - {ord('"'), ord("\\"), ord("?")}
    return '"' + "".join([chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()]) + '"'


def _shape(plan: Plan) -> list[str]:
    cell = plan.cell
    late = [k for k, slot in enumerate(plan.slots) if slot.late]

    def listed(numbers: list[int]) -> str:
        return "{" + ", ".join(map(str, numbers)) + "}"

    fields = {
        "name": _quoted(cell.name),
        "gates": len(cell.gates),
        "recurrent": len(cell.recurrent or ()),
        "slots": len(plan.slots),
        "from_x": listed([slot.from_x for slot in plan.slots]),
        "from_h": listed([slot.from_h for slot in plan.slots]),
        "late_first": late[0] if late else 0,
        "late": len(late),
        "states": len(cell.states),
        "vectors": sum(max(1, len(v.parts)) for v in cell.vectors),
        "phases": len(plan.forward),
        "carries_h": cell.carries_h,
        "reads_h": plan.reads_h,
        "h_in_slots": plan.saves_h,
        "bias_x": True,
        "bias_h": bool(cell.recurrent) and "h" in cell.biases,
        "norm_x": "x" in cell.norms,
        "norm_r": "r" in cell.norms,
        "norm_groups": len(_norm_groups(cell)),
        "norm_group": listed(_norm_group_of_slots(plan)),
        "crossing_states": len(plan.normalised),
        "crossing_state": listed(list(plan.normalised)),
        "heads_x": "x" in cell.heads,
        "heads_h": "h" in cell.heads,
        "vector_tensors": len(cell.vectors),
        "vector_parts": listed([max(1, len(v.parts)) for v in cell.vectors]),
    }
    lines = [f"      .{k} = {str(value).lower() if isinstance(value, bool) else value}," for k, value in fields.items()]
    return ["  static constexpr CellShape shape{", *lines, "  };"]


def _norm_groups(cell: Cell) -> list[set[str]]:
    """The gates that are normalised together."""
    return [set(group) for group in cell.norm_groups or [cell.gates]] if {"x", "r"} & set(cell.norms) else []


def _norm_group_of_slots(plan: Plan) -> list[int]:
    """Of each slot the number of its gate's group."""
    cell, groups = plan.cell, _norm_groups(plan.cell)
    gates = [cell.gates[s.from_x] if s.from_x >= 0 else (cell.recurrent or ())[s.from_h] for s in plan.slots]
    return [k for gate in gates for k, group in enumerate(groups) if gate in group]


def _function(name: str, arrays: Sequence[str], programs: Sequence[Program], phased: bool = True) -> list[str]:
    """A member function; arrays that it doesn't touch have no name."""
    used: set[str] = set().union(*[program.used() for program in programs])
    arguments = []
    for array in arrays:
        *const, argument = array.split()
        arguments.append(" ".join([*const, "Vec<T, W>*", *([argument] if argument in used else [])]))
    head = f"  static STATEWISE_INLINE void {name}("
    wrapped = fill(
        ", ".join(arguments).replace("T, W", "T,\0W").replace("const ", "const\0").replace("* ", "*\0"),
        width=118,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
    ).replace("\0", " ")
    lines = [f"  template <{'int phase, ' if phased else ''}class T, int W>", f"{wrapped}) {{"]
    if not programs:
        return [*lines[:-1], f"{lines[-1]}}}"]
    if len(programs) == 1:
        body = _Body(programs[0]).lines()
    else:
        first, last = [[f"  {line}" for line in _Body(program).lines()] for program in programs]
        body = ["    if constexpr (phase == 0) {", *first, "    } else {", *last, "    }"]
    if any(re.search(r"\bV\b", line) for line in body):
        lines.append("    using V = Vec<T, W>;")
    return [*lines, *body, "  }"]


class _Body:
    """The lines of one program. What is used once is written where it is used, as long as a line can hold it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.computed = program.computed()
        self.uses = count_uses(self.computed, [node for _, node in program.writes])
        self.names: dict[Node, str] = {node: _place(place) for node, place in program.reads.items()}
        self.texts: dict[Node, tuple[str, int]] = {}  # of what is written where it is used
        self.found: list[str] = []

    def lines(self) -> list[str]:
        for node in self.computed:
            text, strength = self._expression(node)
            if self.uses[node] == 1 and len(text) < _WIDTH // 2:
                self.texts[node] = text, strength
            else:
                self._name(node, text)
        written: list[str] = []
        for place, node in self.program.writes:  # what reads a place that is written by now has to be read before
            text = self._vector(node)
            if any(earlier in text for earlier in written):
                self._name(node, text)
            written.append(_place(place))
        assignments = [f"    {_place(place)} = {self._vector(node)};" for place, node in self.program.writes]
        return self.found + assignments

    def _name(self, node: Node, text: str) -> None:
        self.texts.pop(node, None)
        name = self.names[node] = f"v{len(self.found)}"
        self.found.append(f"    const V {name} = {text};")

    def _expression(self, node: Node) -> tuple[str, int]:
        """Its text, and how strongly that holds together."""
        if node.op == "add":
            for product, rest in (node.args, node.args[::-1]):
                if product.op == "mul" and product not in self.program.reads and self.uses[product] == 1:
                    return f"fma<V>({', '.join(map(self._vector, (*product.args, rest)))})", _ALONE
        if node.op == "neg":
            return f"-{self._operand(node.args[0], _ALONE)}", _STRENGTH["neg"]
        if node.op in _OPERATORS:
            own, (a, b) = _STRENGTH[node.op], node.args
            return f"{self._operand(a, own)} {_OPERATORS[node.op]} {self._operand(b, own + 1)}", own
        return f"{node.op}<T, W>({', '.join(map(self._vector, node.args))})", _ALONE

    def _text(self, node: Node) -> tuple[str, int]:
        if node.is_constant():
            return _number(node.value), _STRENGTH["neg"]
        return self.texts.get(node) or (self.names[node], _ALONE)

    def _operand(self, node: Node, least: int) -> str:
        text, strength = self._text(node)
        return text if strength >= least else f"({text})"

    def _vector(self, node: Node) -> str:
        """Its text, of a vector also where it is a constant."""
        if node.is_constant(0):
            return "V{}"
        return f"broadcast<V>({_number(node.value)})" if node.is_constant() else self._text(node)[0]


def _place(place: Place) -> str:
    return f"{place[0]}[{place[1]}]"


def _number(value: float) -> str:
    if math.isnan(value):
        return 'T(__builtin_nan(""))'
    if math.isinf(value):
        return "T(__builtin_inf())" if value > 0 else "-T(__builtin_inf())"
    return f"T({int(value)})" if value == int(value) and abs(value) < 1e9 and repr(value) != "-0.0" else f"T({value!r})"
