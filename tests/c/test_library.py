"""The C library computes what the runtime does: every op, cell and option, whole sequences and steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import statewise
from statewise import cells, runtime
from statewise.runtime import file

from .conftest import RefusedError

LAYERS = {
    "both directions": lambda: statewise.LSTM(7, 17, 2, bidirectional=True),
    "projection": lambda: statewise.LSTM(3, 17, 2, proj_size=6),
    "projected gru": lambda: statewise.GRU(3, 17, proj_size=6),
    "norms and residuals": lambda: statewise.GRU(4, 8, 3, residual=True, norm=True),
    "zoneout and bounds": lambda: statewise.LSTM(3, 9, 2, zoneout=(0.1, 0.4), clip=0.3),
    "learnt state": lambda: statewise.GRU(3, 6, 2, learn_initial_state=True),
    "heads": lambda: statewise.Recurrent("slstm", 4, 8, num_heads=2),
    "no bias": lambda: statewise.GRU(5, 63, 3, bias=False),
    "double": lambda: statewise.LSTM(3, 21, 2, dtype=torch.float64),
    **{
        f"{kind} of {h}": lambda kind=kind, h=h: getattr(statewise, kind)(h, h, 2)
        for kind in ("LSTM", "GRU", "RNN")
        for h in (1, 4, 8, 33, 130)
    },
    **{cell.name: lambda cell=cell: statewise.Recurrent(cell, 6, 21, 2) for cell in cells.CELLS},
}
VALUES = [{"name": "x", "kind": "values", "width": 6}]


def shaken(model):
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2 / max(1, weight.shape[-1] / 8) ** 0.5)  # nowhere chaotic
    return model.eval()


def saved(model, tmp_path):
    """The file's bytes, and the network of it in the runtime."""
    statewise.save(model, tmp_path / "net.safetensors")
    return (tmp_path / "net.safetensors").read_bytes(), runtime.load(tmp_path / "net.safetensors")


def program(ops, arrays, inputs=VALUES, **more):
    content = {"inputs": inputs, "ops": ops, **more}
    return file.write("network", 1, content, arrays), runtime.Network(content, dict(arrays))


def together(x):
    return list(x) if isinstance(x, tuple) else [x]


def compare(library, data, net, given, lengths, atol=2e-6):
    """Whole sequences, ragged and not, and steps, which are the first part of a sequence as well."""
    own = library.network(data)
    steps, rows = given[0].shape[:2]
    x = tuple(given) if len(given) > 1 else given[0]
    for counts in (None, lengths):
        found, expected = own.run(*given, lengths=counts), together(net.run(x, counts))
        for port, a, b in zip(own.results, found, expected, strict=True):
            assert a.shape == b.shape
            for row in range(rows):
                told = int(library.result_steps(own.at, 0, steps if counts is None else counts[row]))
                part = (slice(None, told), row) if port.over_time else row
                np.testing.assert_allclose(a[part], b[part], atol=atol)
                assert not port.over_time or not a[told:, row].any()
    assert library.streams(own.at) == net.streams
    if not net.streams:
        with pytest.raises(RefusedError, match="whole sequences"):
            own.stream(1)
        return
    stream, alone, state = own.stream(rows), own.stream(1), net.start(rows)
    for t in range(steps):
        now = [value[t] for value in given]
        expected, state = net.step(tuple(now) if len(now) > 1 else now[0], state)
        for a, b in zip(stream.step(*now), together(expected), strict=True):
            np.testing.assert_allclose(a, b, atol=atol)
        for a, b in zip(alone.step(*(value[:1] for value in now)), together(expected), strict=True):
            np.testing.assert_allclose(a[0], b[0], atol=atol)
        if t == 2:  # in the middle, as bytes, in another stream
            kept = alone.save()
            alone = own.stream(1)
            assert alone.load(kept) == 0
            assert alone.save() == kept


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, library, tmp_path):
    layer = shaken(LAYERS[name]())
    x = np.random.default_rng(0).standard_normal((7, 5, layer.input_size))
    data, net = saved(layer, tmp_path)
    compare(library, data, net, [x.astype(net.dtype)], [7, 3, 1, 0, 6], 2e-6 if net.dtype == np.float32 else 1e-14)


