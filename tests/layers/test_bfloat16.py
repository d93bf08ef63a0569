"""bfloat16: layers of such weights, autocast, and products of float32 under the matmul precision "medium"."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import statewise
from oracle import CELLS, LAYERS, flat, pair
from statewise.kernels import cpu

needs_bfloat16 = pytest.mark.skipif(
    not cpu.computes_bfloat16(), reason="this processor doesn't multiply bfloat16 (AVX512-BF16)"
)
HALF = torch.bfloat16
# T, N, I, H and options: odd and even, widths of one vector, of less and of more.
CASES = {
    "odd": (7, 5, 3, 5, {}),
    "wide": (9, 16, 20, 33, {}),
    "even": (30, 17, 16, 64, {}),
    "vectors": (12, 9, 63, 50, {"num_layers": 2}),
    "two directions": (11, 6, 31, 18, {"num_layers": 2, "bidirectional": True}),
    "no bias, batch first": (8, 4, 15, 17, {"bias": False, "batch_first": True}),
    "projected": (10, 8, 9, 21, {"proj_size": 7}),
}


@pytest.fixture
def medium():
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision("highest")


def tensors(result) -> list[Tensor]:
    return [t.data if isinstance(t, PackedSequence) else t for t in flat(result)]


def outcome_of(module: nn.Module, x: Tensor, hx: list[Tensor], cotangents: list[Tensor], call=None) -> list[Tensor]:
    """Results and gradients of x, the states and the parameters, of a loss that weighs all results."""
    x, hx = x.clone().requires_grad_(), [s.clone().requires_grad_() for s in hx]
    given = (hx[0] if len(hx) == 1 else tuple(hx)) if hx else None
    results = tensors(module(x, given) if call is None else call(module, x, given))
    sum((r.double() * g.double()).sum() for r, g in zip(results, cotangents, strict=True)).backward()
    return [*results, x.grad, *(s.grad for s in hx), *(p.grad for p in module.parameters())]


def check(ours: list[Tensor], theirs: list[Tensor], exact: list[Tensor]) -> None:
    """Each as near to float64 as twice torch.nn's, or as rounding it alone allows."""
    for i, (a, b, e) in enumerate(zip(ours, theirs, exact, strict=True)):
        size = e.norm()
        error, bar = ((t.double() - e).norm() / size for t in (a, b))
        assert error <= max(2 * bar, 2**-9), f"tensor {i}: {error:.2e} beside torch.nn's {bar:.2e}"


def widened(module: nn.Module, kind: str, args, options) -> nn.Module:
    exact = getattr(nn, kind)(*args, **options).double()
    exact.load_state_dict({k: v.double() for k, v in module.state_dict().items()})
    return exact


def problem(kind: str, case: str, dtype: torch.dtype, states: bool):
    t, n, i, h, options = CASES[case]
    if kind != "LSTM" and "proj_size" in options:
        pytest.skip("torch.nn has no projection here")
    theirs, ours = pair(kind, i, h, **options)
    theirs, ours = theirs.to(dtype), ours.to(dtype)
    exact = widened(theirs, kind, (i, h), options)
    x = torch.randn((n, t, i) if options.get("batch_first") else (t, n, i)).to(HALF).to(dtype)
    with torch.no_grad():
        shapes = [r.shape for r in flat(exact(x.double()))]
    hx = [torch.randn(s).to(HALF).to(dtype) for s in shapes[1:]] if states else []
    cotangents = [torch.randn(s).to(HALF) for s in shapes]
    return theirs, ours, exact, x, hx, cotangents


def doubled(hx: list[Tensor]) -> list[Tensor]:
    return [s.double() for s in hx]


