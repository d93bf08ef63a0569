"""statewise: recurrent networks for PyTorch, with torch.nn's contract on kernels of their own.

The public names are imported on first use (PEP 562), so that ``import statewise`` loads neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .cells import Cell, Vector
    from .explaining.explain import explain
    from .freezing import freeze
    from .inspecting.inspect import inspect
    from .layers import GRU, LSTM, RNN, GRUCell, LSTMCell, Recurrent, RecurrentCell, RNNCell, detach
    from .onnx.exporting import to_onnx
    from .onnx.importing import from_onnx
    from .ops.config import show_config, warn_on_fallback
    from .saving import save
    from .swap import accelerate, restore
    from .weights import read_weights
    from .weights.layers import load_weights

# No submodule may be called as a public name is: importing it would put the module in that name's place.
_HOMES = {
    "RNN": ".layers",
    "LSTM": ".layers",
    "GRU": ".layers",
    "RNNCell": ".layers",
    "LSTMCell": ".layers",
    "GRUCell": ".layers",
    "Recurrent": ".layers",
    "RecurrentCell": ".layers",
    "Cell": ".cells",
    "Vector": ".cells",
    "accelerate": ".swap",
    "detach": ".layers",
    "explain": ".explaining.explain",
    "freeze": ".freezing",
    "from_onnx": ".onnx.importing",
    "inspect": ".inspecting.inspect",
    "load_weights": ".weights.layers",
    "read_weights": ".weights",
    "restore": ".swap",
    "save": ".saving",
    "show_config": ".ops.config",
    "to_onnx": ".onnx.exporting",
    "warn_on_fallback": ".ops.config",
}

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Cell",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "Recurrent",
    "RecurrentCell",
    "Vector",
    "__version__",
    "accelerate",
    "detach",
    "explain",
    "freeze",
    "from_onnx",
    "inspect",
    "load_weights",
    "read_weights",
    "restore",
    "save",
    "show_config",
    "to_onnx",
    "warn_on_fallback",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value  # the next look-up doesn't come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
