"""The modules: torch.nn's recurrent layers and cells, constructor, parameters, messages and all, and those of any cell.

Here are parameters, checks, packing, dropout and autocast; what is computed is in ``cells/``, how in ``ops/``.
"""

from __future__ import annotations

from .any_cell import Recurrent
from .cells import GRUCell, LSTMCell, RecurrentCell, RNNCell, SingleStep
from .gru import GRU
from .lstm import LSTM
from .recurrent import RecurrentLayer
from .rnn import RNN
from .states import detach

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "Recurrent",
    "RecurrentCell",
    "RecurrentLayer",
    "SingleStep",
    "detach",
]
