"""Keras 3: its models and what they gave (``tools/origins/keras_figures.py`` made them)."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import statewise
from statewise import runtime
from statewise.weights import keras

h5py = pytest.importorskip("h5py", reason="it reads Keras's weights")

FIGURES = Path(__file__).parent / "figures"
TOLD = json.loads((FIGURES / "keras.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["sequential", "functional", "stepwise", "convolutions"])
def test_a_model_runs_without_keras(name: str) -> None:
    net = runtime.load(FIGURES / f"keras-{name}.keras")
    np.testing.assert_allclose(net.run(TOLD[name]["x"]), TOLD[name]["y"], rtol=0, atol=3e-7)


def test_a_model_runs_step_by_step() -> None:
    net = runtime.load(FIGURES / "keras-stepwise.keras")
    state, steps = net.start(2), []
    for x in np.swapaxes(TOLD["stepwise"]["x"], 0, 1):
        y, state = net.step(x, state)
        steps.append(y)
    np.testing.assert_allclose(np.stack(steps, axis=1), TOLD["stepwise"]["y"], rtol=0, atol=3e-7)


def test_layers_compute_what_the_model_computes() -> None:
    parts = statewise.read_weights(FIGURES / "keras-sequential.keras")
    assert {name: part.cell for name, part in parts.items()} == {"first": "lstm", "both": "gru", "last": "rnn_tanh"}
    x = torch.tensor(TOLD["sequential"]["x"])
    for part in parts.values():
        x, h_n = part.layer(batch_first=True)(x)
    ends = torch.cat([h_n[0][-2], h_n[0][-1]], -1) if isinstance(h_n, tuple) else torch.cat([h_n[-2], h_n[-1]], -1)
    with zipfile.ZipFile(FIGURES / "keras-sequential.keras") as archive:
        arrays, _ = keras.of_hdf5(archive.read("model.weights.h5"))
    kernel, bias = (torch.tensor(arrays[f"layers/dense/vars/{k}"]) for k in range(2))
    y = torch.softmax(ends @ kernel + bias, -1)
    torch.testing.assert_close(y, torch.tensor(TOLD["sequential"]["y"]), rtol=0, atol=3e-7)


def test_weights_alone_are_those_of_the_model() -> None:
    alone = statewise.read_weights(FIGURES / "keras-sequential.weights.h5")
    described = statewise.read_weights(FIGURES / "keras-sequential.keras")
    assert set(alone) == set(described) == {"first", "both", "last"}
    for name, part in described.items():
        assert part.arrays.keys() == alone[name].arrays.keys()
        assert all(np.array_equal(array, alone[name].arrays[key]) for key, array in part.arrays.items())
    assert alone["last"].others == ("rnn_relu",)
    assert described["last"].others == ()


def test_cells_are_those_that_the_model_describes() -> None:
    parts = statewise.read_weights(FIGURES / "keras-functional.keras")
    assert {name: part.cell for name, part in parts.items()} == {
        "before": "gru_reset_before",
        "plain": "lstm",
        "relu": "rnn_relu",
    }
    assert not parts["plain"].bias
    assert type(parts["before"].layer()) is statewise.Recurrent


def test_other_activations_make_a_variant() -> None:
    square = np.zeros((2, 8), np.float32)
    part = keras.recurrent("x", "LSTM", [(square, square)], activations={"sigmoid": "hardsigmoid"})
    assert part.cell == "lstm(sigmoid=hardsigmoid)"
    with pytest.raises(ValueError, match=r"^x: activation has to be one of .*, got 'mish'$"):
        keras.recurrent("x", "LSTM", [(square, square)], activations={"tanh": "mish"})


def _changed(tmp_path: Path, change: Callable[[dict[str, Any], Any], None], name: str = "stepwise") -> Path:
    """A model whose description and weights are changed by hand."""
    path, h5 = tmp_path / "changed.keras", tmp_path / "model.weights.h5"
    with zipfile.ZipFile(FIGURES / f"keras-{name}.keras") as archive:
        config = json.loads(archive.read("config.json"))
        h5.write_bytes(archive.read("model.weights.h5"))
    with h5py.File(h5, "r+") as file:
        change({layer["class_name"]: layer["config"] for layer in config["config"]["layers"]} | {"": config}, file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.write(h5, "model.weights.h5")
    return path


def _narrow(layers: dict[str, Any], file: Any) -> None:
    del file["layers/lstm/cell/vars/0"]
    file["layers/lstm/cell/vars/0"] = np.zeros((2, 16), np.float32)


def _lose(layers: dict[str, Any], file: Any) -> None:
    del file["layers/gru/cell/vars/1"]


def _link(layers: dict[str, Any], file: Any) -> None:
    del file["layers/gru/cell/vars/1"]
    file["layers/gru/cell/vars/1"] = h5py.ExternalLink("/etc/hostname", "x")


def _outside(layers: dict[str, Any], file: Any) -> None:
    del file["layers/gru/cell/vars/1"]
    external = [("/etc/hostname", 0, 108)]
    file["layers/gru/cell/vars"].create_dataset("1", (3, 9), "f4", external=external)


def _inflate(layers: dict[str, Any], file: Any) -> None:
    del file["layers/gru/cell/vars/1"]
    file["layers/gru/cell/vars"].create_dataset("1", (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip")


def _inflate_many(layers: dict[str, Any], file: Any) -> None:
    for k in range(60):
        file.create_dataset(f"empty/{k}", (200_000,), "f4", chunks=(1000,), compression="gzip")


def _integers(layers: dict[str, Any], file: Any) -> None:
    del file["layers/gru/cell/vars/1"]
    file["layers/gru/cell/vars/1"] = np.zeros((3, 9), np.int32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_narrow, r"expected lstm\w*\.weight_ih_l0 of size \(16, 3\), got \(16, 2\)$"),
        (_lose, r"gru\w*: layers/gru/cell/vars: expected 2 to 3 variables, got 0, 2$"),
        (_link, r"layers/gru/cell/vars/1: expected a group or an array of the file's own, got a link$"),
        (_outside, r"layers/gru/cell/vars/1: expected numbers in the file itself, got float32$"),
        (_inflate, r"layers/gru/cell/vars/1: expected no more than the file's \d+ bytes, got 4000000000000$"),
        (_inflate_many, r"empty/\d+: expected no more than the file's \d+ bytes, got 800000$"),
        (_integers, r"gru\w*\.weight_hh: expected floating-point numbers, got int32$"),
        (lambda of, _: of["GRU"].update(reset_after=False), r"gru\w*\.bias: expected a bias of reset_after=False"),
        (lambda of, _: of["GRU"].update(go_backwards=True), r"gru\w*: expected go_backwards to be False, got True$"),
        (lambda of, _: of["LSTM"].update(activation="mish"), r"lstm\w*: activation has to be one of .*, got 'mish'$"),
        (lambda of, _: of["LSTM"].update(activation={"a": 1}), r"lstm\w*: expected activation to be a name, got"),
        (lambda of, _: of["Dense"].update(activation="gelu"), r"dense\w*: expected an activation among .*, got gelu$"),
        (
            lambda of, _: of["Dense"].update(units=7),
            r"dense\w*\.kernel: expected numbers of shape \(any, 7\), got \(4, 1\)$",
        ),
        (lambda of, _: of[""].update(class_name="Other"), r"config.json: expected a model of class Sequential or"),
        (lambda of, _: of[""]["config"].update(layers=[1]), r"config.json: expected layers with a class_name and a"),
        (
            lambda of, _: of[""]["config"]["layers"][1].update(class_name="Conv9D"),
            r"gru\w*: expected a layer among .* Conv9D$",
        ),
        (lambda of, _: of["InputLayer"].update(batch_shape=[None, 2]), r"input\w*: expected an input \(N, T, I\), got"),
    ],
)
def test_what_cannot_be_run_is_refused_by_its_name(tmp_path: Path, change: Any, message: str) -> None:
    path = _changed(tmp_path, change)
    with pytest.raises(runtime.LoadError, match=message) as caught:
        runtime.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_member_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(10**7))
    with pytest.raises(runtime.LoadError, match=r"expected members of 100 times the file's size at most, got 1000000"):
        runtime.load(path)


def test_no_link_leads_out_of_the_archive(tmp_path: Path) -> None:
    shutil.copy(FIGURES / "keras-sequential.weights.h5", tmp_path / "soft.weights.h5")
    with h5py.File(tmp_path / "soft.weights.h5", "r+") as file:
        file["layers/loop"] = h5py.SoftLink("/layers")
    with pytest.raises(runtime.LoadError, match=r"soft\.weights\.h5: layers/loop: expected .* got a link$"):
        statewise.read_weights(tmp_path / "soft.weights.h5")
