"""JAX: ``lax.scan`` over the steps under ``jit``, ``value_and_grad`` for training.

What x contributes to all steps is one product before the scan. Weights lie as JAX's own layers keep them, (I, G*H).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version as installed_version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cases import TRAINING
from .problem import Problem, Side

NAMES = {"w_ih": "weight_ih_l0", "w_hh": "weight_hh_l0", "b_ih": "bias_ih_l0", "b_hh": "bias_hh_l0"}
UNROLL = (1, 4)  # steps of the scan that are compiled as one; 8 was never faster


def version() -> str:
    """JAX's."""
    return installed_version("jax")


def sides(problem: Problem) -> dict[str, Side]:
    """The scan with and without unrolling, or the single step."""
    jax = _jax(problem.case.threads)
    if problem.carried:
        return {"jit": _Step(problem, jax)}
    way = _Training if problem.case.mode == TRAINING else _Scan
    return {f"scan, unroll={n}": way(problem, jax, n) for n in UNROLL}


@cache
def _jax(threads: int) -> Any:
    """JAX, told how many threads to use: it wants to know before its first operation, and never again."""
    os.environ["PJRT_NPROC"] = str(threads)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    # A program of a few microseconds isn't worth handing to another thread, and we wait for each result anyway.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    return jax


class _Step:
    """One step, jitted; the state is carried."""

    def __init__(self, problem: Problem, jax: Any) -> None:
        self._jax = jax
        weights = _weights(problem, jax)
        step = _step(problem.case.cell, jax)

        def run(x: Any, state: Any) -> Any:
            return step(state, x @ weights["w_ih"] + weights["b_ih"], weights)

        self._run = jax.jit(run)
        self._state = _zeros(problem, jax)

    def feed(self, x: Tensor, grad_output: Tensor) -> None:
        self._x = self._jax.numpy.asarray(x[0].numpy())

    def __call__(self) -> None:
        self._state = self._jax.block_until_ready(self._run(self._x, self._state))

    def results(self) -> dict[str, Tensor]:
        output = {"output": self._state[0]}
        return _tensors(output | {f"{name}_n": s for name, s in zip("hc", self._state, strict=False)})


class _Scan:
    """All steps of a sequence, from a state of zeros."""

    def __init__(self, problem: Problem, jax: Any, unroll: int) -> None:
        self._jax = jax
        self._weights = _weights(problem, jax)
        self._run = jax.jit(partial(_forward(problem, jax, unroll), self._weights))

    def feed(self, x: Tensor, grad_output: Tensor) -> None:
        self._x = self._jax.numpy.asarray(x.numpy())

    def __call__(self) -> None:
        self._last = self._jax.block_until_ready(self._run(self._x))

    def results(self) -> dict[str, Tensor]:
        states, output = self._last
        return _tensors({"output": output, **{f"{name}_n": s for name, s in zip("hc", states, strict=False)}})


class _Training:
    """The gradients of x and of every weight, and the value they are gradients of."""

    def __init__(self, problem: Problem, jax: Any, unroll: int) -> None:
        self._jax = jax
        self._weights = _weights(problem, jax)
        forward = _forward(problem, jax, unroll)

        def value(weights: Any, x: Any, grad_output: Any) -> Any:
            return jax.numpy.vdot(forward(weights, x)[1], grad_output)

        self._run = jax.jit(jax.value_and_grad(value, argnums=(0, 1)))

    def feed(self, x: Tensor, grad_output: Tensor) -> None:
        self._x, self._grad_output = (self._jax.numpy.asarray(a.numpy()) for a in (x, grad_output))

    def __call__(self) -> None:
        _, self._last = self._jax.block_until_ready(self._run(self._weights, self._x, self._grad_output))

    def results(self) -> dict[str, Tensor]:
        weights, x = self._last
        gradients = {"x": x, **{NAMES[name]: g.T for name, g in weights.items()}}
        return _tensors({f"gradient of {name}": g for name, g in gradients.items()})


def _forward(problem: Problem, jax: Any, unroll: int) -> Callable[[Any, Any], Any]:
    """From weights and x to the last state and the output."""
    step = _step(problem.case.cell, jax)

    def forward(weights: Any, x: Any) -> Any:
        def one(state: Any, x_part: Any) -> Any:
            state = step(state, x_part, weights)
            return state, state[0]

        x_parts = x @ weights["w_ih"] + weights["b_ih"]
        return jax.lax.scan(one, _zeros(problem, jax), x_parts, unroll=unroll)

    return forward


def _step(cell: str, jax: Any) -> Callable[[Any, Any, Any], Any]:
    """One step: the state, what x contributes, the weights; the new state."""
    sigmoid, tanh, split = jax.nn.sigmoid, jax.numpy.tanh, jax.numpy.split

    def rnn(state: Any, x: Any, w: Any) -> Any:
        return (tanh(x + state[0] @ w["w_hh"] + w["b_hh"]),)

    def lstm(state: Any, x: Any, w: Any) -> Any:
        h, c = state
        i, f, g, o = split(x + h @ w["w_hh"] + w["b_hh"], 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def gru(state: Any, x: Any, w: Any) -> Any:
        (h,) = state
        x_r, x_z, x_n = split(x, 3, axis=-1)
        h_r, h_z, h_n = split(h @ w["w_hh"] + w["b_hh"], 3, axis=-1)
        z = sigmoid(x_z + h_z)
        n = tanh(x_n + sigmoid(x_r + h_r) * h_n)
        return (n + z * (h - n),)

    return {"RNN": rnn, "LSTM": lstm, "GRU": gru}[cell]


def _weights(problem: Problem, jax: Any) -> dict[str, Any]:
    w = problem.weights()
    return {ours: jax.numpy.array(np.ascontiguousarray(w[name].T)) for ours, name in NAMES.items()}


def _zeros(problem: Problem, jax: Any) -> tuple[Any, ...]:
    s = problem.case.shape
    return tuple(jax.numpy.zeros((s.N, s.H), dtype="float32") for _ in problem.state_names)


def _tensors(arrays: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(a)) for name, a in arrays.items()}
