"""ONNX files as networks of the runtime's: onnx's own tests of recurrent nodes, files of torch's, files of our own."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn

import onnx
import statewise
from onnx import TensorProto, helper, numpy_helper
from onnx_engines import run_onnxruntime
from statewise import runtime

with np.errstate(all="ignore"):  # what they compute when they are imported may say so
    for _kind in ("rnn", "gru", "lstm"):
        import_module(f"onnx.backend.test.case.node.{_kind}")
NODE_TESTS = import_module("onnx.backend.test.case.node")._NodeTestCases

CLOSE = {"rtol": 1e-5, "atol": 2e-6}
WEIGHTS = ("W", "R", "B", "P")
CASES = {each.name: each for each in NODE_TESTS if {n.op_type for n in each.model.graph.node} <= {"RNN", "GRU", "LSTM"}}


def test_there_are_as_many_as_onnx_has():
    assert len(CASES) >= 18


@pytest.mark.parametrize("name", CASES)
def test_onnx_own_tests(name, tmp_path):
    case = CASES[name]
    (given, expected), names = case.data_sets[0], [each.name for each in case.model.graph.input]
    feeds = dict(zip(names, given, strict=True))
    onnx.save(case.model, tmp_path / "node.onnx")
    weights = {key: feeds.pop(key) for key in WEIGHTS if key in feeds}
    net = statewise.from_onnx(tmp_path / "node.onnx", values=weights)
    assert sorted(net.input_names) == sorted(feeds)
    found = net.outputs(feeds)
    assert list(found) == [each.name for each in case.model.graph.output]
    for a, b in zip(found.values(), expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=case.rtol, atol=case.atol)


def node_model(kind, inputs, outputs, *, t="T", n="N", i=3, h=5, weights=(), layout=0, **attributes):
    """A file of one node, whose weights are constants."""
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    g = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    random = np.random.default_rng(0)
    shapes = {"W": (ways, g * h, i), "R": (ways, g * h, h), "B": (ways, 2 * g * h), "P": (ways, 3 * h)}
    tensors = [
        numpy_helper.from_array(random.normal(size=shapes[key]).astype(np.float32) * 0.5, key)
        for key in inputs
        if key in shapes
    ]
    state = [n, ways, h] if layout else [ways, n, h]
    dims = {"X": [n, t, i] if layout else [t, n, i], "initial_h": state, "initial_c": state, "sequence_lens": [n]}
    ends = {"Y": [n, t, ways, h] if layout else [t, ways, n, h], "Y_h": state, "Y_c": state}
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, outputs, hidden_size=h, layout=layout, **attributes)],
        "node",
        [
            helper.make_tensor_value_info(
                key, TensorProto.INT32 if key == "sequence_lens" else TensorProto.FLOAT, dims[key]
            )
            for key in inputs
            if key in dims
        ],
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, ends[key]) for key in outputs if key],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def check_node(tmp_path, kind, inputs, outputs, feeds, **attributes):
    path = tmp_path / "node.onnx"
    onnx.save(node_model(kind, inputs, outputs, **attributes), path)
    net = statewise.from_onnx(path)
    for (key, a), b in zip(net.outputs(feeds).items(), run_onnxruntime(path, feeds), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), key
        np.testing.assert_allclose(a, b, **CLOSE)
    return net


ALL = {
    "RNN": (["X", "W", "R", "B", "sequence_lens", "initial_h"], ["Y", "Y_h"]),
    "GRU": (["X", "W", "R", "B", "sequence_lens", "initial_h"], ["Y", "Y_h"]),
    "LSTM": (["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"], ["Y", "Y_h", "Y_c"]),
}


def drawn(inputs, t, n, ways, h=5):
    random = np.random.default_rng(1)
    shapes = {"X": (t, n, 3), "initial_h": (ways, n, h), "initial_c": (ways, n, h)}
    feeds = {key: random.normal(size=shapes[key]).astype(np.float32) for key in inputs if key in shapes}
    return feeds | (
        {"sequence_lens": random.integers(1, t + 1, n).astype(np.int32)} if "sequence_lens" in inputs else {}
    )


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", ALL)
def test_directions_states_and_lengths(kind, direction, tmp_path):
    (inputs, outputs), ways = ALL[kind], 1 + (direction == "bidirectional")
    check_node(tmp_path, kind, inputs, outputs, drawn(inputs, 7, 4, ways), direction=direction)
    some = inputs[:4]
    check_node(tmp_path, kind, some, ["", "Y_h"], drawn(some, 4, 1, ways), direction=direction, t=4, n=1)
    check_node(tmp_path, kind, some[:3], ["Y"], drawn(some, 1, 3, ways), direction=direction)


def test_what_reads_backwards_alone_is_computed_once(tmp_path):
    net = check_node(tmp_path, "GRU", ["X", "W", "R"], ["Y"], drawn(["X"], 6, 2, 1), direction="reverse")
    assert [op.op for op in net.ops] == ["reverse", "recurrent", "reverse"]
    assert not net.ops[1].entry.get("bidirectional", False)
    net.save(tmp_path / "net.safetensors")
    x = drawn(["X"], 6, 2, 1)["X"]
    np.testing.assert_array_equal(runtime.load(tmp_path / "net.safetensors").run(x), net.run(x))
    np.testing.assert_allclose(net.run(x[:4]), net.run(x, [4, 4])[:4], **CLOSE)


@pytest.mark.parametrize("place", [-2, -1])
def test_one_direction_of_what_both_end_with(place, tmp_path):
    """As ``h_n[-2]`` of a bidirectional layer: that of the direction that is asked for."""
    model = node_model("GRU", ["X", "W", "R"], ["", "Y_h"], direction="bidirectional")
    model.graph.initializer.append(numpy_helper.from_array(np.array(place), "place"))
    model.graph.initializer.append(numpy_helper.from_array(np.eye(5, dtype=np.float32), "W_2"))
    model.graph.node.append(helper.make_node("Gather", ["Y_h", "place"], ["h"], axis=0))
    model.graph.node.append(helper.make_node("MatMul", ["h", "W_2"], ["y"]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5]))
    onnx.save(model, tmp_path / "node.onnx")
    feeds = drawn(["X"], 6, 3, 2)
    (expected,) = run_onnxruntime(tmp_path / "node.onnx", feeds)
    np.testing.assert_allclose(statewise.from_onnx(tmp_path / "node.onnx").run(feeds["X"]), expected, **CLOSE)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"activations": ["HardSigmoid", "Softsign"], "activation_alpha": [1 / 6]}),
        ("LSTM", {"input_forget": 1}),
        ("LSTM", {"activations": ["Sigmoid", "Relu", "Relu"] * 2, "direction": "bidirectional"}),
        ("RNN", {"activations": ["Relu"]}),
        ("RNN", {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]}),
    ],
    ids=str,
)
@pytest.mark.slow  # a variant of a cell is compiled
def test_attributes(kind, attributes, tmp_path):
    inputs = ["X", "W", "R", "B"]
    check_node(tmp_path, kind, inputs, ["Y", "Y_h"], drawn(inputs, 5, 3, 1), **attributes)


@pytest.mark.parametrize(
    ("kind", "attributes", "said"),
    [
        ("LSTM", {"clip": 0.5}, "a node LSTM, 'Y': with a clip"),
        ("LSTM", {"activations": ["Sigmoid", "Tanh", "Relu"]}, "with tanh and relu, where statewise has one"),
        ("GRU", {"activations": ["Sigmoid", "ScaledTanh"]}, "with the activation scaledtanh"),
        (
            "RNN",
            {"activations": ["LeakyRelu"], "activation_alpha": [0.3]},
            "leakyrelu of .0.3.*where statewise has .0.01",
        ),
        ("RNN", {"direction": "bidirectional", "activations": ["Tanh", "Relu"]}, "directions have other activations"),
        ("GRU", {"direction": "sideways"}, "of the direction 'sideways'"),
    ],
)
def test_what_a_node_may_not_be(kind, attributes, said, tmp_path):
    onnx.save(node_model(kind, ["X", "W", "R"], ["Y"], **attributes), tmp_path / "node.onnx")
    with pytest.raises(runtime.LoadError, match=rf"node.onnx: from_onnx can't read .*{said}"):
        statewise.from_onnx(tmp_path / "node.onnx")


# What to_onnx writes is read again.


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_layers_there_and_back(kind, batch_first, tmp_path):
    layer = getattr(statewise, kind)(3, 5, 2, bidirectional=True, batch_first=batch_first)
    statewise.to_onnx(layer, tmp_path / "layer.onnx", lengths=True)
    net, lengths = statewise.from_onnx(tmp_path / "layer.onnx"), [6, 2, 4, 1]
    x = torch.randn(4, 6, 3) if batch_first else torch.randn(6, 4, 3)
    with torch.no_grad():
        expected = layer(x, lengths=torch.tensor(lengths))[0].numpy()
    np.testing.assert_allclose(net.run(x.numpy(), lengths), expected, **CLOSE)
    feeds = {"x": x.numpy(), "lengths": np.array(lengths)}
    np.testing.assert_allclose(net.outputs(feeds)["y"], expected, **CLOSE)
    statewise.to_onnx(layer, tmp_path / "layer.onnx", states=True)
    net = statewise.from_onnx(tmp_path / "layer.onnx")
    hx = tuple(torch.randn(4, 4, 5) for _ in layer._stack.cell.states)
    feeds = {"x": x.numpy()} | {f"{letter}_0": h.numpy() for letter, h in zip("hc", hx, strict=False)}
    with torch.no_grad():
        y, final = layer(x, hx if len(hx) > 1 else hx[0])
    for a, b in zip(net.outputs(feeds).values(), [y, *(final if len(hx) > 1 else [final])], strict=True):
        np.testing.assert_allclose(a, b.numpy(), **CLOSE)
    first, second = (part.layer(batch_first=batch_first) for part in net.parts().values())
    assert isinstance(first, type(layer))
    with torch.no_grad():
        np.testing.assert_allclose(second(first(x)[0])[0], layer(x)[0], **CLOSE)


class Model(nn.Module):
    """What ``forward`` makes of parts that are there for all."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.run(self, x)


