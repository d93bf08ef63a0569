"""The plain (Elman) recurrent layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from .options import check_nonlinearity
from .recurrent import RecurrentLayer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import Options


class RNN(RecurrentLayer):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu of it: stands where ``torch.nn.RNN`` stood.

    The plain network of Elman (1990).

    Args:
        input_size: I, features of the input.
        hidden_size: H, features of the state; or a list with that of each layer, see ``RecurrentLayer``.
        num_layers: L, how many layers. Default: 1.
        nonlinearity: ``'tanh'`` or ``'relu'``. Default: ``'tanh'``.
        bias: whether there are ``bias_ih`` and ``bias_hh``. Default: True.
        batch_first: input and output are (N, T, .) instead of (T, N, .); the states are not. Default: False.
        dropout: probability of dropping an output of every layer but the last, in training. Default: 0.
        bidirectional: whether each layer reads backwards too. Default: False.
        proj_size: P, width of the projected state, which torch.nn.RNN does not have; 0 for none. Default: 0.
        device: where the parameters are made. Default: torch's.
        dtype: of the parameters. Default: torch's.
        checkpoint: k > 0: training keeps the states of every k-th step alone; see ``RecurrentLayer``. Default: 0.
        options: what torch.nn's layers have not; see ``statewise.layers.options.Options``.

    Raises:
        ValueError, TypeError: an argument makes no sense; each message says what was expected and what came.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        checkpoint: int = 0,
        **options: Unpack[Options],
    ) -> None:
        check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        self.mode = f"RNN_{nonlinearity.upper()}"
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

    def extra_repr(self) -> str:
        """The arguments that are not the defaults."""
        shown = super().extra_repr()
        return shown if self.nonlinearity == "tanh" else f"{shown}, nonlinearity={self.nonlinearity}"
