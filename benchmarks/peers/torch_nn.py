"""torch.nn's layers as they come; for single steps its cells too."""

from __future__ import annotations

import torch
from torch import nn

from ..compare import build
from .layers import cell_side, layer_side
from .problem import Problem, Side


def version() -> str:
    """torch's."""
    return torch.__version__


def sides(problem: Problem) -> dict[str, Side]:
    """The layer; for single steps also the cell."""
    ways: dict[str, Side] = {"layer": layer_side(problem, build(nn, problem.case))}
    if problem.carried:
        s = problem.case.shape
        ways["cell"] = cell_side(problem, getattr(nn, f"{problem.case.cell}Cell")(s.I, s.H))
    return ways
