"""The pictures of a run: the confusion matrix, and sequences with what they were taken for."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from ...report import to_svg
from ...report.charts import LINE, MODEL, QUIET, REAL, SECOND, new_figure
from .examples import Examples
from .result import ClassResult, NumberResult, Result
from .sequences import Rows

MOST_NUMBERED = 20  # classes whose counts can be read
MOST_LINES = 12  # channels of a sequence that are drawn
COLUMNS = 6
PANELS = 12

COUNTS = LinearSegmentedColormap.from_list("counts", ["#ffffff", "#9cc5d6", SECOND, "#123d4d"])


def confusion_matrix(result: ClassResult) -> str:
    """How often each class (a row) was taken for each (a column), shares of the row as colours, as an SVG."""
    counts, n = result.confusion, len(result.names)
    size = min(2.6 + 0.42 * n, 9.0)
    figure = new_figure(size + 0.8, size)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap=COUNTS, vmin=0, vmax=1, extent=(0, n, n, 0), interpolation="nearest")
    if n <= MOST_NUMBERED:
        for edge in range(n + 1):
            axes.axhline(edge, color=LINE, lw=0.5)
            axes.axvline(edge, color=LINE, lw=0.5)
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.45 else REAL
            axes.text(column + 0.5, row + 0.5, str(counts[row, column]), ha="center", va="center", color=colour)
    every = max(1, -(-n // 40))
    places = range(0, n, every)
    names = [_short(result.names[place], 14) for place in places]
    long = max(map(len, names)) > 3
    axes.set_xticks([place + 0.5 for place in places], names, rotation=90 if long else 0, parse_math=False)
    axes.set_yticks([place + 0.5 for place in places], names, parse_math=False)
    axes.set_xlabel("predicted", color=REAL)
    axes.set_ylabel("true", color=REAL)
    axes.tick_params(length=0, colors=REAL, labelsize=9.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return to_svg(figure)


def some(examples: Examples, result: Result, rows: Rows) -> str:
    """The sequences ``rows``, at most twelve, each with its true and its predicted class, as an SVG."""
    rows = rows[:PANELS]
    height = 1.9 if examples.picture else 1.75
    figure = new_figure(10.5, height * -(-len(rows) // COLUMNS))
    panels = figure.subplots(-(-len(rows) // COLUMNS), COLUMNS, squeeze=False).ravel()
    for axes in panels[len(rows) :]:
        axes.set_axis_off()
    for row, axes in zip(rows, panels, strict=False):
        _one(axes, examples, int(row))
        _title(axes, result, int(row))
    return to_svg(figure)


def one_of_each(result: ClassResult) -> Rows:
    """A row for each of the first classes that was taken for what it is, the surest of its class."""
    right = result.predicted == result.truth
    found = []
    for label in range(len(result.names)):
        rows = np.flatnonzero(right & (result.truth == label))
        if len(rows):
            found.append(rows[result.said[rows, label].argmax()])
    return np.array(found[:PANELS], np.int64)


def scatter(result: NumberResult) -> str:
    """What is said of each sequence beside what it is, as an SVG."""
    figure = new_figure(6.2, 5.4)
    axes = figure.subplots()
    ends = [min(result.truth.min(), result.said.min()), max(result.truth.max(), result.said.max())]
    axes.plot(ends, ends, color=QUIET, lw=1)
    axes.scatter(result.truth, result.said, s=14, color=MODEL, alpha=0.7, linewidths=0)
    axes.set_xlabel("true", color=REAL)
    axes.set_ylabel("predicted", color=REAL)
    axes.tick_params(colors=REAL, labelsize=9.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return to_svg(figure)


def _one(axes: Axes, examples: Examples, row: int) -> None:
    steps = np.asarray(examples.sequences[row], np.float64)  # (T, I)
    if examples.picture is not None:
        axes.imshow(steps.reshape(examples.picture), cmap="gray_r", interpolation="nearest")
        axes.set_axis_off()
        return
    shown = steps[:, :MOST_LINES]
    for index, channel in enumerate(shown.T):
        colour = SECOND if shown.shape[1] == 1 else COUNTS(0.35 + 0.65 * index / (shown.shape[1] - 1))
        axes.plot(channel, color=colour, lw=1.1)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)


def _title(axes: Axes, result: Result, row: int) -> None:
    truth, said, right = result.titles(row)
    real, taken = _short(truth, 12), _short(said, 20)
    text = (
        f"{real}\ntaken for {taken}" if not right else taken if isinstance(result, ClassResult) else f"{real}: {taken}"
    )
    axes.set_title(text, y=1, fontsize=9, color=REAL if right else MODEL, parse_math=False)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
