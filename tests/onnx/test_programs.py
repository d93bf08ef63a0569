"""What the runtime runs, as ONNX: each of its ops, of whole and of ragged batches, and in parts from state to state."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import onnx
import statewise
from onnx_engines import ENGINES, every_engine
from statewise.runtime import Network

F = 6
CELL = {"op": "recurrent", "name": "layer", "cell": "gru", "hidden_size": 5}


def weights(random, **shapes):
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def gru(random, name="layer", width=F, ways=("",)):
    shapes = {"weight_ih": (15, width), "weight_hh": (15, 5), "bias_ih": 15, "bias_hh": 15}
    return weights(random, **{f"{name}.{key}_l0{way}": shape for way in ways for key, shape in shapes.items()})


def program(*ops, kind="values", width=F, **arrays):
    """Ops that end in a result, of inputs of ``width``; the tensors are drawn."""
    random = np.random.default_rng(0)
    found = {}
    for name, shape in arrays.items():
        found |= gru(random, **shape) if isinstance(shape, dict) else weights(random, **{name: shape})
    return {"inputs": [{"name": "x", "kind": kind, "width": width}], "ops": list(ops)}, found


BOTH = {"layer": {"ways": ("", "_reverse")}}
BOTH_WAYS = CELL | {"bidirectional": True}
PROGRAMS = {
    "functions": program(
        {"op": "activation", "name": "a", "function": "silu"},
        {"op": "activation", "name": "b", "function": "softplus", "of": ["a"]},
        {"op": "activation", "name": "c", "function": "log_softmax", "of": ["a"]},
        {"op": "add", "of": ["a", "b", "c"]},
        {"op": "norm", "epsilon": 1e-3},
        {"op": "concat", "of": ["norm", "x"]},
        {"op": "activation", "function": "softmax"},
    ),
    "symbols": program(
        {"op": "embedding"}, {"op": "linear"}, CELL, {"op": "path"},
        kind="symbols", width=9, **{"embedding.weight": (9, 4), "linear.weight": (F, 4), "layer": {}},
    ),
    "last of a layer": program(CELL, {"op": "last"}, {"op": "linear"}, **{"linear.weight": (2, 5), "layer": {}}),
    "last": program({"op": "activation", "function": "tanh"}, {"op": "last"}),
    "last of both ways": program(BOTH_WAYS, {"op": "last", "bidirectional": True}, **BOTH),
    "last of a function of both ways": program(
        BOTH_WAYS, {"op": "activation", "function": "relu"}, {"op": "last", "bidirectional": True}, **BOTH
    ),
    "max": program({"op": "max"}),
    "mean": program({"op": "mean"}),
    "attention in time": program({"op": "linear"}, {"op": "mean", "of": ["linear", "x"]}, **{"linear.weight": (1, F)}),
    "scale": program({"op": "scale"}, kind="exact", **{"scale.mean": F, "scale.scale": F}),
    "scale, carrying": program({"op": "scale", "carry": True}, kind="exact", **{"scale.mean": F, "scale.scale": F}),
    "segments": program({"op": "segment", "size": 3}, CELL, {"op": "max"}, layer={"width": 3 * F}),
    "turned round": program({"op": "reverse"}, CELL, {"op": "reverse", "name": "back"}, layer={}),
    "a path": program({"op": "path"}, **{"path.between": (F, F), "path.first": F, "path.last": F}),
    "causal convolution": program(
        {"op": "convolution", "left": 4, "dilation": 2, "groups": 2},
        **{"convolution.weight": (8, 3, 3), "convolution.bias": 8},
    ),
    "strided convolution": program(
        {"op": "convolution", "left": 1, "right": 2, "stride": 2}, {"op": "max"}, **{"convolution.weight": (4, F, 3)}
    ),
    "mirrored convolution": program(
        {"op": "convolution", "left": 1, "right": 2, "reflect": True}, {"op": "mean"},
        **{"convolution.weight": (4, F, 2)},
    ),
    "a convolution within steps": program(
        {"op": "convolution", "name": "a", "positions": F, "right": 2, "reflect": True, "stride": 2},
        {"op": "magnitude", "positions": 3},
        {"op": "convolution", "name": "b", "positions": 3, "left": 1},
        **{"a.weight": (8, 1, 4), "b.weight": (3, 4, 2)},
    ),
}  # fmt: skip
for _content, _arrays in PROGRAMS.values():
    _arrays |= {"scale.scale": np.abs(_arrays["scale.scale"]) + 0.1} if "scale.scale" in _arrays else {}
PROGRAMS["a path"][1]["path.allowed"] = np.random.default_rng(1).random((F + 1, F + 1)) > 0.2


def values(content, t=8, n=4, seed=2):
    (told,) = content["inputs"]
    random = np.random.default_rng(seed)
    if told["kind"] == "symbols":
        return random.integers(told["width"], size=(t, n))
    return random.normal(size=(t, n, told["width"])).astype(np.float64 if told["kind"] == "exact" else np.float32)


def there(y, lengths):
    """What says something of a result."""
    if lengths is None or len(y) == len(lengths):
        return y
    return np.concatenate([y[:length, n] for n, length in enumerate(lengths)])


@pytest.mark.parametrize("ragged", [False, True])
@every_engine
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_as_the_runtime(name, engine, ragged, tmp_path):
    content, arrays = PROGRAMS[name]
    net, x, lengths = Network(content, arrays), values(content), [8, 3, 5, 6] if ragged else None
    if "carry" in content["ops"][0]:
        x[[0, 1, 4], 1, 2] = x[6:, 2] = x[3, 0] = np.nan
    path = tmp_path / "net.onnx"
    statewise.to_onnx(net, path, lengths=ragged, native=engine == "onnxruntime")
    feeds = {"x": x} | ({"lengths": np.array(lengths)} if ragged else {})
    found, expected = ENGINES[engine](path, feeds)[0], net.run(x, lengths)
    if len(net.ops) > 1 and net.ops[-1].op == "path":
        lengths = None
        expected, found = expected[:3], found[:3]
    np.testing.assert_allclose(there(found, lengths), there(expected, lengths), rtol=2e-5, atol=2e-6)
    assert found.dtype == expected.dtype


# The states of a layer that reads backwards are a layer's, and no stream's.
@every_engine
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "last of both ways"])
def test_in_parts(name, engine, tmp_path):
    content, arrays = PROGRAMS[name]
    net, x, path = Network(content, arrays), values(content), tmp_path / "net.onnx"
    if not net.streams:
        with pytest.raises(ValueError, match="to_onnx: ONNX can't be told of states beside"):
            statewise.to_onnx(net, path, states=True)
        return
    statewise.to_onnx(net, path, states=True)
    assert_in_parts(engine, path, x, None, net.run(x), net.width)
    lengths = np.array([8, 2, 1 if engine == "openvino" else 0, 6])  # OpenVINO's least number isn't minus infinity
    statewise.to_onnx(net, path, states=True, lengths=True, native=engine == "onnxruntime")
    if name != "symbols":  # nothing is said past an end, and argmax goes on there
        with np.errstate(invalid="ignore"):
            expected = net.run(x, lengths)
        if expected.ndim == 2:
            assert_in_parts(engine, path, x, lengths, expected, net.width)


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
def test_weights_of_fewer_bits_are_written_as_floats(dtype, tmp_path):
    layer = statewise.GRU(F, 5)
    statewise.save(layer, tmp_path / "layer.safetensors", dtype=dtype)
    statewise.to_onnx(tmp_path / "layer.safetensors", tmp_path / "layer.onnx")
    x = values(PROGRAMS["max"][0])
    (found,) = ENGINES["onnxruntime"](tmp_path / "layer.onnx", {"x": x})
    np.testing.assert_allclose(found, layer(torch.from_numpy(x))[0].detach(), atol=0.02)


def assert_in_parts(engine, path, x, lengths, expected, width):
    """What a file with states gives of the first three steps, and then of all others."""
    model = onnx.load(path)
    start = json.loads({e.key: e.value for e in model.metadata_props}.get("statewise.start", "{}"))
    state = {}
    for each in model.graph.input:
        if each.name not in ("x", "lengths"):
            dims = [x.shape[1] if d.dim_param else d.dim_value for d in each.type.tensor_type.shape.dim]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type)
            state[each.name] = np.broadcast_to(np.array(start.get(each.name, 0), dtype), dims)
    names, steps = [each.name for each in model.graph.output], []
    for begin, end in ((0, 3), (3, len(x))):
        feeds = {"x": x[begin:end]} | state
        if lengths is not None:
            feeds["lengths"] = np.clip(lengths - begin, 0, end - begin)
        y, *after = ENGINES[engine](path, feeds)
        state = {name.removesuffix("_n") + "_0": each for name, each in zip(names[1:], after, strict=True)}
        steps.append(y)
    found = steps[-1] if expected.shape[0] == x.shape[1] and expected.ndim == 2 else np.concatenate(steps)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
