"""The reference: the time loop over a cell's step, in plain operations of torch.

It is the oracle of the kernels, what serves every device and dtype that they don't, and the source of every derivative
that they don't give: differentiable to any order and transparent to ``torch.func``. So nothing here writes into a
tensor or looks at the values of one, ``lengths`` and ``batch_sizes`` excepted. It is not fast, and not meant to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, logsigmoid, softplus

from .cells.symbols import Parts
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


def _tensors(*values: Tensor | float) -> list[Tensor]:
    """``values``, numbers among them as tensors without dimensions beside the others."""
    like = next(v for v in values if isinstance(v, Tensor))
    return [v if isinstance(v, Tensor) else torch.full((), v, dtype=like.dtype, device=like.device) for v in values]


class Operations:
    """What a step computes with, of torch. Where there are several arguments, some may be numbers."""

    sigmoid, tanh, relu, exp, log = torch.sigmoid, torch.tanh, torch.relu, torch.exp, torch.log
    abs, sqrt, softplus, logsigmoid = torch.abs, torch.sqrt, softplus, logsigmoid

    @staticmethod
    def maximum(a: Tensor | float, b: Tensor | float) -> Tensor:
        """The larger of both; where they are equal each takes half of the gradient."""
        return torch.maximum(*_tensors(a, b))

    @staticmethod
    def minimum(a: Tensor | float, b: Tensor | float) -> Tensor:
        """The smaller of both; where they are equal each takes half of the gradient."""
        return torch.minimum(*_tensors(a, b))

    @staticmethod
    def where(a: Tensor, b: Tensor | float, c: Tensor | float) -> Tensor:
        """b where a isn't 0, else c."""
        return torch.where(a != 0, b, c)


def _split(a: Tensor, letters: Sequence[str]) -> Parts:
    """(..., n*H) as n parts (..., H), by letter."""
    return Parts(**dict(zip(letters, a.chunk(len(letters), -1), strict=True)))


class _Layer:
    """One layer in one direction: its weights by name, and the products with them."""

    def __init__(self, stack: Stack, weights: Sequence[Tensor]) -> None:
        self.cell, self.stack = stack.cell, stack
        self.w = {w.name: t for w, t in zip(stack.weights, weights, strict=True)}
        self.project = self.w.get("weight_hr")
        own = {v.name: _split(self.w[v.name], v.parts) if v.parts else self.w[v.name] for v in self.cell.vectors}
        norms = {f"norm_{n}": partial(self._normalised, n) for n in self.cell.norms if n not in ("x", "r")}
        self.given = Parts(**own, **norms)

    def _normalised(self, letter: str, value: Tensor) -> Tensor:
        return layer_norm(value, value.shape[-1:], self.w[f"weight_norm_{letter}"], self.w[f"bias_norm_{letter}"])

    def _normalised_groups(self, found: Tensor, gain: Tensor, letters: Sequence[str]) -> Tensor:
        """A product (..., n*H), each group of gates among ``letters`` normalised over its columns together."""
        groups = self.cell.norm_groups or (letters,)
        sizes = [self.stack.hidden_size * sum(gate in letters for gate in group) for group in groups]
        parts = zip(found.split(sizes, -1), gain.split(sizes), strict=True)
        return torch.cat([layer_norm(part, part.shape[-1:], g) for part, g in parts], -1)

    def _share(self, a: Tensor, which: str, letters: Sequence[str]) -> Tensor:
        """The product of ``a`` with W_ih or W_hh, normalised and with its bias: (..., n*H)."""
        weight = self.w[f"weight_{which}"]
        if ("x" if which == "ih" else "h") in self.cell.heads and self.stack.num_heads > 1:
            k, n = self.stack.num_heads, len(letters)
            blocks = weight.unflatten(0, (n, k, -1))  # (n, heads, H/heads, K/heads)
            found = torch.einsum("...kj,nkij->...nki", a.unflatten(-1, (k, -1)), blocks).flatten(-3)
        else:
            found = linear(a, weight)
        gain = self.w.get(f"weight_norm_{which}")
        if gain is not None:
            found = self._normalised_groups(found, gain, letters)
        bias = self.w.get(f"bias_{which}")
        return found if bias is None else found + bias

    def inputs(self, x: Tensor) -> Tensor:
        """What the input gives to all gates of all steps: (T, N, I) to (T, N, G*H)."""
        return self._share(x, "ih", self.cell.gates)

    def recurrent(self, h: Tensor) -> Any:
        """What the state before, (N, P), gives to the gates that have a recurrent product."""
        letters = tuple(self.cell.recurrent or ())
        if not letters:
            return None
        if not self.cell.late:
            return _split(self._share(h, "hh", letters), letters)
        return self._staged(h, letters)

    def _staged(self, h: Tensor, letters: tuple[str, ...]) -> Parts:
        """Likewise, where some of the products read what the step gives them."""
        weights = _split(self.w["weight_hh"].t(), letters)  # each (P, H)
        bias = self.w.get("bias_hh")
        biases = None if bias is None else _split(bias, letters)

        def product(letter: str, a: Tensor) -> Tensor:
            found: Tensor = a @ getattr(weights, letter)
            return found if biases is None else found + getattr(biases, letter)

        late = self.cell.late
        return Parts(**{k: partial(product, k) if k in late else product(k, h) for k in letters})

    def output(self, h: Tensor) -> Tensor:
        """What W_hh reads and the layer puts out: h, or its projection where the cell carries on the whole of it."""
        return linear(h, self.project) if self.project is not None and self.cell.carries_h else h  # (N, P)

    def step(self, gates: Tensor, h: Tensor, state: States) -> States:
        """One step: gates (N, G*H), what W_hh reads (N, P), the states before it."""
        x = _split(gates, self.cell.gates)
        new = self.cell.step(Operations, x, self.recurrent(h), self.given, state)
        if self.project is not None and not self.cell.carries_h:
            new = (linear(new[0], self.project), *new[1:])
        return new


def _scan(
    x: Tensor, state: States, weights: Sequence[Tensor], stack: Stack, valid: Tensor | None, reverse: bool
) -> tuple[Tensor, States]:
    """One layer in one direction: (T, N, I) and each state (N, P or H), to (T, N, P) and the final states."""
    layer = _Layer(stack, weights)
    gates = layer.inputs(x)  # (T, N, G*H)
    if x.size(0) == 0:
        return gates[..., : stack.output_size], state  # a slice, so that the empty output hangs on x in the graph too
    h = layer.output(state[0])  # (N, P)
    outputs = []
    for t in reversed(range(x.size(0))) if reverse else range(x.size(0)):
        new = layer.step(gates[t], h, state)
        if valid is not None:
            new = tuple(torch.where(valid[t], a, b) for a, b in zip(new, state, strict=True))
        state = new
        h = layer.output(state[0])
        outputs.append(h if valid is None else torch.where(valid[t], h, 0))
    if reverse:
        outputs.reverse()
    return torch.stack(outputs), state
