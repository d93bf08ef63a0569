"""The modules: torch.nn's recurrent layers and cells, constructor, parameters, messages and all.

Here are parameters, checks, packing, dropout and autocast; what is computed is in ``cells/``, how in ``ops/``.
"""

from __future__ import annotations

from .cells import GRUCell, LSTMCell, RecurrentCell, RNNCell
from .gru import GRU
from .lstm import LSTM
from .recurrent import RecurrentLayer
from .rnn import RNN

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "RecurrentCell", "RecurrentLayer"]
