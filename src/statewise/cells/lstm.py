"""The LSTM cell, as in torch.nn: forget gate, no peepholes (Gers et al., 2000). Kernel: lstm.hpp."""

from __future__ import annotations

from typing import Any

from .cell import Cell, split


def _step(ops: Any, x: Any, r: Any, bias: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    _, c = state
    a = x + r if bias is None else x + bias[0] + r + bias[1]  # (N, 4*H)
    i, f, g, o = split(a, 4)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(c), c


LSTM = Cell("lstm", gates="ifgo", states="hc", step=_step)
