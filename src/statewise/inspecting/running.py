"""A module run with what one of its layers reads in hand, and what it gives looked at."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from .recording import Recording


@contextmanager
def scaled(part: nn.Module, calls: Collection[int], share: float) -> Iterator[list[Tensor]]:
    """Within, what ``part`` reads in these calls is so much of what it is given: by calls, with gradients."""
    read, count = list[Tensor](), itertools.count()

    def scale(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = args[0] if args else named["input"]
        if next(count) not in calls:
            return args, named
        data = given.data if isinstance(given, PackedSequence) else given
        read.append((data.detach() * share).requires_grad_())
        new = given._replace(data=read[-1]) if isinstance(given, PackedSequence) else read[-1]
        return ((new, *args[1:]), named) if args else (args, named | {"input": new})

    hook = part.register_forward_pre_hook(scale, with_kwargs=True)
    try:
        yield read
    finally:
        hook.remove()


def over_time(calls: Sequence[Any], recording: Recording, valid: Any) -> Any:
    """What was read in one call or several, in whatever form, as (T, N, I), NaN past the end."""
    found = np.full((*valid.shape, calls[0].shape[-1]), np.nan)
    at = 0
    if recording.packed:
        packed = np.full((*recording.valid.shape, calls[0].shape[-1]), np.nan)
        packed[recording.valid.numpy()] = calls[0]
        return packed if recording.order is None else packed[:, recording.order.numpy()]
    for block in calls:
        block = block[:, None] if block.ndim == 2 else block.swapaxes(0, 1) if recording.batch_first else block
        found[at : at + len(block)] = block
        at += len(block)
    found[~valid] = np.nan
    return found


def first_tensor(result: Any, batch_first: bool) -> Tensor | None:
    """The first tensor of floats in what a model gives."""
    if isinstance(result, PackedSequence):
        return pad_packed_sequence(result, batch_first=batch_first)[0]
    if isinstance(result, Tensor):
        return result if result.is_floating_point() else None
    parts = result.values() if isinstance(result, Mapping) else result if isinstance(result, (tuple, list)) else ()
    return next((found for part in parts if (found := first_tensor(part, batch_first)) is not None), None)
