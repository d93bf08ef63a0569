"""statewise's frozen layers: for inference, with the weights packed once."""

from __future__ import annotations

import statewise

from ..cases import TRAINING
from .layers import layer_side
from .problem import Problem, Side


def version() -> str:
    """statewise's."""
    return statewise.__version__


def sides(problem: Problem) -> dict[str, Side]:
    """The frozen layer, where there is one: not for training."""
    freeze = getattr(statewise, "freeze", None)
    if freeze is None or problem.case.mode == TRAINING:
        return {}
    s = problem.case.shape
    layer = getattr(statewise, problem.case.cell)(s.I, s.H)
    layer.load_state_dict(problem.layer.state_dict())
    frozen = freeze(layer)
    return {"layer": layer_side(problem, layer, lambda x, state: frozen(x, state))}
