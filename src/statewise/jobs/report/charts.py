"""Pictures that every report has, and how all pictures look. A picture is a matplotlib figure, or its SVG.

The colours below are the page's own: in an SVG they change with it between light and dark. Only a number on a coloured
cell does not, since the cell doesn't either.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import ScaledTranslation

from ..training.callbacks import Record

REAL, MODEL, SECOND, QUIET, GROUND, LINE = "#1f2933", "#e4572e", "#2e7d9a", "#7b8794", "#f3f5f7", "#d9dee4"

_ON_THE_PAGE = {REAL: "ink", MODEL: "model", SECOND: "second", QUIET: "quiet", GROUND: "soft", LINE: "line"}
_FIXED = "#1f2932"  # as dark as REAL, and left as it is

PANELS = 3  # of the loss curve: the loss, and so many less one of the other measures
WIDE_RANGE = 30  # the largest loss over the smallest from which on the scale is logarithmic


def new_figure(width: float = 10.5, height: float = 4.0) -> Figure:
    """An empty figure, sizes in inches.

    Titles of axes are set with ``y=1``: matplotlib measures all that is around the axes to find another place.
    """
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08), facecolor="white")


def dress(axes: Axes, x: str, y: str) -> None:
    """Give ``axes`` the look of all pictures, and its labels."""
    axes.set_xlabel(x, color=REAL, parse_math=False)
    axes.set_ylabel(y, color=REAL, parse_math=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)
    axes.tick_params(which="both", color=QUIET, labelcolor=REAL, labelsize=9.5)
    axes.grid(axis="y", color=LINE, lw=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)


def legend_outside(axes: Axes, *, above: float | None = None, below: float = 0.0, columns: int = 4) -> None:
    """A legend where no curve is: so many points ``above`` the upper left corner of ``axes`` or ``below`` the lower."""
    points = -below if above is None else above
    corner = axes.transAxes + ScaledTranslation(0, points / 72, axes.figure.dpi_scale_trans)
    axes.legend(
        loc="upper left" if above is None else "lower left",
        bbox_to_anchor=(-0.006, 0 if above is None else 1),
        bbox_transform=corner,
        borderaxespad=0,
        ncols=columns,
        frameon=False,
        fontsize=9,
        labelcolor=REAL,
    )


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element to stand in a page, its text as text, its ground the page's."""
    _fix_numbers_on_cells(figure)
    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "statewise"}):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font hasn't got
        lay_out(figure)
        figure.savefig(out, format="svg", metadata=nothing, transparent=True)
    svg = out.getvalue()
    colours = "|".join(_ON_THE_PAGE)
    return re.sub(colours, lambda found: f"var(--{_ON_THE_PAGE[found[0]]})", svg[svg.index("<svg") :])


def lay_out(figure: Figure) -> None:
    """Give everything its place once and for all; saving would draw all of it a second time to find the places."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine(None)


def _fix_numbers_on_cells(figure: Figure) -> None:
    for axes in figure.axes:
        if axes.images or any(isinstance(drawn, QuadMesh) for drawn in axes.collections):
            for text in axes.texts:
                if text.get_color() == REAL:
                    text.set_color(_FIXED)


class _Fit(NamedTuple):
    """The curve of one network."""

    points: list[Record]
    scored: list[Record]


def loss_curve(history: Sequence[Record]) -> str:
    """The training loss by update with the validation's, and beside it what else the validation measures, as an SVG."""
    names = list(dict.fromkeys(name for record in history for name in record.get("validation", {})))
    others = [name for name in names if name != "loss"][: PANELS - 1]
    fits = _by_fit(history)
    figure = new_figure(height=3.4)
    panels = figure.subplots(1, 1 + len(others), squeeze=False, width_ratios=[2] + [1] * len(others))[0]
    _draw_loss(panels[0], fits)
    if "loss" in names:
        _draw_validation(panels[0], fits, "loss", kept=names[0] == "loss")
    for axes, name in zip(panels[1:], others, strict=True):
        _draw_validation(axes, fits, name, kept=names[0] == name)
    for axes, name in zip(panels, ["loss", *(f"validation: {name}" for name in others)], strict=True):
        dress(axes, "updates", name)
    for axes in panels:
        if len(axes.get_legend_handles_labels()[1]) > 1:
            legend_outside(axes, above=6)
    return to_svg(figure)


def _by_fit(history: Sequence[Record]) -> list[_Fit]:
    fits: dict[str, list[Record]] = {}
    for record in history:
        fits.setdefault(record.get("fit", ""), []).append(record)
    return [_Fit(points, [p for p in points if p.get("validation")]) for points in fits.values()]


def _draw_loss(axes: Axes, fits: Sequence[_Fit]) -> None:
    style: dict[str, Any] = {"lw": 1.4} if len(fits) == 1 else {"lw": 0.9, "alpha": 0.6}
    for index, fit in enumerate(fits):
        x, y = [p["update"] for p in fit.points], [p["loss"] for p in fit.points]
        axes.plot(x, y, color=REAL, label="training" if index == 0 else None, **style)
    losses = [p["loss"] for fit in fits for p in fit.points]
    if losses and min(losses) > 0 and max(losses) > WIDE_RANGE * min(losses):
        axes.set_yscale("log")


def _draw_validation(axes: Axes, fits: Sequence[_Fit], name: str, *, kept: bool) -> None:
    """One measure by update; a ring, where ``kept``, around the best of each network, whose weights are kept."""
    style: dict[str, Any] = {"lw": 1.6} if len(fits) == 1 else {"lw": 0.9, "alpha": 0.6}
    for index, fit in enumerate(fits):
        scores = [(p["update"], p["validation"][name]) for p in fit.scored if name in p["validation"]]
        if not scores:
            continue
        marker = "o" if len(scores) == 1 else ""
        label = "validation" if index == 0 else None
        axes.plot(*zip(*scores, strict=True), color=MODEL, marker=marker, ms=4, label=label, **style)
        if kept:
            best = min(scores, key=lambda score: score[1])
            axes.plot(*best, color=MODEL, ls="", marker="o", ms=7, mfc="none", label="kept" if index == 0 else None)
