"""The cells: one step of a recurrent layer, for loops of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling

from .. import cells, ops
from ..cells import Cell
from ..ops.arguments import one_step
from ..stack import Stack
from . import hints
from .checks import as_states, check_same_place
from .options import as_cell, check_heads, check_step
from .parameters import initialise
from .tools import Guest, describe_arguments, is_proxy

# The attributes that a cell's Stack is made of.
_DESCRIPTION = frozenset({"mode", "nonlinearity", "cell", "input_size", "hidden_size", "bias", "num_heads"})


class SingleStep(Guest, nn.RNNCellBase):
    """One step of the cell that a subclass names in ``mode``: the base of all of them.

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
    num_heads = 1

    def __init_subclass__(cls) -> None:
        """Describe the arguments in the class's text."""
        super().__init_subclass__()
        describe_arguments(cls, SingleStep)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        # By name: under ``accelerate`` the next in line is torch.nn's cell, whose arguments are others.
        gates = len(self._find_cell().gates)
        nn.RNNCellBase.__init__(self, input_size, hidden_size, bias, num_chunks=gates, device=device, dtype=dtype)
        self._describe()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _DESCRIPTION and "_stack" in self.__dict__:
            self._describe()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._describe()

    def _find_cell(self) -> Cell:
        return cells.by_name(self.mode.lower())

    def _find_title(self) -> str:
        """For messages: what torch.nn calls it, whatever a subclass is called."""
        return self.mode.partition("_")[0] + "Cell"

    def _describe(self) -> None:
        """Bring the Stack, and the weights' shapes that follow from it, in line with the attributes."""
        self._title = self._find_title()
        self._stack = Stack(
            self._find_cell(), self.input_size, self.hidden_size, bias=bool(self.bias), num_heads=self.num_heads
        )
        self._kernel = ops.kernel_of(self._stack)
        self._names = tuple(weight.name for weight in self._stack.weights)
        self._weight_shapes = [torch.Size(self._stack.weight_shape(weight, 0)) for weight in self._stack.weights]

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
        final = None if is_compiling() else self._forward_eager(input, hx)
        if final is not None:
            return final[0] if len(final) == 1 else final
        if is_proxy(input):
            return self._as_leaf(input, hx=hx)
        if is_compiling():
            return self._forward_checked(input, hx)
        try:
            return self._forward_checked(input, hx)
        except hints.REFUSALS as error:
            raise hints.explained(error, hints.for_cell(self, input, hx)) from None

    def _forward_checked(self, input: Any, hx: Any) -> Any:
        rank = input.dim()
        if rank not in (1, 2):
            raise ValueError(f"{self._title}: Expected input to be 1D or 2D, got {rank}D instead")
        state: Sequence[Tensor] | None = None if hx is None else as_states(self._title, hx, self._stack.cell.states)
        if state is not None:
            self._check_ranks(state)
        x, state, back = one_step(input, state)
        weights = self._current_weights()
        self._check_call(x, state or (), weights)
        final = back(self._run(x, state, weights))
        return final[0] if len(final) == 1 else final

    def _forward_eager(self, input: Any, hx: Any) -> tuple[Tensor, ...] | None:
        """The final states from the kernels; None if they don't serve, or something is wrong with the call."""
        parameters = self._parameters
        weights: list[Any] = [parameters.get(name) for name in self._names]
        return ops.run_eager(self._kernel, self._stack, ops.Form.STEP, input, hx, weights)

    def _run(self, x: Tensor, state: Sequence[Tensor] | None, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The operation behind: x (N, I), the states (N, H), everything checked."""
        return ops.recurrent(x, state, weights, self._stack)[1:]

    def _current_weights(self) -> list[Tensor]:
        parameters = self._parameters
        # Past nn.Module's slow look-up where there is a plain parameter, which there is unless someone replaced it.
        return [w if (w := parameters.get(name)) is not None else getattr(self, name) for name in self._names]

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
        for k, s in enumerate(state):  # all sizes before any dtype, as in torch.nn
            if s.size(0) != n:
                raise RuntimeError(f"Input batch size {n} doesn't match hidden{k} batch size {s.size(0)}")
            if s.dim() != 2 or s.size(1) != hidden:
                raise RuntimeError(f"hidden{k} has inconsistent hidden_size: got {s.size(1)}, expected {hidden}")
        check_same_place(self._title, "input", x, first, dtype=not (cast and x.is_floating_point()))
        for s in state:
            check_same_place(self._title, "hx", s, first, dtype=not cast)
        for name, weight, shape in zip(self._names, weights, self._weight_shapes, strict=False):
            if weight.shape != shape:
                raise RuntimeError(f"Expected {name} of size {list(shape)}, got {list(weight.shape)}")
            check_same_place(self._title, name, weight, first, dtype=not cast)


class RNNCell(SingleStep):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it: stands where ``torch.nn.RNNCell`` stood.

    Args:
        input_size: I, features of the input.
        hidden_size: H, features of the state.
        bias: whether there are ``bias_ih`` and ``bias_hh``. Default: True.
        nonlinearity: ``'tanh'`` or ``'relu'``; anything else is refused when the cell is called. Default: ``'tanh'``.
        device: where the parameters are made. Default: torch's.
        dtype: of the parameters. Default: torch's.
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
        """One step: ``input`` (N, I) or (I,), ``hx`` and the result (N, H) or (H,); see ``SingleStep.forward``.

        Raises RuntimeError for an unknown nonlinearity.
        """
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        output: Tensor = super().forward(input, hx)
        return output


class LSTMCell(SingleStep):
    """One step of the LSTM: stands where ``torch.nn.LSTMCell`` stood. State and result are a pair (h, c), (N, H) each.

    Example:
        >>> cell, state = statewise.LSTMCell(3, 64), None
        >>> for x_t in torch.randn(100, 8, 3):
        ...     state = cell(x_t, state)
    """

    mode = "LSTM"


class GRUCell(SingleStep):
    """One step of the GRU: stands where ``torch.nn.GRUCell`` stood. State and result are h, (N, H)."""

    mode = "GRU"


class RecurrentCell(SingleStep):
    """One step of any cell, built in or described by the user.

    Its parameters, states and result follow from the description: a cell of one state takes and returns a tensor, (N,
    H), one of several a tuple of them. The parameters are the layer's without ``_l0``, and begin as
    ``statewise.Recurrent``'s do.

    Args:
        cell: a ``statewise.Cell``, or the name of one.
        input_size: I, features of the input.
        hidden_size: H, features of the state.
        bias: whether there are biases. Default: True.
        device: where the parameters are made. Default: torch's.
        dtype: of the parameters. Default: torch's.
        num_heads: into how many blocks the weights are cut that ``cell.heads`` names. Default: 1.

    Raises:
        TypeError, ValueError: an argument makes no sense; each message says what was expected and what came.

    Example:
        >>> step = statewise.RecurrentCell("gru", 3, 64)
        >>> h = step(torch.randn(8, 3))
        >>> h = step(torch.randn(8, 3), h)
    """

    def __init__(
        self,
        cell: Cell | str,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        num_heads: int = 1,
    ) -> None:
        nn.Module.__init__(self)
        self.cell = as_cell(self._find_title(), cell)
        check_step(input_size, hidden_size, bias)
        check_heads(self.cell, num_heads, (input_size,), (hidden_size,), 0)
        self.input_size, self.hidden_size, self.bias, self.num_heads = input_size, hidden_size, bias, num_heads
        self._describe()
        for name, shape in zip(self._names, self._weight_shapes, strict=True):
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def _find_cell(self) -> Cell:
        return self.cell

    def _find_title(self) -> str:
        return "RecurrentCell"

    def reset_parameters(self) -> None:
        """Give every parameter the value that it begins with."""
        initialise(self, zip(self._names, self._stack.weights, strict=True), self.hidden_size)

    def extra_repr(self) -> str:
        """The cell's name and the arguments that are not the defaults."""
        shown = f"{self.cell.name}, {self.input_size}, {self.hidden_size}"
        if not self.bias:
            shown += f", bias={self.bias}"
        return shown if self.num_heads == 1 else f"{shown}, num_heads={self.num_heads}"