def weights(*sizes, **more):
    random = np.random.default_rng(1)
    made = {name: random.standard_normal(size).astype(np.float32) for name, size in sizes}
    return made | more


OPS = {
    "linear": ([{"op": "linear"}], weights(("linear.weight", (70, 6)), ("linear.bias", 70))),
    "linear, one": ([{"op": "linear"}], weights(("linear.weight", (1, 6)))),
    "norm": ([{"op": "norm", "epsilon": 1e-3}], weights(("norm.weight", 6), ("norm.bias", 6))),
    "plain norm": ([{"op": "norm"}], {}),
    **{
        name: ([{"op": "activation", "function": name}], {})
        for name in ("relu", "tanh", "sigmoid", "silu", "elu", "softplus", "softmax", "log_softmax")
    },
    "add and concat": (
        [
            {"op": "activation", "name": "a", "function": "tanh"},
            {"op": "add", "of": ["a", "x", "x"]},
            {"op": "concat", "of": ["add", "a"]},
        ],
        {},
    ),
    "several results": ([{"op": "activation", "function": "tanh"}, {"op": "max"}], {}),
    "last": ([{"op": "last"}], {}),
    "both ends": ([{"op": "last", "bidirectional": True}], {}),
    "max": ([{"op": "max"}], {}),
    "mean": ([{"op": "mean"}], {}),
    "attention": ([{"op": "linear", "name": "s"}, {"op": "mean", "of": ["s", "x"]}], weights(("s.weight", (1, 6)))),
    "scale": ([{"op": "scale", "carry": True}], weights(("scale.mean", 6), **{"scale.scale": np.full(6, 3.0)})),
    "segment": ([{"op": "segment", "size": 3}], {}),
    "best": ([{"op": "path"}], {}),
    "best, embedded": ([{"op": "path"}, {"op": "embedding"}], weights(("embedding.weight", (6, 3)))),
    "path": (
        [{"op": "path"}],
        weights(("path.between", (6, 6)), ("path.first", 6), ("path.last", 6))
        | {"path.allowed": (np.random.default_rng(3).random((7, 7)) > 0.3).astype(np.uint8)},
    ),
    "causal": (
        [{"op": "convolution", "name": "c", "left": 4, "dilation": 2}],
        weights(("c.weight", (5, 6, 3)), ("c.bias", 5)),
    ),
    "causal, in groups": (
        [{"op": "convolution", "name": "c", "left": 2, "groups": 2}],
        weights(("c.weight", (8, 3, 3))),
    ),
    "causal, by channel": (
        [{"op": "convolution", "name": "c", "left": 2, "groups": 6}],
        weights(("c.weight", (6, 1, 3)), ("c.bias", 6)),
    ),
    "of one step": ([{"op": "convolution", "name": "c"}], weights(("c.weight", (5, 6, 1)))),
    "to both sides": (
        [{"op": "convolution", "name": "c", "left": 1, "right": 2, "stride": 2}],
        weights(("c.weight", (5, 6, 4))),
    ),
    "a spectrum of each step": (
        [
            {"op": "convolution", "name": "c", "positions": 6, "right": 2, "reflect": True, "stride": 2},
            {"op": "magnitude", "positions": 3},
            {"op": "convolution", "name": "d", "positions": 3, "left": 1, "right": 1, "groups": 2},
        ],
        weights(("c.weight", (8, 1, 4)), ("d.weight", (2, 2, 3)), ("d.bias", 2)),
    ),
}


@pytest.mark.parametrize("name", OPS)
def test_ops(name, library):
    ops, arrays = OPS[name]
    more = {"results": ["activation", "max", "x"]} if name == "several results" else {}
    data, net = program(ops, arrays, **more)
    x = np.random.default_rng(0).standard_normal((7, 5, 6)).astype(np.float32)
    if name == "scale":
        x[[0, 1, 4], [0, 0, 2], 3] = np.nan
    empty = 1 if name == "mean" or name == "attention" else 0  # of which numpy warns
    compare(library, data, net, [x], [7, 3, 1, empty, 6], 4e-6)


