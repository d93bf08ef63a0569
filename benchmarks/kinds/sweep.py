"""The sweep: one size at a time from small to large, to see whether the cost grows in proportion.

It must: a step costs what it costs, whatever comes before and after it, and so does a row of the batch. Where the cost
of a step rises from one size to the next, or the share of peak falls, there is a kink to be explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from .. import plots
from ..case import CELLS, MODES, Case, Shape
from ..record import by_case, pivot
from ..runner import Kind, Table
from .bench import problem

BASE = Shape(T=64, N=16, I=64, H=64, L=1)
# Powers of two, and neighbours that fill no vector, tile or group of rows.
SIZES = {
    "T": (1, 2, 3, 4, 8, 15, 16, 17, 32, 33, 64, 100, 128, 129, 256, 512, 1024, 2048, 4096),
    "N": (1, 2, 3, 4, 7, 8, 15, 16, 17, 24, 32, 33, 50, 64, 100, 127, 128, 129, 256, 512),
    "H": (8, 15, 16, 17, 24, 32, 33, 50, 64, 100, 127, 128, 129, 256, 512, 1024),
}
RISE = 1.15  # of the cost of a step over that at the size before: what is less may be noise
MANY = 64  # steps or rows from which on what a call costs once is spread thin


@dataclass(frozen=True, slots=True)
class Point:
    """A case along one size. Costs: ns for one step of one row; along H, where that must grow, for 10**6 operations."""

    case: Case
    size: str
    ours: float
    theirs: float
    ratio: float
    peak_fraction: float
    busy: str

    @property
    def value(self) -> int:
        """Of the size."""
        return int(getattr(self.case.shape, self.size))


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """Every size with every cell and mode; the shape that all sizes have in common once."""
    every = dict.fromkeys(replace(BASE, **{size: value}) for size, values in SIZES.items() for value in values)
    return (Case(cell, s, mode, count) for count in threads for cell in CELLS for s in every for mode in MODES)


def lines(records: Table) -> dict[tuple[str, str, str], list[Point]]:
    """By size, cell and mode: the points from small to large, where there are two and more."""
    found: dict[tuple[str, str, str], list[Point]] = {}
    for case, sides in by_case(records).items():
        for size in SIZES:
            s = case.shape
            if replace(s, **{size: getattr(BASE, size)}) == BASE:
                work = case.flops / 1e6 if size == "H" else s.T * s.N
                ours, theirs = sides["statewise"], sides["torch.nn"]
                costs = ours.value * 1e3 / work, theirs.value * 1e3 / work
                point = Point(case, size, *costs, theirs.ratio, theirs.peak_fraction, theirs.busy)
                found.setdefault((size, case.cell, case.mode), []).append(point)
    return {key: sorted(line, key=lambda p: p.value) for key, line in found.items() if len(line) > 1}


def sections(records: Table) -> dict[str, str]:
    """A table for each size: the cost, along H the share of peak, in brackets the ratio; and the list of rises."""
    found = lines(records)
    tables = {size: _table([p for key, line in found.items() if key[0] == size for p in line]) for size in SIZES}
    rises = [_rise(a, b) for line in found.values() for a, b in pairwise(line) if b.ours > RISE * a.ours]
    return {f"sweep-{size}": text for size, text in tables.items()} | {"rises": "\n".join(rises) or "Nowhere."}


def _table(points: Iterable[Point]) -> str:
    entries = (
        ([str(p.value)], f"{p.case.cell}, {p.case.mode}", _cost(p)) for p in sorted(points, key=lambda p: p.value)
    )
    return pivot(entries, "")


def _cost(point: Point) -> str:
    cost = f"{point.peak_fraction:.0%}" if point.size == "H" else f"{point.ours:,.0f}"
    return f"{cost} ({point.ratio:.1f}){point.busy}"


def _rise(a: Point, b: Point) -> str:
    unit = "an operation" if a.size == "H" else "a step"
    rises = f"{b.ours / a.ours - 1:+.0%} {unit} (torch.nn {b.theirs / a.theirs - 1:+.0%})"
    return f"- {a.size} {a.value} to {b.value}, {a.case.cell}, {a.case.mode}: {rises}"


def _linearity(records: Table) -> str:
    """The cost of a step of one row along T and along N."""
    found = {key: line for key, line in lines(records).items() if key[0] != "H"}
    wide = [[p.ours for p in line if p.value >= MANY] for line in found.values()]
    spread = max((max(costs) / min(costs) for costs in wide if costs), default=1.0)
    title = f"From T and N = {MANY} on, the cost of a step of one row stays within a factor of {spread:.2f}"
    return _curves(found, title, "ns for a step of one row", lambda p: (p.ours, p.theirs))


def _peak_by_size(records: Table) -> str:
    """The share of the sgemm peak along H."""
    found = {key: line for key, line in lines(records).items() if key[0] == "H"}
    best = max((p for line in found.values() for p in line), key=lambda p: p.peak_fraction)
    title = f"Up to {best.peak_fraction:.0%} of peak: {best.case.cell}, {best.case.mode}, H = {best.value}"
    return _curves(
        found, title, "share of the sgemm peak", lambda p: (p.peak_fraction, p.peak_fraction / p.ratio), percent=True
    )


def _curves(
    found: dict[tuple[str, str, str], list[Point]],
    title: str,
    y: str,
    figures: Callable[[Point], tuple[float, float]],
    **axis: bool,
) -> str:
    """A panel for each mode and size; statewise's figures with markers, torch.nn's dashed."""
    looks: dict[str, plots.Look] = {}
    for cell, colour, marker in zip(CELLS, (plots.BLUE, plots.ORANGE, plots.GREEN), "os^", strict=True):
        looks[f"statewise {cell}"] = {"color": colour, "marker": marker}
        looks[f"torch.nn {cell}"] = {"color": colour, "lw": 1, "ls": "--"}
    marks = [
        plots.Mark(f"{mode}, along {size}", f"{side} {cell}", point.value, figure)
        for mode in MODES
        for (size, cell, of), line in found.items()
        if of == mode
        for point in line
        for side, figure in zip(("statewise", "torch.nn"), figures(point), strict=True)
    ]
    fixed = f"the sizes that don't vary are T, N, I, H = {BASE.T}, {BASE.N}, {BASE.I}, {BASE.H}"
    return plots.draw(marks, looks, title, fixed, y, columns=2, **axis)


KIND = Kind(
    "along T, N and H, each alone from small to large: whether the cost grows in proportion",
    cases,
    problem,
    sections,
    {"linearity.svg": _linearity, "peak-by-size.svg": _peak_by_size},
    threads=(1,),
)
