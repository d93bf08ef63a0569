"""An oracle for the layers' options: everything written out for one row at a time, without any of statewise's code.

There is no batch, no padding, no packing and no stack here, so whatever these make of a row is compared with a plain
row. Noise is the one thing that isn't drawn here but given, as factors or as events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


def _lstm(w: dict[str, Tensor], x: Tensor, read: Tensor, state: list[Tensor], act: Any, gate: Any) -> list[Tensor]:
    i, f, g, o = (w["ih"] @ x + w["bi"] + w["hh"] @ read + w["bh"]).chunk(4)
    c = gate(f) * state[1] + gate(i) * act(g)
    return [gate(o) * act(c), c]


def _gru(w: dict[str, Tensor], x: Tensor, read: Tensor, state: list[Tensor], act: Any, gate: Any) -> list[Tensor]:
    xr, xz, xn = (w["ih"] @ x + w["bi"]).chunk(3)
    hr, hz, hn = (w["hh"] @ read + w["bh"]).chunk(3)
    z = gate(xz + hz)
    return [(1 - z) * act(xn + gate(xr + hr) * hn) + z * state[0]]


def _rnn(w: dict[str, Tensor], x: Tensor, read: Tensor, state: list[Tensor], act: Any, gate: Any) -> list[Tensor]:
    return [act(w["ih"] @ x + w["bi"] + w["hh"] @ read + w["bh"])]


STEPS: dict[str, Callable[..., list[Tensor]]] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}
LETTERS = {"LSTM": "hc", "GRU": "h", "RNN": "h"}


class _Clamped(torch.autograd.Function):
    """The gradient clipped, the value as it is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, limit: float) -> Tensor:
        ctx.limit = limit
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return torch.minimum(torch.maximum(g, torch.full_like(g, -ctx.limit)), torch.full_like(g, ctx.limit)), None


