"""The gradient of what the kernels have computed where they don't serve: the reference, differentiated by torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor

from .. import reference
from ..kernels.cpu import Form, Record
from ..stack import Stack
from .arguments import Arguments, Options, Results, one_step, permuted, time_first
from .fallback import report, transform_reason

Incoming = Sequence[Tensor | None]  # the results' gradients; None means zeros
Gradients = list[Tensor | None]  # of x, of each state, of each weight; None where it isn't needed


def run_reference(a: Arguments) -> Results:
    """The reference on ``a``."""
    options = a._asdict()
    x, state, weights, stack = (options.pop(name) for name in ("x", "state", "weights", "stack"))
    return reference.recurrent(x, state, weights, stack, **options)


def by_reference(a: Arguments, incoming: Incoming, needs: Sequence[bool]) -> Gradients:
    """The gradients of ``a.inputs``, differentiable again where torch records."""
    states = 1 + len(a.state or ())
    weights = states + len(a.weights)

    def run(inputs: list[Tensor]) -> Results:
        state, initial = inputs[1:states] or None, inputs[weights:] or None
        return run_reference(a._replace(x=inputs[0], state=state, weights=inputs[states:weights], initial=initial))

    return differentiate(run, a.inputs, incoming, needs)


def eager_by_reference(
    record: Record,
    stack: Stack,
    kept: Sequence[Any],
    incoming: Incoming,
    needs: Sequence[bool],
    options: Options | None,
) -> Gradients:
    """Likewise of an eager call, from what was kept for its backward, in the caller's axes."""
    report(reason(incoming) or "a tensor kept for backward is no plain one")
    inputs, masks, rows = _parts(record, kept)
    lengths = rows[0] if len(rows) == 1 else None
    batch_sizes, sorted_indices, unsorted_indices = rows if len(rows) == 3 else (None, None, None)
    states = 1 + record.states
    more: dict[str, Any] = {} if options is None else options._asdict()

    def run(inputs: list[Tensor]) -> Results:
        x = inputs[0]
        state: Sequence[Tensor] | None = inputs[1:states] or None
        if record.form is Form.STEP:
            x, state, back = one_step(x, state)
            return back(run_reference(Arguments(x, state, inputs[states:], stack, **more))[1:])
        if batch_sizes is None:
            x, state, back = time_first(record.form, x, state)
            results = back(run_reference(Arguments(x, state, inputs[states:], stack, masks, lengths, **more)))
        else:
            state = None if state is None else permuted(state, sorted_indices)
            a = Arguments(x, state, inputs[states:], stack, masks, None, batch_sizes, **more)
            output, *final = run_reference(a)
            results = output, *permuted(final, unsorted_indices)
        finals = 1 + len(stack.cell.states)  # those of all steps as the kernels give them
        return *results[:finals], *[passed.flatten(0, 1) for passed in results[finals:]]

    return differentiate(run, inputs, incoming, needs)


def _parts(record: Record, kept: Sequence[Any]) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Any]]:
    """Of what was kept x, states and weights; the masks; and what tells how the rows are long."""
    rows = len(kept) - record.rows
    masks = rows - record.masks
    return kept[: masks - 1 - record.outputs], kept[masks:rows], kept[rows:]


def differentiate(
    run: Callable[[list[Tensor]], Results], inputs: Sequence[Tensor], incoming: Incoming, needs: Sequence[bool]
) -> Gradients:
    """The gradients of ``inputs`` by torch's differentiation of ``run``, differentiable again where torch records."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # A view of each: an input that depends on another (h_0 computed from x) keeps its gradient apart.
        leaves = [
            t.view_as(t) if t.requires_grad else t.detach().requires_grad_() if needed else t.detach()
            for t, needed in zip(inputs, needs, strict=True)
        ]
        results = run(leaves)
        pairs = [(r, g) for r, g in zip(results, incoming, strict=True) if g is not None and r.requires_grad]
        wanted = [t for t, needed in zip(leaves, needs, strict=True) if needed]
        if pairs and wanted:
            outputs, grads = zip(*pairs, strict=True)
            found = iter(torch.autograd.grad(outputs, wanted, grads, create_graph=again, materialize_grads=True))
        else:
            found = iter([torch.zeros_like(t) for t in wanted])
    return [next(found) if needed else None for needed in needs]


def reason(incoming: Incoming) -> str | None:
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
