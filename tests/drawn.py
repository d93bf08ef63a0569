"""What a picture of ``statewise.explaining`` has to be like."""

from __future__ import annotations

from itertools import combinations

import pytest

from statewise.explaining.picture import Box, Line, Picture, Text, text_width


def check_places(picture: Picture) -> None:
    """Nothing lies on anything else, but a sum within its box, and all is within the frame.

    Texts on texts, boxes on boxes, lines through boxes.
    """
    check_texts(picture)
    frames = [_frame(box) for box in picture.boxes]
    for one, other in combinations(picture.boxes, 2):
        a, b = _frame(one), _frame(other)
        within = b[0] == pytest.approx(a[0]) and (b[1], b[3]) == (a[1], a[3])
        assert within or not _overlap([*a[:3], a[3] - 0.01], b), (one, other)  # type: ignore[arg-type]
    for line in picture.lines:
        for x, y in _points(line):
            assert not any(a + 0.5 < x < c - 0.5 and b + 0.5 < y < d - 0.5 for a, b, c, d in frames), line


def check_texts(picture: Picture) -> None:
    """No text lies on another, and texts and boxes are within the frame."""
    for a, b in combinations(picture.texts, 2):
        assert not _overlap(_frame(a), _frame(b)), (a, b)
    for drawn in [*picture.boxes, *picture.texts]:
        left, top, right, bottom = _frame(drawn)
        assert left >= 0
        assert right <= picture.width
        assert top >= 0
        assert bottom <= picture.height


def _frame(drawn: Box | Text) -> tuple[float, float, float, float]:
    """Left, top, right, bottom; of a text what its letters cover."""
    if isinstance(drawn, Box):
        w, h = drawn.width / 2, drawn.height / 2
        return drawn.x - w, drawn.y - h, drawn.x + w, drawn.y + h
    width = text_width(drawn.text, drawn.kind)
    left = drawn.x - width * {"start": 0, "middle": 0.5, "end": 1}[drawn.anchor]
    return left, drawn.y - 5, left + width, drawn.y + 5


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _points(line: Line) -> list[tuple[float, float]]:
    """Along it, beginning and end left out."""
    found, (x, y) = [], line.start
    for stop in line.stops:
        x1, y1, x2, y2, x3, y3 = stop if len(stop) == 6 else (x, y, *stop, *stop)
        for k in range(1, 20):
            t = k / 20
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            found.append((a * x + b * x1 + c * x2 + d * x3, a * y + b * y1 + c * y2 + d * y3))
        x, y = x3, y3
    return found
