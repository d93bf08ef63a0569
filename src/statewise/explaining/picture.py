"""A picture as shapes in a plane: SVG text that follows a reader's light or dark, or a PNG by matplotlib.

In texts ``f_t``, ``h_(t-1)`` and ``W_if`` stand with their ends lowered, as formulas do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

LETTER, CODE = 7.3, 7.3  # widths of a letter of a text and of an equation, in points, at the sizes below
SIZES = {"label": 13, "said": 12, "code": 12, "title": 13}


@dataclass(frozen=True)
class Box:
    """A rectangle around its middle; its kind says how it is coloured."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    radius: float = 6


@dataclass(frozen=True)
class Line:
    """From ``start`` through ``stops``: a point (x, y), or a curve (x1, y1, x2, y2, x, y) with its two handles."""

    start: tuple[float, float]
    stops: Sequence[tuple[float, ...]]
    kind: str
    arrow: bool = True


@dataclass(frozen=True)
class Text:
    """A line of text whose middle is at the height y; ``anchor`` says what of it is at x: start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "middle"
    kind: str = "label"


@dataclass
class Picture:
    """What is drawn, the y axis downward: boxes lie over lines, texts over both."""

    width: float
    height: float
    title: str
    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)

    def above(self, other: Picture) -> Picture:
        """Both in one, this one on top, each in the middle."""
        width = max(self.width, other.width)
        found = Picture(width, self.height + other.height, f"{self.title}; {other.title}")
        for picture, down in ((self, 0.0), (other, self.height)):
            right = (width - picture.width) / 2
            found.boxes += [replace(box, x=box.x + right, y=box.y + down) for box in picture.boxes]
            found.lines += [_moved(line, right, down) for line in picture.lines]
            found.texts += [replace(text, x=text.x + right, y=text.y + down) for text in picture.texts]
        return found

    def svg(self) -> str:
        """As one SVG element with a ground of its own, light or dark as the reader's system is."""
        w, h = self.width, self.height
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="statewise" viewBox="0 0 {w:g} {h:g}" width="{w:g}"'
            f' height="{h:g}" role="img" aria-label="{escape(self.title)}">',
            _style(),
            f'<rect class="ground" width="{w:g}" height="{h:g}" rx="8"/>',
        ]
        for line in self.lines:
            path = f"M{_numbers(line.start)}" + "".join(
                f" {'L' if len(stop) == 2 else 'C'}{_numbers(stop)}" for stop in line.stops
            )
            head = f' marker-end="url(#statewise-{line.kind})"' if line.arrow else ""
            parts.append(f'<path class="{line.kind}" d="{path}"{head}/>')
        for box in self.boxes:
            x, y = box.x - box.width / 2, box.y - box.height / 2
            parts.append(
                f'<rect class="{box.kind}" x="{x:g}" y="{y:g}" width="{box.width:g}" height="{box.height:g}"'
                f' rx="{box.radius:g}"/>'
            )
        for text in self.texts:
            content = "".join(_spans(text.text)) if text.kind != "code" else escape(text.text)
            parts.append(
                f'<text class="{text.kind}" x="{text.x:g}" y="{text.y + 4:g}" text-anchor="{text.anchor}"'
                f' xml:space="preserve">{content}</text>'
            )
        return "\n".join([*parts, "</svg>"])

    def png(self) -> bytes:
        """As a PNG file, light, drawn by matplotlib."""
        from io import BytesIO

        from matplotlib import patheffects
        from matplotlib.figure import Figure
        from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, PathPatch
        from matplotlib.path import Path

        figure = Figure((self.width / 100, self.height / 100), dpi=200, facecolor=GROUND[0])
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
        axes.set_axis_off()
        for line in self.lines:
            points, codes = [line.start], [Path.MOVETO]
            for stop in line.stops:
                points += [stop[k : k + 2] for k in range(0, len(stop), 2)]  # type: ignore[misc]
                codes += [Path.LINETO] if len(stop) == 2 else [Path.CURVE4] * 3
            path, colour = Path(points, codes), STROKES[line.kind][0]
            if line.arrow:
                axes.add_patch(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=7, color=colour, fill=False))
            else:
                axes.add_patch(PathPatch(path, ec=colour, fill=False))
        for box in self.boxes:
            style: dict[str, Any] = {"fc": FILLS[box.kind][0], "ec": STROKES[box.kind][0], "zorder": 2}
            if box.width == box.height == 2 * box.radius:
                axes.add_patch(Circle((box.x, box.y), box.radius, **style))
                continue
            corner = (box.x - box.width / 2, box.y - box.height / 2)
            shape = f"round,pad=0,rounding_size={box.radius}" if box.radius else "square,pad=0"
            axes.add_patch(FancyBboxPatch(corner, box.width, box.height, shape, **style))
        halo = [patheffects.withStroke(linewidth=2.5, foreground=GROUND[0])]
        for text in self.texts:
            code = text.kind == "code"
            axes.text(
                text.x,
                text.y,
                text.text if code else _mathtext(text.text),
                ha={"middle": "center", "start": "left", "end": "right"}[text.anchor],
                va="center_baseline",
                fontsize=SIZES[text.kind] * (0.68 if code else 0.66),  # a point of matplotlib's fonts is wider
                family="monospace" if code else "sans-serif",
                fontweight="bold" if text.kind == "title" else "normal",
                color=INK[0],
                parse_math=not code,
                path_effects=halo if text.kind == "said" else [],
                zorder=3,
            )
        file = BytesIO()
        figure.savefig(file, format="png")
        return file.getvalue()


