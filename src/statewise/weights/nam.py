"""Neural Amp Modeler's ``.nam`` files: JSON with all of an LSTM's numbers in one list.

For each layer a matrix (4H, I + H), gates i, f, g, o by rows, whose columns read first the input and then the state;
one bias (4H,); the state h and c that it begins with. Then the head's matrix (O, H) and bias (O,).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from .arrays import numbers
from .part import Array, Layout, One, Part, part, refuse
from .program import Program

_LAYOUT = Layout("lstm", "ifgo", columns=False)


def is_model(tree: Mapping[str, Any]) -> bool:
    """Whether a JSON object is such a file."""
    return "architecture" in tree and "weights" in tree


def parts(tree: Mapping[str, Any]) -> dict[str, Part]:
    """The layers, as one part."""
    return {"lstm": _read(tree)[0]}


def program(tree: Mapping[str, Any]) -> Program:
    """The network, of samples (T, N, 1)."""
    found, weight, bias = _read(tree)
    made = Program(found.input_size)
    made.recurrent(found)
    made.add("linear", "head", {"weight": weight, "bias": bias})
    return made


def _read(tree: Mapping[str, Any]) -> tuple[Part, Array, Array]:
    if tree["architecture"] != "LSTM":
        raise refuse("architecture", "LSTM", tree["architecture"])
    config = tree.get("config")
    if not isinstance(config, Mapping):
        raise refuse("config", "the sizes of an LSTM", config)
    layers, size, h = (_count(config, name) for name in ("num_layers", "input_size", "hidden_size"))
    channels, outputs = (_count(config, name, 1) for name in ("in_channels", "out_channels"))
    if channels != size:
        raise refuse("config", f"in_channels to be input_size, {size}", channels)
    left = numbers("weights", tree["weights"], 1)
    one = 4 * h * (h + 1) + 2 * h  # numbers of a layer, but for those that read its input
    expected = layers * one + 4 * h * (size + (layers - 1) * h) + outputs * (h + 1)
    if len(left) != expected:
        raise refuse("weights", f"{expected} of {layers} x {h} units, {size} in and {outputs} out", len(left))

    def take(*shape: int) -> Array:
        nonlocal left
        taken, left = left[: prod(shape)], left[prod(shape) :]
        return taken.reshape(shape)

    found = []
    for width in (size, *(h for _ in range(layers - 1))):
        both, bias = take(4 * h, width + h), take(4 * h)
        found.append([One(both[:, :width], both[:, width:], bias, None, (take(h), take(h)))])
    return part("lstm", _LAYOUT, found), take(outputs, h), take(outputs)


def _count(config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = config.get(name, default)
    if type(value) is not int or value < 1:
        raise refuse("config", f"{name} to be a whole number from 1 on", value)
    return value
