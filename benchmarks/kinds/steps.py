"""One step of one row, from Python: torch.nn's layer, the frozen one, and the runtime that knows no torch.

Beside them onnxruntime, where it is installed, with inputs and results bound to memory once, and the state read from
where the step before has written it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import statewise
from statewise import runtime

from ..case import FORWARD, Case, Shape
from ..clock import Effort
from ..record import by_case, pivot
from ..runner import Kind, Table
from ..sides import Problem, Tensors

FROZEN, RUNTIME, BOUND = "statewise, frozen", "statewise.runtime", "onnxruntime, bound"
CELLS = ("LSTM", "GRU")
WIDTHS = (8, 16, 32, 64, 128, 256)
STEPS = 20  # in a call that is timed: short, so that some calls are undisturbed on a busy machine


class Stream:
    """Steps of a layer, each from the state that the one before has left."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self.steps: Any = ()

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """See ``Side``: x (T, 1, 1, I)."""
        self.steps = list(inputs[0].to(next(iter(self._layer.state_dict().values())).dtype))

    def __call__(self) -> Any:
        state = None
        for x in self.steps:
            y, state = self._layer(x, state)
        return y

    def results(self) -> dict[str, Tensor]:
        """The output after the last step."""
        return {"output": self()}


class RuntimeStream(Stream):
    """The same by the runtime, from numpy's arrays."""

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """See ``Side``."""
        self._net, self.steps = _loaded(self._layer), list(inputs[0][:, 0].numpy().astype(np.float32))

    def __call__(self) -> Any:
        net = self._net
        state = net.start(1)
        for x in self.steps:
            y, state = net.step(x, state)
        return y

    def results(self) -> dict[str, Tensor]:
        """The output after the last step."""
        return {"output": torch.from_numpy(self())}


class BoundStream(Stream):
    """The same by onnxruntime. The memory that it reads x from is written before each step, as a stream's would be."""

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """See ``Side``."""
        import onnxruntime

        self.steps = list(inputs[0].numpy().astype(np.float32))
        width = self.steps[0].shape[-1]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = _as_onnx(self._layer, width).SerializeToString()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        self._memory: dict[str, np.ndarray[Any, Any]] = {}
        for value in self._session.get_inputs():
            self._memory[value.name] = memory = np.zeros(value.shape, np.float32)
            bound = onnxruntime.OrtValue.ortvalue_from_numpy(memory)
            self._binding.bind_ortvalue_input(value.name, bound)
            if value.name != "x":
                self._binding.bind_ortvalue_output(f"next {value.name}", bound)

    def __call__(self) -> Any:
        for memory in self._memory.values():
            memory[...] = 0
        for x in self.steps:
            self._memory["x"][...] = x
            self._session.run_with_iobinding(self._binding)
        return self._memory["h"][0]

    def results(self) -> dict[str, Tensor]:
        """The output after the last step."""
        return {"output": torch.from_numpy(self().copy())}


def _as_onnx(layer: nn.Module, width: int) -> Any:
    """One step of a layer of torch.nn's, as ONNX's node of its name, which has the gates in another order."""
    from onnx import TensorProto, helper, numpy_helper

    cell, letters = type(layer).__name__, "hc" if isinstance(layer, nn.LSTM) else "h"
    order = [0, 3, 1, 2] if cell == "LSTM" else [1, 0, 2]
    w_ih, w_hh, b_ih, b_hh = (
        np.concatenate([part.numpy() for part in (weight.detach().chunk(len(order))[i] for i in order)])[None]
        for weight in layer.parameters()
    )
    weights = {"W": w_ih, "R": w_hh, "B": np.concatenate([b_ih, b_hh], axis=1)}
    more = {"linear_before_reset": 1} if cell == "GRU" else {}
    nexts = [f"next {letter}" for letter in letters]
    node = helper.make_node(cell, ["x", *weights, "", *letters], ["", *nexts], hidden_size=width, **more)
    given, made = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, width]) for name in names]
        for names in (["x", *letters], nexts)
    )
    initial = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph([node], "step", given, made, initial)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _loaded(layer: nn.Module) -> runtime.Network:
    with tempfile.TemporaryDirectory() as folder:
        statewise.save(layer, Path(folder, "net.safetensors"))
        net: runtime.Network = runtime.load(Path(folder, "net.safetensors"))
        return net


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """Every cell and width."""
    for cell, width in product(CELLS, WIDTHS):
        yield Case(cell, Shape(STEPS, 1, width, width, 1), FORWARD, 1)


def problem(case: Case) -> Problem:
    """A layer of torch.nn's, and the others with its weights, held against it in float64."""
    width = case.shape.H
    layer: nn.Module = getattr(nn, case.cell)(width, width).eval()
    exact: nn.Module = getattr(nn, case.cell)(width, width).double().eval()
    exact.load_state_dict(layer.state_dict())
    sides = {"torch.nn": Stream(layer), FROZEN: Stream(statewise.freeze(layer)), RUNTIME: RuntimeStream(layer)}
    if find_spec("onnxruntime") and find_spec("onnx"):
        sides[BOUND] = BoundStream(layer)
    draw = torch.Generator().manual_seed(0)
    return Problem(
        {name: {"": side} for name, side in sides.items()},
        dict.fromkeys(sides, Stream(exact)),
        lambda: ([torch.randn(STEPS, 1, 1, width, generator=draw)], [], []),
        unit=(RUNTIME,),
        per=STEPS,
    )


def sections(records: Table) -> dict[str, str]:
    """A row a cell and width: microseconds a step."""
    return {"steps": pivot(_entries(records), "cell", "I = H")}


def _entries(records: Table) -> Iterator[tuple[list[str], str, str]]:
    for case, sides in by_case(records).items():
        for side, record in sides.items():
            yield [case.cell, str(case.shape.H)], side, f"{record.value:.1f} us{record.busy}"


KIND = Kind(
    "one step of one row from Python: torch.nn, frozen, and the runtime without torch",
    cases,
    problem,
    sections,
    effort=Effort(clean=15, at_least=5, seconds=2.0, sample=3e-4),
    threads=(1,),
)
