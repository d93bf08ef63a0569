"""The measures as pictures, in the look of the jobs' reports: SVG that is light or dark as its page is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..jobs.report.charts import LINE, MODEL, QUIET, REAL, SECOND, dress, legend_outside, new_figure, to_svg
from .findings import LEFT
from .measures import Array, Attributions, LayerStates
from .recording import seen

MOST_STEPS, MOST_UNITS, MOST_LABELS, MOST_FEATURES = 120, 48, 40, 40  # of what is shown
MOST_CURVES = 8


def heat_maps(layer: LayerStates, row: int, labels: Sequence[str] = ()) -> str:
    """Every gate and state of one row: units by steps. Units are in the order in which h is largest."""
    length = int(layer.lengths[row])
    first = max(0, length - MOST_STEPS)
    h = layer.h[first:length, row]  # (T, H)
    units = np.argsort(np.abs(h).argmax(0), kind="stable")
    units = units[np.linspace(0, len(units) - 1, min(len(units), MOST_UNITS)).astype(int)]
    squashed = seen(layer.cell).squashed
    panels = list({**layer.gates, **layer.states}.items())
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    rows = -(-len(panels) // columns)
    shown = _shortened(labels[first:length]) if length - first <= MOST_LABELS // 2 else []
    below = 0.42 + 0.045 * max(map(len, shown), default=0)  # inches, for what the steps are called
    height = rows * (1.9 + below)
    figure = new_figure(height=height)
    figure.set_layout_engine(None)  # which would take most of the time
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(0.03, below / height, 0.99, 1 - 0.3 / height, 0.06, (0.3 + below) / 1.6)
    for axes, (name, values) in zip(grid.flat, panels, strict=False):
        block = values[first:length, row][:, units].T  # (H, T)
        gate = squashed.get(name) == "sigmoid"
        bound = 1.0 if squashed.get(name) in ("sigmoid", "tanh") else float(np.abs(block).max(initial=1e-6))
        axes.imshow(
            block,
            aspect="auto",
            interpolation="nearest",
            cmap="viridis" if gate else "RdBu_r",
            vmin=0 if gate else -bound,
            vmax=bound,
            extent=(first - 0.5, length - 0.5, len(units) - 0.5, -0.5),
        )
        state = " (state)" if name in layer.states else ""
        colours = "dark 0, light 1" if gate else f"blue -{bound:.2g}, red {bound:.2g}"
        axes.set_title(f"{name}{state}: {colours}", y=1, color=REAL, fontsize=9.5, loc="left")
        _plain(axes)
        _label_steps(axes, shown, first)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    return to_svg(figure)


def reaches(layers: Sequence[LayerStates]) -> str:
    """How much of a gradient is left so many steps back: a curve for each layer and direction."""
    figure = new_figure(height=3.2)
    axes = figure.subplots()
    for k, layer in enumerate(layers[:MOST_CURVES]):
        reach = np.maximum(layer.reach, 1e-12)
        axes.plot(reach, color=(REAL, MODEL, SECOND, QUIET)[k % 4], ls=("-", "--")[k // 4], lw=1.6, label=layer.name)
    axes.axhline(LEFT, color=QUIET, lw=0.9, ls=":")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda left, _: f"{left:g}"))  # powers as formulas cost twice the time
    axes.minorticks_off()
    dress(axes, "steps before the last one", "left of a gradient")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_outside(axes, above=6, columns=3)
    return to_svg(figure)


def saturations(layers: Sequence[LayerStates]) -> str:
    """A bar for each gate: what is at the lower bound, between, at the upper one."""
    bars = [(f"{layer.name}: {gate}", *shares) for layer in layers for gate, shares in layer.saturation.items()]
    figure = new_figure(height=0.9 + 0.27 * len(bars))
    axes = figure.subplots()
    places = np.arange(len(bars))[::-1]
    low, high = (np.array([bar[k] for bar in bars]) for k in (1, 2))
    axes.barh(places, low, color=SECOND, label="at the lower bound")
    axes.barh(places, 1 - low - high, left=low, color=LINE, label="between")
    axes.barh(places, high, left=1 - high, color=MODEL, label="at the upper bound")
    dress(axes, "share of the values", "")
    axes.set_yticks(places, [bar[0] for bar in bars])
    axes.set_xlim(0, 1)
    axes.grid(visible=False)
    legend_outside(axes, above=6, columns=3)
    return to_svg(figure)


def spreads(layers: Sequence[LayerStates]) -> str:
    """How much each unit's h varies, largest first: a curve for each layer and direction."""
    figure = new_figure(height=2.8)
    axes = figure.subplots()
    for k, layer in enumerate(layers[:MOST_CURVES]):
        spread = np.sort(layer.spread)[::-1]
        axes.plot(spread, color=(REAL, MODEL, SECOND, QUIET)[k % 4], ls=("-", "--")[k // 4], lw=1.6, label=layer.name)
    axes.set_ylim(bottom=0)
    dress(axes, "units, by deviation", "deviation of h")
    legend_outside(axes, above=6, columns=3)
    return to_svg(figure)


def attributions(found: Attributions, row: int, names: Sequence[str], labels: Sequence[str]) -> str:
    """What of one row the result comes from; and of all rows, by feature where they have names, else by step."""
    length = int((~np.isnan(found.values[:, row, 0])).sum())
    first = max(0, length - MOST_STEPS)
    values = found.values[first:length, row]  # (T, I)
    shown = _shortened(labels[first:length])
    if not names or len(names) > MOST_FEATURES:
        return _by_step(values.sum(1), shown, first)
    figure = new_figure(height=max(2.4, 0.9 + 0.24 * len(names)))
    left, right = figure.subplots(1, 2, width_ratios=[3, 1.2])
    bound = float(np.abs(values).max(initial=1e-12))
    extent = (first - 0.5, length - 0.5, len(names) - 0.5, -0.5)
    image = left.imshow(
        values.T, aspect="auto", interpolation="nearest", cmap="RdBu_r", vmin=-bound, vmax=bound, extent=extent
    )
    _plain(left)
    _label_steps(left, shown, first)
    left.yaxis.set_visible(True)
    left.set_yticks(range(len(names)), [name[:24] for name in names])
    left.set_title("what one row's result comes from", y=1, color=REAL, fontsize=10, loc="left")
    bar = figure.colorbar(image, ax=left, pad=0.02, fraction=0.05)
    bar.outline.set_visible(False)
    bar.ax.tick_params(color=QUIET, labelcolor=REAL, labelsize=8)
    right.barh(range(len(names)), found.features, color=SECOND)
    dress(right, "share, all rows", "")
    right.set_ylim(len(names) - 0.5, -0.5)
    right.set_yticks([])
    right.grid(visible=False)
    return to_svg(figure)


def _by_step(values: Array, labels: Sequence[str], first: int) -> str:
    figure = new_figure(height=2.6 if len(labels) <= MOST_LABELS else 2.2)
    axes = figure.subplots()
    colours = [MODEL if value > 0 else SECOND for value in values]
    axes.bar(np.arange(first, first + len(values)), values, color=colours)
    dress(axes, "", "adds to the result")
    _label_steps(axes, labels, first)
    return to_svg(figure)


def _shortened(labels: Sequence[str]) -> list[str]:
    return [label if len(label) <= 10 else label[:9] + "\u2026" for label in labels]


def _plain(axes: Axes) -> None:
    axes.tick_params(color=QUIET, labelcolor=REAL, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.yaxis.set_visible(False)


def _label_steps(axes: Axes, labels: Sequence[str], first: int) -> None:
    """The steps by what was read, where there is room; else by their numbers."""
    if 0 < len(labels) <= MOST_LABELS:
        turned: dict[str, Any] = {"rotation": 90} if max(map(len, labels)) > 2 or len(labels) > 24 else {}
        axes.set_xticks(range(first, first + len(labels)), labels, fontsize=7.5, parse_math=False, **turned)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("step", color=REAL, fontsize=8.5)
