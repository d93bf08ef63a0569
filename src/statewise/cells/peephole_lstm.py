"""The LSTM whose gates see the cell state (Gers, Schraudolph and Schmidhuber, 2002), as ONNX's with its input P.

The input and forget gates look at the state before the step, the output gate at the one after it::

    i = sigmoid(W_xi x + W_hi h + p_i * c + b_i)
    f = sigmoid(W_xf x + W_hf h + p_f * c + b_f)
    c' = f * c + i * tanh(W_xg x + W_hg h + b_g)
    o = sigmoid(W_xo x + W_ho h + p_o * c' + b_o)
    h' = o * tanh(c')

The p are ``weight_ch`` (3*H,), in the order i, f, o; ONNX's P has them as i, o, f. With p = 0 it is the LSTM.
"""

from __future__ import annotations

from typing import Any

from .cell import Cell, Vector


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    _, c = state
    p = w.weight_ch
    i, f = ops.sigmoid(x.i + r.i + p.i * c), ops.sigmoid(x.f + r.f + p.f * c)
    c = f * c + i * ops.tanh(x.g + r.g)
    o = ops.sigmoid(x.o + r.o + p.o * c)
    return o * ops.tanh(c), c


PEEPHOLE_LSTM = Cell(
    "peephole_lstm", gates="ifgo", states="hc", step=_step, vectors=(Vector("weight_ch", parts="ifo"),)
)
