"""Which of the cells that are known a body is, and with which weights: its sums held against the cell's equations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..cells import Cell
from ..cells.symbols import Symbol, Trace, trace
from .body import Base, Linear
from .graph import Array

COMMUTES = ("mul", "maximum", "minimum")
CLOSE = 1e-6


@dataclass
class Found:
    """A cell's weights, as far as they are known: by name and letter, ``("x", "i")``, ``("r", "i")``, ``("u", "")``."""

    cell: Cell
    hidden: int
    weights: dict[tuple[str, str], Array] = field(default_factory=dict)
    biases: dict[tuple[str, str], Array] = field(default_factory=dict)
    sums: list[tuple[list[tuple[str, str]], Array]] = field(default_factory=list)
    """Biases of which only the sum is known."""
    clip: float = 0.0
    zoneout: list[float] = field(default_factory=list)
    projection: Array | None = None
    """(H, P)."""


class _NoMatch(Exception):  # noqa: N818
    """Not this way."""


def found_in(cells: Sequence[Cell], states: Sequence[Linear], widths: Sequence[int]) -> Found | None:
    """The first of ``cells`` whose states, of ``widths`` before, are these after the step; None: it is none."""
    for cell in cells:
        if len(cell.states) == len(states):
            for stripped in _stripped(cell, states, widths):
                match = _Match(cell, stripped)
                if match.tried(match.run):
                    return match.found
    return None


@dataclass
class _Stripped:
    """States without what is an option of the layer's."""

    states: list[Linear]
    hidden: int
    clip: float
    zoneout: list[float]
    projection: Array | None


def _stripped(cell: Cell, states: Sequence[Linear], widths: Sequence[int]) -> Iterator[_Stripped]:
    found, limit = [], 0.0
    for k, state in enumerate(states):
        state = _inside(state, "there", k)
        base = _alone(state)
        if base is not None and base.op == "clip":
            low, high = base.more
            if low != -high or not high > 0 or limit not in (0.0, high):
                return
            limit, state = high, base.args[0]
        found.append(state)
    for noise in (False, True):
        rest, shares = list(found), [0.0] * len(found)
        if noise:
            for k, state in enumerate(found):
                shares[k], rest[k] = _without_zoneout(state, k)
            if not any(shares):
                return
        projection, base = None, _single(rest[0])
        if base is not None and not cell.carries_h and not rest[0].bias.any() and base.width != widths[0]:
            projection, rest[0] = rest[0].terms[base], Linear({base: np.eye(base.width)}, np.zeros(base.width))
        yield _Stripped(rest, rest[0].shape[0], limit, shares if noise else [], projection)


def _alone(value: Linear) -> Base | None:
    """The base that ``value`` is."""
    base = _single(value)
    if base is None or value.bias.any() or value.terms[base].shape != (base.width, base.width):
        return None
    return base if np.array_equal(value.terms[base], np.eye(base.width)) else None


def _single(value: Linear) -> Base | None:
    return next(iter(value.terms)) if len(value.terms) == 1 else None


def _inside(value: Linear, op: str, k: int) -> Linear:
    """Without the choice between the new state and the old one."""
    base = _alone(value)
    if base is None or base.op != op:
        return value
    other = _alone(base.args[1])
    return base.args[0] if other is not None and (other.op, other.more) == ("state", (k,)) else value


def _without_zoneout(value: Linear, k: int) -> tuple[float, Linear]:
    """new + p (old - new): p, and new."""
    old = next((base for base in value.terms if (base.op, base.more) == ("state", (k,))), None)
    if old is None or value.terms[old].shape != (old.width, old.width):
        return 0.0, value
    matrix = value.terms[old]
    p = float(matrix[0, 0])
    if not 0 < p < 1 or not np.allclose(matrix, p * np.eye(old.width), atol=CLOSE):
        return 0.0, value
    rest = Linear({base: term for base, term in value.terms.items() if base is not old}, value.bias)
    return p, rest.scaled(np.array(1 / (1 - p)))


@lru_cache(maxsize=64)
def _traced(cell: Cell) -> Trace:
    return trace(cell)


