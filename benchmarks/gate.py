"""The gate before the clock: what a side computes has to be right before its time counts.

The oracle is float64, mostly torch.nn's. statewise passes where its error is at most twice that of torch.nn in the
case's own dtype, or ``FLOOR`` of the largest value. Every output is compared, and with gradients every gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

import torch
from torch import Tensor

from .sides import Problem, Side

FLOOR = 3e-6
PEER_FACTOR = 2.0


@dataclass
class Verdict:
    """What the gate says of one way to compute a problem."""

    error: float | None = None  # the largest of any gradient, without gradients of any output
    preparation: float | None = None  # seconds until the first result
    wrong: list[str] = field(default_factory=list)


def verdicts(problem: Problem, *, seed: int = 0) -> dict[tuple[str, str], Verdict]:
    """By library and way, over all rounds."""
    every = {(name, way): side for name, ways in problem.sides.items() for way, side in ways.items()}
    found = {key: Verdict() for key in every}
    exacts = {id(side): side for side in problem.exact.values()}
    for _ in range(problem.rounds):
        problem.feed([*every.values(), *exacts.values()], step=False)
        wanted = {key: _results(side, seed)[0] for key, side in exacts.items()}
        results = {key: _results(side, seed) for key, side in every.items() if key[0] in problem.exact}
        peer = next((r for (name, _), (r, _) in results.items() if name == problem.reference), {})
        for key, (result, seconds) in results.items():
            exact, verdict = wanted[id(problem.exact[key[0]])], found[key]
            judged = (judge(n, exact[n], peer.get(n), result.get(n), problem.floor) for n in exact)
            verdict.wrong += [line for line in judged if line]
            if not verdict.wrong:
                told = [name for name in exact if name.startswith("gradient")] or list(exact)
                verdict.error = max([verdict.error or 0.0, *(_error(result[n], exact[n]) for n in told)])
            verdict.preparation = verdict.preparation or seconds
    return found


def _results(side: Side, seed: int) -> tuple[dict[str, Tensor], float]:
    """With the same dropout masks for all, and how long it took."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = perf_counter()
        results = side.results()
        return {name: result.detach() for name, result in results.items()}, perf_counter() - start


def judge(name: str, exact: Tensor, peer: Tensor | None, mine: Tensor | None, floor: float = FLOOR) -> str | None:
    """What is wrong with ``mine``, where ``peer`` has the same in the same dtype; None if nothing is.

    Axes of one don't count: a cell has none for its one step, an ONNX model one for its direction.
    """
    if mine is None:
        return f"{name} is missing"
    if mine.squeeze().shape != exact.squeeze().shape:
        return f"{name} has the shape {tuple(mine.shape)}, expected {tuple(exact.shape)}"
    error = _error(mine, exact)
    allowed = max(0.0 if peer is None else PEER_FACTOR * _error(peer, exact), floor)
    # Written so that an error of NaN fails.
    return None if error <= allowed else f"{name} is off by {error:.1e} of its largest value, allowed are {allowed:.1e}"


def _error(value: Tensor, exact: Tensor) -> float:
    """The largest deviation, relative to the largest value there is."""
    scale = exact.detach().abs().max().item() or 1.0
    return (value.detach().double().squeeze() - exact.detach().squeeze()).abs().max().item() / scale
