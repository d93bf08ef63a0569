"""ONNX files of strangers: damaged, lying about their sizes, pointing elsewhere. They are refused in a line."""

from __future__ import annotations

import random
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import nn

import onnx
import statewise
from onnx import TensorProto, helper, numpy_helper
from statewise import runtime


@pytest.fixture
def file(tmp_path):
    """A path, and a function that has ``from_onnx`` read what it is given there."""
    path = tmp_path / "net.onnx"

    def read(data):
        path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
        return statewise.from_onnx(path)

    return path, read


def layer(path):
    statewise.to_onnx(statewise.GRU(3, 4), path)
    return onnx.load(path)


def tensor(model, end):
    return next(each for each in model.graph.initializer if each.name.endswith(end))


def test_what_is_no_onnx_file(file):
    path, read = file
    for data in (b"", b"\x00" * 40, b"text", np.random.default_rng(0).bytes(300)):
        with pytest.raises(runtime.LoadError, match=r"net\.onnx: not "):
            read(data)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        statewise.from_onnx(path)


def test_sizes_that_lie(file):
    path, read = file
    for dims in ([1, 12, 2**40], [2**62, 2**62, 4], [1, -12, -3]):
        model = layer(path)
        del tensor(model, ".W").dims[:]
        tensor(model, ".W").dims.extend(dims)
        with pytest.raises(runtime.LoadError, match=r"layer\.W: (its numbers don't fill|expected sizes)"):
            read(model)
    model = layer(path)
    next(each for each in model.graph.node[0].attribute if each.name == "hidden_size").i = 2**40
    with pytest.raises(runtime.LoadError, match=r"a node GRU, .*whose W is \(1, 12, 3\), where .* was expected"):
        read(model)


def test_a_constant_of_any_size_takes_no_memory(file):
    path, read = file
    model = layer(path)
    size = numpy_helper.from_array(np.array([2**20, 2**20, 2**10]), "size")
    model.graph.initializer.append(size)
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["size"], ["zeros"]))
    tracemalloc.start()
    with pytest.raises(runtime.LoadError, match=r"a node ConstantOfShape, 'zeros': a constant of size"):
        read(model)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def external(model, where, **more):
    weight = tensor(model, ".W")
    array = numpy_helper.to_array(weight)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": str(where), **more}.items():
        weight.external_data.add(key=key, value=str(value))
    return array.tobytes()


def test_numbers_in_other_files(file, tmp_path):
    path, read = file
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    model = layer(path)
    expected = read(model).run(x)
    folder, outside = tmp_path / "within", tmp_path.parent / "outside.bin"
    folder.mkdir()
    data = external(model, "within/weights.bin", offset=8, length=144)
    (folder / "weights.bin").write_bytes(b"\0" * 8 + data)
    np.testing.assert_array_equal(read(model).run(x), expected)
    (folder / "weights.bin").write_bytes(data)
    with pytest.raises(runtime.LoadError, match=r"layer\.W: its numbers in 'within/weights\.bin' don't fill"):
        read(model)
    outside.write_bytes(b"\0" * 8 + data)
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").symlink_to(outside)
    with pytest.raises(runtime.LoadError, match=r"layer\.W: expected its numbers in a file in"):
        read(model)
    for where in ("../outside.bin", outside, "none.bin", ""):
        model = layer(path)
        external(model, where)
        with pytest.raises(runtime.LoadError, match=r"net\.onnx: layer\.W: "):
            read(model)


def test_what_is_not_known_is_named(file, tmp_path):
    path, read = file
    statewise.to_onnx(statewise.LSTM(3, 4, clip=1.0), path)
    for kind, said in (
        ("Softplus", "whose step is that of no known cell of 2 states"),
        ("Sin", "Sin 'layer.step/tanh.*' in it"),
    ):
        model = onnx.load(path)
        (scan,) = [node for node in model.graph.node if node.op_type == "Scan"]
        (body,) = [each.g for each in scan.attribute if each.name == "body"]
        next(node for node in body.node if node.op_type == "Tanh").op_type = kind
        with pytest.raises(runtime.LoadError, match=rf"from_onnx can't read a node Scan, 'layer/h': {said}"):
            read(model)
    model = layer(path)
    model.graph.node[0].domain = "com.example"
    with pytest.raises(runtime.LoadError, match=r"a node com\.example\.GRU, "):
        read(model)
    model = layer(path)
    model.graph.node[0].input[3] = "nowhere"
    with pytest.raises(runtime.LoadError, match="of 'nowhere', which nothing gives"):
        read(model)
    model = layer(path)
    model.graph.node[0].output.append("c_n")  # which a GRU hasn't got
    model.graph.node[-1].input[0] = "c_n"
    with pytest.raises(runtime.LoadError, match="of 'c_n', which nothing gives"):
        read(model)
    layer(path)
    with pytest.raises(runtime.LoadError, match="there is no input 'W'; there are x"):
        statewise.from_onnx(path, values={"W": np.zeros(3)})


def test_numbers_that_are_not_finite_are_no_warning(file):
    path, read = file
    for layer in (statewise.LSTM(3, 4, clip=1.0), statewise.GRU(3, 4)):
        statewise.to_onnx(layer, path)
        model = onnx.load(path)
        graphs = [model.graph, *(each.g for node in model.graph.node for each in node.attribute if each.HasField("g"))]
        for weight in (each for graph in graphs for each in graph.initializer if each.data_type == 1):
            weight.CopyFrom(numpy_helper.from_array(np.full(list(weight.dims), np.inf, np.float32), weight.name))
        with suppress(runtime.LoadError):
            read(model)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.layer, self.output = nn.Embedding(5, 3), nn.LSTM(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return torch.softmax(self.output(self.layer(self.embedding(x))[0][-1]), -1)


def test_damaged_files(file):
    """Bits that are turned, bytes that are cut out: read or refused in a line, never anything else."""
    path, read = file
    statewise.to_onnx(Model(), path)
    data, rng, refused = path.read_bytes(), random.Random(0), []
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(damaged))
            if rng.random() < 0.7:
                damaged[at] ^= 1 << rng.randrange(8)
            else:
                del damaged[at : at + rng.randint(1, 20)]
        try:
            with np.errstate(all="ignore"):
                read(bytes(damaged)).run(np.zeros((2, 1), np.int64))
        except runtime.LoadError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert not any("\n" in said for said in refused)
