"""The kernels on a caller's own tensors: which calls they take, in which forms, and that they notice nothing of it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import statewise
from oracle import CELLS, LAYERS, flat
from statewise import ops
from statewise.ops import dlpack, eager
from statewise.ops.fallback import transform_reason

T, N, I, H = 5, 3, 4, 6  # noqa: E741
FORMS = {
    "plain": {},
    "no bias": {"bias": False},
    "both directions": {"bidirectional": True, "num_layers": 2},
    "projected": {"proj_size": 2, "num_layers": 2},
    "batch first": {"batch_first": True},
    "checkpoint": {"checkpoint": 2},
    "double": {"dtype": torch.float64},
}


@pytest.fixture
def taken(monkeypatch):
    """For each call so far whether the kernels took it: "forward" where they did, None if not; "reference" back."""
    seen = []

    def run_eager(*args):
        results = eager.run_eager(*args)
        seen.append(None if results is None else "forward")
        return results

    def by_reference(*args):
        seen.append("reference")
        return by_reference.original(*args)

    by_reference.original = eager.eager_by_reference
    monkeypatch.setattr(ops, "run_eager", run_eager)
    monkeypatch.setattr(eager, "eager_by_reference", by_reference)
    return seen


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert torch.equal(a, b)
            assert (a.dtype, a.requires_grad) == (b.dtype, b.requires_grad)


def made(kind, form):
    """A layer, an input and a state."""
    layer = getattr(statewise, kind)(I, H, **FORMS[form])
    dtype = layer.weight_ih_l0.dtype
    x = torch.randn(*((N, T) if layer.batch_first else (T, N)), I, dtype=dtype)
    hx = tuple(torch.randn(layer._depth, N, size, dtype=dtype) for size in layer._state_sizes)
    return layer, x, hx if len(hx) > 1 else hx[0]


def leaves_of(layer, x, states, needs):
    """The tensors that shall have a gradient, and they alone ask for one."""
    everything = {"x": [x], "states": states, "weights": list(layer.parameters()), "one weight": [layer.weight_hh_l0]}
    wanted = [*everything["x"], *states, *everything["weights"]] if needs == "all" else everything[needs]
    for v in (x, *states, *layer.parameters()):
        v.requires_grad_(any(v is w for w in wanted))
    return wanted


def all_of(results, wanted):
    """Results and gradients."""
    results = flat(results)
    cotangents = [torch.linspace(-1, 2, r.numel(), dtype=r.dtype).view_as(r) for r in results]
    return [*[r.detach() for r in results], *torch.autograd.grad(results, wanted, cotangents)]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("needs", ["all", "weights", "x", "states", "one weight"])
def test_gradients_that_are_asked_for(taken, kind, form, needs):
    """Each subset of the gradients has the bits that they have together."""
    layer, x, hx = made(kind, form)
    states = flat([hx])
    everything = [x, *states, *layer.parameters()]
    leaves_of(layer, x, states, "all")
    results = flat(layer(x, hx))
    full = all_of(results, everything)[len(results) :]
    wanted = leaves_of(layer, x, states, needs)
    found = all_of(layer(x, hx), wanted)[len(results) :]
    assert taken == ["forward", "forward"]
    assert_same(found, [g for g, v in zip(full, everything, strict=True) if any(v is w for w in wanted)])


# Every form of a call against the same one with (T, N, I): the states' place, and how results and gradients come back.


def time_first(layer, x, hx, **more):
    return flat(layer(x, hx, **more))


def batch_first(layer, x, hx, **more):
    layer.batch_first = True
    try:
        y, final = layer(x.transpose(0, 1).contiguous(), hx, **more)
    finally:
        layer.batch_first = False
    assert y.is_contiguous()
    return [y.transpose(0, 1), *flat(final)]


def unbatched(layer, x, hx):
    rows = [layer(x[:, n], tuple(h[:, n] for h in hx) if isinstance(hx, tuple) else hx[:, n]) for n in range(x.size(1))]
    return [torch.stack(parts, 1) for parts in zip(*[flat(r) for r in rows], strict=True)]


def one_row(layer, x, hx):
    rows = [(x[:, n : n + 1], [h[:, n : n + 1] for h in flat([hx])]) for n in range(x.size(1))]
    results = [layer(a, h[0] if len(h) == 1 else h) for a, h in rows]  # a list of states
    return [torch.cat(parts, 1) for parts in zip(*[flat(r) for r in results], strict=True)]


def strided(layer, x, hx):
    x = x.repeat_interleave(2, -1)[..., ::2]
    return flat(
        layer(x, tuple(h.transpose(0, 1).contiguous().transpose(0, 1) for h in hx) if type(hx) is tuple else hx)
    )


def negated(layer, x, hx):
    return flat(layer(torch._neg_view(-x), hx))


@pytest.mark.parametrize("form", [batch_first, unbatched, one_row, strided, negated])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"proj_size": 2}], ids=str)
def test_every_form_is_the_same_call(taken, kind, form, options):
    layer = getattr(statewise, kind)(I, H, **options, dtype=torch.float64)
    x = torch.randn(T, N, I, dtype=torch.float64)
    hx = tuple(torch.randn(layer._depth, N, size, dtype=torch.float64) for size in layer._state_sizes)
    wanted = leaves_of(layer, x, list(hx), "all")
    hx = hx if len(hx) > 1 else hx[0]
    expected, found = all_of(time_first(layer, x, hx), wanted), all_of(form(layer, x, hx), wanted)
    assert set(taken) == {"forward"}
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("lengths", [[5, 3, 1], [1, 5, 3], [2, 0, 4]], ids=str)
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"checkpoint": 2}], ids=str)
def test_ragged_rows_in_every_form(taken, kind, lengths, options):
    """Lengths, lengths batch first, packed rows, packed rows in another order: and the states stay in the caller's."""
    layer = getattr(statewise, kind)(I, H, **options)
    x = torch.randn(T, N, I)
    hx = tuple(torch.randn(layer._depth, N, size) for size in layer._state_sizes)
    wanted = leaves_of(layer, x, list(hx), "all")
    hx = hx if len(hx) > 1 else hx[0]
    n = torch.tensor(lengths)
    expected = all_of(time_first(layer, x, hx, lengths=n), wanted)
    assert_same(all_of(batch_first(layer, x, hx, lengths=n), wanted), expected)
    forms = 2
    if min(lengths):
        packed = pack_padded_sequence(x, n, enforce_sorted=False)
        y, final = layer(packed, hx)
        assert type(y) is PackedSequence
        assert torch.equal(y.batch_sizes, packed.batch_sizes)
        padded, _ = torch.nn.utils.rnn.pad_packed_sequence(y)
        assert_same(all_of([padded, *flat(final)], wanted), expected)
        forms = 3
    assert taken == ["forward"] * forms


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_cells_forms(taken, kind, bias):
    cell = getattr(statewise, kind)(I, H, bias=bias, dtype=torch.float64)
    x, states = torch.randn(N, I, dtype=torch.float64), [torch.randn(N, H, dtype=torch.float64) for _ in range(2)]
    states = states[: len(cell._stack.cell.states)]
    wanted = [v.requires_grad_() for v in (x, *states)] + list(cell.parameters())
    expected = all_of(cell(x, states if len(states) > 1 else states[0]), wanted)
    rows = [cell(x[n], tuple(s[n] for s in states) if len(states) > 1 else states[0][n]) for n in range(N)]
    found = all_of([torch.stack(parts) for parts in zip(*[flat([r]) for r in rows], strict=True)], wanted)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert taken == ["forward"] * (1 + N)


