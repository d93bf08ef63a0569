"""The checks of what a layer is called with, beyond those that torch.nn's base class already words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn


def check_module(owner: str, model: Any) -> None:
    """TypeError unless ``model`` is a module: what else it is, and how one comes from that to a module."""
    if isinstance(model, nn.Module):
        return
    told = f"{owner}: Expected model to be a torch.nn.Module, got {type(model).__name__}"
    if isinstance(model, type) and issubclass(model, nn.Module):
        told += f"\nThis is a class, of which a model is made by calling it: {model.__name__}(...)."
    elif isinstance(model, Mapping) and any(isinstance(value, Tensor) for value in model.values()):
        told += "\nA state_dict has the weights alone: make the model, and give it these by model.load_state_dict."
    elif isinstance(model, (str, PathLike)):
        told += (
            "\nA file is read first: statewise.runtime.load runs what statewise.save wrote, torch.load reads torch's."
        )
    raise TypeError(told)


def as_states(owner: str, hx: Any, letters: Sequence[str]) -> tuple[Tensor, ...]:
    """``hx`` as one tensor a state: a tensor where ``letters`` has one letter, a tuple or list of tensors otherwise.

    Raises:
        TypeError: ``hx`` is anything else.
    """
    if len(letters) == 1:
        if not isinstance(hx, Tensor):
            raise TypeError(f"{owner}: Expected hx to be a Tensor, got {_kind(hx)}")
        return (hx,)
    if not isinstance(hx, (tuple, list)) or len(hx) != len(letters) or not all(isinstance(h, Tensor) for h in hx):
        names = ", ".join(f"{letter}_0" for letter in letters)
        raise TypeError(f"{owner}: Expected hx to be a tuple of {len(letters)} tensors ({names}), got {_kind(hx)}")
    return tuple(hx)


def as_layer_states(owner: str, hx: Any, letters: Sequence[str], layers: int) -> tuple[Tensor, ...]:
    """Likewise where there is a tuple or list of ``layers`` tensors in the place of each; the states outermost.

    Raises:
        TypeError: ``hx`` is anything else.
    """
    states = [hx] if len(letters) == 1 else hx
    good = isinstance(states, (tuple, list)) and len(states) == len(letters)
    if not good or not all(_is_row_of(own, layers) for own in states):
        one = f"a tuple of {layers} tensors, one a layer"
        names = ", ".join(f"{letter}_0" for letter in letters)
        expected = one if len(letters) == 1 else f"a tuple of {len(letters)} ({names}), each {one}"
        raise TypeError(f"{owner}: Expected hx to be {expected}, got {_kind(hx)}")
    return tuple([s for own in states for s in own])


def _is_row_of(value: Any, count: int) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == count and all(isinstance(s, Tensor) for s in value)


def as_reset(owner: str, reset: Any, shape: Sequence[int]) -> Tensor:
    """``reset``, a bool tensor of ``shape``, the input's but for its features.

    Raises:
        TypeError: it is none.
        ValueError: its size is another.
    """
    if not isinstance(reset, Tensor) or reset.dtype is not torch.bool:
        got = reset.dtype if isinstance(reset, Tensor) else _kind(reset)
        raise TypeError(f"{owner}: Expected reset to be a tensor of bools, got {got}")
    if reset.shape != tuple(shape):
        size = list(reset.shape)
        raise ValueError(f"{owner}: Expected reset of size {list(shape)}, one for each step of the input, got {size}")
    return reset


def _kind(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__} of ({', '.join(type(v).__name__ for v in value)})"
    return type(value).__name__


def check_state_ranks(states: Sequence[Tensor], rank: int) -> None:
    """RuntimeError unless every state has the ``rank`` (2 or 3) of the input."""
    if all(s.dim() == rank for s in states):
        return
    kind = "batched" if rank == 3 else "unbatched"
    if len(states) == 1:
        got = f"hx should also be {rank}-D but got {states[0].dim()}-D tensor"
    else:
        ranks = ", ".join(f"{s.dim()}-D" for s in states)
        names = "hx and cx" if len(states) == 2 else "all of hx"
        got = f"{names} should also be {rank}-D but got ({ranks}) tensors"
    raise RuntimeError(f"For {kind} {rank}-D input, {got}")


def check_same_place(owner: str, what: str, tensor: Tensor, weight: Tensor, dtype: bool = True) -> None:
    """RuntimeError unless ``tensor`` has the device and, where ``dtype`` says so, the dtype of ``weight``."""
    if tensor.device != weight.device:
        raise RuntimeError(
            f"{owner}: Input and parameter tensors are not at the same device, "
            f"found {what} tensor at {tensor.device} and parameter tensor at {weight.device}"
        )
    if dtype and tensor.dtype is not weight.dtype:
        raise RuntimeError(
            f"{owner} {what} dtype ({tensor.dtype}) does not match weight dtype ({weight.dtype}). "
            f"Convert {what}: {what}.to({weight.dtype}), or convert model: model.to({tensor.dtype})"
        )


def check_batch_sizes(data: Tensor, batch_sizes: Tensor, sorted_indices: Tensor | None) -> None:
    """RuntimeError unless a PackedSequence's parts fit each other."""
    counts = batch_sizes.tolist()
    if any(a < b for a, b in pairwise(counts)) or min(counts, default=0) < 0:
        raise RuntimeError(f"Expected batch_sizes that never increase, got {counts}")
    if sum(counts) != data.size(0):
        raise RuntimeError(
            f"Expected batch_sizes to add up to the {data.size(0)} rows of the packed data, got {sum(counts)}"
        )
    n = counts[0] if counts else 0
    if sorted_indices is not None and sorted_indices.numel() != n:
        raise RuntimeError(f"Expected {n} sorted_indices, one a batch row, got {sorted_indices.numel()}")


def as_lengths(owner: str, lengths: Any, t: int, n: int) -> Tensor:
    """``lengths`` as (N,) int64 on the CPU, each between 0 and ``t``.

    Args:
        owner: the layer's name, for the messages.
        lengths: an integer tensor, list or array.
        t: T, the longest that a row can be.
        n: N.

    Raises:
        TypeError: not integers.
        ValueError: not N of them, or one below 0 or above T.
    """
    steps = _as_tensor(owner, lengths, n)
    if steps.is_floating_point() or steps.is_complex() or steps.dtype == torch.bool:
        raise TypeError(f"{owner}: Expected lengths to be integers, got {steps.dtype}")
    if steps.shape != (n,):
        raise ValueError(f"{owner}: Expected lengths of size ({n},), got {list(steps.shape)}")
    steps = steps.to("cpu", torch.int64)
    if torch.compiler.is_compiling():
        return steps.clamp(0, t)  # a graph can't raise for a value; nor may it read past the end
    if n and not 0 <= int(steps.min()) <= int(steps.max()) <= t:
        bad = next(v for v in steps.tolist() if not 0 <= v <= t)
        raise ValueError(f"{owner}: Expected lengths between 0 and {t}, the input's time steps, got {bad}")
    return steps


def _as_tensor(owner: str, lengths: Any, n: int) -> Tensor:
    if isinstance(lengths, Tensor):
        return lengths
    try:
        return torch.as_tensor(lengths, dtype=None if len(lengths) else torch.int64)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{owner}: Expected lengths to be {n} integers, got {lengths!r:.80}") from None
