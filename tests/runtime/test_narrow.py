"""Weights in fewer bits: what is rounded, by how much, and that nothing else is: frozen, in files, in the runtime."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import statewise
from statewise import narrowing, runtime
from statewise.jobs import Classifier

from .test_layers import LAYERS, instruction_set, saved, shaken  # noqa: F401 (a fixture)

DTYPES = ("bfloat16", "int8")


def with_rounded_weights(model, dtype):
    """``model`` in float64, its matrices as they are once they have been kept in ``dtype``."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(narrowing.rounded(weight, dtype))
    return model.double()


@pytest.mark.parametrize("rows", [1, 5, 63])
def test_a_weight_is_off_by_half_a_unit_of_its_row_at_most(rows):
    weight = torch.randn(rows, 37) * torch.logspace(-30, 20, rows)[:, None]
    weight[rows // 2] = 0
    whole, unit = narrowing.in_units(weight)
    exact = whole.double() * unit.double()[:, None]
    assert whole.abs().amax(1).tolist() == [0 if k == rows // 2 else 127 for k in range(rows)]
    assert ((exact - weight.double()).abs() <= unit.double()[:, None] / 2).all()
    assert (unit.double() <= weight.double().abs().amax(1) / 127 * (1 + 2**-15)).all()
    kept = narrowing.rounded(weight, "int8")
    assert (kept.double() == exact).all()  # float32 holds them exactly
    assert narrowing.rounded(kept, "int8") is kept  # and rounding again changes nothing
    half = narrowing.rounded(weight, "bfloat16")
    assert ((half - weight).abs() <= weight.abs() * 2**-8).all()


def stepped(cell, x, h, weights, to_whole):
    """A step (N, I) from the states ``h`` in float64, of what ``to_whole`` makes of the rows that are multiplied."""
    w_ih, w_hh, b_ih, b_hh = (w.astype(np.float64) for w in weights)
    a, b = to_whole(x) @ w_ih.T + b_ih, to_whole(h[0]) @ w_hh.T + b_hh

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    if cell == "rnn_tanh":
        return np.tanh(a + b)
    if cell == "gru":
        (ar, az, an), (br, bz, bn) = np.split(a, 3, 1), np.split(b, 3, 1)
        z = sigmoid(az + bz)
        return (1 - z) * np.tanh(an + sigmoid(ar + br) * bn) + z * h[0]
    i, f, g, o = np.split(a + b, 4, 1)
    return sigmoid(o) * np.tanh(sigmoid(f) * h[1] + sigmoid(i) * np.tanh(g))


def in_16_bits(rows):
    largest = np.abs(rows).max(1, keepdims=True)
    most, there = np.float32(32639), largest > 1e-30
    whole = np.rint(rows * np.divide(most, largest, where=there, out=np.zeros_like(largest)))
    return whole.astype(np.float64) * (largest / most)


@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.parametrize(("i", "h"), [(1, 1), (5, 63), (40, 70), (1030, 16)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_is_exact_but_for_what_is_rounded(dtype, cell, i, h, instruction_set, tmp_path):  # noqa: F811
    layer = shaken(statewise.Recurrent(cell, i, h))
    letters = len(layer.cell.states)
    random = np.random.default_rng(h)
    x = random.normal(size=(3, i)).astype(np.float32)
    state = [random.uniform(-1, 1, (3, h)).astype(np.float32) for _ in range(letters)]
    x[2] *= 1e-32  # all but nothing
    weights = [narrowing.rounded(w, dtype).detach().numpy() for w in layer.parameters()]
    statewise.save(layer, tmp_path / "net", dtype=dtype)
    y, _ = runtime.load(tmp_path / "net").step(x, (tuple(state),))
    want = stepped(cell, x, state, weights, in_16_bits if dtype == "int8" else lambda v: v.astype(np.float64))
    largest = max(abs(x).max(), 1) * max(np.abs(w).sum(1).max() for w in weights[:2])  # that a sum can be
    near = 1e-6 + 3e-8 * largest
    np.testing.assert_allclose(y, want, rtol=0, atol=near)
    exact = stepped(cell, x, state, weights, lambda v: v.astype(np.float64))
    assert np.abs(y - exact).max() <= (largest * 2 / 65278 if dtype == "int8" else 0) + near


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_layer_computes_with_rounded_weights(name, dtype, tmp_path):
    layer = shaken(LAYERS[name]())
    time = 1 if layer.batch_first else 0
    x = torch.randn(*([3, 9] if time else [9, 3]), layer.input_size)
    with torch.no_grad():
        want = with_rounded_weights(layer, dtype)(x.double())[0].float()
        frozen = statewise.freeze(layer, dtype=dtype)
        got = frozen(x)[0]
    near = 1e-5 if dtype == "bfloat16" else 2e-3
    torch.testing.assert_close(got, want, rtol=near, atol=near)
    statewise.save(layer, tmp_path / "net", dtype=dtype)
    net = runtime.load(tmp_path / "net", threads=2)
    torch.testing.assert_close(torch.from_numpy(net.run(x.numpy())), want, rtol=near, atol=near)
    again = saved(layer, tmp_path, dtype=dtype)  # from numbers, narrow from here on
    assert np.array_equal(again.run(x.numpy()), net.run(x.numpy()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_rounded_for_themselves(dtype, tmp_path):
    layer = statewise.LSTM(70, 50, 2, bidirectional=True)
    net = saved(layer, tmp_path, dtype=dtype)
    x = np.random.default_rng(0).normal(size=(30, 9, 70)).astype(np.float32)
    lengths = np.array([30, 1, 0, 7, 30, 29, 2, 3, 11])
    y = net.run(x, lengths)
    for n, length in enumerate(lengths):
        assert np.allclose(y[:length, n], net.run(x[:length, n : n + 1])[:, 0], rtol=0, atol=1e-4)
    odd = x.copy()
    odd[4, 3, 5], odd[2, 4, 0] = np.nan, np.inf
    z = net.run(odd)
    others = [n for n in range(9) if n not in (3, 4)]
    assert np.array_equal(z[:, others], net.run(x)[:, others])
    assert np.isnan(z[4, 3]).all()
    assert dtype == "bfloat16" or np.isnan(z[2, 4]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_file_has_what_it_says_and_is_small(dtype, tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.recurrent = nn.Embedding(50, 64), statewise.GRU(64, 128, 2)
            self.output = nn.Linear(128, 50)

        def forward(self, x):
            return self.output(self.recurrent(self.embedding(x))[0])

    net = Net().eval()
    statewise.save(net, tmp_path / "whole")
    statewise.save(net, tmp_path / "narrow", dtype=getattr(torch, dtype))
    whole, narrow = ((tmp_path / name).stat().st_size for name in ("whole", "narrow"))
    assert narrow < whole * {"bfloat16": 0.52, "int8": 0.28}[dtype]
    tensors = safetensors.torch.load_file(tmp_path / "narrow")
    assert tensors["output.weight"].dtype is getattr(torch, dtype)
    if dtype == "bfloat16":
        assert torch.equal(tensors["output.weight"], net.output.weight.detach().bfloat16())
    x = torch.randint(50, (20, 3))
    with torch.no_grad():
        want = with_rounded_weights(net, dtype)(x).numpy()
    loaded = runtime.load(tmp_path / "narrow")
    np.testing.assert_allclose(loaded.run(x.numpy()), want, rtol=0, atol=1e-5 if dtype == "bfloat16" else 1e-3)
    state = loaded.start(3)
    for step, row in enumerate(x.numpy()):
        y, state = loaded.step(row, state)
        np.testing.assert_allclose(y, want[step], rtol=0, atol=1e-3)
    kept = loaded.to_bytes(state)
    assert runtime.load(tmp_path / "narrow").from_bytes(kept)[1][0].shape == (2, 3, 128)
    with pytest.raises(runtime.LoadError, match="another network's"):
        runtime.load(tmp_path / "whole").from_bytes(kept)
    back = runtime.load(tmp_path / "narrow", dtype="float32")  # the same weights as numbers
    np.testing.assert_allclose(back.run(x.numpy()), want, rtol=0, atol=1e-5)


def test_a_frozen_module_keeps_its_dtype():
    layer = statewise.LSTM(9, 30, 2)
    frozen = statewise.freeze(layer, dtype=torch.int8)
    x = torch.randn(6, 2, 9)
    with torch.no_grad():
        want = frozen(x)[0]
        plain = statewise.freeze(layer)
        assert (plain(x)[0] != want).any()
        plain.load_state_dict(frozen.state_dict())  # float32, rounded
        torch.testing.assert_close(plain(x)[0], want, rtol=0, atol=1e-3)
        given = {name: weight.clone() for name, weight in layer.state_dict().items()}
        frozen.load_state_dict(given, assign=True)
        assert torch.equal(frozen(x)[0], want)
        assert all(torch.equal(given[name], weight) for name, weight in layer.state_dict().items())
        assert torch.equal(copy.deepcopy(frozen)(x)[0], want)
        assert torch.equal(statewise.freeze(frozen)(x)[0], want)
        assert torch.equal(statewise.freeze(plain, dtype="int8")(x)[0], want)
        wide = copy.deepcopy(frozen).double()(x.double())[0].float()
        torch.testing.assert_close(wide, want, rtol=0, atol=1e-3)


def test_a_frozen_cell_reads_them_too():
    cell = nn.GRUCell(7, 33)
    x, h = torch.randn(4, 7), torch.randn(4, 33)
    with torch.no_grad():
        want = with_rounded_weights(cell, "int8")(x.double(), h.double()).float()
        got = statewise.freeze(cell, dtype="int8")(x, h)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-3)


def test_what_is_refused(tmp_path):
    layer = statewise.GRU(3, 4)
    for call in (lambda: statewise.freeze(layer, dtype="int4"), lambda: statewise.save(layer, "x", dtype="int4")):
        with pytest.raises(ValueError, match=r"Expected dtype to be torch.int8, torch.bfloat16 or None, got 'int4'"):
            call()
    for call in (statewise.freeze, lambda model, dtype: statewise.save(model, tmp_path / "x", dtype=dtype)):
        with pytest.raises(ValueError, match="Expected weights of float32 for dtype=int8, got"):
            call(copy.deepcopy(layer).double(), dtype="int8")
    statewise.save(layer, tmp_path / "net")
    with pytest.raises(ValueError, match="load: expected dtype to be float32, bfloat16, int8 or None, got 'int4'"):
        runtime.load(tmp_path / "net", dtype="int4")
    statewise.save(copy.deepcopy(layer).double(), tmp_path / "net")
    with pytest.raises(runtime.LoadError, match="expected float32 weights"):
        runtime.load(tmp_path / "net", dtype="int8")


@pytest.mark.parametrize("odd", ["scale of another size", "scale of another dtype", "no scale", "odd dtype"])
def test_damaged_files_are_refused(odd, tmp_path):
    statewise.save(statewise.GRU(3, 4), tmp_path / "net", dtype="int8")
    told, arrays = runtime.file.read((tmp_path / "net").read_bytes(), "net")
    content, name = told["content"], next(name for name in arrays if name.endswith("weight_ih_l0.scale"))
    if odd == "scale of another size":
        arrays[name] = arrays[name][1:]
    elif odd == "scale of another dtype":
        arrays[name] = arrays[name].astype(np.float64)
    elif odd == "no scale":
        arrays["other.scale"] = arrays.pop(name)
    else:
        content["ops"][0]["dtype"] = "int4"
    (tmp_path / "net").write_bytes(runtime.file.write("network", 1, content, arrays))
    with pytest.raises(runtime.LoadError):
        runtime.load(tmp_path / "net")


def test_a_jobs_model_is_packed_so_too(tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 9, 2)).astype(np.float32)
    Classifier(units=5, layers=2, epochs=1).fit(list(x), [0, 1, 0, 1]).save(tmp_path / "model")
    whole, narrow = (runtime.load(tmp_path / "model", dtype=dtype).run(x.swapaxes(0, 1)) for dtype in (None, "int8"))
    assert (narrow != whole).any()
    np.testing.assert_allclose(narrow, whole, rtol=0, atol=0.02)
