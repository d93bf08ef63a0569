"""The CPU: C++ that knows neither torch nor numpy, one copy for each instruction set. See README.md.

Private: ``statewise.ops`` checks what it passes here, and addresses are passed unchecked.
"""

from __future__ import annotations

from ._kernels import (
    Frozen,
    backward,
    backward_tensors,
    cells,
    connect,
    disconnect,
    forward,
    forward_packed,
    forward_tensors,
    instruction_set,
    instruction_sets,
    nanoseconds_in_kernels,
    pack,
    packed_bytes,
    tape_bytes,
    thread_runtime,
    use_instruction_set,
)

__all__ = [
    "Frozen",
    "backward",
    "backward_tensors",
    "cells",
    "connect",
    "disconnect",
    "forward",
    "forward_packed",
    "forward_tensors",
    "instruction_set",
    "instruction_sets",
    "nanoseconds_in_kernels",
    "pack",
    "packed_bytes",
    "tape_bytes",
    "thread_runtime",
    "use_instruction_set",
]
