"""Scans, and Loops over steps, as layers: what ``to_onnx`` writes of a cell is that cell again, with its weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import onnx
import statewise
from onnx import helper, numpy_helper
from onnx_engines import run_onnxruntime
from statewise import cells, runtime

CLOSE = {"rtol": 1e-5, "atol": 3e-6}
NAMES = [cell.name for cell in cells.CELLS]
I, H, T, N = 3, 4, 6, 3  # noqa: E741


def layer_of(cell, **options):
    torch.manual_seed(0)
    layer = statewise.Recurrent(cell, I, H, **options).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer


def read_again(layer, path, **options):
    """The network, of which every layer is one op of the layer's cell."""
    statewise.to_onnx(layer, path, native=False, **options)
    net = statewise.from_onnx(path)
    recurrent = [op for op in net.ops if op.op == "recurrent"]
    wanted = layer._stack.cell.name.removesuffix("_headwise")  # which is the same with one head
    assert {op.entry["cell"] for op in recurrent} == {wanted}
    assert len(recurrent) == layer.num_layers * layer._stack.directions
    return net


@pytest.mark.parametrize("cell", NAMES)
def test_a_cell_comes_back(cell, tmp_path):
    layer, x = layer_of(cell), torch.randn(T, N, I)
    net = read_again(layer, tmp_path / "layer.onnx")
    assert [op.op for op in net.ops] == ["recurrent"]  # the product before it is its own
    with torch.no_grad():
        np.testing.assert_allclose(net.run(x.numpy()), layer(x)[0], **CLOSE)
    (part,) = net.parts().values()
    again = part.layer()
    for key, tensor in layer.state_dict().items():
        if "bias_" not in key or "bias_hh_l0" not in layer.state_dict():  # of two that are added, only the sum is known
            torch.testing.assert_close(again.state_dict()[key], tensor, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", NAMES)
def test_both_ways_and_ragged(cell, tmp_path):
    layer, x, lengths = layer_of(cell, bidirectional=True), torch.randn(T, N, I), [6, 2, 4]
    net = read_again(layer, tmp_path / "layer.onnx", lengths=True)
    with torch.no_grad():
        expected = layer(x, lengths=torch.tensor(lengths))[0].numpy()
    found = net.run(x.numpy(), lengths)
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(found[:length, row], expected[:length, row], **CLOSE)


@pytest.mark.parametrize("options", [{"clip": 0.3}, {"zoneout": 0.2}, {"proj_size": 2}, {"bias": False}], ids=str)
@pytest.mark.parametrize("cell", ["lstm", "gru", "layer_norm_gru", "slstm", "sru"])
def test_options(cell, options, tmp_path):
    if cell == "slstm" and "proj_size" in options:
        pytest.skip("sLSTM has no projection")
    layer, x = layer_of(cell, num_layers=2, **options), torch.randn(T, N, I)
    net = read_again(layer, tmp_path / "layer.onnx", states=True)
    feeds = {"x": x.numpy()}
    sizes = layer._stack.state_sizes
    for letter, size in zip(layer._stack.cell.states, sizes, strict=True):
        feeds[f"{letter}_0"] = np.random.default_rng(0).random((2, N, size), np.float32)
    for a, b in zip(net.outputs(feeds).values(), run_onnxruntime(tmp_path / "layer.onnx", feeds), strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)
    if cell != "slstm" and not ("proj_size" in options and layer._stack.cell.carries_h):
        first, second = (part.layer().eval() for part in net.parts().values())
        with torch.no_grad():
            np.testing.assert_allclose(second(first(x)[0])[0], layer(x)[0], **CLOSE)


def test_states_begin_as_the_file_says(tmp_path):
    for cell in ("lstm", "mgu"):
        layer = layer_of(cell, learn_initial_state=True)
        for options in ({}, {"states": True}, {"states": True, "native": True}):
            statewise.to_onnx(layer, tmp_path / "layer.onnx", **{"native": False} | options)
            net, x = statewise.from_onnx(tmp_path / "layer.onnx"), torch.randn(T, N, I)
            with torch.no_grad():
                np.testing.assert_allclose(net.run(x.numpy()), layer(x)[0], **CLOSE)


def test_names_of_results_come_back(tmp_path):
    content = {"inputs": [{"name": "x", "kind": "values", "width": 3}], "ops": [{"op": "linear"}], "labels": ["a", "b"]}
    statewise.to_onnx(runtime.Network(content, {"linear.weight": np.ones((2, 3), np.float32)}), tmp_path / "net.onnx")
    assert statewise.from_onnx(tmp_path / "net.onnx").labels == ["a", "b"]


@pytest.mark.slow
def test_a_cell_of_ones_own(tmp_path):
    def step(ops, x, r, w, state):
        _, c = state
        c = ops.sigmoid(x.a + w.u * c) * c + 0.5 * ops.abs(x.b)
        return ops.minimum(c, ops.tanh(r.a - 2 * c)) * ops.softplus(x.b + r.b), c

    vector = statewise.Vector("u")
    cell = statewise.Cell("of_ones_own", gates="ab", states="hc", step=step, vectors=(vector,))
    layer, x = layer_of(cell.name), torch.randn(T, N, I)
    net = read_again(layer, tmp_path / "layer.onnx")
    with torch.no_grad():
        np.testing.assert_allclose(net.run(x.numpy()), layer(x)[0], **CLOSE)


def scan_of(body_nodes, constants, *, reverse=False, h=H):
    """A file of one Scan of x (T, N, I), whose state begins as zeros of two rows."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        body_nodes,
        "body",
        [value("h", 1, ["N", h]), value("x_t", 1, ["N", I])],
        [value("h_after", 1, ["N", h]), value("y_t", 1, ["N", h])],
    )
    ways = {"scan_input_directions": [1], "scan_output_directions": [1]} if reverse else {}
    node = helper.make_node("Scan", ["begin", "x"], ["end", "y"], body=body, num_scan_inputs=1, **ways)
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph([node], "net", [value("x", 1, ["T", "N", I])], [value("y", 1, ["T", "N", h])], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def gemms(random):
    """A GRU's step as others write it: products by Gemm, gates cut by Split, weights from outside."""
    constants = {
        "W": random.normal(size=(3 * H, I)).astype(np.float32),
        "R": random.normal(size=(3 * H, H)).astype(np.float32),
        "b": random.normal(size=3 * H).astype(np.float32),
        "c": random.normal(size=3 * H).astype(np.float32),
        "begin": np.zeros((2, H), np.float32),
        "one": np.float32(1.0),
    }
    node = helper.make_node
    nodes = [
        node("Gemm", ["x_t", "W", "b"], ["i"], transB=1),
        node("Gemm", ["h", "R", "c"], ["r"], transB=1),
        node("Split", ["i"], ["i_r", "i_z", "i_n"], axis=1, num_outputs=3),
        node("Split", ["r"], ["h_r", "h_z", "h_n"], axis=-1, num_outputs=3),
        node("Add", ["h_r", "i_r"], ["a"]),
        node("Sigmoid", ["a"], ["reset"]),
        node("Add", ["i_z", "h_z"], ["d"]),
        node("Sigmoid", ["d"], ["z"]),
        node("Mul", ["h_n", "reset"], ["e"]),
        node("Add", ["e", "i_n"], ["f"]),
        node("Tanh", ["f"], ["n"]),
        node("Sub", ["h", "n"], ["g"]),
        node("Mul", ["g", "z"], ["k"]),
        node("Add", ["k", "n"], ["h_after"]),
        node("Identity", ["h_after"], ["y_t"]),
    ]
    return nodes, constants


@pytest.mark.parametrize("reverse", [False, True])
def test_a_step_that_others_wrote(reverse, tmp_path):
    onnx.save(scan_of(*gemms(np.random.default_rng(0)), reverse=reverse), tmp_path / "net.onnx")
    net, x = (
        statewise.from_onnx(tmp_path / "net.onnx"),
        np.random.default_rng(1).normal(size=(T, 2, I)).astype(np.float32),
    )
    assert [op.entry["cell"] for op in net.ops if op.op == "recurrent"] == ["gru"]
    np.testing.assert_allclose(net.run(x), run_onnxruntime(tmp_path / "net.onnx", {"x": x})[0], **CLOSE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda nodes, constants: nodes.__setitem__(-1, helper.make_node("Neg", ["h_after"], ["y_t"])),
            "something else",
        ),
        (lambda nodes, constants: nodes[11].__setattr__("op_type", "Add"), "no known cell of 1 states"),
        (lambda nodes, constants: constants.__setitem__("begin", np.eye(2, H, dtype=np.float32)), "from row to row"),
        (
            lambda nodes, constants: nodes[4].input.__setitem__(0, "nothing"),
            "Add 'a' in it: of 'nothing', which nothing",
        ),
        (
            lambda nodes, constants: nodes[0].input.__setitem__(1, "h"),
            "Gemm 'i' in it: that isn't by a matrix of weights",
        ),
    ],
    ids=["another result", "another update", "a state across rows", "an unknown value", "a product of two values"],
)
def test_what_is_refused(change, said, tmp_path):
    nodes, constants = gemms(np.random.default_rng(0))
    change(nodes, constants)
    onnx.save(scan_of(nodes, constants), tmp_path / "net.onnx")
    with pytest.raises(runtime.LoadError, match=rf"net.onnx: from_onnx can't read a node Scan, 'end': .*{said}"):
        statewise.from_onnx(tmp_path / "net.onnx")
