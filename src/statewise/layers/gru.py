"""The GRU layer."""

from __future__ import annotations

from .recurrent import RecurrentLayer


class GRU(RecurrentLayer):
    """Gated recurrent unit: stands where ``torch.nn.GRU`` stood. Arguments and errors: see ``RecurrentLayer``.

    With ``proj_size``, which torch.nn.GRU does not have, ``weight_hh`` reads the projected state and the output is the
    projected state; what goes from step to step, ``hx`` and ``h_n`` is the whole one, (L*D, [N,] H).
    """

    mode = "GRU"
