"""ONNX's RNN, GRU and LSTM nodes as ops of the runtime's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import nodes
from .axes import Tensor, UnreadError, atom
from .constants import Spread, checked, weights_of
from .graph import Array

if TYPE_CHECKING:
    from .reading import Reader

Given = Sequence[Any]
Attributes = Mapping[str, Any]

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DEFAULTS = {"RNN": ["tanh"], "GRU": ["sigmoid", "tanh"], "LSTM": ["sigmoid", "tanh", "tanh"]}
# ONNX's activations by the names of statewise's; the parameters that they must have, where they have any.
_FUNCTIONS = {
    "affine": "linear",
    "elu": "elu",
    "hardsigmoid": "hardsigmoid",
    "leakyrelu": "leaky_relu",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "softplus": "softplus",
    "softsign": "softsign",
    "tanh": "tanh",
}
_PARAMETERS = {"affine": (1.0, 0.0), "elu": (1.0,), "hardsigmoid": (1 / 6, 0.5), "leakyrelu": (0.01,)}
_ALPHAS = {"affine": (0.0, 0.0), "elu": (1.0,), "hardsigmoid": (0.2, 0.5), "leakyrelu": (0.01,)}


def _functions(kind: str, ways: int, attributes: Attributes) -> list[str]:
    """The names of the activations of one direction; both have the same."""
    told = [str(name).lower() for name in attributes.get("activations") or _DEFAULTS[kind] * ways]
    alphas, betas = list(attributes.get("activation_alpha", [])), list(attributes.get("activation_beta", []))
    each = len(_DEFAULTS[kind])
    if len(told) != each * ways or told[:each] * ways != told:
        raise UnreadError("whose directions have other activations")
    for name in told:
        if name not in _FUNCTIONS:
            raise UnreadError(f"with the activation {name[:40]}")
        expected = _PARAMETERS.get(name, ())
        have = list(_ALPHAS.get(name, ()))
        for k, values in enumerate((alphas, betas)[: len(expected)]):
            have[k] = values.pop(0) if values else have[k]
        if any(abs(a - b) > 1e-6 for a, b in zip(have, expected, strict=True)):
            raise UnreadError(f"with the activation {name} of {have}, where statewise has {list(expected)}")
    return [_FUNCTIONS[name] for name in told[:each]]


def _cell(kind: str, ways: int, attributes: Attributes, peepholes: bool) -> str:
    """The name of statewise's cell that a node is."""
    functions = _functions(kind, ways, attributes)
    if attributes.get("clip"):
        raise UnreadError("with a clip, which is of the gates' sums; statewise clips states")
    if kind == "RNN":
        base = {"tanh": "rnn_tanh", "relu": "rnn_relu"}.get(functions[0], "rnn_tanh")
        others = {} if functions[0] in ("tanh", "relu") else {"tanh": functions[0]}
    elif kind == "GRU":
        base = "gru" if attributes.get("linear_before_reset") else "gru_reset_before"
        others = dict(zip(("sigmoid", "tanh"), functions, strict=True))
    else:
        if functions[1] != functions[2]:
            raise UnreadError(f"with {functions[1]} and {functions[2]}, where statewise has one")
        coupled = attributes.get("input_forget", 0)
        if coupled and peepholes:
            raise UnreadError("with input_forget and peepholes")
        base = "coupled_lstm" if coupled else "peephole_lstm" if peepholes else "lstm"
        others = dict(zip(("sigmoid", "tanh"), functions[:2], strict=True))
    changed = ", ".join(f"{name}={other}" for name, other in sorted(others.items()) if name != other)
    return f"{base}({changed})" if changed else base


