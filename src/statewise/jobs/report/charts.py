"""Pictures that every report has, and how all pictures look. A picture is a matplotlib figure, or its SVG."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from itertools import count

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..watch import Record

REAL, MODEL, SECOND, QUIET, GROUND, LINE = "#1f2933", "#e4572e", "#2e7d9a", "#7b8794", "#f3f5f7", "#d9dee4"

_names = count(1)


def new_figure(width: float = 10.5, height: float = 4.0) -> Figure:
    """An empty figure, sizes in inches."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08), facecolor="white")


def dress(axes: Axes, x: str, y: str) -> None:
    """Give ``axes`` the look of all pictures, and its labels."""
    axes.set_xlabel(x, color=REAL, parse_math=False)
    axes.set_ylabel(y, color=REAL, parse_math=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)
    axes.tick_params(colors=REAL, labelsize=9.5)
    axes.grid(axis="y", color=LINE, lw=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element to stand in a page, its text as text. Names inside it are unique on the page."""
    out = io.StringIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "statewise"}):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font hasn't got
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    own = f"p{next(_names)}-"
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{own}", svg)


def loss_curve(history: Sequence[Record]) -> str:
    """The training loss by update, and the validation score beside it where there is one, as an SVG."""
    figure = new_figure(height=3.4)
    scored = [record for record in history if record.get("validation")]
    name = next(iter(scored[0]["validation"])) if scored else ""
    axes = figure.subplots()
    fits = list(dict.fromkeys(record.get("fit", "") for record in history))
    for index, fit in enumerate(fits):
        points = [record for record in history if record.get("fit", "") == fit]
        label = "training" if index == 0 else None
        thin = 1.4 if len(fits) == 1 else 0.8
        axes.plot([p["update"] for p in points], [p["loss"] for p in points], color=REAL, lw=thin, label=label)
    judged = axes
    if scored and name != "loss":  # another measure has its own scale
        judged = axes.twinx()
    for index, fit in enumerate(fits):
        points = [record for record in scored if record.get("fit", "") == fit]
        label = (f"validation: {name}" if name != "loss" else "validation") if index == 0 else None
        x, y = [p["update"] for p in points], [p["validation"][name] for p in points]
        judged.plot(x, y, color=MODEL, lw=1.4, marker="o" if len(points) < 40 else "", ms=3, label=label)
    dress(axes, "updates", "loss")
    if judged is not axes:
        judged.set_ylabel(name, color=MODEL, parse_math=False)
        judged.tick_params(colors=MODEL, labelsize=9.5)
        judged.spines["top"].set_visible(False)
    if all(record["loss"] > 0 for record in history) and history:
        low, high = (f([record["loss"] for record in history]) for f in (min, max))
        if high > 30 * low:
            axes.set_yscale("log")
    figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9.5)
    return to_svg(figure)
