"""The LSTM layer."""

from __future__ import annotations

from torch import Tensor

from .recurrent import RecurrentLayer


class LSTM(RecurrentLayer):
    """Long short-term memory: stands where ``torch.nn.LSTM`` stood. Arguments and errors: see ``RecurrentLayer``.

    Its state is a pair (h, c): ``hx`` is a tuple or list of both, h (L*D, [N,] P or H) and c (L*D, [N,] H), and the
    result is ``(output, (h_n, c_n))``.
    """

    mode = "LSTM"

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape (L*D, N, H) that c must have."""
        return self._expected_state_size(input, batch_sizes, 1)
