"""The GRU cell, as in torch.nn: the reset gate acts after the product (Cho et al., 2014, v1)."""

from __future__ import annotations

from typing import Any

from .cell import Cell


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    reset, update = ops.sigmoid(x.r + r.r), ops.sigmoid(x.z + r.z)
    new = ops.tanh(x.n + reset * r.n)
    return (new + update * (h - new),)


GRU = Cell("gru", gates="rzn", states="h", step=_step)