def symbols(self, x):
    return torch.log_softmax(self.output(self.layer(self.embedding(x))[0]), -1)


def residual(self, x):
    x = torch.tanh(self.first(x))
    y, _ = self.layer(self.norm(x))
    return self.output(torch.cat([x + y, y], dim=-1)).sigmoid()


def both_ends(self, x):
    _, (h, _) = self.layer(x)
    return self.output(torch.cat((h[-2], h[-1]), dim=1))


def last_state(self, x):
    return torch.softmax(self.output(self.layer(x)[1][-1]), -1)


def last_step(self, x):
    return self.output(self.layer(x)[0][:, -1, :])


def mean(self, x):
    return self.output(nn.functional.silu(self.layer(x)[0]).mean(1))


def largest(self, x):
    return self.output(torch.amax(self.layer(x)[0], dim=0))


def flat(self, x):
    y, _ = self.layer(x)
    return self.output(y.reshape(-1, 6)).relu().reshape(x.shape[0], x.shape[1], 2)


def front(self, x):
    return self.layer(self.conv(x.transpose(1, 2)).transpose(1, 2))[0]


MODELS = {
    "symbols": lambda: Model(symbols, embedding=nn.Embedding(11, 4), layer=nn.LSTM(4, 6, 2), output=nn.Linear(6, 11)),
    "residual": lambda: Model(
        residual,
        first=nn.Linear(3, 6),
        norm=nn.LayerNorm(6, eps=1e-3),
        layer=nn.GRU(6, 6),
        output=nn.Linear(12, 2),
    ),
    "both ends": lambda: Model(both_ends, layer=nn.LSTM(3, 6, 2, bidirectional=True), output=nn.Linear(12, 2)),
    "last state": lambda: Model(last_state, layer=nn.GRU(3, 6, 2), output=nn.Linear(6, 2, bias=False)),
    "last step": lambda: Model(last_step, layer=nn.LSTM(3, 6, batch_first=True), output=nn.Linear(6, 2)),
    "mean": lambda: Model(mean, layer=nn.GRU(3, 6, batch_first=True), output=nn.Linear(6, 2)),
    "largest": lambda: Model(largest, layer=nn.RNN(3, 6), output=nn.Linear(6, 2)),
    "convolutions": lambda: Model(
        front,
        conv=nn.Sequential(nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 6, 2, stride=2)),
        layer=nn.LSTM(6, 5, batch_first=True, bidirectional=True),
    ),
}


