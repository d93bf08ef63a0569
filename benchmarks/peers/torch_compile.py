"""torch.compile: of torch.nn's layer where it compiles one in a few minutes, and of a plain loop of cells.

By itself torch.compile leaves a recurrent layer as it is. ``allow_rnn`` makes it trace one; the LSTM without gradients
becomes oneDNN's again, everything else is unrolled, and compiling takes longer than a second for each step. So longer
sequences are computed by a loop whose step is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch._dynamo
from torch import Tensor, nn
from torch.nn.functional import linear

from ..cases import FORWARD
from ..compare import build
from .layers import LayerSide, cell_weights, layer_side, step_side
from .problem import Problem, Side

UNROLLED = 32  # steps

Step = Callable[[Tensor, Any, Tensor, Tensor], Any]  # what x contributes, the state, W_hh, b_hh; the new state


def version() -> str:
    """torch's."""
    return torch.__version__


def sides(problem: Problem) -> dict[str, Side]:
    """The compiled cell for single steps; for sequences the loop and, where that ends soon, the layer."""
    torch._dynamo.reset()  # of each function it compiles a few versions only, and every problem needs one
    torch._dynamo.config.allow_rnn = True
    case = problem.case
    if problem.carried:
        return {"cell": _cell(problem)}
    ways: dict[str, Side] = {"loop of compiled steps": _loop(problem)}
    if case.shape.T <= UNROLLED or (case.cell, case.mode) == ("LSTM", FORWARD):
        layer = build(nn, case)
        compiled = torch.compile(layer, fullgraph=True)
        ways["compiled layer"] = layer_side(problem, layer, lambda x, _: compiled(x))
    return ways


def _cell(problem: Problem) -> LayerSide:
    s = problem.case.shape
    cell = getattr(nn, f"{problem.case.cell}Cell")(s.I, s.H)
    cell.load_state_dict(cell_weights(problem))
    return step_side(problem, torch.compile(cell, fullgraph=True), dict(cell.named_parameters()))


def _loop(problem: Problem) -> LayerSide:
    layer = build(nn, problem.case)
    w = dict(layer.named_parameters())
    step = torch.compile(STEPS[problem.case.cell], fullgraph=True, dynamic=False)
    initial = problem.initial()
    start = tuple(s[0] for s in initial) if isinstance(initial, tuple) else initial[0]

    def call(x: Tensor, _: Any) -> tuple[Tensor, Any]:
        state, outputs = start, []
        for x_part in linear(x, w["weight_ih_l0"], w["bias_ih_l0"]).unbind(0):
            state = step(x_part, state, w["weight_hh_l0"], w["bias_hh_l0"])
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs), state

    return layer_side(problem, layer, call)


def _rnn(x: Tensor, h: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return torch.tanh(x + linear(h, w, b))


def _lstm(x: Tensor, state: tuple[Tensor, Tensor], w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    h, c = state
    i, f, g, o = (x + linear(h, w, b)).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru(x: Tensor, h: Tensor, w: Tensor, b: Tensor) -> Tensor:
    x_r, x_z, x_n = x.chunk(3, 1)
    h_r, h_z, h_n = linear(h, w, b).chunk(3, 1)
    z = torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
    return n + z * (h - n)


STEPS: dict[str, Step] = {"RNN": _rnn, "LSTM": _lstm, "GRU": _gru}
