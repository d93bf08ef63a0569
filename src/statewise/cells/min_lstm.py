"""The minimal LSTM (Feng et al., 2024): gates and candidate read the input alone, and the gates add up to 1.

::

    f = sigmoid(W_f x + b_f),  i = sigmoid(W_i x + b_i)
    h' = f / (f + i) * h + i / (f + i) * (W_h x + b_h)

f / (f + i) is computed as sigmoid(log f - log i), as the paper does in log-space: it stays right where both are nearly
0. ``minlstm_log`` is what the paper trains in log-space, with a positive candidate: see ``min_gru``.
"""

from __future__ import annotations

from typing import Any

from .cell import Cell
from .min_gru import positive


def _forget(ops: Any, x: Any) -> Any:
    return ops.sigmoid(ops.logsigmoid(x.f) - ops.logsigmoid(x.i))


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    f = _forget(ops, x)
    return (f * h + (1 - f) * x.h,)


def _log_step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    f = _forget(ops, x)
    return (f * h + (1 - f) * positive(ops, x.h),)


MINLSTM = Cell("minlstm", gates="fih", states="h", step=_step, recurrent="")
MINLSTM_LOG = Cell("minlstm_log", gates="fih", states="h", step=_log_step, recurrent="")
