"""Measures what is named, and writes it down."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import renew

from . import fetch, report
from .baselines import methods
from .command import statewise
from .protocol import Method, Problem, load, score

SHORT, LONGEST = 500, 24  # rows before the test part, and season, of series that the command has them for
BUILD, DOCS = Path("build/panel"), Path("docs")
PAGE = DOCS / "jobs/forecast.md"


def main(argv: Sequence[str]) -> int:
    """Measure what is named; the exit status."""
    parser = argparse.ArgumentParser(
        prog="panel", description="Measure, and renew docs/panel.md and its table in docs/jobs/forecast.md"
    )
    parser.add_argument("names", nargs="*", metavar="SET")
    parser.add_argument("--only", metavar="METHOD", help="measure this method alone")
    parser.add_argument("--from", dest="copies", type=Path, metavar="FOLDER", help="copies of the files, not the net")
    args = parser.parse_args(argv)
    if unknown := set(args.names) - {source.name for source in fetch.sources()}:
        parser.error(f"expected names of sets.csv, got {', '.join(sorted(unknown))}")
    file = DOCS / "panel.json"
    records: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for source in fetch.sources():
        if args.names and source.name not in args.names:
            continue
        problem = load(source, fetch.kept(source, BUILD, args.copies))
        records[source.name] = measured(problem, source.half, records.get(source.name, {}), args.only)
        print(f"{source.name}: {records[source.name]['scores']}", flush=True)
        file.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    (DOCS / "panel.md").write_text(report.page(records), encoding="utf-8")
    renew({"panel": report.summary(records)}, [PAGE])
    return 0


def takes_statistics(problem: Problem) -> bool:
    """Whether the command takes AutoETS and AutoTheta in, where they are installed."""
    gaps = any(np.isnan(values).any() for values in problem.values)
    rows = max(map(len, problem.values)) - problem.rows
    return not gaps and rows < SHORT and problem.season <= LONGEST


def measured(problem: Problem, half: str, before: dict[str, Any], only: str | None) -> dict[str, Any]:
    """The record of a set: what it is, and the score of each method; a method that fails has none, and says why."""
    scores: dict[str, Any] = dict(before.get("scores", {}))
    own: dict[str, Method] = {report.OWN: statewise}
    if takes_statistics(problem):
        own[report.EXTRA] = partial(statewise, statistical=True)
    for name, method in {**own, **methods(problem)}.items():
        if only not in (None, name):
            continue
        scores.pop(name, None)
        try:
            found = asdict(score(problem, method(problem)))
        except Exception as error:  # other people's models fail in many ways
            print(f"{problem.name}: {name}: {error!r}", file=sys.stderr, flush=True)
        else:
            scores[name] = {key: round(value, 4) for key, value in found.items()}
    return {
        "half": half,
        "frequency": problem.frequency,
        "series": len(problem.ids),
        "rows": max(map(len, problem.values)),
        "horizon": problem.horizon,
        "scores": scores,
    }
