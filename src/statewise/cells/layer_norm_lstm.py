"""The LSTM with layer normalisation inside (Ba et al., 2016), which is also haste's LayerNormLSTM.

::

    (i, f, g, o) = LN(W_ih x) + LN(W_hh h) + b
    c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h' = sigmoid(o) * tanh(LN(c'))

The first two LN go over all four gates together, with gains; their biases are in b, of which there is one. The last has
a gain and a bias. The c that goes from step to step is not normalised. haste's gates are in the order i, g, f, o.
"""

from __future__ import annotations

from typing import Any

from .cell import Cell


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    _, c = state
    i, f, o = ops.sigmoid(x.i + r.i), ops.sigmoid(x.f + r.f), ops.sigmoid(x.o + r.o)
    c = f * c + i * ops.tanh(x.g + r.g)
    return o * ops.tanh(w.norm_c(c)), c


LAYER_NORM_LSTM = Cell("layer_norm_lstm", gates="ifgo", states="hc", step=_step, norms="xrc", biases="x")
