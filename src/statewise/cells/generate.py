"""Write the kernels' part of every cell: ``python -m statewise.cells.generate FOLDER``, which the build calls.

``generated_cells.hpp`` has a functor for each cell, ``generated_cells.def`` a line ``STATEWISE_CELL(type)``, and
``generated_names.def`` a line ``STATEWISE_NAMES(cell, its states, its weights)``, as files of networks call them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from . import CELLS, Cell
from .printer import struct_of, type_of
from .slots import Unsupported

OPENING = "namespace statewise {\nnamespace STATEWISE_NS {\nnamespace {\n"
CLOSING = "}  // namespace\n}  // namespace STATEWISE_NS\n}  // namespace statewise\n"


def sources(cells: Iterable[Cell]) -> dict[str, str]:
    """The files' contents by their names. Cells that the kernels can't serve are left out."""
    structs: dict[str, str] = {}
    names: list[str] = []
    for cell in cells:
        name = type_of(cell)
        if name in structs:
            raise ValueError(f"the names of two cells come to {name}: give {cell.name} another one")
        try:
            structs[name] = struct_of(cell)
            weights = [weight.name for weight in cell.weights(True, False)]
            names.append(f'STATEWISE_NAMES("{cell.name}", "{" ".join(cell.states)}", "{" ".join(weights)}")\n')
        except Unsupported as reason:
            print(f"statewise: cell {cell.name} has no kernel: {reason}", file=sys.stderr)
    return {
        "generated_cells.hpp": "\n".join(["#pragma once\n", OPENING, *structs.values(), CLOSING]),
        "generated_cells.def": "".join([f"STATEWISE_CELL({name})\n" for name in structs]),
        "generated_names.def": "".join(names),
    }


def main(folder: Path) -> None:
    """Write the files for all of statewise's cells into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in sources(CELLS).items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
