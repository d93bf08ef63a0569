"""onnxruntime: a session on the processor, run plainly or with its inputs and outputs bound. No training."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cases import TRAINING
from .onnx_model import model
from .problem import Array, Problem, Side


def version() -> str:
    """onnxruntime's."""
    return installed_version("onnxruntime")


def sides(problem: Problem) -> dict[str, Side]:
    """Both ways to run a session."""
    if problem.case.mode == TRAINING:
        return {}
    session = _session(problem)
    return {"run": _Run(problem, session), "IO binding": _Bound(problem, session)}


def _session(problem: Problem) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = problem.case.threads
    options.inter_op_num_threads = 1
    # Its threads wait for work by spinning, which would take the core from whoever is timed next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model(problem), options, providers=["CPUExecutionProvider"])


class _Run:
    def __init__(self, problem: Problem, session: Any) -> None:
        self._session = session
        self._names = [output.name for output in session.get_outputs()]
        self._carried = problem.state_names if problem.carried else ()
        self._inputs: dict[str, Array] = {name: _zeros(problem) for name in self._carried}

    def feed(self, x: Tensor, grad_output: Tensor) -> None:
        self._inputs["x"] = x.numpy()

    def __call__(self) -> None:
        self._last = self._session.run(None, self._inputs)
        for name, state in zip(self._carried, self._last[1:], strict=False):
            self._inputs[name] = state

    def results(self) -> dict[str, Tensor]:
        return named(dict(zip(self._names, self._last, strict=True)))


class _Bound:
    """Inputs and outputs lie where they always lie. A carried state goes from one memory to the other and back."""

    def __init__(self, problem: Problem, session: Any) -> None:
        import onnxruntime

        s = problem.case.shape
        self._session = session
        self._x = np.empty((s.T, s.N, s.I), np.float32)
        states = [{name: _zeros(problem) for name in problem.state_names} for _ in range(2)]
        self._outputs: list[dict[str, Array]] = []
        bindings = []
        wrap = onnxruntime.OrtValue.ortvalue_from_numpy  # shares the array's memory
        for before, after in (states, states[::-1]):
            outputs = {"y": np.empty((s.T, 1, s.N, s.H), np.float32), **{f"{n}_n": a for n, a in after.items()}}
            binding = session.io_binding()
            for name, array in {"x": self._x, **(before if problem.carried else {})}.items():
                binding.bind_ortvalue_input(name, wrap(array))
            for name, array in outputs.items():
                binding.bind_ortvalue_output(name, wrap(array))
            bindings.append(binding)
            self._outputs.append(outputs)
        self._turns = cycle(zip(bindings, self._outputs, strict=True))

    def feed(self, x: Tensor, grad_output: Tensor) -> None:
        self._x[:] = x.numpy()

    def __call__(self) -> None:
        binding, self._last = next(self._turns)
        self._session.run_with_iobinding(binding)

    def results(self) -> dict[str, Tensor]:
        return named(self._last)


def named(outputs: dict[str, Array]) -> dict[str, Tensor]:
    """Copies under the names that a layer's results have."""
    return {"output" if name == "y" else name: torch.from_numpy(a.copy()) for name, a in outputs.items()}


def _zeros(problem: Problem) -> Array:
    s = problem.case.shape
    return np.zeros((1, s.N, s.H), np.float32)
