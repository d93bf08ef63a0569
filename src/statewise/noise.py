"""Noise that is computed where it is needed, from a seed and the place, and kept nowhere.

A number depends on the seed, the layer, the state, the step, the row and the unit alone: not on which rows are computed
together, in which order, or on which device. All arithmetic is on unsigned integers of 64 and 32 bits that wrap around:

    key  = mix64(seed + (8 * scan + state + 1) * 0x9E3779B97F4A7C15)    # one a layer, direction and state
    base = mix64(key ^ (step << 32 | row))                              # one a step and row, 64 bits
    draw = fmix32((low32(base) + unit * 0x9E3779B9) ^ high32(base))     # one a unit, 32 bits
    bits = draw >> 8                                                    # 0 to 2^24 - 1

``scan`` is layer * D + direction, ``row`` the row's place in the caller's batch, however it was sorted for packing.
mix64 is the finaliser of SplitMix64 (Steele, Lea & Flood, 2014, with Stafford's constants 13), fmix32 that of
MurmurHash3: both are bijections in which every bit of the input turns every bit of the output with a probability of
about a half. The last line but one is on 32 bits, so that as many units as a vector register has lanes are drawn at
once. An event of probability p happens where ``bits < threshold(p)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LOW = 0xFFFFFFFF
_GOLDEN_64 = 0x9E3779B97F4A7C15
_GOLDEN_32 = 0x9E3779B9
BITS = 24


def threshold(p: float) -> int:
    """Below which ``bits`` lie with probability ``p``: p * 2^24, rounded to the nearest, ties to even."""
    return round(p * (1 << BITS))


def noise(seed: int | Tensor, scan: int, state: int, step: int | Tensor, rows: Tensor, units: int) -> Tensor:
    """``bits`` of one step: (N, ``units``) int64, from 0 to 2^24 - 1.

    Args:
        seed: 64 bits, as a signed integer or a tensor of one.
        scan: layer * D + direction.
        state: the state's place in ``cell.states``, below 8.
        step: t, or (N,) int64, one for each row.
        rows: (N,) int64, each row's place in the caller's batch.
        units: how many.
    """
    seed = torch.as_tensor(seed, dtype=torch.int64, device=rows.device)
    key = _mix64(seed + _signed((8 * scan + state + 1) * _GOLDEN_64))
    base = _mix64(key ^ (rows | step << 32)).unsqueeze(1)  # (N, 1)
    unit = torch.arange(units, device=rows.device) * _GOLDEN_32  # (U,)
    return _fmix32(((base + unit) & _LOW) ^ _shifted(base, 32)) >> 32 - BITS


def _signed(a: int) -> int:
    """The lower 64 bits as torch's signed integer."""
    return (a + (1 << 63)) % (1 << 64) - (1 << 63)


def _shifted(a: Tensor, bits: int) -> Tensor:
    """``a`` >> ``bits`` with zeros from above: torch's own copies the sign."""
    return (a >> bits) & ((1 << 64 - bits) - 1)


def _mix64(a: Tensor) -> Tensor:
    a = (a ^ _shifted(a, 30)) * _signed(0xBF58476D1CE4E5B9)
    a = (a ^ _shifted(a, 27)) * _signed(0x94D049BB133111EB)
    return a ^ _shifted(a, 31)


def _fmix32(a: Tensor) -> Tensor:
    a = ((a ^ a >> 16) * 0x85EBCA6B) & _LOW
    a = ((a ^ a >> 13) * 0xC2B2AE35) & _LOW
    return a ^ a >> 16
