"""The recurrent operation: a whole stack of layers in one call, by the first that serves.

A call goes to a graph that is being made (library.py, of ONNX onnx.py), to torch's own kernels (torch_kernels.py), to
ours (eager.py) or to the reference. Which of them is decided here, and nowhere else. Layers try ``run_eager``
themselves first, with the tensors as they were given: what the kernels take needs no checks. Whatever comes here has
been checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from ..stack import Stack
from . import library, onnx, torch_kernels
from .arguments import Arguments, Results
from .autocast import are_cast, autocast_dtype, compute_cast, result_dtypes
from .dropout import draw_masks
from .eager import Form, kernel_of, run_eager
from .fallback import option_reason, reason, report, stack_reason
from .gradient import run_reference
from .segments import by_segments, initial_states


def recurrent(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    *,
    dropout: float = 0.0,
    training: bool = False,
    masks: Sequence[Tensor] = (),
    lengths: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    reset: Tensor | None = None,
    initial: Sequence[Tensor] | None = None,
    recurrent_masks: Sequence[Tensor] = (),
    rows: Tensor | None = None,
    seed: int | Tensor | None = None,
    return_states: bool = False,
    bfloat16_products: bool = False,
) -> Results:
    """Run ``stack`` over ``x``.

    The caller has checked shapes, dtypes and devices: the messages are the layers' business. Under autocast dtypes may
    differ.

    Args:
        x: (T, N, I), any strides; or (S, I) with ``batch_sizes``; or (N, I), a single step of one layer in one
            direction, for which the states and all results are (N, .), without the first axis.
        state: one tensor a letter of ``cell.states``, each (L*D, N, ``stack.state_sizes[k]``); None means ``initial``.
        weights: as in torch's ``_flat_weights``: per layer and direction W_ih, W_hh, [b_ih, b_hh,] [W_hr].
        dropout: the probability of dropping an output between layers, in training.
        training: whether this is training.
        masks: dropout's masks, drawn and scaled by the caller: L - 1 tensors shaped like that layer's output. Default:
            drawn here.
        lengths: (N,) int64 on the CPU, any order, zeros allowed: how many steps of each row count. Outputs past a
            row's end are zero, the final state is that of the row's last step, the reverse direction begins there.
        batch_sizes: (T,) int64 on the CPU, non-increasing: x is a PackedSequence's data; state is in packed order.
        reset: (T, N) or (S,) bool: where it is true the state is set back to ``initial`` between the step before and
            this one, in whichever direction that border is crossed. What it says past a row's end doesn't matter.
        initial: the states that a sequence begins with, one a letter, each (L*D, ``stack.state_sizes[k]``); they have
            gradients. None means zeros.
        recurrent_masks: L*D tensors (N, P) that multiply what W_hh reads at every step; none for none.
        rows: (N,) int64: which row of the caller's batch each row is, for zoneout's noise. Default: 0, 1, ...
        seed: of zoneout's noise (see noise.py), 64 bits, signed; None for the expectation.
        return_states: whether the states after all steps are returned too.
        bfloat16_products: whether products of float32 may round what they multiply to bfloat16, as under autocast.

    Returns:
        output (T, N, D*P) or (S, D*P), then one final state a letter, each (L*D, N, ``stack.state_sizes[k]``); then,
        with ``return_states``, one tensor a letter, (L*D, T, N, .) or (L*D, S, .), with zeros past a row's end.
    """
    a = Arguments(
        x,
        state,
        weights,
        stack,
        masks,
        lengths,
        batch_sizes,
        reset,
        initial,
        recurrent_masks,
        rows,
        seed=seed,
        return_states=return_states,
    )
    if torch.onnx.is_in_onnx_export():
        return onnx.run_onnx(a, dropout, training)
    if torch_kernels.are_expanded(a):
        return torch_kernels.run_expanded(a, dropout, training)
    if torch_kernels.serves(a):
        return torch_kernels.run_torch(a, dropout, training)
    target = autocast_dtype(x.device.type) if torch._C._is_any_autocast_enabled() else None
    if target is not None:
        again = partial(_without_autocast, a, dropout, training, target is torch.bfloat16 and are_cast(a))
        targets = result_dtypes(a, target)
        return compute_cast(again, x, state, weights, targets + targets[1:] if return_states else targets)
    if dropout and training and stack.num_layers > 1 and not masks:
        a = a._replace(masks=draw_masks(stack, dropout, x, *x.shape[:-1]))
    served = x.device.type == "cpu" and stack_reason(stack) is None and option_reason(a) is None
    if batch_sizes is not None and torch.compiler.is_compiling():
        return _outside_the_graph(a)
    if served and _is_watched():
        return _step_by_library(a) if batch_sizes is None and x.dim() == 2 else library.run_library(a)
    if torch.compiler.is_compiling():
        return run_reference(a)  # whose operations are written out in the graph
    return _as_it_comes(a, bfloat16_products)


def _is_watched() -> bool:
    """Whether a graph is made, or a transform or a mode of torch's wants to see the operation."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
    )


def _without_autocast(
    a: Arguments,
    dropout: float,
    training: bool,
    bfloat16_products: bool,
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
) -> Results:
    """The same call with its tensors cast."""
    options = a._asdict()
    for name in ("x", "state", "weights", "starts"):
        del options[name]
    return recurrent(
        x, state, weights, dropout=dropout, training=training, bfloat16_products=bfloat16_products, **options
    )


def _step_by_library(a: Arguments) -> Results:
    """A single step: the library's operation takes sequences alone."""
    state = None if a.state is None else [s.unsqueeze(0) for s in a.state]
    results = library.run_library(a._replace(x=a.x.unsqueeze(0), state=state))
    return tuple([r.squeeze(0) for r in results])


def _as_it_comes(a: Arguments, bfloat16_products: bool = False) -> Results:
    why = reason(a.x, a.state, a.weights, a.stack)
    if why is None:
        results = _by_kernels(a, bfloat16_products)
        if results is not None:
            return results
        why = "the kernels don't take such tensors"
    report(why)
    return run_reference(a)


def _by_kernels(a: Arguments, bfloat16_products: bool) -> Results | None:
    if a.reset is not None:
        return by_segments(a, partial(_by_kernels, bfloat16_products=bfloat16_products))
    step = a.batch_sizes is None and a.x.dim() == 2
    if a.initial is not None:
        a = a._replace(state=a.state or initial_states(a), initial=None)
    hx = None if a.state is None else a.state[0] if len(a.state) == 1 else tuple(a.state)
    rows = a.lengths if a.batch_sizes is None else (a.batch_sizes, None, None)
    form = Form.STEP if step else Form.TIME_FIRST
    masks = list(a.masks) or None
    kernel, options = kernel_of(a.stack), a.options
    results = run_eager(kernel, a.stack, form, a.x, hx, list(a.weights), masks, rows, bfloat16_products, options)
    if results is None:
        return None
    if step:
        return results[0], *results
    finals = 1 + len(a.stack.cell.states)
    return *results[:finals], *[passed.unflatten(0, (a.stack.depth, -1)) for passed in results[finals:]]


_outside_the_graph = _disable_dynamo(_as_it_comes)
