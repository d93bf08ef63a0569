"""The kernels on tensors: memory for the results, addresses for the arguments; no derivatives, no transforms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from .. import kernels
from ..stack import Stack

_CELL_INDEX = {name: i for i, name in enumerate(kernels.cells())}


@lru_cache(maxsize=1024)
def tape_bytes(stack: Stack, dtype: torch.dtype, masked: bool, isa: str) -> tuple[int, int, int]:
    """What the tape takes: bytes a step of a row, bytes a row, and bytes on top."""
    shape = _shape(stack, 0, 0, dtype is torch.float64)
    found: tuple[int, int, int] = kernels.tape_bytes(shape, masked)
    return found


def empty_tape(x: Tensor, stack: Stack, n: int, masked: bool) -> Tensor:
    """Memory for what backward needs of a forward over x (T, N, I) or (S, I) with ``n`` = N rows. Bytes."""
    a_step, a_row, always = tape_bytes(stack, x.dtype, masked, kernels.instruction_set())
    steps = x.size(0) if x.dim() == 2 else x.size(0) * x.size(1)
    return x.new_empty(steps * a_step + n * a_row + always, dtype=torch.uint8)


def forward(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    masks: Sequence[Tensor],
    lengths: Tensor | None,
    batch_sizes: Tensor | None,
    *,
    taped: bool,
) -> tuple[Tensor, tuple[Tensor, ...], Tensor | None]:
    """Output, final states and, if ``taped``, the tape that ``backward`` needs. Arguments as in ``ops.recurrent``."""
    t, n = steps_and_rows(x, batch_sizes)
    counts = [None if c is None else c.contiguous() for c in (lengths, batch_sizes)]
    output, final = empty_results(x, stack, n)
    tape = empty_tape(x, stack, n, bool(masks)) if taped else None
    x, weights, masks = _with_rows(x), [_dense(w) for w in weights], [_dense(m) for m in masks]
    state = None if state is None else [_dense(s) for s in state]
    h0, c0 = _pair(state)
    hn, cn = _pair(final)
    kernels.forward(
        _shape(stack, t, n, x.dtype is torch.float64),
        _address(counts[0]),
        _address(counts[1]),
        [w.data_ptr() for w in weights],
        [m.data_ptr() for m in masks],
        _rows(x),
        _rows(output),
        _address(tape),
        h0,
        c0,
        hn,
        cn,
    )
    return output, final, tape


def pack(weights: Sequence[Tensor], stack: Stack, batch_first: bool, cell: bool) -> kernels.Frozen:
    """The weights, which the kernels have to serve, as the instruction set in use reads them.

    ``batch_first`` and ``cell`` say how tensors come to the pack when it is called: see frozen.hpp.
    """
    weights = [_dense(w) for w in weights]
    shape = _shape(stack, 0, 0, weights[0].dtype is torch.float64)
    return kernels.Frozen(shape, [w.data_ptr() for w in weights], batch_first, cell)


def forward_packed(
    x: Tensor,
    state: Sequence[Tensor] | None,
    packed: int,
    stack: Stack,
    lengths: Tensor | None,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, ...]:
    """Output and final states, from the weights packed at address ``packed``."""
    t, n = steps_and_rows(x, batch_sizes)
    counts = [None if c is None else c.contiguous() for c in (lengths, batch_sizes)]
    output, final = empty_results(x, stack, n)
    x = _with_rows(x)
    state = None if state is None else [_dense(s) for s in state]
    kernels.forward_packed(
        _shape(stack, t, n, x.dtype is torch.float64),
        _address(counts[0]),
        _address(counts[1]),
        packed,
        _rows(x),
        _rows(output),
        *_pair(state),
        *_pair(final),
    )
    return output, *final


def backward(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    masks: Sequence[Tensor],
    lengths: Tensor | None,
    batch_sizes: Tensor | None,
    output: Tensor,
    tape: Tensor,
    d_output: Tensor | None,
    d_final: Sequence[Tensor | None],
    needs_x: bool,
    needs_state: Sequence[bool],
    needs_weights: Sequence[bool],
) -> tuple[Tensor | None, list[Tensor | None], list[Tensor | None]]:
    """Gradients of x, of each state and of each weight, None where not needed.

    ``d_output`` (like output) and ``d_final`` (one a state) are the incoming gradients; None means zeros.
    """
    t, n = steps_and_rows(x, batch_sizes)
    counts = [None if c is None else c.contiguous() for c in (lengths, batch_sizes)]
    d_x, d_state, d_weights = empty_gradients(x, stack, n, weights, needs_x, needs_state, needs_weights)
    weights = [_dense(w) for w in weights]
    x, masks = _with_rows(x), [_dense(m) for m in masks]
    state = None if state is None else [_dense(s) for s in state]
    d_output = None if d_output is None else _with_rows(d_output)
    d_final = [None if d is None else _dense(d) for d in d_final]
    h0, c0 = _pair(state)
    d_hn, d_cn = _pair(d_final)
    d_h0, d_c0 = _pair(d_state)
    kernels.backward(
        _shape(stack, t, n, x.dtype is torch.float64),
        _address(counts[0]),
        _address(counts[1]),
        [w.data_ptr() for w in weights],
        [m.data_ptr() for m in masks],
        _rows(x),
        _rows(output),
        tape.data_ptr(),
        h0,
        c0,
        _rows(d_x),
        _rows(d_output),
        d_hn,
        d_cn,
        d_h0,
        d_c0,
        [_address(d) for d in d_weights],
    )
    return d_x, d_state, d_weights


def steps_and_rows(x: Tensor, batch_sizes: Tensor | None) -> tuple[int, int]:
    """T and N."""
    if batch_sizes is None:
        return x.size(0), x.size(1)
    return batch_sizes.numel(), int(batch_sizes[0]) if batch_sizes.numel() else 0


def empty_results(x: Tensor, stack: Stack, n: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Memory for the output, like x with D*P features, and for each final state (L*D, N, width)."""
    output = x.new_empty(*x.shape[:-1], stack.directions * stack.output_size)
    depth = stack.num_layers * stack.directions
    return output, tuple([x.new_empty(depth, n, width) for width in stack.state_sizes])


