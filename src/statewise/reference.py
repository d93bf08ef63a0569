"""The reference: the time loop over a cell's step, in plain operations of torch.

It is the oracle of the kernels, what serves every device and dtype that they don't, and the source of every derivative
that they don't give: differentiable to any order and transparent to ``torch.func``. So nothing here writes into a
tensor or looks at the values of one, ``lengths`` and ``batch_sizes`` excepted. It is not fast, and not meant to be.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from .stack import Stack

States = tuple[Tensor, ...]


def recurrent(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    *,
    masks: Sequence[Tensor] = (),
    lengths: Tensor | None = None,
    batch_sizes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Run ``stack`` over ``x``: arguments and results as in ``statewise.ops.recurrent``, on any device, in any dtype.

    Nothing is checked: torch's own operations raise where shapes, dtypes or devices don't fit together.

    Returns:
        output (T, N, D*P) or (S, D*P), then one final state a letter, each (L*D, N, ``stack.state_sizes[k]``).
    """
    if batch_sizes is None and x.dim() == 2:
        start = None if state is None else [s.unsqueeze(0) for s in state]
        return tuple([r.squeeze(0) for r in _run(x.unsqueeze(0), start, weights, stack, masks, None)])
    if batch_sizes is not None:
        return _run_packed(x, state, weights, stack, masks, batch_sizes)
    if lengths is None:
        return _run(x, state, weights, stack, masks, None)
    steps = torch.arange(x.size(0), device=lengths.device)
    valid = (steps.unsqueeze(1) < lengths).to(x.device)  # (T, N)
    return _run(x, state, weights, stack, masks, valid.unsqueeze(-1))


def _run_packed(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    masks: Sequence[Tensor],
    batch_sizes: Tensor,
) -> tuple[Tensor, ...]:
    """Unpack (S, I) to (T, N, I), run that with each row's length, pack again."""
    counts = batch_sizes.tolist()
    t, n = len(counts), counts[0] if counts else 0
    rows = torch.arange(n)
    valid = rows < batch_sizes.unsqueeze(1)  # (T, N)
    place = (batch_sizes.cumsum(0) - batch_sizes).unsqueeze(1) + rows  # (T, N), where there is such a row
    place = torch.where(valid, place, 0).flatten().to(x.device)
    back = valid.flatten().nonzero().squeeze(1).to(x.device)  # (S,)

    def unpack(data: Tensor) -> Tensor:
        return data.index_select(0, place).reshape(t, n, data.size(-1))

    padded_masks = [unpack(mask) for mask in masks]
    output, *final = _run(unpack(x), state, weights, stack, padded_masks, valid.unsqueeze(-1).to(x.device))
    return output.reshape(t * n, output.size(-1)).index_select(0, back), *final


def _run(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    masks: Sequence[Tensor],
    valid: Tensor | None,
) -> tuple[Tensor, ...]:
    """All layers and directions over (T, N, I); ``valid`` (T, N, 1) tells the steps that count."""
    if valid is not None:
        # Before anything reads x: a NaN in the padding would come back as 0 * NaN in the gradients.
        x = torch.where(valid, x, 0)
    if state is None:
        state = [x.new_zeros(stack.num_layers * stack.directions, x.size(1), size) for size in stack.state_sizes]
    per_layer = stack.weights_per_layer
    finals: list[States] = []
    for layer in range(stack.num_layers):
        outputs = []
        for direction in range(stack.directions):
            k = len(finals)
            own = weights[k * per_layer : (k + 1) * per_layer]
            start = tuple(s[k] for s in state)  # each (N, P or H)
            output, final = _scan(x, start, own, stack, valid, reverse=direction == 1)
            outputs.append(output)
            finals.append(final)
        x = torch.cat(outputs, -1) if stack.bidirectional else outputs[0]  # (T, N, D*P)
        if masks and layer < stack.num_layers - 1:
            x = x * masks[layer]
    return x, *(torch.stack(letter) for letter in zip(*finals, strict=True))


def _scan(
    x: Tensor, state: States, weights: Sequence[Tensor], stack: Stack, valid: Tensor | None, reverse: bool
) -> tuple[Tensor, States]:
    """One layer in one direction: (T, N, I) and each state (N, P or H), to (T, N, P) and the final states."""
    cell = stack.cell
    w_ih, w_hh = weights[0], weights[1]
    bias = (weights[2], weights[3]) if stack.bias else None
    w_hr = weights[-1] if stack.proj_size else None
    gates = linear(x, w_ih)  # (T, N, G*H)
    if x.size(0) == 0:
        return gates[..., : stack.output_size], state  # a slice, so that the empty output hangs on x in the graph too
    # What W_hh reads and the layer puts out: the state itself, or its projection where the cell carries on the whole h.
    h = linear(state[0], w_hr) if w_hr is not None and cell.carries_h else state[0]  # (N, P)
    outputs = []
    for t in reversed(range(x.size(0))) if reverse else range(x.size(0)):
        new = cell.step(torch, gates[t], linear(h, w_hh), bias, state)
        if w_hr is not None and not cell.carries_h:
            new = (linear(new[0], w_hr), *new[1:])
        if valid is not None:
            new = tuple(torch.where(valid[t], a, b) for a, b in zip(new, state, strict=True))
        state = new
        h = linear(state[0], w_hr) if w_hr is not None and cell.carries_h else state[0]
        outputs.append(h if valid is None else torch.where(valid[t], h, 0))
    if reverse:
        outputs.reverse()
    return torch.stack(outputs), state
