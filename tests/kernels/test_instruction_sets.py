"""Every instruction set of this machine, by name: forward and every gradient against torch.nn in float64.

What torch.nn hasn't (projections but the LSTM's) or draws itself (dropout masks) is held against the reference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import nn

import statewise
from oracle import assert_close_to_float64, gradients, is_close_to_float64, over_lengths
from statewise import ops, reference
from statewise.kernels import cpu

ROW = 1  # the one that isn't finite, where there is one
KINDS = ("rnn_tanh", "rnn_relu", "lstm", "gru")
# No multiple of a vector's width among the sizes but one, and each with its own number of rows: one group of rows or
# several, full register tiles or not.
ROWS = {1: 1, 5: 3, 17: 8, 50: 13, 63: 9, 64: 16, 130: 19}
VARIANTS = {
    "one layer": {},
    "no bias, both directions": {"bias": False, "bidirectional": True},
    "three ragged layers": {"num_layers": 3, "ragged": True},
    "projected, both directions": {"projected": True, "bidirectional": True},
    "all at once": {"projected": True, "bidirectional": True, "num_layers": 2, "ragged": True, "masked": True},
    "masks": {"num_layers": 2, "masked": True},
}


@dataclass(frozen=True)
class Case:
    kind: str
    hidden: int
    n: int
    t: int = 6
    inputs: int = 7
    num_layers: int = 1
    bias: bool = True
    bidirectional: bool = False
    projected: bool = False
    ragged: bool = False
    masked: bool = False
    seed: int = 0

    def module(self, home, dtype):
        options = {"nonlinearity": self.kind.partition("_")[2]} if self.kind.startswith("rnn") else {}
        if self.projected and self.hidden > 1:
            options["proj_size"] = (self.hidden + 2) // 3
        make = getattr(home, self.kind.partition("_")[0].upper())
        return make(
            self.inputs,
            self.hidden,
            self.num_layers,
            bias=self.bias,
            bidirectional=self.bidirectional,
            dtype=dtype,
            **options,
        )


@cache
def data(case, dtype):
    """x, states, weights, masks, lengths."""
    torch.manual_seed(case.seed)
    layer = case.module(statewise, dtype)
    x = torch.randn(case.t, case.n, case.inputs, dtype=dtype)
    states = [torch.randn(layer._depth, case.n, size, dtype=dtype) for size in layer._state_sizes]
    weights = [p.detach() for p in layer.parameters()]
    lengths = torch.randint(0, case.t + 1, (case.n,)) if case.ragged else None
    shape = (case.num_layers - 1, case.t, case.n, layer._stack.directions * layer._stack.output_size)
    masks = list(torch.randint(0, 2, shape).to(dtype) * 2) if case.masked else []
    return x, states, weights, masks, lengths


def finish(results, leaves, incoming=None):
    generator = torch.Generator().manual_seed(1)
    cotangents = [torch.randn(r.shape, generator=generator, dtype=torch.float64) for r in results]
    if incoming is not None:
        cotangents[0][3, ROW, 0] = incoming
    return [r.detach() for r in results] + gradients(results, leaves, cotangents)


def run(recurrent, case, given, incoming=None):
    """Results and gradients by ``recurrent``, which takes what ``ops.recurrent`` does."""
    x, states, weights, masks, lengths = given
    x, *rest = leaves = [v.clone().requires_grad_() for v in (x, *states, *weights)]
    states, weights = rest[: len(states)], rest[len(states) :]
    stack = case.module(statewise, x.dtype)._stack
    return finish(recurrent(x, states, weights, stack, masks=masks, lengths=lengths), leaves, incoming)


def torchs(case, given, incoming=None):
    x, states, weights, masks, lengths = given
    layer = case.module(statewise, x.dtype)
    if masks or (layer.proj_size and case.kind != "lstm"):
        return run(reference.recurrent, case, given, incoming)
    layer = case.module(nn, x.dtype)
    with torch.no_grad():
        for p, w in zip(layer.parameters(), weights, strict=True):
            p.copy_(w)
    x, *states = [v.clone().requires_grad_() for v in (x, *states)]
    if lengths is None:
        output, final = layer(x, states if len(states) > 1 else states[0])
        results = [output, *(final if len(states) > 1 else [final])]
    else:
        results = over_lengths(layer, x, states, lengths.tolist())
    return finish(results, [x, *states, *layer.parameters()], incoming)


def cast(given, change):
    x, states, weights, masks, lengths = given
    return change(x), [*map(change, states)], [*map(change, weights)], [m.to(change(x).dtype) for m in masks], lengths


@cache
def expected(case, dtype):
    """The oracle: torch's results in float64 for the numbers as they are in ``dtype``."""
    return torchs(case, cast(data(case, dtype), lambda v: v.double()))


