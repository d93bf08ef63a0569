"""The picture of a run: the whole series with the split, and the test part from near."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from .scores import Score
from .series import Series

Array = NDArray[np.float64]

REAL, FORECAST, QUIET, GROUND = "#1f2933", "#e4572e", "#7b8794", "#f3f5f7"
NEAR = 150  # more test rows than that can't be told apart


def draw(path: Path, series: Series, predicted: Array, split: int, scores: Sequence[Score]) -> None:
    """Write the picture of ``series`` against ``predicted``, both (n,), to ``path``.

    ``split`` is the first test row; of ``scores`` the first is the model's.
    """
    layout = ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.09)
    figure = Figure(figsize=(11, 7), dpi=160, layout=layout, facecolor="white")
    whole, near = figure.subplots(2, 1, height_ratios=(3, 2))
    title = f"{series.target}, {series.ahead}: real and forecast\n"
    figure.suptitle(title, x=0.012, ha="left", fontsize=15, fontweight="bold", color=REAL, parse_math=False)
    figures = "  ·  ".join(f"{score.name} {score.rmse:.4g}" for score in scores)
    figure.text(0.012, 0.928, f"RMSE on the test part:  {figures}", fontsize=10, color=QUIET)
    _whole(whole, series, predicted, split, scores[0].name)
    _near(near, series, predicted, split)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font hasn't got
        figure.savefig(path, metadata={"Software": None})


def _whole(axes: Axes, series: Series, predicted: Array, split: int, model: str) -> None:
    when, dense = series.when, len(series) > 400
    _dress(axes, series)
    width = 0.8 if dense else 1.7
    axes.plot(when, series.values, color=REAL, lw=width, label="real")
    axes.plot(
        when[:split],
        predicted[:split],
        color=FORECAST,
        lw=width * 0.6,
        alpha=0.55,
        label=f"{model}, training part",
    )
    axes.plot(when[split:], predicted[split:], color=FORECAST, lw=width, label=f"{model}, test part")
    axes.axvspan(when[split], when[-1], color=GROUND, zorder=0)
    axes.axvline(when[split], color=QUIET, lw=1, ls=(0, (4, 3)))
    for text, side in ((f"training: {split} rows  ", "right"), (f"  test: {len(series) - split} rows", "left")):
        axes.annotate(
            text,
            (when[split], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 5),
            textcoords="offset points",
            ha=side,
            va="bottom",
            fontsize=9.5,
            color=QUIET,
        )
    axes.legend(loc="lower left", bbox_to_anchor=(-0.006, 0.985), ncols=3, frameon=False, fontsize=9.5)


def _near(axes: Axes, series: Series, predicted: Array, split: int) -> None:
    part = slice(split, min(len(series), split + NEAR))
    _dress(axes, series)
    axes.set_facecolor(GROUND)
    axes.plot(series.when[part], series.values[part], "o-", color=REAL, lw=0.8, ms=3.2, label="real")
    axes.plot(series.when[part], predicted[part], color=FORECAST, lw=1.7)
    rows = part.stop - part.start
    every = rows == len(series) - split
    near = "The test part from near" if every else f"The first {rows} rows of the test part from near"
    axes.set_title(near, loc="left", fontsize=10.5, color=REAL)
    axes.set_xlabel(series.time or "row", color=REAL, parse_math=False)


def _dress(axes: Axes, series: Series) -> None:
    axes.set_ylabel(series.target, color=REAL, parse_math=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)
    axes.tick_params(colors=REAL, labelsize=9.5)
    axes.grid(axis="y", color="#d9dee4", lw=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    if np.issubdtype(series.when.dtype, np.datetime64):
        locator = AutoDateLocator(minticks=5, maxticks=13)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
