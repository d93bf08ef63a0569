"""The network: one recurrent layer over the whole past and a linear head that starts at zero."""

from __future__ import annotations

from torch import Tensor, nn

from ...layers import GRU, LSTM, RNN

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


class Network(nn.Module):
    """Reads the inputs row by row and gives, for each, the correction to the naive forecast.

    Untrained it gives zero everywhere: training starts at the naive forecast and moves away only where that pays.
    """

    def __init__(self, cell: str, features: int, hidden: int) -> None:
        super().__init__()
        self.recurrent = CELLS[cell](features, hidden)
        self.head = nn.Linear(hidden, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """From (T, N, features) to (T, N)."""
        output, _ = self.recurrent(x)  # (T, N, hidden)
        result: Tensor = self.head(output).squeeze(-1)
        return result
