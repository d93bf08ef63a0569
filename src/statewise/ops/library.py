"""The door for compilers: ``torch.ops.statewise.recurrent``, which torch.compile and torch.export see as one operation.

Its shapes are known without running it, and its gradient is an operation of its own. Transforms of either (a gradient's
gradient, tangents, vmap) go to the reference, as everywhere: an operation without rules for them would be taken for a
constant, in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, library
from torch.autograd import forward_ad

from .. import cells
from ..kernels import cpu
from ..kernels.cpu import Record
from ..stack import Stack
from .arguments import Arguments
from .eager import Form, kernel_of
from .fallback import reason
from .gradient import by_reference, run_reference
from .gradient import reason as gradient_reason

_CONFIG = "str cell, int[] config"
_TENSORS = "Tensor x, Tensor[] state, Tensor[] weights, Tensor[] masks, Tensor? lengths"
_library = library.Library("statewise", "DEF")
_library.define(f"recurrent({_TENSORS}, {_CONFIG}) -> Tensor[]")
_GIVEN = "Tensor output, Tensor tape, Tensor?[] incoming, bool[] needs"
_library.define(f"recurrent_backward({_TENSORS}, {_CONFIG}, {_GIVEN}) -> Tensor[]")


def run_library(a: Arguments) -> tuple[Tensor, ...]:
    """``ops.recurrent`` as one operation of the graph. Not for packed input, whose N lies in the values of a tensor."""
    *results, _tape = torch.ops.statewise.recurrent(*_flat(a))
    return tuple(results)


def _flat(a: Arguments) -> tuple[Any, ...]:
    """``a`` as the operations take it."""
    s = a.stack
    # All numbers in one list: torch.jit.trace knows no lists of bools.
    config = [s.input_size, s.hidden_size, s.num_layers, int(s.bidirectional), int(s.bias), s.proj_size, s.checkpoint]
    return a.x, list(a.state or ()), list(a.weights), list(a.masks), a.lengths, s.cell.name, config


def _arguments(
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    masks: Sequence[Tensor],
    lengths: Tensor | None,
    cell: str,
    config: Sequence[int],
) -> Arguments:
    """The inverse of ``_flat``."""
    input_size, hidden_size, num_layers, bidirectional, bias, *rest = config
    stack = Stack(cells.by_name(cell), input_size, hidden_size, num_layers, bool(bidirectional), bool(bias), *rest)
    return Arguments(x, list(state) or None, weights, stack, masks, lengths, None)


def empty_tape(a: Arguments) -> Tensor:
    """Memory for what backward needs of a forward over x, (T, N, I). Bytes."""
    t, n, _ = a.x.shape
    a_step, a_row, a_kept, always = _tape_bytes(a.stack, a.x.dtype, bool(a.masks), cpu.instruction_set())
    if a.stack.checkpoint:
        a_row += -(-t // a.stack.checkpoint) * a_kept
    return a.x.new_empty(t * n * a_step + n * a_row + always, dtype=torch.uint8)


@lru_cache(maxsize=1024)
def _tape_bytes(stack: Stack, dtype: torch.dtype, masked: bool, isa: str) -> tuple[int, int, int, int]:
    """What the tape takes: bytes a step of a row, bytes a row, bytes a checkpoint of a row, and bytes on top."""
    return _kernel_of(stack).tape_bytes(dtype is torch.float64, masked)


def _kernel_of(stack: Stack) -> cpu.Stack:
    kernel = kernel_of(stack)
    assert kernel is not None, f"no kernel computes the cell {stack.cell.name}"
    return kernel


# What they compute


def _hx(state: Sequence[Tensor] | None) -> Any:
    """The states as the kernels take them."""
    return None if not state else state[0] if len(state) == 1 else tuple(state)


def _forward_by_kernels(a: Arguments, tape: Tensor | None) -> Sequence[Tensor] | None:
    found: Sequence[Tensor] | None = _kernel_of(a.stack).forward_below(
        Form.TIME_FIRST, a.x, _hx(a.state), list(a.weights), list(a.masks) or None, a.lengths, tape
    )
    return found


def _backward_by_kernels(
    a: Arguments, output: Tensor, tape: Tensor, incoming: Sequence[Tensor | None], needs: Sequence[bool]
) -> Sequence[Tensor | None] | None:
    kernel = _kernel_of(a.stack)
    extra = [*[output] * kernel.reads_output, tape, *a.masks, *([] if a.lengths is None else [a.lengths])]
    counts = len(a.state or ()), int(kernel.reads_output), len(a.masks), int(a.lengths is not None)
    record = Record(kernel, Form.TIME_FIRST, *counts)
    found = record.backward((*a.inputs, *extra), tuple(incoming), (False, *needs), True)
    return None if found is None else found[1:]


def _forward(*args: Any) -> list[Tensor]:
    a = _arguments(*args)
    if reason(a.x, a.state, a.weights, a.stack) is None:
        tape = empty_tape(a)
        results = _forward_by_kernels(a, tape)
        if results is not None:
            return [*results, tape]
    # An operation's results may share no memory with its arguments, nor with each other.
    *results, tape = _forward_by_reference(*args)
    return [*(r.clone(memory_format=torch.contiguous_format) for r in results), tape]


def _forward_by_reference(*args: Any) -> list[Tensor]:
    a = _arguments(*args)
    return [*run_reference(a), empty_tape(a)]


def _backward(*args: Any) -> list[Tensor]:
    *head, output, tape, incoming, needs = args
    a = _arguments(*head)
    with torch.no_grad():
        if reason(a.x, a.state, a.weights, a.stack) is None and gradient_reason(incoming) is None:
            found = _backward_by_kernels(a, output, tape, incoming, needs)
            if found is not None:
                return _present(found)
        # An operation runs below autograd, where nothing would be recorded for the reference to differentiate.
        with torch._C._SetExcludeDispatchKeyGuard(torch._C.DispatchKey.AutogradFunctionality, False):
            found = _backward_by_reference(*args)
    return [to.copy_(g) for to, g in zip(_fake_backward(*args), found, strict=True)]


def _backward_by_reference(*args: Any) -> list[Tensor]:
    *head, _output, _tape, incoming, needs = args
    return _present(by_reference(_arguments(*head), incoming, needs))


def _present(gradients: Sequence[Tensor | None]) -> list[Tensor]:
    """Those of ``gradients`` that were asked for, as an operation returns them."""
    return [g for g in gradients if g is not None]


# What shapes they return


def _fake_forward(*args: Any) -> list[Tensor]:
    a = _arguments(*args)
    t, n, _ = a.x.shape
    states = [a.x.new_empty(a.stack.depth, n, size) for size in a.stack.state_sizes]
    return [a.x.new_empty(t, n, a.stack.width), *states, empty_tape(a)]


def _fake_backward(*args: Any) -> list[Tensor]:
    *head, _output, _tape, _incoming, needs = args
    a = _arguments(*head)
    return _present([_empty_gradient(t) if needed else None for t, needed in zip(a.inputs, needs, strict=True)])


def _empty_gradient(t: Tensor) -> Tensor:
    like = torch.empty_like(t)
    return like if like.dim() == 0 or like.stride(-1) == 1 or like.size(-1) <= 1 else t.new_empty(t.shape)


# How they are differentiated


class LibraryFunction(torch.autograd.Function):
    """The two operations, tied together."""

    @staticmethod
    def forward(ctx: Any, a: Arguments, *inputs: Tensor) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            output, *final, tape = torch.ops.statewise.recurrent(*_flat(a))
        ctx.save_for_backward(*inputs, output, tape, *a.masks, *([] if a.lengths is None else [a.lengths]))
        ctx.call = len(a.state or ()), len(a.masks), a.stack
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(tape)
        return output, *final, tape

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> Any:
        if all(g is None for g in incoming):
            return (None,) * len(ctx.needs_input_grad)
        a, output, tape = _saved(ctx)
        needs = ctx.needs_input_grad[1:]
        found = iter(torch.ops.statewise.recurrent_backward(*_flat(a), output, tape, incoming[:-1], needs))
        return None, *[next(found) if needed else None for needed in needs]


def _saved(ctx: Any) -> tuple[Arguments, Tensor, Tensor]:
    """The call's arguments, output and tape."""
    states, masks, stack = ctx.call
    kept = ctx.saved_tensors
    inputs = len(ctx.needs_input_grad) - 1
    x, state, weights = kept[0], kept[1 : 1 + states] or None, kept[1 + states : inputs]
    after = inputs + 2 + masks
    lengths = kept[after] if len(kept) > after else None
    return Arguments(x, state, weights, stack, kept[inputs + 2 : after], lengths), kept[inputs], kept[inputs + 1]


