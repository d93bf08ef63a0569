"""How much memory a training step adds. ``python -m benchmarks --memory``, on Linux.

Each figure comes from a process of its own, so that no side finds memory that another one has left: the most that it
had resident during one forward and backward, over what it had before. A small step goes first, for what libraries load
and keep.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from statewise.jobs.errors import InputError

from .cases import Shape
from .table import markdown

SHAPES = (Shape(512, 32, 128, 128, 1), Shape(128, 64, 512, 512, 1), Shape(100_000, 1, 64, 64, 1))
LONG = 10_000  # steps from which checkpoints are measured too,
CHECKPOINT = 1024  # every so many steps
_STATUS = Path("/proc/self/status")
_RESET_PEAK = Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes (2**20 bytes) that a training step adds."""

    cell: str
    shape: Shape
    inevitable: float  # the output and the gradients of the input and the weights, which the caller gets
    ours: float
    theirs: float
    checkpointed: float | None  # ours with checkpoint=CHECKPOINT

    @property
    def ratio(self) -> float:
        """Ours over torch.nn's."""
        return self.ours / self.theirs

    def __str__(self) -> str:
        less = "" if self.checkpointed is None else f"  checkpoint={CHECKPOINT}: {self.checkpointed:.1f} MB"
        return (
            f"{self.cell:4} {self.shape!s:18} statewise {self.ours:7.1f} MB  torch.nn {self.theirs:7.1f} MB  "
            f"{self.ratio:.2f} of it  ({self.inevitable:.1f} MB are results){less}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        figures = {"results_mb": self.inevitable, "statewise_mb": self.ours, "torch_mb": self.theirs}
        if self.checkpointed is not None:
            figures[f"checkpoint_{CHECKPOINT}_mb"] = self.checkpointed
        return {"cell": self.cell, **asdict(self.shape), **{name: round(mb, 1) for name, mb in figures.items()}}


def measure(cells: Iterable[str], shapes: Iterable[Shape], threads: int) -> Iterator[Memory]:
    """The figures, as they come. InputError where the system doesn't tell."""
    if not _RESET_PEAK.exists():
        raise InputError(f"--memory needs Linux, which tells a process's peak in {_STATUS}")
    shapes = list(shapes)
    for cell in cells:
        for shape in shapes:
            less = _in_a_process("statewise", cell, shape, threads, CHECKPOINT)[0] if shape.T >= LONG else None
            ours, inevitable = _in_a_process("statewise", cell, shape, threads)
            yield Memory(cell, shape, inevitable, ours, _in_a_process("torch.nn", cell, shape, threads)[0], less)


def table(figures: Iterable[Memory]) -> str:
    """A markdown table: a row a case."""
    head = ["T,N,I,H,L", "results", "statewise", "torch.nn", "statewise / torch.nn", f"checkpoint={CHECKPOINT}"]
    rows = [
        [
            f"{f.cell} {f.shape}",
            *(f"{mb:.0f} MB" for mb in (f.inevitable, f.ours, f.theirs)),
            f"{f.ratio:.2f}",
            "-" if f.checkpointed is None else f"{f.checkpointed:.0f} MB",
        ]
        for f in figures
    ]
    return markdown([head, *rows])


def _in_a_process(side: str, cell: str, shape: Shape, threads: int, checkpoint: int = 0) -> tuple[float, float]:
    """Megabytes that a step adds, and those of its results."""
    command = [sys.executable, "-m", __name__, side, cell, str(shape), str(threads), str(checkpoint)]
    added, inevitable = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(added), float(inevitable)


def _step(side: str, cell: str, shape: Shape, checkpoint: int) -> tuple[float, float]:
    """One training step: what it adds, and its results."""
    import torch
    from torch import nn

    import statewise

    kind = getattr(statewise if side == "statewise" else nn, cell)
    layer = kind(shape.I, shape.H, shape.L, **({"checkpoint": checkpoint} if checkpoint else {}))
    x = torch.randn(shape.T, shape.N, shape.I, requires_grad=True)
    incoming = torch.randn(shape.T, shape.N, shape.H)
    gc.collect()
    before = _status("VmRSS")
    _RESET_PEAK.write_text("5")  # makes the peak that of now
    output, _ = layer(x)
    output.backward(incoming)
    results = [output, *(t.grad for t in (x, *layer.parameters()) if t.grad is not None)]
    return _status("VmHWM") - before, sum(t.numel() * t.element_size() for t in results) / 2**20


def _status(name: str) -> float:
    """A line of the process's status, in megabytes."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) / 1024


def _main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("side", "cell", "shape", "threads", "checkpoint"):
        parser.add_argument(name)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(int(args.threads))
    _step(args.side, args.cell, Shape(3, 2, 4, 4, 1), 0)
    print(*_step(args.side, args.cell, Shape.parse(args.shape), int(args.checkpoint)))


if __name__ == "__main__":
    _main()