class _Match:
    """The try to find a cell's equations in values."""

    def __init__(self, cell: Cell, told: _Stripped) -> None:
        self.told, self.h = told, told.hidden
        self.found = Found(cell, told.hidden, clip=told.clip, zoneout=told.zoneout, projection=told.projection)
        self.tries = 0

    def tried(self, step: Callable[[], None]) -> bool:
        """Whether a step goes on; where it doesn't, what was found is what it was."""
        found = self.found
        kept = dict(found.weights), dict(found.biases), list(found.sums)
        try:
            step()
        except _NoMatch:
            found.weights, found.biases, found.sums = kept
            return False
        return True

    def run(self) -> None:
        """All states. _NoMatch where one isn't the cell's."""
        if any(state.shape != (self.h,) for state in self.told.states):
            raise _NoMatch
        for symbol, value in zip(_traced(self.found.cell).states, self.told.states, strict=True):
            self.sum(symbol, value)
        for names, bias in self.found.sums:
            left = [name for name in names if name not in self.found.biases]
            rest = bias - sum(self.found.biases[name] for name in names if name in self.found.biases)
            if left:
                self.found.biases[left[0]] = rest  # the others' are zeros
            elif not np.allclose(rest, 0, atol=CLOSE):
                raise _NoMatch

    def sum(self, symbol: Symbol, value: Linear) -> None:
        """That ``value`` (H,) is what ``symbol`` says."""
        self.tries += 1
        if value.shape != (self.h,) or self.tries > 5000:
            raise _NoMatch
        number, terms = _flat(symbol, 1.0)
        left, bias = dict(value.terms), value.bias - number
        leaves, rest = list[tuple[Symbol, float]](), list[Any]()
        for factor, vector, term in terms:
            if term is None:  # a vector by itself
                rest.append((factor, vector, term))
            elif term.op in ("x", "r", "late"):
                self._product(factor, vector, term, left)
                leaves.append((term, factor))
            else:
                rest.append((factor, vector, term))
        alone = [vector for _, vector, term in rest if term is None and vector is not None]
        self._others([each for each in rest if each[2] is not None], left)
        if leaves:
            names = [(_side(leaf), str(leaf.args[0])) for leaf, _ in leaves]
            if len({by for _, by in leaves}) > 1:
                raise _NoMatch
            if len(names) == 1:
                self._bind(self.found.biases, names[0], bias / leaves[0][1])
            else:
                self.found.sums.append((names, bias / leaves[0][1]))
        elif len(alone) == 1:
            self._bind(self.found.weights, alone[0], bias)
        elif not np.allclose(bias, 0, atol=CLOSE):
            raise _NoMatch

    def _product(self, factor: float, vector: Any, term: Symbol, left: dict[Base, Array]) -> None:
        """A gate's share of the input or of the state: a base's whole matrix."""
        if vector is not None:
            raise _NoMatch
        cell, side, gate = self.found.cell, _side(term), str(term.args[0])
        normed = side == "r" and "r" in cell.norms
        for base in left:
            if side == "x" and base.op == "x":
                break
            if normed and base.op == "norm" and base.more[1] is None and _of_state(base.args[0]):
                break
            if term.op == "r" and not normed and base.op == "state" and base.more == (0,):
                break
            if term.op == "late" and base.op not in ("state", "x", "norm") and base.width in (self.h,):
                break
        else:
            raise _NoMatch
        matrix = left.pop(base) / factor
        if term.op == "late":
            self.sum(term.args[1], Linear({base: np.eye(base.width)}, np.zeros(base.width)))
        if normed:
            at = _places(matrix)
            if at is None:
                raise _NoMatch
            inner = base.args[0]
            self._group(gate, at, base.width)
            self._bind(self.found.weights, ("weight_norm_hh", gate), base.more[0][at])
            matrix = next(iter(inner.terms.values()))[:, at]
        self._bind(self.found.weights, (side, gate), matrix)

    def _group(self, gate: str, at: Array, width: int) -> None:
        """That a gate is normalised together with those that the cell says."""
        cell = self.found.cell
        group = next((each for each in cell.norm_groups if gate in each), cell.gates)
        if width != len(group) * self.h or int(at[0]) != list(group).index(gate) * self.h:
            raise _NoMatch

    def _others(self, terms: Sequence[Any], left: dict[Base, Array]) -> None:
        """That the bases that are left are the other terms, in whichever order."""
        if not terms:
            if any(matrix.any() for matrix in left.values()):
                raise _NoMatch
            return
        (factor, vector, term), *rest = terms

        def goes_on(base: Base, matrix: Array) -> None:
            self._term(factor, vector, term, base, matrix)
            self._others(rest, {other: m for other, m in left.items() if other is not base})

        if not any(self.tried(partial(goes_on, base, matrix)) for base, matrix in left.items()):
            raise _NoMatch

    def _term(self, factor: float, vector: Any, term: Symbol, base: Base, matrix: Array) -> None:
        """That a base times a matrix is a term: the same numbers, or parts of them, each times a number."""
        if matrix.ndim != 2 or matrix.shape[1] != self.h:
            raise _NoMatch
        at = _places(np.where(matrix, 1.0, 0.0))
        if at is None:
            raise _NoMatch
        by = matrix[at, np.arange(self.h)] / factor
        if vector is not None:
            self._bind(self.found.weights, vector, by)
        elif not np.allclose(by, 1, atol=CLOSE):
            raise _NoMatch
        self._base(term, base, at)

    def _base(self, term: Symbol, base: Base, at: Array) -> None:
        whole = base.width == self.h and np.array_equal(at, np.arange(self.h))
        if term.op == "state":
            if not whole or (base.op, base.more) != ("state", (int(term.args[0]),)):
                raise _NoMatch
            return
        if term.op == "norm":
            if not whole or base.op != "norm" or base.more[1] is None:
                raise _NoMatch
            for name, array in zip(("weight", "bias"), base.more, strict=False):
                self._bind(self.found.weights, (f"{name}_norm_{term.args[0]}", ""), array)
            self.sum(term.args[1], base.args[0])
            return
        args = list(term.args)
        op, values = base.op, [arg.taken(at) for arg in base.args]
        if op != term.op or len(args) != len(values) or base.op in ("x", "state"):
            raise _NoMatch
        orders = [values, values[::-1]] if op in COMMUTES else [values]

        def all_of(order: Sequence[Linear]) -> None:
            for arg, value in zip(args, order, strict=True):
                self.sum(arg, value)

        if not any(self.tried(partial(all_of, order)) for order in orders):
            raise _NoMatch

    def _bind(self, known: dict[tuple[str, str], Array], name: tuple[str, str], array: Array) -> None:
        before = known.setdefault(name, array)
        if before.shape != array.shape or not np.allclose(before, array, atol=CLOSE):
            raise _NoMatch


