"""The sweep: one size at a time from small to large, to see whether the cost grows in proportion.

It must: a step costs what it costs, whatever comes before and after it, and so does a row of the batch. Where the cost
of a step rises from one size to the next, or the share of peak falls, there is a kink to be explained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .cases import CELLS, MODES, Case, Shape
from .results import Result
from .table import markdown

BASE = Shape(T=64, N=16, I=64, H=64, L=1)
# Powers of two, and neighbours that fill no vector, tile or group of rows.
SIZES = {
    "T": (1, 2, 3, 4, 8, 15, 16, 17, 32, 33, 64, 100, 128, 129, 256, 512, 1024, 2048, 4096),
    "N": (1, 2, 3, 4, 7, 8, 15, 16, 17, 24, 32, 33, 50, 64, 100, 127, 128, 129, 256, 512),
    "H": (8, 15, 16, 17, 24, 32, 33, 50, 64, 100, 127, 128, 129, 256, 512, 1024),
}
RISE = 1.15  # of the cost of a step over that at the size before: what is less may be noise


def cases(cells: Iterable[str], modes: Iterable[str], threads: int) -> Iterator[Case]:
    """Every size with every cell and mode; the shape that all sizes have in common once."""
    modes = tuple(modes)
    for cell in cells:
        shapes = dict.fromkeys(replace(BASE, **{size: value}) for size, values in SIZES.items() for value in values)
        for shape in shapes:
            for mode in modes:
                yield Case(cell, shape, mode, threads)


@dataclass(frozen=True, slots=True)
class Line:
    """The results of one cell and mode along one size, from small to large."""

    cell: str
    mode: str
    size: str
    results: tuple[Result, ...]

    @property
    def values(self) -> list[int]:
        """The sizes."""
        return [getattr(r.case.shape, self.size) for r in self.results]

    def cost(self, result: Result) -> float:
        """Nanoseconds for one step of one row; along H, where that must grow, for a million operations."""
        return result.summary.ours * 1e9 / self._work(result.case)

    def torchs_cost(self, result: Result) -> float:
        """The same for torch.nn."""
        return result.summary.theirs * 1e9 / self._work(result.case)

    def _work(self, case: Case) -> float:
        return case.flops / 1e6 if self.size == "H" else case.shape.T * case.shape.N

    def rises(self) -> list[tuple[Result, Result]]:
        """Neighbours of which the larger one costs more."""
        pairs = zip(self.results, self.results[1:], strict=False)
        return [(a, b) for a, b in pairs if self.cost(b) > RISE * self.cost(a)]


def lines(results: Iterable[Result]) -> list[Line]:
    """All lines that have at least two points."""
    found: dict[tuple[str, str, str], dict[int, Result]] = {}
    for r in results:
        for size in SIZES:
            if replace(r.case.shape, **{size: getattr(BASE, size)}) == BASE:
                points = found.setdefault((size, r.case.cell, r.case.mode), {})
                points[getattr(r.case.shape, size)] = r
    return [
        Line(cell, mode, size, tuple(points[value] for value in sorted(points)))
        for (size, cell, mode), points in found.items()
        if len(points) > 1
    ]


def section(results: Sequence[Result], machine: str) -> str:
    """A table for each size, and the list of rises."""
    every = lines(results)
    parts = [
        f"The sizes that don't vary are T, N, I, H = {BASE.T}, {BASE.N}, {BASE.I}, {BASE.H}; one layer. In brackets "
        f"torch.nn's time divided by statewise's. Measured on {machine}.",
    ]
    for size, title in TITLES.items():
        if along := [line for line in every if line.size == size]:
            parts += [f"### {title}", table(along)]
    parts += [f"### Where the cost rises by more than {RISE - 1:.0%} from one size to the next", rises(every)]
    return "\n\n".join(parts)


TITLES = {
    "T": "Along T: nanoseconds for a step of one row",
    "N": "Along N: nanoseconds for a step of one row",
    "H": "Along H: share of peak",
}


def table(along: Sequence[Line]) -> str:
    """A row for each value of the size, a column for each cell and mode."""
    figures = {
        (line.cell, line.mode, value): (line, result)
        for line in along
        for value, result in zip(line.values, line.results, strict=True)
    }
    columns = [(cell, mode) for cell in CELLS for mode in MODES if any((cell, mode) == key[:2] for key in figures)]
    head = [along[0].size, *(f"{cell}, {mode}" for cell, mode in columns)]
    values = sorted({value for _, _, value in figures})
    return markdown([head, *([str(v), *(_figure(figures.get((*c, v))) for c in columns)] for v in values)])


def _figure(found: tuple[Line, Result] | None) -> str:
    if not found:
        return "-"
    line, result = found
    figure = f"{result.peak_fraction:.0%}" if line.size == "H" else f"{line.cost(result):,.0f}"
    return f"{figure} ({result.ratio:.1f}){' (busy)' if result.summary.disturbed else ''}"


def rises(every: Iterable[Line]) -> str:
    """One line of text for each rise."""
    return "\n".join(_rise(line, a, b) for line in every for a, b in line.rises()) or "Nowhere."


def _rise(line: Line, a: Result, b: Result) -> str:
    before, after = (getattr(r.case.shape, line.size) for r in (a, b))
    ours, torchs = (cost(b) / cost(a) - 1 for cost in (line.cost, line.torchs_cost))
    unit = "an operation" if line.size == "H" else "a step"
    return f"- {line.size} {before} to {after}, {line.cell}, {line.mode}: {ours:+.0%} {unit} (torch.nn {torchs:+.0%})"