@cache
def peer(case, dtype):
    """torch's own results in ``dtype``; in float64 for numbers one unit in the last place away."""
    given = data(case, dtype)
    if dtype == torch.float64:
        given = cast(given, lambda v: torch.nextafter(v, torch.full_like(v, torch.inf)))
    return torchs(case, given)


def complaints(case, dtype):
    found = run(ops.recurrent, case, data(case, dtype))
    return is_close_to_float64(found, expected(case, dtype), lambda: peer(case, dtype))


def assert_accurate(case, dtype):
    """No complaints for one seed of three at least.

    Where a tensor has one element the peer's error may happen to be nothing, and near the kink of relu two correct
    results may differ by a whole gradient: data drawn anew tell such luck from a fault.
    """
    for seed in range(3):
        bad = complaints(replace(case, seed=seed), dtype)
        if not bad:
            return
    raise AssertionError("\n".join(bad))


@pytest.fixture(params=cpu.instruction_sets())
def _instruction_set(request):
    """Computes with one instruction set, and takes the reference for a failure."""
    before = cpu.instruction_set()
    cpu.use_instruction_set(request.param)
    statewise.warn_on_fallback()
    assert cpu.instruction_set() == request.param
    yield
    statewise.warn_on_fallback(False)
    cpu.use_instruction_set(before)


pytestmark = pytest.mark.usefixtures("_instruction_set")
BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


@BOTH
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", ROWS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_forward_and_gradients(kind, hidden, variant, dtype):
    assert_accurate(Case(kind, hidden, ROWS[hidden], **VARIANTS[variant]), dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", [1, 16, 65])
def test_other_input_sizes(kind, inputs):
    assert_accurate(Case(kind, 20, 11, inputs=inputs, bidirectional=True), torch.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 3, 25, 50, 70])
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
def test_many_steps(kind, n, ragged):
    """So many that they are taken in several chunks, by groups of rows of unequal size."""
    assert_accurate(Case(kind, 5, n, t=150, inputs=3, bidirectional=True, ragged=ragged), torch.float64)


