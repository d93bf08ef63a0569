"""``statewise.explain``: shapes and counts are the layer's own, relations are computed, equations are the cell's."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import statewise
from drawn import check_texts
from statewise.cells import Cell, by_name
from statewise.cli import main
from statewise.explaining.equations import equations
from statewise.explaining.explanation import Explanation

LAYERS = [
    statewise.LSTM(5, 8, 2, bidirectional=True),
    statewise.GRU(3, 8, batch_first=True),
    statewise.RNN(3, 4, 2, batch_first=True, bidirectional=True, bias=False),
    statewise.LSTM(3, 8, proj_size=2, bidirectional=True),
    statewise.Recurrent("slstm", 4, 8, num_heads=2),
    statewise.Recurrent("layer_norm_lstm", 4, 8, 2),
]


def table(found: Explanation, title: str) -> dict[str, list[str]]:
    rows = next(each for each in found.tables if each.title == title).rows
    return {row[0]: list(row[1:]) for row in rows}


def numbers(cell: str) -> tuple[int, ...]:
    """What stands after the equals sign of ``(T, N, I) = (3, 10, 26)``."""
    return tuple(int(n) for n in re.findall(r"\d+", cell.split("=")[1]))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_shapes_and_counts_are_the_layers(layer: Any) -> None:
    """Of what goes in, comes out and is learnt."""
    shape = (7, 4) if layer.batch_first else (4, 7)
    x = torch.zeros(*shape, layer.input_size)
    found = statewise.explain(layer, x)
    output, final = layer(x)
    final = final if isinstance(final, tuple) else (final,)
    given, made = table(found, "What goes in"), table(found, "What comes out")
    assert numbers(given["input"][0]) == tuple(x.shape)
    assert numbers(made["output"][0]) == tuple(output.shape)
    for letter, state in zip(layer._stack.cell.states, final, strict=True):
        assert numbers(made[f"{letter}_n"][0]) == numbers(given[f"{letter}_0"][0]) == tuple(state.shape)
    learnt = table(found, "What is learnt")
    for name, parameter in layer.named_parameters():
        assert learnt[name][:2] == [str(tuple(parameter.shape)), f"{parameter.numel():,}"]
        assert learnt[name][2]
    assert learnt["together"][1] == f"{sum(p.numel() for p in layer.parameters()):,}"


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_the_relations_hold_and_are_computed(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of each layer; they fail where the final states are others than the output's."""
    assert [r.held for r in statewise.explain(layer).relations] == [True] * 3
    forward = type(layer).forward

    def wrong(self: Any, *args: Any, **more: Any) -> Any:
        output, final = forward(self, *args, **more)
        return output + 1, final

    monkeypatch.setattr(type(layer), "forward", wrong)
    assert not any(r.held for r in statewise.explain(layer).relations if "h_n" in r.code)


def test_the_rows_of_the_states() -> None:
    """Layer by layer, forward before backward."""
    rows = table(statewise.explain(LAYERS[0]), "The rows of the states")
    assert rows == {
        "[0]": ["layer 0, forward, after the last step"],
        "[1]": ["layer 0, backward, after step 0"],
        "[2]": ["layer 1, forward, after the last step"],
        "[3]": ["layer 1, backward, after step 0"],
    }


def test_what_a_step_costs() -> None:
    """Products of the matrices alone; all parameters are read."""
    costs = list(table(statewise.explain(statewise.GRU(3, 8)), "What a step costs"))
    assert costs == ["528 FLOP", "1,248 bytes", "32 bytes"]  # 2 * (24 * 3 + 24 * 8); 312 * 4; 8 * 4


def test_the_equations_of_torchs_cells() -> None:
    """Gates in the order of their rows, then the states."""
    assert equations(by_name("lstm")) == [
        "i_t = sigmoid(W_ii x_t + b_ii + W_hi h_(t-1) + b_hi)",
        "f_t = sigmoid(W_if x_t + b_if + W_hf h_(t-1) + b_hf)",
        "g_t = tanh(W_ig x_t + b_ig + W_hg h_(t-1) + b_hg)",
        "o_t = sigmoid(W_io x_t + b_io + W_ho h_(t-1) + b_ho)",
        "c_t = f_t * c_(t-1) + i_t * g_t",
        "h_t = o_t * tanh(c_t)",
    ]
    assert equations(by_name("rnn_tanh"), bias=False) == ["h_t = tanh(W_ih x_t + W_hh h_(t-1))"]


OWN = [
    "lstm",
    "gru",
    "gru_reset_before",
    "peephole_lstm",
    "coupled_lstm",
    "mgu",
    "indrnn",
    "mingru",
    "minlstm",
    "slstm",
]


