"""The plain (Elman) recurrent cell, with tanh or relu. Kernel: rnn.hpp."""

from __future__ import annotations

from typing import Any

from .cell import Cell


def _preactivation(x: Any, r: Any, bias: Any) -> Any:
    return x + r if bias is None else x + bias[0] + r + bias[1]


def _tanh_step(ops: Any, x: Any, r: Any, bias: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    return (ops.tanh(_preactivation(x, r, bias)),)


def _relu_step(ops: Any, x: Any, r: Any, bias: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    return (ops.relu(_preactivation(x, r, bias)),)


RNN_TANH = Cell("rnn_tanh", gates="h", states="h", step=_tanh_step)
RNN_RELU = Cell("rnn_relu", gates="h", states="h", step=_relu_step)
