"""The kernels on tensors: memory for the results, addresses for the arguments; no derivatives, no transforms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..kernels import cpu
from ..stack import Stack

_CELL_INDEX = {name: i for i, name in enumerate(cpu.cells())}


@lru_cache(maxsize=1024)
def tape_bytes(stack: Stack, dtype: torch.dtype, masked: bool, isa: str) -> tuple[int, int, int, int]:
    """What the tape takes: bytes a step of a row, bytes a row, bytes a checkpoint of a row, and bytes on top."""
    sizes = shape(stack, 0, 0, dtype is torch.float64)
    found: tuple[int, int, int, int] = cpu.tape_bytes(sizes, masked)
    return found


def empty_tape(x: Tensor, stack: Stack, t: int, n: int, masked: bool) -> Tensor:
    """Memory for what backward needs of a forward over x, (T, N, I) or (S, I): ``t`` steps, ``n`` rows. Bytes."""
    a_step, a_row, a_kept, always = tape_bytes(stack, x.dtype, masked, cpu.instruction_set())
    steps, *rows, _ = x.shape
    if rows:
        steps *= rows[0]
    if stack.checkpoint:
        a_row += -(-t // stack.checkpoint) * a_kept
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
    t, n, step = _steps_and_rows(x, batch_sizes)
    output, final = empty_results(x, stack, n, step)
    tape = empty_tape(x, stack, t, n, bool(masks)) if taped else None
    # Kept by name until the kernels are done: some are copies that nobody else holds.
    x, weights, masks, state = _with_rows(x), _dense(weights), _dense(masks), _dense(state)
    counts = () if lengths is None and batch_sizes is None else _dense((lengths, batch_sizes))
    cpu.forward(
        shape(stack, t, n, x.dtype is torch.float64),
        *_pair(counts),
        [w.data_ptr() for w in weights],
        [m.data_ptr() for m in masks],
        _rows(x),
        _rows(output),
        0 if tape is None else tape.data_ptr(),
        *_pair(state),
        *_pair(final),
    )
    return output, final, tape


def pack(weights: Sequence[Tensor], stack: Stack, batch_first: bool, cell: bool) -> cpu.Frozen:
    """The weights, which the kernels have to serve, as the instruction set in use reads them.

    ``batch_first`` and ``cell`` say how tensors come to the pack when it is called: see frozen.hpp.
    """
    weights = _dense(weights)
    sizes = shape(stack, 0, 0, weights[0].dtype is torch.float64)
    return cpu.Frozen(sizes, [w.data_ptr() for w in weights], batch_first, cell)


def forward_packed(
    x: Tensor,
    state: Sequence[Tensor] | None,
    packed: int,
    stack: Stack,
    lengths: Tensor | None,
    batch_sizes: Tensor | None,
) -> tuple[Tensor, ...]:
    """Output and final states, from the weights packed at address ``packed``."""
    t, n, step = _steps_and_rows(x, batch_sizes)
    output, final = empty_results(x, stack, n, step)
    x, state = _with_rows(x), _dense(state)
    counts = () if lengths is None and batch_sizes is None else _dense((lengths, batch_sizes))
    cpu.forward_packed(
        shape(stack, t, n, x.dtype is torch.float64),
        *_pair(counts),
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
    incoming: Sequence[Tensor | None],
    needs: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients of x, of each state that was given and of each weight, None where ``needs`` says so.

    ``incoming`` are those of the output and of each final state; None means zeros.
    """
    t, n, step = _steps_and_rows(x, batch_sizes)
    given = len(state) if state else 0
    needs_state = needs[1 : 1 + given] if given else (False,) * len(stack.state_sizes)
    d_x, d_state, d_weights = empty_gradients(x, stack, n, weights, needs[0], needs_state, needs[1 + given :], step)
    # Kept by name until the kernels are done: some are copies that nobody else holds.
    x, weights, masks, state = _with_rows(x), _dense(weights), _dense(masks), _dense(state)
    counts = () if lengths is None and batch_sizes is None else _dense((lengths, batch_sizes))
    d_output = None if incoming[0] is None else _with_rows(incoming[0])
    d_final = _dense(incoming[1:])
    cpu.backward(
        shape(stack, t, n, x.dtype is torch.float64),
        *_pair(counts),
        [w.data_ptr() for w in weights],
        [m.data_ptr() for m in masks],
        _rows(x),
        _rows(output),
        tape.data_ptr(),
        *_pair(state),
        _rows(d_x),
        _rows(d_output),
        *_pair(d_final),
        *_pair(d_state),
        [0 if d is None else d.data_ptr() for d in d_weights],
    )
    return [d_x, *d_state[:given], *d_weights]


