"""Cells by their names: statewise's own, and those that the program has defined."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cell import Cell

_DEFINED: dict[str, Cell] = {}
_KEYED: dict[str, Cell] = {}
_OWN: set[str] = set()


def register(cell: Cell) -> str:
    """Have ``by_name`` find ``cell``; its key, which no other cell ever has, though another may take its name.

    ValueError for the name of one of statewise's own cells.
    """
    if cell.name in _OWN:
        raise ValueError(f"a cell called {cell.name!r} is statewise's own; give yours another name")
    count = sum(other.name == cell.name for other in _KEYED.values())
    key = f"{cell.name}#{count + 1}" if count else cell.name
    _DEFINED[cell.name] = _KEYED[key] = cell
    return key


def defined() -> list[Cell]:
    """All cells that ``by_name`` finds without making one, statewise's own first."""
    return list(_DEFINED.values())


def by_key(key: str) -> Cell:
    """The cell with that key; of a key from another process the cell of that name."""
    return _KEYED[key] if key in _KEYED else by_name(key)


def by_name(name: str) -> Cell:
    """The cell called ``name``, of statewise's own and those that the program has defined; KeyError names them all.

    A variant, ``lstm(tanh=relu)``, is made where it isn't there yet.
    """
    from .variants import parts_of_name, variant

    try:
        return _DEFINED[name]
    except KeyError:
        parts = parts_of_name(name)
        if parts is not None and parts[0] in _DEFINED:
            return variant(_DEFINED[parts[0]], parts[1])
        known, near = ", ".join(_DEFINED), get_close_matches(name, _DEFINED, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise KeyError(
            f"no cell is called {name!r}; there are {known}. A cell of one's own is found once its module is imported."
            f"{meant}"
        ) from None


def keep_names(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """``cells``, whose names nobody else may take from now on."""
    _OWN.update(cell.name for cell in cells)
    return cells
