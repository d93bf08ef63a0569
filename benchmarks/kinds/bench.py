"""Against torch.nn: plain calls of eleven shapes, and the everyday calls beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from statistics import geometric_mean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import statewise
from statewise.layers.recurrent import RecurrentLayer

from .. import plots
from ..case import CELLS, MODES, TRAINING, Case, Shape, threads_text
from ..clock import Effort
from ..record import Record, grouped, mean_and_range, pivot
from ..runner import Kind, Table
from ..sides import Problem, modules_problem

# From a net for short words to one that fills the cache: small batches, long sequences, single rows, two layers.
SHAPES = (
    Shape(3, 10, 26, 128, 1),
    Shape(27, 26, 27, 5, 1),
    Shape(100, 32, 20, 50, 2),
    Shape(1, 32, 784, 50, 2),
    Shape(28, 32, 28, 50, 2),
    Shape(128, 32, 128, 128, 1),
    Shape(128, 32, 128, 256, 1),
    Shape(128, 64, 512, 512, 1),
    Shape(512, 1, 128, 128, 1),
    Shape(100, 1, 4, 50, 2),
    Shape(1024, 8, 64, 64, 1),
)
EVERYDAY_CALLS = "everyday calls"
Run = Callable[..., Any]  # of the module, x and the states that are given; the output comes first in what it gives


def _plain(shape: Shape) -> Run:
    def run(module: nn.Module, x: Tensor, *states: Tensor) -> Any:
        return module(x, states if len(states) > 1 else states[0]) if states else module(x)

    return run


def _loop(shape: Shape) -> Run:
    """Over the T steps of x, by a cell."""
    call = _plain(shape)

    def run(cell: nn.Module, x: Tensor, *states: Tensor) -> Any:
        outputs = []
        for step in x:
            state = call(cell, step, *states)
            states = state if isinstance(state, tuple) else (state,)
            outputs.append(states[0])
        return torch.stack(outputs), state

    return run


def lengths(shape: Shape) -> Tensor:
    """Of N ragged rows, of a quarter of T steps to all: (N,)."""
    return torch.linspace(shape.T, (shape.T + 3) // 4, shape.N).long()


def ragged(shape: Shape) -> Run:
    """By the best way that each side has: torch.nn packs and pads again, statewise takes ``lengths``."""
    rows = lengths(shape)

    def run(module: nn.Module, x: Tensor) -> Any:
        if isinstance(module, RecurrentLayer):
            return module(x, lengths=rows)
        output, state = module(pack_padded_sequence(x, rows))
        return pad_packed_sequence(output, total_length=shape.T)[0], state

    return run


def _packed(shape: Shape) -> Run:
    """The same rows, packed before the call and packed after it: x (S, I)."""
    sizes = pack_padded_sequence(torch.empty(shape.T, shape.N, 1), lengths(shape)).batch_sizes
    return lambda module, x: module(PackedSequence(x, sizes))


def autocast(shape: Shape) -> Run:
    """To bfloat16; backward is run outside, as torch recommends."""

    def run(module: nn.Module, x: Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return module(x)

    return run


@dataclass(frozen=True)
class Call:
    """How a program calls a layer or a cell: plainly, where nothing else is said."""

    shape: Shape
    modes: Sequence[str] = MODES
    options: Mapping[str, Any] = field(default_factory=dict)  # for the constructor
    run: Callable[[Shape], Run] = _plain
    x: str = "TNI"  # its axes; S: all steps of ragged rows
    cell: bool = False
    states: bool = False  # whether they are given, and differentiated
    dtype: torch.dtype = torch.float32

    def build(self, namespace: Any, cell: str) -> nn.Module:
        """The module, from the ``namespace`` that has the classes."""
        layers = {} if self.cell else {"num_layers": self.shape.L}
        kind = getattr(namespace, f"{cell}Cell" if self.cell else cell)
        module = kind(self.shape.I, self.shape.H, **layers, **self.options, dtype=self.dtype)
        assert isinstance(module, nn.Module)
        return module

    def sizes(self, cell: str) -> dict[str, Sequence[int]]:
        """Of x and of the states that are given."""
        s = self.shape
        axes = {"T": s.T, "N": s.N, "I": s.I, "S": int(lengths(s).sum())}
        state = (s.N, s.H) if self.cell else (s.L, s.N, s.H)
        names = ("h_0", "c_0") if cell == "LSTM" else ("h_0",)
        return {"x": [axes[axis] for axis in self.x]} | {name: state for name in names if self.states}

    def problem(self, cell: str, mode: str, ours: Any, peer: Any = nn) -> Problem:
        """The classes of ``ours`` and of torch.nn, or of what stands in its place, side by side."""
        modules = {"statewise": self.build(ours, cell), "torch.nn": self.build(peer, cell)}
        names = ("h", "c") if self.x == "NI" else ("output", "h_n", "c_n")
        return modules_problem(modules, self.run(self.shape), self.sizes(cell), names, trains=mode == TRAINING)


_MIDDLE = Shape(50, 32, 64, 64, 1)
# 18 calls and modes, with three cells 54 cases.
EVERYDAY: dict[str, Call] = {
    "cell, one row": Call(Shape(1, 1, 8, 8, 1), x="NI", cell=True, states=True),
    "cell": Call(Shape(1, 32, 64, 64, 1), x="NI", cell=True, states=True),
    "loop over a cell": Call(_MIDDLE, [TRAINING], run=_loop, cell=True, states=True),
    "both directions": Call(_MIDDLE, [TRAINING], {"bidirectional": True}),
    "dropout between layers": Call(Shape(50, 32, 64, 64, 2), [TRAINING], {"dropout": 0.5}),
    "PackedSequence": Call(_MIDDLE, [TRAINING], run=_packed, x="SI"),
    "lengths=": Call(_MIDDLE, [TRAINING], run=ragged),
    "states given": Call(_MIDDLE, [TRAINING], states=True),
    "unbatched": Call(Shape(50, 1, 64, 64, 1), x="TI"),
    "batch_first": Call(_MIDDLE, [TRAINING], {"batch_first": True}, x="NTI"),
    "H = 1024": Call(Shape(20, 32, 256, 1024, 1)),
    "autocast to bfloat16": Call(Shape(32, 64, 256, 256, 1), run=autocast),
    "bfloat16 weights": Call(Shape(100, 32, 64, 128, 1), [TRAINING], dtype=torch.bfloat16),
}


def plain(shapes: Iterable[Shape], threads: Iterable[int]) -> Iterator[Case]:
    """Every combination, cell by cell."""
    for cell, shape, count, mode in product(CELLS, shapes, threads, MODES):
        yield Case(cell, shape, mode, count)


def everyday(shapes: Iterable[Shape], threads: Iterable[int]) -> Iterator[Case]:
    """Every everyday call with every cell; they have shapes of their own."""
    for cell, (name, call), count in product(CELLS, EVERYDAY.items(), threads):
        for mode in call.modes:
            yield Case(cell, call.shape, mode, count, name)


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """Plain ones of ``shapes``, and the everyday calls unless these are somebody's own."""
    yield from plain(shapes, threads)
    if shapes is SHAPES:
        yield from everyday(shapes, threads)


