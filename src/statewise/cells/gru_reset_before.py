"""The GRU that resets the state before the product (Cho et al., 2014, v3): W_hn (r * h) instead of r * (W_hn h).

It is Keras's GRU with ``reset_after=False`` and ONNX's with ``linear_before_reset`` = 0. The parameters are the GRU's,
so ``bias_hh`` too, as in ONNX; Keras has one bias, which is their sum.
"""

from __future__ import annotations

from typing import Any

from .cell import Cell


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    reset, update = ops.sigmoid(x.r + r.r), ops.sigmoid(x.z + r.z)
    new = ops.tanh(x.n + r.n(reset * h))
    return (update * h + (1 - update) * new,)


GRU_RESET_BEFORE = Cell("gru_reset_before", gates="rzn", states="h", step=_step, late="n")