def empty_gradients(
    x: Tensor,
    stack: Stack,
    n: int,
    weights: Sequence[Tensor],
    needs_x: bool,
    needs_state: Sequence[bool],
    needs_weights: Sequence[bool],
) -> tuple[Tensor | None, list[Tensor | None], list[Tensor | None]]:
    """Memory for the gradients of x, of each state and of each weight, None where not needed."""
    d_x = torch.empty_like(x) if needs_x else None
    if d_x is not None and not _rows_contiguous(d_x):
        d_x = x.new_empty(x.shape)
    d_state = [
        x.new_empty(stack.num_layers * stack.directions, n, width) if needed else None
        for width, needed in zip(stack.state_sizes, needs_state, strict=True)
    ]
    d_weights = [w.new_empty(w.shape) if needed else None for w, needed in zip(weights, needs_weights, strict=True)]
    return d_x, d_state, d_weights


def _shape(
    stack: Stack, t: int, n: int, twofold: bool
) -> tuple[int, bool, int, int, int, int, int, int, int, int, bool]:
    """The call's sizes, in the order that the kernels take them in."""
    return (
        _CELL_INDEX[stack.cell.name],
        twofold,
        torch.get_num_threads(),
        t,
        n,
        stack.input_size,
        stack.hidden_size,
        stack.proj_size,
        stack.num_layers,
        stack.directions,
        stack.bias,
    )


def _rows_contiguous(a: Tensor) -> bool:
    return a.size(-1) <= 1 or a.stride(-1) == 1


def _with_rows(a: Tensor) -> Tensor:
    """``a`` with contiguous rows, which may lie anywhere."""
    if a.is_neg():
        a = a.resolve_neg()
    return a if _rows_contiguous(a) else a.contiguous()


def _dense(a: Tensor) -> Tensor:
    if a.is_neg():
        a = a.resolve_neg()
    return a.contiguous()


def _address(a: Tensor | None) -> int:
    return 0 if a is None else a.data_ptr()


def _rows(a: Tensor | None) -> tuple[int, int, int]:
    """Where (T, N, .) or (S, .) begins, and how far apart its steps and rows are."""
    if a is None:
        return 0, 0, 0
    if a.dim() == 2:
        return a.data_ptr(), 0, a.stride(0)
    return a.data_ptr(), a.stride(0), a.stride(1)


def _pair(states: Sequence[Tensor | None] | None) -> tuple[int, int]:
    """The addresses of h and c, 0 where there is none."""
    if not states:
        return 0, 0
    return _address(states[0]), _address(states[1]) if len(states) > 1 else 0
