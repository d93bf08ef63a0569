"""``statewise convert``: every direction, what it says, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import statewise
from onnx_engines import run_onnxruntime
from statewise import cli, runtime

FIGURES = Path(__file__).parents[1] / "weights" / "figures"
CLOSE = {"rtol": 1e-5, "atol": 2e-6}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)


def convert(capsys, *words):
    """The exit status, what was said, and what was remarked or refused."""
    status = cli.main(["convert", *map(str, words)])
    out, err = capsys.readouterr()
    return status, out.strip(), err.strip()


def test_there_and_back(capsys):
    statewise.save(statewise.GRU(3, 4, batch_first=True), "net.safetensors")
    found = convert(capsys, "net.safetensors", "net.onnx", "--lengths")
    assert found == (0, "net.onnx: x (N, T, 3), lengths (N,) -> y (N, T, 4)", "")
    assert convert(capsys, "net.onnx", "again.safetensors") == (0, "again.safetensors: x (N, T, 3) -> (N, T, 4)", "")
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    expected = runtime.load("net.safetensors").run(x)
    np.testing.assert_allclose(runtime.load("again.safetensors").run(x), expected, **CLOSE)
    (found,) = run_onnxruntime("net.onnx", {"x": x, "lengths": np.array([5, 5])})
    np.testing.assert_allclose(found, expected, **CLOSE)
    status, said, _ = convert(capsys, "net.safetensors", "net.onnx", "--states", "--no-native")
    assert (status, said) == (0, "net.onnx: x (N, T, 3), h_0 (1, N, 4) -> y (N, T, 4), h_n (1, N, 4)")


def test_outputs_that_a_network_has_not_are_remarked(capsys):
    statewise.save(statewise.LSTM(3, 4), "net.safetensors")
    convert(capsys, "net.safetensors", "net.onnx", "--states")
    status, _, remarked = convert(capsys, "net.onnx", "again.safetensors")
    assert status == 0
    assert remarked.startswith("statewise convert: remark: again.safetensors hasn't got the outputs h_n, c_n; ")


@pytest.mark.parametrize("name", ["nam", "rtneural", "keras"])
def test_models_of_others(name, capsys):
    if name == "keras":
        pytest.importorskip("h5py")
        source = FIGURES / "keras-convolutions.keras"
    else:
        told = json.loads((FIGURES / f"{name}.json").read_text())["two" if name == "nam" else "conv"]["model"]
        source = Path("model.nam" if name == "nam" else "model.json")
        source.write_text(json.dumps(told))
    net = runtime.load(source)
    ((_, form),) = net.inputs
    x = np.random.default_rng(0).normal(size=(4, 3, form.width)).astype(np.float32)
    assert convert(capsys, source, "out.safetensors")[0] == 0
    np.testing.assert_array_equal(runtime.load("out.safetensors").run(x), net.run(x))
    assert convert(capsys, source, "out.onnx")[0] == 0
    np.testing.assert_allclose(run_onnxruntime("out.onnx", {"x": x})[0], net.run(x), rtol=1e-4, atol=1e-5)


def test_weights_alone(capsys):
    layers = {"encoder": torch.nn.LSTM(2, 3), "decoder": torch.nn.RNN(2, 3)}
    torch.save({f"{a}.{b}": t for a, layer in layers.items() for b, t in layer.state_dict().items()}, "model.pt")
    status, _, refused = convert(capsys, "model.pt", "out.safetensors")
    assert (status, refused) == (2, "statewise convert: model.pt: weights alone, of encoder, decoder: --part NAME")
    assert "no layer 'x' in it" in convert(capsys, "model.pt", "out.safetensors", "--part", "x")[2]
    assert convert(capsys, "model.pt", "out.onnx", "--part", "encoder")[0] == 0
    x = torch.randn(4, 2, 2)
    expected = layers["encoder"](x)[0].detach()
    np.testing.assert_allclose(run_onnxruntime("out.onnx", {"x": x.numpy()})[0], expected, **CLOSE)
    assert "decoder is taken for rnn_tanh; it may be rnn_relu" in convert(
        capsys, "model.pt", "out.onnx", "--part", "decoder"
    )[2]  # fmt: skip


def test_what_is_refused(capsys):
    statewise.save(statewise.GRU(3, 4), "net.safetensors")
    Path("broken.onnx").write_bytes(b"text")
    for words, said in (
        (["net.safetensors"], "expected a model and a file to write, got 1"),
        (["net.safetensors", "net.pt"], "net.pt: expected a name that ends in .onnx or .safetensors"),
        (["net.safetensors", "./net.safetensors"], "expected a file other than the model"),
        (["net.safetensors", "b.safetensors", "--lengths"], "only of a file that ends in .onnx"),
        (["net.safetensors", "b.onnx", "--part", "a"], "net.safetensors: --part: it is a whole model"),
        (["none.safetensors", "b.onnx"], "none.safetensors: No such file"),
        (["broken.onnx", "b.safetensors"], "broken.onnx: not a"),
        (["net.safetensors", "nowhere/b.onnx"], "nowhere/b.onnx: No such file"),
    ):
        status, _, refused = convert(capsys, *words)
        assert status == 2
        assert said in refused
        assert "\n" not in refused
    assert sorted(path.name for path in Path().iterdir()) == ["broken.onnx", "net.safetensors"]
