"""Dropout between layers, drawn ahead, so that the recurrent operation itself is free of chance."""

from __future__ import annotations

import torch
from torch import Tensor

from ..stack import Stack


def draw_masks(stack: Stack, p: float, like: Tensor, *rows: int) -> list[Tensor]:
    """One mask for each layer but the last, (*rows, D*P), in the dtype and on the device of ``like``: 0 or 1 / (1 - p).

    ``torch.dropout`` of ones, a layer at a time: the very numbers that torch.nn's layers multiply with, for the same
    seed; and torch's own rules for ``vmap``, for compiled graphs and for p = 1.
    """
    ones = like.new_ones((*rows, stack.width))
    return [torch.dropout(ones, p, True) for _ in range(stack.num_layers - 1)]
