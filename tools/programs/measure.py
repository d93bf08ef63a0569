"""One program: whether its numbers stay what they are, how fast it becomes, and what its layers do in it.

    python -m programs.measure NAME FILE [--quick]

writes what it finds to FILE, in the environment that has the program.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from benchmarks import machine
from benchmarks.case import MODES, THREADS, TRAINING
from benchmarks.clock import QUICK, Clock, Effort
from benchmarks.gate import judge
from benchmarks.sides import tensors_in
from statewise import accelerate

from . import CARRIED_OVER, Case, port, program

EFFORT = Effort(clean=11, at_least=5, seconds=2.5)
SHORT = Effort(clean=9, at_least=5, seconds=1.0)  # of a case that is carried over: there are several
Run = Callable[[nn.Module], Sequence[Tensor]]


@dataclass(frozen=True, slots=True)
class Figure:
    """Seconds of one run; ``layers`` is what the recurrent layers take alone, called as the program calls them."""

    mode: str
    threads: int
    ours: float
    theirs: float
    our_layers: float
    their_layers: float
    disturbed: bool

    @property
    def ratio(self) -> float:
        """torch.nn's time over statewise's."""
        return self.theirs / self.ours

    @property
    def layers_ratio(self) -> float:
        """The same of the recurrent layers alone."""
        return self.their_layers / self.our_layers

    @property
    def share(self) -> float:
        """What part of the program's time with torch.nn the recurrent layers are."""
        return min(1.0, self.their_layers / self.theirs)


class Side:
    """A model and how it is run."""

    def __init__(self, run: Run, model: nn.Module) -> None:
        self.run, self.model = run, model
        self.leaves = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.incoming: list[Tensor | None] | None = None

    def once(self, mode: str) -> list[Tensor]:
        """The outputs, and in training the gradient of every leaf, where it has one."""
        self.model.train(mode == TRAINING)
        with torch.set_grad_enabled(mode == TRAINING):
            outputs = list(self.run(self.model))
        if mode != TRAINING:
            return outputs
        if self.incoming is None:
            self.incoming = [_normal_like(output) if output.requires_grad else None for output in outputs]
        return outputs + _gradients(outputs, self.incoming, list(self.leaves.values()))

    def results(self, mode: str) -> dict[str, Tensor]:
        """The same by name, each time with the same masks."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found = self.once(mode)
        leaves = [f"gradient of {name}" for name in self.leaves] if mode == TRAINING else []
        names = [f"output {i}" for i in range(len(found) - len(leaves))] + leaves
        return {name: tensor for name, tensor in zip(names, found, strict=True) if tensor is not None}


def _normal_like(output: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(output.shape, generator=generator, dtype=torch.float32).to(output.dtype)


def _gradients(outputs: Sequence[Tensor], incoming: Sequence[Tensor | None], leaves: Sequence[Tensor]) -> list[Tensor]:
    """Of the leaves, from the outputs into which a gradient comes. None for a leaf that has no part in them."""
    pairs = [(output, gradient) for output, gradient in zip(outputs, incoming, strict=True) if gradient is not None]
    if not pairs or not leaves:
        return []
    return list(torch.autograd.grad([o for o, _ in pairs], leaves, [g for _, g in pairs], allow_unused=True))


def failures(run: Run, theirs: nn.Module, ours: nn.Module) -> list[str]:
    """A line for each output or gradient of ``ours`` that isn't as near to float64 as it should be (see the gate)."""
    exact, peer, mine = (Side(run, model) for model in (copy.deepcopy(theirs).double(), theirs, ours))
    lines = []
    for mode in MODES:
        with _default_dtype(torch.float64):  # for what a program makes itself, zeros and masks
            wanted = exact.results(mode)
        theirs_found, found = peer.results(mode), mine.results(mode)
        judged = (judge(name, wanted[name], theirs_found[name], found.get(name)) for name in wanted)
        lines += [f"{mode}: {line}" for line in judged if line]
    return lines


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@dataclass
class Call:
    """One call of a recurrent module, as the program made it."""

    name: str
    args: Any
    differentiated: bool
    incoming: list[Tensor | None] = field(default_factory=list)  # gradients of the outputs, where they had one


def recurrent_names(theirs: nn.Module, ours: nn.Module) -> list[str]:
    """The modules that ``accelerate`` swapped."""
    return [n for (n, a), b in zip(theirs.named_modules(), ours.modules(), strict=True) if type(a) is not type(b)]


def calls_in(side: Side, names: Sequence[str], mode: str) -> list[Call]:
    """The calls of the modules ``names`` in one run, with copies of what they were given and what came back."""
    calls: list[Call] = []
    handles = [side.model.get_submodule(n).register_forward_hook(partial(_record, calls, n)) for n in names]
    side.once(mode)
    for handle in handles:
        handle.remove()
    return calls


def _record(calls: list[Call], name: str, module: nn.Module, args: Any, output: Any) -> None:
    call = Call(name, _copied(args), torch.is_grad_enabled())
    calls.append(call)
    for i, tensor in enumerate(tensors_in(output)):
        call.incoming.append(None)
        if tensor.requires_grad:
            tensor.register_hook(partial(_keep, call, i))


