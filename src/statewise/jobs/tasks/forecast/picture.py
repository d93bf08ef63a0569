"""The pictures of a run: a series with its forecasts and their intervals, the error by step, the spread over series."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ...report.charts import GROUND, LINE, MODEL, QUIET, REAL, SECOND, dress, lay_out, legend_outside, new_figure
from .backtest import Backtest, Score
from .split import Array, Rows

SHOWN = 6  # horizons of the test part at most, in the picture from near
HISTORY = 4  # times what is shown of the test part that is shown before it at most, ...
DENSE = 400  # ... unless those are more rows than this
BESIDE = {  # the colour and the dashes of a baseline, by the first word of its name
    "persistence": (SECOND, (5, 2)),
    "seasonal": ("#6c4f9c", (1, 1.5)),
    "drift": ("#b58900", (7, 2, 1.5, 2)),
    "linear": ("#0b6e4f", (2.5, 1.5)),
}
ABOVE, BELOW = 20, 40  # points from the axes to a legend: above what is said of the split, below the axis's label


def draw(path: Path, tested: Backtest, series: int) -> None:
    """Write ``forecast.png``: one series with its split, forecasts that follow one another, and the error by step."""
    figure = new_figure(11, 7.2)
    figure.set_dpi(160)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2), width_ratios=(3, 2))
    model, name = tested.model, tested.problem.series[series].name
    steps = f"{model.plan.horizon} steps" if model.grid.step == "row" else model.grid.steps(model.plan.horizon)
    title = f"{name}: rolling forecasts of {steps}\n"
    figure.suptitle(title, x=0.012, ha="left", fontsize=15, fontweight="bold", color=REAL, parse_math=False)
    figure.text(0.012, 0.932, _figures(tested.scores), fontsize=10, color=QUIET, parse_math=False)
    whole = figure.add_subplot(grid[0, :])
    follow_one_another(whole, tested, series)
    near = figure.add_subplot(grid[1, 0])
    every_origin(near, tested, series)
    error_by_step(figure.add_subplot(grid[1, 1]), tested.scores, columns=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font hasn't got
        lay_out(figure)
        figure.savefig(path, metadata={"Software": None})


def series_figure(tested: Backtest, series: int) -> Figure:
    """One series for the report."""
    figure = new_figure(height=3.6)
    follow_one_another(figure.subplots(), tested, series)
    return figure


def step_figure(scores: Sequence[Score]) -> Figure:
    """The error by step for the report."""
    figure = new_figure(height=3.4)
    error_by_step(figure.subplots(), scores)
    return figure


def follow_one_another(axes: Axes, tested: Backtest, series: int) -> None:
    """A series, its test part shaded, with forecasts that don't overlap, the last of them beyond the data."""
    model, future, plan, shown = tested.model, tested.future, tested.model.plan, tested.problem.series[series]
    start, end = tested.test_part(series)
    last = min(end, max(start + SHOWN * plan.horizon, start + 60))
    span = last - start
    first = max(0, start - max(min(HISTORY * span, max(span, DENSE)), 2 * plan.horizon))
    when = model.grid.when(shown.first + np.arange(first, last))
    dense = last - first > DENSE
    axes.plot(when, shown.real[first:last], color=REAL, lw=0.8 if dense else 1.6, label="real")
    chosen = _following(tested.rows[tested.series == series], last, plan.horizon)
    label: str | None = f"{model.label}, median"
    band: str | None = _band(plan.quantiles)
    for row in chosen:
        at = int(np.flatnonzero((tested.series == series) & (tested.rows == row))[0])
        times = model.grid.when(shown.first + row + np.arange(plan.horizon))
        _fan(axes, times, tested.quantiles[at], plan.median, label, band)
        label = band = None
    if future is not None and last == len(shown.values):
        _fan(axes, model.grid.when(future.places[series]), future.quantiles[series], plan.median, label, band)
    if len(when):
        left = model.grid.when(np.array([shown.first + start]))[0]
        right = model.grid.when(np.array([shown.first + last - 1]))[0]
        axes.axvspan(left, right, color=GROUND, zorder=0)
        axes.axvline(left, color=QUIET, lw=1, ls=(0, (4, 3)))
        _beside_split(axes, left, start, end - start)
    dress(axes, tested.problem.panel.columns.time or "row", shown.name)
    _ticks(axes, when)
    legend_outside(axes, above=ABOVE)


