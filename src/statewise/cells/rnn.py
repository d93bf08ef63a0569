"""The plain (Elman) recurrent cell, with tanh or relu."""

from __future__ import annotations

from typing import Any

from .cell import Cell


def _tanh_step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    return (ops.tanh(x.h + r.h),)


def _relu_step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    return (ops.relu(x.h + r.h),)


RNN_TANH = Cell("rnn_tanh", gates="h", states="h", step=_tanh_step)
RNN_RELU = Cell("rnn_relu", gates="h", states="h", step=_relu_step)
