"""Cases against torch.nn, one after the other: the gate, the clock, and a second try where the machine was busy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from . import gate, peak
from .cases import Case
from .clock import Clock, Effort
from .compare import Comparison
from .results import Result


def measure(selected: Iterable[Case], ours: Any, effort: Effort) -> tuple[list[Result], int]:
    """The results, printed as they come, and how many cases failed the gate. Disturbed cases have a second try.

    ``ours`` is the namespace that has the classes to be measured.
    """
    clock = Clock(effort)
    results: dict[Case, Result] = {}
    wrong = 0
    for case in selected:
        torch.set_num_threads(case.threads)
        if failures := gate.failures(case, ours):
            wrong += 1
            print(f"{case} WRONG", *failures, sep="\n  ", flush=True)
            continue
        results[case] = _timed(case, ours, clock)
    judged = {case: replace(r, summary=clock.judge(r.summary, case.threads)) for case, r in results.items()}
    if disturbed := [case for case, result in judged.items() if result.summary.disturbed]:
        print(f"\nOnce more, for the machine was busy ({len(disturbed)} of {len(results)}):", flush=True)
    for case in disturbed:
        torch.set_num_threads(case.threads)
        again = _timed(case, ours, clock)
        judged[case] = max(judged[case], again, key=lambda r: (not r.summary.disturbed, r.summary.clean))
    return list(judged.values()), wrong


def _timed(case: Case, ours: Any, clock: Clock) -> Result:
    summary = clock.measure(Comparison(case, ours), case.threads)
    result = Result(case, summary, peak=peak.FLOPS / summary.reference)
    print(result, flush=True)
    return result
