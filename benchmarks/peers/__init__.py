"""statewise beside other libraries that compute recurrent layers: ``make bench-peers``.

Each library has a module here with two functions: ``version()``, and ``sides(problem)``, which gives the ways in which
its documentation says to compute the problem; the fastest of them is measured. A library that is not installed is left
out. Every result is compared with float64 before it is timed.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

# The name in the table: the module here, and the import that it needs beyond torch.
PEERS = {
    "statewise": ("live", None),
    "statewise, frozen": ("frozen", None),
    "torch.nn": ("torch_nn", None),
    "torch.compile": ("torch_compile", None),
    "onnxruntime": ("onnx_runtime", "onnxruntime"),
    "OpenVINO": ("open_vino", "openvino"),
    "JAX": ("jax_scan", "jax"),
}
OURS = ("statewise", "statewise, frozen")


def installed() -> dict[str, ModuleType]:
    """The modules of the libraries that are here, by name."""
    here = {name: module for name, (module, needs) in PEERS.items() if needs is None or find_spec(needs)}
    return {name: import_module(f"{__name__}.{module}") for name, module in here.items()}


def missing() -> list[str]:
    """The names of those that are not."""
    return [name for name, (_, needs) in PEERS.items() if needs and not find_spec(needs)]
