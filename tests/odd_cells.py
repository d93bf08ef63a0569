"""Cells that are unlike the built-in ones, for tests of what has to work for any description."""

from __future__ import annotations

from typing import Any

from statewise.cells import Cell, Vector

States = tuple[Any, ...]


def _indrnn(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    return (ops.relu(x.h + w.u * state[0]),)


def _mingru(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    z = ops.sigmoid(x.z)
    return ((1 - z) * state[0] + z * (ops.relu(x.h) + ops.minimum(ops.sigmoid(x.h), 0.5)),)


def _peephole(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    _, c = state
    i, f = ops.sigmoid(x.i + w.peep.i * c + r.i), ops.sigmoid(w.peep.f * c + (r.f + x.f))
    c = f * c + i * ops.tanh(x.g + r.g)
    return ops.sigmoid((x.o + w.peep.o * c) + r.o) * ops.tanh(c), c


def _coupled(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    _, c = state
    f = ops.sigmoid(x.f + r.f)
    c = f * c + (1 - f) * ops.tanh(x.g + r.g)
    return ops.sigmoid(x.o + r.o) * ops.tanh(c), c


def _late_gru(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    (h,) = state
    reset, update = ops.sigmoid(x.r + r.r), ops.sigmoid(x.z + r.z)
    new = ops.tanh(r.n(reset * h) + x.n)
    return ((1 - update) * new + update * h,)


def _late_pair(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    """Two late products, of a value that the second phase reads too, and a vector in either phase."""
    h, c = state
    reset = ops.sigmoid(x.r + r.r * w.scale)
    kept = reset * ops.tanh(c + w.shift)
    new = ops.tanh(x.n + r.n(kept)) + kept * w.scale
    gate = ops.sigmoid(x.g + r.g(kept))
    return gate * new + (1 - gate) * h, ops.tanh(c + new * reset)


def _mgu(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    (h,) = state
    f = ops.sigmoid(x.f + r.f)
    return (h - f * (h - ops.tanh(x.h + f * r.h)),)


def _layer_norm_lstm(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    _, c = state
    i, f, o = ops.sigmoid(x.i + r.i), ops.sigmoid(x.f + r.f), ops.sigmoid(x.o + r.o)
    c = f * c + i * ops.tanh(x.g + r.g)
    return o * ops.tanh(w.norm_c(c)), c


def _norms(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    """Two normalised states, which with their gates are read after the norms too, and one that is not normalised."""
    h, c, d, e = state
    i, f = ops.sigmoid(x.i + r.i), ops.tanh(x.f + r.f)
    c, d = c * i + w.shift * f, d + i * f
    inner = w.norm_c(c) * w.norm_d(d) + c * i
    return ops.tanh(inner + w.shift * h + x.o + r.o), c, d, e * i + f


def _slstm(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    _, c, n, m = state
    i, forget = x.i + r.i, ops.logsigmoid(x.f + r.f) + m
    m = ops.maximum(forget, i)
    i, f = ops.exp(i - m), ops.exp(forget - m)
    c, n = f * c + i * ops.tanh(x.z + r.z), f * n + i
    return ops.sigmoid(x.o + r.o) * c / n, c, n, m


def _six(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    _, c = state
    a, b, d = ops.sigmoid(x.a + r.a), ops.tanh(x.b + r.b), ops.sigmoid(x.d - r.d)
    e, f, g = ops.softplus(x.e + r.e), -x.f - r.f, ops.tanh(x.g * w.u + r.g)
    c = a * b + d * c - e * g
    return ops.tanh(c) * ops.sigmoid(f), c


def _everything(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    """Each operation, and each operator in both orders with a number."""
    h, c = state
    p, q = x.p + r.p, x.q + r.q
    total = ops.sigmoid(p) + ops.tanh(q) - ops.relu(p) * ops.exp(-ops.abs(q))
    total = total + ops.log(ops.abs(p) + 1.5) + ops.softplus(q) * ops.logsigmoid(p)
    total = ops.where(ops.relu(q), total, ops.where(c, p, 0.5) * q) + 0.25 * c
    total = total / (1 + ops.sqrt(ops.abs(q) + 0.25)) + ops.maximum(p, q) * ops.minimum(p, c)
    total = 2 - total / 4 + (3 / (ops.abs(total) + 2)) * (1.5 - ops.maximum(0.5, ops.sigmoid(p)))
    return ops.tanh(-total * h + 0.1), ops.minimum(ops.maximum(total, -2), 2) + 0 * c


def _leaky(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    """A pre-activation that the step reads after what is saved has taken its place."""
    a = x.a + r.a
    return (0.25 * a + ops.tanh(a),)


def _spare(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    """Gates, a product, a vector and a state's old value that it makes no use of; two states that are the same."""
    _, _, d = state
    new = ops.tanh(x.a + r.b)
    return new, new, d


def _uneven(ops: Any, x: Any, r: Any, w: Any, state: States) -> States:
    """Shares of inputs and of h that can't be added up before: they occur twice, or in products."""
    h, c = state
    gate = ops.sigmoid(x.a * r.a)
    new = ops.tanh(x.b + r.b) + x.b * 0.5
    return gate * new + h * (1 - gate) + r.c, ops.sigmoid(x.c) * c + r.c


def _cell(name: str, gates: str, states: str, step: Any, **rest: Any) -> Cell:
    return Cell(f"odd_{name}", gates=gates, states=states, step=step, **rest)


ODD_CELLS = (
    _cell("indrnn", "h", "h", _indrnn, recurrent="", vectors=(Vector("u"),)),
    _cell("mingru", "zh", "h", _mingru, recurrent=""),
    _cell("peephole", "ifgo", "hc", _peephole, vectors=(Vector("peep", "ifo"),)),
    _cell("coupled", "fgo", "hc", _coupled),
    _cell("late_gru", "rzn", "h", _late_gru, late="n"),
    _cell("late_pair", "rng", "hc", _late_pair, late="ng", vectors=(Vector("scale"), Vector("shift"))),
    _cell("mgu", "fh", "h", _mgu),
    _cell("layer_norm_lstm", "ifgo", "hc", _layer_norm_lstm, norms="xrc"),
    _cell("norms", "ifo", "hcde", _norms, norms="cd", vectors=(Vector("shift"),)),
    _cell("slstm", "zifo", "hcnm", _slstm, heads="h"),
    _cell("six", "abdefg", "hc", _six, vectors=(Vector("u"),)),
    _cell("everything", "pq", "hc", _everything),
    _cell("leaky", "a", "h", _leaky),
    _cell("spare", "ab", "hcd", _spare, vectors=(Vector("v"),)),
    _cell("uneven", "abc", "hc", _uneven),
)
