"""statewise's layers as a program that trains uses them; for single steps its cells too."""

from __future__ import annotations

import statewise

from .layers import cell_side, layer_side
from .problem import Problem, Side


def version() -> str:
    """statewise's."""
    return statewise.__version__


def sides(problem: Problem) -> dict[str, Side]:
    """The layer; for single steps also the cell."""
    s, name = problem.case.shape, problem.case.cell
    ways: dict[str, Side] = {"layer": layer_side(problem, getattr(statewise, name)(s.I, s.H))}
    if problem.carried:
        ways["cell"] = cell_side(problem, getattr(statewise, f"{name}Cell")(s.I, s.H))
    return ways