@pytest.mark.parametrize("kind", LAYERS)
def test_without_gradients(taken, kind):
    layer, x, hx = made(kind, "plain")
    expected = [r.detach() for r in flat(layer(x, hx))]
    with torch.no_grad():
        found = flat(layer(x, hx))
    assert_same(found, expected)
    assert taken == ["forward"] * 2


STRIDES = {
    "batch first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "expanded": lambda x: x[:1].expand(T, N, I),
    "expanded rows": lambda x: x[:, :1].expand(T, N, I),
    "every other": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "features apart": lambda x: x.repeat_interleave(2, 2)[..., ::2],
}


@pytest.mark.parametrize("strides", STRIDES)
def test_any_strides_of_rows(taken, strides):
    layer, x, hx = made("LSTM", "plain")
    x = STRIDES[strides](x).detach().requires_grad_()
    dense = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    assert_same(all_of(layer(x, hx), [x]), all_of(layer(dense, hx), [dense]))
    assert taken == ["forward"] * 2


INCOMING = {
    "expanded": lambda y, h: y.sum(),
    "the state's alone": lambda y, h: (h * h).sum(),
    "expanded state's": lambda y, h: h.sum(),
    "transposed": lambda y, h: (y.transpose(0, 2) * torch.arange(float(T))).sum() + h.prod(),
    "rows apart": lambda y, h: torch.cat([y, y.cos()], -1).square().sum(),
}


