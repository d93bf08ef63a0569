"""RTNeural's models with the numbers of its own tests, and ``.nam`` files with those of NeuralAmpModelerCore."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import statewise
from statewise import runtime

FIGURES = Path(__file__).parent / "figures"
TOLD = json.loads((FIGURES / "rtneural.json").read_text(encoding="utf-8"))


def _written(tmp_path: Path, tree: Any, name: str = "model.json") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps(tree))
    return path


@pytest.mark.parametrize("name", ["lstm_1d", "gru_1d", "lstm", "gru", "conv"])
def test_rtneural_s_models_give_its_numbers(tmp_path: Path, name: str) -> None:
    told = TOLD[name]
    net = runtime.load(_written(tmp_path, told["model"]))
    y = net.run(np.reshape(told["x"], (-1, 1, 1)))[:, 0, 0]
    np.testing.assert_allclose(y, told["y"], rtol=0, atol=2e-6)
    state, steps = net.start(), []
    for x in told["x"][:20]:
        step, state = net.step([[x]], state)
        steps.append(step[0, 0])
    np.testing.assert_allclose(steps, told["y"][:20], rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", ["lstm_torch", "gru_torch"])
def test_a_state_dict_as_text_gives_rtneural_s_numbers(tmp_path: Path, name: str) -> None:
    told = TOLD[name]
    parts = statewise.read_weights(_written(tmp_path, told["model"]))
    x = torch.tensor(told["x"])[:, None]
    for each in (name[:-6], f"{name[:-6]}2"):
        x = parts[each].layer()(x)[0]
    weight, bias = (torch.tensor(told["model"][f"dense.{each}"]) for each in ("weight", "bias"))
    np.testing.assert_allclose((x @ weight.T + bias)[:, 0].detach(), told["y"], rtol=0, atol=2e-6)


def test_rtneural_s_layers_are_found_by_their_places(tmp_path: Path) -> None:
    (part,) = statewise.read_weights(_written(tmp_path, TOLD["lstm"]["model"])).values()
    assert (part.name, part.cell, part.input_size, part.hidden_size) == ("layers.1", "lstm", 8, 8)


def _model(layers: int = 1, h: int = 3, **config: Any) -> dict[str, Any]:
    """A ``.nam`` file of numbers from 0 to 1."""
    count = layers * (4 * h * (h + 1) + 2 * h) + 4 * h * (1 + (layers - 1) * h) + h + 1
    sizes = {"input_size": 1, "hidden_size": h, "num_layers": layers} | config
    return {"architecture": "LSTM", "config": sizes, "weights": [k / count for k in range(count)]}


@pytest.mark.parametrize("name", ["lstm", "two"])
def test_a_nam_file_gives_the_core_s_numbers(tmp_path: Path, name: str) -> None:
    told = json.loads((FIGURES / "nam.json").read_text(encoding="utf-8"))[name]
    path = _written(tmp_path, told["model"], "model.nam")
    net, x = runtime.load(path), np.reshape(told["x"], (-1, 1, 1))
    np.testing.assert_allclose(net.run(x)[:, 0, 0], told["y"], rtol=0, atol=1e-6)
    begun, state = net.feed(x[:50], net.start())
    np.testing.assert_array_equal(net.feed(x[50:], state)[0], net.run(x)[50:])
    np.testing.assert_array_equal(begun, net.run(x)[:50])
    layer = statewise.read_weights(path)["lstm"].layer()
    assert layer.learn_initial_state
    output = layer(torch.tensor(told["x"])[:, None])[0].detach().numpy()
    head = np.array(told["model"]["weights"][-layer.hidden_size - 1 :], np.float32)
    np.testing.assert_allclose(output @ head[:-1] + head[-1], told["y"], rtol=0, atol=1e-6)


def _layer(**changed: Any) -> dict[str, Any]:
    """RTNeural's smallest LSTM, something of which is something else."""
    layer = {"type": "lstm", "activation": "tanh", "shape": [None, None, 2]}
    layer["weights"] = [np.zeros((1, 8)).tolist(), np.zeros((2, 8)).tolist(), [0.0] * 8]
    return {"in_shape": [None, None, 1], "layers": [layer | changed]}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (_model() | {"architecture": "WaveNet"}, r"architecture: expected LSTM, got WaveNet$"),
        (_model() | {"config": 3}, r"config: expected the sizes of an LSTM, got 3$"),
        (_model() | {"weights": [1.0]}, r"weights: expected 70 of 1 x 3 units, 1 in and 1 out, got 1$"),
        (_model(num_layers=10**18), r"weights: expected \d+ of 1000000000000000000 x 3 units, 1 in and 1 out, got 70$"),
        (_model(hidden_size="3"), r"config: expected hidden_size to be a whole number from 1 on, got 3$"),
        (_model(hidden_size=True), r"config: expected hidden_size to be a whole number from 1 on, got True$"),
        (_model(in_channels=2), r"config: expected in_channels to be input_size, 1, got 2$"),
        (_model() | {"weights": ["1"] * 70}, r"weights: expected numbers in lists of 1 levels, got <U1 in 1$"),
        (_model() | {"weights": [[1.0]] * 70}, r"weights: expected numbers in lists of 1 levels, got float64 in 2$"),
        (_model() | {"weights": [10**400]}, r"weights: expected numbers in lists of 1 levels, got object in 1$"),
        (_layer(shape=[None, 16]), r"layers\.0: expected weights for 1 to 16 features, got 1 to 2$"),
        (_layer(shape=3), r"layers\.0: expected a shape of two or three sizes, the last one of features, got 3$"),
        (_layer(weights=[]), r"layers\.0: expected 3 weights, got 0 of them$"),
        (
            _layer(weights=[[[1.0], [1.0, 2.0]], [], []]),
            r"layers\.0\.weights\.0: expected lists of one length, got others$",
        ),
        (
            _layer(weights=[[[0.0] * 8], [[0.0] * 8] * 3, [0.0] * 8]),
            r"layers\.0\.weight_hh: expected numbers of shape \(3, 12\)",
        ),
        (_layer(type="conv2d"), r"layers\.0: expected a layer among lstm, gru, .*, got conv2d$"),
        (_layer(type=None), r"layers\.0: expected a layer with a type, got"),
        ({"in_shape": [None, 1], "layers": {}}, r"layers: expected a list of them, got \{\}$"),
        ({"in_shape": [None, -1], "layers": [1]}, r"in_shape: expected a shape of two or three sizes"),
        ({"weights": [1]}, r"it describes no network"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, tree: Any, message: str) -> None:
    path = _written(tmp_path, tree)
    with pytest.raises(runtime.LoadError, match=message) as caught:
        runtime.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["{", '{"a": NaN}', '{"weights": [1, Infinity], "architecture": 1}', '{"a":' * 100_000, "{}x" * 3]
)
def test_what_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.nam"
    path.write_text(text)
    with pytest.raises(runtime.LoadError, match=r"model\.nam: not a whole file of JSON$"):
        runtime.load(path)