def _keep(call: Call, i: int, gradient: Tensor) -> None:
    call.incoming[i] = gradient.clone()


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, PackedSequence):
        return PackedSequence(_copied(value.data), *value[1:])
    return tuple(map(_copied, value)) if isinstance(value, tuple) else value


def _given(args: Any) -> Iterator[Tensor]:
    """The tensors in the arguments."""
    for arg in args:
        if isinstance(arg, Tensor | PackedSequence):
            yield from tensors_in(arg)
        elif isinstance(arg, tuple):
            yield from _given(arg)


def again(calls: Sequence[Call], modules: dict[str, nn.Module]) -> None:
    """Make the calls again, and nothing else of the program."""
    for call in calls:
        module = modules[call.name]
        with torch.set_grad_enabled(call.differentiated):
            outputs = tensors_in(module(*call.args))
        if call.differentiated:
            leaves = [t for t in (*_given(call.args), *module.parameters()) if t.requires_grad]
            _gradients(outputs, call.incoming, leaves)


def sides_of(sides: Sequence[Side], names: Sequence[str], mode: str) -> list[Callable[[], object]]:
    """What is timed in one mode: the program with each of ``sides``, then its layers alone, statewise's first."""
    calls = calls_in(sides[-1], names, mode)
    modules = [{name: side.model.get_submodule(name) for name in names} for side in sides]
    whole: list[Callable[[], object]] = [partial(side.once, mode) for side in sides]
    for side in sides:
        side.once(mode)  # so that the layers alone are in the mode too
    return whole + [partial(again, calls, found) for found in modules]


def figures(run: Run, theirs: nn.Module, ours: nn.Module, effort: Effort) -> Iterator[Figure]:
    """In every mode, with every number of threads. A second try where the machine was busy."""
    clock, sides = Clock(effort), [Side(run, ours), Side(run, theirs)]
    for threads in THREADS:
        torch.set_num_threads(threads)
        for mode in MODES:
            timed = sides_of(sides, recurrent_names(theirs, ours), mode)
            summary = clock.measure(timed, threads)
            if summary.disturbed:
                summary = max(summary, clock.measure(timed, threads), key=lambda found: found.calm)
            mine, others, my_layers, their_layers = summary.times
            yield Figure(mode, threads, mine, others, my_layers, their_layers, summary.disturbed)


@dataclass(frozen=True, slots=True)
class Carried:
    """Seconds of one case of a program that is carried over, and how far the numbers are apart at most."""

    case: str
    ours: float
    theirs: float
    apart: float
    disturbed: bool

    @property
    def ratio(self) -> float:
        """The program's time over the runtime's."""
        return self.theirs / self.ours


def apart(case: Case) -> float:
    """How far the numbers of both sides are; infinity where their shapes differ or one isn't finite."""
    found = 0.0
    theirs, ours = case.theirs(), case.ours()
    if len(theirs) != len(ours):
        return math.inf
    for wanted, got in zip(theirs, ours, strict=True):
        if wanted.shape != got.shape or not np.isfinite(got).all():
            return math.inf
        found = max(found, float(np.abs(wanted.astype(np.float64) - got).max(initial=0.0)))
    return found


def carried_over(name: str, effort: Effort) -> dict[str, Any]:
    """All that there is to say of a program that is carried over, on one thread."""
    chosen = port(name)
    cases = chosen.cases()
    torch.set_num_threads(1)
    distances = {case: apart(each) for case, each in cases.items()}
    wrong = [
        f"{case}: {distances[case]:.1e} apart, {each.within:.1e} at most"
        for case, each in cases.items()
        if distances[case] > each.within
    ]
    clock, found = Clock(effort), []
    for case, each in cases.items() if not wrong else ():
        summary = clock.measure([each.ours, each.theirs], 1)
        if summary.disturbed:
            summary = max(summary, clock.measure([each.ours, each.theirs], 1), key=lambda tried: tried.calm)
        ours, theirs = summary.times
        found.append(asdict(Carried(case, ours, theirs, distances[case], summary.disturbed)))
    return _about(chosen.REQUIREMENTS) | {"wrong": wrong, "cases": found}


def measure(name: str, effort: Effort) -> dict[str, Any]:
    """All that there is to say of a program."""
    if name in CARRIED_OVER:
        return carried_over(name, min(effort, SHORT, key=lambda each: each.seconds))
    chosen = program(name)
    torch.manual_seed(0)
    theirs = chosen.build()
    ours = accelerate(copy.deepcopy(theirs))
    wrong = failures(chosen.run, theirs, ours)
    return _about(chosen.REQUIREMENTS) | {
        "wrong": wrong,
        "figures": [] if wrong else [asdict(f) for f in figures(chosen.run, theirs, ours, effort)],
    }


def _about(requirements: Sequence[str]) -> dict[str, Any]:
    """The version of the program, and the machine."""
    requirement = requirements[0].split("==")[0].split("[")[0]
    return {"version": f"{requirement} {version(requirement)}", "machine": machine.describe()}


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="programs.measure")
    parser.add_argument("name")
    parser.add_argument("file", type=Path)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args(argv)
    args.file.write_text(json.dumps(measure(args.name, QUICK if args.quick else EFFORT)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
