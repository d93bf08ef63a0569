"""Autocast: the recurrent operation computes on the weights' dtype, and answers in the dtypes that torch.nn's does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor

from .arguments import Arguments

_CAST = frozenset({torch.float32, torch.bfloat16})

Compute = Callable[[Tensor, "Sequence[Tensor] | None", Sequence[Tensor]], tuple[Tensor, ...]]


def autocast_dtype(device_type: str) -> torch.dtype | None:
    """What autocast is on to for this type of device, or None where it is off."""
    if torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type):
        return torch.get_autocast_dtype(device_type)
    return None


def are_cast(a: Arguments) -> bool:
    """Whether all tensors are of the dtypes that torch.nn takes under autocast to bfloat16, and not of float16."""
    return all(t.dtype in _CAST for t in a.inputs)


def result_dtypes(a: Arguments, target: torch.dtype) -> list[torch.dtype]:
    """What torch.nn's output and final states are under autocast: ``target``, but where the state that came goes on.

    A product's result is in autocast's dtype, and so is what an activation makes of it. Where the state before enters
    beside it (the GRU's h, c of the LSTM in torch's plain operations), the wider of the two dtypes remains.
    """
    cell, states = a.stack.cell.name, len(a.stack.cell.states)
    results = [target] * (1 + states)
    if not are_cast(a):
        return results
    kept = torch.promote_types(target, a.x.dtype if a.state is None else a.state[-1].dtype)
    step = a.batch_sizes is None and a.x.dim() == 2
    if cell == "gru" or (cell == "lstm" and step):
        return [kept] * (1 + states)
    if cell == "lstm" and a.stack.proj_size:
        results[-1] = kept
    return results


def compute_cast(
    compute: Compute,
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    targets: Sequence[torch.dtype],
) -> tuple[Tensor, ...]:
    """``compute(x, state, weights)`` in the weights' dtype, without autocast, each result cast to its target.

    Weights may come in several dtypes here, since a parametrization evaluated under autocast may return its own: they
    are brought to the widest. Like all of autocast, this leaves float64 alone.
    """
    dtype = reduce(torch.promote_types, {w.dtype for w in weights})
    with torch.autocast(x.device.type, enabled=False):
        results = compute(
            x.to(dtype), None if state is None else [s.to(dtype) for s in state], [w.to(dtype) for w in weights]
        )
    if dtype == torch.float64:
        return results
    return tuple(r.to(target) for r, target in zip(results, targets, strict=True))
