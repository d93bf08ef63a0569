"""A recurrent layer that ONNX has no node for, as a Scan whose body is the cell's step, traced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..cells.symbols import Symbol, trace
from ..stack import Stack
from .graph import Array, Graph

_OPERATORS = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "neg": "Neg",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "exp": "Exp",
    "log": "Log",
    "softplus": "Softplus",
    "maximum": "Max",
    "minimum": "Min",
    "abs": "Abs",
    "sqrt": "Sqrt",
}


class Layer:
    """One layer in one direction: its weights by name, and the products with them in a graph."""

    def __init__(self, stack: Stack, weights: Mapping[str, Array]) -> None:
        self.stack, self.cell, self.weights = stack, stack.cell, weights

    def scan(
        self, g: Graph, x: str, state: Sequence[str], there: str | None, reverse: bool, wish: str
    ) -> tuple[str, list[str]]:
        """The output (T, N, P) and the final states (N, .), of x (T, N, I) and the states before (N, .).

        ``there`` (T, N, 1) says which steps count; at others the states stay as they are.
        """
        inner, letters = g.inner(wish), self.cell.states
        dims = [("N", size) for size in self.stack.state_sizes]
        gates = self._share(g, x, "ih", self.cell.gates)
        before = [inner.input(letter, g.dtype, d) for letter, d in zip(letters, dims, strict=True)]
        given = inner.input("gates", g.dtype, ("N", len(self.cell.gates) * self.stack.hidden_size))
        counts = inner.input("there", np.bool_, ("N", 1)) if there else None
        after = self._after(inner, self._step(inner, given, before), before)
        if counts:
            after = [inner.node("Where", counts, a, b) for a, b in zip(after, before, strict=True)]
        for value, letter, d in zip(after, letters, dims, strict=True):
            inner.output(value, f"{letter}_after", g.dtype, d)
        y = self._projected(inner, after[0])
        y = inner.node("Where", counts, y, inner.constant(0)) if counts else y
        inner.output(y, "y", g.dtype, ("N", self.stack.output_size))
        scanned = [gates, there] if there else [gates]
        names = [*(f"{wish}/{letter}" for letter in letters), f"{wish}/y"]
        return g.scan(inner, state, scanned, names, reverse)

    def _step(self, g: Graph, gates: str, before: Sequence[str]) -> list[str]:
        """The states that the cell computes."""
        cell, h = self.cell, self.stack.hidden_size
        letters = tuple(cell.recurrent or ())
        found: dict[int, str] = {}
        x = dict(zip(cell.gates, g.split(gates, [h] * len(cell.gates)), strict=True))
        r: dict[str, str] = {}
        if letters:
            read = self._projected(g, before[0])
            if cell.late:
                r = {letter: self._product(g, letter, read) for letter in letters if letter not in cell.late}
            else:
                r = dict(zip(letters, g.split(self._share(g, read, "hh", letters), [h] * len(letters)), strict=True))

        def value(symbol: Symbol) -> str:
            op, args = symbol.op, symbol.args
            match op:
                case "x":
                    return x[str(args[0])]
                case "r":
                    return r[str(args[0])]
                case "state":
                    return before[int(args[0])]
                case "constant":
                    return g.constant(args[0])
                case "vector":
                    return self._vector(g, *args)
                case "late":
                    return self._product(g, args[0], found[id(args[1])])
                case "norm":
                    gain, bias = (self.weights[f"{name}_norm_{args[0]}"] for name in ("weight", "bias"))
                    return normalised(g, found[id(args[1])], gain, bias)
            given = [found[id(each)] for each in args]
            if op == "where":
                return g.node("Where", g.node("Equal", given[0], g.constant(0)), given[2], given[1])
            if op == "logsigmoid":
                return g.node("Neg", g.node("Softplus", g.node("Neg", *given)))
            return g.node(_OPERATORS[op], *given)

        traced = trace(cell)
        for symbol in traced.symbols:
            found[id(symbol)] = value(symbol)
        dims = g.node("Shape", before[0])
        # A state that is a number or a weight alone is as wide as the others all the same.
        return [
            g.node("Expand", found[id(each)], dims) if each.op in ("constant", "vector") else found[id(each)]
            for each in traced.states
        ]

    def _vector(self, g: Graph, name: str, letter: str) -> str:
        vector = next(v for v in self.cell.vectors if v.name == name)
        h, at = self.stack.hidden_size, tuple(vector.parts).index(letter) if letter else 0
        return g.constant(self.weights[name][at * h :][:h], f"{name}{letter}")

    def _product(self, g: Graph, letter: str, value: str) -> str:
        """That of one gate alone, with its bias."""
        at = tuple(self.cell.recurrent or ()).index(letter)
        rows = slice(at * self.stack.hidden_size, (at + 1) * self.stack.hidden_size)
        bias = self.weights.get("bias_hh")
        found = g.node("MatMul", value, g.constant(self.weights["weight_hh"][rows].T, f"weight_hh.{letter}"))
        return found if bias is None else g.node("Add", found, g.constant(bias[rows], f"bias_hh.{letter}"))

    def _share(self, g: Graph, value: str, which: str, letters: Sequence[str]) -> str:
        """The product with W_ih or W_hh, normalised and with its bias: (..., n*H)."""
        weight, heads = self.weights[f"weight_{which}"], self.stack.num_heads
        if ("x" if which == "ih" else "h") in self.cell.heads and heads > 1:
            found = self._by_heads(g, value, weight, which, len(letters))
        else:
            found = g.node("MatMul", value, g.constant(weight.T, f"weight_{which}"))
        gain = self.weights.get(f"weight_norm_{which}")
        if gain is not None:
            found = self._normalised_groups(g, found, gain, letters)
        bias = self.weights.get(f"bias_{which}")
        return found if bias is None else g.node("Add", found, g.constant(bias, f"bias_{which}"))

    def _by_heads(self, g: Graph, value: str, weight: Array, which: str, count: int) -> str:
        """A block-diagonal product: each head's units read its own part of ``value`` alone."""
        k, lead = self.stack.num_heads, 2 if which == "ih" else 1  # axes before the features: T and N, or N
        cut = weight.reshape(count, k, -1, weight.shape[1])  # (n, heads, H/heads, K/heads)
        blocks = cut.transpose(1, 3, 0, 2).reshape(k, weight.shape[1], -1)  # (heads, K/heads, n*H/heads)
        found = g.reshape(value, *[0] * lead, k, 1, weight.shape[1])
        found = g.node("MatMul", found, g.constant(blocks, f"weight_{which}"))  # (..., heads, 1, n*H/heads)
        found = g.reshape(found, *[0] * lead, k, count, self.stack.hidden_size // k)
        found = g.node("Transpose", found, perm=[*range(lead), lead + 1, lead, lead + 2])
        return g.reshape(found, *[0] * lead, count * self.stack.hidden_size)

    def _normalised_groups(self, g: Graph, value: str, gain: Array, letters: Sequence[str]) -> str:
        h, groups = self.stack.hidden_size, self.cell.norm_groups or (letters,)
        sizes = [h * sum(gate in letters for gate in group) for group in groups]
        sizes = [size for size in sizes if size]
        parts = zip(g.split(value, sizes), np.split(gain, np.cumsum(sizes)[:-1]), strict=True)
        found = [normalised(g, part, own) for part, own in parts]
        return found[0] if len(found) == 1 else g.node("Concat", *found, axis=-1)

    def _projected(self, g: Graph, h: str) -> str:
        """What W_hh reads and the layer puts out: h, or its projection where the cell carries on the whole of it."""
        own = self.weights.get("weight_hr")
        return h if own is None or not self.cell.carries_h else g.node("MatMul", h, g.constant(own.T, "weight_hr"))

    def _after(self, g: Graph, new: list[str], old: Sequence[str]) -> list[str]:
        """The states after the step, of those that the cell computed and those before: as the reference has them."""
        stack, own = self.stack, self.weights.get("weight_hr")
        if own is not None and not self.cell.carries_h:
            new = [g.node("MatMul", new[0], g.constant(own.T, "weight_hr")), *new[1:]]
        for j, p in enumerate(stack.zoneout):
            if p:
                new[j] = g.node("Add", new[j], g.node("Mul", g.constant(p), g.node("Sub", old[j], new[j])))
        if stack.clip:
            new = [g.node("Clip", each, g.constant(-stack.clip), g.constant(stack.clip)) for each in new]
        return new


def normalised(g: Graph, value: str, gain: Array, bias: Array | None = None, epsilon: float = 1e-5) -> str:
    """A layer norm over the features."""
    more = [] if bias is None else [g.constant(bias, "bias")]
    return g.node("LayerNormalization", value, g.constant(gain, "gain"), *more, axis=-1, epsilon=epsilon)
