"""The GRU with layer normalisation inside: the paper's (Ba et al., 2016), and haste's.

::

    (z, r) = LN(W_x x) + LN(W_h h) + b
    n = tanh(LN(W_n x) + b_n + sigmoid(r) * (LN(U_n h) + b'_n))
    h' = (1 - sigmoid(z)) * h + sigmoid(z) * n

``layer_norm_gru``, the paper's, normalises the gates z and r together and the candidate n alone.
``layer_norm_gru_haste`` normalises all three together, and has z where the paper has 1 - z, as torch.nn's GRU. In
both, gains are in the norms and biases after them. The order of the rows is r, z, n, as in torch.nn; haste's is z, r,
n.
"""

from __future__ import annotations

from typing import Any

from .cell import Cell


def _step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    reset, update = ops.sigmoid(x.r + r.r), ops.sigmoid(x.z + r.z)
    new = ops.tanh(x.n + reset * r.n)
    return ((1 - update) * h + update * new,)


def _haste_step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    reset, update = ops.sigmoid(x.r + r.r), ops.sigmoid(x.z + r.z)
    new = ops.tanh(x.n + reset * r.n)
    return (update * h + (1 - update) * new,)


LAYER_NORM_GRU = Cell("layer_norm_gru", gates="rzn", states="h", step=_step, norms="xr", norm_groups=("rz", "n"))
LAYER_NORM_GRU_HASTE = Cell("layer_norm_gru_haste", gates="rzn", states="h", step=_haste_step, norms="xr")
