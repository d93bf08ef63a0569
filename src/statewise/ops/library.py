"""The door for compilers: ``torch.ops.statewise.recurrent``, which torch.compile and torch.export see as one operation.

Its shapes are known without running it, and its gradient is an operation of its own. Transforms of either (a gradient's
gradient, tangents, vmap) go to the reference, as everywhere: an operation without rules for them would be taken for a
constant, in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, library
from torch.autograd import forward_ad

from .. import cells, reference
from ..stack import Stack
from . import tensors
from .fallback import reason
from .gradient import Arguments, by_reference, save, saved
from .gradient import reason as gradient_reason

_CONFIG = "str cell, int[] config"
_TENSORS = "Tensor x, Tensor[] state, Tensor[] weights, Tensor[] masks, Tensor? lengths"
_library = library.Library("statewise", "DEF")
_library.define(f"recurrent({_TENSORS}, {_CONFIG}) -> Tensor[]")
_GIVEN = "Tensor output, Tensor tape, Tensor?[] incoming, bool[] needs"
_library.define(f"recurrent_backward({_TENSORS}, {_CONFIG}, {_GIVEN}) -> Tensor[]")


def recurrent(a: Arguments) -> tuple[Tensor, ...]:
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


# What they compute


def _forward(*args: Any) -> list[Tensor]:
    a = _arguments(*args)
    if reason(a.x, a.state, a.weights, a.stack) is None:
        output, final, tape = tensors.forward(*a, taped=True)
        assert tape is not None
        return [output, *final, tape]
    # An operation's results may share no memory with its arguments, nor with each other.
    *results, tape = _forward_by_reference(*args)
    return [*(r.clone(memory_format=torch.contiguous_format) for r in results), tape]


def _forward_by_reference(*args: Any) -> list[Tensor]:
    a = _arguments(*args)
    results = reference.recurrent(a.x, a.state, a.weights, a.stack, masks=a.masks, lengths=a.lengths)
    return [*results, tensors.empty_tape(a.x, a.stack, a.x.size(0), a.x.size(1), bool(a.masks))]


def _backward(*args: Any) -> list[Tensor]:
    *head, output, tape, incoming, needs = args
    a = _arguments(*head)
    with torch.no_grad():
        if reason(a.x, a.state, a.weights, a.stack) is None and gradient_reason(incoming) is None:
            return _present(tensors.backward(*a, output, tape, incoming, needs))
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
    n = a.x.size(1)
    output, final = tensors.empty_results(a.x, a.stack, n)
    return [output, *final, tensors.empty_tape(a.x, a.stack, a.x.size(0), n, bool(a.masks))]


def _fake_backward(*args: Any) -> list[Tensor]:
    *head, _output, _tape, _incoming, needs = args
    a = _arguments(*head)
    states = len(a.state or ())
    needs_state = needs[1 : 1 + states] or [False] * len(a.stack.cell.states)
    d_x, d_state, d_weights = tensors.empty_gradients(
        a.x, a.stack, a.x.size(1), a.weights, needs[0], needs_state, needs[1 + states :]
    )
    return _present([d_x, *d_state, *d_weights])


# How they are differentiated


class Recurrent(torch.autograd.Function):
    """The two operations, tied together."""

    @staticmethod
    def forward(ctx: Any, a: Arguments, *inputs: Tensor) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            output, *final, tape = torch.ops.statewise.recurrent(*_flat(a))
        save(ctx, a, inputs, output, tape)
        ctx.mark_non_differentiable(tape)
        return output, *final, tape

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> Any:
        if all(g is None for g in incoming):
            return (None,) * len(ctx.needs_input_grad)
        a, output, tape, needs = saved(ctx)
        found = iter(torch.ops.statewise.recurrent_backward(*_flat(a), output, tape, incoming[:-1], needs))
        return None, *[next(found) if needed else None for needed in needs]


def _differentiable(*args: Any) -> list[Tensor]:
    if _is_transformed():
        return _forward_by_reference(*args)
    a = _arguments(*args)
    if torch.is_grad_enabled() and any(t.requires_grad for t in a.inputs):
        return list(Recurrent.apply(a, *a.inputs))  # type: ignore[no-untyped-call]
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
