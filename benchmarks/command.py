"""The command ``python -m benchmarks``: arguments, the run, the files."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from statewise.jobs.errors import InputError

from . import sweep
from .cases import CELLS, MODES, SHAPES, THREADS, Case, Shape, cases
from .readme import sections_in
from .report import Report
from .results import means
from .table import everyday_summary, limits_table, means_table, page

Facts = dict[str, str | int]

# The sections that a run renews where a page has their markers.
SECTIONS = {
    "bench": ("bench", "limits"),
    "overhead": ("overhead",),
    "memory": ("memory",),
    "bfloat16": ("bfloat16",),
    "jobs": ("jobs",),
    "cells": ("cells",),
    "sweep": ("sweep",),
    "peers": ("peers",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Times statewise against torch.nn in this process. Prints, for each case, both times, their ratio, and the "
        "share of the machine's sgemm speed that statewise reaches. A wrong result has no time; the exit status is 1."
    )
    add = parser.add_argument
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--sweep",
        action="store_true",
        help="along T, N and H, each alone from small to large: whether the cost grows in proportion",
    )
    kind.add_argument(
        "--peers",
        action="store_true",
        help="against onnxruntime, OpenVINO, JAX and torch.compile, those that are installed",
    )
    add("--quick", action="store_true", help="fewer repetitions: a first impression, not a figure to quote")
    add("--cell", action="append", choices=list(CELLS), help="only this cell; may be repeated")
    add(
        "--shape",
        action="append",
        type=_shape,
        metavar="T,N,I,H,L",
        help="this shape instead of the built-in ones and of the everyday calls; may be repeated",
    )
    add("--mode", action="append", choices=MODES, help="only this mode; may be repeated")
    add(
        "--threads",
        action="append",
        type=_positive,
        metavar="N",
        help="this many threads instead of 1 and 2; may be repeated. Sweep and peers: one number, 1 unless given",
    )
    kind.add_argument(
        "--self-test",
        action="store_true",
        help="time torch.nn against itself: ratios away from 1 show the error of the method",
    )
    kind.add_argument(
        "--overhead",
        action="store_true",
        help="time small calls outside the kernels instead, in units of one of torch's matrix products",
    )
    kind.add_argument(
        "--memory",
        action="store_true",
        help="how much memory a training step adds, in a process of its own each (Linux)",
    )
    kind.add_argument(
        "--bfloat16",
        action="store_true",
        help='how exact and how fast bfloat16 is: its weights, autocast, the matmul precision "medium"',
    )
    kind.add_argument(
        "--jobs",
        action="store_true",
        help="whole trainings with each library's layers in the same loop, and what that loop costs",
    )
    kind.add_argument(
        "--cells",
        action="store_true",
        help="every cell, every option and a cell of one's own, in units of the plain LSTM's time",
    )
    kind.add_argument(
        "--everyday",
        action="store_true",
        help="the everyday calls alone (cells, both directions, dropout, packed, bfloat16, ...), not the plain shapes",
    )
    add("--json", type=Path, metavar="PATH", help="write every figure as JSON")
    add("--markdown", type=Path, metavar="PATH", help="write the tables as a markdown page (not of sweep and peers)")
    add(
        "--readme",
        action="append",
        type=Path,
        metavar="PATH",
        help="renew the sections between this run's markers in this file (full run only); may be repeated",
    )
    add("--plots", type=Path, metavar="DIR", help="draw the figures as SVG files in this folder")


def run(args: argparse.Namespace) -> int:
    """Measure what ``args`` name; the exit status."""
    kinds = (name for name in SECTIONS if name != "bench" and getattr(args, name))
    kind = next(kinds, "bench")
    _check(args, kind)
    _check_readme(args, kind)
    from . import machine

    if args.plots:
        _plots()  # may be missing, and better now than after minutes
    facts = machine.describe()
    print(machine.sentence(facts), flush=True)
    report = RUNS[kind](args, facts)
    if report is None:
        return 1
    report.write(args.json, args.markdown, args.readme or (), args.plots)
    return 0


def _check(args: argparse.Namespace, kind: str) -> None:
    """What options go together."""
    if kind in ("overhead", "memory", "bfloat16", "jobs", "cells"):
        if args.markdown or args.plots:
            raise InputError(f"--{kind} has no page and no pictures: --json and --readme take its figures")
        if kind == "memory" and (args.quick or args.mode or len(args.threads or ()) > 1):
            raise InputError("--memory measures one training step on one number of threads, 2 unless given")
        if kind == "bfloat16" and (args.mode or len(args.threads or ()) > 1):
            raise InputError("--bfloat16 measures both modes on one number of threads, 1 unless given")
        if kind == "cells" and (args.mode or args.shape or args.cell or len(args.threads or ()) > 1):
            raise InputError("--cells measures all of them, in both modes, on one number of threads, 1 unless given")
        if kind == "jobs" and (args.mode or args.shape):
            raise InputError("--jobs measures whole trainings of its own shapes: no --mode, no --shape")
    elif kind != "bench":
        refused = {"--shape": args.shape, "--markdown": args.markdown, "--mode": args.mode and kind == "peers"}
        for option in (name for name, given in refused.items() if given):
            raise InputError(f"{option} does not go with --{kind}")
        if len(args.threads or ()) > 1:
            raise InputError(f"--{kind} takes one number of threads a run: some libraries fix theirs when they start")
    if args.everyday and (args.shape or args.markdown or args.plots):
        raise InputError("--everyday has shapes of its own, no page and no pictures: --json takes its figures")
    if args.self_test and args.markdown:
        raise InputError("--markdown: the page is about statewise, and --self-test leaves statewise out")
    if args.self_test and args.plots:
        raise InputError("--plots: the pictures are about statewise, and --self-test leaves statewise out")


def _check_readme(args: argparse.Namespace, kind: str) -> None:
    """Before the clock runs for minutes."""
    if not args.readme:
        return
    if any((args.quick, args.cell, args.shape, args.mode, args.threads, args.self_test, args.everyday)):
        raise InputError("--readme takes the figures of a full run only, without options that shorten or change it")
    try:
        for path in args.readme:
            sections_in(path, SECTIONS[kind])
    except (OSError, ValueError) as error:
        raise InputError(f"--readme: {error}") from None


def _ours(*, self_test: bool) -> Any:
    """The namespace that has the classes to be measured."""
    if self_test:
        from torch import nn

        return nn
    import statewise

    return statewise


def _bench(args: argparse.Namespace, facts: Facts) -> Report | None:
    from . import clock
    from .calls import everyday
    from .machine import sentence
    from .measure import measure

    if args.self_test:
        print("Self-test: torch.nn stands on both sides, under statewise's name too.")
    selected: list[Case] = [] if args.everyday else list(_selected(args, SHAPES))
    if not args.shape:
        selected += everyday(args.cell or CELLS, args.mode or MODES, _threads(args))
    effort = clock.QUICK if args.quick else clock.Effort()
    results, wrong = measure(selected, _ours(self_test=args.self_test), effort)
    if _refused(wrong):
        return None
    table = means_table(means(results))
    print("\nGeometric means over the shapes and over the everyday calls (lowest to highest):\n" + table)
    if calls := [r for r in results if r.case.call]:
        print(f"\nEveryday calls:\n{everyday_summary(calls)}")
    _tell_busy(sum(r.summary.disturbed for r in results), len(results))
    return Report(
        {
            "machine": facts,
            "means": [m.as_dict() for m in means(results)],
            "results": [r.as_dict() for r in results],
        },
        {"bench": f"{table}\n\nMeasured on {sentence(facts)}.", "limits": limits_table(means(results))},
        page(results, sentence(facts)),
        {"ratio-by-size.svg": lambda path: _plots().ratio_by_size(path, [r for r in results if not r.case.call])},
    )


def _sweep(args: argparse.Namespace, facts: Facts) -> Report | None:
    from . import clock
    from .machine import sentence
    from .measure import measure

    selected = sweep.cases(args.cell or CELLS, args.mode or MODES, *(args.threads or (1,)))
    effort = clock.QUICK if args.quick else clock.SWEEP
    results, wrong = measure(selected, _ours(self_test=False), effort)
    if _refused(wrong):
        return None
    lines = sweep.lines(results)
    print("\nWhere the cost rises from one size to the next:\n" + sweep.rises(lines))
    _tell_busy(sum(r.summary.disturbed for r in results), len(results))
    return Report(
        {"machine": facts, "results": [r.as_dict() for r in results]},
        {"sweep": sweep.section(results, sentence(facts))},
        pictures={
            "linearity.svg": lambda path: _plots().linearity(path, lines),
            "peak-by-size.svg": lambda path: _plots().peak_by_size(path, lines),
        },
    )


def _peers(args: argparse.Namespace, facts: Facts) -> Report | None:
    from . import clock, peers
    from .machine import sentence
    from .peers.measure import measure_all
    from .peers.report import section

    threads = (args.threads or [1])[0]
    found = peers.installed()
    if missing := peers.missing():
        print(f"not installed, and left out: {', '.join(missing)} (pip install 'statewise[peers]')")
    effort = clock.QUICK if args.quick else clock.PEERS
    results, wrong = measure_all(found, args.cell or CELLS, threads, effort)
    if _refused(wrong):
        return None
    versions = {name: module.version() for name, module in found.items() if any(name in r.ways for r in results)}
    text = section(results, versions, sentence(facts))
    print("\n" + text)
    _tell_busy(sum(r.summary.disturbed for r in results), len(results))
    return Report(
        {"machine": facts, "versions": versions, "results": [r.as_dict() for r in results]},
        {"peers": text},
        pictures={"peers.svg": lambda path: _plots().peers(path, results)},
    )


def _overhead(args: argparse.Namespace, facts: Facts) -> Report | None:
    import torch

    from . import gate, overhead
    from .machine import sentence

    selected = list(_selected(args, overhead.SHAPES))
    if failures := [
        f"{case} WRONG {line}" for case in selected for line in gate.failures(case, _ours(self_test=False))
    ]:
        print(*failures, "nothing is written", sep="\n", file=sys.stderr)
        return None
    figures = []
    for threads in dict.fromkeys(case.threads for case in selected):
        torch.set_num_threads(threads)
        rounds = overhead.QUICK_ROUNDS if args.quick else overhead.ROUNDS
        for figure in overhead.measure([case for case in selected if case.threads == threads], rounds=rounds):
            figures.append(figure)
            print(figure, flush=True)
    table = overhead.table(figures)
    print("\n" + table)
    return Report(
        {"machine": facts, "overhead": [figure.as_dict() for figure in figures]},
        {"overhead": f"{table}\n\nMeasured on {sentence(facts)}."},
    )


def _memory(args: argparse.Namespace, facts: Facts) -> Report | None:
    from . import memory
    from .machine import sentence

    figures = []
    for figure in memory.measure(args.cell or CELLS, args.shape or memory.SHAPES, (args.threads or [2])[0]):
        figures.append(figure)
        print(figure, flush=True)
    table = memory.table(figures)
    print("\n" + table)
    return Report(
        {"machine": facts, "memory": [figure.as_dict() for figure in figures]},
        {"memory": f"{table}\n\nMeasured on {sentence(facts)}."},
    )


def _bfloat16(args: argparse.Namespace, facts: Facts) -> Report | None:
    from . import bfloat16, clock
    from .machine import sentence

    effort = clock.QUICK if args.quick else clock.SWEEP
    figures = []
    for figure in bfloat16.measure(args.cell or CELLS, args.shape or bfloat16.SHAPES, effort, (args.threads or [1])[0]):
        figures.append(figure)
        print(figure, flush=True)
    table = bfloat16.table(figures)
    print("\n" + table)
    return Report(
        {"machine": facts, "bfloat16": [figure.as_dict() for figure in figures]},
        {"bfloat16": f"{table}\n\nMeasured on {sentence(facts)}."},
    )


def _jobs(args: argparse.Namespace, facts: Facts) -> Report | None:
    from . import jobs
    from .machine import sentence

    effort = jobs.QUICK if args.quick else jobs.EFFORT
    figures = []
    for figure in jobs.measure(args.cell or ("LSTM", "GRU"), _threads(args), effort):
        if isinstance(figure, str):
            print(figure, "nothing is written", sep="\n", file=sys.stderr)
            return None
        figures.append(figure)
        print(figure, flush=True)
    costs = jobs.loop_cost(effort)
    table = f"{jobs.table(figures)}\n\n{jobs.cost_line(costs)}"
    print("\n" + table)
    return Report(
        {
            "machine": facts,
            "jobs": [figure.as_dict() for figure in figures],
            "loop_us": {name: round(seconds * 1e6, 1) for name, seconds in costs.items()},
        },
        {"jobs": f"{table}\n\nMeasured on {sentence(facts)}."},
    )


def _cells(args: argparse.Namespace, facts: Facts) -> Report | None:
    from . import cells, clock
    from .machine import sentence

    effort = clock.QUICK if args.quick else clock.SWEEP
    figures = []
    for figure in cells.measure(effort, (args.threads or [1])[0], compiled=not args.quick):
        figures.append(figure)
        print(figure, flush=True)
    table = cells.table(figures)
    return Report(
        {"machine": facts, "cells": [figure.as_dict() for figure in figures]},
        {"cells": f"{table}\n\nT, N, I, H, L = {cells.SHAPE}. Measured on {sentence(facts)}."},
    )


def _selected(args: argparse.Namespace, shapes: Iterable[Shape]) -> Iterable[Case]:
    return cases(args.cell or CELLS, args.shape or shapes, args.mode or MODES, _threads(args))


def _threads(args: argparse.Namespace) -> list[int]:
    return args.threads or [n for n in THREADS if n <= (os.cpu_count() or 1)]


RUNS: dict[str, Callable[[argparse.Namespace, Facts], Report | None]] = {
    "bench": _bench,
    "sweep": _sweep,
    "peers": _peers,
    "overhead": _overhead,
    "memory": _memory,
    "bfloat16": _bfloat16,
    "jobs": _jobs,
    "cells": _cells,
}


def _plots() -> Any:
    """What draws. Nothing but the pictures needs matplotlib."""
    from . import plots

    return plots


def _refused(wrong: int) -> bool:
    if wrong:
        print(f"{wrong} wrong results; nothing is written", file=sys.stderr)
    return wrong > 0


def _tell_busy(busy: int, of: int) -> None:
    if busy:
        print(f"\nThe machine was busy: {busy} of {of} cases have too few clean samples to be quoted.")


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