@pytest.mark.parametrize("incoming", INCOMING)
def test_any_incoming_gradients(taken, incoming):
    layer, x, _ = made("GRU", "double")
    weights = list(layer.parameters())
    found = torch.autograd.grad(INCOMING[incoming](*layer(x)), weights)
    expected = torch.autograd.grad(
        INCOMING[incoming](*statewise.reference.recurrent(x, None, weights, layer._stack)), weights
    )
    torch.testing.assert_close(found, expected)
    assert taken == ["forward"]


OTHERS = {
    "zeros": lambda layer, x: layer(torch._efficientzerotensor(T, N, I)),
    "a subclass": lambda layer, x: layer(x.as_subclass(type("Other", (Tensor,), {}))),
    "autocast": lambda layer, x: autocast(layer, x),
    "vmap": lambda layer, x: torch.func.vmap(layer, in_dims=1)(x),
    "forward mode": lambda layer, x: forward_mode(layer, x),
    "a mode": lambda layer, x: in_a_mode(layer, x),
    "a parametrization": lambda layer, x: parametrized(layer)(x),
}


def autocast(layer, x):
    with torch.autocast("cpu", torch.bfloat16):
        return layer(x)


def forward_mode(layer, x):
    with torch.autograd.forward_ad.dual_level():
        return layer(x)


class Passes(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **kwargs or {})


def in_a_mode(layer, x):
    with Passes():
        return layer(x)


def parametrized(layer):
    parametrize.register_parametrization(layer, "weight_hh_l0", torch.nn.Identity())
    return layer


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("kind", OTHERS)
def test_other_calls_are_not_taken_as_they_come(taken, kind):
    layer, x, _ = made("LSTM", "plain")
    OTHERS[kind](layer, x)
    assert taken[0] is None


def test_lengths_that_are_no_tensor(taken):
    layer, x, hx = made("LSTM", "plain")
    assert_same(flat(layer(x, hx, lengths=[2, T, 1])), flat(layer(x, hx, lengths=torch.tensor([2, T, 1]))))
    assert taken[-1] == "forward"


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("sizes", [(0, N), (T, 0)], ids=["no steps", "no rows"])
def test_nothing_to_compute(taken, kind, sizes):
    layer, _, hx = made(kind, "both directions")
    x = torch.randn(*sizes, I, requires_grad=True)
    hx = [torch.randn(layer._depth, sizes[1], size, requires_grad=True) for size in layer._state_sizes]
    output, *final = flat(layer(x, hx if len(hx) > 1 else hx[0]))
    assert output.shape == (*sizes, 2 * H)
    assert_same([h.detach() for h in final], [h.detach() for h in hx])
    found = torch.autograd.grad(
        [output, *final], [x, *hx, *layer.parameters()], [torch.ones_like(r) for r in (output, *final)]
    )
    assert torch.equal(found[1], torch.ones_like(hx[0]))
    assert all(g.abs().sum() == 0 for g in found[1 + len(hx) :])
    assert taken == ["forward"]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("form", ["dense", "lengths", "packed", "unbatched", "batch first"])
def test_dropout_draws_torchs_masks(taken, kind, form):
    """With the same seed the very numbers of torch.nn; drawn once, and none where nothing is computed."""
    torch.manual_seed(0)
    ours = getattr(statewise, kind)(I, H, 3, dropout=0.5, batch_first=form == "batch first")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(I, H, 3, dropout=0.5, batch_first=form == "batch first")
    x = torch.randn(T, N, I)
    inputs = {"packed": pack_padded_sequence(x, [T, 2, 1]), "unbatched": x[:, 0], "batch first": x.transpose(0, 1)}
    results = []
    for layer in (ours, theirs):
        torch.manual_seed(1)
        results.append([r.detach() for r in flat(layer(inputs.get(form, x)))[:1]])
        results[-1].append(torch.rand(1))  # as many numbers were drawn
    torch.testing.assert_close(*results)
    with pytest.raises(RuntimeError, match=r"input\.size"):
        ours(torch.randn(T, N, I + 1))
    assert taken[0] == "forward"
    if form == "lengths":
        torch.manual_seed(1)
        y = ours(x, lengths=torch.tensor([T, T, T]))[0]
        torch.testing.assert_close(y.detach(), results[0][0])


