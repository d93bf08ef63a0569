"""The command ``statewise bench``: arguments, the run, the files."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..jobs.errors import InputError
from .cases import CELLS, MODES, SHAPES, THREADS, Case, Shape, cases
from .readme import read_section, write_section
from .results import Result, means
from .table import means_table, report

if TYPE_CHECKING:
    from .clock import Clock, Effort


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Times statewise against torch.nn in this process. Prints, for each case, both times, their ratio, and the "
        "share of the machine's sgemm speed that statewise reaches. A wrong result has no time; the exit status is 1."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer repetitions: a first impression, not a figure to quote")
    add("--cell", action="append", choices=list(CELLS), help="only this cell; may be repeated")
    add(
        "--shape",
        action="append",
        type=_shape,
        metavar="T,N,I,H,L",
        help="this shape instead of the built-in ones; may be repeated",
    )
    add("--mode", action="append", choices=MODES, help="only this mode; may be repeated")
    add(
        "--threads",
        action="append",
        type=_positive,
        metavar="N",
        help="this many threads instead of 1 and 2; may be repeated",
    )
    add(
        "--self-test",
        action="store_true",
        help="time torch.nn against itself: ratios away from 1 show the error of the method",
    )
    add(
        "--overhead",
        action="store_true",
        help="time small calls outside the kernels instead, in units of one of torch's matrix products",
    )
    add("--json", type=Path, metavar="PATH", help="write every figure as JSON")
    add("--markdown", type=Path, metavar="PATH", help="write the tables as a markdown page")
    add(
        "--readme",
        type=Path,
        metavar="PATH",
        help="renew the section between the bench markers of this file (full run only)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure what ``args`` name; the exit status."""
    _check_readme(args)
    if args.overhead:
        return _run_overhead(args)
    if args.self_test:
        if args.markdown:
            raise InputError("--markdown: the page is about statewise, and --self-test leaves statewise out")
        print("Self-test: torch.nn stands on both sides, under statewise's name too.")
    from . import clock, machine

    facts = machine.describe()
    print(machine.sentence(facts), flush=True)
    results, wrong = _measure(
        _selected(args), _ours(self_test=args.self_test), clock.QUICK if args.quick else clock.Effort()
    )
    if wrong:
        print(f"{wrong} wrong results; nothing is written", file=sys.stderr)
        return 1
    print("\nGeometric means over the shapes (lowest to highest):\n" + means_table(means(results)))
    if busy := sum(r.summary.disturbed for r in results):
        print(f"\nThe machine was busy: {busy} of {len(results)} cases have too few clean samples to be quoted.")
    _write(args, results, facts)
    return 0


def _run_overhead(args: argparse.Namespace) -> int:
    if args.self_test or args.markdown:
        raise InputError("--overhead is printed or written as --json, and measures statewise alone")
    import torch

    from . import gate, machine, overhead

    facts = machine.describe()
    print(machine.sentence(facts), flush=True)
    args.shape = args.shape or overhead.SHAPES
    selected = list(_selected(args))
    if failures := [
        f"{case} WRONG {line}" for case in selected for line in gate.failures(case, _ours(self_test=False))
    ]:
        print(*failures, "nothing is written", sep="\n", file=sys.stderr)
        return 1
    figures = []
    for threads in dict.fromkeys(case.threads for case in selected):
        torch.set_num_threads(threads)
        rounds = overhead.QUICK_ROUNDS if args.quick else overhead.ROUNDS
        for figure in overhead.measure([case for case in selected if case.threads == threads], rounds=rounds):
            figures.append(figure)
            print(figure, flush=True)
    print("\n" + overhead.table(figures))
    if args.json:
        _write_json(args.json, {"machine": facts, "overhead": [figure.as_dict() for figure in figures]})
    return 0


def _check_readme(args: argparse.Namespace) -> None:
    """Before the clock runs for minutes."""
    if not args.readme:
        return
    if any((args.quick, args.cell, args.shape, args.mode, args.threads, args.self_test, args.overhead)):
        raise InputError("--readme takes the figures of a full run only, without options that shorten or change it")
    try:
        read_section(args.readme)
    except (OSError, ValueError) as error:
        raise InputError(f"--readme: {error}") from None


def _ours(*, self_test: bool) -> Any:
    """The namespace that has the classes to be measured."""
    if self_test:
        from torch import nn

        return nn
    import statewise

    return statewise


def _selected(args: argparse.Namespace) -> Iterable[Case]:
    available = [n for n in THREADS if n <= (os.cpu_count() or 1)]
    return cases(args.cell or CELLS, args.shape or SHAPES, args.mode or MODES, args.threads or available)


def _measure(selected: Iterable[Case], ours: Any, effort: Effort) -> tuple[list[Result], int]:
    """The results, printed as they come, and how many cases failed the gate. Disturbed cases have a second try."""
    import torch

    from . import gate
    from .clock import Clock

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
    from . import peak
    from .compare import Comparison

    summary = clock.measure(Comparison(case, ours), case.threads)
    result = Result(case, summary, peak=peak.FLOPS / summary.reference)
    print(result, flush=True)
    return result


def _write(args: argparse.Namespace, results: Sequence[Result], facts: dict[str, str | int]) -> None:
    from .machine import sentence

    if args.json:
        content = {
            "machine": facts,
            "means": [m.as_dict() for m in means(results)],
            "results": [r.as_dict() for r in results],
        }
        _write_json(args.json, content)
    if args.markdown:
        args.markdown.parent.mkdir(parents=True, exist_ok=True)
        args.markdown.write_text(report(results, sentence(facts)), encoding="utf-8")
    if args.readme:
        write_section(args.readme, means_table(means(results)) + f"\n\nMeasured on {sentence(facts)}.")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _shape(text: str) -> Shape:
    try:
        return Shape.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value
