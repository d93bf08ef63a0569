"""The unrolled network as a picture: a box for each layer, direction and step, an arrow for each tensor; its rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..stack import Stack
from .picture import Box, Line, Picture, Text, text_width

MOST_STEPS, MOST_ROWS = 5, 6  # more are drawn as the first ones, a gap and the last
BOX, GAP, ROW = (124, 34), 60, 66  # of a box width and height; least between boxes; from row to row
ASIDE = 36  # how far the two directions stand left and right of their step's middle
MARGIN = 150  # at the sides, least, for the states
STRIP = 26  # height of a ragged row


def unrolled(
    stack: Stack, steps: int, batch: int, batch_first: bool = False, lengths: Sequence[int] | None = None
) -> Picture:
    """``stack`` over ``steps`` steps of ``batch`` rows, time from left to right, layers from below to above.

    With ``lengths`` (N,) what of the rows counts stands below.
    """
    d = stack.directions
    shown: list[int | None] = [*range(steps)] if steps <= MOST_STEPS else [0, 1, 2, None, steps - 1]
    shape = _state_shape(stack, batch)
    gap = max(GAP, text_width(shape, "said") + 24)
    pitch = BOX[0] + gap + (2 * ASIDE if d == 2 else 0)
    margin = max(MARGIN, *(44 + text_width(text, "said") for text in (_states(stack, "n", stack.depth), shape)))
    width = 2 * margin + (len(shown) - 1) * pitch + BOX[0] + (2 * ASIDE if d == 2 else 0)
    height = (stack.num_layers * (3 if d == 2 else 1) + (1.6 if d == 2 else 2.1)) * ROW + 20
    picture = Picture(width, height, "The layer over its steps, each arrow with its shape")
    picture.texts.append(Text(18, 18, picture.title, "start", "title"))
    middles = [width / 2 + (k - (len(shown) - 1) / 2) * pitch for k in range(len(shown))]
    bottom = height - 0.4 * ROW
    for k, step in enumerate(shown):
        if step is not None:
            _step(picture, middles[k], bottom, step, stack, batch, batch_first)
    for row in range(stack.depth):
        gaps = [step is None for step in shown]
        _through_time(picture, middles, gaps, _level(bottom, row, d), row, stack, shape, margin)
    if lengths is not None:
        _ragged(picture, middles, shown, lengths, d, margin)
    return picture


def _level(bottom: float, row: int, d: int) -> float:
    """The middle of a row of boxes: above each pair of directions there is room for what joins them."""
    return bottom - (row + row // d * (d - 1) + 1.1) * ROW


def _step(picture: Picture, x: float, bottom: float, step: int, stack: Stack, batch: int, batch_first: bool) -> None:
    """What goes up in one step: the input into the lowest layer, its results into the next, the last ones out."""
    d, at = stack.directions, f"[:, {step}]" if batch_first else f"[{step}]"

    def line(x0: float, y0: float, x1: float, y1: float, kind: str = "up") -> None:
        picture.lines.append(Line((x0, y0), [(x1, y1)], kind))

    picture.texts.append(Text(x, bottom, f"input{at} ({batch}, {stack.input_size})", kind="said"))
    below = bottom - 10
    for number in range(stack.num_layers):
        for way in range(d):
            y = _level(bottom, number * d + way, d)
            kind = ("forward", "backward")[way]
            aside = (-ASIDE, ASIDE)[way] if d == 2 else 0
            picture.boxes.append(Box(x + aside, y, *BOX, kind))
            picture.texts.append(Text(x + aside, y, f"layer {number}" + (f" {kind}" if d == 2 else "")))
            foot = x + 2 * aside
            line(x, below, foot, y + BOX[1] / 2)
        top = _level(bottom, (number + 1) * d - 1, d) - BOX[1] / 2
        if d == 2:  # both side by side: what the next layer reads
            join = top - 0.55 * ROW
            line(x - 2 * ASIDE, _level(bottom, number * d, d) - BOX[1] / 2, x, join, "forward")
            line(x + 2 * ASIDE, top, x, join, "backward")
            below = join
        else:
            below = top
        if number + 1 < stack.num_layers:
            place = below + 2 if d == 2 else below - 0.25 * ROW
            picture.texts.append(Text(x + 14, place, f"({batch}, {stack.width})", "start", "said"))
    end = below - (0.35 if d == 2 else 0.8) * ROW
    line(x, below, x, end)
    picture.texts.append(Text(x, end - 12, f"output{at} ({batch}, {stack.width})", kind="said"))


def _through_time(
    picture: Picture,
    middles: Sequence[float],
    gaps: Sequence[bool],
    y: float,
    row: int,
    stack: Stack,
    shape: str,
    margin: float,
) -> None:
    """The states of one layer and direction from step to step, and at both ends by name, with the shape of a row."""
    d = stack.directions
    backward = d == 2 and row % 2 == 1
    kind, aside = ("backward", ASIDE) if backward else ("forward", -ASIDE if d == 2 else 0)
    half = BOX[0] / 2
    stops = [x + aside for x in middles]
    left, right = margin - 30.0, picture.width - margin + 30.0
    edges = [(left, left), *[(x - half, x + half) for x in stops], (right, right)]
    for k, ((_, x0), (x1, _)) in enumerate(pairwise(edges)):
        start, stop = (x1, x0) if backward else (x0, x1)
        picture.lines.append(Line((start, y), [(stop, y)], kind))
        if 0 < k < len(stops) and not any(gaps[k - 1 : k + 1]):
            if d == 1:
                picture.texts.append(Text((x0 + x1) / 2 - 3, y - 11, shape, kind="said"))
            else:  # beside what goes up there
                at, anchor = (x0 + 8, "start") if backward else (x1 - 10, "end")
                picture.texts.append(Text(at, y - 11, shape, anchor, "said"))
    for x, gap in zip(stops, gaps, strict=True):
        if gap:
            picture.texts.append(Text(x, y, "..."))
    before, after = (_states(stack, end, row) for end in "0n")
    for text, x, anchor in (
        ((before, right, "start"), (after, left, "end"))
        if backward
        else (
            (before, left, "end"),
            (after, right, "start"),
        )
    ):
        beside = x + (6 if anchor == "start" else -6)
        picture.texts.append(Text(beside, y - 7, text, anchor, "said"))
        picture.texts.append(Text(beside, y + 8, shape, anchor, "said"))


def _states(stack: Stack, end: str, row: int) -> str:
    """Those of a row, by name."""
    return ", ".join(f"{letter}_{end}[{row}]" for letter in stack.cell.states)


def _state_shape(stack: Stack, batch: int) -> str:
    """Of one row of the states: one shape, or two where h is projected."""
    return ", ".join(f"({batch}, {size})" for size in dict.fromkeys(stack.state_sizes))


def _ragged(
    picture: Picture,
    middles: Sequence[float],
    shown: Sequence[int | None],
    lengths: Sequence[int],
    d: int,
    margin: float,
) -> None:
    """The rows of a ragged batch: which steps count, what is padding, and how many rows a step has."""
    rows: list[int | None] = [*range(len(lengths))]
    if len(rows) > MOST_ROWS:
        rows = [*range(MOST_ROWS - 2), None, len(lengths) - 1]
    y = picture.height + 8
    picture.texts.append(Text(18, y, "Its rows: what is filled counts, the rest is padding", "start", "title"))
    for row in rows:
        y += STRIP
        if row is None:
            picture.texts.append(Text(margin - 36, y, "...", "end", "said"))
            continue
        picture.texts.append(Text(margin - 36, y, f"row {row}", "end", "said"))
        for x, step in zip(middles, shown, strict=True):
            if step is not None:
                counts = step < lengths[row]
                picture.boxes.append(Box(x, y, BOX[0], STRIP - 8, "forward" if counts else "empty", 3))
                if step == lengths[row] - 1:
                    picture.texts.append(Text(x, y, "last step"))
        said = f"length {lengths[row]}"
        picture.texts.append(Text(picture.width - margin + 36, y, said, "start", "said"))
    y += STRIP
    picture.texts.append(Text(margin - 36, y, "rows that read", "end", "said"))
    for x, step in zip(middles, shown, strict=True):
        text = "..." if step is None else str(sum(step < length for length in lengths))
        picture.texts.append(Text(x, y, text, kind="said"))
    ends = "h_n holds each row's state after its last step; output is 0 past it"
    if d == 2:
        ends += "; backwards a row begins at its last step"
    picture.texts.append(Text(18, y + STRIP, ends, "start", "said"))
    picture.width = max(picture.width, text_width(ends, "said") + 36)
    picture.height = y + 2 * STRIP - 6
