"""The cells a second time, from their papers, and the loops around them: one row, one step, one layer at a time.

Nothing here knows of descriptions: a step gets the weights by name, their gates in the order that the cell's file says.
``STEPS`` has the cells of ``statewise.cells.CELLS`` that are written out, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import torch
from torch import Tensor, tanh

Step = Callable[[SimpleNamespace, Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]
STEPS: dict[str, Step] = {}


def written_out(step: Step) -> Step:
    STEPS[step.__name__] = step
    return step


def sigmoid(a: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-a))


def normalised(a: Tensor) -> Tensor:
    a = a - a.sum() / len(a)
    return a / torch.sqrt((a * a).sum() / len(a) + 1e-5)


def both(w: SimpleNamespace, x: Tensor, h: Tensor, gates: int) -> tuple[Tensor, ...]:
    """W x + b + U h + d, by gate."""
    return (w.weight_ih @ x + w.bias_ih + w.weight_hh @ h + w.bias_hh).chunk(gates)


def of_input(w: SimpleNamespace, x: Tensor, gates: int) -> tuple[Tensor, ...]:
    return (w.weight_ih @ x + w.bias_ih).chunk(gates)


@written_out
def rnn_tanh(w, x, state):
    (a,) = both(w, x, state[0], 1)
    return (tanh(a),)


@written_out
def rnn_relu(w, x, state):
    (a,) = both(w, x, state[0], 1)
    return (a.clamp(min=0),)


@written_out
def lstm(w, x, state):
    h, c = state
    i, f, g, o = both(w, x, h, 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


@written_out
def gru(w, x, state):
    (h,) = state
    x_r, x_z, x_n = of_input(w, x, 3)
    h_r, h_z, h_n = (w.weight_hh @ h + w.bias_hh).chunk(3)
    z = sigmoid(x_z + h_z)
    return ((1 - z) * tanh(x_n + sigmoid(x_r + h_r) * h_n) + z * h,)


@written_out
def peephole_lstm(w, x, state):
    h, c = state
    i, f, g, o = both(w, x, h, 4)
    p_i, p_f, p_o = w.weight_ch.chunk(3)
    new = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * tanh(g)
    return sigmoid(o + p_o * new) * tanh(new), new


@written_out
def coupled_lstm(w, x, state):
    h, c = state
    i, g, o = both(w, x, h, 3)
    c = c + sigmoid(i) * (tanh(g) - c)
    return sigmoid(o) * tanh(c), c


@written_out
def layer_norm_lstm(w, x, state):
    h, c = state
    a = normalised(w.weight_ih @ x) * w.weight_norm_ih + normalised(w.weight_hh @ h) * w.weight_norm_hh
    i, f, g, o = (a + w.bias_ih).chunk(4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(normalised(c) * w.weight_norm_c + w.bias_norm_c), c


@written_out
def gru_reset_before(w, x, state):
    (h,) = state
    w_r, w_z, w_n = w.weight_ih.chunk(3)
    u_r, u_z, u_n = w.weight_hh.chunk(3)
    b_r, b_z, b_n = (w.bias_ih + w.bias_hh).chunk(3)
    z = sigmoid(w_z @ x + u_z @ h + b_z)
    r = sigmoid(w_r @ x + u_r @ h + b_r)
    return (z * h + (1 - z) * tanh(w_n @ x + u_n @ (r * h) + b_n),)


@written_out
def mgu(w, x, state):
    (h,) = state
    w_f, w_h = torch.cat([w.weight_hh, w.weight_ih], 1).chunk(2)
    b_f, b_h = w.bias_ih.chunk(2)
    f = sigmoid(w_f @ torch.cat([h, x]) + b_f)
    return ((1 - f) * h + f * tanh(w_h @ torch.cat([f * h, x]) + b_h),)


@written_out
def layer_norm_gru(w, x, state):
    (h,) = state
    k = len(h)

    def of(weight, gain, bias, a):
        rows = weight @ a
        gates = normalised(rows[: 2 * k]) * gain[: 2 * k] + bias[: 2 * k]
        return *gates.chunk(2), normalised(rows[2 * k :]) * gain[2 * k :] + bias[2 * k :]

    x_r, x_z, x_n = of(w.weight_ih, w.weight_norm_ih, w.bias_ih, x)
    h_r, h_z, h_n = of(w.weight_hh, w.weight_norm_hh, w.bias_hh, h)
    z = sigmoid(x_z + h_z)
    return ((1 - z) * h + z * tanh(x_n + sigmoid(x_r + h_r) * h_n),)


@written_out
def layer_norm_gru_haste(w, x, state):
    (h,) = state
    x_r, x_z, x_n = (normalised(w.weight_ih @ x) * w.weight_norm_ih + w.bias_ih).chunk(3)
    h_r, h_z, h_n = (normalised(w.weight_hh @ h) * w.weight_norm_hh + w.bias_hh).chunk(3)
    z = sigmoid(x_z + h_z)
    return (z * h + (1 - z) * tanh(x_n + sigmoid(x_r + h_r) * h_n),)


@written_out
def indrnn(w, x, state):
    return ((w.weight_ih @ x + w.bias_ih + w.weight_u * state[0]).clamp(min=0),)


@written_out
def indrnn_tanh(w, x, state):
    return (tanh(w.weight_ih @ x + w.bias_ih + w.weight_u * state[0]),)


def positive(a):
    return torch.where(a >= 0, a + 0.5, sigmoid(a))


@written_out
def mingru(w, x, state):
    z, new = of_input(w, x, 2)
    return ((1 - sigmoid(z)) * state[0] + sigmoid(z) * new,)


@written_out
def mingru_log(w, x, state):
    z, new = of_input(w, x, 2)
    return ((1 - sigmoid(z)) * state[0] + sigmoid(z) * positive(new),)


@written_out
def minlstm(w, x, state):
    f, i, new = of_input(w, x, 3)
    f, i = sigmoid(f), sigmoid(i)
    return (f / (f + i) * state[0] + i / (f + i) * new,)


@written_out
def minlstm_log(w, x, state):
    f, i, new = of_input(w, x, 3)
    f, i = sigmoid(f), sigmoid(i)
    return (f / (f + i) * state[0] + i / (f + i) * positive(new),)


@written_out
def sru(w, x, state):
    _, c = state
    new, f, r, skipped = of_input(w, x, 4)
    v_f, v_r = w.weight_c.chunk(2)
    f, r = sigmoid(f + v_f * c), sigmoid(r + v_r * c)
    c = f * c + (1 - f) * new
    return r * c + (1 - r) * skipped, c


def in_blocks(weight: Tensor, gates: int, heads: int) -> Tensor:
    """(n*H, K/heads) as the dense (n*H, K) that it stands for, zeros off the blocks."""
    return torch.cat([torch.block_diag(*gate.chunk(heads)) for gate in weight.chunk(gates)])


@written_out
def slstm(w, x, state):
    """In the paper's order: the stabiliser is chosen first, then the gates are taken relative to it."""
    h, c, n, m = state
    a = w.weight_ih @ x + in_blocks(w.weight_hh, 4, w.heads) @ h + w.bias_ih
    i, f, z, o = a.chunk(4)
    log_f = -torch.log(1 + torch.exp(-f))
    nothing_yet = n == 0
    new_m = torch.where(nothing_yet | (i > log_f + m), i, log_f + m)
    i = torch.exp(i - new_m)
    f = torch.where(nothing_yet, torch.ones_like(f), torch.exp(log_f + m - new_m))
    c = f * c + i * tanh(z)
    n = f * n + i
    return sigmoid(o) * (c / n), c, n, new_m