def every_origin(axes: Axes, tested: Backtest, series: int) -> None:
    """The test part from near, with the point forecast from every origin as a thin line."""
    model, plan, shown = tested.model, tested.model.plan, tested.problem.series[series]
    start, end = tested.test_part(series)
    last = min(end, start + max(SHOWN // 2 * plan.horizon, 60))
    mine = np.flatnonzero((tested.series == series) & (tested.rows + plan.horizon <= last))
    mine = mine[:: -(-len(mine) // 60) or 1]
    for at in mine:
        times = model.grid.when(shown.first + tested.rows[at] + np.arange(plan.horizon))
        axes.plot(times, tested.quantiles[at][:, plan.median], color=MODEL, lw=0.7, alpha=0.45)
    when = model.grid.when(shown.first + np.arange(start, last))
    axes.plot(when, shown.real[start:last], "o-" if last - start < 150 else "-", color=REAL, lw=0.8, ms=3.0)
    axes.set_facecolor(GROUND)
    which = "The test part" if last == end else f"The first {last - start} rows of the test part"
    axes.set_title(f"{which}, forecasts from {len(mine)} origins", y=1, loc="left", fontsize=10.5, color=REAL)
    dress(axes, tested.problem.panel.columns.time or "row", shown.name)
    _ticks(axes, when)


def error_by_step(axes: Axes, scores: Sequence[Score], *, columns: int = 5) -> None:
    """The mean absolute error at each step of the horizon, of the model and, dashed over it, of the baselines."""
    for index, score in enumerate(scores):
        steps = np.arange(1, len(score.mae_by_step) + 1)
        color, dashes = BESIDE.get(score.name.split()[0], (QUIET, (3, 3)))
        marker = "o" if len(steps) < 2 else ""
        (line,) = axes.plot(steps, score.mae_by_step, color=MODEL, lw=3.2, zorder=2, marker=marker, label=score.name)
        if index:
            line.set(color=color, lw=1.5, zorder=3)
            line.set_dashes(dashes)
    dress(axes, "steps ahead", "")
    axes.set_title("Mean absolute error by step", y=1, loc="left", fontsize=10.5, color=REAL)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_outside(axes, below=BELOW, columns=columns)


def spread_figure(scores: Sequence[Score]) -> Figure:
    """How the scaled error is spread over many series, for the model and the best baseline."""
    figure = new_figure(height=3.2)
    axes = figure.subplots()
    rivals = sorted((s for s in scores[1:] if s.mase is not None), key=lambda s: s.mase or 0.0)
    for score, color in zip([*rivals[:1], scores[0]], (QUIET, MODEL), strict=False):
        values = np.sort([value for value in score.mase_by_series if value is not None])
        axes.plot(values, (np.arange(len(values)) + 1) / len(values), color=color, lw=1.6, label=score.name)
    axes.axvline(1.0, color=LINE, lw=1)
    axes.set_xscale("log")
    for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatter(FuncFormatter(lambda x, _: f"{x:.2g}"))
    dress(axes, "MASE of a series", "share of the series below")
    legend_outside(axes, above=6)
    return figure


def _fan(axes: Axes, times: Array, quantiles: Array, median: int, label: str | None, band: str | None) -> None:
    """One forecast, (H, Q), and its band."""
    marker = "o" if len(times) == 1 else ""
    axes.fill_between(times, quantiles[:, 0], quantiles[:, -1], color=MODEL, alpha=0.16, lw=0, label=band)
    axes.plot(times, quantiles[:, median], color=MODEL, lw=1.6, marker=marker, ms=3, label=label)


def _following(rows: Rows, last: int, horizon: int) -> list[int]:
    """Origins that follow one another without overlap, the last of them as late as can be."""
    chosen: list[int] = []
    for row in sorted((int(r) for r in rows if r + horizon <= last), reverse=True):
        if not chosen or row <= chosen[-1] - horizon:
            chosen.append(row)
    return chosen[::-1]


def _beside_split(axes: Axes, at: object, training: int, test: int) -> None:
    for text, side, away in ((f"training: {training} rows", "right", -7), (f"test: {test} rows", "left", 7)):
        axes.annotate(
            text,
            (at, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(away, 5),
            textcoords="offset points",
            ha=side,
            va="bottom",
            fontsize=9.5,
            color=QUIET,
        )


def _ticks(axes: Axes, when: Array) -> None:
    if np.issubdtype(when.dtype, np.datetime64):
        locator = AutoDateLocator(minticks=4, maxticks=12)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def _figures(scores: Sequence[Score]) -> str:
    if all(score.mase is not None for score in scores):
        return "MASE on the test part:  " + "  ·  ".join(f"{score.name} {score.mase:.3f}" for score in scores)
    return "MAE on the test part:  " + "  ·  ".join(f"{score.name} {score.mae:.4g}" for score in scores)


def _band(levels: Sequence[float]) -> str | None:
    return f"{100 * (levels[-1] - levels[0]):.0f} % interval" if len(levels) > 1 else None
