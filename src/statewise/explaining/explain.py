"""The public function: what it is given decides how it is explained."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .explanation import Explanation

if TYPE_CHECKING:
    from torch import nn


def explain(
    module: nn.Module | str | PathLike[str], x: Any = None, *, lengths: Sequence[int] | None = None
) -> Explanation:
    """What ``module`` computes: every tensor with its shape and the meaning of its axes, costs, and how results relate.

    Args:
        module: a layer or cell of statewise or of torch.nn, any other module, or a model's file: ``.safetensors``,
            or what else ``statewise.runtime.load`` reads. Of any other module each part, and each cell that it calls
            in loops of its own.
        x: an input, or a tuple of them, or a dict of arguments by name; of a layer's T and N are taken, and of a
            PackedSequence its rows' lengths. Default: 3 steps of 10 rows; any other module needs one.
        lengths: of a layer: how many of each row's steps count, (N,). T and N follow where there is no ``x``.

    Returns:
        An ``Explanation``: ``print`` it, or leave it as a notebook's last line.

    Raises:
        TypeError: ``module`` is no module, or is none of those layers and comes without ``x``.
        ValueError: ``lengths`` don't fit ``x``, or a file is no ``.safetensors`` file.
        TypeError, ValueError, RuntimeError: what ``module`` itself says of an ``x`` that it can't read.
        OSError: a file can't be read.
    """
    if isinstance(module, (str, PathLike)):
        if not str(module).endswith(".safetensors") and not Path(module).exists():
            raise TypeError(f"explain: Expected a torch.nn.Module or a model's .safetensors file, got {str(module)!r}")
        from .files import explain_file

        return explain_file(module)
    from torch import nn
    from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

    from ..layers.cells import SingleStep
    from ..layers.checks import check_module
    from ..layers.recurrent import RecurrentLayer
    from ..swap import accelerate
    from .layer import explain_cell, explain_layer
    from .modules import explain_module

    own = module
    if type(module) in (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell):
        own = accelerate(copy.deepcopy(module))  # the same parameters, and a description of the cell
    if isinstance(own, SingleStep):
        if x is not None:
            _try(own, x)
        return explain_cell(own, 10 if x is None else x.shape[0] if x.dim() == 2 else 1)
    if isinstance(own, RecurrentLayer):
        if isinstance(x, PackedSequence):
            x, counts = pad_packed_sequence(x, batch_first=own.batch_first)
            lengths = counts.tolist()
        lengths = None if lengths is None else [int(n) for n in lengths]
        if x is not None:
            _try(own, x)
            steps, batch = (x.shape[0], 1) if x.dim() == 2 else x.shape[:2][:: -1 if own.batch_first else 1]
        else:
            steps, batch = (3, 10) if lengths is None else (max(lengths, default=0), len(lengths))
        if lengths is not None and (len(lengths) != batch or not 0 <= min(lengths) <= max(lengths) <= steps):
            raise ValueError(f"explain: Expected lengths of {batch} rows, each from 0 to {steps}, got {lengths}")
        return explain_layer(own, int(steps), int(batch), lengths)
    check_module("explain", module)
    if x is None:
        raise TypeError(f"explain: Expected an input x for {type(module).__name__}, to run it on, got none")
    return explain_module(module, x)


def _try(module: nn.Module, x: Any) -> None:
    """``module`` called with ``x``, for what it says where it can't read that."""
    import torch

    mode = module.training
    module.eval()
    try:
        with torch.no_grad():
            module.forward(x)
    finally:
        module.train(mode)
