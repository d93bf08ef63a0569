"""The layer of any cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ..cells import Cell
from .options import as_cell
from .recurrent import RecurrentLayer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import Options


class Recurrent(RecurrentLayer):
    """A stack of recurrent layers of any cell, built in or described by the user.

    Parameters, states and equations follow from the description. The parameters are named as torch.nn names them,
    ``{name}_l{k}`` and ``{name}_l{k}_reverse`` for each of ``cell.weights()``; each begins with the value that the
    description gives, a norm's gain with 1, or is drawn from -1/sqrt(H) to 1/sqrt(H) as by torch.nn. A cell of one
    state takes and returns it as a tensor, one of several as a tuple of tensors: ``hx`` and ``h_n``, each (L*D, [N,]
    H).

    Where the kernels don't know the cell, the reference computes it: right, but slow
    (``statewise.warn_on_fallback()`` says so).

    Args:
        cell: a ``statewise.Cell``, or the name of one.
        input_size: I, features of the input.
        hidden_size: H, features of the state; or a list with that of each layer, see ``RecurrentLayer``.
        num_layers: L, how many layers. Default: 1.
        bias: whether there are biases. Default: True.
        batch_first: input and output are (N, T, .) instead of (T, N, .); the states are not. Default: False.
        dropout: probability of dropping an output of every layer but the last, in training. Default: 0.
        bidirectional: whether each layer reads backwards too. Default: False.
        proj_size: P, width of the projected state; 0 for none. Default: 0.
        device: where the parameters are made. Default: torch's.
        dtype: of the parameters. Default: torch's.
        num_heads: into how many blocks the weights are cut that ``cell.heads`` names. Default: 1.
        checkpoint: k > 0: training keeps the states of every k-th step alone; see ``RecurrentLayer``. Default: 0.
        options: what torch.nn's layers have not; see ``statewise.layers.options.Options``.

    Raises:
        ValueError, TypeError: an argument makes no sense; each message says what was expected and what came.

    Example:
        >>> def step(ops, x, r, w, state):
        ...     return (ops.tanh(x.h + r.h),)
        >>> cell = statewise.Cell("mine", gates="h", states="h", step=step)
        >>> layer = statewise.Recurrent(cell, 3, 64, num_layers=2)
        >>> output, h_n = layer(torch.randn(100, 8, 3))
    """

    def __init__(
        self,
        cell: Cell | str,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        num_heads: int = 1,
        checkpoint: int = 0,
        **options: Unpack[Options],
    ) -> None:
        self.cell = as_cell("Recurrent", cell)
        self.mode = self.cell.name.upper()  # as cuDNN calls it, if it does
        self.num_heads = num_heads
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            checkpoint=checkpoint,
            **options,
        )

    def _find_cell(self) -> Cell:
        return self.cell

    def _find_title(self) -> str:
        return "Recurrent"

    def extra_repr(self) -> str:
        """The cell's name and the arguments that are not the defaults."""
        shown = f"{self.cell.name}, {super().extra_repr()}"
        return shown if self.num_heads == 1 else f"{shown}, num_heads={self.num_heads}"
