"""The base of the recurrent layers: parameters, checks and the ways in and out; no arithmetic.

It derives from ``torch.nn.RNNBase`` and not from ``torch.nn.LSTM`` and the like, which torch.compile refuses.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.nn.utils.rnn import PackedSequence

from .. import cells, ops
from ..cells import Cell
from ..cells.variants import variant
from ..ops.arguments import permuted, time_first
from ..ops.dropout import draw_masks
from ..ops.torch_kernels import serves_stack
from ..stack import Stack
from . import extended, hints
from .checks import (
    as_layer_states,
    as_lengths,
    as_reset,
    as_states,
    check_batch_sizes,
    check_same_place,
    check_state_ranks,
)
from .options import (
    DEFAULTS,
    as_widths,
    check_checkpoint,
    check_extras,
    check_heads,
    check_names,
    check_options,
    per_state,
)
from .parameters import (
    initial_shapes,
    initialise,
    initialise_extra,
    initialise_for_time_scales,
    initialise_forget_bias,
    norm_shapes,
    parameter_shapes,
)
from .tools import Guest, describe_arguments, is_proxy

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import Options

# The attributes that a layer's Stack is made of.
_DESCRIPTION = frozenset(
    {"mode", "cell", "input_size", "hidden_size", "num_layers", "bidirectional", "bias", "proj_size", "num_heads"}
    | {"checkpoint", "batch_first", *DEFAULTS}
)


class RecurrentLayer(Guest, nn.RNNBase):
    """A stack of recurrent layers of one cell, which a subclass names in ``mode``.

    Parameters are named, shaped, ordered and initialised as in torch.nn: for each layer k and direction
    ``weight_ih_l{k}`` (G*H, I or D*P), ``weight_hh_l{k}`` (G*H, P), ``bias_ih_l{k}`` and ``bias_hh_l{k}`` (G*H,), and
    ``weight_hr_l{k}`` (P, H) where there is a projection; the backward direction's end in ``_reverse``.

    Args:
        input_size: I, features of the input.
        hidden_size: H, features of the state; or a list with that of each layer. Then the states, ``hx`` and ``h_n``,
            are a tuple or list of one tensor (D, [N,] H) a layer in the place of each tensor.
        num_layers: L, how many layers. Default: 1.
        bias: whether there are ``bias_ih`` and ``bias_hh``. Default: True.
        batch_first: input and output are (N, T, .) instead of (T, N, .); the states are not. Default: False.
        dropout: probability of dropping an output of every layer but the last, in training. Default: 0.
        bidirectional: whether each layer reads backwards too. Default: False.
        proj_size: P, width of the projected state; 0 for none. Default: 0.
        device: where the parameters are made. Default: torch's.
        dtype: of the parameters. Default: torch's.
        checkpoint: k > 0: training keeps the states of every k-th step alone (k is rounded up to whole chunks, of at
            most 128 steps) and backward computes the steps between once more: the same gradients to the last bit for
            about a third more time. Of what grows with T the outputs between layers remain. On the CPU alone. Default:
            0, everything is kept.
        options: what torch.nn's layers have not; see ``statewise.layers.options.Options``.

    Raises:
        ValueError, TypeError: an argument makes no sense; each message says what was expected and what came.
    """

    def __init_subclass__(cls) -> None:
        """Describe the arguments in the class's text."""
        super().__init_subclass__()
        describe_arguments(cls, RecurrentLayer)

    num_heads = 1
    # For layers that were made without them, by torch.nn or an earlier version.
    checkpoint = 0
    residual = False
    norm = False
    zoneout: float | Sequence[float] = 0.0
    recurrent_dropout = 0.0
    weight_dropout = 0.0
    input_dropout = 0.0
    forget_bias: float | None = None
    chrono_init: float | None = None
    learn_initial_state = False
    activation: str | Mapping[str, str] | None = None
    clip = 0.0
    gradient_clip = 0.0
    _given_weights: list[Any] | None = None  # what was put into ``_flat_weights`` by others

    def __init__(
        self,
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
        checkpoint: int = 0,
        **options: Unpack[Options],
    ) -> None:
        # Past RNNBase's own, which knows torch's cells alone, and would warn at a line of ours.
        nn.Module.__init__(self)
        check_names(self._find_title(), options)
        if isinstance(hidden_size, (list, tuple)):
            hidden_size, num_layers = as_widths(hidden_size, num_layers)
        narrowest = min(hidden_size) if isinstance(hidden_size, tuple) else hidden_size
        check_options(input_size, narrowest, num_layers, bias, batch_first, dropout, bidirectional, proj_size)
        check_checkpoint(checkpoint)
        self.input_size = input_size
        self.hidden_size = hidden_size  # type: ignore[assignment] # which torch.nn has as a number alone
        self.num_layers = operator.index(num_layers)
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = operator.index(proj_size)
        self.checkpoint = operator.index(checkpoint)
        check_extras(self, self._find_cell(), options)
        for name, value in options.items():
            if value != DEFAULTS[name]:
                setattr(self, name, tuple(value) if isinstance(value, list) else value)
        check_heads(self._find_cell(), self.num_heads, *self._widths(), self.proj_size)
        self._describe()
        groups = parameter_shapes(self._stacks)
        for name, shape in (item for group in groups for item in group.items()):
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        for name, shape in self._extra_shapes().items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self._all_weights = [list(group) for group in groups]
        self._flat_weights_names = [name for group in groups for name in group]
        self._init_flat_weights()
        self.reset_parameters()

    # What the module is made of

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _DESCRIPTION and "_stack" in self.__dict__:
            self._describe()
        elif name == "_flat_weights":
            self.__dict__["_given_weights"] = value

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._describe()
        self._init_flat_weights()

    def _find_cell(self) -> Cell:
        return cells.by_name(self.mode.lower())

    def _find_title(self) -> str:
        """For messages: what torch.nn calls it, whatever a subclass is called."""
        return self.mode.partition("_")[0]

    def _widths(self) -> tuple[list[int], list[int]]:
        """I and H of every layer."""
        h: Any = self.hidden_size
        widths = list(h) if isinstance(h, tuple) else [h] * self.num_layers
        return [self.input_size, *[(self.proj_size or h) * (1 + bool(self.bidirectional)) for h in widths[:-1]]], widths

    def _make_stacks(self) -> list[Stack]:
        """The stack, or one a layer where more than dropout stands between them."""
        cell = variant(self._find_cell(), self.activation)
        zoneout = per_state(self.zoneout, cell)
        one_by_one = self._is_list or self.residual or self.norm
        return [
            Stack(
                cell,
                input_size,
                hidden_size,
                1 if one_by_one else self.num_layers,
                bool(self.bidirectional),
                bool(self.bias),
                self.proj_size,
                self.checkpoint,
                self.num_heads,
                zoneout,
                float(self.clip),
                float(self.gradient_clip),
            )
            for input_size, hidden_size in zip(*self._widths(), strict=True)
        ][: None if one_by_one else 1]

    def _extra_shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters beside the cell's, by name."""
        extra = {name: shape for letter in self._initial_shapes for name, shape in letter.items()}
        return norm_shapes(self._stacks) | extra if self.norm else extra

    def _describe(self) -> None:
        """Bring the Stack, and the weights' shapes that follow from it, in line with the attributes."""
        self._is_list = isinstance(self.hidden_size, tuple)
        self._stacks = self._make_stacks()
        # What all layers have in common. Where they are no single stack, the first has the cell and the directions.
        self._stack = self._stacks[0]
        self._title = self._find_title()
        # Of each state tensor that a caller gives: how many layers and directions, and the width.
        self._depth = self._stack.directions * (1 if self._is_list else self.num_layers)
        own = self._stacks if self._is_list else [self._stack]
        self._state_sizes = [s.state_sizes[k] for k in range(len(self._stack.cell.states)) for s in own]
        self._initial_shapes = initial_shapes(self._stacks) if self.learn_initial_state else []
        # Whether a call is more than the operation on what the caller gave and the weights.
        self._is_extended = bool(
            self._is_list
            or (self.residual or self.norm or self.zoneout or self.clip or self.gradient_clip)
            or (self.recurrent_dropout or self.weight_dropout or self.input_dropout or self.learn_initial_state)
        )
        self._kernel = None if self._is_extended else ops.kernel_of(self._stack)
        self._form = ops.Form.BATCH_FIRST if self.batch_first else ops.Form.TIME_FIRST
        self._weight_shapes = [torch.Size(s) for group in parameter_shapes(self._stacks) for s in group.values()]

    def _init_flat_weights(self) -> None:
        # Unlike RNNBase's, this evaluates no parametrization: it is only computed when used, and a result kept here,
        # being no leaf of the graph, would keep the module from being copied.
        own, parameters = self.__dict__, self._parameters
        self._flat_weights = [parameters.get(name, own.get(name)) for name in self._flat_weights_names]
        own["_given_weights"] = None
        self._flat_weight_refs = [None if w is None else weakref.ref(w) for w in self._flat_weights]
        self.flatten_parameters()

    def reset_parameters(self) -> None:
        """Give every parameter the value that it begins with: torch.nn's, or what the cell's description says."""
        extra = self._extra_shapes()
        if not self._is_list and not extra and all(w.initial is None for w in self._stack.weights):
            super().reset_parameters()
        else:
            names = iter(self._flat_weights_names)
            for stack in self._stacks:
                weights = stack.weights * stack.depth
                initialise(self, zip(islice(names, len(weights)), weights, strict=True), stack.hidden_size)
            initialise_extra(self, extra)
        if self.forget_bias is not None:
            initialise_forget_bias(self, self.forget_bias)
        if self.chrono_init is not None:
            initialise_for_time_scales(self, self.chrono_init)

    def flatten_parameters(self) -> None:
        """Lay the weights out in memory as cuDNN wants them; nothing where cuDNN doesn't serve this layer."""
        if serves_stack(self._stack) and not self._is_list:
            super().flatten_parameters()

    def _current_weights(self) -> Sequence[Tensor]:
        """The weights as they are now: parametrized, replaced by plain tensors, or swapped by functional_call.

        As in torch.nn those that were put into ``_flat_weights``, until one of the module's own is replaced.
        """
        if self._given_weights is not None:
            if not self._weights_have_changed():  # type: ignore[no-untyped-call]
                return self._given_weights
            self._init_flat_weights()
        parameters, names = self._parameters, self._flat_weights_names
        try:
            return [parameters[name] for name in names]  # type: ignore[misc]
        except KeyError:  # parametrized, or a plain tensor in the place of a parameter
            return [getattr(self, name) for name in names]

    def extra_repr(self) -> str:
        """The arguments that are not the defaults, as text."""
        shown = super().extra_repr()
        given = {"checkpoint": self.checkpoint} | {name: getattr(self, name) for name in DEFAULTS}
        return shown + "".join([f", {k}={v!r}" for k, v in given.items() if v != DEFAULTS.get(k, 0)])

    # The way in and out

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        return_states: bool = False,
    ) -> Any:
        """Run the stack over ``input``.

        Args:
            input: (T, N, I), (N, T, I) with ``batch_first``, (T, I) without a batch, or a PackedSequence.
            hx: the states to start from: a tensor (L*D, [N,] P or H) or, for the LSTM, a tuple or list of two; where
                ``hidden_size`` is a list, a tuple or list of one tensor (D, [N,] P or H) a layer in the place of each.
                Default: zeros, or what ``learn_initial_state`` has learned.
            lengths: (N,) integers, in any order, zeros allowed: how many of each row's T steps count, for batched and
                padded input. Outputs past a row's end are zero, the final states are those of its last step, and the
                reverse direction begins there. Default: all steps count.
            reset: bool, (T, N), (N, T) with ``batch_first``, (T,) without a batch, (S,) in the packed order for a
                PackedSequence: where a new sequence begins within a row. All states are set back to the default of
                ``hx`` before that step is read; the reverse direction, coming from the right, sets its own back after
                it. Default: nowhere.
            return_states: also return the states of all layers after all steps. Default: False.

        Returns:
            ``(output, h_n)`` or, for the LSTM, ``(output, (h_n, c_n))``: output like the input with D*P features, or a
            PackedSequence for one; the final states like ``hx``, in the caller's order of rows. With
            ``return_states`` a third one, like ``hx`` but with the steps' axis: each tensor (L*D, T, N, .), (L*D, N, T,
            .) with ``batch_first``, (L*D, T, .) without a batch, or (L*D, S, .) in the packed order, zeros past a row's
            end. What a direction's state is after step t it is having read step t.

        Raises:
            TypeError: ``hx``, ``lengths`` or ``reset`` is not of a kind that serves.
            ValueError: the input's rank or dtype, ``lengths`` or ``reset`` don't fit.
            RuntimeError: a size, a rank of ``hx``, or a device doesn't fit.
        """
        if reset is None and not return_states and not is_compiling():
            results = self._forward_eager(input, hx, lengths)
            if results is not None:
                return results
        if is_proxy(input):
            return self._as_leaf(input, hx=hx, lengths=lengths, reset=reset, return_states=return_states or None)
        if is_compiling():
            return self._forward_checked(input, hx, lengths, reset, return_states)
        try:
            return self._forward_checked(input, hx, lengths, reset, return_states)
        except hints.REFUSALS as error:
            raise hints.explained(error, hints.for_layer(self, input, hx, lengths, reset)) from None

    def _forward_checked(self, input: Any, hx: Any, lengths: Any, reset: Any, return_states: bool) -> Any:
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx, lengths, reset, return_states)
        rank = input.dim()
        if rank not in (2, 3):
            tensor = " tensor" if self._title == "RNN" else ""
            raise ValueError(f"{self._title}: Expected input to be 2D or 3D, got {rank}D{tensor} instead")
        state: Sequence[Tensor] | None = None
        if hx is not None:
            state = self._as_states(hx)
            check_state_ranks(state, rank)
        x, state, back = time_first(self._form, input, state)
        weights = self._check_call(x, state, x.size(1))
        if lengths is not None:
            if rank == 2:
                raise ValueError(f"{self._title}: Expected batched 3-D input with lengths, got 2-D")
            lengths = as_lengths(self._title, lengths, x.size(0), x.size(1))
        if reset is None and not return_states:
            return self._nested(back(self._run(x, state, weights, lengths=lengths)))
        if reset is not None:
            reset = as_reset(self._title, reset, input.shape[:-1])
            reset = reset.unsqueeze(1) if rank == 2 else reset.t() if self.batch_first else reset  # (T, N)
        found = self._run(x, state, weights, lengths=lengths, reset=reset, return_states=return_states)
        count = 1 + len(self._state_sizes)
        states = found[count:]  # (L*D, T, N, .)
        if rank == 2:
            states = tuple([s.squeeze(2) for s in states])
        elif self.batch_first:
            states = tuple([s.transpose(1, 2) for s in states])
        return self._nested((*back(found[:count]), *states))

    def _forward_eager(self, input: Any, hx: Any, lengths: Any) -> tuple[Any, Any] | None:
        """What ``forward`` returns, from the kernels; None if they don't serve, or something is wrong with the call.

        Then ``forward`` begins anew: nothing is computed here, no parametrization either, before all is known to fit.
        """
        parameters, rows = self._parameters, lengths
        weights: list[Any] = [parameters.get(name) for name in self._flat_weights_names]
        if self._given_weights is not None:
            weights = list(self._current_weights())
        packed = isinstance(input, PackedSequence)
        if packed:
            if lengths is not None:
                return None
            input, *rows = input
            rows = tuple(rows)
        masks = self._draw_masks if self.dropout and self.training and self.num_layers > 1 else None
        results = ops.run_eager(self._kernel, self._stack, self._form, input, hx, weights, masks, rows)
        if results is None:
            return None
        output, final = _plain(results)
        return (PackedSequence(output, *rows), final) if packed else (output, final)

    def _draw_masks(self, x: Tensor, *rows: int) -> list[Tensor]:
        return draw_masks(self._stack, self.dropout, x, *rows)

    def _forward_packed(
        self, input: PackedSequence, hx: Any, lengths: Any, reset: Any = None, return_states: bool = False
    ) -> Any:
        if lengths is not None:
            raise ValueError(f"{self._title}: Expected no lengths with a PackedSequence, which has its own")
        data, batch_sizes, sorted_indices, unsorted_indices = input
        state: Sequence[Tensor] | None = None if hx is None else self._as_states(hx)
        if data.dim() != 2:
            self.check_input(data, batch_sizes)  # raises
        check_batch_sizes(data, batch_sizes, sorted_indices)
        n = int(batch_sizes[0]) if batch_sizes.numel() else 0
        weights = self._check_call(data, state, n, batch_sizes)
        if state is not None:
            state = permuted(state, sorted_indices)
        more: dict[str, Any] = {}
        if self._is_extended:
            more["rows"] = sorted_indices
        if reset is not None:
            more["reset"] = as_reset(self._title, reset, data.shape[:-1])
        results = self._run(data, state, weights, batch_sizes=batch_sizes, return_states=return_states, **more)
        count = 1 + len(self._state_sizes)
        output = PackedSequence(results[0], batch_sizes, sorted_indices, unsorted_indices)
        return self._nested((output, *permuted(results[1:count], unsorted_indices), *results[count:]))

    def _run(
        self,
        x: Tensor,
        state: Sequence[Tensor] | None,
        weights: Sequence[Tensor],
        lengths: Tensor | None = None,
        batch_sizes: Tensor | None = None,
        **more: Any,
    ) -> tuple[Tensor, ...]:
        """The operation behind all of the forwards: x (T, N, I), or (S, I) with ``batch_sizes``, everything checked."""
        if self._is_extended:
            return extended.run(self, x, state, weights, lengths, batch_sizes, **more)
        return ops.recurrent(
            x,
            state,
            weights,
            self._stack,
            dropout=self.dropout,
            training=self.training,
            lengths=lengths,
            batch_sizes=batch_sizes,
            **more,
        )

    # The checks of a call

    def _check_call(
        self, x: Tensor, state: Sequence[Tensor] | None, n: int, batch_sizes: Tensor | None = None
    ) -> Sequence[Tensor]:
        """The current weights, once x (T, N, I) or (S, I) and the states are known to fit them and ``n`` = N."""
        weights = self._current_weights()
        dtype, device = weights[0].dtype, weights[0].device
        if x.dtype is not dtype or x.shape[-1] != self.input_size or x.device != device:
            self.check_input(x, batch_sizes)
        if state is not None:
            for s, size in zip(state, self._state_sizes, strict=True):
                if s.shape != (self._depth, n, size) or s.dtype is not dtype or s.device != device:
                    self._refuse_state(state, n, weights[0])
        for weight, shape in zip(weights, self._weight_shapes, strict=True):
            if weight.shape != shape or weight.dtype is not dtype or weight.device != device:
                self._refuse_weights(weights)
        return weights

    def _refuse_state(self, state: Sequence[Tensor], n: int, weight: Tensor) -> None:
        """RuntimeError that says what doesn't fit; nothing if it is the dtype alone and autocast sees to that."""
        cast = torch._C._is_any_autocast_enabled()
        for k, s in enumerate(state):
            self.check_hidden_size(s, (self._depth, n, self._state_sizes[k]), self._size_message(k))
        for s in state:
            check_same_place(self._title, "hx", s, weight, dtype=not cast)

    def _refuse_weights(self, weights: Sequence[Tensor]) -> None:
        """RuntimeError that says which weight has not its shape, or not the device and dtype of the first."""
        cast = torch._C._is_any_autocast_enabled()
        for name, weight, shape in zip(self._flat_weights_names, weights, self._weight_shapes, strict=True):
            if weight.shape != shape:
                raise RuntimeError(f"Expected {name} of size {list(shape)}, got {list(weight.shape)}")
            check_same_place(self._title, name, weight, weights[0], dtype=not cast)

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """ValueError for a dtype, RuntimeError for a rank, a feature count or a device that doesn't fit the weights."""
        weight = self._current_weights()[0]
        cast = torch._C._is_any_autocast_enabled() and input.is_floating_point()
        if input.dtype is not weight.dtype and not cast:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: model.to({input.dtype})"
            )
        rank = 3 if batch_sizes is None else 2
        if input.dim() != rank:
            raise RuntimeError(f"input must have {rank} dimensions, got {input.dim()}")
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )
        check_same_place(self._title, "input", input, weight, dtype=False)

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """``check_input``, and RuntimeError for a state of another size; input as the caller gave it, but batched."""
        self.check_input(input, batch_sizes)
        for k, s in enumerate(self._as_states(hidden)):
            self.check_hidden_size(s, self._expected_state_size(input, batch_sizes, k), self._size_message(k))

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape (L*D, N, P or H) that h must have for this (batched or packed) input."""
        return self._expected_state_size(input, batch_sizes, 0)

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """``hx``, a tensor or a tuple of them, with its rows in the order of ``permutation`` (N,), if there is one."""
        if permutation is None:
            return hx
        if isinstance(hx, Tensor):
            return hx.index_select(1, permutation)
        return tuple(self.permute_hidden(s, permutation) for s in hx)

    def _expected_state_size(self, input: Tensor, batch_sizes: Tensor | None, k: int) -> tuple[int, int, int]:
        n = input.size(0 if self.batch_first else 1) if batch_sizes is None else int(batch_sizes[0])
        return self._depth, n, self._state_sizes[k]

    def _size_message(self, k: int) -> str:
        which = "hidden" if len(self._state_sizes) == 1 and not self._is_list else f"hidden[{k}]"
        if self._is_list and len(self._stack.cell.states) > 1:
            which = "hidden[{}][{}]".format(*divmod(k, self.num_layers))
        return f"Expected {which} size {{}}, got {{}}"

    # The states as a caller has them

    def _as_states(self, hx: Any) -> tuple[Tensor, ...]:
        """``hx`` as one tensor a state; where the layers differ in width, a state and layer, the states outermost."""
        letters = self._stack.cell.states
        if self._is_list:
            return as_layer_states(self._title, hx, letters, self.num_layers)
        return as_states(self._title, hx, letters)

    def _nested(self, results: tuple[Any, ...]) -> tuple[Any, ...]:
        """The output, and what is left of the results in the form of ``hx``: the final states and, maybe, all."""
        count = len(self._state_sizes)
        output, *groups = results[0], results[1 : 1 + count], results[1 + count :]
        if self._is_list:
            each = self.num_layers
            groups = [tuple([group[k : k + each] for k in range(0, len(group), each)]) for group in groups]
        return output, *[group[0] if len(group) == 1 else group for group in groups if group]


def _plain(results: tuple[Tensor, ...]) -> tuple[Tensor, Any]:
    """The kernels' results as a layer returns them: ``(output, h_n)`` or ``(output, (h_n, c_n))``."""
    return (results[0], results[1]) if len(results) == 2 else (results[0], results[1:])
