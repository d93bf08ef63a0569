"""The minimal GRU (Feng et al., 2024): gates and candidate read the input alone, and nothing squashes the state.

::

    z = sigmoid(W_z x + b_z)
    h' = (1 - z) * h + z * (W_h x + b_h)

``mingru_log`` is what the paper trains in log-space, where the candidate must be positive: g(W_h x + b_h), with
g(a) = a + 1/2 for a >= 0, else sigmoid(a). Models made in that way need it; the state before the first step is then the
caller's to choose.
"""

from __future__ import annotations

from typing import Any

from .cell import Cell


def positive(ops: Any, a: Any) -> Any:
    """The paper's g: a + 1/2 where a >= 0, else sigmoid(a)."""
    return ops.relu(a) + ops.sigmoid(ops.minimum(a, 0))


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    z = ops.sigmoid(x.z)
    return ((1 - z) * h + z * x.h,)


def _log_step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    z = ops.sigmoid(x.z)
    return ((1 - z) * h + z * positive(ops, x.h),)


MINGRU = Cell("mingru", gates="zh", states="h", step=_step, recurrent="")
MINGRU_LOG = Cell("mingru_log", gates="zh", states="h", step=_log_step, recurrent="")
