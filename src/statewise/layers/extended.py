"""How a layer with options that torch.nn hasn't computes a call: what is done around the time loop, and in which order.

What is free outside of the loop is done here, in torch's operations; for the rest the operation gets its arguments.
All that is drawn comes from torch's generator, in this order: the masks of ``weight_dropout``, that of
``input_dropout``, and then for each call of the operation that of ``dropout`` below it, those of ``recurrent_dropout``,
the seed of ``zoneout``'s noise, and those of ``dropout`` within.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from .. import ops
from ..ops.dropout import draw_row_mask, draw_seed
from ..stack import Stack

if TYPE_CHECKING:
    from .recurrent import RecurrentLayer


def run(
    layer: RecurrentLayer,
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    lengths: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    rows: Tensor | None = None,
    reset: Tensor | None = None,
    return_states: bool = False,
    recurrent: Callable[..., tuple[Tensor, ...]] | None = None,
) -> tuple[Tensor, ...]:
    """As ``ops.recurrent``, by ``layer``: x (T, N, I) or (S, I).

    Args:
        layer: whose call this is.
        x, weights, lengths, batch_sizes, reset, return_states: as there.
        state: as there; where the layers differ in width, a tensor for each letter and layer, the letters outermost.
        rows: which row of the caller's batch each row is.
        recurrent: what computes each stack. Default: ``ops.recurrent``.

    Returns:
        The output, the final states like ``state``, and likewise all states if they are asked for.
    """
    training, stacks = layer.training, layer._stacks
    weights = _with_weight_dropout(layer, weights) if training and layer.weight_dropout else weights
    n = x.size(1) if batch_sizes is None else int(batch_sizes[0]) if batch_sizes.numel() else 0
    if training and layer.input_dropout:
        x = _masked(x, draw_row_mask(layer.input_dropout, x, n, x.size(-1), rows), batch_sizes)
    letters, each = len(stacks[0].cell.states), stacks[0].weights_per_layer
    finals: list[tuple[Tensor, ...]] = []
    passed: list[tuple[Tensor, ...]] = []
    first = 0  # the first layer of a stack, counting each direction
    for k, stack in enumerate(stacks):
        read = _between(layer, x, k) if k else x
        seed = draw = None
        if training:
            draw = _recurrent_masks(layer, stack, x, n, rows) if layer.recurrent_dropout else ()
            seed = draw_seed() if stack.zoneout else None
        output, *rest = (recurrent or ops.recurrent)(
            read,
            None if state is None else _part(layer, state, k, first, stack.depth),
            weights[first * each : (first + stack.depth) * each],
            stack,
            dropout=layer.dropout,
            training=training,
            lengths=lengths,
            batch_sizes=batch_sizes,
            reset=reset,
            initial=_initial(layer, first, stack.depth) if layer.learn_initial_state else None,
            recurrent_masks=draw or (),
            rows=rows,
            seed=seed,
            return_states=return_states,
        )
        x = output + x if k and layer.residual else output
        finals.append(tuple(rest[:letters]))
        passed.append(tuple(rest[letters:]))
        first += stack.depth
    return x, *_joined(layer, finals), *_joined(layer, passed)


def _with_weight_dropout(layer: RecurrentLayer, weights: Sequence[Tensor]) -> list[Tensor]:
    names = layer._flat_weights_names
    p = layer.weight_dropout
    return [
        torch.dropout(w, p, True) if name.startswith("weight_hh") else w for name, w in zip(names, weights, strict=True)
    ]


def _masked(x: Tensor, mask: Tensor, batch_sizes: Tensor | None) -> Tensor:
    """x times ``mask`` (N, I), the same at every step."""
    if batch_sizes is None:
        return x * mask
    firsts = torch.repeat_interleave(batch_sizes.cumsum(0) - batch_sizes, batch_sizes)
    rows = torch.arange(x.size(0)) - firsts  # (S,), of each step
    return x * mask.index_select(0, rows.to(mask.device))


def _between(layer: RecurrentLayer, x: Tensor, k: int) -> Tensor:
    """What the k-th layer reads of what those below put out."""
    if layer.norm:
        x = layer_norm(x, x.shape[-1:], getattr(layer, f"weight_norm_l{k}"), getattr(layer, f"bias_norm_l{k}"))
    return torch.dropout(x, layer.dropout, layer.training)


def _recurrent_masks(layer: RecurrentLayer, stack: Stack, x: Tensor, n: int, rows: Tensor | None) -> list[Tensor]:
    p, width = layer.recurrent_dropout, stack.output_size
    return [draw_row_mask(p, x, n, width, rows) for _ in range(stack.depth)]


def _initial(layer: RecurrentLayer, first: int, depth: int) -> list[Tensor]:
    """What a sequence begins with in ``depth`` layers from ``first`` on: one tensor a letter, (depth, H)."""
    letters = [list(names)[first : first + depth] for names in layer._initial_shapes]
    return [torch.stack([getattr(layer, name) for name in names]) for names in letters]


def _part(layer: RecurrentLayer, state: Sequence[Tensor], k: int, first: int, depth: int) -> list[Tensor]:
    """The states of the k-th stack."""
    if layer._is_list:
        return list(state[k :: len(layer._stacks)])
    return [s[first : first + depth] for s in state]


def _joined(layer: RecurrentLayer, states: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    """The stacks' states in the order in which the layer was given them."""
    letters = list(zip(*states, strict=True))
    if layer._is_list:
        return [s for letter in letters for s in letter]
    return [letter[0] if len(letter) == 1 else torch.cat(letter) for letter in letters]
