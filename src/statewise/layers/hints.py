"""What a refused call most likely meant: which axis is read as what, and the change that makes it fit.

The texts of the refusals are torch.nn's; these sentences stand below them. They are found from shapes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

REFUSALS = (AttributeError, TypeError, ValueError, RuntimeError)
Shape = Sequence[int]


def explained(error: Exception, hint: str) -> Exception:
    """An error of the same type, with ``hint`` below its text, and as an attribute, where there is one."""
    if not hint or type(error) not in REFUSALS:
        return error
    told = type(error)(f"{error}\n{hint}").with_traceback(error.__traceback__)
    told.hint = hint  # type: ignore[attr-defined]
    return told


def for_layer(layer: Any, input: Any, hx: Any, lengths: Any) -> str:
    """The sentence for a call of a layer; empty where its shapes don't tell what was meant."""
    if isinstance(input, PackedSequence):
        n = int(input.batch_sizes[0]) if len(input.batch_sizes) else 0
        return _state(layer, hx, n, None)
    if not isinstance(input, Tensor):
        return _no_tensor(input)
    shape, size, rank = tuple(input.shape), layer.input_size, input.dim()
    if not input.is_floating_point():
        return _symbols(shape, size, input.dtype)
    if rank not in (2, 3):
        return _rank(shape, size, layer.batch_first)
    names = ("T", "I") if rank == 2 else ("N", "T", "I") if layer.batch_first else ("T", "N", "I")
    read = f"The input is read as {_axes(names, shape)}"
    if shape[-1] != size:
        return _features(read, shape, size)
    if rank == 2:
        return _unbatched(layer, read, hx)
    t, n = (shape[1], shape[0]) if layer.batch_first else shape[:2]
    other = f"{read}: did you mean batch_first={not layer.batch_first}?"
    if lengths is not None and _count(lengths) == t != n:
        return other
    return _state(layer, hx, n, other if t != n else None, t)


def for_cell(cell: Any, input: Any, hx: Any) -> str:
    """The sentence for a call of a cell; empty where its shapes don't tell what was meant."""
    if not isinstance(input, Tensor):
        return _no_tensor(input)
    shape, size = tuple(input.shape), cell.input_size
    kind = type(cell).__name__
    if not input.is_floating_point():
        return _symbols(shape, size, input.dtype)
    if input.dim() == 3 and shape[-1] == size:
        return (
            f"A cell reads one step, (N, I) or (I,). {_axes(('T', 'N', 'I'), shape)} are {shape[0]} steps: call it "
            f"with input[t] for each t, or use the layer, {kind.removesuffix('Cell')}."
        )
    if input.dim() in (1, 2) and shape[-1] != size:
        return _features(f"The input is read as {_axes(('N', 'I')[2 - len(shape) :], shape)}", shape, size)
    states = [s for s in _tensors(hx) if s.dim() == 3 and s.shape[-1] == cell.hidden_size]
    if input.dim() in (1, 2) and states:
        return (
            f"The state of a cell is (N, H), without the (L*D) in front that a layer's has: one layer's of "
            f"{_axes(('L*D', 'N', 'H'), tuple(states[0].shape))} is h[0]."
        )
    return _one_of_several(cell, hx)


def _axes(names: Sequence[str], shape: Shape) -> str:
    """``(T, N, I) = (10, 3, 26)``."""
    return f"({', '.join(names)}{',' * (len(names) == 1)}) = {tuple(shape)}"


def _no_tensor(input: Any) -> str:
    if hasattr(input, "__array__"):
        return "A layer reads tensors: torch.as_tensor(input, dtype=torch.float32)."
    if isinstance(input, (list, tuple)) and input and all(isinstance(x, Tensor) for x in input):
        return "Sequences of several lengths are read with statewise's lengths=, or as torch's pack_sequence(input)."
    return ""


def _symbols(shape: Shape, size: int, dtype: torch.dtype) -> str:
    """Integers: either numbers of symbols, or measurements that were read as integers."""
    if shape and shape[-1] == size:
        return "Measurements that come as integers: input.float()."
    return (
        f"Numbers of symbols, {dtype}, have no order that a layer could read: torch.nn.Embedding(symbols, {size}) in "
        f"front gives each a vector, torch.nn.functional.one_hot(input, {size}).float() its place among {size}."
    )


