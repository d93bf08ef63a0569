"""The inside of a cell as a picture: all of its equations are in it, and nothing lies on anything else."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import combinations
from typing import Any

import pytest

from statewise.cells import CELLS, Cell, Vector, by_name
from statewise.explaining.inside import inside
from statewise.explaining.picture import Box, Line, Picture, Text, parts_of, text_width


def _own(ops: Any, x: Any, r: Any, w: Any, state: Any) -> Any:
    _, c = state
    keep = ops.sigmoid(x.keep + r.keep + w.weight_p.keep * c)
    new = ops.where(x.new, ops.tanh(x.new + r.new), 0.5)
    c = keep * c + (1 - keep) * new / (1.0 + ops.abs(new))
    return ops.maximum(c, 0.0) * ops.sqrt(ops.exp(-c)), c


def _kept(ops: Any, x: Any, r: Any, w: Any, state: Any) -> Any:
    return ops.tanh(x.i + r.i) + state[1], state[1]


OWN = (
    Cell("drawn", gates=("keep", "new"), states="hc", step=_own, vectors=(Vector("weight_p", ("keep",)),)),
    Cell("with a state that stays", gates="i", states="hc", step=_kept),
)
EVERY = pytest.mark.parametrize("cell", [*CELLS, *OWN], ids=lambda cell: cell.name)


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


@EVERY
def test_nothing_lies_on_anything_else(cell: Cell) -> None:
    """Texts on texts, boxes on boxes, lines through boxes: but for the part of a box that is a sum."""
    picture = inside(cell)
    for a, b in combinations(picture.texts, 2):
        assert not _overlap(_frame(a), _frame(b)), (a, b)
    frames = [_frame(box) for box in picture.boxes]
    for one, other in combinations(picture.boxes, 2):
        a, b = _frame(one), _frame(other)
        within = b[0] == pytest.approx(a[0]) and (b[1], b[3]) == (a[1], a[3])
        assert within or not _overlap([*a[:3], a[3] - 0.01], b), (one, other)  # type: ignore[arg-type]
    for line in picture.lines:
        for x, y in _points(line):
            assert not any(a + 0.5 < x < c - 0.5 and b + 0.5 < y < d - 0.5 for a, b, c, d in frames), line
    for drawn in [*picture.boxes, *picture.texts]:
        left, top, right, bottom = _frame(drawn)
        assert left >= 0
        assert right <= picture.width
        assert top >= 0
        assert bottom <= picture.height


@EVERY
def test_every_gate_and_state_is_named(cell: Cell) -> None:
    """And every product, once for each matrix that the cell has."""
    texts = [text.text for text in inside(cell).texts]
    for letter in cell.states:
        assert f"{letter}_t" in texts
    for gate in cell.gates:
        assert gate in texts
    assert any("W_ih x_t" in text and "=" not in text for text in texts)
    early = set(cell.recurrent or ()) - set(cell.late)
    assert any("W_hh h_(t-1)" in text and "=" not in text for text in texts) == bool(early)


def test_the_lstm_is_drawn_as_it_is() -> None:
    """Four sums of two products, and what is made of them; read off the lines."""
    picture = inside(by_name("lstm"))
    texts = [text.text for text in picture.texts if text.kind != "code"]
    assert texts.count("\N{MULTIPLICATION SIGN}") == 3
    assert texts.count("+") == 5  # of four gates and of the cell state
    assert texts.count("(N, 4*H)") == 2
    assert [text.text for text in picture.texts if text.kind == "code"][-1] == "h_t = o_t * tanh(c_t)"
    ends = [line for line in picture.lines if line.arrow]
    # x and h into their matrices, both into 4 gates, two into each of 3 products and a sum, one into tanh, two out
    assert len(ends) == 2 + 8 + 6 + 2 + 1 + 2


def test_without_biases() -> None:
    texts = [text.text for text in inside(by_name("gru"), bias=False).texts]
    assert not any("b_" in text for text in texts)


def test_both_formats() -> None:
    """SVG is XML that styles nothing but itself; PNG is one."""
    picture: Picture = inside(by_name("slstm"))
    root = ElementTree.fromstring(picture.svg())
    style = root.find("{http://www.w3.org/2000/svg}style")
    assert style is not None
    assert style.text is not None
    rules = [rule.split("{")[0] for rule in style.text.replace("@media (prefers-color-scheme: dark) {", "").split("}")]
    assert all(part.strip().startswith(".statewise") for rule in rules if rule.strip() for part in rule.split(","))
    assert picture.png().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("f_t", [("f", False), ("t", True)]),
        ("W_hh h_(t-1)", [("W", False), ("hh", True), (" h", False), ("t-1", True)]),
        ("weight_c_f", [("weight_c_f", False)]),
        ("keep_t", [("keep", False), ("t", True)]),
        ("norm_c", [("norm_c", False)]),
    ],
)
def test_what_is_lowered(text: str, parts: list[tuple[str, bool]]) -> None:
    assert list(parts_of(text)) == parts
