"""Dropout between layers, drawn ahead, so that the recurrent operation itself is free of chance."""

from __future__ import annotations

import torch
from torch import Tensor

from ..stack import Stack


def draw_masks(x: Tensor, stack: Stack, p: float) -> list[Tensor]:
    """One mask for each layer but the last, (T, N, D*P) or, for packed ``x``, (S, D*P): 0 or 1 / (1 - p).

    ``torch.dropout`` of ones, a layer at a time: the very numbers that torch.nn's layers multiply with, for the same
    seed; and torch's own rules for ``vmap``, for compiled graphs and for p = 1.
    """
    ones = x.new_ones((*x.shape[:-1], stack.directions * stack.output_size))
    return [torch.dropout(ones, p, True) for _ in range(stack.num_layers - 1)]
