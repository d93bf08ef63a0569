"""The LSTM cell, as in torch.nn: forget gate, no peepholes (Gers et al., 2000)."""

from __future__ import annotations

from typing import Any

from .cell import Cell


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    _, c = state
    i, f, o = ops.sigmoid(x.i + r.i), ops.sigmoid(x.f + r.f), ops.sigmoid(x.o + r.o)
    c = f * c + i * ops.tanh(x.g + r.g)
    return o * ops.tanh(c), c


LSTM = Cell("lstm", gates="ifgo", states="hc", step=_step)
