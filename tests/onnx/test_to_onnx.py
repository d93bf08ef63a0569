"""Layers and modules as ONNX files, computed by onnxruntime, by onnx's own reference and, where it is installed, by
OpenVINO: what the layer itself gives.
"""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

import onnx
import statewise
from onnx_engines import assert_gives, every_engine
from statewise import cells, runtime
from statewise.onnx.nodes import KINDS

I, H = 4, 6  # noqa: E741


def ops_of(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def check(layer, engine, path, *, t=7, n=3, lengths=None, states=False, **options):
    """That ``layer`` and its file give the same."""
    statewise.to_onnx(layer, path, lengths=lengths is not None, states=states, **options)
    dtype, stack = next(layer.parameters()).dtype, layer._stack
    x = torch.randn(*((n, t) if layer.batch_first else (t, n)), layer.input_size, dtype=dtype)
    feeds, hx, more = {"x": x.numpy()}, None, {}
    if lengths is not None:
        feeds["lengths"], more = np.array(lengths), {"lengths": torch.tensor(lengths)}
    if states:
        hx = tuple([torch.rand(stack.depth, n, size, dtype=dtype) for size in stack.state_sizes])
        feeds |= {f"{letter}_0": h.numpy() for letter, h in zip(stack.cell.states, hx, strict=True)}
        hx = hx[0] if len(hx) == 1 else hx
    own, exact = results(layer, x, hx, more, states), results(layer, x.double(), hx, more, states)
    error = max(abs(a - b).max() for a, b in zip(own, exact, strict=True))
    bounds = {"atol": max(2e-6, 2 * error)}
    if dtype is torch.float64 and engine != "openvino":  # which computes in float32 all the same
        bounds = {"rtol": 1e-12, "atol": 1e-13}
    assert_gives(engine, path, feeds, [a.astype(b.dtype) for a, b in zip(exact, own, strict=True)], **bounds)


def results(layer, x, hx, more, states):
    """In ``x``'s dtype."""
    layer, hx = copy.deepcopy(layer).to(x.dtype), pytree.tree_map_only(torch.Tensor, lambda h: h.to(x.dtype), hx)
    with torch.no_grad():
        y, final = layer(x, hx, **more)
    return [each.numpy() for each in ([y, *(final if isinstance(final, tuple) else (final,))] if states else [y])]


def layer_of(cell, **options):
    if cell.heads:
        return statewise.Recurrent(cell.name, I, H, num_heads=2)
    return statewise.Recurrent(cell.name, I, H, num_layers=2, bidirectional=True, **options)


# onnx's reference has no relu in RNN, and it and OpenVINO, of any T, don't look at sequence_lens.
def wrong(engine, cell, lengths=False):
    return (engine == "reference" and cell == "rnn_relu") or (engine != "onnxruntime" and lengths and cell in KINDS)


@every_engine
@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(cell, id=cell.name, marks=[] if cell.name in ("lstm", "gru", "slstm") else pytest.mark.slow)
        for cell in cells.CELLS
    ],
)
def test_every_cell(cell, engine, tmp_path):
    path = tmp_path / "layer.onnx"
    check(layer_of(cell), engine, path, native=not wrong(engine, cell.name))
    lengths, native = [7, 0, 1], not wrong(engine, cell.name, True)
    check(layer_of(cell), engine, path, lengths=lengths, states=True, native=native)
    check(layer_of(cell), engine, path, t=1, n=1, states=True, native=native)
    assert (KINDS.get(cell.name) in ops_of(path)) == (native and cell.name in KINDS)


OPTIONS = {
    "one layer": lambda: statewise.LSTM(I, H),
    "batch_first": lambda: statewise.GRU(I, H, batch_first=True),
    "no bias": lambda: statewise.LSTM(I, H, 2, bias=False),
    "projection": lambda: statewise.LSTM(I, H, 2, bidirectional=True, proj_size=3),
    "projection of what is carried": lambda: statewise.GRU(I, H, 2, proj_size=3),
    "clip": lambda: statewise.LSTM(I, H, clip=0.1),
    "zoneout": lambda: statewise.LSTM(I, H, zoneout=(0.1, 0.4)),
    "learnt states": lambda: statewise.GRU(I, H, 2, bidirectional=True, learn_initial_state=True),
    "learnt states of a Scan": lambda: statewise.LSTM(I, H, clip=1.0, learn_initial_state=True),
    "other activations": lambda: statewise.Recurrent("lstm", I, H, activation={"tanh": "elu"}),
    "float64": lambda: statewise.LSTM(I, H, 2).double(),
}


