"""OpenVINO: the ONNX model compiled for latency, one inference request used again and again. No training."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from itertools import cycle
from typing import Any

import numpy as np
from torch import Tensor

from ..cases import TRAINING
from .onnx_model import model
from .onnx_runtime import named
from .problem import Array, Problem, Side


def version() -> str:
    """OpenVINO's."""
    return installed_version("openvino")


def sides(problem: Problem) -> dict[str, Side]:
    """A request with inputs and outputs in memory that it shares with us."""
    return {} if problem.case.mode == TRAINING else {"request": _Request(problem)}


class _Request:
    """A carried state goes from one memory to the other and back: two requests in turn."""

    def __init__(self, problem: Problem) -> None:
        import openvino

        s = problem.case.shape
        compiled = _compiled(problem)
        self._x = np.empty((s.T, s.N, s.I), np.float32)
        states = [{name: np.zeros((1, s.N, s.H), np.float32) for name in problem.state_names} for _ in range(2)]
        requests, outputs = [], []
        for before, after in (states, states[::-1]):
            request = compiled.create_infer_request()
            out = {"y": np.empty((s.T, 1, s.N, s.H), np.float32), **{f"{n}_n": a for n, a in after.items()}}
            for name, array in {"x": self._x, **(before if problem.carried else {}), **out}.items():
                request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
            requests.append(request)
            outputs.append(out)
        # A request of its own for each turn of the state; where none is carried, one is enough.
        turns = list(zip(requests, outputs, strict=True))
        self._turns = cycle(turns if problem.carried else turns[:1])
        self._last: dict[str, Array] = {}

    def feed(self, x: Tensor, grad_output: Tensor) -> None:
        self._x[:] = x.numpy()

    def __call__(self) -> None:
        request, self._last = next(self._turns)
        request.infer(share_inputs=True, share_outputs=True)

    def results(self) -> dict[str, Tensor]:
        return named(self._last)


def _compiled(problem: Problem) -> Any:
    import openvino

    core = openvino.Core()
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": problem.case.threads,
        # Where the processor has bfloat16, OpenVINO computes in it unless told not to.
        "INFERENCE_PRECISION_HINT": "f32",
        # It would tie the thread that calls it, which is everyone's, to one core.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(core.read_model(model(problem)), "CPU", options)