def recurrent(reader: Reader, node: Any, given: Given, attributes: Attributes) -> Any:
    kind = node.op_type
    every: list[Any] = [*given, *[None] * (8 - len(given))]
    x, w, r, b, lengths, *rest = every
    first, peepholes = rest[:2], rest[2] if kind == "LSTM" else None
    x = reader.used(x)
    rows_first = bool(attributes.get("layout", 0))
    if (x.place("N"), x.place("T")) != ((0, 1) if rows_first else (1, 0)) or x.rank != 3 or x.kind != "values":
        raise UnreadError("of axes that aren't time, rows and features")
    x.needs_features_last()
    direction = attributes.get("direction", "forward")
    ways, g = 2 if direction == "bidirectional" else 1, _GATES[kind]
    if direction not in ("forward", "reverse", "bidirectional"):
        raise UnreadError(f"of the direction {direction[:20]!r}")
    w, r = weights_of(w), weights_of(r)
    h = int(attributes.get("hidden_size", r.shape[-1] if r.ndim == 3 else 0))
    _fits("W", w, ways, g * h, x.width)
    _fits("R", r, ways, g * h, h)
    if h < 1:
        raise UnreadError("without units")
    cell = _cell(kind, ways, attributes, peepholes is not None)
    order = np.argsort(nodes.GATES[kind])  # of each of torch's gates its place in ONNX
    if cell.startswith("coupled"):
        order = np.delete(order, 1)  # without the forget gate
    tensors = {"weight_ih": w, "weight_hh": r}
    if b is not None:
        _fits("B", weights_of(b), ways, 2 * g * h)
        tensors |= dict(zip(("bias_ih", "bias_hh"), np.split(b, 2, axis=1), strict=True))
    tensors = {
        key: array.reshape(ways, g, h, *array.shape[2:])[:, order].reshape(ways, -1, *array.shape[2:])
        for key, array in tensors.items()
    }
    if peepholes is not None:
        _fits("P", weights_of(peepholes), ways, 3 * h)
        parts = peepholes.reshape(ways, 3, h)[:, np.argsort(nodes.PEEPHOLES)]
        tensors["weight_ch"] = parts.reshape(ways, -1)
    arrays = {f"{key}_l0{way}": array[k] for key, array in tensors.items() for k, way in _ways(array)}
    options: dict[str, Any] = {"cell": cell, "hidden_size": h}
    options |= {"bidirectional": True} if ways == 2 else {}
    options |= {} if b is not None else {"bias": False}
    check_lengths(reader, x, lengths)
    learnt = _learnt(first[: 1 + (kind == "LSTM")], ways, h, rows_first)
    if learnt:
        arrays |= {f"{key}_l0{way}": array[k] for key, array in learnt.items() for k, way in _ways(array)}
        options["initial"] = True
    wish, backwards = node.name or kind.lower(), direction == "reverse"
    read = reader.op("reverse", f"{wish}.turned", [x.name]) if backwards else x.name
    name = reader.op("recurrent", wish, [read], arrays, **options)
    for letter, each in enumerate(first[: 1 + (kind == "LSTM")]):
        if isinstance(each, Tensor):
            _begins(reader, each, name, letter, ways, h, rows_first)
    d, units, time, rows = atom("D", ways), atom("F", h), x.axes[x.place("T") or 0], x.axes[x.place("N") or 0]
    said = reader.op("reverse", f"{wish}.back", [name]) if backwards else name
    y_axes = (rows, time, (d,), (units,)) if rows_first else (time, (d,), rows, (units,))
    state_axes = (rows, (d,), (units,)) if rows_first else ((d,), rows, (units,))
    state = Tensor(name, state_axes, (d, units), "state")
    more = [replace(state, letter=1)] if kind == "LSTM" else []
    return [Tensor(said, y_axes, (d, units)), state, *more]


def _ways(array: Array) -> list[tuple[int, str]]:
    return list(enumerate(("", "_reverse")[: len(array)]))


def _fits(name: str, array: Array, *shape: int) -> None:
    if array.shape != shape:
        raise UnreadError(f"whose {name} is {array.shape}, where {shape} was expected")


def check_lengths(reader: Reader, x: Tensor, lengths: Any) -> None:
    """Note how many steps count. UnreadError where that is computed, or other than what is known of others."""
    if lengths is None:
        return
    if isinstance(lengths, Tensor) and lengths.kind == "lengths":
        found: Any = lengths.name
    elif isinstance(lengths, np.ndarray) and lengths.ndim == 1:
        found = lengths.astype(np.int64)
        time = x.axes[x.place("T") or 0][0].size
        if time is not None and (found == time).all():
            return
    elif isinstance(lengths, Spread) and lengths.array.size == 1:
        raise UnreadError("whose sequence_lens are computed")
    else:
        raise UnreadError("whose sequence_lens are computed")
    if reader.lengths is not None and not np.array_equal(reader.lengths, found):
        raise UnreadError("beside others with other sequence_lens")
    if x.name not in reader.given and any(
        each["op"] == "convolution" and "positions" not in each for each in reader.ops
    ):
        raise UnreadError("with sequence_lens after a convolution over time")
    reader.lengths = found


def _learnt(first: Sequence[Any], ways: int, h: int, rows_first: bool) -> dict[str, Array]:
    """What rows begin with, where that is the same for all and not zero: of each state (D, H)."""
    found = {}
    for letter, each in zip("hc", first, strict=False):
        if each is None or isinstance(each, Tensor):
            continue
        array = each.array if isinstance(each, Spread) else each
        if not isinstance(array, np.ndarray):
            raise UnreadError("whose first state is computed")
        checked(np.broadcast_shapes(array.shape, (1, 1, 1)))
        array = np.broadcast_to(array, np.broadcast_shapes(array.shape, (1, 1, 1)))
        array = array.transpose(1, 0, 2) if rows_first else array
        if array.ndim != 3 or array.shape[0] not in (1, ways) or array.shape[2] not in (1, h):
            raise UnreadError(f"whose first state is {array.shape}")
        if array.shape[1] < 1 or (array != array[:, :1]).any():
            raise UnreadError("whose first state differs from row to row")
        found[f"initial_{letter}"] = np.broadcast_to(array[:, 0], (ways, h))
    if all(not array.any() for array in found.values()):
        return {}
    if len(found) < len(first):
        raise UnreadError("of which one state is learnt alone")
    return found


def _begins(reader: Reader, each: Tensor, name: str, letter: int, ways: int, h: int, rows_first: bool) -> None:
    """Note that a state of an op is an input, or a part of one."""
    if each.kind != "input" or each.rank != 3 or each.name in reader.given:
        raise UnreadError("whose first state is computed")
    turned = rows_first
    sizes = [axis[0].size if len(axis) == 1 else 1 for axis in each.axes]
    if sizes[1 if rows_first else 0] not in (None, ways) or sizes[2] not in (None, h):
        raise UnreadError(f"whose first state is {sizes}")
    if rows_first and each.rows is not None:
        raise UnreadError("whose first state is a part of an input")
    reader.states.setdefault(each.name, []).append((name, letter, turned, each.rows or (0, ways)))
