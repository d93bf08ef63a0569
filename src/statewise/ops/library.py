"""The door for compilers: ``torch.ops.statewise.recurrent``, which torch.compile and torch.export see as one operation.

Its shapes are known without running it, and its gradient is an operation of its own; a gradient of that gradient goes to
the reference, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import cells, reference
from ..stack import Stack
from . import tensors
from .fallback import reason
from .gradient import Arguments, by_kernels, by_reference
from .gradient import reason as gradient_reason

_CONFIG = "str cell, int[] sizes, bool[] options"
_TENSORS = "Tensor x, Tensor[] state, Tensor[] weights, Tensor[] masks, Tensor? lengths, Tensor? batch_sizes"
_library = torch.library.Library("statewise", "DEF")
_library.define(f"recurrent({_TENSORS}, {_CONFIG}) -> Tensor[]")
_library.define(
    f"recurrent_backward({_TENSORS}, {_CONFIG}, Tensor output, Tensor tape, Tensor?[] incoming, bool[] needs) -> Tensor[]"
)


def recurrent(a: Arguments) -> tuple[Tensor, ...]:
    """``ops.recurrent`` as one operation of the graph."""
    stack = a.stack
    *results, _tape = torch.ops.statewise.recurrent(
        a.x, list(a.state or ()), list(a.weights), list(a.masks), a.lengths, a.batch_sizes, *_config(stack)
    )
    return tuple(results)


def _config(stack: Stack) -> tuple[str, list[int], list[bool]]:
    sizes = [stack.input_size, stack.hidden_size, stack.num_layers, stack.proj_size]
    return stack.cell.name, sizes, [stack.bidirectional, stack.bias]


def _arguments(
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    masks: Sequence[Tensor],
    lengths: Tensor | None,
    batch_sizes: Tensor | None,
    cell: str,
    sizes: Sequence[int],
    options: Sequence[bool],
) -> Arguments:
    stack = Stack(cells.by_name(cell), *sizes[:3], *options, sizes[3])
    return Arguments(x, list(state) or None, weights, stack, masks, lengths, batch_sizes)


def _forward(*args: Any) -> list[Tensor]:
    a = _arguments(*args)
    if reason(a.x, a.state, a.weights, a.stack) is None:
        output, final, tape = tensors.forward(*a, taped=True)
        assert tape is not None
        return [output, *final, tape]
    results = reference.recurrent(
        a.x, a.state, a.weights, a.stack, masks=a.masks, lengths=a.lengths, batch_sizes=a.batch_sizes
    )
    # An operation's results may share no memory with its arguments, nor with each other.
    return [*(r.contiguous() if r.is_contiguous() is False else r.clone() for r in results), _empty_tape(a)]


def _empty_tape(a: Arguments) -> Tensor:
    _, n = _steps_and_rows(a)
    return tensors.empty_tape(a.x, a.stack, n, bool(a.masks))


def _steps_and_rows(a: Arguments) -> tuple[Any, Any]:
    if a.batch_sizes is None:
        return a.x.size(0), a.x.size(1)
    if a.state:
        return a.batch_sizes.size(0), a.state[0].size(1)
    return tensors.steps_and_rows(a.x, a.batch_sizes)


def _fake_forward(*args: Any) -> list[Tensor]:
    a = _arguments(*args)
    if a.batch_sizes is not None and not a.state:
        n: Any = torch.library.get_ctx().new_dynamic_size()
    else:
        _, n = _steps_and_rows(a)
    output, final = tensors.empty_results(a.x, a.stack, n)
    return [output, *final, tensors.empty_tape(a.x, a.stack, n, bool(a.masks))]


def _backward(*args: Any) -> list[Tensor]:
    *head, output, tape, incoming, needs = args
    a = _arguments(*head)
    if reason(a.x, a.state, a.weights, a.stack) is None and gradient_reason(incoming) is None:
        found = by_kernels(a, output, tape, incoming, needs)
    else:
        with torch.no_grad():
            found = by_reference(a, incoming, needs)
    return [g for g in found if g is not None]


def _fake_backward(*args: Any) -> list[Tensor]:
    *head, _output, _tape, _incoming, needs = args
    a = _arguments(*head)
    return [torch.empty_like(t) for t, needed in zip(a.inputs, needs, strict=True) if needed]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x, state, weights, masks, lengths, batch_sizes, *config = inputs
    extra = [t for t in (lengths, batch_sizes) if t is not None]
    ctx.save_for_backward(x, *state, *weights, *masks, *extra, output[0], output[-1])
    ctx.counts = len(state), len(weights), len(masks), lengths is not None, batch_sizes is not None
    ctx.config = config
    ctx.needs = [t.requires_grad for t in (x, *state, *weights)]
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, incoming: list[Tensor | None]) -> tuple[Any, ...]:
    states, weights, masks, has_lengths, has_batch_sizes = ctx.counts
    saved = iter(ctx.saved_tensors)
    x, *rest = [next(saved) for _ in range(1 + states + weights + masks)]
    lengths = next(saved) if has_lengths else None
    batch_sizes = next(saved) if has_batch_sizes else None
    output, tape = saved
    head = (
        x,
        rest[:states],
        rest[states : states + weights],
        rest[states + weights :],
        lengths,
        batch_sizes,
        *ctx.config,
    )
    if all(g is None for g in incoming):
        found: list[Tensor | None] = [None] * len(ctx.needs)
    elif torch.is_grad_enabled():
        found = by_reference(_arguments(*head), incoming[:-1], ctx.needs)
    else:
        given = iter(torch.ops.statewise.recurrent_backward(*head, output, tape, incoming[:-1], ctx.needs))
        found = [next(given) if needed else None for needed in ctx.needs]
    return found[0], found[1 : 1 + states], found[1 + states :], [None] * masks, None, None, None, None, None


torch.library.impl(_library, "recurrent", "CompositeExplicitAutograd")(_forward)
torch.library.impl(_library, "recurrent_backward", "CompositeExplicitAutograd")(_backward)
torch.library.register_fake("statewise::recurrent", _fake_forward, lib=_library)
torch.library.register_fake("statewise::recurrent_backward", _fake_backward, lib=_library)
torch.library.register_autograd("statewise::recurrent", _differentiate, setup_context=_setup, lib=_library)