@BOTH
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [256, pytest.param(512, marks=pytest.mark.slow)])
def test_wide_layers(kind, hidden, dtype):
    assert_accurate(Case(kind, hidden, 10, t=12, inputs=40), dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("t", "n"),
    [(100, 1000), *(pytest.param(*tn, marks=pytest.mark.slow) for tn in ((10, 10_000), (2000, 50), (20_000, 1)))],
)
def test_sums_over_thousands_of_rows_keep_their_digits(kind, t, n):
    """Those of the weights' and biases' gradients, beside torch.nn's, which takes minutes for five times the steps."""
    assert_accurate(Case(kind, 5, n, t=t, inputs=3), torch.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_sums_over_a_hundred_thousand_steps_keep_their_digits(kind, seed):
    """Which a flat sum in float32 would lose; no draw may fail. The oracle is float64 on the same kernels."""
    case = Case(kind, 5, 1, t=100_000, inputs=3, seed=seed)
    given = data(case, torch.float32)
    oracle = run(ops.recurrent, case, cast(given, lambda v: v.double()))
    assert_close_to_float64(run(ops.recurrent, case, given), oracle)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm", "gru"])
def test_sums_over_thousands_of_inputs_keep_their_digits(kind, seed):
    """Those of the products themselves, whose depth is I; no draw may fail."""
    assert not complaints(Case(kind, 50, 32, t=1, inputs=4000, seed=seed), torch.float32)


PLACES = {"x": torch.inf, "minus x": -torch.inf, "nan in x": torch.nan, "h0": torch.inf, "gradient": torch.inf}


def in_place(given, place):
    """``given`` with an element of row ``ROW`` that isn't finite."""
    x, states, *rest = given
    value = PLACES[place]
    if place == "h0":
        states = [states[0].index_fill(1, torch.tensor(ROW), value), *states[1:]]
    elif place != "gradient":
        x = x.clone()
        x[2, ROW, 0] = value
    return x, states, *rest


def assert_as_torch(found, oracle, what):
    for k, (a, b) in enumerate(zip(found, oracle, strict=True)):
        torch.testing.assert_close(
            a.double(), b, rtol=1e-4, atol=1e-4, equal_nan=True, msg=lambda m, k=k: f"{what}, result {k}: {m}"
        )


@BOTH
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [1, 5, 8, 20, 50, 63])
@pytest.mark.parametrize("variant", ["one layer", "three ragged layers", "projected, both directions"])
@pytest.mark.slow
def test_a_row_that_is_not_finite_spoils_no_other(kind, hidden, variant, dtype):
    """Every other row has the very bits that it has beside a finite one; this row and the weights what torch has."""
    case = Case(kind, hidden, n=5, inputs=3, **VARIANTS[variant])
    given = data(case, dtype)
    if case.ragged:
        given = *given[:-1], torch.tensor([2, 6, 6, 0, 4])
    others = [n for n in range(case.n) if n != ROW]
    finite = run(ops.recurrent, case, given)
    rows = len(given[1]) + 1  # y and the states, and as many gradients: those have rows
    for place in PLACES:
        spoilt = in_place(given, place)
        incoming = torch.inf if place == "gradient" else None
        found = run(ops.recurrent, case, spoilt, incoming)
        for k in range(2 * rows):
            assert torch.equal(found[k][:, others], finite[k][:, others]), (place, k)
        oracle = torchs(case, cast(spoilt, lambda v: v.double()), incoming)
        if kind == "gru" and place == "gradient":  # torch takes g - g * z, which is no number where g is infinite
            oracle = [torch.where(b.isnan() & a.isinf(), a.double(), b) for a, b in zip(found, oracle, strict=True)]
        assert_as_torch(found, oracle, place)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [1, 5, 8, 20, 50, 63])
def test_nor_in_a_frozen_layer(kind, hidden):
    case = Case(kind, hidden, n=5, inputs=3, bidirectional=True)
    given = data(case, torch.float32)
    layer = case.module(statewise, torch.float32)
    with torch.no_grad():
        for p, w in zip(layer.parameters(), given[2], strict=True):
            p.copy_(w)
    frozen = statewise.freeze(layer)

    def results(given):
        x, states, *_ = given
        with torch.no_grad():
            output, final = frozen(x, states[0] if len(states) == 1 else tuple(states))
        return [output, *([final] if len(states) == 1 else final)]

    others = [n for n in range(case.n) if n != ROW]
    finite = results(given)
    for place in ("x", "minus x", "nan in x", "h0"):
        spoilt = in_place(given, place)
        found = results(spoilt)
        for a, b in zip(found, finite, strict=True):
            assert torch.equal(a[:, others], b[:, others]), place
        assert_as_torch(found, torchs(case, cast(spoilt, lambda v: v.double()))[: len(found)], place)


def test_a_closed_forget_gate_forgets_everything():
    for bias, kept in ((-torch.inf, 0.0), (-89.0, 0.0), (-80.0, 1e38 * torch.tensor(-80.0).sigmoid().item())):
        layer = statewise.LSTM(1, 20)
        with torch.no_grad():
            for p in layer.parameters():
                p.zero_()
            layer.bias_ih_l0[20:40] = bias
            _, (_, c) = layer(torch.zeros(1, 1, 1), (torch.zeros(1, 1, 20), torch.full((1, 1, 20), 1e38)))
        torch.testing.assert_close(c, torch.full_like(c, kept))


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_near_the_largest_number(kind):
    """Gates far out are exactly closed, so that nothing of 1e38 is left in the gradients but what torch has."""
    case = Case(kind, 20, n=4, t=1, inputs=3)
    x, *rest = data(case, torch.float32)
    given = x * 1e37, *rest
    oracle = torchs(case, cast(given, lambda v: v.double()))
    if kind != "rnn_relu":  # whose sums overflow, in torch too
        assert_as_torch(run(ops.recurrent, case, given), oracle, kind)
