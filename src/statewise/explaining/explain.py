"""The public function: what it is given decides how it is explained."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..layers.cells import SingleStep
from ..layers.recurrent import RecurrentLayer
from .explanation import Explanation
from .layer import explain_cell, explain_layer
from .modules import explain_module


def explain(module: nn.Module, x: Any = None) -> Explanation:
    """What ``module`` computes: every tensor with its shape and the meaning of its axes, costs, and how results relate.

    Args:
        module: a layer or cell of statewise, or any module.
        x: an input, or a tuple of them; of a layer's T and N are taken. Default: 3 steps of 10 rows; any other
            module needs one.

    Returns:
        An ``Explanation``: ``print`` it, or leave it as a notebook's last line.

    Raises:
        TypeError: ``module`` is no module, or is not one of statewise's and comes without ``x``.
    """
    if isinstance(module, SingleStep):
        return explain_cell(module, 10 if x is None else x.size(0))
    if isinstance(module, RecurrentLayer):
        steps, batch = (3, 10) if x is None else (x.shape[1], x.shape[0]) if module.batch_first else x.shape[:2]
        return explain_layer(module, int(steps), int(batch))
    if not isinstance(module, nn.Module):
        raise TypeError(f"explain: Expected a torch.nn.Module, got {type(module).__name__}")
    if x is None:
        raise TypeError(f"explain: Expected an input x for {type(module).__name__}, to run it on, got none")
    return explain_module(module, x)
