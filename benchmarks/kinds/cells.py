"""What every cell and every option costs beside the plain LSTM, and a cell of one's own beside torch.compile.

The unit is ``statewise.LSTM`` of the same size in the same rounds: what a machine is like falls out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

import statewise
from statewise.cells import CELLS, Cell

from ..case import MODES, TRAINING, Case, Shape
from ..record import Record, grouped, pivot
from ..runner import Kind, Table
from ..sides import ModuleSide, Normal, Problem

SHAPE = Shape(100, 32, 128, 128, 1)
UNIT = "statewise.LSTM"
COMPILED = "that loop under torch.compile"
Build = Callable[[int, int], nn.Module]  # of the sizes of input and state


def _own_step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    i, f, o = ops.sigmoid(x.i + r.i), ops.sigmoid(x.f + r.f), ops.sigmoid(x.o + r.o)
    c = f * state[1] + i * ops.tanh(x.g + r.g)
    return o * ops.tanh(c), c


class Loop(nn.Module):
    """The LSTM as a loop in Python over torch's operations: how one writes a cell of one's own without statewise."""

    def __init__(self, input_size: int, hidden_size: int, *, compiled: bool = False) -> None:
        super().__init__()
        self.input, self.recurrent = nn.Linear(input_size, 4 * hidden_size), nn.Linear(hidden_size, 4 * hidden_size)
        self._loop = torch.compile(self._steps) if compiled else self._steps

    def forward(self, x: Tensor) -> Tensor:
        """(T, N, I) to (T, N, H)."""
        found: Tensor = self._loop(x)
        return found

    def _steps(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(x.size(1), self.recurrent.in_features)
        outputs = []
        for share in self.input(x):
            i, f, g, o = (share + self.recurrent(h)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs)


def _cell(cell: Cell, input_size: int, hidden_size: int) -> nn.Module:
    return statewise.Recurrent(cell, input_size, hidden_size, num_heads=4 if cell.heads else 1)


def _in_eval(input_size: int, hidden_size: int) -> nn.Module:
    return statewise.LSTM(input_size, hidden_size, zoneout=0.1).eval()


def _own(input_size: int, hidden_size: int) -> nn.Module:
    own = Cell("bench_lstm", gates="ifgo", states="hc", step=_own_step)
    return statewise.Recurrent(own, input_size, hidden_size)


# By what stands over the table, and by row. A mask or noise is drawn in every call.
BUILDS: dict[str, dict[str, Build]] = {
    "cell": {cell.name: partial(_cell, cell) for cell in CELLS},
    "LSTM with": {
        "reset, one step in a hundred": statewise.LSTM,
        "return_states": statewise.LSTM,
        "zoneout": partial(statewise.LSTM, zoneout=0.1),
        "zoneout, in eval": _in_eval,
        "recurrent_dropout": partial(statewise.LSTM, recurrent_dropout=0.1),
        "input_dropout": partial(statewise.LSTM, input_dropout=0.1),
        "clip": partial(statewise.LSTM, clip=1.0),
        "gradient_clip": partial(statewise.LSTM, gradient_clip=1.0),
    },
    "": {
        "the LSTM as a cell of one's own": _own,
        "as a loop in Python": Loop,
        COMPILED: partial(Loop, compiled=True),
    },
}


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """All of them, of one shape."""
    for count, (table, builds) in product(threads, BUILDS.items()):
        for name, mode in product(builds, MODES):
            yield Case(table, SHAPE, mode, count, name)


def problem(case: Case) -> Problem:
    """The plain LSTM, and beside it what the case names, held against itself in float64."""
    s, trains, build = case.shape, case.mode == TRAINING, BUILDS[case.cell][case.name]
    module = build(s.I, s.H)
    exact = (Loop if case.name == COMPILED else build)(s.I, s.H)
    exact.load_state_dict(module.state_dict())
    options: dict[str, Any] = {}
    if case.name.startswith("reset"):
        options["reset"] = torch.rand(s.T, s.N) < 0.01
    elif case.name == "return_states":
        options["return_states"] = True

    def side(of: nn.Module) -> ModuleSide:
        return ModuleSide(partial(of, **options), dict(of.named_parameters()), trains=trains)

    plain = statewise.LSTM(s.I, s.H)
    unit = ModuleSide(plain, dict(plain.named_parameters()), trains=trains)
    mine = side(module)
    normal = Normal({"x": (s.T, s.N, s.I)}, mine)
    return Problem(
        {UNIT: {"": unit}, "statewise": {"": mine}},
        {"statewise": side(exact.double())},
        lambda: (*normal()[:2], ()),  # their weights are not the same
        unit=(UNIT,),
        floor=1e-4,
    )


def sections(records: Table) -> dict[str, str]:
    """A table of each kind: times over the plain LSTM's."""
    beside = grouped([r for r in records if r.side != UNIT], lambda r: r.case.cell)
    tables = (
        pivot((([_name(r)], r.case.mode, f"{r.ratio:.2f}{r.busy}") for r in group), head)
        for head, group in beside.items()
    )
    return {"cells": "\n\n".join(tables)}


def _name(r: Record) -> str:
    return f"`{r.case.name}`" if r.case.cell == "cell" else r.case.name


KIND = Kind(
    "every cell, every option and a cell of one's own, in units of the plain LSTM's time; torch.compile takes minutes",
    cases,
    problem,
    sections,
    threads=(1,),
)
