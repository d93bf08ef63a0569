"""The scalar LSTM of xLSTM (Beck et al., 2024): an exponential input gate, a normaliser n and a stabiliser m.

::

    m' = max(log sigmoid(f) + m, i)
    i' = exp(i - m'),  f' = exp(log sigmoid(f) + m - m')
    c' = f' * c + i' * tanh(z)
    n' = f' * n + i'
    h' = sigmoid(o) * c' / n'

i, f, z, o are the shares of x and h with one bias. The forget gate is the paper's sigmoid. As in the authors' kernels
m' = i where n is 0, as before the first step: m is a logarithm, and that of nothing is not 0. So zeros are the states
to begin with, and n' is 1 after the first step however far i is from 0.

``num_heads`` cuts ``weight_hh`` into blocks, a unit reading its own head's alone: (4*H, H/heads). ``slstm_headwise``
has ``weight_ih`` cut likewise, (4*H, I/heads), as the authors' layers and TiRex project their inputs. The states are
h, c, n, m. The norm over each head's outputs that follows in their layers is not part of it.
"""

from __future__ import annotations

from typing import Any

from .cell import Cell


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    _, c, n, m = state
    i = x.i + r.i
    carried = ops.where(n, ops.logsigmoid(x.f + r.f) + m, i)
    m = ops.maximum(carried, i)
    take, keep = ops.exp(i - m), ops.exp(carried - m)
    c = keep * c + take * ops.tanh(x.z + r.z)
    n = keep * n + take
    return ops.sigmoid(x.o + r.o) * c / n, c, n, m


SLSTM = Cell("slstm", gates="ifzo", states="hcnm", step=_step, heads="h", biases="x")
SLSTM_HEADWISE = Cell("slstm_headwise", gates="ifzo", states="hcnm", step=_step, heads="xh", biases="x")
