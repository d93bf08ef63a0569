"""The reference: the time loop over a cell's step, in plain operations of torch.

It is the oracle of the kernels, what serves every device and dtype that they don't, and the source of every derivative
that they don't give: differentiable to any order and transparent to ``torch.func``. So nothing here writes into a
tensor or looks at the values of one, ``lengths`` and ``batch_sizes`` excepted. It is not fast, and not meant to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, logsigmoid, softplus

from .cells.symbols import Parts
from .noise import noise, threshold
from .stack import Stack

States = tuple[Tensor, ...]


class _Call(NamedTuple):
    """What the scans of all layers and directions share: the options of a call, over (T, N, I)."""

    masks: Sequence[Tensor]
    valid: Tensor | None  # (T, N, 1), the steps that count
    reset: Tensor | None  # (T, N, 1), among those that count
    initial: Sequence[Tensor] | None
    recurrent_masks: Sequence[Tensor]
    rows: Tensor | None
    starts: Tensor | None
    seed: int | Tensor | None
    return_states: bool


def recurrent(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    *,
    masks: Sequence[Tensor] = (),
    lengths: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    reset: Tensor | None = None,
    initial: Sequence[Tensor] | None = None,
    recurrent_masks: Sequence[Tensor] = (),
    rows: Tensor | None = None,
    starts: Tensor | None = None,
    seed: int | Tensor | None = None,
    return_states: bool = False,
) -> tuple[Tensor, ...]:
    """Run ``stack`` over ``x``: arguments and results as in ``statewise.ops.recurrent``, on any device, in any dtype.

    Nothing is checked: torch's own operations raise where shapes, dtypes or devices don't fit together.

    Returns:
        output (T, N, D*P) or (S, D*P), then one final state a letter, each (L*D, N, ``stack.state_sizes[k]``); then,
        with ``return_states``, one tensor a letter of the states after all steps, each (L*D, T, N, .) or (L*D, S, .).
    """
    call = _Call(masks, None, reset, initial, recurrent_masks, rows, starts, seed, return_states)
    if batch_sizes is None and x.dim() == 2:
        start = None if state is None else [s.unsqueeze(0) for s in state]
        return tuple([r.squeeze(0) for r in _run(x.unsqueeze(0), start, weights, stack, call)])
    if batch_sizes is not None:
        return _run_packed(x, state, weights, stack, call, batch_sizes)
    if reset is not None:
        call = call._replace(reset=reset.unsqueeze(-1).to(x.device))
    if lengths is None:
        return _run(x, state, weights, stack, call)
    steps = torch.arange(x.size(0), device=lengths.device)
    valid = (steps.unsqueeze(1) < lengths).to(x.device)  # (T, N)
    return _run(x, state, weights, stack, call._replace(valid=valid.unsqueeze(-1)))


def _run_packed(
    x: Tensor,
    state: Sequence[Tensor] | None,
    weights: Sequence[Tensor],
    stack: Stack,
    call: _Call,
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

    call = call._replace(
        masks=[unpack(mask) for mask in call.masks],
        valid=valid.unsqueeze(-1).to(x.device),
        reset=None if call.reset is None else unpack(call.reset.unsqueeze(-1).to(x.device)),
    )
    results = list(_run(unpack(x), state, weights, stack, call))
    results[0] = results[0].flatten(0, 1).index_select(0, back)
    for k in range(1 + len(stack.cell.states), len(results)):  # (L*D, T, N, .)
        results[k] = results[k].flatten(1, 2).index_select(1, back)
    return tuple(results)


def _run(
    x: Tensor, state: Sequence[Tensor] | None, weights: Sequence[Tensor], stack: Stack, call: _Call
) -> tuple[Tensor, ...]:
    """All layers and directions over (T, N, I)."""
    if call.valid is not None:
        # Before anything reads x: a NaN in the padding would come back as 0 * NaN in the gradients.
        x = torch.where(call.valid, x, 0)
        if call.reset is not None:
            call = call._replace(reset=call.reset & call.valid)
    n = x.size(1)
    if state is None and call.initial is not None:
        state = [s.unsqueeze(1).expand(-1, n, -1) for s in call.initial]
    elif state is None:
        state = [x.new_zeros(stack.depth, n, size) for size in stack.state_sizes]
    per_layer = stack.weights_per_layer
    finals: list[States] = []
    passed: list[States] = []
    for layer in range(stack.num_layers):
        outputs = []
        for direction in range(stack.directions):
            k = len(finals)
            own = weights[k * per_layer : (k + 1) * per_layer]
            start = tuple(s[k] for s in state)  # each (N, P or H)
            output, final, states = _Scan(stack, call, k, own).run(x, start, reverse=direction == 1)
            outputs.append(output)
            finals.append(final)
            passed.append(states)
        x = torch.cat(outputs, -1) if stack.bidirectional else outputs[0]  # (T, N, D*P)
        if call.masks and layer < stack.num_layers - 1:
            x = x * call.masks[layer]
    results = [x, *(torch.stack(letter) for letter in zip(*finals, strict=True))]
    if call.return_states:
        results += [torch.stack(letter) for letter in zip(*passed, strict=True)]
    return tuple(results)


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

    def __init__(self, stack: Stack, weights: Sequence[Tensor], mask: Tensor | None) -> None:
        self.cell, self.stack, self.mask = stack.cell, stack, mask  # mask (N, P): what W_hh reads is multiplied by it
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
            return _split(self._share(self._masked(h), "hh", letters), letters)
        return self._staged(h, letters)

    def _masked(self, h: Tensor) -> Tensor:
        return h if self.mask is None else h * self.mask

    def _staged(self, h: Tensor, letters: tuple[str, ...]) -> Parts:
        """Likewise, where some of the products read what the step gives them."""
        weights = _split(self.w["weight_hh"].t(), letters)  # each (P, H)
        bias = self.w.get("bias_hh")
        biases = None if bias is None else _split(bias, letters)

        def product(letter: str, a: Tensor) -> Tensor:
            found: Tensor = self._masked(a) @ getattr(weights, letter)
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


class _Scan:
    """One layer in one direction over the time steps, with what changes every cell alike.

    After a step its states are, in this order, mixed with those before (zoneout), clipped, and from there their
    gradients are.
    """

    def __init__(self, stack: Stack, call: _Call, k: int, weights: Sequence[Tensor]) -> None:
        self.stack, self.call, self.k = stack, call, k
        self.layer = _Layer(stack, weights, call.recurrent_masks[k] if call.recurrent_masks else None)

    def run(self, x: Tensor, state: States, reverse: bool) -> tuple[Tensor, States, States]:
        """(T, N, I) and each state (N, P or H), to (T, N, P), the final states and those after all steps (T, N, .)."""
        layer, (valid, reset) = self.layer, (self.call.valid, self.call.reset)
        gates = layer.inputs(x)  # (T, N, G*H)
        count = x.size(0)
        if count == 0:  # a slice, so that the empty output hangs on x in the graph too
            return gates[..., : self.stack.output_size], state, tuple([s.new_zeros(0, *s.shape) for s in state])
        h = layer.output(state[0])  # (N, P)
        outputs, passed = [], []
        for t in reversed(range(count)) if reverse else range(count):
            border = t + reverse  # a reset lies between the steps border - 1 and border
            if reset is not None and border < count:
                state = self._restarted(reset[border], state)
                h = layer.output(state[0])
            new = self._after(layer.step(gates[t], h, state), state, t)
            if valid is not None:
                new = tuple([torch.where(valid[t], a, b) for a, b in zip(new, state, strict=True)])
            state = new
            h = layer.output(state[0])
            outputs.append(h if valid is None else torch.where(valid[t], h, 0))
            if self.call.return_states:
                passed.append(state if valid is None else tuple([torch.where(valid[t], s, 0) for s in state]))
        if reverse:
            outputs.reverse()
            passed.reverse()
        return torch.stack(outputs), state, tuple([torch.stack(letter) for letter in zip(*passed, strict=True)])

    def _restarted(self, reset: Tensor, state: States) -> States:
        """The states, where ``reset`` (N, 1) says so set back to what a sequence begins with."""
        initial = self.call.initial
        if initial is None:
            return tuple([torch.where(reset, 0, s) for s in state])
        return tuple([torch.where(reset, i[self.k], s) for i, s in zip(initial, state, strict=True)])

    def _after(self, new: States, old: States, t: int) -> States:
        """The states after step ``t``, of those that the cell computed and those before."""
        stack = self.stack
        if stack.zoneout:
            new = tuple([self._zoned_out(j, a, b, t) for j, (a, b) in enumerate(zip(new, old, strict=True))])
        if stack.clip:
            new = tuple([a.clamp(-stack.clip, stack.clip) for a in new])
        if stack.gradient_clip:
            function = _ClippedGradient if torch.compiler.is_compiling() else _WithTangent
            new = tuple([function.apply(a, stack.gradient_clip) for a in new])  # type: ignore[no-untyped-call]
        return new

    def _zoned_out(self, j: int, new: Tensor, old: Tensor, t: int) -> Tensor:
        """State j, of which a unit keeps its old value with a probability; without a seed what that is on average."""
        p, seed, rows = self.stack.zoneout[j], self.call.seed, self.call.rows
        if p == 0:
            return new
        if seed is None:
            return new + p * (old - new)
        if rows is None:
            rows = torch.arange(new.size(0), device=new.device)
        step = t if self.call.starts is None else self.call.starts.to(new.device) + t
        keeps = noise(seed, self.k, j, step, rows.to(new.device), new.size(1)) < threshold(p)
        return torch.where(keeps, old, new)


class _ClippedGradient(torch.autograd.Function):
    """The identity, whose gradient is clipped."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, limit: float) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.limit = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient.clamp(-ctx.limit, ctx.limit), None


class _WithTangent(_ClippedGradient):
    """The same with a rule for tangents, which torch.compile doesn't take."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, limit: Any) -> Tensor:
        return tangent.view_as(tangent)
