"""Weights from elsewhere in layers to train: the part that needs torch."""

from __future__ import annotations

from os import PathLike
from typing import Any

import torch

from ..cells.variants import parts_of_name
from ..layers import GRU, LSTM, RNN, Recurrent, RecurrentLayer
from .part import Part, refuse

_CLASSES: dict[str, type[RecurrentLayer]] = {"lstm": LSTM, "gru": GRU, "rnn_tanh": RNN, "rnn_relu": RNN}


def layer_of(part: Part, *, batch_first: bool = False) -> RecurrentLayer:
    """See ``Part.layer``."""
    base, activation = parts_of_name(part.cell) or (part.cell, None)
    options: dict[str, Any] = {
        "num_layers": part.num_layers,
        "bias": part.bias,
        "batch_first": batch_first,
        "bidirectional": part.bidirectional,
        "proj_size": part.proj_size,
        "learn_initial_state": part.initial,
        "activation": activation,
        "dtype": torch.float64 if part.arrays["weight_ih_l0"].dtype.itemsize == 8 else torch.float32,
        **part.more,
    }
    sizes = (part.input_size, part.hidden_size)
    if base not in _CLASSES:
        layer: RecurrentLayer = Recurrent(base, *sizes, **options)
    elif base == "rnn_relu":
        layer = RNN(*sizes, nonlinearity="relu", **options)
    else:
        layer = _CLASSES[base](*sizes, **options)
    _fill(layer, part)
    return layer


def load_weights(layer: RecurrentLayer, source: Any, name: str | None = None) -> None:
    """Copy the weights that ``source`` has for ``layer`` into it.

    Args:
        layer: a recurrent layer of statewise's, of the same cell, sizes, directions and biases as what it is given.
        source: a file's path or a mapping of arrays, whatever ``read_weights`` reads; or a ``Part`` that it gave.
        name: which of the parts in ``source``. Default: the only one.

    Raises:
        ValueError: there is no such part, or more than one, or it doesn't fit; one line says what was expected and what
            came. The layer is as it was.
        OSError: a file can't be read.

    Example:
        >>> layer = statewise.LSTM(40, 256, num_layers=3)
        >>> statewise.load_weights(layer, "checkpoint.pt", "encoder.lstm")
    """
    from . import read_weights

    if not isinstance(layer, RecurrentLayer):
        raise TypeError(f"load_weights: expected a layer of statewise's, got {type(layer).__name__}")
    if isinstance(source, Part):
        part = source
    else:
        found = read_weights(source)
        where = str(source) if isinstance(source, (str, PathLike)) else "the mapping"
        if name is None and len(found) > 1:
            raise refuse(where, f"a name, one of {', '.join(found)}", "none")
        if name is not None and name not in found:
            raise refuse(where, f"one of {', '.join(found)}", name)
        part = found[name] if name is not None else next(iter(found.values()))
    stack = layer._stack
    cell = stack.cell.name
    if cell not in (part.cell, *part.others):
        raise refuse(part.name, f"weights of the cell {cell}", part.cell)
    own = (stack.input_size, layer.hidden_size, layer.num_layers, layer.bidirectional, layer.bias, layer.proj_size)
    given = (part.input_size, part.hidden_size, part.num_layers, part.bidirectional, part.bias, part.proj_size)
    words = ("input_size", "hidden_size", "num_layers", "bidirectional", "bias", "proj_size")
    for word, wanted, got in zip(words, own, given, strict=True):
        if wanted != got:
            raise refuse(part.name, f"weights of a layer with {word}={wanted}", f"{word}={got}")
    if part.initial and not layer.learn_initial_state:
        raise refuse(part.name, "no states to begin with, unless the layer has learn_initial_state", "such")
    _fill(layer, part)


def _fill(layer: RecurrentLayer, part: Part) -> None:
    with torch.no_grad():
        for name, array in part.arrays.items():
            getattr(layer, name).copy_(torch.from_numpy(array.copy()))