def _differentiable(*args: Any) -> list[Tensor]:
    if _is_transformed():
        return _forward_by_reference(*args)
    a = _arguments(*args)
    if torch.is_grad_enabled() and any(t.requires_grad for t in a.inputs):
        return list(LibraryFunction.apply(a, *a.inputs))  # type: ignore[no-untyped-call]
    with torch._C._AutoDispatchBelowAutograd():
        results: list[Tensor] = torch.ops.statewise.recurrent(*args)
    return results


def _differentiable_backward(*args: Any) -> list[Tensor]:
    *head, _output, _tape, incoming, _needs = args
    given = (*_arguments(*head).inputs, *(g for g in incoming if g is not None))
    if _is_transformed() or (torch.is_grad_enabled() and any(t.requires_grad for t in given)):
        return _backward_by_reference(*args)
    with torch._C._AutoDispatchBelowAutograd():
        results: list[Tensor] = torch.ops.statewise.recurrent_backward(*args)
    return results


def _is_transformed() -> bool:
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


library.impl(_library, "recurrent", "CompositeExplicitAutograd")(_forward)
library.impl(_library, "recurrent_backward", "CompositeExplicitAutograd")(_backward)
library.register_fake("statewise::recurrent", _fake_forward, lib=_library)
library.register_fake("statewise::recurrent_backward", _fake_backward, lib=_library)
library.impl(_library, "recurrent", "Autograd")(_differentiable)
library.impl(_library, "recurrent_backward", "Autograd")(_differentiable_backward)
for _key in ("FuncTorchBatched", "Batched"):  # torch.func's vmap, and autograd's own for batched gradients
    library.impl(_library, "recurrent", _key)(_forward_by_reference)
    library.impl(_library, "recurrent_backward", _key)(_backward_by_reference)
