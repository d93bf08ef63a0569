"""The gradient of the recurrent operation, whichever way it was computed forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor

from .. import reference
from ..stack import Stack
from . import tensors
from .fallback import report, transform_reason


class Arguments(NamedTuple):
    """What a call of ``ops.recurrent`` was given."""

    x: Tensor
    state: Sequence[Tensor] | None
    weights: Sequence[Tensor]
    stack: Stack
    masks: Sequence[Tensor]
    lengths: Tensor | None
    batch_sizes: Tensor | None

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors that have gradients: x, states, weights."""
        return [self.x, *(self.state or ()), *self.weights]


def save(ctx: Any, a: Arguments, inputs: Sequence[Tensor], output: Tensor, tape: Tensor) -> None:
    """Keep for backward what ``saved`` gives back: all of it with torch, which sees when it is changed meanwhile."""
    _, state, _, stack, masks, lengths, batch_sizes = a
    extra = [t for t in (lengths, batch_sizes) if t is not None]
    ctx.save_for_backward(*inputs, output, tape, *masks, *extra)
    ctx.rest = stack, len(state or ()), len(masks), lengths is not None, batch_sizes is not None
    ctx.set_materialize_grads(False)


def saved(ctx: Any) -> tuple[Arguments, Tensor, Tensor, Sequence[bool]]:
    """The call's arguments, output and tape, and which of ``inputs`` need a gradient."""
    stack, states, masks, has_lengths, has_batch_sizes = ctx.rest
    needs = ctx.needs_input_grad[1:]
    kept = ctx.saved_tensors
    inputs = len(needs)
    extra = kept[inputs + 2 + masks :]
    a = Arguments(
        kept[0],
        kept[1 : 1 + states] if states else None,
        kept[1 + states : inputs],
        stack,
        kept[inputs + 2 : inputs + 2 + masks],
        extra[0] if has_lengths else None,
        extra[-1] if has_batch_sizes else None,
    )
    return a, kept[inputs], kept[inputs + 1], needs


def by_reference(a: Arguments, incoming: Sequence[Tensor | None], needs: Sequence[bool]) -> list[Tensor | None]:
    """The same by torch's differentiation of the reference, and so differentiable again."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # A view of each: an input that depends on another (h_0 computed from x) keeps its gradient apart.
        inputs = [
            t.view_as(t) if t.requires_grad else t.detach().requires_grad_(needed)
            for t, needed in zip(a.inputs, needs, strict=True)
        ]
        given = 0 if a.state is None else len(a.state)
        results = reference.recurrent(
            inputs[0],
            inputs[1 : 1 + given] if given else None,
            inputs[1 + given :],
            a.stack,
            masks=a.masks,
            lengths=a.lengths,
            batch_sizes=a.batch_sizes,
        )
        pairs = [(r, g) for r, g in zip(results, incoming, strict=True) if g is not None and r.requires_grad]
        wanted = [t for t, needed in zip(inputs, needs, strict=True) if needed]
        if pairs and wanted:
            outputs, grads = zip(*pairs, strict=True)
            found = iter(torch.autograd.grad(outputs, wanted, grads, create_graph=again, materialize_grads=True))
        else:
            found = iter([torch.zeros_like(t) for t in wanted])
    return [next(found) if needed else None for needed in needs]


def reason(incoming: Sequence[Tensor | None]) -> str | None:
    """Why the kernels don't serve this backward; None if they do."""
    if torch.is_grad_enabled():
        return "the gradient is to be differentiated again"
    for g in incoming:
        if g is None:
            continue
        if type(g) is not Tensor or is_legacy_batchedtensor(g):
            return "the incoming gradients are batched, or of a type of their own"
        if g.layout is not torch.strided:
            return f"an incoming gradient's layout is {g.layout}"
        if g._is_zerotensor():
            return "an incoming gradient is zeros without memory"
    return transform_reason()


def gradient(
    a: Arguments, output: Tensor, tape: Tensor, incoming: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor | None]:
    """The gradients of ``a.inputs``: by the kernels where they serve, else by the reference."""
    why = reason(incoming)
    if why is None:
        return tensors.backward(*a, output, tape, incoming, needs)
    report(why)
    return by_reference(a, incoming, needs)
