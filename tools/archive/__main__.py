"""The command: ``make archive``, or ``python -m archive [SET ...]`` with tools/ on the path.

Fetches the sets into build/archive, runs ``statewise classify`` on them with default options, and writes
docs/archive.json and the table in docs/jobs/classify.md. With names, or ``--half report``, only those are measured
anew.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .sets import Source, kept, sources

FOLDER, RECORDS, PAGE = Path("build/archive"), Path("docs/archive.json"), Path("docs/jobs/classify.md")
START, END = "<!-- archive:start -->\n", "<!-- archive:end -->\n"
COLUMNS = {"MiniROCKET": "MiniROCKET", "nearest neighbour by DTW": "1-NN, DTW", "nearest neighbour": "1-NN"}


def main(argv: Sequence[str]) -> int:
    """Measure, and write; the exit status."""
    parser = argparse.ArgumentParser(prog="archive")
    parser.add_argument("names", nargs="*", metavar="SET")
    parser.add_argument("--half", choices=("choose", "report"))
    parser.add_argument("--copies", type=Path, help="a folder that has the files as REPOSITORY/PATH")
    args = parser.parse_args(argv)
    records: dict[str, Any] = json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
    wanted = [s for s in sources() if s.name in args.names or (not args.names and args.half in (None, s.half))]
    files = {s.name: [kept(s, part, FOLDER, args.copies) for part in ("TRAIN", "TEST")] for s in wanted}
    for source in sorted(wanted, key=lambda s: sum(file.stat().st_size for file in files[s.name])):
        records[source.name] = measured(source, *files[source.name])
        RECORDS.write_text(json.dumps(dict(sorted(records.items())), indent=1) + "\n")
        print(source.name, records[source.name], flush=True)
    before, _, rest = PAGE.read_text().partition(START)
    PAGE.write_text(before + START + table(records) + END + rest.partition(END)[2])
    return 0


def measured(source: Source, train: Path, test: Path) -> dict[str, Any]:
    """What a run with default options says, on one thread."""
    out = FOLDER / "runs" / f"{source.name}-{time.time_ns()}"
    began = time.monotonic()
    command = [Path(sys.executable).with_name("statewise"), "classify", train, "--test", test, "--out", out]
    subprocess.run(
        list(map(str, command)), check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    metrics = json.loads((out / "metrics.json").read_text())
    return {
        "half": source.half,
        "rows": metrics["data"]["training"],
        "task": metrics["task"],
        "model": score_of(metrics),
        "baselines": {b["name"]: score_of(b) for b in metrics["baselines"] if len(b) > 1},
        "network": metrics["share"],
        "seconds": round(time.monotonic() - began, 1),
    }


def score_of(measures: Mapping[str, Any]) -> float:
    """The accuracy, or R2 of numbers."""
    return float(measures["accuracy"] if "accuracy" in measures else measures["r2"])


def table(records: Mapping[str, Any]) -> str:
    """How the model does beside its best baselines, the sets kept apart first, and what that comes to."""
    lines = []
    for half, said in (("report", "Sets kept apart"), ("choose", "Sets that the defaults were chosen with")):
        found = {name: r for name, r in records.items() if r["half"] == half and r["task"] == "classification"}
        if not found:
            continue
        behind = {name: 100 * (max(r["baselines"].values()) - r["model"]) for name, r in found.items()}
        near = sum(value <= 1 for value in behind.values())
        mean = sum(r["model"] for r in found.values()) / len(found)
        lines += [
            f"{said}: on {near} of {len(found)} at most 1 point behind the best baseline printed beside it,"
            f" mean accuracy {100 * mean:.1f} %.",
            "",
            f"| set | sequences | statewise | network counts | {' | '.join(COLUMNS.values())} | best other | s |",
            "|---|---:|---:|---:|" + "---:|" * (len(COLUMNS) + 2),
        ]
        for name, r in sorted(found.items(), key=lambda item: -behind[item[0]]):
            known = [next((v for n, v in r["baselines"].items() if n.partition(" (")[0] == c), None) for c in COLUMNS]
            others = [v for n, v in r["baselines"].items() if n.partition(" (")[0] not in COLUMNS]
            best = max([*filter(None, known), *others, r["model"]])
            cells = [_percent(value, value == best) for value in (*known, max(others))]
            share = "-" if r["network"] is None else f"{r['network']:.2g}"
            lines.append(
                f"| {name} | {r['rows']} | {_percent(r['model'], r['model'] == best)} | {share} |"
                f" {' | '.join(cells)} | {r['seconds']:.0f} |"
            )
        lines.append("")
    return "\n".join(lines)


def _percent(value: float | None, best: bool) -> str:
    return "-" if value is None else f"**{100 * value:.1f}**" if best else f"{100 * value:.1f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
