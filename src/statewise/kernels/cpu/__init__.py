"""The CPU: C++ that knows neither torch nor numpy, one copy for each instruction set. See README.md.

``bindings/`` has the Python module, which reads and makes torch's tensors. Private: ``statewise.ops`` is the interface.
"""

from __future__ import annotations

from ._kernels import (
    Form,
    PackedStack,
    Record,
    Stack,
    Stored,
    cells,
    computes_bfloat16,
    connect,
    disconnect,
    instruction_set,
    instruction_sets,
    load_cell,
    nanoseconds_in_kernels,
    thread_runtime,
    use_instruction_set,
)

__all__ = [
    "Form",
    "PackedStack",
    "Record",
    "Stack",
    "Stored",
    "cells",
    "computes_bfloat16",
    "connect",
    "disconnect",
    "instruction_set",
    "instruction_sets",
    "load_cell",
    "nanoseconds_in_kernels",
    "thread_runtime",
    "use_instruction_set",
]
