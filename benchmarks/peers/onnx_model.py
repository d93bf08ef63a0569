"""The problem as an ONNX model of one node, with the weights as ONNX orders their gates."""

from __future__ import annotations

import numpy as np

from statewise.ops.onnx import GATES

from .problem import Array, Problem


def model(problem: Problem) -> bytes:
    """Inputs x, (T, N, I), and, where it is carried, the state; outputs y, (T, 1, N, H), and the last state."""
    from onnx import TensorProto, helper, numpy_helper

    s, names = problem.case.shape, problem.state_names
    states = {name: [1, s.N, s.H] for name in names}
    inputs = {"x": [s.T, s.N, s.I], **(states if problem.carried else {})}
    outputs = {"y": [s.T, 1, s.N, s.H], **{f"{name}_n": size for name, size in states.items()}}
    # after the weights come sequence_lens, initial_h, initial_c, all optional
    read = ["x", "W", "R", "B", "", *(names if problem.carried else ())]
    attributes = {"linear_before_reset": 1} if problem.case.cell == "GRU" else {}
    node = helper.make_node(problem.case.cell, read, list(outputs), hidden_size=s.H, **attributes)
    ends = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in end.items()]
        for end in (inputs, outputs)
    )
    weights = [numpy_helper.from_array(a, name) for name, a in _weights(problem).items()]
    graph = helper.make_graph([node], "one layer", *ends, weights)
    # An opset and file version that every current runtime reads; the operators have not changed since.
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return bytes(made.SerializeToString())


def _weights(problem: Problem) -> dict[str, Array]:
    w = problem.weights()

    def reordered(name: str) -> Array:
        gates = w[name].reshape(problem.gates, problem.case.shape.H, -1)[list(GATES[problem.case.cell])]
        return gates.reshape(w[name].shape)

    biases = np.concatenate([reordered("bias_ih_l0"), reordered("bias_hh_l0")])
    return {"W": reordered("weight_ih_l0")[None], "R": reordered("weight_hh_l0")[None], "B": biases[None]}
