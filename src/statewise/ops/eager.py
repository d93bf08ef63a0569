"""The first door: plain tensors, plain autograd, at the least cost a call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import tensors
from .gradient import Arguments, gradient


class Recurrent(torch.autograd.Function):
    """The kernels, forward and backward. Everything that backward reads is saved with torch, which sees it changed."""

    @staticmethod
    def forward(ctx: Any, a: Arguments, *inputs: Tensor) -> Any:
        output, final, tape = tensors.forward(*a, taped=True)
        ctx.set_materialize_grads(False)
        extra = [t for t in (a.lengths, a.batch_sizes) if t is not None]
        ctx.save_for_backward(*inputs, output, tape, *a.masks, *extra)
        ctx.stack, ctx.has_state, ctx.masks = a.stack, a.state is not None, len(a.masks)
        ctx.has_lengths, ctx.has_batch_sizes = a.lengths is not None, a.batch_sizes is not None
        return output, *final

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> Any:
        needs = ctx.needs_input_grad[1:]
        if all(g is None for g in incoming):
            return (None,) * (1 + len(needs))
        saved = list(ctx.saved_tensors)
        inputs, (output, tape, *rest) = saved[: len(needs)], saved[len(needs) :]
        states = len(ctx.stack.cell.states) if ctx.has_state else 0
        masks, extra = rest[: ctx.masks], rest[ctx.masks :]
        a = Arguments(
            inputs[0],
            inputs[1 : 1 + states] if states else None,
            inputs[1 + states :],
            ctx.stack,
            masks,
            extra[0] if ctx.has_lengths else None,
            extra[-1] if ctx.has_batch_sizes else None,
        )
        return None, *gradient(a, output, tape, incoming, needs)


def recurrent(a: Arguments) -> tuple[Tensor, ...]:
    """``ops.recurrent`` for calls that the kernels serve."""
    if torch.is_grad_enabled() and any([t.requires_grad for t in a.inputs]):
        results: tuple[Tensor, ...] = Recurrent.apply(a, *a.inputs)
        return results
    output, final, _ = tensors.forward(*a, taped=False)
    return output, *final
