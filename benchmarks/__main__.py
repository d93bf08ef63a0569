"""``python -m benchmarks``: what is measured, and what becomes of the figures."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import machine, pages
from .case import CELLS, MODES, Case, Shape
from .compare import compare
from .kinds import bench, bfloat16, cells, forecasts, jobs, memory, narrow, overhead, peers, shares, steps, sweep
from .record import Results
from .runner import Kind, run

KINDS = {
    "bench": bench.KIND,
    "everyday": bench.EVERYDAY_KIND,
    "self-test": bench.SELF_TEST,
    "sweep": sweep.KIND,
    "peers": peers.KIND,
    "overhead": overhead.KIND,
    "cells": cells.KIND,
    "memory": memory.KIND,
    "bfloat16": bfloat16.KIND,
    "jobs": jobs.KIND,
    "forecasts": forecasts.KIND,
    "shares": shares.KIND,
    "steps": steps.KIND,
    "narrow": narrow.KIND,
}
FOLDER = Path(__file__).parent / "results"
DESCRIPTION = """\
Times statewise against torch.nn and others in one process. A wrong result has no time; the exit status is then 1.

  python -m benchmarks compare OLD.json NEW.json   the exit status is 1 where statewise has become slower
  python -m benchmarks render                      renew the pages and pictures from the published figures

kinds of run:
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, compare or render what ``argv`` names; the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = _parser()
    try:
        if argv[:1] == ["compare"] and len(argv) == 3:
            return compare(*(Results.read(Path(name)) for name in argv[1:]))
        if argv == ["render"]:
            for path in sorted(FOLDER.glob("*.json")):
                _publish(Results.read(path))
            return 0
        args = parser.parse_args(argv)
        return _measure(args, KINDS[args.kind])
    except (OSError, ValueError) as error:
        parser.error(str(error))


def _measure(args: argparse.Namespace, kind: Kind) -> int:
    shortened = any((args.quick, args.cell, args.shape, args.mode, args.threads, args.name))
    if args.publish and (shortened or not kind.published):
        raise ValueError("--publish takes the figures of a full run only, without options that shorten or change it")
    if args.shape and not kind.shapes:
        raise ValueError(f"--shape: {args.kind} has shapes of its own")
    cases = list(_selected(args, kind))
    if not cases:
        raise ValueError(f"nothing in {args.kind} is chosen by these options")
    facts = machine.describe(kind.packages)
    print(machine.sentence(facts), flush=True)
    records, failed = run(kind, cases, quick=args.quick)
    if failed:
        print(f"{failed} wrong results; nothing is written", file=sys.stderr)
        return 1
    results = Results(args.kind, facts, records)
    print(*(f"\n{name}:\n{text}" for name, text in kind.sections(records).items()), sep="\n")
    if busy := sum(record.disturbed for record in records):
        print(f"\nThe machine was busy: {busy} of {len(records)} figures have too few clean samples to be quoted.")
    if args.json:
        results.write(args.json)
    if args.publish:
        path = FOLDER / f"{args.kind}.json"
        results.write(path)
        _publish(Results.read(path))  # so that ``render`` gives the same, to the last digit
    return 0


def _selected(args: argparse.Namespace, kind: Kind) -> Iterator[Case]:
    for case in kind.cases(args.shape or kind.shapes, args.threads or kind.threads):
        chosen = (not args.cell or case.cell in args.cell) and (not args.mode or case.mode in args.mode)
        if chosen and (not args.name or re.search(args.name, case.name)):
            yield case


def _publish(results: Results) -> None:
    """The tables into the pages that have their markers, the pictures into docs/."""
    kind = KINDS[results.kind]
    measured = f"\n\nMeasured on {machine.sentence(results.machine)}."
    pages.renew({name: text + measured for name, text in kind.sections(results.records).items()})
    for name, draw in kind.pictures.items():
        (pages.ROOT / "docs" / name).write_text(draw(results.records), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    kinds = "\n".join(f"  {name:10} {kind.help}" for name, kind in KINDS.items())
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=DESCRIPTION + kinds, formatter_class=form)
    add = parser.add_argument
    add("kind", nargs="?", choices=list(KINDS), default="bench", metavar="KIND", help="what is measured (bench)")
    add("--quick", action="store_true", help="fewer repetitions: a first impression, not a figure to quote")
    add("--cell", action="append", help=f"only this cell, as {', '.join(CELLS)}; may be repeated")
    add("--shape", action="append", type=_shape, metavar="T,N,I,H,L", help="this shape; may be repeated")
    add("--mode", action="append", choices=MODES, help="only this mode; may be repeated")
    add("--threads", action="append", type=_positive, metavar="N", help="so many threads; may be repeated")
    add("--name", metavar="PATTERN", help="only the calls, options, trainings whose name has this regular expression")
    add("--json", type=Path, metavar="PATH", help="write every figure as JSON")
    add("--publish", action="store_true", help="into benchmarks/results, the pages and the pictures (full run only)")
    return parser


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


if __name__ == "__main__":
    sys.exit(main())
