"""JAX: ``lax.scan`` over the steps under ``jit``, ``value_and_grad`` for training.

What x contributes to all steps is one product before the scan. Weights lie as JAX's own layers keep them, (I, G*H).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...sides import Tensors
from .peer import Peer, Ways

UNROLL = (1, 4)  # steps of the scan that are compiled as one; 8 was never faster


def sides(peer: Peer) -> Ways:
    """The scan with and without unrolling, or the single step."""
    jax = _jax(peer.case.threads)
    if peer.carried:
        return {"jit": Jitted(peer, jax, _step(peer, jax))}
    way = _training if peer.trains else _scan
    return {f"scan, unroll={n}": Jitted(peer, jax, way(peer, jax, n)) for n in UNROLL}


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


class Jitted:
    """A function of the weights, x, the gradient of the output and the states, which it gives back by name."""

    def __init__(self, peer: Peer, jax: Any, run: Callable[..., dict[str, Any]]) -> None:
        self._jax, self._carried = jax, peer.carried
        weights = {n: jax.numpy.array(np.ascontiguousarray(w.T)) for n, w in peer.weights().items()}
        # For inference the weights are constants of the program; for training they are given, as they change.
        self._run = partial(jax.jit(run), weights) if peer.trains else jax.jit(partial(run, weights))
        self._states = _zeros(peer, jax)

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """See ``Side``."""
        self._given = [self._jax.numpy.asarray(t.numpy()) for t in (*inputs, *incoming)]

    def __call__(self) -> None:
        self._last = self._jax.block_until_ready(self._run(*self._given, self._states))
        if self._carried:
            self._states = self._last[1]

    def results(self) -> dict[str, Tensor]:
        """See ``Side``."""
        self()
        output, states, gradients = self._last
        named = {f"gradient of {name}": g if name == "x" else g.T for name, g in gradients.items()}
        if not gradients:
            named = {"output": output} | {f"{name}_n": s for name, s in zip("hc", states, strict=False)}
        return {name: torch.from_numpy(np.array(array)) for name, array in named.items()}


def _step(peer: Peer, jax: Any) -> Callable[..., Any]:
    """One step: what comes after it is told with no gradients."""
    step = _described(peer, jax)

    def run(w: Any, x: Any, _: Any, states: Any) -> Any:
        states = step(x[0] @ w["weight_ih_l0"] + w["bias_ih_l0"], states, w)
        return states[0], states, {}

    return run


def _described(peer: Peer, jax: Any) -> Callable[[Any, Any, Any], Any]:
    ops = SimpleNamespace(sigmoid=jax.nn.sigmoid, tanh=jax.numpy.tanh)
    step = peer.step(ops, lambda share: jax.numpy.split(share, len(peer.cell.gates), axis=-1))
    return lambda x, states, w: step(x, states[0] @ w["weight_hh_l0"] + w["bias_hh_l0"], states)


def _scan(peer: Peer, jax: Any, unroll: int) -> Callable[..., Any]:
    """All steps of a sequence, from states of zeros."""
    step = _described(peer, jax)

    def run(w: Any, x: Any, _: Any, states: Any) -> Any:
        def one(states: Any, share: Any) -> Any:
            states = step(share, states, w)
            return states, states[0]

        states, output = jax.lax.scan(one, states, x @ w["weight_ih_l0"] + w["bias_ih_l0"], unroll=unroll)
        return output, states, {}

    return run


def _training(peer: Peer, jax: Any, unroll: int) -> Callable[..., Any]:
    """The gradients of x and of every weight, and the value they are gradients of."""
    forward = _scan(peer, jax, unroll)

    def value(w: Any, x: Any, incoming: Any, states: Any) -> Any:
        return jax.numpy.vdot(forward(w, x, incoming, states)[0], incoming)

    def run(w: Any, x: Any, incoming: Any, states: Any) -> Any:
        value_, (weights, x) = jax.value_and_grad(value, argnums=(0, 1))(w, x, incoming, states)
        return None, value_, {"x": x, **weights}

    return run


def _zeros(peer: Peer, jax: Any) -> tuple[Any, ...]:
    return tuple(jax.numpy.zeros((peer.shape.N, peer.shape.H), dtype="float32") for _ in peer.cell.states)
