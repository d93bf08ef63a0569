"""The GRU layer."""

from __future__ import annotations

from .recurrent import RecurrentLayer


class GRU(RecurrentLayer):
    """Gated recurrent unit (Cho et al., 2014), its reset after the product: stands where ``torch.nn.GRU`` stood.

    Each gate has its own rows of the weights, in the order r, z, n::

        r, z = sigmoid(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)
        n = tanh(W_ih x_t + b_ih + r * (W_hh h_(t-1) + b_hh))
        h_t = (1 - z) * n + z * h_(t-1)

    With ``proj_size``, which torch.nn.GRU does not have, ``weight_hh`` reads the projected state and the output is the
    projected state; what goes from step to step, ``hx`` and ``h_n`` is the whole one, (L*D, [N,] H).

    Example:
        >>> gru = statewise.GRU(3, 64, batch_first=True)
        >>> output, h_n = gru(torch.randn(8, 100, 3))
    """

    mode = "GRU"
