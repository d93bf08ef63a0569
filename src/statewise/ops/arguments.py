"""What a call of ``ops.recurrent`` is given, and the axes of a caller's tensors beside those of the operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from ..kernels.cpu import Form
from ..stack import Stack

Results = tuple[Tensor, ...]


class Arguments(NamedTuple):
    """The arguments of ``ops.recurrent`` that say what is computed."""

    x: Tensor
    state: Sequence[Tensor] | None
    weights: Sequence[Tensor]
    stack: Stack
    masks: Sequence[Tensor] = ()
    lengths: Tensor | None = None
    batch_sizes: Tensor | None = None
    reset: Tensor | None = None
    initial: Sequence[Tensor] | None = None
    recurrent_masks: Sequence[Tensor] = ()
    rows: Tensor | None = None
    starts: Tensor | None = None
    seed: int | Tensor | None = None
    return_states: bool = False

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors that have gradients: x, states, weights, the states that a sequence begins with."""
        return [self.x, *(self.state or ()), *self.weights, *(self.initial or ())]

    @property
    def options(self) -> Options | None:
        """What the kernels are told of them beside the tensors; None for a plain call."""
        if not self.recurrent_masks and self.seed is None and not self.return_states:
            return None
        seed = None if self.seed is None else int(self.seed)
        return Options(self.recurrent_masks, self.rows, self.starts, seed, self.return_states)


class Options(NamedTuple):
    """What a call has beside that, as the kernels take it: see ``ops.recurrent``."""

    recurrent_masks: Sequence[Tensor] = ()
    rows: Tensor | None = None
    starts: Tensor | None = None
    seed: int | None = None
    return_states: bool = False


def time_first(
    form: Form, x: Tensor, state: Sequence[Tensor] | None
) -> tuple[Tensor, Sequence[Tensor] | None, Callable[[Results], Results]]:
    """x as (T, N, I), the states as (L*D, N, .), and what brings the operation's results back to the caller's axes."""
    if x.dim() == 2:
        state = None if state is None else [s.unsqueeze(1) for s in state]
        return x.unsqueeze(1), state, lambda results: tuple([r.squeeze(1) for r in results])
    if form is Form.BATCH_FIRST:
        return x.transpose(0, 1), state, lambda results: (results[0].transpose(0, 1), *results[1:])
    return x, state, lambda results: results


def one_step(
    x: Tensor, state: Sequence[Tensor] | None
) -> tuple[Tensor, Sequence[Tensor] | None, Callable[[Results], Results]]:
    """A cell's x as (N, I), its states as (N, H), and what brings the final states back to the caller's axes."""
    if x.dim() == 2:
        return x, state, lambda final: final
    state = None if state is None else [s.unsqueeze(0) for s in state]
    return x.unsqueeze(0), state, lambda final: tuple([s.squeeze(0) for s in final])


def permuted(states: Sequence[Tensor], indices: Tensor | None) -> Sequence[Tensor]:
    """States (L*D, N, .) with their rows in the order of ``indices`` (N,), if there are any."""
    return states if indices is None else [s.index_select(1, indices) for s in states]
