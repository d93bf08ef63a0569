"""``freeze``: a copy of a model for inference, whose recurrent layers keep their weights packed from call to call.

The file isn't called as the function is, because importing it would hide the function.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from . import layers, narrowing, swap
from .layers.checks import check_module
from .layers.frozen import Frozen, FrozenCell, FrozenLayer


class FrozenRNN(FrozenLayer, layers.RNN):
    """A frozen ``statewise.RNN``."""


class FrozenLSTM(FrozenLayer, layers.LSTM):
    """A frozen ``statewise.LSTM``."""


class FrozenGRU(FrozenLayer, layers.GRU):
    """A frozen ``statewise.GRU``."""


class FrozenRNNCell(FrozenCell, layers.RNNCell):
    """A frozen ``statewise.RNNCell``."""


class FrozenLSTMCell(FrozenCell, layers.LSTMCell):
    """A frozen ``statewise.LSTMCell``."""


class FrozenGRUCell(FrozenCell, layers.GRUCell):
    """A frozen ``statewise.GRUCell``."""


class FrozenRecurrent(FrozenLayer, layers.Recurrent):
    """A frozen ``statewise.Recurrent``."""


class FrozenRecurrentCell(FrozenCell, layers.RecurrentCell):
    """A frozen ``statewise.RecurrentCell``."""


class FrozenAcceleratedRNN(FrozenLayer, swap.AcceleratedRNN):
    """A frozen ``torch.nn.RNN``, and an instance of it."""


class FrozenAcceleratedLSTM(FrozenLayer, swap.AcceleratedLSTM):
    """A frozen ``torch.nn.LSTM``, and an instance of it."""


class FrozenAcceleratedGRU(FrozenLayer, swap.AcceleratedGRU):
    """A frozen ``torch.nn.GRU``, and an instance of it."""


class FrozenAcceleratedRNNCell(FrozenCell, swap.AcceleratedRNNCell):
    """A frozen ``torch.nn.RNNCell``, and an instance of it."""


class FrozenAcceleratedLSTMCell(FrozenCell, swap.AcceleratedLSTMCell):
    """A frozen ``torch.nn.LSTMCell``, and an instance of it."""


class FrozenAcceleratedGRUCell(FrozenCell, swap.AcceleratedGRUCell):
    """A frozen ``torch.nn.GRUCell``, and an instance of it."""


_FROZEN: dict[type, type[Frozen]] = {
    layers.RNN: FrozenRNN,
    layers.LSTM: FrozenLSTM,
    layers.GRU: FrozenGRU,
    layers.RNNCell: FrozenRNNCell,
    layers.LSTMCell: FrozenLSTMCell,
    layers.GRUCell: FrozenGRUCell,
    layers.Recurrent: FrozenRecurrent,
    layers.RecurrentCell: FrozenRecurrentCell,
    swap.AcceleratedRNN: FrozenAcceleratedRNN,
    swap.AcceleratedLSTM: FrozenAcceleratedLSTM,
    swap.AcceleratedGRU: FrozenAcceleratedGRU,
    swap.AcceleratedRNNCell: FrozenAcceleratedRNNCell,
    swap.AcceleratedLSTMCell: FrozenAcceleratedLSTMCell,
    swap.AcceleratedGRUCell: FrozenAcceleratedGRUCell,
    nn.RNN: FrozenAcceleratedRNN,
    nn.LSTM: FrozenAcceleratedLSTM,
    nn.GRU: FrozenAcceleratedGRU,
    nn.RNNCell: FrozenAcceleratedRNNCell,
    nn.LSTMCell: FrozenAcceleratedLSTMCell,
    nn.GRUCell: FrozenAcceleratedGRUCell,
}
# What of a module's dictionary a frozen one gets anew; backward's hooks are of no use there.
_MADE_ANEW = frozenset(
    {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_flat_weights", "_flat_weight_refs"}
    | {"_compiled_call_impl", "_backward_hooks", "_backward_pre_hooks", "_is_full_backward_hook"}
)
_CELL_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
# torch's hooks that compute a weight from others before each call.
_WEIGHT_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)


def freeze(model: nn.Module, *, dtype: torch.dtype | str | None = None) -> Any:
    """A copy of a layer, a cell or a whole model for inference alone, which computes the same but sooner.

    A frozen layer packs its weights once, in the order in which the kernels read them, and not in every call; and a
    plain call (tensors on the CPU, of the weights' dtype) is checked and made outside of Python, where torch is new
    enough to show its tensors to C++. It counts where a call has few steps: a stream, a game, a controller. Everything
    else a frozen layer does as the layer does, in the same words where something is wrong: ``lengths=``, packed
    sequences, autocast, ``torch.compile``, CUDA. Its results are those of the layer in eval mode, to the last bit
    unless all rows together have fewer than four steps, which the layer sums in another order.

    The copy is deep and in eval mode, and no parameter in it requires a gradient. Every RNN, LSTM, GRU and cell in it,
    statewise's or torch.nn's, is a frozen one, a module used in several places the same one everywhere. Weights are
    taken as they evaluate now: parametrizations, weight norms and pruning are resolved. Forward hooks are kept, and
    cost what they cost. Subclasses of the layers are copied as they are, since what they compute is theirs.

    A frozen layer is a module. Its weights are buffers with the layer's names, so a ``state_dict`` goes both ways.
    ``load_state_dict``, ``.to()``, copying and unpickling pack anew, for the machine that they happen on. The
    next call after torch changed a weight in place packs anew too; what writes past torch (``.data``, numpy) isn't
    seen. Several threads may call a frozen module at once.

    With ``dtype=torch.int8`` or ``torch.bfloat16`` the matrices among the weights are packed in fewer bits, so that a
    step reads a quarter or half of the memory. It counts where there is much of it: steps of few rows, of layers whose
    weights exceed the second-level cache. ``torch.int8`` rounds each row of a matrix to 127 steps up and down of its
    own, and what is multiplied with it, at each step, to 16 bits relative to the row's largest. Biases and states stay
    float32. The buffers are float32 too, and rounded, so that wherever the kernels don't compute the weights are the
    same. ``statewise.save`` writes small files of the same weights. docs/performance.md has sizes, errors and times.

    Args:
        model: any module with such layers in it. It stays as it is and shares no memory with the copy.
        dtype: what the layers' matrices are packed in: ``torch.int8``, ``torch.bfloat16``, or their names. Default:
            their own, as computed.

    Returns:
        The frozen copy. ``train()`` on it raises RuntimeError, and so does a frozen layer that is called with an input
        or a state that requires a gradient, unless under ``torch.no_grad()``.

    Raises:
        TypeError: ``model`` is no ``torch.nn.Module``.
        ValueError: there is nothing to freeze in it; or ``dtype`` is none of these, or is given for weights that aren't
            float32.

    Example:
        >>> lstm = statewise.LSTM(3, 64)
        >>> frozen, state = statewise.freeze(lstm), None
        >>> for x in torch.randn(100, 1, 1, 3):  # one row, one step at a time
        ...     y, state = frozen(x, state)
    """
    check_module("freeze", model)
    kept = narrowing.name_of(dtype, "freeze")
    found = [m for m in model.modules() if type_before_parametrizations(m) in _FROZEN and "forward" not in vars(m)]
    if not found and not any(isinstance(m, Frozen) for m in model.modules()):
        raise ValueError(f"freeze: Expected a model with an RNN, LSTM, GRU or cell in it, got {type(model).__name__}")
    # The copy is made around these: whoever refers to a layer will refer to its frozen one.
    memo: dict[int, Any] = {}
    for module in found:
        cls = _FROZEN[type_before_parametrizations(module)]
        memo[id(module)] = cls.__new__(cls)
    frozen = copy.deepcopy(model, memo)
    for module in found:
        memo[id(module)].__setstate__(_frozen_state(module, memo))
    for module in frozen.modules():
        if kept is not None and isinstance(module, Frozen):
            if (own := module._buffered_weights()[0].dtype) is not torch.float32:
                raise ValueError(f"freeze: Expected weights of float32 for dtype={dtype}, got {own}")
            module._keep_in(kept)
    return frozen.requires_grad_(False).eval()


def _frozen_state(module: nn.Module, memo: dict[int, Any]) -> dict[str, Any]:
    """What of ``module`` its frozen counterpart keeps; ``memo`` knows the copies of all that is in the model."""
    names = _weight_names(module)
    hooks = {k: h for k, h in module._forward_pre_hooks.items() if not isinstance(h, _WEIGHT_HOOKS)}
    state = {k: v for k, v in vars(module).items() if k not in _MADE_ANEW and k not in names}
    state["_forward_pre_hooks"] = type(module._forward_pre_hooks)(hooks)
    state = {k: copy.deepcopy(v, memo) for k, v in state.items()}
    state |= {k: v for k, v in vars(nn.Module()).items() if k in _MADE_ANEW}
    if isinstance(module, nn.RNNBase):
        state["_flat_weights"] = []  # which RNNBase looks for; filled when the state is set
    with torch.no_grad():
        state["_buffers"] = {name: _evaluated(module, name) for name in names}
    return state | {"training": False}


def _weight_names(module: nn.Module) -> list[str]:
    if isinstance(module, layers.RecurrentLayer):
        return [*module._flat_weights_names, *module._extra_shapes()]
    if isinstance(module, nn.RNNBase):
        return list(module._flat_weights_names)
    if isinstance(module, layers.SingleStep):
        return list(module._names)
    return list(_CELL_WEIGHTS if module.bias else _CELL_WEIGHTS[:2])


def _evaluated(module: nn.Module, name: str) -> Tensor:
    """A copy of the weight as the next call in eval mode would see it. ``module`` isn't touched, not even its noise."""
    value: Tensor = getattr(module, name) if not is_parametrized(module, name) else _unparametrized(module, name)
    for hook in module._forward_pre_hooks.values():
        if getattr(hook, "name", getattr(hook, "_tensor_name", None)) != name:
            continue
        if isinstance(hook, WeightNorm):
            value = hook.compute_weight(module)
        elif isinstance(hook, SpectralNorm):
            value = hook.compute_weight(module, do_power_iteration=False)
        elif isinstance(hook, BasePruningMethod):
            value = hook.apply_mask(module)
    return value.detach().clone(memory_format=torch.contiguous_format)


def _unparametrized(module: nn.Module, name: str) -> Tensor:
    # In a copy, since some parametrizations (spectral norm) change while they are evaluated in training mode.
    parametrizations = module.parametrizations
    assert isinstance(parametrizations, nn.ModuleDict)
    value: Tensor = copy.deepcopy(parametrizations[name]).eval()()
    return value
