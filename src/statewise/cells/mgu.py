"""The minimal gated unit (Zhou et al., 2016): the GRU with one gate that resets and updates.

::

    f = sigmoid(W_f [h, x] + b_f)
    h~ = tanh(W_h [f * h, x] + b_h)
    h' = (1 - f) * h + f * h~
"""

from __future__ import annotations

from typing import Any

from .cell import Cell


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    f = ops.sigmoid(x.f + r.f)
    new = ops.tanh(x.h + r.h(f * h))
    return ((1 - f) * h + f * new,)


MGU = Cell("mgu", gates="fh", states="h", step=_step, late="h", biases="x")
