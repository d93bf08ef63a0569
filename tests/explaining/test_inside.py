"""The inside of a cell as a picture: all of its equations are in it, and nothing lies on anything else."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from drawn import check_places
from statewise.cells import CELLS, Cell, Vector, by_name
from statewise.explaining.inside import inside
from statewise.explaining.picture import Picture, parts_of


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


@EVERY
def test_nothing_lies_on_anything_else(cell: Cell) -> None:
    """Texts on texts, boxes on boxes, lines through boxes."""
    check_places(inside(cell))


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