def test_symbols_and_exact_values(library):
    inputs = [{"name": "s", "kind": "symbols", "width": 9}, {"name": "v", "kind": "exact", "width": 2}]
    ops = [
        {"op": "embedding", "of": ["s"]},
        {"op": "scale", "of": ["v"]},
        {"op": "concat", "of": ["embedding", "scale"]},
    ]
    arrays = weights(("embedding.weight", (9, 4)), ("scale.mean", 2), **{"scale.scale": np.full(2, 1e3)})
    data, net = program(ops, arrays, inputs)
    random = np.random.default_rng(0)
    given = [random.integers(9, size=(7, 3)), 1e6 + random.standard_normal((7, 3, 2))]
    compare(library, data, net, given, [7, 2, 0])
    own = library.network(data)
    with pytest.raises(RefusedError, match="there is no such symbol"):
        own.run(np.full((1, 1), 9), np.zeros((1, 1, 2)))
    with pytest.raises(RefusedError, match="4"):
        own.stream(1).step([-1], np.zeros((1, 2)))
    with pytest.raises(RefusedError, match="values are missing"):
        own.run(np.zeros((1, 1)), np.full((1, 1, 2), np.nan))
    with pytest.raises(RefusedError, match="4"):
        own.stream(1).step([0], np.full((1, 2), np.nan))


@pytest.mark.parametrize("shape", [(0, 3), (5, 0)])
def test_nothing_to_read(shape, library, tmp_path):
    data, _ = saved(statewise.LSTM(4, 6), tmp_path)
    assert library.network(data).run(np.zeros((*shape, 4)))[0].shape == (*shape, 6)


def test_a_state_is_for_its_network_and_rows(library, tmp_path):
    data, _ = saved(statewise.GRU(3, 8), tmp_path)
    other, _ = saved(statewise.GRU(3, 8), tmp_path)
    own = library.network(data)
    stream = own.stream(2)
    stream.step(np.ones((2, 3)))
    kept = stream.save()
    stream.step(np.ones((2, 3)))
    after = stream.save()
    for at in range(len(kept)):
        damaged = bytearray(kept)
        damaged[at] ^= 1
        assert stream.load(bytes(damaged)) == 6
    assert stream.load(kept[:-1]) == 6
    assert library.network(other).stream(2).load(kept) == 6
    assert own.stream(3).load(kept) == 6
    assert stream.save() == after
    assert stream.load(kept) == 0
    assert stream.save() == kept


def test_what_it_refuses_is_said_in_a_line(library, tmp_path):
    data, _ = saved(statewise.LSTM(3, [4, 2], norm=True), tmp_path)
    begin, said = 8 + int.from_bytes(data[:8], "little"), []
    random = np.random.default_rng(0)
    for at in range(0, begin, 3):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(random.integers(8))
        try:
            library.network(bytes(damaged)).run(np.ones((2, 1, 3)))
        except RefusedError as refused:
            said.append(refused.args)
    assert len(said) > begin / 12
    assert all(status in (2, 3) and message and "\n" not in message for status, message in said)
    for end in (0, 7, begin - 1, len(data) - 1):
        with pytest.raises(RefusedError, match="not a whole"):
            library.network(data[:end])
    with pytest.raises(RefusedError, match="there is no op attention"):
        library.network(program([{"op": "attention", "values": 3}], {})[0])
    with pytest.raises(RefusedError, match="no cell is called mine"):
        library.network(file.write("network", 1, {"inputs": VALUES, "ops": [{"op": "recurrent", "cell": "mine"}]}, {}))
    with pytest.raises(RefusedError, match="runs networks, not a writing model"):
        library.network(file.write("writing model", 1, {}, {}))


def test_versions_and_texts(library):
    assert library.version().decode() == statewise.__version__
    assert [library.status_text(i) for i in range(8)].count(b"an unknown status") == 0
    assert library.status_text(99) == b"an unknown status"
