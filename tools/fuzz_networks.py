"""Networks for tools/fuzz.py: small files of the runtime's and of ONNX, and what reads them.

What a file computes is compared: by every instruction set, and a step at a time with the whole sequence.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

STEPS, ROWS, WIDEST = 3, 2, 1 << 16
CLOSE, HUGE = 1e-2, 1e3  # sums are taken in other orders; what is huge, or comes of what is, may differ in anything


class Disagreement(Exception):  # noqa: N818
    """Two ways to compute the same gave different things."""


# Files


def make_networks(folder: Path) -> None:
    """Files of ``statewise.save`` and programs, which between them have every op."""
    import statewise
    from fuzz_network import networks
    from statewise.runtime import FORMAT, KIND, Network
    from statewise.runtime.file import write

    folder.mkdir()
    for k, network in enumerate(networks()):
        statewise.save(network.eval(), folder / f"saved-{k:02}")
        if k < 3:
            for dtype in ("int8", "bfloat16"):
                statewise.save(network.eval(), folder / f"saved-{k:02}-{dtype}", dtype=dtype)
    for k, (content, arrays) in enumerate(programs()):
        Network(content, arrays)  # it is right before it is damaged
        (folder / f"program-{k}").write_bytes(write(KIND, FORMAT, content, arrays))


def programs() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Of ops that ``save`` writes of no module of torch's, or seldom."""
    random_numbers = np.random.default_rng(0)

    def told(*ops: dict[str, Any], kind: str = "values", width: int = 6, **shapes: Any) -> Any:
        arrays = {
            name: random_numbers.normal(size=shape).astype(np.float32) * 0.5
            for name, shape in ((name.replace("__", "."), shape) for name, shape in shapes.items())
        }
        return {"inputs": [{"name": "x", "kind": kind, "width": width}], "ops": list(ops)}, arrays

    gru = {"op": "recurrent", "name": "layer", "cell": "gru", "hidden_size": 4}
    weights = {"layer__weight_ih_l0": (12, 6), "layer__weight_hh_l0": (12, 4)}
    weights |= {"layer__bias_ih_l0": 12, "layer__bias_hh_l0": 12}
    content, arrays = told(
        {"op": "scale", "carry": True}, {"op": "segment", "size": 2}, gru, {"op": "max"},
        kind="exact", width=3, **weights,
    )  # fmt: skip
    yield content, arrays | {"scale.mean": np.zeros(3), "scale.scale": np.ones(3)}
    yield told(
        {"op": "embedding"}, {"op": "norm", "epsilon": 1e-3}, gru, {"op": "linear"}, {"op": "path"},
        kind="symbols", width=5, embedding__weight=(5, 6), norm__weight=6, linear__weight=(3, 4), linear__bias=3,
        path__between=(3, 3), path__first=3, path__last=3, path__allowed=(4, 4), **weights,
    )  # fmt: skip
    yield told(
        {"op": "convolution", "left": 1, "right": 2, "reflect": True, "stride": 2, "groups": 2},
        {"op": "linear"},
        {"op": "mean", "of": ["linear", "convolution"]},
        convolution__weight=(8, 3, 2), linear__weight=(1, 8),
    )  # fmt: skip
    yield told(
        {"op": "convolution", "name": "a", "positions": 6, "right": 2, "reflect": True, "stride": 2},
        {"op": "magnitude", "positions": 3},
        {"op": "convolution", "name": "b", "positions": 3, "left": 1},
        {"op": "activation", "name": "c", "function": "silu"},
        {"op": "add", "of": ["b", "c"]},
        {"op": "last"},
        a__weight=(8, 1, 4), b__weight=(3, 4, 2),
    )  # fmt: skip
    yield told(
        gru, {"op": "last"}, {"op": "concat", "of": ["last", "last"]}, {"op": "activation", "function": "softmax"},
        **weights,
    )  # fmt: skip


def make_onnx_files(folder: Path) -> None:
    """What ``to_onnx`` writes, nodes of each kind with all that they may have, and what torch's exporter writes."""
    import warnings

    import torch
    from torch import nn

    import onnx
    import statewise
    from statewise.runtime import Network

    folder.mkdir()
    models: list[tuple[Any, dict[str, Any]]] = [
        (statewise.LSTM(2, 3, 2, bidirectional=True), {"lengths": True}),
        (statewise.GRU(2, 3, learn_initial_state=True), {"states": True}),
        (statewise.RNN(2, 3, nonlinearity="relu", batch_first=True), {}),
        (statewise.LSTM(2, 4, proj_size=2, clip=1.0), {"lengths": True}),
        (statewise.Recurrent("layer_norm_lstm", 2, 3), {"states": True}),
        (statewise.Recurrent("slstm", 2, 4, num_heads=2), {}),
        (statewise.Recurrent("mgu", 2, 3, bidirectional=True), {}),
    ]
    models += [(Network(content, arrays), {}) for content, arrays in programs()]
    for k, (model, options) in enumerate(models):
        statewise.to_onnx(model, folder / f"written-{k:02}", **options)
    for k, (kind, direction) in enumerate((("GRU", "reverse"), ("LSTM", "bidirectional"), ("RNN", "forward"))):
        onnx.save(node_model(kind, direction), folder / f"node-{k}")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.layer, self.output = nn.Embedding(5, 3), nn.LSTM(3, 4, 2), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y, (h, _) = self.layer(self.embedding(x))
            return torch.softmax(self.output(y + h[-1:]), -1) if False else self.output(h[-1])

    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")
        axes, x = {0: "T", 1: "N"}, torch.zeros(3, 2, dtype=torch.int64)
        path = str(folder / "exported")
        torch.onnx.export(Model().eval(), (x,), path, dynamo=False, input_names=["x"], dynamic_axes={"x": axes})