def problem(case: Case, ours: Any = statewise) -> Problem:
    """``ours`` is the namespace that has the classes to be measured."""
    call = EVERYDAY[case.name] if case.name else Call(case.shape)
    return call.problem(case.cell, case.mode, ours)


def sections(records: Table) -> dict[str, str]:
    """The means, how far they are from the limit, every shape, every everyday call."""
    theirs = [r for r in records if r.side == "torch.nn"]
    plain, everyday = ([r for r in theirs if bool(r.case.name) is named] for named in (False, True))

    def row(r: Record) -> str:
        return f"{r.case.cell}, {EVERYDAY_CALLS if r.case.name else r.case.mode}"

    def means(
        of: Table, head: str, text: Callable[[Table], str], more: Iterable[tuple[list[str], str, str]] = ()
    ) -> str:
        groups = grouped(of, lambda r: (row(r), _threads(r)))
        entries = [([name], column, text(group)) for (name, column), group in groups.items()]
        return pivot([*entries, *more], head)

    def least(of: Table) -> str:
        lowest = min(of, key=lambda r: r.ratio)
        call = f"{lowest.case.name}, {lowest.case.mode}" if lowest.case.name else str(lowest.case.shape)
        return f"{lowest.ratio:.2f} ({call}; {_threads(lowest)})"

    leasts = [([name], "least, where", least(group)) for name, group in grouped(theirs, row).items()]
    by_cell = grouped(plain, lambda r: r.case.cell).items()
    calls = (
        ([r.case.name, str(r.case.shape), r.case.mode], f"{r.case.cell}, {_threads(r)}", f"**{r.ratio:.2f}**{r.busy}")
        for r in everyday
    )
    return {
        "bench": means(theirs, "torch.nn time / statewise time", mean_and_range),
        "speed": means(theirs, "torch.nn time / statewise time", mean_and_range, leasts),
        "limits": means(plain, "reached, of what is possible", _reached),
        "shapes": "\n\n".join(f"### {cell}\n\n{_shapes(group)}" for cell, group in by_cell),
        "everyday": f"{_summary(everyday)}\n\n{pivot(calls, 'call', 'T,N,I,H,L', 'mode')}",
    }