# Light, dark
GROUND, INK, QUIET = ("#ffffff", "#161b20"), ("#222222", "#e4e7eb"), ("#555555", "#b3bcc6")
STROKES = {
    "up": ("#666666", "#9aa5b1"),
    "forward": ("#2166ac", "#7ab8e8"),
    "backward": ("#b2182b", "#f4a582"),
    "input": ("#1b7837", "#7fc98f"),
    "operation": ("#666666", "#9aa5b1"),
    "empty": ("#aaaaaa", "#5b6875"),
}
FILLS = {
    "up": ("#f3f3f3", "#20272e"),
    "forward": ("#dbe9f6", "#173450"),
    "backward": ("#fbe3e0", "#4a2522"),
    "input": ("#dff2e1", "#173a22"),
    "operation": ("#f3f3f3", "#2a323a"),
    "empty": ("#ffffff", "#161b20"),
}


def _style() -> str:
    """The colours of both grounds, and arrow heads; nothing of it reaches another element of a reader's page."""

    def rules(k: int) -> str:
        found = [f".statewise rect.ground {{ fill: {GROUND[k]} }} .statewise text {{ fill: {INK[k]} }}"]
        found.append(f".statewise text.said {{ fill: {QUIET[k]}; stroke: {GROUND[k]} }}")
        for kind, colours in STROKES.items():
            found.append(f".statewise path.{kind} {{ stroke: {colours[k]} }}")
            found.append(f".statewise rect.{kind} {{ stroke: {colours[k]}; fill: {FILLS[kind][k]} }}")
            found.append(f".statewise .head-{kind} {{ fill: {colours[k]} }}")
        return "\n".join(found)

    sizes = " ".join(f".statewise .{kind} {{ font-size: {size}px }}" for kind, size in SIZES.items())
    heads = "".join(
        f'<marker id="statewise-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6.5" markerHeight="6.5"'
        f' orient="auto"><path class="head-{kind}" d="M0 0 L8 4 L0 8 z"/></marker>'
        for kind in STROKES
    )
    return f"""<style>
.statewise text {{ font-family: sans-serif }} {sizes}
.statewise text.said {{ paint-order: stroke; stroke-width: 3px; stroke-linejoin: round }}
.statewise text.code {{ font-family: monospace }} .statewise text.title {{ font-weight: bold }}
.statewise path, .statewise rect {{ fill: none; stroke-width: 1.4 }} .statewise marker path {{ stroke: none }}
{rules(0)}
@media (prefers-color-scheme: dark) {{ {rules(1)} }}
</style>
<defs>{heads}</defs>"""


def text_width(text: str, kind: str = "label") -> float:
    """How wide a text is drawn, about: a lowered letter is smaller."""
    letters = sum(len(part) * (0.75 if lowered else 1) for part, lowered in parts_of(text))
    return letters * LETTER * SIZES[kind] / SIZES["label"]


_LOWERED = re.compile(r"(?<![A-Za-z_])([A-Za-z]|\w+(?=_t\b|_\(t-1\)))_(\(t-1\)|[A-Za-z0-9]{1,12}\b)(?!_)")


def parts_of(text: str) -> Iterator[tuple[str, bool]]:
    """A text in pieces, and whether each is lowered: ``f_t`` is ``f`` and a lowered ``t``."""
    at = 0
    for found in _LOWERED.finditer(text):
        yield text[at : found.start(2) - 1], False
        yield found[2].strip("()"), True
        at = found.end()
    if at < len(text):
        yield text[at:], False


def _spans(text: str) -> Iterator[str]:
    down = False
    for part, lowered in parts_of(text):
        if lowered:
            yield f'<tspan dy="3.5" font-size="75%">{escape(part)}</tspan>'
        else:
            yield f'<tspan dy="-3.5">{escape(part)}</tspan>' if down else escape(part)
        down = lowered


def _mathtext(text: str) -> str:
    """For matplotlib, whose formulas are between dollars."""
    return "".join(
        f"$_{{\\mathregular{{{part}}}}}$" if lowered else part.replace("$", r"\$") for part, lowered in parts_of(text)
    )


def _moved(line: Line, right: float, down: float) -> Line:
    stops = [tuple(n + (down if k % 2 else right) for k, n in enumerate(stop)) for stop in line.stops]
    return replace(line, start=(line.start[0] + right, line.start[1] + down), stops=stops)


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