def node_model(kind: str, direction: str) -> Any:
    """A file of one recurrent node with everything that it may have."""
    from onnx import TensorProto, helper, numpy_helper

    ways, gates, h = 1 + (direction == "bidirectional"), {"RNN": 1, "GRU": 3, "LSTM": 4}[kind], 3
    shapes = {"W": (ways, gates * h, 2), "R": (ways, gates * h, h), "B": (ways, 2 * gates * h)}
    more = {"initial_h": (ways, "N", h)} | ({"initial_c": (ways, "N", h)} if kind == "LSTM" else {})
    shapes |= {"P": (ways, 3 * h)} if kind == "LSTM" else {}
    random_numbers = np.random.default_rng(0)
    weights = {name: random_numbers.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    given = ["x", "W", "R", "B", "lengths", *more, *(["P"] if kind == "LSTM" else [])]
    ends = ["Y", "Y_h", *(["Y_c"] if kind == "LSTM" else [])]
    node = helper.make_node(kind, given, ends, hidden_size=h, direction=direction)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "N", 2])]
    inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["N"]))
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in more.items()]
    outputs = [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["T", ways, "N", h])]
    outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [ways, "N", h]) for name in ends[1:]]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph([node], kind, inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


# What reads them


def use_network(path: Path, draw: random.Random) -> None:
    """Load it and run it."""
    from statewise import runtime

    _ran(runtime.load(path))


def use_network_by_every_set(path: Path, draw: random.Random) -> None:
    """Load it and run it by every instruction set; all load it or refuse it, and give the same numbers."""
    from statewise import runtime
    from statewise.kernels import cpu

    refused, found = list[str | None](), list[Any]()
    for name in cpu.instruction_sets():
        cpu.use_instruction_set(name)
        try:
            net = runtime.load(path)
        except runtime.LoadError as error:
            refused.append(str(error))
            last = error
            continue
        refused.append(None)
        found.append(_ran(net))
    if len(set(refused)) > 1:
        raise Disagreement(f"the sets refuse it differently: {refused}")
    if refused[0] is not None:
        raise last
    for other in found[1:]:
        _agree(found[0], other, "of two instruction sets")


def use_onnx(path: Path, draw: random.Random) -> None:
    """Load it, run it, and ask for its outputs by its own names."""
    import onnx
    import statewise

    net = statewise.from_onnx(path)
    _ran(net)
    wanted = set(net.input_names)
    feeds = {}
    for each in onnx.load(path, load_external_data=False).graph.input:
        if each.name in wanted:
            told = each.type.tensor_type
            dims = [d.dim_value if d.HasField("dim_value") else ROWS for d in told.shape.dim]
            if any(n < 0 for n in dims) or np.prod(dims, dtype=float) > WIDEST:
                return
            feeds[each.name] = np.ones(dims, np.float32 if told.elem_type in (1, 11) else np.int64)
    with np.errstate(all="ignore"), contextlib.suppress(ValueError):  # inputs that don't fit each other
        net.outputs(feeds)


def _ran(net: Any) -> list[Any]:
    """What it gives of a whole sequence; ValueErrors of what it is given are none of its faults."""
    if any(form.width > WIDEST and form.kind != "symbols" for _, form in net.inputs):
        return []  # nobody has the memory for such an input either
    x = []
    for _, form in net.inputs:
        if form.kind == "symbols":
            x.append(np.arange(STEPS * ROWS).reshape(STEPS, ROWS) % form.width)
        else:
            x.append(np.sin(np.arange(STEPS * ROWS * form.width, dtype=float)).reshape(STEPS, ROWS, form.width))
    if net.batch_first:
        x = [each.swapaxes(0, 1) for each in x]
    given = tuple(x) if len(x) > 1 else x[0]
    with np.errstate(all="ignore"), contextlib.suppress(ValueError):  # too few steps for a convolution
        whole = net.run(given)
        net.run(given, [STEPS, 1])
        results = whole if isinstance(whole, tuple) else (whole,)
        if net.streams:
            _agree(list(results), _streamed(net, x), "of all steps at once and one by one")
        return list(results)
    return []


def _streamed(net: Any, x: list[Any]) -> list[Any]:
    steps = [each.swapaxes(0, 1) if net.batch_first else each for each in x]
    state, found = net.start(ROWS), list[Any]()
    for t in range(STEPS):
        y, state = net.step(tuple(each[t] for each in steps) if len(steps) > 1 else steps[0][t], state)
        found.append([np.array(each) for each in (y if isinstance(y, tuple) else (y,))])
    if net.from_bytes(net.to_bytes(state)) is None:
        raise Disagreement("a state that isn't read again")
    axis = 1 if net.batch_first else 0
    return [
        np.stack([step[k] for step in found], axis) if over_time else found[-1][k]
        for k, over_time in enumerate(net.over_time)
    ]


def _agree(one: list[Any], other: list[Any], of: str) -> None:
    if [each.shape for each in one] != [each.shape for each in other]:
        raise Disagreement(f"{of}: {[each.shape for each in one]} and {[each.shape for each in other]}")
    for a, b in zip(one, other, strict=True):
        if a.dtype.kind != "f" or not (np.abs(a) < HUGE).all() or not (np.abs(b) < HUGE).all():
            continue  # symbols of scores that are nearly alike, and what a damaged file made huge
        off = np.abs(a - b).max(initial=0)
        if off > CLOSE * max(1.0, float(np.abs(a).max(initial=0))):
            raise Disagreement(f"{of}: {off:g} apart")