def _rank(shape: Shape, size: int, batch_first: bool) -> str:
    layer = "(N, T, I)" if batch_first else "(T, N, I)"
    said = f"A layer reads (T, I), one sequence, or {layer}, several, with I = {size}."
    if len(shape) == 1 and size == 1:
        return f"{said} {shape[0]} steps of one number are input.unsqueeze(-1)."
    if len(shape) == 1 and shape[0] == size:
        return f"{said} One step is input.unsqueeze(0), or what the cell reads."
    if len(shape) == 4 and shape[1] == 1 and shape[-1] == size:
        images = "" if batch_first else " with batch_first=True"
        return f"{said} Images (N, 1, height, width) are read row by row as input.squeeze(1){images}."
    return said


def _features(read: str, shape: Shape, size: int) -> str:
    """The last axis hasn't the input's size: another has, or the features are missing, or in two axes."""
    if size == 1 and len(shape) == 2:
        return f"{read}. A single feature has an axis too: (T, N) or (N, T) numbers are read as input.unsqueeze(-1)."
    axes = [k for k, length in enumerate(shape[:-1]) if length == size]
    if axes:
        at = axes[0]
        return f"{read}. The features belong into the last axis, and axis {at} has {size}: input.movedim({at}, -1)."
    return f"{read}, and the layer was made with input_size={size}."


def _unbatched(layer: Any, read: str, hx: Any) -> str:
    states = [s for s in _tensors(hx) if s.dim() == 3]
    if not states:
        return ""
    n = states[0].shape[1]
    return (
        f"{read}, one sequence without a batch, whose states have no N: h_0[:, 0]"
        + (f", of which h_0 has {n}" if n != 1 else "")
        + f". A batch of one sequence is input.unsqueeze({0 if layer.batch_first else 1})."
    )


def _one_of_several(module: Any, hx: Any) -> str:
    letters = module._stack.cell.states
    if len(letters) == 1 or not isinstance(hx, Tensor):
        return ""
    names = ", ".join(f"{letter}_0" for letter in letters)
    return f"{module._title} has {len(letters)} states: ({names}). Without hx all begin at 0."


def _state(layer: Any, hx: Any, n: int, other: str | None, t: int = -1) -> str:
    """For states that don't fit a batch of ``n`` rows; ``other`` says so if N and T may have been exchanged."""
    if said := _one_of_several(layer, hx):
        return said
    states = _tensors(hx)
    if layer._is_list:  # a tensor a layer, whose refusal names it
        return ""
    depth, sizes = layer._depth, layer._state_sizes
    for s, size in zip(states, sizes * len(states), strict=False):
        shape, wanted = tuple(s.shape), (depth, n, size)
        if shape == wanted:
            continue
        said = f"A state is {_axes(('L*D', 'N', 'H'), wanted)}, whether batch_first or not"
        if shape == (depth, t, size) and other:
            return other
        if shape == (n, depth, size):
            return f"{said}: h_0.transpose(0, 1)."
        if s.dim() == 2 and shape[-1] == size:
            return (
                f"{said}: h_0.unsqueeze(0)."
                if depth == 1 and shape[0] == n
                else f"{said}, one row a layer and direction."
            )
        if s.dim() == 3 and shape[1:] == wanted[1:] and 2 * shape[0] == depth and layer.bidirectional:
            return f"{said}: two of each layer, forward and backward."
        if s.dim() == 3 and shape[::2] == wanted[::2] and shape[1] == 1:
            return f"{said}: the same for all rows is h_0.expand(-1, {n}, -1)."
        return f"{said}."
    return ""


def _tensors(hx: Any) -> list[Tensor]:
    if isinstance(hx, Tensor):
        return [hx]
    return [s for s in hx if isinstance(s, Tensor)] if isinstance(hx, (tuple, list)) else []


def _count(lengths: Any) -> int:
    try:
        return len(lengths)
    except TypeError:
        return -1