def input_of(model, t=6, n=4):
    batch_first = any(getattr(each, "batch_first", False) for each in model.modules())
    lead = (n, t) if batch_first else (t, n)
    return torch.randint(11, lead) if hasattr(model, "embedding") else torch.randn(*lead, 3)


@pytest.mark.parametrize("name", MODELS)
def test_models_there_and_back(name, tmp_path):
    model = MODELS[name]().eval()
    statewise.to_onnx(model, tmp_path / "model.onnx")
    net, x = statewise.from_onnx(tmp_path / "model.onnx"), input_of(model)
    with torch.no_grad():
        np.testing.assert_allclose(net.run(x.numpy()), model(x).numpy(), **CLOSE)
    net.save(tmp_path / "model.safetensors")
    again = runtime.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.run(x.numpy()), net.run(x.numpy()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec:FutureWarning")
@pytest.mark.filterwarnings("ignore:Exporting a model to ONNX with a batch_size other than 1")
@pytest.mark.parametrize(
    ("name", "dynamo"),  # torch's newer exporter takes seconds
    [*((name, False) for name in (*MODELS, "flat")), ("both ends", True), ("flat", True), ("convolutions", True)],
)
def test_what_torch_exports(name, dynamo, tmp_path):
    model = MODELS.get(name, lambda: Model(flat, layer=nn.GRU(3, 6), output=nn.Linear(6, 2)))().eval()
    model = statewise.accelerate(model) if dynamo else model  # torch's newer exporter unrolls its own layers
    x, path = input_of(model), tmp_path / "model.onnx"
    if dynamo:
        dims = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        torch.onnx.export(model, (x,), path, dynamo=True, dynamic_shapes=(dims,), verbose=False)
    else:
        axes = {0: "a", 1: "b"}
        torch.onnx.export(model, (x,), path, dynamo=False, input_names=["x"], dynamic_axes={"x": axes})
    net = statewise.from_onnx(path)
    for t, n in ((6, 4), (9, 1)):
        x = input_of(model, t, n)
        with torch.no_grad():
            expected = model(x).numpy()
        np.testing.assert_allclose(net.run(x.numpy()), expected, **CLOSE)
        (found,) = net.outputs({net.input_names[0]: x.numpy()}).values()
        np.testing.assert_allclose(found, expected, **CLOSE)