MISTAKES = {
    "width": lambda layer, x, hx: layer(x[..., :3], hx),
    "rank": lambda layer, x, hx: layer(x[None], hx),
    "one axis": lambda layer, x, hx: layer(x[0, 0], hx),
    "dtype": lambda layer, x, hx: layer(x.double(), hx),
    "no tensor": lambda layer, x, hx: layer([1.0], hx),
    "state's size": lambda layer, x, hx: layer(x, tuple(h[:, :1] for h in hx)),
    "state's dtype": lambda layer, x, hx: layer(x, tuple(h.double() for h in hx)),
    "state's rank": lambda layer, x, hx: layer(x, tuple(h[0] for h in hx)),
    "state's kind": lambda layer, x, hx: layer(x, hx[0]),
    "states' number": lambda layer, x, hx: layer(x, hx * 2),
    "weight's size": lambda layer, x, hx: torch.func.functional_call(
        layer, {"weight_hh_l0": torch.zeros(4 * H, H + 1)}, (x, hx)
    ),
    "weight's dtype": lambda layer, x, hx: torch.func.functional_call(
        layer, {"bias_hh_l0": torch.zeros(4 * H, dtype=torch.float64)}, (x, hx)
    ),
}


@pytest.mark.parametrize("form", ["plain", "batch first"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told(taken, mistake, form):
    layer, x, hx = made("LSTM", form)
    with pytest.raises((RuntimeError, ValueError, TypeError, AttributeError), match=r"\w") as told:
        MISTAKES[mistake](layer, x, hx)
    assert taken == [None]
    assert mistake == "no tensor" or any(word in str(told.value) for word in ("xpected", "must", "should", "match"))


ROWS = {
    "too few": lambda b, s, u: (b[:-1], s, u),
    "growing": lambda b, s, u: (b.flip(0), s, u),
    "negative": lambda b, s, u: (torch.cat([b[:-1], -b[-1:]]), s, u),
    "no permutation": lambda b, s, u: (b, torch.zeros_like(s), u),
    "past the end": lambda b, s, u: (b, s + 1, u),
    "another inverse": lambda b, s, u: (b, s, s),
    "int32": lambda b, s, u: (b.int(), s, u),
    "no inverse": lambda b, s, u: (b, s, None),
}


@pytest.mark.parametrize("rows", ROWS)
def test_rows_that_make_no_sense_are_not_taken(rows):
    """C++ reads memory by these numbers."""
    layer, x, hx = made("LSTM", "plain")
    data, *counts = pack_padded_sequence(x, [2, T, 4], enforce_sorted=False)
    weights = list(layer.parameters())
    call = (layer._kernel, layer._stack, layer._form, data, hx, weights, None)
    assert eager.run_eager(*call, tuple(counts)) is not None
    assert eager.run_eager(*call, ROWS[rows](*counts)) is None


@pytest.mark.parametrize("lengths", [[1, 2], [1, 2, T + 1], [1, -1, 2], [[1, 2, 3]], [1.0, 2.0, 3.0]], ids=str)
def test_lengths_that_make_no_sense_are_not_taken(lengths):
    layer, x, hx = made("LSTM", "plain")
    weights = list(layer.parameters())
    call = (layer._kernel, layer._stack, layer._form, x, hx, weights, None)
    assert eager.run_eager(*call, torch.tensor([1, 2, T])) is not None
    assert eager.run_eager(*call, torch.tensor(lengths)) is None
    with pytest.raises((TypeError, ValueError), match="Expected lengths"):
        layer(x, hx, lengths=lengths)


def test_weights_are_read_anew(taken):
    layer, x, _ = made("GRU", "plain")
    before = layer(x)[0]
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
    after = layer(x)[0]
    layer.weight_hh_l0.data = layer.weight_hh_l0.data / 2
    assert not torch.equal(before, after)
    assert torch.equal(layer(x)[0], before)
    assert taken == ["forward"] * 3


def test_a_weight_changed_before_backward_is_seen():
    layer, x, _ = made("LSTM", "plain")
    y, _ = layer(x)
    with torch.no_grad():
        layer.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_backward_twice_and_freed():
    layer, x, _ = made("LSTM", "plain")
    y, _ = layer(x)
    weights = list(layer.parameters())
    incoming = torch.ones_like(y)
    first = torch.autograd.grad(y, weights, incoming, retain_graph=True)
    assert_same(torch.autograd.grad(y, weights, incoming), first)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y, weights, incoming)


@pytest.mark.parametrize("form", ["double", "batch first", "unbatched", "packed", "lengths", "cell"])
def test_derivatives_of_derivatives_are_the_references(taken, form):
    more = {}
    if form == "cell":
        layer, x = statewise.GRUCell(I, H, dtype=torch.float64), torch.randn(N, I, dtype=torch.float64)
    else:
        layer, x = (
            statewise.GRU(I, H, batch_first=form == "batch first", dtype=torch.float64),
            torch.randn(T, N, I).double(),
        )
    if form == "lengths":
        more = {"lengths": torch.tensor([2, T, 1])}
    leaf = x.requires_grad_()
    if form in ("unbatched", "batch first"):
        x = x[:, 0] if form == "unbatched" else x.transpose(0, 1)

    def call():
        given = pack_padded_sequence(x, [2, T, 1], enforce_sorted=False) if form == "packed" else x
        y = flat(layer(given, **more))[0]
        (g,) = torch.autograd.grad(y.square().sum(), [leaf], create_graph=True)
        return torch.autograd.grad(g.square().sum(), [leaf, *layer.parameters()])

    found = call()
    # The first derivative is recorded; the second passes through the output once more, by which it came in.
    assert taken == ["forward", "reference"]
    ops.dlpack.cpu.disconnect()
    try:
        expected = call()
    finally:
        dlpack.connect()
    torch.testing.assert_close(found, expected)


def test_batched_gradients_are_the_references(taken):
    layer, x, _ = made("GRU", "plain")
    x.requires_grad_()
    y, _ = layer(x)
    torch.autograd.grad(y, [x], torch.randn(2, *y.shape), is_grads_batched=True)
    torch.autograd.grad(layer(x)[0], [x], torch._efficientzerotensor(y.shape))
    assert taken == ["forward", "reference", "forward", "reference"]


def test_saved_tensors_are_unpacked_once():
    layer, x, _ = made("GRU", "plain")
    packed, unpacked = [], []

    def pack(t):
        packed.append(t)
        return t

    def unpack(t):
        unpacked.append(t)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        y, _ = layer(x)
    y.backward(torch.ones_like(y))
    assert len(packed) == len(unpacked) == 1 + 4 + 1  # x, weights, tape


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupt_goes_on(taken, monkeypatch, error):
    """Ctrl-C may arrive in a check that is Python; what else fails there calls for the long way."""

    def fails():
        raise error

    layer, x, _ = made("GRU", "plain")
    monkeypatch.setattr(dlpack, "_MODES", (fails,))
    dlpack.connect()
    try:
        if error is KeyboardInterrupt:
            with pytest.raises(KeyboardInterrupt):
                layer(x)
        else:
            layer(x)
            assert taken[0] is None
    finally:
        monkeypatch.undo()
        dlpack.connect()


def test_a_layer_stays_copyable(taken):
    layer, x, _ = made("LSTM", "plain")
    again = copy.deepcopy(layer)
    assert torch.equal(again(x)[0], layer(x)[0])
    assert taken == ["forward"] * 2


@pytest.mark.parametrize(("device", "served"), [("cpu", True), ("meta", False)])
def test_a_default_device(taken, device, served):
    """torch sees to it by intercepting functions; the CPU as the default changes nothing here."""
    layer, x, _ = made("GRU", "plain")
    frozen = statewise.freeze(copy.deepcopy(layer).eval())
    torch.set_default_device(device)
    try:
        assert (transform_reason() is None) == served
        if served:
            y, _ = layer(x)
            y.backward(torch.ones_like(y))
            assert taken == ["forward"]
            assert torch.equal(frozen(x)[0], y)
            with Passes():
                assert transform_reason() is not None
    finally:
        torch.set_default_device(None)
    assert transform_reason() is None


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"nonlinearity": "relu"}], ids=str)
@pytest.mark.parametrize("ragged", [False, True])
def test_the_output_may_be_overwritten_before_backward(kind, options, ragged):
    """As torch.nn allows: what backward needs of it is on the tape."""
    if kind == "GRU" and "nonlinearity" in options:
        pytest.skip("an RNN's option")
    layer = getattr(statewise, kind)(I, H, dtype=torch.float64, **options)
    x = torch.randn(T, N, I, dtype=torch.float64, requires_grad=True)
    more = {"lengths": torch.tensor([2, T, 1])} if ragged else {}
    leaves = [x, *layer.parameters()]
    expected = torch.autograd.grad(torch.relu(layer(x, **more)[0]).square().sum(), leaves)
    found = torch.autograd.grad(torch.relu_(layer(x, **more)[0]).square().sum(), leaves)
    assert_same(found, expected)
