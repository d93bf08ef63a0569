"""Chance, drawn ahead by torch's generator, so that the recurrent operation itself is free of it."""

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


def draw_row_mask(p: float, like: Tensor, n: int, width: int, rows: Tensor | None) -> Tensor:
    """One mask for a sequence, (N, ``width``), likewise; drawn in the caller's order of rows and put into ``rows``'."""
    mask = torch.dropout(like.new_ones((n, width)), p, True)
    return mask if rows is None else mask.index_select(0, rows.to(mask.device))


def draw_seed() -> int | Tensor:
    """63 bits of torch's generator; a tensor while a graph is made, which would hold a number fast.

    Raises:
        RuntimeError: vmap would have a seed for each of its calls.
    """
    seed = torch.randint(0x7FFFFFFFFFFFFFFF, ())
    if torch._C._functorch.is_batchedtensor(seed):
        raise RuntimeError("zoneout draws one seed for a call: Expected vmap with randomness='same', got 'different'")
    return seed if torch.compiler.is_compiling() else int(seed)