@every_engine
@pytest.mark.parametrize(
    "option",  # of other activations the runtime's cell is compiled
    [pytest.param(name, marks=pytest.mark.slow) if name == "other activations" else name for name in OPTIONS],
)
def test_options(option, engine, tmp_path):
    layer = OPTIONS[option]().eval()
    for p in layer.parameters():
        nn.init.uniform_(p, -1, 1)
    check(layer, engine, tmp_path / "layer.onnx", t=9, n=2)
    check(layer, engine, tmp_path / "layer.onnx", states=True)
    if engine == "onnxruntime":
        check(layer, engine, tmp_path / "layer.onnx", lengths=[3, 7, 1], states=True)
    told = {each.key: each.value for each in onnx.load(tmp_path / "layer.onnx").metadata_props}
    if "learnt" in option:
        places = [f"_l{k}{way}" for k in range(layer.num_layers) for way in ("", "_reverse")[: layer._stack.directions]]
        first = [getattr(layer, f"initial_h{place}").tolist() for place in places]
        assert np.array(json.loads(told["statewise.start"])["h_0"])[:, 0].tolist() == first
    else:
        assert told == {}


def test_several_stacks(tmp_path):
    layer = statewise.LSTM(I, [5, 5, 3], norm=True)
    check(layer, "onnxruntime", tmp_path / "layer.onnx", lengths=[3, 7, 1])
    check(statewise.GRU(I, H, 3, residual=True, norm=True, dropout=0.5).eval(), "reference", tmp_path / "layer.onnx")
    statewise.to_onnx(layer, tmp_path / "layer.onnx", states=True)
    graph = onnx.load(tmp_path / "layer.onnx").graph
    assert [i.name for i in graph.input] == ["x", *(f"layer.{k}.{letter}_0" for k in range(3) for letter in "hc")]
    assert [o.name for o in graph.output] == ["y", *(f"layer.{k}.{letter}_n" for k in range(3) for letter in "hc")]


@pytest.mark.filterwarnings("ignore:cell own_for_onnx has no kernel")  # so that nothing has to be compiled here
def test_a_cell_of_ones_own(tmp_path):
    def step(ops, x, r, w, state):
        h, m = state
        m = ops.where(ops.relu(m), ops.maximum(m, x.a), 0.5)
        late = r.b(h * m)
        return ops.tanh(x.b + late) * ops.sqrt(ops.abs(m)) - ops.logsigmoid(w.u.p) / (2 - ops.minimum(h, -m)), m

    u = statewise.Vector("u", "pq")
    cell = statewise.Cell("own_for_onnx", "ab", "hm", step, late="b", recurrent="b", vectors=(u,))
    for engine in ("onnxruntime", "reference"):
        check(statewise.Recurrent(cell, I, H), engine, tmp_path / "own.onnx", lengths=[7, 2, 0], states=True)


def test_single_cells_and_torchs_layers(tmp_path):
    cell = statewise.LSTMCell(I, H)
    x, h, c = torch.randn(3, I), torch.randn(3, H), torch.randn(3, H)
    statewise.to_onnx(cell, tmp_path / "cell.onnx", states=True)
    with torch.no_grad():
        h_n, c_n = cell(x, (h, c))
    feeds = {"x": x[None], "h_0": h[None], "c_0": c[None]}
    assert_gives("onnxruntime", tmp_path / "cell.onnx", feeds, [h_n[None], h_n[None], c_n[None]])
    layer = nn.GRU(I, H, batch_first=True)
    statewise.to_onnx(layer, tmp_path / "layer.onnx")
    x = torch.randn(2, 5, I)
    assert_gives("reference", tmp_path / "layer.onnx", {"x": x}, [layer(x)[0].detach()])


def test_what_a_program_needs_is_there_once(tmp_path):
    statewise.to_onnx(statewise.GRU(40, 100, bidirectional=True), tmp_path / "layer.onnx")
    weights = 4 * 2 * (3 * 100 * (40 + 100) + 6 * 100)
    assert weights < (tmp_path / "layer.onnx").stat().st_size < weights + 2500
    assert [i.opset_import[0].version for i in [onnx.load(tmp_path / "layer.onnx")]] == [18]


def test_what_is_refused(tmp_path):
    with pytest.raises(TypeError, match="to_onnx: Expected model to be a module, a network or a path, got list"):
        statewise.to_onnx([], tmp_path / "no.onnx")
    with pytest.raises(ValueError, match=r"^to_onnx: the runtime can't run a Bilinear, bilinear"):
        statewise.to_onnx(WithBilinear(), tmp_path / "no.onnx")
    (tmp_path / "no.safetensors").write_bytes(b"")
    with pytest.raises(runtime.LoadError, match=r"not a whole .safetensors file"):
        statewise.to_onnx(tmp_path / "no.safetensors", tmp_path / "no.onnx")
    assert [each.name for each in tmp_path.iterdir()] == ["no.safetensors"]


class WithBilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.bilinear = statewise.GRU(I, H), nn.Bilinear(H, H, 1)

    def forward(self, x):
        y, _ = self.layer(x)
        return self.bilinear(y, y)
