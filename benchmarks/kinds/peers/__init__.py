"""statewise beside other libraries that compute recurrent layers: ``make bench-peers``.

Each library is used in the ways in which its documentation says to compute a problem, of which the fastest is measured.
One that is not installed is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import product

from torch import Tensor, nn

import statewise

from ... import plots
from ...case import CELLS, FORWARD, TRAINING, Case, Shape
from ...clock import Effort
from ...record import Record, grouped, pivot
from ...runner import Kind, Table
from ...sides import OURS, Normal, Problem
from . import jax_scan, onnx_models
from .peer import Peer, Ways, compiled, frozen, modules

# The name in the table: the ways, and the import that they need beyond torch.
PEERS: dict[str, tuple[Callable[[Peer], Ways], str | None]] = {
    "statewise": (lambda peer: modules(peer, statewise), None),
    "statewise, frozen": (frozen, None),
    "torch.nn": (lambda peer: modules(peer, nn), None),
    "torch.compile": (compiled, None),
    "onnxruntime": (onnx_models.onnxruntime, "onnxruntime"),
    "OpenVINO": (onnx_models.openvino, "openvino"),
    "JAX": (jax_scan.sides, "jax"),
}
LOOKS = {
    "torch.nn": plots.dots(plots.INK, "o"),
    "torch.compile": plots.dots(plots.QUIET, "X"),
    "onnxruntime": plots.dots(plots.BLUE, "s"),
    "OpenVINO": plots.dots(plots.PINK, "^"),
    "JAX": plots.dots(plots.YELLOW, "D"),
}
# The state of a single step is carried from call to call.
GROUPS: dict[str, tuple[str, Sequence[Shape]]] = {
    "single steps": (FORWARD, (Shape(1, 1, 64, 64, 1), Shape(1, 1, 256, 256, 1))),
    "sequences": (FORWARD, (Shape(100, 1, 64, 64, 1), Shape(128, 32, 128, 128, 1), Shape(128, 32, 128, 256, 1))),
    "training": (TRAINING, (Shape(28, 32, 28, 50, 1), Shape(128, 32, 128, 128, 1), Shape(100, 1, 64, 64, 1))),
}


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """Single steps, whole sequences, training."""
    for count, (group, (mode, own)) in product(threads, GROUPS.items()):
        for cell, shape in product(CELLS, own):
            yield Case(cell, shape, mode, count, group)


def installed() -> dict[str, Callable[[Peer], Ways]]:
    """The ways of the libraries that are here."""
    return {name: ways for name, (ways, needs) in PEERS.items() if needs is None or find_spec(needs)}


def problem(case: Case) -> Problem:
    """All libraries' ways. The weights stay: for inference most libraries have them compiled in."""
    peer = Peer(case)
    exact = peer.side(copy.deepcopy(peer.layer).double())
    s = case.shape
    normal = Normal({"x": (s.T, s.N, s.I)}, peer.side(peer.layer))

    def draw() -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
        inputs, incoming, _ = normal()
        return inputs, incoming[:1], ()

    sides = {name: ways(peer) for name, ways in installed().items()}
    # Wide enough for approximations of tanh and sigmoid, too narrow for gates in another order or products in bfloat16.
    return Problem(sides, dict.fromkeys(sides, exact), draw, reference="", floor=1e-4, rounds=5 if peer.carried else 1)


def sections(records: Table) -> dict[str, str]:
    """A table for each group, and where another library is faster."""
    groups = {group: [r for r in records if r.case.name == group] for group in GROUPS}
    tables = {f"peers-{group.split()[-1]}": table(found) for group, found in groups.items()}
    return tables | {"losses": losses(records)}


def table(records: Table) -> str:
    """Microseconds; in brackets the ratio to the better of ours, which is bold."""
    entries = ((_label(r), r.side, _figure(r)) for r in records)
    return pivot(entries, "cell T,N,I,H")


def losses(records: Table) -> str:
    """A line for each case in which another library is faster, with the share of our time that it takes."""
    lines = []
    faster = grouped(
        sorted((r for r in records if r.ratio < 1 and r.side not in OURS), key=lambda r: r.ratio), lambda r: r.case
    )
    for case, group in faster.items():
        who = ", ".join(f"{r.side} {r.ratio:.2f} ({r.way})" for r in group)
        lines.append(f"- {_label(group[0])[0]}, {case.name}: {who}")
    return "\n".join(lines) or "Nowhere in these tables."


def _label(r: Record) -> list[str]:
    return [f"{r.case.cell} {str(r.case.shape).removesuffix(',1')}{r.busy}"]


def _figure(r: Record) -> str:
    time = f"{r.value:.1f}" if r.value < 100 else f"{r.value:,.0f}"
    if r.side in OURS:
        return f"**{time}**" if r.ratio == 1 else time
    return f"{time} ({r.ratio:.2f})"


def _picture(records: Table) -> str:
    """A panel for each group, a row for each case, a marker for each library."""
    theirs = [r for r in records if r.side not in OURS]
    return plots.draw(
        (plots.Mark(r.case.name, r.side, r.ratio, _label(r)[0]) for r in theirs),
        LOOKS,
        f"statewise takes less time in {sum(r.ratio > 1 for r in theirs)} of {len(theirs)} comparisons",
        "their time / statewise's time: right of the line statewise is faster",
        ratio=True,
    )


KIND = Kind(
    f"against other libraries, those that are installed: {', '.join(LOOKS)}",
    cases,
    problem,
    sections,
    {"peers.svg": _picture},
    effort=Effort(clean=15, at_least=5, seconds=2.5),
    packages=("onnxruntime", "openvino", "jax"),
    threads=(1,),  # JAX fixes its number when it starts
)