@written_out
def slstm_headwise(w, x, state):
    dense = SimpleNamespace(**{**vars(w), "weight_ih": in_blocks(w.weight_ih, 4, w.heads)})
    return slstm(dense, x, state)


def run(
    step: Step,
    x: Tensor,
    state: Sequence[Tensor],
    layers: Sequence[dict[str, Tensor]],
    *,
    bidirectional: bool,
    heads: int,
    lengths: Sequence[int],
) -> list[Tensor]:
    """x (T, N, I), the states (L*D, N, H), the weights of each layer's each direction: the output and final states."""
    directions = 2 if bidirectional else 1
    rows, finals = [], []
    for i, length in enumerate(lengths):
        steps = list(x[:length, i])
        last = []
        for k in range(0, len(layers), directions):
            ways = []
            for d in range(directions):
                w = SimpleNamespace(**layers[k + d], heads=heads)
                now = tuple(s[k + d, i] for s in state)
                way = []
                for a in reversed(steps) if d else steps:
                    now = step(w, a, now)
                    way.append(now[0])
                ways.append(way[::-1] if d else way)
                last.append(now)
            steps = [torch.cat(parts) for parts in zip(*ways, strict=True)]
        width = directions * state[0].size(-1)
        blank = [x.new_zeros(width) for _ in range(x.size(0) - length)]
        rows.append(torch.stack([*steps, *blank]))
        finals.append(last)
    states = [torch.stack([torch.stack([one[k] for one in last]) for last in finals], 1) for k in range(len(state))]
    return [torch.stack(rows, 1), *states]