@needs_bfloat16
@pytest.mark.parametrize("states", [False, True], ids=["from zeros", "from states"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", LAYERS)
def test_weights_of_bfloat16(kind, case, states):
    theirs, ours, exact, x, hx, cotangents = problem(kind, case, HALF, states)
    found = outcome_of(ours, x, hx, cotangents)
    assert all(t.dtype is HALF for t in found)
    check(found, outcome_of(theirs, x, hx, cotangents), outcome_of(exact, x.double(), doubled(hx), cotangents))


@needs_bfloat16
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_cells_of_bfloat16(kind, rows):
    theirs, ours = (m.to(HALF) for m in pair(kind, 13, 21))
    exact = widened(theirs, kind, (13, 21), {})
    x = torch.randn(rows, 13).to(HALF)
    hx = [torch.randn(rows, 21).to(HALF) for _ in range(1 + (kind == "LSTMCell"))]
    cotangents = [torch.randn(rows, 21) for _ in hx]
    check(
        outcome_of(ours, x, hx, cotangents),
        outcome_of(theirs, x, hx, cotangents),
        outcome_of(exact, x.double(), doubled(hx), cotangents),
    )


LENGTHS = torch.tensor([3, 9, 1, 4, 9, 2, 7, 5, 6, 8])


def packed(module: nn.Module, x: Tensor, hx):
    return module(pack_padded_sequence(x, LENGTHS, enforce_sorted=False), hx)


def with_lengths(module: nn.Module, x: Tensor, hx):
    """The same steps in the same order."""
    output, final = module(x, hx, lengths=LENGTHS)
    return pack_padded_sequence(output, LENGTHS, enforce_sorted=False), final


@needs_bfloat16
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("how", [packed, with_lengths])
def test_ragged_rows_of_bfloat16(kind, how):
    theirs, ours = (m.to(HALF) for m in pair(kind, 7, 19, bidirectional=True))
    exact = widened(theirs, kind, (7, 19), {"bidirectional": True})
    x = torch.randn(9, 10, 7).to(HALF)
    cotangents = [torch.randn(r.shape) for r in tensors(packed(theirs, x, None))]
    check(
        outcome_of(ours, x, [], cotangents, how),
        outcome_of(theirs, x, [], cotangents, packed),
        outcome_of(exact, x.double(), [], cotangents, packed),
    )


@needs_bfloat16
@pytest.mark.parametrize("kind", LAYERS)
def test_dropout_of_bfloat16_draws_torchs_masks(kind):
    theirs, ours = (m.to(HALF) for m in pair(kind, 12, 20, num_layers=3, dropout=0.4))
    x = torch.randn(9, 8, 12).to(HALF)
    found = []
    for module in (ours, theirs):
        torch.manual_seed(3)
        results = flat(module(x))
        results[0].float().sum().backward()
        found.append([*results, *(p.grad for p in module.parameters())])
    for a, b in zip(*found, strict=True):
        assert (a.double() - b.double()).norm() <= 0.03 * b.double().norm()


@needs_bfloat16
@pytest.mark.parametrize("kind", LAYERS)
def test_checkpoints_of_bfloat16(kind):
    """Backward reads the output then, which has bfloat16's digits, where the tape would have had float32's."""
    theirs, ours = (m.to(HALF) for m in pair(kind, 6, 10))
    exact = widened(theirs, kind, (6, 10), {})
    ours.checkpoint = 4
    x = torch.randn(300, 3, 6).to(HALF)
    cotangents = [torch.randn(r.shape) for r in flat(theirs(x))]
    check(
        outcome_of(ours, x, [], cotangents),
        outcome_of(theirs, x, [], cotangents),
        outcome_of(exact, x.double(), [], cotangents),
    )


@needs_bfloat16
@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_no_reference_for_bfloat16(kind, monkeypatch):
    def refuse(*_args):
        raise AssertionError("the reference was taken")

    monkeypatch.setattr("statewise.ops.operation.run_reference", refuse)
    monkeypatch.setattr("statewise.ops.operation.torch_kernels.run_torch", refuse)
    x = torch.randn((4, 5) if kind.endswith("Cell") else (3, 4, 5))
    flat(getattr(statewise, kind)(5, 6, dtype=HALF)(x.to(HALF)))
    with torch.autocast("cpu", HALF):
        flat(getattr(statewise, kind)(5, 6)(x))


# Autocast


@pytest.mark.parametrize("weights", [torch.float32, HALF], ids=str)
@pytest.mark.parametrize("projected", [False, True], ids=["", "projected"])
@pytest.mark.parametrize("kind", LAYERS + CELLS)
def test_autocast_answers_in_torchs_dtypes(kind, projected, weights):
    if projected and kind != "LSTM":
        pytest.skip("torch.nn has no projection here")
    options = {"proj_size": 3} if projected else {}
    theirs, ours = (m.to(weights) for m in pair(kind, 4, 6, **options))
    cell = kind.endswith("Cell")
    x = torch.randn((2, 4) if cell else (5, 2, 4))
    shapes = [r.shape for r in flat(theirs.float()(x))][0 if cell else 1 :]
    theirs.to(weights)
    for given, state in itertools.product([torch.float32, HALF], [None, torch.float32, HALF]):
        hx = None if state is None else [torch.zeros(s, dtype=state) for s in shapes]
        hx = hx if hx is None else hx[0] if len(hx) == 1 else tuple(hx)
        with torch.autocast("cpu", HALF):
            a, b = flat(ours(x.to(given), hx)), flat(theirs(x.to(given), hx))
        assert [r.dtype for r in a] == [r.dtype for r in b], (given, state)


@needs_bfloat16
@pytest.mark.parametrize("case", ["wide", "vectors", "two directions", "projected"])
@pytest.mark.parametrize("kind", LAYERS)
def test_autocast_is_as_exact_as_torchs(kind, case):
    theirs, ours, exact, x, hx, cotangents = problem(kind, case, torch.float32, True)

    def cast(module, x, hx):
        with torch.autocast("cpu", HALF):
            return module(x, hx)

    found = outcome_of(ours, x, hx, cotangents, cast)
    assert all(p.grad.dtype is torch.float32 for p in ours.parameters())
    check(found, outcome_of(theirs, x, hx, cotangents, cast), outcome_of(exact, x.double(), doubled(hx), cotangents))


@needs_bfloat16
def test_the_kernels_compute_a_backward_under_autocast(monkeypatch):
    """Which torch advises against, and programs do."""

    def refuse(*_args):
        raise AssertionError("the reference was taken")

    monkeypatch.setattr("statewise.ops.eager.eager_by_reference", refuse)
    layer = statewise.LSTM(5, 6)
    with torch.autocast("cpu", HALF):
        layer(torch.randn(3, 8, 5))[0].float().sum().backward()
    assert layer.weight_hh_l0.grad.any()


# The matmul precision


@needs_bfloat16
@pytest.mark.parametrize("case", ["odd", "even", "vectors", "projected"])
@pytest.mark.parametrize("kind", LAYERS)
def test_medium_rounds_what_is_multiplied(kind, case, medium):
    """Float32 remains what is stored: the errors are those of the products' operands."""
    _, ours, exact, x, hx, cotangents = problem(kind, case, torch.float32, True)
    found = outcome_of(ours, x, hx, cotangents)
    wanted = outcome_of(exact, x.double(), doubled(hx), cotangents)
    assert all(t.dtype is torch.float32 for t in found)
    errors = [((a.double() - e).norm() / e.norm()).item() for a, e in zip(found, wanted, strict=True)]
    assert max(errors) < 2**-6
    assert errors[0] > 2**-14  # float32's own is 2**-20


@needs_bfloat16
@pytest.mark.parametrize("kind", LAYERS)
def test_what_forward_rounded_backward_rounds(kind, medium):
    """The precision is that of the call, whatever is set when its gradient is asked for."""
    ours = getattr(statewise, kind)(8, 16)
    x, cotangents = torch.randn(6, 9, 8), None
    found = []
    for later in ("medium", "highest"):
        torch.set_float32_matmul_precision("medium")
        results = flat(ours(x))
        cotangents = cotangents or [torch.randn(r.shape) for r in results]
        torch.set_float32_matmul_precision(later)
        found.append(torch.autograd.grad(results, list(ours.parameters()), cotangents))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_the_precision_changes_nothing_elsewhere(precision):
    """Not "high", not in float64, and not in an instruction set that doesn't multiply bfloat16."""
    before = cpu.instruction_set()
    layers = [statewise.LSTM(7, 20), statewise.GRU(7, 20).double()]
    xs = [torch.randn(5, 8, 7), torch.randn(5, 8, 7, dtype=torch.float64)]

    def results():
        return [r for layer, x in zip(layers, xs, strict=True) for r in flat(layer(x))]

    try:
        if precision == "medium":
            cpu.use_instruction_set(cpu.instruction_sets()[0])
            if cpu.computes_bfloat16():
                pytest.skip("compiled for one instruction set alone")
        exact = results()
        torch.set_float32_matmul_precision(precision)
        assert all(torch.equal(a, b) for a, b in zip(results(), exact, strict=True))
    finally:
        torch.set_float32_matmul_precision("highest")
        cpu.use_instruction_set(before)


@needs_bfloat16
@pytest.mark.parametrize("kind", LAYERS)
def test_a_frozen_layer_follows_the_precision(kind, medium):
    live = getattr(statewise, kind)(9, 20).eval()
    frozen = statewise.freeze(live)
    x = torch.randn(6, 10, 9)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(flat(frozen(x)), flat(live(x)), strict=True))


# Threads


@needs_bfloat16
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("dtype", [HALF, torch.float32], ids=str)
def test_bits_are_the_same_for_any_number_of_threads(kind, dtype, medium):
    ours = getattr(statewise, kind)(40, 48, num_layers=2, dtype=dtype)
    x = torch.randn(40, 36, 40).to(dtype)
    cotangents = [torch.randn(r.shape) for r in flat(ours(x))]
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            ours.zero_grad(set_to_none=True)
            found.append(outcome_of(ours, x, [], cotangents))
    finally:
        torch.set_num_threads(1)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, found[0], strict=True))
