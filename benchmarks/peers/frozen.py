"""statewise's frozen layers: for inference, with the weights packed once; for single steps its frozen cells too."""

from __future__ import annotations

from typing import Any

from torch import nn

import statewise

from ..cases import TRAINING
from .layers import LayerSide, cell_weights, step_side
from .problem import Problem, Side


def version() -> str:
    """statewise's."""
    return statewise.__version__


def sides(problem: Problem) -> dict[str, Side]:
    """The frozen layer, where this version has one, and for single steps also the frozen cell. Not for training."""
    freeze: Any = getattr(statewise, "freeze", None)
    if freeze is None or problem.case.mode == TRAINING:
        return {}
    s, name = problem.case.shape, problem.case.cell
    weights = dict(problem.layer.named_parameters())
    ways: dict[str, Side] = {}
    layer = freeze(_loaded(getattr(statewise, name)(s.I, s.H), problem.layer.state_dict()))
    ways["layer"] = LayerSide(problem, layer, weights)
    if problem.carried:
        cell = freeze(_loaded(getattr(statewise, f"{name}Cell")(s.I, s.H), cell_weights(problem)))
        ways["cell"] = step_side(problem, cell, weights)
    return ways


def _loaded(module: nn.Module, weights: dict[str, Any]) -> nn.Module:
    module.load_state_dict(weights)
    return module