def _threads(record: Record) -> str:
    return threads_text(record.case.threads)


def _reached(records: Table) -> str:
    ratio, limit = geometric_mean(r.ratio for r in records), geometric_mean(r.limit for r in records)
    return f"**{ratio:.1f}** of {_brief(limit)}"


def _shapes(records: Table) -> str:
    """The ratio, the share of peak, the limit."""
    entries = (
        ([str(r.case.shape)], f"{r.case.mode}, {_threads(r)}", _figure(r))
        for r in sorted(records, key=lambda r: (MODES.index(r.case.mode), r.case.threads))
    )
    return pivot(entries, "T,N,I,H,L")


def _figure(r: Record) -> str:
    return f"**{r.ratio:.2f}**, {r.peak_fraction:.0%}, {_brief(r.limit)}{r.busy}"


def _brief(figure: float) -> str:
    """With as many digits as a reader needs: 2.4, 24, 240."""
    return f"{figure:.1f}" if figure < 9.95 else f"{figure:.0f}"


def _summary(records: Table) -> str:
    """A line for each thread count: over all cells and calls the mean, the lowest, and how many are below 1."""
    lines = []
    for count, group in grouped(records, _threads).items():
        lowest = min(group, key=lambda r: r.ratio)
        mean, below = geometric_mean(r.ratio for r in group), sum(r.ratio < 1 for r in group)
        where = f"{lowest.case.cell}, {lowest.case.name}, {lowest.case.mode}"
        lines.append(
            f"- {count}: geometric mean **{mean:.2f}** over {len(group)}; lowest {lowest.ratio:.2f} ({where}); "
            f"{below} under 1.0"
        )
    return "\n".join(lines)


def _ratio_by_size(records: Table) -> str:
    """A panel for each cell, a row for each shape, a marker for each mode and thread count."""
    points = [r for r in records if r.side == "torch.nn" and not r.case.name]
    counts = sorted({r.case.threads for r in points})
    looks = {
        f"{mode}, {threads_text(count)}": plots.dots(colour, marker, hollow=count != counts[0])
        for mode, colour, marker in zip(MODES, (plots.BLUE, plots.ORANGE), "os", strict=True)
        for count in counts
    }
    return plots.draw(
        (plots.Mark(r.case.cell, f"{r.case.mode}, {_threads(r)}", r.ratio, str(r.case.shape)) for r in points),
        looks,
        f"statewise takes less time than torch.nn in {sum(r.ratio > 1 for r in points)} of {len(points)} cases",
        "torch.nn's time / statewise's time: right of the line statewise is faster",
        "T,N,I,H,L",
        ratio=True,
    )


KIND = Kind(
    "against torch.nn: eleven shapes and 54 everyday calls, and what a call of one's own shape takes",
    cases,
    problem,
    sections,
    {"ratio-by-size.svg": _ratio_by_size},
    effort=Effort(),
    shapes=SHAPES,
)
EVERYDAY_KIND = Kind(
    "the everyday calls alone: cells, dropout, packed rows, bfloat16, ...",
    everyday,
    problem,
    effort=Effort(),
    published=False,
)
SELF_TEST = Kind(
    "torch.nn against itself: ratios away from 1 show the error of the method",
    plain,
    partial(problem, ours=nn),
    effort=Effort(),
    published=False,
    shapes=SHAPES,
)
