"""How much memory a training step adds, on Linux.

Each figure comes from a process of its own, so that no side finds memory that another one has left: the most that it
had resident during one forward and backward, over what it had before. A small step goes first, for what libraries load
and keep.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

import statewise

from ..case import CELLS, TRAINING, Case, Shape
from ..record import Record, by_case, pivot
from ..runner import Kind, Table

SHAPES = (Shape(512, 32, 128, 128, 1), Shape(128, 64, 512, 512, 1), Shape(100_000, 1, 64, 64, 1))
LONG = 10_000  # steps from which checkpoints are measured too,
CHECKPOINT = 1024  # every so many steps
RESULTS, CHECKPOINTED = "results", f"checkpoint={CHECKPOINT}"
STATUS = Path("/proc/self/status")
RESET_PEAK = Path("/proc/self/clear_refs")


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """A training step of every shape with every cell."""
    return (Case(cell, shape, TRAINING, count) for count in threads for cell in CELLS for shape in shapes)


def measure(case: Case) -> list[Record]:
    """Megabytes (2**20 bytes) that each side adds, and beside them the results, which the caller gets.

    ValueError where the system doesn't tell.
    """
    if not RESET_PEAK.exists():
        raise ValueError(f"memory needs Linux, which tells a process's peak in {STATUS}")
    added = {side: _in_a_process(side, case) for side in ("statewise", "torch.nn")}
    if case.shape.T >= LONG:
        added[CHECKPOINTED] = _in_a_process(CHECKPOINTED, case)
    ours, results = added["statewise"]
    values = {RESULTS: results} | {side: mb for side, (mb, _) in added.items()}
    return [Record(case, side, mb, mb / ours, unit="MB") for side, mb in values.items()]


def _in_a_process(side: str, case: Case) -> tuple[float, float]:
    """Megabytes that a step adds, and those of its results."""
    command = [sys.executable, "-m", __name__, side, case.cell, str(case.shape), str(case.threads)]
    added, results = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(added), float(results)


def step(side: str, cell: str, shape: Shape) -> tuple[float, float]:
    """One training step: what it adds, and its results."""
    options = {"checkpoint": CHECKPOINT} if side == CHECKPOINTED else {}
    layer = getattr(nn if side == "torch.nn" else statewise, cell)(shape.I, shape.H, shape.L, **options)
    x = torch.randn(shape.T, shape.N, shape.I, requires_grad=True)
    incoming = torch.randn(shape.T, shape.N, shape.H)
    gc.collect()
    before = resident("VmRSS")
    RESET_PEAK.write_text("5")  # makes the peak that of now
    output, _ = layer(x)
    output.backward(incoming)
    results = [output, *(t.grad for t in (x, *layer.parameters()) if t.grad is not None)]
    return resident("VmHWM") - before, sum(t.numel() * t.element_size() for t in results) / 2**20


def resident(name: str) -> float:
    """A line of the process's status, in megabytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) / 1024


def sections(records: Table) -> dict[str, str]:
    """A row a case."""
    return {"memory": pivot(_entries(records), "T,N,I,H,L")}


def _entries(records: Table) -> Iterator[tuple[list[str], str, str]]:
    for case, sides in by_case(records).items():
        row = [f"{case.cell} {case.shape}"]
        for name in (RESULTS, "statewise", "torch.nn"):
            yield row, name, f"{sides[name].value:.0f} MB"
        yield row, "statewise / torch.nn", f"{1 / sides['torch.nn'].ratio:.2f}"
        if CHECKPOINTED in sides:
            yield row, CHECKPOINTED, f"{sides[CHECKPOINTED].value:.0f} MB"


KIND = Kind(
    "how much memory a training step adds, in a process of its own each (Linux)",
    cases,
    sections=sections,
    shapes=SHAPES,
    threads=(2,),
    measure=measure,
)

if __name__ == "__main__":
    _, name, kind, text, threads = sys.argv
    torch.set_num_threads(int(threads))
    step(name, kind, Shape(3, 2, 4, 4, 1))
    print(*step(name, kind, Shape.parse(text)))
