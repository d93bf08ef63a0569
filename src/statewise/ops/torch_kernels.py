"""Torch's own kernels: what torch.nn's layers and cells would call, where statewise has none of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils._expanded_weights.expanded_weights_impl import ExpandedWeight

from ..kernels import cpu
from ..stack import Stack
from .arguments import Arguments
from .autocast import are_cast, autocast_dtype
from .fallback import option_reason, transform_reason

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
_DEVICES = frozenset({"cuda", "mps", "xpu"})
_HALVES = frozenset({torch.bfloat16, torch.float16})
_CAST = _HALVES | {torch.float32}


def serves_stack(stack: Stack) -> bool:
    """Whether torch has a kernel for this stack: its own cells, with a projection the LSTM alone."""
    return stack.cell.name in _LAYERS and (stack.proj_size == 0 or stack.cell.name == "lstm")


def serves(a: Arguments) -> bool:
    """Whether this call is torch's: on its devices, and on the CPU in 16 bits, autocast or not, that aren't ours."""
    x, stack = a.x, a.stack
    if a.lengths is not None or a.masks or x.size(0) == 0 or not serves_stack(stack) or option_reason(a) is not None:
        return False
    if x.device.type in _DEVICES:
        return True
    if not x.is_cpu or stack.checkpoint or type(x) is not Tensor:
        return False
    dtype = a.weights[0].dtype
    target = autocast_dtype("cpu")
    if target is not None:  # which leaves float64 alone; and of float16 torch has no LSTM on every processor
        if (
            target is not torch.bfloat16
            or dtype not in _CAST
            or any(t.dtype not in _CAST for t in (x, *(a.state or ())))
        ):
            return False
    elif dtype not in _HALVES:
        return False
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    if cpu.computes_bfloat16() and are_cast(a):  # which dynamo can't trace
        return False
    return all(w.dtype is dtype for w in a.weights) and transform_reason() is None


def are_expanded(a: Arguments) -> bool:
    """Whether call_for_per_sample_grads gave the weights, which only torch's own functions differentiate by row."""
    return any(isinstance(w, ExpandedWeight) for w in a.weights)


def run_expanded(a: Arguments, dropout: float, training: bool) -> tuple[Tensor, ...]:
    """As ``run_torch``, with such weights.

    Raises:
        NotImplementedError: there are ``lengths`` or options that torch.nn hasn't.
    """
    if a.lengths is not None:
        raise NotImplementedError("call_for_per_sample_grads takes no lengths: give a PackedSequence")
    why = option_reason(a)
    if why is not None or not serves_stack(a.stack):
        what = why or a.stack.cell.name
        raise NotImplementedError(f"call_for_per_sample_grads knows what torch.nn's layers do alone, not {what}")
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)  # oneDNN's LSTM has no gradients by row
    try:
        return run_torch(a, dropout, training)
    finally:
        torch._C._set_mkldnn_enabled(enabled)


def run_torch(a: Arguments, dropout: float, training: bool) -> tuple[Tensor, ...]:
    """As ``ops.recurrent``, by torch's kernels, which draw their own masks with probability ``dropout`` in training."""
    x, stack, weights = a.x, a.stack, a.weights
    if a.batch_sizes is None and x.dim() == 2:
        return _run_cell(stack, x, a.state, weights)
    state = a.state
    if state is None:
        n: Any = x.size(1) if a.batch_sizes is None else a.batch_sizes[0]  # a tensor, which torch.jit.trace follows
        state = [x.new_zeros(stack.depth, n, size) for size in stack.state_sizes]
    kernel = _LAYERS[stack.cell.name]
    hx = state[0] if len(state) == 1 else tuple(state)
    options = (stack.bias, stack.num_layers, dropout, training, stack.bidirectional)
    if a.batch_sizes is None:
        results: tuple[Tensor, ...] = kernel(x, hx, weights, *options, False)  # False: x is time-major
    else:
        results = kernel(x, a.batch_sizes, hx, weights, *options)
    return results


def _run_cell(stack: Stack, x: Tensor, state: Sequence[Tensor] | None, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One step of torch's own cell: x (N, I), each state (N, H), weights W_ih, W_hh[, b_ih, b_hh]."""
    if state is None:
        zeros = x.new_zeros(x.size(0), stack.hidden_size)
        state = [zeros] * len(stack.cell.states)
    result = _CELLS[stack.cell.name](x, state[0] if len(state) == 1 else tuple(state), *weights)
    final = result if isinstance(result, tuple) else (result,)
    return final[0], *final
