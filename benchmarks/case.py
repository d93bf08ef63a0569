"""What is measured: a cell of some sizes in one mode, on so many threads."""

from __future__ import annotations

from dataclasses import astuple, dataclass

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
        return ",".join(map(str, astuple(self)))

    @classmethod
    def parse(cls, text: str) -> Shape:
        """The shape written as ``T,N,I,H,L``; ValueError where that is not five positive numbers."""
        sizes = [int(part) for part in text.split(",")]
        if len(sizes) != 5 or min(sizes) < 1:
            raise ValueError(f"a shape is five positive numbers T,N,I,H,L, got {text!r}")
        return cls(*sizes)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure."""

    cell: str
    shape: Shape
    mode: str
    threads: int
    name: str = ""  # of the call, the option, the training: what the kind of run calls it; a plain call has none

    def __str__(self) -> str:
        return " ".join(filter(None, (self.cell, self.name, str(self.shape), self.mode, threads_text(self.threads))))

    @property
    def flops(self) -> int:
        """Floating point operations of a plain call's products; backward has two for each one of forward."""
        s = self.shape
        rows = len(by_name(CELLS[self.cell]).gates) * s.H  # G*H
        forward = sum(2 * s.T * s.N * rows * (width + s.H) for width in (s.I, *[s.H] * (s.L - 1)))
        return forward if self.mode == FORWARD else 3 * forward


def threads_text(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return "1 thread" if count == 1 else f"{count} threads"
