"""Variants of a cell: the same equations with other activations in the places of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from .cell import Cell
from .symbols import trace

# By torch.nn.functional's names; each of a step's operations and one value.
ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "elu": lambda ops, a: ops.relu(a) + ops.exp(ops.minimum(a, 0.0)) - 1.0,
    "hardsigmoid": lambda ops, a: ops.minimum(ops.maximum(a * (1 / 6) + 0.5, 0.0), 1.0),
    "hardtanh": lambda ops, a: ops.minimum(ops.maximum(a, -1.0), 1.0),
    "leaky_relu": lambda ops, a: ops.maximum(a, a * 0.01),
    "linear": lambda ops, a: a,
    "relu": lambda ops, a: ops.relu(a),
    "sigmoid": lambda ops, a: ops.sigmoid(a),
    "silu": lambda ops, a: a * ops.sigmoid(a),
    "softplus": lambda ops, a: ops.softplus(a),
    "softsign": lambda ops, a: a / (1.0 + ops.abs(a)),
    "tanh": lambda ops, a: ops.tanh(a),
}


class _Others:
    """A step's operations, some of them others."""

    def __init__(self, ops: Any, others: tuple[tuple[str, str], ...]) -> None:
        self._ops, self._others = ops, dict(others)

    def __getattr__(self, name: str) -> Any:
        ops, other = self._ops, self._others.get(name)
        if other is None:
            return getattr(ops, name)
        function = ACTIVATIONS[other]
        return lambda a: function(ops, a)


def variant(cell: Cell, activation: str | Mapping[str, str] | None) -> Cell:
    """``cell`` with other activations, under a name of its own; ``cell`` itself where there are none.

    Args:
        cell: any cell.
        activation: what stands in the place of tanh, one of ``ACTIVATIONS``; or by the name of what it replaces, tanh
            or sigmoid.

    Raises:
        TypeError: ``activation`` is neither.
        ValueError: an activation isn't known, or the cell doesn't compute what it should replace.
    """
    if activation is None:
        return cell
    others = {"tanh": activation} if isinstance(activation, str) else activation
    if not isinstance(others, Mapping):
        raise TypeError(f"activation should be a name, or names by tanh and sigmoid, got: {type(activation).__name__}")
    computed = {symbol.op for symbol in trace(cell).symbols}
    for replaced, name in others.items():
        if name not in ACTIVATIONS:
            raise ValueError(f"activation has to be one of {', '.join(ACTIVATIONS)}, got {name!r}")
        if replaced not in ("tanh", "sigmoid") or replaced not in computed:
            raise ValueError(
                f"activation is in the place of tanh or sigmoid, got {replaced!r} for the cell {cell.name}"
            )
    changed = tuple(sorted((replaced, name) for replaced, name in others.items() if replaced != name))
    return _make(cell, changed) if changed else cell


@lru_cache(maxsize=1024)
def _make(cell: Cell, others: tuple[tuple[str, str], ...]) -> Cell:
    step = cell.step

    def with_others(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        return step(_Others(ops, others), x, r, w, state)

    named = ", ".join(f"{replaced}={name}" for replaced, name in others)
    return replace(cell, name=f"{cell.name}({named})", step=with_others)


def parts_of_name(name: str) -> tuple[str, dict[str, str]] | None:
    """What a variant is called after: its cell's name and the activations; None for another cell's name."""
    base, bracket, rest = name.partition("(")
    if not bracket or not rest.endswith(")"):
        return None
    pairs = [pair.partition("=") for pair in rest[:-1].split(", ")]
    return base, {replaced: other for replaced, _, other in pairs}