@pytest.mark.parametrize("name", [*OWN, "mingru_log", "minlstm_log", "sru", "rnn_relu"])
def test_equations_compute_what_the_cell_computes(name: str) -> None:
    """Read as Python, with numbers in the place of the products."""
    cell = by_name(name)
    random = torch.Generator().manual_seed(1)

    def number() -> torch.Tensor:
        return torch.rand(4, generator=random, dtype=torch.float64)

    values: dict[str, Any] = {f"{s}_before": number() for s in cell.states}
    product = {gate: (number(), number()) for gate in cell.gates}
    vectors = {v.name: {part: number() for part in v.parts or ("",)} for v in cell.vectors}
    values |= {f"{v}_{part}" if part else v: n for v, parts in vectors.items() for part, n in parts.items()}

    def where(a: torch.Tensor, b: Any, c: Any) -> torch.Tensor:
        return torch.where(a != 0, b, c)

    functions = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "exp": torch.exp, "where": where}
    functions |= {
        "log_sigmoid": nn.functional.logsigmoid,
        "min": _least,
        "max": _most,
        "softplus": nn.functional.softplus,
    }
    for line in equations(cell):
        target, formula = line.split(" = ", 1)
        for letter in cell.states:
            formula = formula.replace(f"{letter}_(t-1)", f"{letter}_before")
        for gate, (x, r) in product.items():
            formula = formula.replace(f"W_i{gate} x_t + b_i{gate}", f"x_{gate}")
            formula = re.sub(rf"W_h{gate} h_before( \+ b_h{gate})?", f"r_{gate}", formula)
            formula = re.sub(rf"W_h{gate} (\(.*?\))( \+ b_h{gate})?", r"2 * \1", formula)
            values |= {f"x_{gate}": x, f"r_{gate}": r}
        values[target] = eval(formula, functions | values)
    ops = SimpleNamespace(**{k: v for k, v in functions.items() if k not in ("min", "max", "log_sigmoid")})
    ops.logsigmoid, ops.minimum, ops.maximum = functions["log_sigmoid"], _least, _most
    x = SimpleNamespace(**{gate: p[0] for gate, p in product.items()})
    r = SimpleNamespace(**{gate: (lambda v: 2 * v) if gate in cell.late else p[1] for gate, p in product.items()})
    w = SimpleNamespace(**{k: SimpleNamespace(**v) if "" not in v else v[""] for k, v in vectors.items()})
    after = cell.step(ops, x, r, w, tuple(values[f"{s}_before"] for s in cell.states))
    for letter, expected in zip(cell.states, after, strict=True):
        torch.testing.assert_close(values[f"{letter}_t"], expected)


def _least(a: Any, b: Any) -> torch.Tensor:
    return torch.minimum(torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64))


def _most(a: Any, b: Any) -> torch.Tensor:
    return torch.maximum(torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64))


def test_a_cell_of_ones_own_explains_itself() -> None:
    """From its description."""

    def step(ops: Any, x: Any, r: Any, w: Any, state: Any) -> Any:
        keep = ops.sigmoid(x.k + r.k)
        return (keep * state[0] + (1 - keep) * ops.tanh(x.n + r.n),)

    cell = Cell("explained_here", gates="kn", states="h", step=step)
    found = statewise.explain(statewise.Recurrent(cell, 3, 4))
    assert found.equations[-1] == "h_t = k_t * h_(t-1) + (1 - k_t) * n_t"
    assert "computes 2 gates (k, n)" in found.summary


def test_what_has_no_relations_is_explained_all_the_same() -> None:
    """Layers of several widths, of one step, and such with more between them."""
    for layer in (statewise.LSTM(3, [8, 4]), statewise.GRU(4, 4, 2, residual=True)):
        found = statewise.explain(layer)
        assert not found.relations
        assert "together" in str(found)
    assert not statewise.explain(statewise.GRU(3, 4), torch.zeros(1, 2, 3)).relations
    assert "tuple of one tensor a layer" in str(statewise.explain(statewise.LSTM(3, [8, 4])))


