"""RTNeural's JSON: a list of layers, each with its weights in nested lists as Keras orders them.

A GRU of its resets after the product. A recurrent layer computes tanh, whatever its ``activation`` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import keras
from .arrays import numbers
from .part import Array, Part, check, refuse
from .program import MOST_AROUND, Program

_CELLS = {"lstm": "LSTM", "gru": "GRU"}
_DENSE = ("dense", "time-distributed-dense")
_SAME = ("activation", "prelu", "batchnorm")  # as wide as what they are given


def is_model(tree: Mapping[str, Any]) -> bool:
    """Whether a JSON object is such a file."""
    return "in_shape" in tree and "layers" in tree


def parts(tree: Mapping[str, Any]) -> dict[str, Part]:
    """Its recurrent layers by their places: ``layers.1``."""
    return {name: _recurrent(name, layer) for name, layer in _layers(tree) if layer["type"] in _CELLS}


def program(tree: Mapping[str, Any]) -> Program:
    """The network, of samples (T, N, I)."""
    made = Program(width := _width("in_shape", tree["in_shape"]))
    for name, layer in _layers(tree):
        kind, size = layer["type"], _width(name, layer.get("shape"))
        if kind in _CELLS:
            found = _recurrent(name, layer)
            if (found.input_size, found.hidden_size) != (width, size):
                sizes = f"{found.input_size} to {found.hidden_size}"
                raise refuse(name, f"weights for {width} to {size} features", sizes)
            made.recurrent(found)
        elif kind == "conv1d":
            _convolve(made, name, layer, width, size)
        elif kind == "batchnorm":
            _normalise(made, name, layer, width)
        elif kind == "prelu":
            (slopes,) = _weights(name, layer, (2,))
            made.leaky(name, slopes.ravel(), width)
        elif kind in _DENSE:
            kernel, *bias = _weights(name, layer, (2, 1), least=1)
            check(name, kernel, width, size)
            made.add("linear", name, {"weight": kernel.T, "bias": bias[0] if bias else None})
            made.activation(name, layer.get("activation"))
        elif kind == "activation":
            made.activation(name, layer.get("activation"))
        else:
            raise refuse(name, f"a layer among {', '.join((*_CELLS, *_DENSE, 'conv1d', *_SAME))}", kind)
        if kind in _SAME and size != width:
            raise refuse(name, f"a shape of {width} features", size)
        width = size
    return made


def _layers(tree: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    layers = tree["layers"]
    if not isinstance(layers, list) or not layers:
        raise refuse("layers", "a list of them", layers)
    for k, layer in enumerate(layers):
        if not isinstance(layer, Mapping) or not isinstance(layer.get("type"), str):
            raise refuse(f"layers.{k}", "a layer with a type", layer)
        yield f"layers.{k}", layer


def _recurrent(name: str, layer: Mapping[str, Any]) -> Part:
    gru = layer["type"] == "gru"
    kernel, recurrent, bias = _weights(name, layer, (2, 2, 2 if gru else 1))
    return keras.recurrent(name, _CELLS[layer["type"]], [(kernel, recurrent, bias)])


def _convolve(made: Program, name: str, layer: Mapping[str, Any], width: int, size: int) -> None:
    """Causal: what lies before the first step is zeros."""
    kernel, bias = _weights(name, layer, (3, 1))
    taps, dilation = (_count(name, layer, key) for key in ("kernel_size", "dilation"))
    groups = _count(name, layer, "groups") if "groups" in layer else 1
    check(name, kernel, taps, None, size)
    made.convolution(name, kernel, bias, width, left=(taps - 1) * dilation, dilation=dilation, groups=groups)
    made.activation(name, layer.get("activation"))


def _normalise(made: Program, name: str, layer: Mapping[str, Any], width: int) -> None:
    weights = _weights(name, layer, (1, 1, 1, 1), least=2)
    keys = ("gamma", "beta", "mean", "variance")[4 - len(weights) :]
    if len(keys) == 3:
        raise refuse(name, "2 or 4 weights", "3 of them")
    made.normalisation(name, dict(zip(keys, weights, strict=True)), width, layer.get("epsilon"))


def _count(name: str, layer: Mapping[str, Any], key: str) -> int:
    value = layer.get(key)
    value = value[-1] if isinstance(value, list) and value else value
    if type(value) is not int or not 1 <= value <= MOST_AROUND:
        raise refuse(name, f"{key} to be a whole number from 1 to {MOST_AROUND}", value)
    return value


def _weights(name: str, layer: Mapping[str, Any], ranks: tuple[int, ...], least: int | None = None) -> list[Array]:
    weights = layer.get("weights")
    if not isinstance(weights, list) or not (least or len(ranks)) <= len(weights) <= len(ranks):
        got = f"{len(weights)} of them" if isinstance(weights, list) else repr(weights)
        raise refuse(name, f"{len(ranks)} weights", got)
    return [numbers(f"{name}.weights.{k}", *each) for k, each in enumerate(zip(weights, ranks, strict=False))]


def _width(name: str, shape: Any) -> int:
    size = shape[-1] if isinstance(shape, list) and 2 <= len(shape) <= 3 else None
    if type(size) is not int or size < 1:
        raise refuse(name, "a shape of two or three sizes, the last one of features", shape)
    return size
