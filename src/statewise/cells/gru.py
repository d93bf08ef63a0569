"""The GRU cell, as in torch.nn: the reset gate acts after the product (Cho et al., 2014, v1). Kernel: gru.hpp."""

from __future__ import annotations

from typing import Any

from .cell import Cell, split


def _step(ops: Any, x: Any, r: Any, bias: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    if bias is not None:
        x, r = x + bias[0], r + bias[1]
    x_r, x_z, x_n = split(x, 3)
    r_r, r_z, r_n = split(r, 3)
    reset = ops.sigmoid(x_r + r_r)
    update = ops.sigmoid(x_z + r_z)
    new = ops.tanh(x_n + reset * r_n)
    return (new + update * (h - new),)


GRU = Cell("gru", gates="rzn", states="h", step=_step, carries_h=True)
