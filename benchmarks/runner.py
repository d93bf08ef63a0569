"""One case after the other: the gate, the clock, and a second try where the machine was busy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from .case import THREADS, TRAINING, Case, Shape
from .clock import FLOPS, QUICK, SHORT, Clock, Effort, Summary, fastest
from .gate import Verdict, verdicts
from .record import Record
from .sides import OURS, Problem

Table = Sequence[Record]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of run: which cases it has, what their sides are, and how the figures are shown."""

    help: str
    cases: Callable[[Sequence[Shape], Sequence[int]], Iterable[Case]]  # of the shapes, on so many threads
    problem: Callable[[Case], Problem] = lambda case: Problem({})
    sections: Callable[[Table], dict[str, str]] = lambda records: {}  # markdown by the name of its markers in pages
    pictures: Mapping[str, Callable[[Table], Any]] = field(default_factory=dict)  # by the name of the file in docs/
    effort: Effort = SHORT
    quick: Effort = QUICK
    shapes: Sequence[Shape] = ()  # that --shape replaces; (): the kind has its own
    threads: Sequence[int] = THREADS  # that --threads replaces
    packages: Sequence[str] = ()  # whose versions are told
    published: bool = True
    measure: Callable[[Case], list[Record]] | None = None  # in the place of the clock


def run(kind: Kind, cases: Iterable[Case], *, quick: bool = False) -> tuple[list[Record], int]:
    """The records, printed as they come, and how many cases failed the gate. Disturbed cases have a second try."""
    if kind.measure:
        return [record for case in cases for record in _told(case, kind.measure(case))], 0
    clock = Clock(kind.quick if quick else kind.effort)
    taken: dict[Case, tuple[Summary, Finish]] = {}
    failed = 0
    for case in cases:
        found, wrong = _timed(case, kind, clock)
        failed += any(name in OURS for name, _ in wrong) or found is None
        for name, line in wrong:
            print(f"{case} WRONG {name}: {line}", flush=True)
        if found:
            taken[case] = found
    taken = {case: (clock.judge(summary, case.threads), finish) for case, (summary, finish) in taken.items()}
    if disturbed := [case for case, (summary, _) in taken.items() if summary.disturbed]:
        print(f"\nOnce more, for the machine was busy ({len(disturbed)} of {len(taken)}):", flush=True)
    for case in disturbed:
        again, _ = _timed(case, kind, clock)
        if again:
            taken[case] = max(taken[case], again, key=lambda found: found[0].calm)
    return [record for summary, finish in taken.values() for record in finish(summary)], failed


Finish = Callable[[Summary], list[Record]]


def _timed(case: Case, kind: Kind, clock: Clock) -> tuple[tuple[Summary, Finish] | None, list[tuple[str, str]]]:
    """The times of the right sides, what makes records of them, and what is wrong with the others."""
    torch.set_num_threads(case.threads)
    with torch.set_grad_enabled(case.mode == TRAINING), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # so that the weights are the same in every run
        problem = kind.problem(case)
        found = verdicts(problem)
        wrong = [(name, f"{way} {line}".strip()) for (name, way), v in found.items() for line in v.wrong]
        chosen: dict[tuple[str, str], Verdict] = {}
        for name, ways in problem.sides.items():
            right = [way for way in ways if not found[name, way].wrong]
            if right:
                way = min(right, key=lambda way: fastest(ways[way])) if len(right) > 1 else right[0]
                chosen[name, way] = found[name, way]
        if not any(name in problem.unit for name, _ in chosen):
            return None, wrong
        sides = [problem.sides[name][way] for name, way in chosen]
        summary = clock.measure(sides, case.threads, lambda: problem.feed(sides, step=True))
    finish = partial(_records, case, chosen, problem.unit, problem.per)
    _told(case, finish(summary))
    return (summary, finish), wrong


def _records(
    case: Case, chosen: Mapping[tuple[str, str], Verdict], unit: Sequence[str], per: int, summary: Summary
) -> list[Record]:
    one = min(time for (name, _), time in zip(chosen, summary.times, strict=True) if name in unit)
    scale = 1e6 / per
    return [
        Record(
            case,
            side=name,
            value=time * scale,
            ratio=time / one,
            kernels=kernels * scale or None,
            way=way,
            error=verdict.error,
            preparation=verdict.preparation,
            peak=FLOPS / summary.reference / 1e9,
            clean=summary.clean,
            taken=summary.taken,
            disturbed=summary.disturbed,
            samples=tuple((samples * scale).tolist()),
        )
        for ((name, way), verdict), time, kernels, samples in zip(
            chosen.items(), summary.times, summary.kernels, summary.samples.T, strict=True
        )
    ]


def _told(case: Case, records: list[Record]) -> list[Record]:
    """The same, printed."""
    sides = "  ".join(f"{r.side} {r.value:,.1f} {r.unit} ({r.ratio:.2f})" for r in records)
    clean = f"  {records[0].clean} of {records[0].taken} samples clean" if records[0].taken else ""
    print(f"{case}: {sides}{clean}", flush=True)
    return records
