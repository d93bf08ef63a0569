"""``accelerate``: statewise's modules in the places of torch.nn's, inside a model that others wrote; ``restore``: back.

No arithmetic and no copying: a new module takes over the old one's dictionary, that is its very parameters, hooks and
attributes. The file isn't called as the function is, because importing it would hide the function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations

from . import layers
from .layers.checks import check_module
from .layers.frozen import Frozen


class _Stand:
    """What the classes below share: they print as the class whose place they take."""

    def _get_name(self) -> str:
        return type(self).__name__.replace("Accelerated", "")


class AcceleratedRNN(_Stand, layers.RNN, nn.RNN):
    """``statewise.RNN`` that is an instance of ``torch.nn.RNN`` too."""


class AcceleratedLSTM(_Stand, layers.LSTM, nn.LSTM):
    """``statewise.LSTM`` that is an instance of ``torch.nn.LSTM`` too."""


class AcceleratedGRU(_Stand, layers.GRU, nn.GRU):
    """``statewise.GRU`` that is an instance of ``torch.nn.GRU`` too."""


class AcceleratedRNNCell(_Stand, layers.RNNCell, nn.RNNCell):
    """``statewise.RNNCell`` that is an instance of ``torch.nn.RNNCell`` too."""


class AcceleratedLSTMCell(_Stand, layers.LSTMCell, nn.LSTMCell):
    """``statewise.LSTMCell`` that is an instance of ``torch.nn.LSTMCell`` too."""


class AcceleratedGRUCell(_Stand, layers.GRUCell, nn.GRUCell):
    """``statewise.GRUCell`` that is an instance of ``torch.nn.GRUCell`` too."""


_STANDS: dict[type, type] = {
    nn.RNN: AcceleratedRNN,
    nn.LSTM: AcceleratedLSTM,
    nn.GRU: AcceleratedGRU,
    nn.RNNCell: AcceleratedRNNCell,
    nn.LSTMCell: AcceleratedLSTMCell,
    nn.GRUCell: AcceleratedGRUCell,
}
_PLAIN: dict[type, type] = {
    nn.RNN: layers.RNN,
    nn.LSTM: layers.LSTM,
    nn.GRU: layers.GRU,
    nn.RNNCell: layers.RNNCell,
    nn.LSTMCell: layers.LSTMCell,
    nn.GRUCell: layers.GRUCell,
}


_THEIRS = {ours: theirs for table in (_STANDS, _PLAIN) for theirs, ours in table.items()}


def accelerate(model: nn.Module, *, compile: bool = False) -> nn.Module:
    """Put statewise's modules in the places of torch.nn's recurrent ones, anywhere inside ``model``.

    Swapped are the modules whose type is exactly ``torch.nn.RNN``, ``LSTM``, ``GRU``, ``RNNCell``, ``LSTMCell`` or
    ``GRUCell``, parametrized ones (``torch.nn.utils.parametrize``) included. The new module has the same Parameter
    objects, so an optimizer goes on working, and the same hooks (their handles still remove them), parametrizations,
    buffers, training mode and other attributes. A module that is used in several places is swapped once, for the same
    new one everywhere.

    Left alone are subclasses of those types and modules with a ``forward`` of their own, since what they compute is
    theirs; whatever is compiled by TorchScript; and what is accelerated already, so that calling this twice is calling
    it once. References to the old modules outside of the module tree (a list, a closure) aren't found; the old modules
    keep working and share the parameters.

    Call it before wrapping the model (DistributedDataParallel, ``torch.compile``).

    Args:
        model: any module; its tree is changed in place.
        compile: use the plain classes, which torch.compile accepts but which are no instances of torch.nn's. Default:
            False, classes that derive from both, so that ``isinstance(m, torch.nn.LSTM)`` in other people's code stays
            true (and torch.compile falls back to Python for them, as it does for torch.nn's).

    Returns:
        ``model`` itself, or a new module if ``model`` is itself one of those to swap.

    Raises:
        TypeError: ``model`` is no ``torch.nn.Module``.
    """
    check_module("accelerate", model)
    return _swap_in(model, _PLAIN if compile else _STANDS, lambda old: old.__dict__)


def restore(model: nn.Module) -> nn.Module:
    """The inverse of ``accelerate``: put torch.nn's modules in the places of statewise's, anywhere inside ``model``.

    For tools that know torch.nn's classes alone: torch.jit.script, quantize_dynamic, a program without statewise. The
    new modules have the same Parameter objects, hooks, parametrizations, buffers, training mode and other attributes,
    as with ``accelerate``; layers that were statewise's from the start are replaced too. ``checkpoint`` is forgotten.
    Subclasses and modules with a ``forward`` of their own are left alone.

    Args:
        model: any module; its tree is changed in place.

    Returns:
        ``model`` itself, or a new module if ``model`` is itself one of those to swap.

    Raises:
        TypeError: ``model`` is no ``torch.nn.Module``.
        ValueError: torch.nn has no such layer: an RNN or GRU with ``proj_size``, one with options that torch.nn has
            not, a frozen layer. Nothing is changed.
    """
    check_module("restore", model)
    for name, module in model.named_modules():
        kind = _unknown_to_torch(module)
        if kind is not None:
            raise ValueError(f"restore: Expected layers that torch.nn has, got {kind} {name or 'model'}: {module}")
    return _swap_in(model, _THEIRS, _state_for_theirs)


def _unknown_to_torch(module: nn.Module) -> str | None:
    """What kind of layer this is that torch.nn has not; None if it has, or nobody would put it in this one's place."""
    if isinstance(module, Frozen):
        return "a frozen"
    if not isinstance(module, layers.RecurrentLayer) or isinstance(module, layers.Recurrent):
        return None
    if module._is_extended or module.activation is not None:
        return "an extended"
    return "an RNN or GRU with proj_size" if module.proj_size and not isinstance(module, layers.LSTM) else None


def _state_for_theirs(module: nn.Module) -> dict[str, Any]:
    """What torch.nn keeps too of a module of ours."""
    ours = type_before_parametrizations(module)
    kept = vars(_THEIRS[ours](1, 1, device="meta")).keys()
    added = vars(ours(1, 1, device="meta")).keys() - kept
    state = {name: value for name, value in vars(module).items() if name not in added}
    return state | {name: getattr(module, name) for name in kept - state.keys()}  # what our class says for all of it


def _swap_in(model: nn.Module, classes: dict[type, type], state: Callable[[nn.Module], dict[str, Any]]) -> nn.Module:
    """``model`` with every module that ``classes`` has another for swapped for that, which gets ``state`` of it."""

    def is_to_swap(module: nn.Module) -> bool:
        return type_before_parametrizations(module) in classes and "forward" not in module.__dict__

    if is_to_swap(model):
        return _swap(model, classes, state(model))
    swapped: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None and is_to_swap(child):
                if child not in swapped:
                    swapped[child] = _swap(child, classes, state(child))
                parent._modules[name] = swapped[child]
    return model


def _swap(old: nn.Module, classes: dict[type, type], state: dict[str, Any]) -> nn.Module:
    """A module of the class that ``classes`` has for ``old``, with ``state``."""
    cls: Any = classes[type_before_parametrizations(old)]
    if is_parametrized(old):
        # Parametrizing made a class for this one module, which holds its parametrized tensors as properties.
        own = {
            k: v for k, v in vars(type(old)).items() if k not in ("__dict__", "__weakref__", "__module__", "__doc__")
        }
        cls = type(type(old).__name__, (cls,), own)
    new: nn.Module = cls.__new__(cls)
    new.__setstate__(state)
    if isinstance(new, nn.RNNBase):
        new._init_flat_weights()  # torch.nn's layers compute with these
    return new
