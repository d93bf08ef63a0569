"""What is computed: one description a cell, in plain operations. The same step on vector registers is the .hpp beside.

To add a cell: its ``.py`` here, a line in ``CELLS``, a two-line class in ``layers/``; then, when it shall be fast, its
``.hpp``, included in ``kernels/cpu/cells.hpp``, and a line in ``kernels/cpu/cells.def``. Without these the reference
serves it.
"""

from __future__ import annotations

from .cell import Cell
from .gru import GRU
from .lstm import LSTM
from .rnn import RNN_RELU, RNN_TANH

CELLS = (RNN_TANH, RNN_RELU, LSTM, GRU)


def by_name(name: str) -> Cell:
    """The cell called ``name``; KeyError names the ones there are."""
    for cell in CELLS:
        if cell.name == name:
            return cell
    raise KeyError(f"no cell is called {name!r}; there are {', '.join(c.name for c in CELLS)}")


__all__ = ["CELLS", "GRU", "LSTM", "RNN_RELU", "RNN_TANH", "Cell", "by_name"]
