"""The figures as pictures: SVG with text as text, the same bytes for the same figures.

One way to draw all of them: marks in panels, each of a series that has a look. Each title says what is seen, and is
computed from what is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator, PercentFormatter

INK, QUIET, GRID = "#1f2933", "#66727f", "#dde2e7"
# Okabe and Ito's colours, told apart by everyone; the markers say the same once more.
BLUE, ORANGE, GREEN, PINK, YELLOW = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"
STEPS = (0.1, 0.3, 1, 3, 10, 30, 100, 300)
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
Look = Mapping[str, Any]  # how a series is drawn, in matplotlib's words


@dataclass(frozen=True, slots=True)
class Mark:
    """A point. Where ``y`` is a word, the panel has a row for each."""

    panel: str
    series: str
    x: float
    y: float | str


def dots(colour: str, marker: str, *, hollow: bool = False) -> Look:
    """Markers alone."""
    inside = "white" if hollow else colour
    return {"color": colour, "marker": marker, "ls": "", "markerfacecolor": inside, "clip_on": False}


def draw(
    marks: Iterable[Mark], looks: Mapping[str, Look], title: str, x: str, y: str = "", *, columns: int = 0, **axis: bool
) -> str:
    """An SVG picture with a panel for each that the marks name; ``x`` and ``y`` say what the axes have.

    ``axis``: ``ratio`` for an x axis of ratios, otherwise it has sizes; ``percent`` for a y axis of shares, otherwise
    it is logarithmic.
    """
    panels: dict[str, list[Mark]] = {}
    for mark in marks:
        panels.setdefault(mark.panel, []).append(mark)
    series = list(dict.fromkeys(mark.series for mark in chain(*panels.values())))
    columns = min(columns or len(panels), len(panels))
    rows = -(-len(panels) // columns)
    words = [list(dict.fromkeys(m.y for m in group if isinstance(m.y, str))) for group in panels.values()]
    height = 1.3 + rows * (2.9 if not words[0] else 0.4 + 0.3 * max(map(len, words)))
    with rc_context(STYLE):
        layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08, rect=(0, 0, 1, 1 - 0.72 / height))
        figure = Figure(figsize=(10, height), layout=layout, facecolor="white")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, (name, group), labels in zip(grid.flat, panels.items(), words, strict=False):
            axes.set_title(name)
            for one in series:
                points = [(m.x, _height(m.y, labels, series.index(one), len(series))) for m in group if m.series == one]
                axes.plot(*zip(*points, strict=True), **looks[one]) if points else None
            if labels:
                axes.set_yticks(range(len(labels)), labels)
                axes.set_ylim(len(labels) - 0.5, -0.5)
            else:
                _values_axis(axes, percent=axis.get("percent", False))
            _ratio_axis(axes, [m.x for m in chain(*panels.values())]) if axis.get("ratio") else _size_axis(axes)
        figure.supxlabel(x, fontsize=9.5)
        figure.supylabel(y, fontsize=9.5)
        _entitle(figure, height, title, [Line2D([], [], label=one, **looks[one]) for one in series])
        drawn = StringIO()
        figure.savefig(drawn, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Type", "Format")))
    return _slim(drawn.getvalue())


def _height(y: float | str, labels: Sequence[str], series: int, of: int) -> float:
    """The rows of words stand below each other, in each the series a little apart."""
    return labels.index(y) + 0.15 * (series - (of - 1) / 2) if isinstance(y, str) else y


def _entitle(figure: Figure, height: float, title: str, keys: Sequence[Line2D]) -> None:
    """The title and, below it, the legend, above all panels."""
    figure.text(0.012, 1 - 0.12 / height, title, ha="left", va="top", fontsize=13, fontweight="bold")
    figure.legend(
        handles=list(keys),
        loc="upper left",
        bbox_to_anchor=(0.004, 1 - 0.38 / height),
        ncols=len(keys),
        columnspacing=1.6,
        handletextpad=0.5,
    )


def _size_axis(axes: Axes) -> None:
    """Powers of two, every second one named."""
    axes.set_xscale("log", base=2)
    low, high = axes.get_xlim()
    ticks = [2**k for k in range(13) if low <= 2**k <= high]
    _ticks(axes, ticks[:: 2 if len(ticks) > 8 else 1])


def _ratio_axis(axes: Axes, ratios: Sequence[float]) -> None:
    """Logarithmic, with a line where both sides take the same time."""
    axes.set_xscale("log")
    low, high = min(0.9, *ratios) * 0.85, max(1.1, *ratios) * 1.15
    axes.set_xlim(low, high)
    _ticks(axes, [step for step in STEPS if low <= step <= high])
    axes.axvline(1, color=INK, lw=1)


def _ticks(axes: Axes, ticks: Sequence[float]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def _values_axis(axes: Axes, *, percent: bool) -> None:
    if percent:
        axes.axhline(1, color=QUIET, lw=1, ls=(0, (1, 2)))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))


def _slim(svg: str) -> str:
    """The same picture in half the bytes: each style once, as a class, and no digits that no screen shows."""
    classes: dict[str, int] = {}

    def named(style: re.Match[str]) -> str:
        return f'class="s{classes.setdefault(style[1], len(classes))}"'

    svg = re.sub(r'style="([^"]*)"', named, svg)
    rules = "".join(f".s{number}{{{style}}}" for style, number in classes.items())
    svg = svg.replace("</style>", f"{rules}</style>", 1)
    return re.sub(r"\n\s*", "\n", re.sub(r"(\d\.\d\d)\d+", r"\1", svg))
