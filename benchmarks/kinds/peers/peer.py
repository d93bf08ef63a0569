"""What every library computes, a layer of torch.nn with its weights, and the ways in which torch and statewise do."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch._dynamo
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

import statewise
from statewise.cells import by_name

from ...case import CELLS, FORWARD, TRAINING, Case
from ...sides import Carried, ModuleSide, Side

Array = NDArray[np.float32]
Ways = dict[str, Side]  # by name
UNROLLED = 32  # steps of a layer that torch.compile gets: it unrolls them, and takes longer than a second for each


class Peer:
    """A case with its weights. The state is carried from call to call where a call is one step."""

    def __init__(self, case: Case) -> None:
        self.case, self.shape = case, case.shape
        self.trains = case.mode == TRAINING
        self.carried = case.mode == FORWARD and case.shape.T == 1
        self.layer: nn.Module = getattr(nn, case.cell)(case.shape.I, case.shape.H)
        self.cell = by_name(CELLS[case.cell])

    def weights(self) -> dict[str, Array]:
        """``weight_ih_l0`` (G*H, I), ``weight_hh_l0`` (G*H, H), ``bias_ih_l0``, ``bias_hh_l0`` (G*H)."""
        return {name: p.detach().numpy() for name, p in self.layer.named_parameters()}

    def module(self, library: Any, *, cell: bool = False) -> nn.Module:
        """A library's layer, or its cell, with these weights."""
        kind = getattr(library, self.case.cell + "Cell" * cell)
        module: nn.Module = kind(self.shape.I, self.shape.H)
        weights = self.layer.state_dict()
        module.load_state_dict({n.removesuffix("_l0") if cell else n: w for n, w in weights.items()})
        return module

    def side(self, module: nn.Module, call: Callable[..., Any] | None = None, *, cell: bool = False) -> ModuleSide:
        """A layer or a cell; ``call``, which takes and gives the same, in its place, if there is one."""
        parameters = dict(module.named_parameters()) or dict(self.layer.named_parameters())
        call = module if call is None else call
        if self.carried:
            dtype = next(iter(parameters.values())).dtype
            size = (self.shape.N, self.shape.H)
            states = tuple(torch.zeros(size if cell else (1, *size), dtype=dtype) for _ in self.cell.states)
            call = Carried(_step_of(call) if cell else call, states if len(states) > 1 else states[0])
        if self.trains:  # then the gradients alone are compared: JAX doesn't give the outputs
            return ModuleSide(call, parameters, (), trains=True)
        return ModuleSide(call, parameters, trains=False)

    def step(self, ops: Any, split: Callable[[Any], Any]) -> Callable[[Any, Any, tuple[Any, ...]], tuple[Any, ...]]:
        """The cell's step as statewise describes it: the shares of x and of h, (N, G*H), and the states to the states.

        ``ops`` has ``sigmoid`` and ``tanh``; ``split`` cuts a share into its gates.
        """
        share: Any = namedtuple("share", list(self.cell.gates))  # type: ignore[misc]
        step = self.cell.step
        return lambda x, r, states: tuple(step(ops, share(*split(x)), share(*split(r)), None, states))


def _step_of(cell: Callable[..., Any]) -> Callable[..., Any]:
    """A cell, called with one step of a sequence."""

    def call(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        after = cell(x[0], state)
        return after[0] if isinstance(after, tuple) else after, after

    return call


def modules(peer: Peer, library: Any) -> Ways:
    """The layer as it comes; for single steps the cell too."""
    ways: Ways = {"layer": peer.side(peer.module(library))}
    return ways | ({"cell": peer.side(peer.module(library, cell=True), cell=True)} if peer.carried else {})


def frozen(peer: Peer) -> Ways:
    """The same for inference, with the weights packed once."""
    if peer.trains:
        return {}
    ways: Ways = {"layer": peer.side(peer.layer, statewise.freeze(peer.module(statewise)))}
    cell = statewise.freeze(peer.module(statewise, cell=True)) if peer.carried else None
    return ways | ({"cell": peer.side(peer.layer, cell, cell=True)} if cell else {})


def compiled(peer: Peer) -> Ways:
    """The cell for single steps; for sequences a loop of compiled steps, and the layer where that compiles in minutes.

    By itself torch.compile leaves a recurrent layer as it is. ``allow_rnn`` makes it trace one; the LSTM without
    gradients becomes oneDNN's again, everything else is unrolled.
    """
    torch._dynamo.reset()  # of each function it compiles a few versions only, and every problem needs one
    torch._dynamo.config.allow_rnn = True
    if peer.carried:
        cell = peer.module(nn, cell=True)
        return {"cell": peer.side(cell, torch.compile(cell, fullgraph=True), cell=True)}
    ways: Ways = {"loop of compiled steps": _loop(peer)}
    if peer.shape.T <= UNROLLED or (peer.case.cell, peer.trains) == ("LSTM", False):
        layer = peer.module(nn)
        ways["compiled layer"] = peer.side(layer, torch.compile(layer, fullgraph=True))
    return ways


def _loop(peer: Peer) -> Side:
    layer, step = peer.module(nn), peer.step(torch, lambda share: share.chunk(len(peer.cell.gates), 1))
    w = dict(layer.named_parameters())
    compiled_step = torch.compile(
        lambda x, states: step(x, linear(states[0], w["weight_hh_l0"], w["bias_hh_l0"]), states),
        fullgraph=True,
        dynamic=False,
    )
    start = tuple(torch.zeros(peer.shape.N, peer.shape.H) for _ in peer.cell.states)

    def call(x: Tensor) -> tuple[Tensor, Any]:
        states, outputs = start, []
        for share in linear(x, w["weight_ih_l0"], w["bias_ih_l0"]).unbind(0):
            states = compiled_step(share, states)
            outputs.append(states[0])
        return torch.stack(outputs), states

    return peer.side(layer, call)
