"""The kernels on tensors as they come, and their gradient: C++ looks at them, makes the results and runs, in one call.

Of a small call's time our own Python took more than the kernels. What C++ doesn't take, it leaves untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..kernels import cpu
from ..kernels.cpu import Form as Form
from ..kernels.served import as_kernel
from ..stack import Stack
from . import dlpack as dlpack  # which connects
from .arguments import Options, Results
from .fallback import stack_reason
from .gradient import eager_by_reference

Masks = Sequence[Tensor] | Callable[..., Sequence[Tensor]] | None


def saved(ctx: Any) -> Any:
    """What ``ctx`` has saved; where torch refuses it, its words, and what in training by windows leads there."""
    try:
        return ctx.saved_tensors
    except RuntimeError as error:
        raise RuntimeError(
            f"{error}\nIf a state of the call before was given as hx, to go on from one window of a sequence to the"
            " next: statewise.detach(state) keeps its numbers and forgets where they came from."
        ) from None


class EagerFunction(torch.autograd.Function):
    """What the kernels have computed enters autograd. All that backward reads is saved with torch."""

    @staticmethod
    def forward(ctx: Any, done: tuple[Any, ...], *inputs: Tensor) -> Any:
        results, extra, ctx.record, ctx.stack, ctx.options = done
        ctx.save_for_backward(*inputs, *extra)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> Any:
        needs = ctx.needs_input_grad
        if incoming[0] is None and all(g is None for g in incoming):
            return (None,) * len(needs)
        kept = saved(ctx)
        found = ctx.record.backward(kept, incoming, needs, False)
        if found is None:
            return None, *eager_by_reference(ctx.record, ctx.stack, kept, incoming, needs[1:], ctx.options)
        return found


# What Function.apply ends in. What it does before is for torch.func's transforms, which don't come through here, and
# takes 3 of the 50 us that torch itself needs for a Function with an LSTM's inputs, forward and backward.
_apply = super(torch.autograd.Function, EagerFunction).apply


@lru_cache(maxsize=1024)
def kernel_of(stack: Stack) -> cpu.Stack | None:
    """The stack as the kernels know it, or None if they don't compute it."""
    return as_kernel(stack) if stack_reason(stack) is None else None


def run_eager(
    kernel: cpu.Stack | None,
    stack: Stack,
    form: Form,
    x: Any,
    hx: Any,
    weights: list[Any],
    masks: Masks = None,
    rows: Any = None,
    bfloat16_products: bool = False,
    options: Options | None = None,
) -> Results | None:
    """The output (of a cell none) and the final states; None, and nothing has happened, if the kernels don't serve.

    Nothing needs to be checked before: whatever doesn't fit makes it None. Not to be called while a graph is made.

    Args:
        kernel: ``kernel_of(stack)``.
        stack: which it is.
        form: what the axes of ``x``, the states and the results are: (T, N, .), (N, T, .) or, of a single step, (N, .);
            without the batch's where x is unbatched.
        x: the input, or the data of a PackedSequence.
        hx: None, or the states as a layer is given them: a tensor, or a tuple or list of one each.
        weights: as in torch's ``_flat_weights``.
        masks: dropout's, (T, N, D*P) or (S, D*P), one for each layer but the last; or a function that draws them, which
            is called with x and their sizes but the last once the kernels are known to serve.
        rows: None, lengths (N,), or (batch_sizes, sorted_indices, unsorted_indices) of a PackedSequence.
        bfloat16_products: whether products of float32 may round what they multiply to bfloat16. They may anyway where
            ``torch.set_float32_matmul_precision("medium")`` says so.
        options: what torch.nn's layers haven't, of time-major input or packed input in its own order; default: none.
            The states of all steps come as (L*D*T, N, .) or (L*D*S, .).
    """
    if kernel is None:
        return None
    extras = None if options is None else (list(options.recurrent_masks), *options[1:])
    done = kernel.forward(form, x, hx, weights, masks, rows, bfloat16_products, extras)
    if done is None:
        return None
    results, extra, record = done
    if record is None:
        return results  # type: ignore[no-any-return]
    state = () if hx is None else (hx,) if isinstance(hx, Tensor) else hx
    return _apply((results, extra, record, stack, options), x, *state, *weights)  # type: ignore[no-untyped-call, no-any-return]