def test_a_cell_and_any_module() -> None:
    """A cell has no steps; a module is run once, in eval mode, and left as it was."""
    found = statewise.explain(statewise.LSTMCell(3, 8))
    assert table(found, "What goes in")["c_0"][0] == "(N, H) = (10, 8)"
    model = nn.Sequential(nn.Embedding(30, 8), nn.Dropout(0.5), statewise.GRU(8, 16, bidirectional=True))
    parts = table(statewise.explain(model, torch.zeros(5, 3, dtype=torch.int64)), "Its parts")
    assert parts["2"] == ["GRU", "2,496", "(5, 3, 8) -> (5, 3, 32), (2, 3, 16)"]
    learnt = table(statewise.explain(model, torch.zeros(5, 3, dtype=torch.int64)), "What 2 learns")
    assert learnt["weight_ih_l0_reverse"] == [
        "(48, 8)",
        "384",
        "W_ir|z|n: 3 gates of H rows, a column for each of the features",
    ]
    assert learnt["together"][1] == "2,496"
    assert model.training
    assert model[2](torch.zeros(1, 1, 8)) is not None
    assert not model[2]._forward_hooks


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("lstm", "Expected a torch.nn.Module or a model's .safetensors file, got 'lstm'"),
        (3, "explain: Expected model to be a torch.nn.Module, got int"),
        (nn.Linear(2, 2), "Expected an input x for Linear"),
    ],
)
def test_what_cant_be_explained(module: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        statewise.explain(module)


def test_the_terminal_is_80_columns_wide() -> None:
    """All but code that can't be broken."""
    for layer in (*LAYERS, statewise.LSTMCell(3, 8)):
        text = str(statewise.explain(layer))
        assert max(len(line) for line in text.splitlines()[1:]) <= 80
        assert "FAILS" not in text


def test_a_notebook_shows_picture_and_tables() -> None:
    """As one piece of HTML, well-formed as far as XML goes."""
    html = statewise.explain(LAYERS[0])._repr_html_()
    assert html.count("<table") == 7
    assert "layer 1 backward" in html
    ElementTree.fromstring(f"<div>{html}</div>")


@pytest.mark.parametrize(("steps", "columns"), [(3, 3), (5, 5), (30, 4)])
def test_the_picture_has_a_box_for_each_layer_direction_and_step(steps: int, columns: int) -> None:
    """Of many steps the first three and the last."""
    found = statewise.explain(LAYERS[0], torch.zeros(steps, 2, 5))
    picture = found.pictures[0]
    assert len(picture.boxes) == 4 * columns
    texts = [text.text for text in picture.texts]
    assert texts.count("layer 1 backward") == columns
    assert f"output[{steps - 1}] (2, 16)" in texts
    assert "h_n[3], c_n[3]" in texts
    whole = found.picture
    assert whole is not None
    for drawn in [*whole.boxes, *whole.texts]:
        assert 0 < drawn.x < whole.width
        assert 0 < drawn.y < whole.height


def test_ragged_rows_are_shown() -> None:
    """From lengths, and from a PackedSequence: what counts, what is padding, how many rows a step has."""
    layer, lengths = statewise.GRU(3, 4), [3, 1, 2]
    x = torch.zeros(3, 3, 3)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    for found in (statewise.explain(layer, lengths=lengths), statewise.explain(layer, packed)):
        rows = table(found, "Its rows are ragged")
        assert rows["padding"][0] == "3"
        assert rows["packed"][0] == "(6, I)"
        assert rows["batch_sizes"][1].endswith("3, 2, 1")
        kinds = [box.kind for box in found.pictures[0].boxes]
        assert kinds.count("empty") == 3
        assert kinds.count("forward") == 3 + 6
        assert all(relation.held for relation in found.relations)
    with pytest.raises(ValueError, match="Expected lengths of 3 rows, each from 0 to 3"):
        statewise.explain(layer, x, lengths=[4, 1, 1])


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_torchs_layers_are_explained_as_statewises(kind: Any) -> None:
    """Cells too."""
    layer = kind(5, 8, 2, bidirectional=True)
    own = getattr(statewise, kind.__name__)(5, 8, 2, bidirectional=True)
    assert str(statewise.explain(layer)) == str(statewise.explain(own))
    cell = getattr(nn, f"{kind.__name__}Cell")(3, 4)
    assert "one step" in str(statewise.explain(cell)).lower()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints, and writes both kinds of pictures."""
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    arguments = ["--input-size", "26", "--hidden-size", "12", "--layers", "2", "--bidirectional", "--steps", "3"]
    assert main(["explain", "lstm", *arguments, "--batch", "10", "--svg", str(svg), "--png", str(png)]) == 0
    out = capsys.readouterr().out
    assert "output[-1, :, :12] == h_n[-2]" in out
    ElementTree.parse(svg)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert main(["explain", "gru", "--step"]) == 0
    assert "GRUCell(26, 128)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "no cell is called 'nothing'"),
        (["gru", "--proj-size", "200"], "proj_size has to be smaller"),
        (["gru", "--hidden-size", "0"], "--hidden-size"),
        (["gru", "--step", "--lengths", "2,1"], "--lengths: a cell alone has no steps"),
        (["nothing.safetensors"], "nothing.safetensors: No such file"),
        (["gru", "--svg", "/nowhere/at/all.svg"], "--svg /nowhere/at/all.svg: No such file"),
    ],
)
def test_what_the_command_refuses_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["explain", *arguments])
    except SystemExit as ended:
        status = int(str(ended.code))
    assert status == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("layer", LAYERS[:5], ids=str)
@pytest.mark.parametrize("lengths", [None, [3, 1, 2], [9, 0, 4]])
def test_texts_of_the_picture_stand_apart(layer: Any, lengths: Any) -> None:
    """From each other and from the boxes, and the states between two steps have their shape."""
    picture = statewise.explain(layer, lengths=lengths).pictures[0]
    check_texts(picture)
    sizes = dict.fromkeys(layer._stack.state_sizes)
    shape = ", ".join(f"({3 if lengths else 10}, {size})" for size in sizes)
    # Between 3 steps, or the first 3 of more, and at both ends.
    assert [t.text for t in picture.texts].count(shape) >= 4 * layer._stack.depth