def _side(term: Symbol) -> str:
    return "x" if term.op == "x" else "r"


def _of_state(value: Linear) -> bool:
    base = _single(value)
    return base is not None and (base.op, base.more) == ("state", (0,)) and not value.bias.any()


def _places(matrix: Array) -> Array | None:
    """Which number each column takes, of a matrix that only takes them."""
    if matrix.ndim != 2 or not matrix.size:
        return None
    at = matrix.argmax(0)
    exact = matrix[at, np.arange(matrix.shape[1])] == 1
    return at if exact.all() and np.count_nonzero(matrix) == matrix.shape[1] else None


Term = tuple[float, "tuple[str, str] | None", "Symbol | None"]


def _flat(symbol: Symbol, factor: float) -> tuple[float, list[Term]]:
    """``symbol`` as a number and terms: a factor, a vector of weights or None, and what is multiplied with both."""
    match symbol.op:
        case "constant":
            return factor * symbol.args[0], []
        case "add" | "sub":
            first, second = symbol.args
            a, left = _flat(first, factor)
            b, right = _flat(second, -factor if symbol.op == "sub" else factor)
            return a + b, left + right
        case "neg":
            return _flat(symbol.args[0], -factor)
        case "vector":
            return 0.0, [(factor, (symbol.args[0], symbol.args[1]), None)]
        case "logsigmoid":  # as it is written: -softplus(-a)
            return 0.0, [(-factor, None, Symbol("softplus", Symbol("neg", symbol.args[0])))]
        case "mul" | "div":
            first, second = symbol.args
            if second.op == "constant":
                by = second.args[0]
                return _flat(first, factor * by if symbol.op == "mul" else factor / by)
            if symbol.op == "mul" and first.op == "constant":
                return _flat(second, factor * first.args[0])
            if symbol.op == "mul":
                for vector, other in ((first, second), (second, first)):
                    if vector.op == "vector":
                        number, terms = _flat(other, factor)
                        if not number and terms and all(more is None for _, more, _ in terms):
                            return 0.0, [(by, (vector.args[0], vector.args[1]), term) for by, _, term in terms]
    return 0.0, [(factor, None, symbol)]


