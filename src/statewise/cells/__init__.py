"""What is computed: one description a cell, in plain operations, from which its kernel is made.

To add a cell: its file here, and a line in ``CELLS``.
"""

from __future__ import annotations

from .cell import Cell, Vector, Weight

_DEFINED: dict[str, Cell] = {}
_KEYED: dict[str, Cell] = {}


def register(cell: Cell) -> str:
    """Have ``by_name`` find ``cell``; its key, which no other cell ever has, though another may take its name.

    ValueError for the name of one of statewise's own cells.
    """
    if any(cell.name == own.name for own in globals().get("CELLS", ())):
        raise ValueError(f"a cell called {cell.name!r} is statewise's own; give yours another name")
    count = sum(other.name == cell.name for other in _KEYED.values())
    key = f"{cell.name}#{count + 1}" if count else cell.name
    _DEFINED[cell.name] = _KEYED[key] = cell
    return key


def by_key(key: str) -> Cell:
    """The cell with that key; of a key from another process the cell of that name."""
    return _KEYED[key] if key in _KEYED else by_name(key)


def by_name(name: str) -> Cell:
    """The cell called ``name``, of statewise's own and those that the program has defined; KeyError names them all.

    A variant, ``lstm(tanh=relu)``, is made where it isn't there yet.
    """
    from .variants import parts_of_name, variant

    try:
        return _DEFINED[name]
    except KeyError:
        parts = parts_of_name(name)
        if parts is not None and parts[0] in _DEFINED:
            return variant(_DEFINED[parts[0]], parts[1])
        known = ", ".join(_DEFINED)
        raise KeyError(
            f"no cell is called {name!r}; there are {known}. A cell of one's own is found once its module is imported"
        ) from None


from .coupled_lstm import COUPLED_LSTM  # noqa: E402
from .gru import GRU  # noqa: E402
from .gru_reset_before import GRU_RESET_BEFORE  # noqa: E402
from .indrnn import INDRNN, INDRNN_TANH  # noqa: E402
from .layer_norm_gru import LAYER_NORM_GRU, LAYER_NORM_GRU_HASTE  # noqa: E402
from .layer_norm_lstm import LAYER_NORM_LSTM  # noqa: E402
from .lstm import LSTM  # noqa: E402
from .mgu import MGU  # noqa: E402
from .min_gru import MINGRU, MINGRU_LOG  # noqa: E402
from .min_lstm import MINLSTM, MINLSTM_LOG  # noqa: E402
from .peephole_lstm import PEEPHOLE_LSTM  # noqa: E402
from .rnn import RNN_RELU, RNN_TANH  # noqa: E402
from .slstm import SLSTM, SLSTM_HEADWISE  # noqa: E402
from .sru import SRU  # noqa: E402

CELLS = (
    *(RNN_TANH, RNN_RELU, LSTM, GRU),
    *(PEEPHOLE_LSTM, COUPLED_LSTM, LAYER_NORM_LSTM),
    *(GRU_RESET_BEFORE, MGU, LAYER_NORM_GRU, LAYER_NORM_GRU_HASTE),
    *(INDRNN, INDRNN_TANH, MINGRU, MINGRU_LOG, MINLSTM, MINLSTM_LOG, SRU),
    *(SLSTM, SLSTM_HEADWISE),
)

__all__ = ["CELLS", "GRU", "LSTM", "RNN_RELU", "RNN_TANH", "Cell", "Vector", "Weight", "by_key", "by_name", "register"]
