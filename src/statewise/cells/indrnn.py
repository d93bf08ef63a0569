"""The independently recurrent network (Li et al., 2018): h' = relu(W x + u * h + b), each unit reading itself alone.

u is ``weight_u`` (H,) and begins with 1, where relu keeps what it is given; the paper also draws it from 0 to 1, and
keeps it within 2^(1/T) in training. ``indrnn`` has relu, as the paper's experiments, ``indrnn_tanh`` tanh, as haste's.
"""

from __future__ import annotations

from typing import Any

from .cell import Cell, Vector


def _relu_step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    return (ops.relu(x.h + w.weight_u * h),)


def _tanh_step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    (h,) = state
    return (ops.tanh(x.h + w.weight_u * h),)


_U = (Vector("weight_u", initial=1.0),)

INDRNN = Cell("indrnn", gates="h", states="h", step=_relu_step, recurrent="", vectors=_U)
INDRNN_TANH = Cell("indrnn_tanh", gates="h", states="h", step=_tanh_step, recurrent="", vectors=_U)
