"""The problem as an ONNX model of one node, for onnxruntime and OpenVINO. No training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statewise.onnx.nodes import GATES

from ...sides import Tensors
from .peer import Array, Peer, Ways

# Gives what computes the outputs from the inputs, by name, all of them always in the same memory.
Bind = Callable[[Mapping[str, Array], Mapping[str, Array]], Callable[[], object]]


def onnxruntime(peer: Peer) -> Ways:
    """A session on the processor with its inputs and outputs bound; for sequences also run plainly."""
    if peer.trains:
        return {}
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = peer.case.threads
    options.inter_op_num_threads = 1
    # Its threads wait for work by spinning, which would take the core from whoever is timed next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(model(peer), options, providers=["CPUExecutionProvider"])
    wrap = onnxruntime.OrtValue.ortvalue_from_numpy  # shares the array's memory

    def bind(inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Callable[[], object]:
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, wrap(array))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, wrap(array))
        return partial(session.run_with_iobinding, binding)

    return {"IO binding": Bound(peer, bind)} | ({} if peer.carried else {"run": Plain(session)})


def openvino(peer: Peer) -> Ways:
    """The model compiled for latency, an inference request used again and again, in memory that it shares with us."""
    if peer.trains:
        return {}
    import openvino

    core = openvino.Core()
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": peer.case.threads,
        # Where the processor has bfloat16, OpenVINO computes in it unless told not to.
        "INFERENCE_PRECISION_HINT": "f32",
        # It would tie the thread that calls it, which is everyone's, to one core.
        "ENABLE_CPU_PINNING": False,
    }
    compiled = core.compile_model(core.read_model(model(peer)), "CPU", options)

    def bind(inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> Callable[[], object]:
        request = compiled.create_infer_request()
        for name, array in {**inputs, **outputs}.items():
            request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
        return partial(request.infer, share_inputs=True, share_outputs=True)

    return {"request": Bound(peer, bind)}


class Bound:
    """Inputs and outputs lie where they always lie. A carried state goes from one memory to the other and back."""

    def __init__(self, peer: Peer, bind: Bind) -> None:
        s, names = peer.shape, [f"{n}_n" for n in peer.cell.states]
        self._x = np.empty((s.T, s.N, s.I), np.float32)
        memory = [{name: np.zeros((1, s.N, s.H), np.float32) for name in names} for _ in range(2)]
        turns = []
        for before, after in (memory, memory[::-1]) if peer.carried else (memory,):
            outputs = {"output": np.empty((s.T, 1, s.N, s.H), np.float32), **after}
            inputs = {"x": self._x} | ({name[0]: a for name, a in before.items()} if peer.carried else {})
            turns.append((bind(inputs, outputs), outputs))
        self._turns = cycle(turns)

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """See ``Side``."""
        self._x[:] = inputs[0].numpy()

    def __call__(self) -> None:
        run, self._last = next(self._turns)
        run()

    def results(self) -> dict[str, Tensor]:
        """See ``Side``."""
        self()
        return {name: torch.from_numpy(array.copy()) for name, array in self._last.items()}


class Plain:
    """A session that allocates its outputs."""

    def __init__(self, session: Any) -> None:
        self._session, self._names = session, [output.name for output in session.get_outputs()]

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """See ``Side``."""
        self._inputs = {"x": inputs[0].numpy()}

    def __call__(self) -> list[Array]:
        found: list[Array] = self._session.run(None, self._inputs)
        return found

    def results(self) -> dict[str, Tensor]:
        """See ``Side``."""
        return {name: torch.from_numpy(array) for name, array in zip(self._names, self(), strict=True)}


def model(peer: Peer) -> bytes:
    """Inputs x, (T, N, I), and, where they are carried, the states; the output, (T, 1, N, H), and the last states."""
    from onnx import TensorProto, helper, numpy_helper

    s, names = peer.shape, list(peer.cell.states)
    w = {name: _reordered(peer, array) for name, array in peer.weights().items()}
    biases = np.concatenate([w["bias_ih_l0"], w["bias_hh_l0"]])
    weights = {"W": w["weight_ih_l0"], "R": w["weight_hh_l0"], "B": biases}
    inputs = {"x": [s.T, s.N, s.I]} | ({name: [1, s.N, s.H] for name in names} if peer.carried else {})
    outputs = {"output": [s.T, 1, s.N, s.H]} | {f"{name}_n": [1, s.N, s.H] for name in names}
    # after the weights come sequence_lens, initial_h, initial_c, all optional
    read = ["x", *weights, "", *(names if peer.carried else ())]
    attributes = {"linear_before_reset": 1} if peer.case.cell == "GRU" else {}
    node = helper.make_node(peer.case.cell, read, list(outputs), hidden_size=s.H, **attributes)
    ends = (
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, size) for n, size in e.items()] for e in (inputs, outputs)
    )
    initial = [numpy_helper.from_array(array[None], name) for name, array in weights.items()]
    graph = helper.make_graph([node], "one layer", *ends, initial)
    # An opset and file version that every current runtime reads; the operators have not changed since.
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return bytes(made.SerializeToString())


def _reordered(peer: Peer, array: Array) -> Array:
    """The gates as ONNX orders them."""
    gates = array.reshape(len(peer.cell.gates), peer.shape.H, -1)[list(GATES[peer.case.cell])]
    return gates.reshape(array.shape)
