"""Autocast: the recurrent operation computes in the weights' dtype, and answers in autocast's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor

Compute = Callable[[Tensor, "Sequence[Tensor] | None", Sequence[Tensor]], tuple[Tensor, ...]]


def autocast_dtype(device_type: str) -> torch.dtype | None:
    """What autocast is on to for this type of device, or None where it is off."""
    if torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type):
        return torch.get_autocast_dtype(device_type)
    return None


def compute_cast(
    compute: Compute, x: Tensor, state: Sequence[Tensor] | None, weights: Sequence[Tensor], target: torch.dtype
) -> tuple[Tensor, ...]:
    """``compute(x, state, weights)`` in the weights' dtype, without autocast, the results cast to ``target``.

    Weights may come in several dtypes here, since a parametrization evaluated under autocast may return its own: they
    are brought to the widest. Like all of autocast, this leaves float64 alone.
    """
    dtype = reduce(torch.promote_types, {w.dtype for w in weights})
    with torch.autocast(x.device.type, enabled=False):
        results = compute(
            x.to(dtype), None if state is None else [s.to(dtype) for s in state], [w.to(dtype) for w in weights]
        )
    return results if dtype == torch.float64 else tuple(r.to(target) for r in results)
