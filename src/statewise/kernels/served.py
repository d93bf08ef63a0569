"""Which cells the kernels compute: statewise's own, and the program's once they are compiled on this machine."""

from __future__ import annotations

import warnings
from functools import lru_cache
from hashlib import sha256

from .. import cells
from ..cells import Cell
from ..stack import Stack
from . import cpu


class FallbackWarning(UserWarning):
    """The slow reference computes, where the kernels don't serve; see ``statewise.warn_on_fallback``."""


@lru_cache(maxsize=1024)
def number_or_reason(cell: Cell, instruction_set: str) -> int | str:
    """The cell's number among the kernels' cells, or why it has none.

    A cell of the program's own is compiled here, once for each machine and version. Warns once of one that can't be.
    """
    if cell in cells.CELLS:
        built_in = cpu.cells()
        return built_in.index(cell.name) if cell.name in built_in else f"cell {cell.name} has no kernel"
    from ..cells.slots import Unsupported
    from .cpu.compile import CompilationError, compile_cell, source_of

    try:
        library = compile_cell(cell, instruction_set)
        number: int = cpu.load_cell(str(library), sha256(source_of(cell).encode()).hexdigest())
        return number
    except (Unsupported, CompilationError, ValueError) as error:  # ValueError: it can't be loaded
        reason = f"cell {cell.name} has no kernel: {error}"
        warnings.warn(f"{reason}. The slow reference computes it", FallbackWarning, stacklevel=2)
        return reason


def cell_number(cell: Cell) -> int | None:
    """The cell's number among the kernels' cells; None if they don't compute it."""
    found = number_or_reason(cell, cpu.instruction_set())
    return found if isinstance(found, int) else None


def cell_reason(cell: Cell) -> str | None:
    """Why the kernels don't compute the cell; None if they do."""
    found = number_or_reason(cell, cpu.instruction_set())
    return found if isinstance(found, str) else None


def as_kernel(stack: Stack) -> cpu.Stack | None:
    """The stack as the kernels know it; None if they don't compute its cell."""
    s, number = stack, cell_number(stack.cell)
    if number is None:
        return None
    heads = s.num_heads if s.cell.heads else 1
    sizes = (s.input_size, s.hidden_size, s.proj_size, s.num_layers, s.directions, s.bias, s.checkpoint, heads)
    return cpu.Stack(number, *sizes, list(s.zoneout), s.clip, s.gradient_clip)