def _steps_and_rows(x: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, bool]:
    """T, N, and whether x (N, I) is a single step without an axis for it."""
    if batch_sizes is not None:
        return batch_sizes.numel(), int(batch_sizes[0]) if batch_sizes.numel() else 0, False
    t, *n, _ = x.shape
    return (t, n[0], False) if n else (1, t, True)


def empty_results(x: Tensor, stack: Stack, n: int, step: bool = False) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Memory for the output, like x with D*P features, and for each final state (L*D, N, width), in a step (N, width).

    Sizes are passed one by one, here and below: a tuple of them takes torch half as long again to read.
    """
    new, lead = x.new_empty, (n,) if step else (stack.depth, n)
    *rows, _ = x.shape
    return new(*rows, stack.width), tuple([new(*lead, size) for size in stack.state_sizes])


def empty_gradients(
    x: Tensor,
    stack: Stack,
    n: int,
    weights: Sequence[Tensor],
    needs_x: bool,
    needs_state: Sequence[bool],
    needs_weights: Sequence[bool],
    step: bool = False,
) -> tuple[Tensor | None, list[Tensor | None], list[Tensor | None]]:
    """Memory for the gradients of x, of each state and of each weight, None where not needed."""
    d_x = torch.empty_like(x) if needs_x else None
    if d_x is not None and not _rows_contiguous(d_x):
        d_x = x.new_empty(*x.shape)
    lead = (n,) if step else (stack.depth, n)
    d_state = [
        x.new_empty(*lead, size) if needed else None
        for size, needed in zip(stack.state_sizes, needs_state, strict=True)
    ]
    d_weights = [
        (torch.empty_like(w) if w.is_contiguous() else w.new_empty(*w.shape)) if needed else None
        for w, needed in zip(weights, needs_weights, strict=True)
    ]
    return d_x, d_state, d_weights


def shape(
    stack: Stack, t: int, n: int, twofold: bool
) -> tuple[int, bool, int, int, int, int, int, int, int, int, bool, int]:
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
        stack.checkpoint,
    )


def _rows_contiguous(a: Tensor) -> bool:
    return a.is_contiguous() or a.size(-1) <= 1 or a.stride(-1) == 1


def _with_rows(a: Tensor) -> Tensor:
    """``a`` with contiguous rows, which may lie anywhere."""
    if a.is_neg():
        a = a.resolve_neg()
    return a if _rows_contiguous(a) else a.contiguous()


def _dense(tensors: Sequence[Any] | None) -> Sequence[Any]:
    """Each of ``tensors`` contiguous, as it is or as a copy."""
    if not tensors:
        return ()
    return [t if t is None or (t.is_contiguous() and not t.is_neg()) else t.resolve_neg().contiguous() for t in tensors]


def _rows(a: Tensor | None) -> tuple[int, int, int]:
    """Where (T, N, .), (S, .) or (N, .) begins, and how far apart its steps and rows are."""
    if a is None:
        return 0, 0, 0
    strides = a.stride()
    return (a.data_ptr(), strides[0], strides[1]) if len(strides) == 3 else (a.data_ptr(), 0, strides[0])


def _pair(tensors: Sequence[Tensor | None]) -> tuple[int, int]:
    """The addresses of two tensors or one or none, 0 where there is none."""
    if not tensors:
        return 0, 0
    first, second = tensors if len(tensors) == 2 else (tensors[0], None)
    return 0 if first is None else first.data_ptr(), 0 if second is None else second.data_ptr()
