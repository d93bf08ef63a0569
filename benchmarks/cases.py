"""What is measured: every shape with every cell, without and with gradients, on one thread and on two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from statewise.cells import by_name

FORWARD = "forward"
TRAINING = "forward+backward"
MODES = (FORWARD, TRAINING)
THREADS = (1, 2)
# The class, by the name it has in torch.nn and here, and the cell that it runs by default.
CELLS = {"RNN": "rnn_tanh", "LSTM": "lstm", "GRU": "gru"}


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of one recurrent network and its input: T time steps, N rows, I features, H hidden units, L layers."""

    T: int
    N: int
    I: int  # noqa: E741  # torch's letter
    H: int
    L: int

    def __str__(self) -> str:
        return ",".join(str(size) for size in asdict(self).values())

    @classmethod
    def parse(cls, text: str) -> Shape:
        """The shape written as ``T,N,I,H,L``; ValueError where that is not five positive numbers."""
        sizes = [int(part) for part in text.split(",")]
        if len(sizes) != 5 or min(sizes) < 1:
            raise ValueError(f"a shape is five positive numbers T,N,I,H,L, got {text!r}")
        return cls(*sizes)


# From a net for short words to one that fills the cache: small batches, long sequences, single rows, two layers.
SHAPES = (
    Shape(3, 10, 26, 128, 1),
    Shape(27, 26, 27, 5, 1),
    Shape(100, 32, 20, 50, 2),
    Shape(1, 32, 784, 50, 2),
    Shape(28, 32, 28, 50, 2),
    Shape(128, 32, 128, 128, 1),
    Shape(128, 32, 128, 256, 1),
    Shape(128, 64, 512, 512, 1),
    Shape(512, 1, 128, 128, 1),
    Shape(100, 1, 4, 50, 2),
    Shape(1024, 8, 64, 64, 1),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure."""

    cell: str
    shape: Shape
    mode: str
    threads: int
    call: str = ""  # the name that calls.py has for it; the plain call has none

    def __str__(self) -> str:
        noun = "thread" if self.threads == 1 else "threads"
        call = f"{self.call:23}" if self.call else ""
        return f"{self.cell:4} {call}{self.shape!s:16} {self.mode:16} {self.threads} {noun:7}"

    @property
    def flops(self) -> int:
        """Floating point operations of a plain call's products; backward has two for each one of forward."""
        s = self.shape
        rows = len(by_name(CELLS[self.cell]).gates) * s.H  # G*H
        forward = sum(2 * s.T * s.N * rows * (width + s.H) for width in (s.I, *[s.H] * (s.L - 1)))
        return forward if self.mode == FORWARD else 3 * forward

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        call = {"call": self.call} if self.call else {}
        return {"cell": self.cell, **call, **asdict(self.shape), "mode": self.mode, "threads": self.threads}


def cases(
    cells: Iterable[str], shapes: Iterable[Shape], modes: Iterable[str], threads: Iterable[int]
) -> Iterator[Case]:
    """Every combination, cell by cell."""
    for cell, shape, count, mode in product(cells, shapes, threads, modes):
        yield Case(cell, shape, mode, count)
