"""The cells against other implementations: onnxruntime here and now, others by numbers that were computed from them.

``published.json`` has results and all gradients in float64, as the code that "source" names gave them once. What went
in is ``wave`` everywhere, in our names and layouts, brought into theirs: the gates' order, transposed weights, the sum
of two biases where they have one. The loss is the sum of the results times waves.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from statewise import cells, ops
from statewise.stack import Stack

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text())
T, N, I, H = 3, 2, 4, 4  # noqa: E741


def wave(shape, k):
    """Numbers that anybody can have again."""
    count = int(np.prod(shape))
    return torch.from_numpy(0.8 * np.sin(1 + k + 1.3 * np.arange(count, dtype=np.float64))).reshape(shape)


def inputs(stack, with_state):
    """x, the states and the weights, by name: gains about 1, normalisers above it."""
    found = {"x": wave((T, N, I), 20)}
    for k, letter in enumerate(stack.cell.states if with_state else ""):
        state = wave((1, N, H), 30 + k)
        found[f"{letter}_0"] = state.abs() + 1 if letter == "n" else state
    for k, weight in enumerate(stack.weights):
        value = wave(stack.weight_shape(weight, 0), k)
        found[weight.name] = 1 + 0.3 * value if weight.name.startswith("weight_norm") else value
    return {name: tensor.requires_grad_() for name, tensor in found.items()}


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda p: f"{p['cell']}-{p['source'].split()[0]}")
def test_published_numbers(published):
    cell = cells.by_name(published["cell"])
    stack = Stack(cell, I, H, bias=published["bias"], num_heads=published["heads"])
    leaves = inputs(stack, published["with_state"])
    state = [leaves[f"{letter}_0"] for letter in cell.states] if published["with_state"] else None
    weights = [leaves[w.name] for w in stack.weights]
    results = ops.recurrent(leaves["x"], state, weights, stack)

    names = ["output", *[f"{letter}_n" for letter in cell.states]]
    loss = sum((r * wave(r.shape, 40 + k)).sum() for k, r in enumerate(results))
    found = dict(zip(names, results, strict=True))
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    found |= {f"d_{name}": g for name, g in zip(leaves, gradients, strict=True)}
    assert found.keys() == published["results"].keys()
    for name, expected in published["results"].items():
        np.testing.assert_allclose(found[name].detach().flatten(), expected, rtol=1e-10, atol=1e-13, err_msg=name)


# What ONNX has: its operator, its attributes, and the places that its gates, and those of its peepholes, have in ours.
# The fourth gate of the coupled LSTM's operator, which it doesn't read, is zeros.
IN_ONNX = {
    "lstm": ("LSTM", {}, "iofg", ""),
    "peephole_lstm": ("LSTM", {}, "iofg", "iof"),
    "coupled_lstm": ("LSTM", {"input_forget": 1}, "iofg", ""),
    "gru": ("GRU", {"linear_before_reset": 1}, "zrn", ""),
    "gru_reset_before": ("GRU", {"linear_before_reset": 0}, "zrn", ""),
    "rnn_tanh": ("RNN", {}, "h", ""),
    "rnn_relu": ("RNN", {"activations": ["Relu", "Relu"]}, "h", ""),
}


@pytest.mark.parametrize("name", IN_ONNX)
def test_onnxruntime(name):
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    kind, attributes, order, peepholes = IN_ONNX[name]
    cell = cells.by_name(name)
    stack = Stack(cell, I, H, bidirectional=True)
    ways = [
        {w.name: wave(stack.weight_shape(w, 0), 10 * d + k).float() for k, w in enumerate(stack.weights)}
        for d in range(stack.directions)
    ]
    x, state = wave((T, N, I), 20).float(), [wave((2, N, H), 30 + k).float() for k in range(len(cell.states))]

    def reordered(weight, own, theirs):
        parts = dict(zip(own, weight.chunk(len(own)), strict=True))
        return torch.cat([parts.get(gate, torch.zeros_like(parts[own[0]])) for gate in theirs])

    def stacked(*names):
        return torch.stack([torch.cat([reordered(w[n], cell.gates, order) for n in names]) for w in ways]).numpy()

    constants = {"W": stacked("weight_ih"), "R": stacked("weight_hh"), "B": stacked("bias_ih", "bias_hh")}
    read = ["x", "W", "R", "B", "", *[f"{letter}_0" for letter in cell.states]]
    if peepholes:
        (vector,) = cell.vectors
        constants["P"] = torch.stack([reordered(w[vector.name], vector.parts, peepholes) for w in ways]).numpy()
        read.append("P")
    results = ["output", *[f"{letter}_n" for letter in cell.states]]
    node = onnx.helper.make_node(kind, read, results, hidden_size=H, direction="bidirectional", **attributes)
    given = {"x": x.numpy(), **{f"{k}_0": s.numpy() for k, s in zip(cell.states, state, strict=True)}}
    graph = onnx.helper.make_graph(
        [node],
        "one layer",
        [onnx.helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, v.shape) for k, v in given.items()],
        [onnx.helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, None) for k in results],
        [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    output, *final = onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)

    expected = [torch.from_numpy(output).permute(0, 2, 1, 3).flatten(2), *map(torch.from_numpy, final)]
    weights = [w[weight.name] for w in ways for weight in stack.weights]
    for actual, theirs in zip(ops.recurrent(x, state, weights, stack), expected, strict=True):
        torch.testing.assert_close(actual, theirs, rtol=0, atol=2e-6)
