"""The unrolled network as a picture: a box for each layer, direction and step, an arrow for each tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from ..layers.recurrent import RecurrentLayer

MOST_STEPS = 5  # more are drawn as the first ones, a gap and the last
BOX, GAP, ROW = (112, 34), 60, 66  # of a box width and height; between boxes; from row to row
ASIDE = 34  # how far the two directions stand left and right of their step's middle
MARGIN = 150  # at the sides, for the states


@dataclass
class Picture:
    """Shapes in a plane whose y grows downward: what is drawn, as SVG text or by matplotlib."""

    width: float
    height: float
    boxes: list[tuple[float, float, str, str]] = field(default_factory=list)  # middle x, y, text, kind
    arrows: list[tuple[float, float, float, float, str]] = field(default_factory=list)  # from, to, kind
    texts: list[tuple[float, float, str, str]] = field(default_factory=list)  # x, y, text, anchor

    def svg(self) -> str:
        """As one SVG element; colours follow the page's, light or dark."""
        parts = [_SVG_HEAD.format(width=self.width, height=self.height)]
        for x0, y0, x1, y1, kind in self.arrows:
            parts.append(f'<path class="{kind}" d="M{x0:g} {y0:g} L{x1:g} {y1:g}" marker-end="url(#head)"/>')
        w, h = BOX
        for x, y, text, kind in self.boxes:
            parts.append(f'<rect class="{kind}" x="{x - w / 2:g}" y="{y - h / 2:g}" width="{w}" height="{h}" rx="6"/>')
            parts.append(f'<text x="{x:g}" y="{y + 4:g}" text-anchor="middle">{escape(text)}</text>')
        for x, y, text, anchor in self.texts:
            parts.append(f'<text class="said" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>')
        return "\n".join([*parts, "</svg>"])

    def png(self) -> bytes:
        """As a PNG file, drawn by matplotlib."""
        from io import BytesIO

        from matplotlib.figure import Figure
        from matplotlib.patches import FancyBboxPatch

        figure = Figure((self.width / 100, self.height / 100), dpi=200)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
        axes.set_axis_off()
        for x0, y0, x1, y1, kind in self.arrows:
            arrow = {"arrowstyle": "-|>", "color": _COLOURS[kind], "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
        w, h = BOX
        for x, y, text, kind in self.boxes:
            corner = (x - w / 2, y - h / 2)
            axes.add_patch(
                FancyBboxPatch(corner, w, h, "round,pad=0,rounding_size=6", fc=_FILLS[kind], ec=_COLOURS[kind])
            )
            axes.text(x, y, text, ha="center", va="center", fontsize=8)
        for x, y, text, anchor in self.texts:
            axes.text(
                x,
                y - 4,
                text,
                ha={"middle": "center", "start": "left", "end": "right"}[anchor],
                va="center",
                fontsize=7.5,
            )
        file = BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()


_COLOURS = {"up": "#555555", "forward": "#2166ac", "backward": "#b2182b"}
_FILLS = {"forward": "#dbe9f6", "backward": "#fbe3e0"}
_SVG_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" style="max-width:{width:g}px" role="img"
 aria-label="The layer unrolled over its steps">
<style>
text {{ font: 13px sans-serif; fill: #222 }} .said {{ font-size: 12px }}
path {{ fill: none; stroke: #555; stroke-width: 1.4 }}
path.forward {{ stroke: #2166ac }} path.backward {{ stroke: #b2182b }}
rect {{ stroke-width: 1.4 }}
rect.forward {{ fill: #dbe9f6; stroke: #2166ac }} rect.backward {{ fill: #fbe3e0; stroke: #b2182b }}
@media (prefers-color-scheme: dark) {{
.said {{ fill: #ccc }} path {{ stroke: #aaa }}
path.forward {{ stroke: #92c5de }} path.backward {{ stroke: #f4a582 }} }}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z" style="fill: context-stroke; stroke: none"/></marker></defs>"""


def unrolled(layer: RecurrentLayer, steps: int, batch: int) -> Picture:
    """``layer`` over ``steps`` steps of ``batch`` rows, time from left to right, layers from below to above."""
    d = layer._stack.directions
    shown: list[int | None] = [*range(steps)] if steps <= MOST_STEPS else [0, 1, 2, None, steps - 1]
    pitch = BOX[0] + GAP + (2 * ASIDE if d == 2 else 0)
    width = 2 * MARGIN + (len(shown) - 1) * pitch + BOX[0] + (2 * ASIDE if d == 2 else 0)
    height = (layer.num_layers * (3 if d == 2 else 1) + (1.6 if d == 2 else 1.9)) * ROW
    picture = Picture(width, height)
    middles = [width / 2 + (k - (len(shown) - 1) / 2) * pitch for k in range(len(shown))]
    bottom = height - 0.4 * ROW
    for k, step in enumerate(shown):
        if step is not None:
            _step(picture, middles[k], bottom, step, layer, batch)
    for row in range(layer.num_layers * d):
        _through_time(picture, middles, [step is None for step in shown], _level(bottom, row, d), row, layer)
    return picture


def _level(bottom: float, row: int, d: int) -> float:
    """The middle of a row of boxes: above each pair of directions there is room for what joins them."""
    return bottom - (row + row // d * (d - 1) + 1.1) * ROW


def _step(picture: Picture, x: float, bottom: float, step: int, layer: RecurrentLayer, batch: int) -> None:
    """What goes up in one step: the input into the lowest layer, its results into the next, the last ones out."""
    d, at = layer._stack.directions, f"[:, {step}]" if layer.batch_first else f"[{step}]"
    picture.texts.append((x, bottom + 4, f"input{at} ({batch}, {layer.input_size})", "middle"))
    below = bottom - 10
    for number in range(layer.num_layers):
        for way in range(d):
            y = _level(bottom, number * d + way, d)
            kind = ("forward", "backward")[way]
            aside = (-ASIDE, ASIDE)[way] if d == 2 else 0
            picture.boxes.append((x + aside, y, f"layer {number}" + (f" {kind}" if d == 2 else ""), kind))
            foot = x + 2 * aside
            picture.arrows.append((x, below, foot, y + BOX[1] / 2, "up"))
        top = _level(bottom, (number + 1) * d - 1, d) - BOX[1] / 2
        if d == 2:  # both side by side: what the next layer reads
            join = top - 0.55 * ROW
            picture.arrows.append((x - 2 * ASIDE, _level(bottom, number * d, d) - BOX[1] / 2, x, join, "forward"))
            picture.arrows.append((x + 2 * ASIDE, top, x, join, "backward"))
            below = join
            if number + 1 < layer.num_layers:
                picture.texts.append((x + 10, join + 2, f"({batch}, {layer._stack.width})", "start"))
        else:
            below = top
    end = below - (0.35 if d == 2 else 0.8) * ROW
    picture.arrows.append((x, below, x, end, "up"))
    picture.texts.append((x, end - 8, f"output{at} ({batch}, {layer._stack.width})", "middle"))


def _through_time(
    picture: Picture, middles: Sequence[float], gaps: Sequence[bool], y: float, row: int, layer: RecurrentLayer
) -> None:
    """The states of one layer and direction from step to step, and at both ends by name."""
    d = layer._stack.directions
    backward = d == 2 and row % 2 == 1
    kind, aside = ("backward", ASIDE) if backward else ("forward", -ASIDE if d == 2 else 0)
    half = BOX[0] / 2
    stops = [x + aside for x in middles]
    edges = [(MARGIN - 30, MARGIN - 30), *[(x - half, x + half) for x in stops], (picture.width - MARGIN + 30,) * 2]
    for (_, x0), (x1, _) in pairwise(edges):
        picture.arrows.append((x1, y, x0, y, kind) if backward else (x0, y, x1, y, kind))
    for x, gap in zip(stops, gaps, strict=True):
        if gap:
            picture.texts.append((x, y + 4, "...", "middle"))
    letters = layer._stack.cell.states[:3]
    before, after = (", ".join(f"{letter}_{end}[{row}]" for letter in letters) for end in "0n")
    first, last = (after, before) if backward else (before, after)
    picture.texts.append((MARGIN - 36, y + 4, first, "end"))
    picture.texts.append((picture.width - MARGIN + 36, y + 4, last, "start"))
