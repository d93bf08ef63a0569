"""Weights in fewer bits: matrices in bfloat16, or each row in eight bits and a unit. Biases and vectors stay whole.

``kernels/cpu/narrow.hpp`` packs by the same rule, so that what has been rounded here is packed as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

DTYPES = ("bfloat16", "int8")


def name_of(dtype: object, who: str) -> str | None:
    """``torch.int8`` or ``"int8"`` as ``"int8"``, and so bfloat16; None for None. ValueError for all else."""
    name = None if dtype is None else str(dtype).removeprefix("torch.")
    if name is not None and name not in DTYPES:
        raise ValueError(f"{who}: Expected dtype to be torch.int8, torch.bfloat16 or None, got {dtype!r}")
    return name


def in_units(weight: Tensor) -> tuple[Tensor, Tensor]:
    """``weight`` (R, ...) float32 as whole numbers, int8, from -127 to 127, and the unit of each of its rows, (R,).

    A number of units is a float32 exactly, since a unit has 16 binary digits, and is off by half a unit at most.
    """
    rows = weight.detach().reshape(len(weight), -1)
    largest = rows.abs().amax(1) if rows.numel() else rows.new_zeros(len(rows))
    unit = ((largest / 127).view(torch.int32) + 0xFF & ~0xFF).view(torch.float32)
    whole = torch.where(unit > 0, unit, torch.ones_like(unit))[:, None]
    return (rows / whole).round().to(torch.int8).reshape(weight.shape), unit


def rounded(weight: Tensor, dtype: str) -> Tensor:
    """``weight`` as it is after it has been kept in ``dtype``; itself where that changes nothing."""
    if weight.dim() < 2 or weight.dtype is not torch.float32:
        return weight
    if dtype == "bfloat16":
        found = weight.detach().bfloat16().float()
    else:
        whole, unit = in_units(weight)
        found = whole * unit.reshape(-1, *[1] * (weight.dim() - 1))
    return weight if torch.equal(found, weight) else found
