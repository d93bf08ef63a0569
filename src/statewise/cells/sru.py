"""The simple recurrent unit (Lei et al., 2018): a light recurrence and a highway past it.

::

    f = sigmoid(W_f x + v_f * c + b_f)
    r = sigmoid(W_r x + v_r * c + b_r)
    c' = f * c + (1 - f) * (W x)
    h' = r * c' + (1 - r) * (W_s x)

v is ``weight_c`` (2*H,), in the order f, r. The rows of the input's weights are those of W, W_f, W_r and W_s. The
highway's W_s is what the authors' code has wherever input and output are of different widths; where they are equal,
the paper puts x itself there, times a constant, and W_s is to be that multiple of the identity. W and W_s have biases
too, which the paper's have not; they begin as all biases do and can be set to 0.
"""

from __future__ import annotations

from typing import Any

from .cell import Cell, Vector


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    _, c = state
    forget, highway = ops.sigmoid(x.f + w.weight_c.f * c), ops.sigmoid(x.r + w.weight_c.r * c)
    c = forget * c + (1 - forget) * x.c
    return highway * c + (1 - highway) * x.s, c


SRU = Cell("sru", gates="cfrs", states="hc", step=_step, recurrent="", vectors=(Vector("weight_c", parts="fr"),))
