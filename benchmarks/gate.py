"""The gate before the clock: what statewise computes has to be right before its time counts.

The oracle is torch.nn in float64. statewise passes where its error is at most twice that of torch.nn in the case's own
dtype, or ``FLOOR`` of the largest value. Every output is compared, and with gradients every gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .calls import call_of, tensors_in
from .cases import FORWARD, Case
from .compare import build

FLOOR = 3e-6
PEER_FACTOR = 2.0


def failures(case: Case, ours: Any, *, seed: int = 0) -> list[str]:
    """One line for each output or gradient that is not as near to float64 as it should be."""
    generator = torch.Generator().manual_seed(seed)
    modules = build(nn, case), build(nn, case), build(ours, case)
    for module in modules[1:]:
        module.load_state_dict(modules[0].state_dict())
    modules[0].double()
    call = call_of(case)
    inputs = {n: torch.randn(s, generator=generator).to(call.dtype) for n, s in call.sizes(case.cell).items()}
    exact, peer, mine = (_results(module, inputs, case, seed) for module in modules)
    return [line for name in exact if (line := judge(name, exact[name], peer[name], mine.get(name)))]


def _results(module: nn.Module, inputs: dict[str, Tensor], case: Case, seed: int) -> dict[str, Tensor]:
    """Every output by its name, and with gradients those of the inputs and of every parameter."""
    dtype = next(module.parameters()).dtype
    inputs = {name: t.to(dtype, copy=True).requires_grad_(case.mode != FORWARD) for name, t in inputs.items()}
    with torch.set_grad_enabled(case.mode != FORWARD), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the same dropout masks for all
        call = call_of(case)
        results = dict(zip(call.results, tensors_in(call.run(module, *inputs.values())), strict=False))
    if case.mode == FORWARD:
        return results
    generator = torch.Generator().manual_seed(seed + 1)
    incoming = [torch.randn(r.shape, generator=generator).to(r.dtype) for r in results.values()]
    torch.autograd.backward(list(results.values()), incoming)
    gradients = {f"gradient of {n}": t.grad for n, t in (*inputs.items(), *module.named_parameters())}
    return results | {name: g for name, g in gradients.items() if g is not None}


def judge(name: str, exact: Tensor, peer: Tensor, mine: Tensor | None) -> str | None:
    """What is wrong with ``mine``, where ``peer`` has the same in the same dtype; None if nothing is."""
    if mine is None:
        return f"{name} is missing"
    if mine.shape != exact.shape:
        return f"{name} has the shape {tuple(mine.shape)}, expected {tuple(exact.shape)}"
    error, allowed = _error(mine, exact), max(PEER_FACTOR * _error(peer, exact), FLOOR)
    # Written so that an error of NaN fails.
    return None if error <= allowed else f"{name} is off by {error:.1e} of its largest value, allowed are {allowed:.1e}"


def _error(value: Tensor, exact: Tensor) -> float:
    """The largest deviation, relative to the largest value there is."""
    scale = exact.detach().abs().max().item() or 1.0
    return (value.detach().double() - exact.detach()).abs().max().item() / scale
