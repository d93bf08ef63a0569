"""The LSTM layer."""

from __future__ import annotations

from torch import Tensor

from .recurrent import RecurrentLayer


class LSTM(RecurrentLayer):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997; Gers et al., 2000): stands where ``torch.nn.LSTM`` stood.

    Each gate has its own rows of the weights, in the order i, f, g, o::

        i, f, o = sigmoid(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)
        g = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)
        c_t = f * c_(t-1) + i * g
        h_t = o * tanh(c_t)                                       # with proj_size W_hr times that

    Its state is a pair (h, c): ``hx`` is a tuple or list of both, h (L*D, [N,] P or H) and c (L*D, [N,] H), and the
    result is ``(output, (h_n, c_n))``.

    Example:
        >>> lstm = statewise.LSTM(3, 64, num_layers=2)
        >>> output, (h_n, c_n) = lstm(torch.randn(9, 4, 3), lengths=[9, 3, 0, 5])
    """

    mode = "LSTM"

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape (L*D, N, H) that c must have, of ``input`` and, where it is packed, ``batch_sizes``."""
        return self._expected_state_size(input, batch_sizes, 1)