@dataclass
class Plain:
    """A layer, by its parameters and options.

    Attributes:
        kind: ``"LSTM"``, ``"GRU"`` or ``"RNN"``.
        named: its parameters by torch.nn's names.
        layers, directions: L and D.
        reset: for each row of which steps a new sequence begins.
        keeps: whether unit u of state j of row n keeps its value in step t: ``keeps(k, j, t, n, size)`` bools; or the
            probabilities, for what that is on average.
        read_factors: for each layer and direction (N, P), input_factors (N, I), between_factors: by layer a function of
            the row and step, all of them what is multiplied.
        weight_factors: by parameter name.
    """

    kind: str
    named: dict[str, Tensor]
    layers: int
    directions: int
    reset: Tensor | None = None  # (T, N)
    learned: bool = False
    residual: bool = False
    norm: bool = False
    zoneout: Sequence[float] = ()
    keeps: Callable[..., Tensor] | None = None
    read_factors: Sequence[Tensor] = ()
    input_factors: Tensor | None = None
    between_factors: Sequence[Tensor] = ()  # by layer but the first (T, N, D*P)
    weight_factors: dict[str, Tensor] = field(default_factory=dict)
    clip: float = 0.0
    gradient_clip: float = 0.0
    act: Callable[[Tensor], Tensor] = torch.tanh
    gate: Callable[[Tensor], Tensor] = torch.sigmoid

    def run(
        self, x: Tensor, hx: Sequence[Sequence[Tensor]] | None, lengths: Sequence[int]
    ) -> tuple[list[list[Tensor]], ...]:
        """``x`` (T, N, I); ``hx`` by letter and layer-and-direction (N, .).

        Returns:
            By row: the outputs, by step; the final states, by layer and letter; all states, by layer, step and letter.
        """
        outputs, finals, passed = [], [], []
        for n, length in enumerate(lengths):
            steps = [x[t, n] for t in range(length)]
            if self.input_factors is not None:
                steps = [s * self.input_factors[n] for s in steps]
            final, every = [], []
            for layer in range(self.layers):
                below = steps
                if layer and self.norm:
                    gain, bias = self.named[f"weight_norm_l{layer}"], self.named[f"bias_norm_l{layer}"]
                    steps = [_normalised(s) * gain + bias for s in steps]
                if layer and self.between_factors:
                    steps = [s * self.between_factors[layer - 1][t, n] for t, s in enumerate(steps)]
                heard = []
                for direction in range(self.directions):
                    k = layer * self.directions + direction
                    start = None if hx is None else [s[k][n] for s in hx]
                    heard_here, states, last = self._scan(steps, n, layer, direction, start)
                    heard.append(heard_here)
                    final.append(last)
                    every.append(states)
                steps = [torch.cat(parts) for parts in zip(*heard, strict=True)]
                if layer and self.residual:
                    steps = [a + b for a, b in zip(steps, below, strict=True)]
            outputs.append(steps)
            finals.append(final)
            passed.append(every)
        return outputs, finals, passed

    def _scan(
        self, steps: list[Tensor], n: int, layer: int, direction: int, start: list[Tensor] | None
    ) -> tuple[list[Tensor], list[list[Tensor]], list[Tensor]]:
        """One layer in one direction over a row: outputs and states after every step, and the final states."""
        suffix = f"_l{layer}" + ("_reverse" if direction else "")
        names = {"ih": "weight_ih", "hh": "weight_hh", "bi": "bias_ih", "bh": "bias_hh", "hr": "weight_hr"}
        w = {}
        for short, name in names.items():
            if name + suffix in self.named:
                w[short] = self.named[name + suffix] * self.weight_factors.get(name + suffix, 1.0)
        rows = w["ih"].shape[0]
        w.setdefault("bi", w["ih"].new_zeros(rows))
        w.setdefault("bh", w["ih"].new_zeros(rows))
        whole = self.kind == "GRU"  # whose state is never projected, only what is read of it
        sizes = [rows // 3 if whole else w["hh"].shape[1], *[rows // 4 for _ in LETTERS[self.kind][1:]]]
        fresh = [w["ih"].new_zeros(size) for size in sizes]
        if self.learned:
            fresh = [self.named[f"initial_{letter}{suffix}"] for letter in LETTERS[self.kind]]
        k = layer * self.directions + direction
        state = fresh if start is None else start
        found: list[list[Tensor]] = [[] for _ in steps]
        outputs: list[Any] = [None] * len(steps)
        order = list(range(len(steps)))[:: -1 if direction else 1]
        for place, t in enumerate(order):
            if place and self.reset is not None and self.reset[max(t, order[place - 1]), n]:
                state = fresh
            if not place and not direction and self.reset is not None and self.reset[t, n]:
                state = fresh
            read = w["hr"] @ state[0] if whole and "hr" in w else state[0]
            read = read * self.read_factors[k][n] if self.read_factors else read
            new = STEPS[self.kind](w, steps[t], read, state, self.act, self.gate)
            if "hr" in w and not whole:
                new[0] = w["hr"] @ new[0]
            for j, p in enumerate(self.zoneout):
                if self.keeps is None:
                    new[j] = p * state[j] + (1 - p) * new[j]
                else:
                    keep = self.keeps(k, j, t, n, len(new[j]))
                    new[j] = torch.stack([state[j][u] if keep[u] else new[j][u] for u in range(len(keep))])
            if self.clip:
                new = [torch.clamp(s, -self.clip, self.clip) for s in new]
            if self.gradient_clip:
                new = [_Clamped.apply(s, self.gradient_clip) for s in new]
            state = new
            found[t] = state
            outputs[t] = w["hr"] @ state[0] if whole and "hr" in w else state[0]
        return outputs, found, state


def _normalised(s: Tensor) -> Tensor:
    centred = s - s.mean()
    return centred / torch.sqrt((centred * centred).mean() + 1e-5)
