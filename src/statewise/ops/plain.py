"""The shortest way: sequences without lengths or dropout, called and differentiated as most are.

C++ looks at the tensors, makes the results and runs the kernels, all in one call each way: of a small call's time our
own Python took more than the kernels. What C++ doesn't take, it leaves untouched for the other doors: see recurrent.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from ..kernels import cpu
from ..stack import Stack
from . import dlpack as dlpack  # which connects
from . import tensors
from .fallback import SERVED_CELLS
from .gradient import Arguments, gradient

Sizes = tuple[int, bool, int, int, int, int, int, int, int, int, bool, int]


class Recurrent(torch.autograd.Function):
    """What the kernels have computed enters autograd. All that backward reads is saved with torch: see eager.py."""

    @staticmethod
    def forward(ctx: Any, done: tuple[Any, ...], *inputs: Tensor) -> Any:
        results, tape, *ctx.rest = done
        ctx.save_for_backward(*inputs, results[0], tape)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> Any:
        needs = ctx.needs_input_grad
        if incoming[0] is None and all(g is None for g in incoming):
            return (None,) * len(needs)
        states, sizes, stack = ctx.rest
        kept = ctx.saved_tensors
        found = cpu.backward_tensors(sizes, kept, states, incoming, needs)
        if found is not None:
            return found
        state = kept[1 : 1 + states] if states else None
        a = Arguments(kept[0], state, kept[1 + states : -2], stack, (), None, None)
        return None, *gradient(a, kept[-2], kept[-1], incoming, needs[1:])


_apply = super(torch.autograd.Function, Recurrent).apply  # see eager.py


def sizes_of(stack: Stack) -> Sizes | None:
    """What ``recurrent`` wants to know of ``stack``; None if the kernels don't serve it."""
    return tensors.shape(stack, 0, 0, False) if stack.cell.name in SERVED_CELLS else None


def recurrent(sizes: Sizes | None, stack: Stack, x: Tensor, hx: Any, weights: list[Tensor]) -> Any:
    """``ops.recurrent`` without masks or lengths; None, and nothing has happened, if the call isn't a plain one.

    Nothing needs to be checked before.

    Args:
        sizes: ``sizes_of(stack)``.
        stack: as there.
        x: as there, but with T and N in any case.
        hx: None, or the state as layers get it: a tensor, or a tuple of them.
        weights: as there.
    """
    if sizes is None or is_compiling():
        return None
    done = cpu.forward_tensors(sizes, x, hx, weights)
    if done is None:
        return None
    results, tape = done
    if tape is None:
        return results
    state = () if hx is None else hx if type(hx) is tuple else (hx,)
    return _apply((results, tape, len(state), sizes, stack), x, *state, *weights)  # type: ignore[no-untyped-call]
