"""Where the processor time of a job goes, in a process of its own: what is neither the model nor its optimizer?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from statewise.cli import COMMANDS

from ..case import TRAINING, Case, Shape
from ..record import Record, by_case, pivot
from ..runner import Kind, Table
from ..sampler import BESIDE, PARTS, beside

UNSIZED = Shape(1, 1, 1, 1, 1)  # a job has many networks
JOBS = ("classify", "forecast", "tag", "write", "translate")


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """The built-in example of every job."""
    return (Case(job, UNSIZED, TRAINING, count, "built-in example") for count in threads for job in JOBS)


def measure(case: Case) -> list[Record]:
    """Seconds of processor time that each part of a job takes, and their shares."""
    assert case.cell in COMMANDS
    with TemporaryDirectory() as folder:
        found, out = Path(folder, "shares.json"), Path(folder, "run")
        command = [sys.executable, "-m", "benchmarks.sampler", str(found), case.cell, "--out", str(out)]
        environment = os.environ | {"OMP_NUM_THREADS": str(case.threads)}
        subprocess.run(command, check=True, capture_output=True, env=environment)
        seconds = json.loads(found.read_text(encoding="utf-8"))
    total = sum(seconds.values())
    return [Record(case, part, seconds[part], seconds[part] / total, unit="s") for part in PARTS if seconds[part]]


def sections(records: Table) -> dict[str, str]:
    """A row for each part, a column for each job."""
    return {"shares": pivot(_entries(records), "share of the processor time")}


def _entries(records: Table) -> Iterator[tuple[list[str], str, str]]:
    found = by_case(records)
    for case, sides in found.items():
        yield ["seconds"], case.cell, f"{sum(record.value for record in sides.values()):.1f}"
    for part in PARTS:
        for case, sides in found.items():
            if part in sides:
                yield [part], case.cell, f"{sides[part].ratio:.1%}"
    for case, sides in found.items():
        own = beside({part: record.value for part, record in sides.items()})
        yield [f"**{BESIDE}, after the imports**"], case.cell, f"**{own:.1%}**"


KIND = Kind(
    "where the processor time of each job's built-in example goes",
    cases,
    sections=sections,
    threads=(1,),
    measure=measure,
)
