"""The cells: one step of a recurrent layer, for loops of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .. import cells, ops
from ..stack import Stack
from . import cuda, onnx
from .autocast import autocast_dtype, compute_cast
from .checks import as_states, check_same_place
from .tools import Guest, are_expanded, is_proxy

# The attributes that a cell's Stack is made of.
_DESCRIPTION = frozenset({"mode", "nonlinearity", "input_size", "hidden_size", "bias"})
_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class RecurrentCell(Guest, nn.RNNCellBase):
    """One step of the cell that a subclass names in ``mode``.

    Parameters, as in torch.nn: ``weight_ih`` (G*H, I), ``weight_hh`` (G*H, H), ``bias_ih``, ``bias_hh`` (G*H,). Nothing
    is checked at construction, as in torch.nn, where a width of 0 is a cell too.

    Args:
        input_size: I, features of the input.
        hidden_size: H, features of the state.
        bias: whether there are ``bias_ih`` and ``bias_hh``. Default: True.
        device: where the parameters are made. Default: torch's.
        dtype: of the parameters. Default: torch's.
    """

    mode: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        # By name: under ``accelerate`` the next in line is torch.nn's cell, whose arguments are others.
        gates = len(cells.by_name(self.mode.lower()).gates)
        nn.RNNCellBase.__init__(self, input_size, hidden_size, bias, num_chunks=gates, device=device, dtype=dtype)
        self._describe()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _DESCRIPTION and "_stack" in self.__dict__:
            self._describe()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._describe()

    def _describe(self) -> None:
        """Bring the Stack, and the weights' shapes that follow from it, in line with the attributes."""
        cell = cells.by_name(self.mode.lower())
        self._title = self.mode.partition("_")[0] + "Cell"  # for messages: what torch.nn calls it
        self._stack = Stack(cell, self.input_size, self.hidden_size, bias=bool(self.bias))
        rows = len(cell.gates) * self.hidden_size
        shapes = [(rows, self.input_size), (rows, self.hidden_size), (rows,), (rows,)]
        self._weight_shapes = [torch.Size(shape) for shape in shapes[: self._stack.weights_per_layer]]

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """One step.

        Args:
            input: (N, I), or (I,) without a batch.
            hx: the state, (N, H) or (H,); for the LSTM a tuple or list of two. Default: zeros.

        Returns:
            The new state, shaped like ``hx``.

        Raises:
            TypeError: ``hx`` is not of a kind that serves.
            ValueError: a rank is neither 1 nor 2.
            RuntimeError: a size, dtype or device doesn't fit.
        """
        if is_proxy(input):
            return self._as_leaf(input, hx=hx)
        rank = input.dim()
        if rank not in (1, 2):
            raise ValueError(f"{self._title}: Expected input to be 1D or 2D, got {rank}D instead")
        state = None if hx is None else as_states(self._title, hx, self._stack.cell.states)
        if state is not None:
            self._check_ranks(state)
        if rank == 1:
            input = input.unsqueeze(0)
            state = None if state is None else tuple(s.unsqueeze(0) for s in state)
        weights = self._current_weights()
        self._check_call(input, state or (), weights)
        final = self._run(input, state, weights)
        if rank == 1:
            final = tuple(s.squeeze(0) for s in final)
        return final[0] if len(final) == 1 else final

    def _run(self, x: Tensor, state: Sequence[Tensor] | None, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
        if onnx.is_exporting():
            return onnx.cell(x, state, weights, self._stack)
        if x.is_cuda or are_expanded(weights):
            return cuda.cell(self._stack.cell, x, state, weights)
        if torch._C._is_any_autocast_enabled():
            target = autocast_dtype(x.device.type)
            if target is not None:
                return compute_cast(self._compute, x, state, weights, target)
        return self._compute(x, state, weights)

    def _compute(self, x: Tensor, state: Sequence[Tensor] | None, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
        _, *final = ops.recurrent(x, state, weights, self._stack)
        return tuple(final)

    def _current_weights(self) -> list[Tensor]:
        parameters = self._parameters
        names = _NAMES[: len(self._weight_shapes)]
        # Past nn.Module's slow look-up where there is a plain parameter, which there is unless someone replaced it.
        return [w if (w := parameters.get(name)) is not None else getattr(self, name) for name in names]

    def _check_ranks(self, state: Sequence[Tensor]) -> None:
        for k, s in enumerate(state):
            if s.dim() not in (1, 2):
                which = "hidden" if len(state) == 1 else f"hx[{k}]"
                raise ValueError(f"{self._title}: Expected {which} to be 1D or 2D, got {s.dim()}D instead")

    def _check_call(self, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
        """RuntimeError unless x (N, I), the states (N, H) and the weights fit each other."""
        dtype, device, n = weights[0].dtype, weights[0].device, x.size(0)
        shapes = ((n, self.input_size), *((n, self.hidden_size) for _ in state), *self._weight_shapes)
        for tensor, shape in zip((x, *state, *weights), shapes, strict=True):
            if tensor.shape != shape or tensor.dtype is not dtype or tensor.device != device:
                return self._refuse(x, state, weights)
        return None

    def _refuse(self, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
        """RuntimeError that says what doesn't fit; nothing if it is the dtype alone and autocast sees to that."""
        first, n, hidden = weights[0], x.size(0), self.hidden_size
        cast = torch._C._is_any_autocast_enabled()
        if x.size(1) != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {x.size(1)} expected {self.input_size}")
        check_same_place(self._title, "input", x, first, dtype=not (cast and x.is_floating_point()))
        for k, s in enumerate(state):
            if s.size(0) != n:
                raise RuntimeError(f"Input batch size {n} doesn't match hidden{k} batch size {s.size(0)}")
            if s.dim() != 2 or s.size(1) != hidden:
                raise RuntimeError(f"hidden{k} has inconsistent hidden_size: got {s.size(1)}, expected {hidden}")
            check_same_place(self._title, "hx", s, first, dtype=not cast)
        for name, weight, shape in zip(_NAMES, weights, self._weight_shapes, strict=False):
            if weight.shape != shape:
                raise RuntimeError(f"Expected {name} of size {list(shape)}, got {list(weight.shape)}")
            check_same_place(self._title, name, weight, first, dtype=not cast)


class RNNCell(RecurrentCell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it: stands where ``torch.nn.RNNCell`` stood.

    Arguments as in ``RecurrentCell``, and:

    Args:
        nonlinearity: ``'tanh'`` or ``'relu'``; anything else is refused when the cell is called. Default: ``'tanh'``.
    """

    mode = "RNN_TANH"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def _describe(self) -> None:
        self.__dict__["mode"] = "RNN_RELU" if self.__dict__.get("nonlinearity") == "relu" else "RNN_TANH"
        super()._describe()

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """One step; see ``RecurrentCell.forward``. RuntimeError for an unknown nonlinearity."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        output: Tensor = super().forward(input, hx)
        return output


class LSTMCell(RecurrentCell):
    """One step of the LSTM: stands where ``torch.nn.LSTMCell`` stood. State and result are a pair (h, c)."""

    mode = "LSTM"


class GRUCell(RecurrentCell):
    """One step of the GRU: stands where ``torch.nn.GRUCell`` stood."""

    mode = "GRU"
