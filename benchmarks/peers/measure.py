"""One case over all libraries: check every way, keep each library's fastest, time these in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from types import ModuleType
from typing import Any

import torch

from ..cases import TRAINING, Case
from ..clock import Clock, Effort, fastest
from ..samples import Summary
from . import OURS
from .check import TOLERANCE, error
from .problem import Problem, Side, cases


@dataclass(frozen=True, slots=True)
class Way:
    """How a library computes the case, how exactly, and what it took to get there."""

    name: str
    error: float
    preparation: float  # seconds until the first result, compilation included


@dataclass(frozen=True, slots=True)
class PeerResult:
    """One case with every library's time."""

    case: Case
    ways: dict[str, Way]  # by library, in the order of the summary's times
    summary: Summary

    @property
    def seconds(self) -> dict[str, float]:
        """Each library's time for a call."""
        return dict(zip(self.ways, self.summary.times, strict=True))

    @property
    def best_of_ours(self) -> float:
        """statewise's time: the lower of the layer's and the frozen layer's."""
        return min(time for name, time in self.seconds.items() if name in OURS)

    @property
    def ratios(self) -> dict[str, float]:
        """By library that is not ours, how many times as long it takes."""
        return {name: time / self.best_of_ours for name, time in self.seconds.items() if name not in OURS}

    @property
    def group(self) -> str:
        """Under which heading it stands."""
        if self.case.mode == TRAINING:
            return "training"
        return "single steps" if self.case.shape.T == 1 else "sequences"

    def __str__(self) -> str:
        times = "  ".join(f"{name} {time * 1e6:.1f}" for name, time in self.seconds.items())
        return f"{self.case} us: {times}  ({self.summary.clean} of {self.summary.taken} samples clean)"

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        sides = {
            name: {
                "us": round(time * 1e6, 2),
                "way": way.name,
                "error": float(f"{way.error:.2g}"),
                "preparation_s": round(way.preparation, 2),
            }
            for (name, way), time in zip(self.ways.items(), self.summary.times, strict=True)
        }
        return {
            **self.case.as_dict(),
            "group": self.group,
            "sides": sides,
            "ratios": {name: round(ratio, 3) for name, ratio in self.ratios.items()},
            "clean_samples": self.summary.clean,
            "samples": self.summary.taken,
            "disturbed": self.summary.disturbed,
        }


class _Rounds:
    """All libraries' sides, fed alike."""

    def __init__(self, problem: Problem, sides: Sequence[Side]) -> None:
        self._problem = problem
        self.sides = sides

    def renew(self) -> None:
        """A fresh input for everyone. The weights stay: for inference most libraries have them compiled in."""
        x, grad_output = self._problem.inputs()
        for side in self.sides:
            side.feed(x, grad_output)


def measure_all(
    peers: Mapping[str, ModuleType], cells: Iterable[str], threads: int, effort: Effort
) -> tuple[list[PeerResult], int]:
    """Every case of ``cells``, printed as it comes, and how many ways gave a wrong result. These have no time."""
    clock = Clock(effort)
    torch.set_num_threads(threads)
    results: list[PeerResult] = []
    failed = 0
    for case in cases(threads):
        if case.cell not in cells:
            continue
        result, wrong = measure(case, peers, clock)
        results.append(result)
        failed += sum(name in OURS for name, _ in wrong)
        print(result, *(f"{name}: {what}" for name, what in wrong), sep="\n  WRONG ", flush=True)
    return [replace(r, summary=clock.judge(r.summary, threads)) for r in results], failed


def measure(case: Case, peers: Mapping[str, ModuleType], clock: Clock) -> tuple[PeerResult, list[tuple[str, str]]]:
    """The case's times, and the library and what is wrong for each way that is left out."""
    with torch.set_grad_enabled(case.mode == TRAINING):
        chosen: dict[str, tuple[Way, Side]] = {}
        wrong: list[tuple[str, str]] = []
        problem = Problem(case)
        for name, module in peers.items():
            right: list[tuple[Way, Side]] = []
            for way, side in module.sides(problem).items():
                start = perf_counter()
                off = error(problem, side)
                if off <= TOLERANCE:
                    right.append((Way(way, off, perf_counter() - start), side))
                else:
                    wrong.append((name, f"{way} is off by {off:.1e} of the largest value"))
            if right:
                chosen[name] = min(right, key=lambda one: fastest(one[1])) if len(right) > 1 else right[0]
        summary = clock.measure(_Rounds(problem, [side for _, side in chosen.values()]), case.threads)
    return PeerResult(case, {name: way for name, (way, _) in chosen.items()}, summary), wrong
