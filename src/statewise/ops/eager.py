"""The first door: plain tensors, plain autograd, at the least cost a call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import tensors
from .gradient import Arguments, gradient, save, saved


class Recurrent(torch.autograd.Function):
    """The kernels, forward and backward. Everything that backward reads is saved with torch, which sees it changed."""

    @staticmethod
    def forward(ctx: Any, a: Arguments, *inputs: Tensor) -> Any:
        output, final, tape = tensors.forward(*a, taped=True)
        assert tape is not None
        save(ctx, a, inputs, output, tape)
        return output, *final

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> Any:
        if incoming[0] is None and all(g is None for g in incoming):
            return (None,) * len(ctx.needs_input_grad)
        a, output, tape, needs = saved(ctx)
        return None, *gradient(a, output, tape, incoming, needs)


# What Function.apply ends in. What it does before is for torch.func's transforms, which don't come through here, and
# takes 3 of the 50 us that torch itself needs for a Function with an LSTM's inputs, forward and backward.
_apply = super(torch.autograd.Function, Recurrent).apply


def recurrent(a: Arguments) -> tuple[Tensor, ...]:
    """``ops.recurrent`` for calls that the kernels serve."""
    if torch.is_grad_enabled():
        inputs = a.inputs
        for t in inputs:
            if t.requires_grad:
                results: tuple[Tensor, ...] = _apply(a, *inputs)  # type: ignore[no-untyped-call]
                return results
    output, final, _ = tensors.forward(*a, taped=False)
    return output, *final