def arrays_of(found: Found, width: int) -> tuple[dict[str, Array], dict[str, Any]]:
    """The weights of a layer by torch's names, without ``_l0``, and its options."""
    cell, h = found.cell, found.hidden
    zeros = np.zeros(h)
    recurrent = tuple(cell.recurrent or ())
    inner = found.projection.shape[1] if found.projection is not None else h
    ih = np.concatenate([found.weights.get(("x", g), np.zeros((width, h))).T for g in cell.gates])
    arrays = {"weight_ih": ih}
    options: dict[str, Any] = {"cell": cell.name, "hidden_size": h}
    if recurrent:
        arrays["weight_hh"] = np.concatenate([found.weights.get(("r", g), np.zeros((inner, h))).T for g in recurrent])
    if cell.heads:
        heads = _heads(arrays["weight_hh"], len(recurrent), h)
        arrays["weight_hh"] = _blocks(arrays["weight_hh"], len(recurrent), heads)
        options["num_heads"] = heads
    arrays["bias_ih"] = np.concatenate([found.biases.get(("x", g), zeros) for g in cell.gates])
    if recurrent and cell.biases == "xh":
        arrays["bias_hh"] = np.concatenate([found.biases.get(("r", g), zeros) for g in recurrent])
    elif any(key[0] == "r" for key in found.biases):
        for place, gate in enumerate(cell.gates):  # one bias for each gate
            arrays["bias_ih"][place * h : (place + 1) * h] += found.biases.get(("r", gate), zeros)
    for vector in cell.vectors:
        parts = tuple(vector.parts) or ("",)
        arrays[vector.name] = np.concatenate([found.weights.get((vector.name, part), zeros) for part in parts])
    for letter in cell.norms:
        if letter == "r":
            arrays["weight_norm_hh"] = np.concatenate([found.weights["weight_norm_hh", g] for g in recurrent])
        elif letter != "x":
            for kind in ("weight", "bias"):
                arrays[f"{kind}_norm_{letter}"] = found.weights[f"{kind}_norm_{letter}", ""]
    if found.projection is not None:
        arrays["weight_hr"] = found.projection.T
        options["proj_size"] = inner
    if found.clip:
        options["clip"] = found.clip
    if found.zoneout:
        options["zoneout"] = found.zoneout
    return arrays, options


def _heads(weight: Array, count: int, h: int) -> int:
    """The most blocks on the diagonal of each gate's matrix outside which there is nothing."""
    for heads in range(h, 1, -1):
        if h % heads == 0:
            size = h // heads
            cut = weight.reshape(count, heads, size, heads, size)
            outside = cut.copy()
            outside[:, np.arange(heads), :, np.arange(heads)] = 0
            if not outside.any():
                return heads
    return 1


def _blocks(weight: Array, count: int, heads: int) -> Array:
    """(n*H, H/heads): each row's own block."""
    size = weight.shape[1] // heads
    cut = weight.reshape(count, heads, size, heads, size)
    return np.stack([cut[:, b, :, b] for b in range(heads)], 1).reshape(len(weight), size)
