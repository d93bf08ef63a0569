"""The figures as pictures: SVG with text as text, the same bytes for the same figures.

Each title says what is seen, and is computed from what is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator, PercentFormatter

from .cases import CELLS, FORWARD, MODES, TRAINING
from .results import Result
from .sweep import BASE, Line

if TYPE_CHECKING:
    from .peers.measure import PeerResult

INK, QUIET, GRID = "#1f2933", "#66727f", "#dde2e7"
# Okabe and Ito's colours, told apart by everyone; the markers say the same once more.
COLOURS = {"RNN": "#0072b2", "LSTM": "#d55e00", "GRU": "#009e73"}
MARKERS = {"RNN": "o", "LSTM": "s", "GRU": "^"}
PEERS = {
    "torch.nn": ("#1f2933", "o"),
    "torch.compile": ("#66727f", "X"),
    "onnxruntime": ("#0072b2", "s"),
    "OpenVINO": ("#cc79a7", "^"),
    "JAX": ("#e69f00", "D"),
}
MANY = 64  # steps or rows from which on what a call costs once is spread thin

STYLE: Any = {  # of matplotlib, whose stubs ask for a mapping from each setting by name
    "svg.fonttype": "none",
    "svg.hashsalt": "statewise",
    "font.size": 9.5,
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],  # the first is the one that is measured
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
}


def ratio_by_size(path: Path, results: Sequence[Result]) -> None:
    """A panel for each cell, a row for each shape, a marker for each mode and thread count."""
    cells = [cell for cell in CELLS if any(r.case.cell == cell for r in results)]
    shapes = list(dict.fromkeys(r.case.shape for r in results))
    looks = {FORWARD: "o", TRAINING: "s"}
    counts = sorted({r.case.threads for r in results})
    with rc_context(STYLE):
        figure, grid = _figure((10, 1.7 + 0.3 * len(shapes)), 1, len(cells), sharey=True)
        for axes, cell in zip(grid, cells, strict=True):
            for r in (r for r in results if r.case.cell == cell):
                axes.plot(
                    r.ratio,
                    # the two thread counts a little apart
                    shapes.index(r.case.shape) + 0.16 * (counts.index(r.case.threads) * 2 - 1) * (len(counts) > 1),
                    looks[r.case.mode],
                    color=COLOURS[cell],
                    markerfacecolor=COLOURS[cell] if r.case.threads == counts[0] else "white",
                    clip_on=False,
                )
            _ratio_axis(axes, [r.ratio for r in results])
            axes.set_title(cell)
            axes.set_yticks(range(len(shapes)), [str(shape) for shape in shapes])
            axes.set_ylim(len(shapes) - 0.5, -0.5)
        grid[0].set_ylabel("T,N,I,H,L")
        figure.supxlabel("torch.nn's time / statewise's time: right of the line statewise is faster", fontsize=9.5)
        keys = [
            _key(f"{mode}, {_threads(count)}", INK, looks[mode], hollow=count != counts[0])
            for mode in MODES
            for count in counts
        ]
        faster = sum(r.ratio > 1 for r in results)
        _entitle(figure, f"statewise takes less time than torch.nn in {faster} of {len(results)} cases", keys)
        _save(figure, path)


def linearity(path: Path, lines: Iterable[Line]) -> None:
    """The cost of a step of one row along T and along N."""
    lines = [line for line in lines if line.size in "TN"]
    modes = [mode for mode in MODES if any(line.mode == mode for line in lines)]
    with rc_context(STYLE):
        figure, grid = _figure((10, 1.2 + 2.9 * len(modes)), len(modes), 2)
        for i, mode in enumerate(modes):
            for axes, size in zip(grid[2 * i : 2 * i + 2], "TN", strict=True):
                for line in (line for line in lines if (line.size, line.mode) == (size, mode)):
                    _curves(axes, line, line.cost, line.torchs_cost)
                other = f"N = {BASE.N}" if size == "T" else f"T = {BASE.T}"
                axes.set_title(f"{mode}, along {size} ({other}, I = H = {BASE.H})")
                axes.set_yscale("log")
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.yaxis.set_minor_locator(NullLocator())
                axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
                _size_axis(axes, size)
            grid[2 * i].set_ylabel("ns for a step of one row")
        spread = max((_spread(line) for line in lines), default=1.0)
        title = f"From T and N = {MANY} on, the cost of a step of one row stays within a factor of {spread:.2f}"
        _entitle(figure, title, _keys_of_cells(lines))
        _save(figure, path)


def peak_by_size(path: Path, lines: Iterable[Line]) -> None:
    """The share of the sgemm peak along H."""
    lines = [line for line in lines if line.size == "H"]
    modes = [mode for mode in MODES if any(line.mode == mode for line in lines)]
    with rc_context(STYLE):
        figure, grid = _figure((10, 4.1), 1, len(modes), sharey=True)
        for axes, mode in zip(grid, modes, strict=True):
            for line in (line for line in lines if line.mode == mode):
                _curves(axes, line, lambda r: r.peak_fraction, lambda r: r.peak_fraction / r.ratio)
            axes.axhline(1, color=QUIET, lw=1, ls=(0, (1, 2)))
            axes.set_title(f"{mode} (T = {BASE.T}, N = {BASE.N}, I = {BASE.I})")
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.set_ylim(bottom=0)
            _size_axis(axes, "H")
        grid[0].set_ylabel("share of the sgemm peak")
        best = max((r for line in lines for r in line.results), key=lambda r: r.peak_fraction)
        title = f"Up to {best.peak_fraction:.0%} of peak: {best.case.cell}, {best.case.mode}, H = {best.case.shape.H}"
        _entitle(figure, title, _keys_of_cells(lines))
        _save(figure, path)


def peers(path: Path, results: Sequence[PeerResult]) -> None:
    """A panel for each kind of work, a row for each case, a marker for each library."""
    groups = list(dict.fromkeys(r.group for r in results))
    names = [name for name in PEERS if any(name in r.ratios for r in results)]
    rows = {group: [r for r in results if r.group == group] for group in groups}
    with rc_context(STYLE):
        figure, grid = _figure((10, 1.7 + 0.42 * max(map(len, rows.values()))), 1, len(groups))
        for axes, group in zip(grid, groups, strict=True):
            for i, r in enumerate(rows[group]):
                for name, ratio in r.ratios.items():
                    colour, marker = PEERS[name]
                    row = i + 0.15 * (names.index(name) - (len(names) - 1) / 2)  # apart, where ratios are alike
                    axes.plot(ratio, row, marker, color=colour, clip_on=False)
            _ratio_axis(axes, [ratio for r in rows[group] for ratio in r.ratios.values()])
            axes.set_title(group)
            labels = [f"{r.case.cell} {str(r.case.shape).removesuffix(',1')}" for r in rows[group]]
            axes.set_yticks(range(len(labels)), labels)
            axes.set_ylim(len(labels) - 0.5, -0.5)
        figure.supxlabel("their time / statewise's time: right of the line statewise is faster", fontsize=9.5)
        keys = [_key(name, *PEERS[name]) for name in names]
        ratios = [ratio for r in results for ratio in r.ratios.values()]
        title = f"statewise takes less time in {sum(r > 1 for r in ratios)} of {len(ratios)} comparisons"
        _entitle(figure, title, keys)
        _save(figure, path)


def _figure(size: tuple[float, float], rows: int, columns: int, *, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08, rect=(0, 0, 1, 1 - 0.72 / size[1]))
    figure = Figure(figsize=size, layout=layout, facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    return figure, list(grid.flat)


def _entitle(figure: Figure, title: str, keys: Sequence[Line2D]) -> None:
    """The title and, below it, the legend, above all panels."""
    height = figure.get_size_inches()[1]
    figure.text(0.012, 1 - 0.12 / height, title, ha="left", va="top", fontsize=13, fontweight="bold")
    figure.legend(
        handles=list(keys),
        loc="upper left",
        bbox_to_anchor=(0.004, 1 - 0.38 / height),
        ncols=len(keys),
        columnspacing=1.6,
        handletextpad=0.5,
    )


def _curves(axes: Axes, line: Line, ours: Callable[[Result], float], theirs: Callable[[Result], float]) -> None:
    """One cell: statewise's figures with markers, torch.nn's dashed."""
    colour = COLOURS[line.cell]
    axes.plot(line.values, [ours(r) for r in line.results], color=colour, marker=MARKERS[line.cell])
    axes.plot(line.values, [theirs(r) for r in line.results], color=colour, lw=1, ls="--")


def _size_axis(axes: Axes, size: str) -> None:
    """Powers of two, every second one named."""
    axes.set_xscale("log", base=2)
    low, high = axes.get_xlim()
    ticks = [2**k for k in range(13) if low <= 2**k <= high]
    axes.xaxis.set_major_locator(FixedLocator(ticks[:: 2 if len(ticks) > 8 else 1]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
    axes.set_xlabel(size)


def _ratio_axis(axes: Axes, ratios: Sequence[float]) -> None:
    """Logarithmic, with a line where both sides take the same time."""
    axes.set_xscale("log")
    low, high = min(0.9, *ratios) * 0.85, max(1.1, *ratios) * 1.15
    axes.set_xlim(low, high)
    steps = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
    axes.xaxis.set_major_locator(FixedLocator([step for step in steps if low <= step <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.axvline(1, color=INK, lw=1)


def _spread(line: Line) -> float:
    """The highest cost over the lowest from ``MANY`` on."""
    costs = [line.cost(r) for value, r in zip(line.values, line.results, strict=True) if value >= MANY]
    return max(costs) / min(costs) if costs else 1.0


def _keys_of_cells(lines: Iterable[Line]) -> list[Line2D]:
    cells = list(dict.fromkeys(line.cell for line in lines))
    return [
        *(Line2D([], [], color=COLOURS[cell], marker=MARKERS[cell], label=f"statewise {cell}") for cell in cells),
        *(Line2D([], [], color=COLOURS[cell], lw=1, ls="--", label=f"torch.nn {cell}") for cell in cells),
    ]


def _key(label: str, colour: str, marker: str, *, hollow: bool = False) -> Line2D:
    inside = "white" if hollow else colour
    return Line2D([], [], color=colour, marker=marker, markerfacecolor=inside, ls="", label=label)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _save(figure: Figure, path: Path) -> None:
    drawn = StringIO()
    figure.savefig(drawn, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Type", "Format")))
    path.write_text(_slim(drawn.getvalue()), encoding="utf-8")


def _slim(svg: str) -> str:
    """The same picture in half the bytes: each style once, as a class, and no digits that no screen shows."""
    classes: dict[str, int] = {}

    def named(style: re.Match[str]) -> str:
        return f'class="s{classes.setdefault(style[1], len(classes))}"'

    svg = re.sub(r'style="([^"]*)"', named, svg)
    rules = "".join(f".s{number}{{{style}}}" for style, number in classes.items())
    svg = svg.replace("</style>", f"{rules}</style>", 1)
    return re.sub(r"\n\s*", "\n", re.sub(r"(\d\.\d\d)\d+", r"\1", svg))
