"""What every cell and every option costs beside the plain LSTM, and a cell of one's own beside torch.compile.

``python -m benchmarks --cells``. The unit is ``statewise.LSTM`` of the same size in the same rounds: what a machine is
like falls out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import statewise
from statewise.cells import CELLS, Cell

from .cases import Shape
from .clock import Clock, Effort
from .table import markdown

SHAPE = Shape(100, 32, 128, 128, 1)
# The layer for each option: without it and with it. A mask or noise is drawn in every call.
OPTIONS: dict[str, dict[str, Any]] = {
    "reset, one step in a hundred": {},
    "return_states": {},
    "zoneout": {"zoneout": 0.1},
    "zoneout, in eval": {"zoneout": 0.1},
    "recurrent_dropout": {"recurrent_dropout": 0.1},
    "input_dropout": {"input_dropout": 0.1},
    "clip": {"clip": 1.0},
    "gradient_clip": {"gradient_clip": 1.0},
}


def _own_step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    i, f, o = ops.sigmoid(x.i + r.i), ops.sigmoid(x.f + r.f), ops.sigmoid(x.o + r.o)
    c = f * state[1] + i * ops.tanh(x.g + r.g)
    return o * ops.tanh(c), c


class Loop(nn.Module):
    """The LSTM as a loop in Python over torch's operations: how one writes a cell of one's own without statewise."""

    def __init__(self, input_size: int, hidden_size: int, *, compiled: bool) -> None:
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


@dataclass
class _Rounds:
    """Layers over the same fresh input, with gradients or without."""

    calls: list[Callable[[Tensor], Any]]
    parameters: list[Tensor]
    shape: Shape
    trains: bool

    @property
    def sides(self) -> list[Callable[[], object]]:
        return [partial(self._run, call) for call in self.calls]

    def renew(self) -> None:
        s = self.shape
        self.x, self.incoming = torch.randn(s.T, s.N, s.I), torch.randn(s.T, s.N, s.H)

    def _run(self, call: Callable[[Tensor], Any]) -> None:
        if not self.trains:
            with torch.no_grad():
                call(self.x)
            return
        for parameter in self.parameters:
            parameter.grad = None
        output = call(self.x.detach().requires_grad_())
        while not isinstance(output, Tensor):
            output = output[0]
        output.backward(self.incoming)


@dataclass(frozen=True, slots=True)
class Figure:
    """Times over the plain LSTM's: forward, and forward with backward; and whether a sample was clean."""

    kind: str  # "cell", "option", "own"
    name: str
    forward: float
    training: float
    disturbed: bool

    def __str__(self) -> str:
        busy = "; the machine was busy" if self.disturbed else ""
        return f"{self.name}: {self.forward:.2f} forward, {self.training:.2f} forward+backward{busy}"

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        times = {"forward": round(self.forward, 3), "forward_backward": round(self.training, 3)}
        return {"kind": self.kind, "name": self.name, **times, "disturbed": self.disturbed}


def measure(effort: Effort, threads: int, shape: Shape = SHAPE, *, compiled: bool = True) -> Iterator[Figure]:
    """All figures, as they come; ``compiled``: whether torch.compile's, which takes minutes, is among them."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    clock = Clock(effort)
    plain = statewise.LSTM(shape.I, shape.H)

    def figure(kind: str, name: str, module: nn.Module, call: Callable[[Tensor], Any] | None = None) -> Figure:
        parameters: list[Tensor] = [*plain.parameters(), *module.parameters()]
        found = [
            clock.measure(_Rounds([plain, call or module], parameters, shape, trains), threads)
            for trains in (False, True)
        ]
        forward, training = (summary.times[1] / summary.times[0] for summary in found)
        return Figure(kind, name, forward, training, any(summary.disturbed for summary in found))

    for cell in CELLS:
        layer = statewise.Recurrent(cell, shape.I, shape.H, num_heads=4 if cell.heads else 1)
        yield figure("cell", cell.name, layer)
    reset = torch.rand(shape.T, shape.N) < 0.01
    calls: dict[str, dict[str, Any]] = {"reset": {"reset": reset}, "return_states": {"return_states": True}}
    for name, options in OPTIONS.items():
        with_option = statewise.LSTM(shape.I, shape.H, **options)
        with_option.train(not name.endswith("eval"))
        yield figure("option", name, with_option, partial(with_option, **calls.get(name.partition(",")[0], {})))
    own = Cell("bench_lstm", gates="ifgo", states="hc", step=_own_step)
    yield figure("own", "the LSTM as a cell of one's own", statewise.Recurrent(own, shape.I, shape.H))
    yield figure("own", "as a loop in Python", Loop(shape.I, shape.H, compiled=False))
    if compiled:
        yield figure("own", "that loop under torch.compile", Loop(shape.I, shape.H, compiled=True))


def table(figures: Iterable[Figure]) -> str:
    """A markdown table of each kind."""
    heads = {"cell": "cell", "option": "LSTM with", "own": ""}
    found = list(figures)
    tables = [
        markdown(
            [
                [head, "forward", "forward+backward"],
                *(
                    [
                        f"`{f.name}`" if kind == "cell" else f.name,
                        *(f"{r:.2f}{' (b)' if f.disturbed else ''}" for r in (f.forward, f.training)),
                    ]
                    for f in found
                    if f.kind == kind
                ),
            ]
        )
        for kind, head in heads.items()
    ]
    busy = "\n\n(b): the machine was busy." if any(f.disturbed for f in found) else ""
    return "\n\n".join(tables) + busy
