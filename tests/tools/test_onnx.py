"""torch.onnx.export, both exporters: ONNX's own nodes, any T and N, and onnxruntime's results.

An export takes a second or two: all but one test are slow.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import statewise
from oracle import CELLS, LAYERS, flat

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

T, N, I, H = 5, 2, 3, 4  # noqa: E741
OPTIONS = [
    {},
    {"bias": False},
    {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.5},
]
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's and onnxscript's own
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec:FutureWarning"),  # torch's own
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),  # of checks, as with torch.nn's layers
    pytest.mark.filterwarnings("ignore:Exporting a model to ONNX with a batch_size other than 1"),  # of all RNNs
]


class Exported:
    """A module as an ONNX file that onnxruntime runs."""

    def __init__(self, module, args, path, *, dynamo, shapes=None, axes=None):
        names = [f"in{k}" for k in range(len(axes or shapes))]
        if dynamo:
            torch.onnx.export(module, args, path, dynamo=True, input_names=names, dynamic_shapes=shapes, verbose=False)
        else:
            dynamic = dict(zip(names, axes, strict=True))
            torch.onnx.export(module, args, path, dynamo=False, input_names=names, dynamic_axes=dynamic)
        self.nodes = [node.op_type for node in onnx.load(path).graph.node]
        self._names = names
        self._session = onnxruntime.InferenceSession(path)

    def __call__(self, *tensors):
        return self._session.run(None, dict(zip(self._names, [t.numpy() for t in tensors], strict=True)))


def assert_agree(exported, module, *tensors):
    with torch.no_grad():
        expected = flat(module(*tensors))
    found = exported(*tensors)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=0, atol=1e-6)


def any_t_and_n(module, count):
    """As both exporters are told: x (T, N, .) and ``count`` states (L*D, N, .)."""
    t, n = (1, 0) if module.batch_first else (0, 1)
    shapes = ({t: Dim.DYNAMIC, n: Dim.DYNAMIC}, *({1: Dim.DYNAMIC} for _ in range(count)))
    return shapes, [{t: "T", n: "N"}, *({1: "N"} for _ in range(count))]


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", LAYERS)
def test_native_nodes_for_any_t_and_n(kind, options, dynamo, tmp_path):
    module = statewise.accelerate(getattr(nn, kind)(I, H, **options)).eval()
    if "bias" in options:
        module = getattr(statewise, kind)(I, H, **options).eval()
    x = torch.randn(N, T, I) if module.batch_first else torch.randn(T, N, I)
    shapes, axes = any_t_and_n(module, 0)
    exported = Exported(module, (x,), tmp_path / "m.onnx", dynamo=dynamo, shapes=shapes, axes=axes)
    assert exported.nodes.count(kind) == module.num_layers
    assert not {"Loop", "Scan", "Tanh", "Sigmoid"} & set(exported.nodes)
    for t, n in ((T, N), (9, 1), (1, 7)):
        assert_agree(exported, module, torch.randn(n, t, I) if module.batch_first else torch.randn(t, n, I))


class WithStates(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, *states):
        return self.layer(x, states[0] if len(states) == 1 else states)


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_states_are_inputs(kind, dynamo, tmp_path):
    layer = getattr(statewise, kind)(I, H, 2, bidirectional=True)
    module = WithStates(layer).eval()
    count = len(layer._stack.cell.states)

    def inputs(t, n):
        return torch.randn(t, n, I), *(torch.randn(4, n, H) for _ in range(count))

    (x, *states), axes = any_t_and_n(layer, count)
    shapes = (x, tuple(states))  # of forward's two arguments
    path = tmp_path / "m.onnx"
    exported = Exported(module, inputs(T, N), path, dynamo=dynamo, shapes=shapes, axes=axes)
    for t, n in ((T, N), (8, 3)):
        assert_agree(exported, module, *inputs(t, n))


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.slow
def test_relu(dynamo, tmp_path):
    module = statewise.RNN(I, H, nonlinearity="relu", bidirectional=True).eval()
    shapes, axes = any_t_and_n(module, 0)
    exported = Exported(module, (torch.randn(T, N, I),), tmp_path / "m.onnx", dynamo=dynamo, shapes=shapes, axes=axes)
    assert_agree(exported, module, torch.randn(7, 3, I))


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_cells(kind, dynamo, tmp_path):
    module = getattr(statewise, kind)(I, H).eval()
    x = torch.randn(N, I)
    exported = Exported(module, (x,), tmp_path / "m.onnx", dynamo=dynamo, shapes=({0: Dim.DYNAMIC},), axes=[{0: "N"}])
    for n in (N, 6):
        assert_agree(exported, module, torch.randn(n, I))


class WithLengths(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths):
        return self.layer(x, lengths=lengths)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAYERS)
def test_lengths(kind, tmp_path):
    module = WithLengths(getattr(statewise, kind)(I, H, 2, bidirectional=True)).eval()
    any_n = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}, {0: Dim.DYNAMIC}
    args = torch.randn(T, 3, I), torch.tensor([5, 2, 4])
    exported = Exported(module, args, tmp_path / "m.onnx", dynamo=True, shapes=any_n)
    assert exported.nodes.count(kind) == 2
    assert_agree(exported, module, *args)
    assert_agree(exported, module, torch.randn(7, 4, I), torch.tensor([1, 7, 3, 6]))


class Packs(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths):
        output, state = self.layer(pack_padded_sequence(x, lengths))
        return pad_packed_sequence(output)[0], state


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAYERS)
def test_packing_with_the_older_exporter(kind, tmp_path):
    module = Packs(getattr(statewise, kind)(I, H)).eval()
    args = torch.randn(T, 3, I), torch.tensor([5, 4, 2])
    axes = [{0: "T", 1: "N"}, {0: "N"}]
    exported = Exported(module, args, tmp_path / "m.onnx", dynamo=False, axes=axes)
    assert kind in exported.nodes
    assert_agree(exported, module, torch.randn(7, 4, I), torch.tensor([7, 6, 3, 1]))


@pytest.mark.slow
def test_a_projection_is_written_out_for_one_t(tmp_path):
    module = statewise.LSTM(I, H, proj_size=2).eval()
    any_n = ({1: Dim.DYNAMIC},)
    exported = Exported(module, (torch.randn(T, N, I),), tmp_path / "m.onnx", dynamo=True, shapes=any_n)
    assert_agree(exported, module, torch.randn(T, 4, I))


@pytest.mark.slow
@pytest.mark.parametrize(("options", "given"), [({"proj_size": 2}, {}), ({}, {"lengths": torch.tensor([5, 2])})])
def test_what_the_older_exporter_can_not_write_is_refused(options, given, tmp_path):
    module = statewise.LSTM(I, H, **options).eval()
    with pytest.raises(ValueError, match="lengths and proj_size with dynamo=True alone"):
        torch.onnx.export(module, (torch.randn(T, N, I), given), tmp_path / "m.onnx", dynamo=False)


@pytest.mark.slow
def test_after_the_export_all_is_as_before():
    layer, x = statewise.LSTM(I, H), torch.randn(T, N, I)
    before = flat(layer(x))
    with torch.no_grad():
        torch.onnx.export(layer.eval(), (x,), dynamo=True, verbose=False)
    for a, b in zip(flat(layer(x)), before, strict=True):
        assert torch.equal(a, b)
