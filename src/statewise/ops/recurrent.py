"""The recurrent operation: a whole stack of layers in one call, on the kernels where they serve, else the reference.

Three doors lead to the same kernels: plain tensors (eager.py), torch.func's transforms (the reference, which they can
transform) and compilers (library.py). Which one a call takes is decided here, and nowhere else. What is plainest of all
never comes here: layers try plain.py first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from .. import reference
from ..stack import Stack
from . import eager, library
from .fallback import SERVED_CELLS, reason, report
from .gradient import Arguments


def recurrent(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    *,
    masks: Sequence[Tensor] = (),
    lengths: Tensor | None = None,
    batch_sizes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Run ``stack`` over ``x``.

    The caller has checked shapes, dtypes and devices: the messages are the layers' business.

    Args:
        x: (T, N, I), any strides; or (S, I) with ``batch_sizes``; or (N, I), a single step of one layer in one
            direction, for which the states and all results are (N, .), without the first axis.
        state: one tensor a letter of ``cell.states``, each (L*D, N, ``stack.state_sizes[k]``); None means zeros.
        weights: as in torch's ``_flat_weights``: per layer and direction W_ih, W_hh, [b_ih, b_hh,] [W_hr].
        masks: dropout between layers, drawn and scaled by the caller: L - 1 tensors shaped like that layer's output, or
            none.
        lengths: (N,) int64 on the CPU, any order, zeros allowed: how many steps of each row count. Outputs past a
            row's end are zero, the final state is that of the row's last step, the reverse direction begins there.
        batch_sizes: (T,) int64 on the CPU, non-increasing: x is a PackedSequence's data; state is in packed order.

    Returns:
        output (T, N, D*P) or (S, D*P), then one final state a letter, each (L*D, N, ``stack.state_sizes[k]``).
    """
    a = Arguments(x, state, weights, stack, masks, lengths, batch_sizes)
    graph = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
    if graph and x.device.type == "cpu" and stack.cell.name in SERVED_CELLS:
        if batch_sizes is not None:
            return _outside_the_graph(a)
        return library.recurrent(a) if x.dim() == 3 else _step(a)
    return _as_it_comes(a)


def _step(a: Arguments) -> tuple[Tensor, ...]:
    """A single step in a graph: there the operation takes sequences alone."""
    state = None if a.state is None else [s.unsqueeze(0) for s in a.state]
    results = library.recurrent(a._replace(x=a.x.unsqueeze(0), state=state))
    return tuple([r.squeeze(0) for r in results])


def _as_it_comes(a: Arguments) -> tuple[Tensor, ...]:
    why = reason(a.x, a.state, a.weights, a.stack)
    if why is None:
        return eager.recurrent(a)
    report(why)
    return reference.recurrent(
        a.x, a.state, a.weights, a.stack, masks=a.masks, lengths=a.lengths, batch_sizes=a.batch_sizes
    )


_outside_the_graph = _disable_dynamo(_as_it_comes)
