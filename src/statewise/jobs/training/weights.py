"""Weights between numpy, in which models keep them, and torch, which trains them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..artifacts.model_file import Arrays

Module = TypeVar("Module", bound=nn.Module)


BFLOAT16 = ":bfloat16"  # what a name ends with of what numpy hasn't got


def as_arrays(tensors: Mapping[str, Tensor]) -> Arrays:
    """``tensors`` as arrays, which share their memory where that is the CPU's."""
    found: Arrays = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        if plain.dtype == torch.bfloat16:
            name, plain = name + BFLOAT16, plain.view(torch.int16)
        found[name] = plain.numpy()
    return found


def as_tensors(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """``arrays`` as tensors with a memory of their own."""
    plain = {
        name: array if isinstance(array, Tensor) else torch.from_numpy(np.array(array))
        for name, array in arrays.items()
    }
    return {
        name.removesuffix(BFLOAT16): tensor.view(torch.bfloat16) if name.endswith(BFLOAT16) else tensor
        for name, tensor in plain.items()
    }


def arrays_of(network: nn.Module) -> Arrays:
    """The weights of ``network`` as a model keeps them."""
    return as_arrays(network.state_dict())


def filled(make: Callable[[], Module], arrays: Mapping[str, Any]) -> Module:
    """The module that ``make`` makes, with the weights ``arrays``, in evaluation mode.

    ValueError where they are not its own. That is found out before it is made, on a device that has no memory. How
    often ``make`` loops must be known to be right before.
    """
    tensors = as_tensors(arrays)
    with without_memory():
        try:
            expected = make().state_dict()
        except RuntimeError as error:  # torch can't count that many bytes
            raise ValueError("expected weights that a memory can hold, got larger ones") from error
    check_sizes(expected, tensors)
    module = make()
    module.load_state_dict(tensors)
    return module.eval()


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are made have sizes and types, but no weights. Sizes of 0 make torch warn; they fit no file."""
    with torch.device("meta"), _Undrawn(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Undrawn(TorchFunctionMode):
    """Draws no normal numbers: for what has no memory torch would import 800 modules to do so, sympy among them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (nn.init.normal_, Tensor.normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def check_sizes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """ValueError where ``found`` has not the names, sizes and types of ``expected``."""
    if other := sorted(set(expected) ^ set(found)):
        raise ValueError(f"{'no weights' if other[0] in expected else 'weights that belong to nothing'}: {other[0]!r}")
    for name, tensor in expected.items():
        ours, theirs = (tuple(t.shape) for t in (tensor, found[name]))
        if ours != theirs:
            raise ValueError(f"expected {name} of size {ours}, got {theirs}")
        if tensor.dtype != found[name].dtype:
            raise ValueError(f"expected {name} as {tensor.dtype}, got {found[name].dtype}")
