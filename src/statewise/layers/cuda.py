"""CUDA: what torch.nn's layers and cells would compute there goes to torch's own (cuDNN) kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..cells import Cell
from ..stack import Stack

_LAYERS: dict[str, Callable[..., Any]] = {
    "rnn_tanh": torch._VF.rnn_tanh,
    "rnn_relu": torch._VF.rnn_relu,
    "lstm": torch._VF.lstm,
    "gru": torch._VF.gru,
}
_CELLS: dict[str, Callable[..., Any]] = {
    "rnn_tanh": torch._VF.rnn_tanh_cell,
    "rnn_relu": torch._VF.rnn_relu_cell,
    "lstm": torch._VF.lstm_cell,
    "gru": torch._VF.gru_cell,
}


def serves(stack: Stack) -> bool:
    """Whether torch has a kernel for this stack: its own cells, with a projection the LSTM alone."""
    return stack.cell.name in _LAYERS and (stack.proj_size == 0 or stack.cell.name == "lstm")


def recurrent(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    dropout: float,
    training: bool,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, ...]:
    """As ``statewise.ops.recurrent``, by torch's kernels: x (T, N, I), or (S, I) with ``batch_sizes``."""
    if state is None:
        n: Any = x.size(1) if batch_sizes is None else batch_sizes[0]  # a tensor, which torch.jit.trace follows
        state = [x.new_zeros(stack.num_layers * stack.directions, n, size) for size in stack.state_sizes]
    kernel = _LAYERS[stack.cell.name]
    hx = state[0] if len(state) == 1 else tuple(state)
    options = (stack.bias, stack.num_layers, dropout, training, stack.bidirectional)
    if batch_sizes is None:
        results: tuple[Tensor, ...] = kernel(x, hx, weights, *options, False)  # False: x is time-major
    else:
        results = kernel(x, batch_sizes, hx, weights, *options)
    return results


def cell(kind: Cell, x: Tensor, state: Sequence[Tensor] | None, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One step of torch's own cell: x (N, I), each state (N, H), weights W_ih, W_hh[, b_ih, b_hh]."""
    if state is None:
        zeros = x.new_zeros(x.size(0), weights[1].shape[1])
        state = [zeros] * len(kind.states)
    kernel = _CELLS[kind.name]
    result = kernel(x, state[0] if len(state) == 1 else tuple(state), *weights)
    return result if isinstance(result, tuple) else (result,)
