"""What is computed: one description a cell, in plain operations, from which its kernel is made.

To add a cell: its file here, and a line in ``CELLS``.
"""

from __future__ import annotations

from .cell import Cell, Vector, Weight
from .coupled_lstm import COUPLED_LSTM
from .gru import GRU
from .gru_reset_before import GRU_RESET_BEFORE
from .indrnn import INDRNN, INDRNN_TANH
from .layer_norm_gru import LAYER_NORM_GRU, LAYER_NORM_GRU_HASTE
from .layer_norm_lstm import LAYER_NORM_LSTM
from .lstm import LSTM
from .mgu import MGU
from .min_gru import MINGRU, MINGRU_LOG
from .min_lstm import MINLSTM, MINLSTM_LOG
from .peephole_lstm import PEEPHOLE_LSTM
from .registry import by_key, by_name, keep_names, register
from .rnn import RNN_RELU, RNN_TANH
from .slstm import SLSTM, SLSTM_HEADWISE
from .sru import SRU

CELLS = keep_names(
    (
        *(RNN_TANH, RNN_RELU, LSTM, GRU),
        *(PEEPHOLE_LSTM, COUPLED_LSTM, LAYER_NORM_LSTM),
        *(GRU_RESET_BEFORE, MGU, LAYER_NORM_GRU, LAYER_NORM_GRU_HASTE),
        *(INDRNN, INDRNN_TANH, MINGRU, MINGRU_LOG, MINLSTM, MINLSTM_LOG, SRU),
        *(SLSTM, SLSTM_HEADWISE),
    )
)

__all__ = ["CELLS", "GRU", "LSTM", "RNN_RELU", "RNN_TANH", "Cell", "Vector", "Weight", "by_key", "by_name", "register"]
