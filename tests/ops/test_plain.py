"""The short way: which calls take it, and that they notice nothing of it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pack_padded_sequence

import statewise
from oracle import LAYERS, flat
from statewise.kernels import cpu
from statewise.ops import dlpack
from statewise.ops.fallback import transform_reason

pytestmark = pytest.mark.skipif(
    not hasattr(Tensor, "__dlpack_c_exchange_api__"), reason="this torch has no exchange, and so no short way"
)

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
    """For each call so far whether the short way served it: "forward" and "backward" where it did, None if not."""
    seen = []

    def watched(name):
        entry = getattr(cpu, f"{name}_tensors")

        def call(*args):
            results = entry(*args)
            seen.append(None if results is None else name)
            return results

        return call

    for name in ("forward", "backward"):
        monkeypatch.setattr(cpu, f"{name}_tensors", watched(name))
    return seen


@pytest.fixture(params=["short", "long"])
def way(request):
    """Both ways, one after the other."""
    if request.param == "long":
        cpu.disconnect()
    yield request.param
    dlpack.connect()


def on_both_ways(call):
    """What ``call`` gives by the short way, and by the long one."""
    short = call()
    cpu.disconnect()
    try:
        return short, call()
    finally:
        dlpack.connect()


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert torch.equal(a, b)
            assert (a.stride(), a.dtype, a.requires_grad) == (b.stride(), b.dtype, b.requires_grad)


def made(kind, form):
    """A layer, an input and a state."""
    layer = getattr(statewise, kind)(I, H, **FORMS[form])
    dtype = layer.weight_ih_l0.dtype
    x = torch.randn(*((N, T) if layer.batch_first else (T, N)), I, dtype=dtype)
    hx = tuple(torch.randn(layer._depth, N, size, dtype=dtype) for size in layer._state_sizes)
    return layer, x, hx if len(hx) > 1 else hx[0]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("begun", [False, True], ids=["from zeros", "from a state"])
@pytest.mark.parametrize("needs", ["all", "weights", "x", "states", "one weight"])
def test_both_ways_give_the_same_bits(taken, kind, form, begun, needs):
    layer, x, hx = made(kind, form)
    states = flat([hx]) if begun else []
    wanted = {"all": [x, *states, *layer.parameters()], "weights": list(layer.parameters()), "x": [x]}
    wanted |= {"states": states, "one weight": [layer.weight_hh_l0]}
    if not wanted[needs]:
        pytest.skip("no state")
    for v in (x, *states, *layer.parameters()):
        v.requires_grad_(any(v is w for w in wanted[needs]))

    def call():
        results = flat(layer(x, hx) if begun else layer(x))
        cotangents = [torch.linspace(-1, 2, r.numel(), dtype=r.dtype).view_as(r) for r in results]
        return [*results, *torch.autograd.grad(results, wanted[needs], cotangents)]

    short, long = on_both_ways(call)
    assert taken[:2] == ["forward", "backward"]
    assert_same(short, long)


@pytest.mark.parametrize("kind", LAYERS)
def test_without_gradients(taken, kind):
    layer, x, hx = made(kind, "plain")

    def call():
        with torch.no_grad():
            return flat(layer(x, hx))

    short, long = on_both_ways(call)
    assert_same(short, long)
    assert taken == ["forward", None]


STRIDES = {
    "batch first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "expanded": lambda x: x[:1].expand(T, N, I),
    "expanded rows": lambda x: x[:, :1].expand(T, N, I),
    "every other": lambda x: x.repeat_interleave(2, 1)[:, ::2],
}


@pytest.mark.parametrize("strides", STRIDES)
def test_any_strides_of_rows(taken, strides):
    layer, x, hx = made("LSTM", "plain")
    x = STRIDES[strides](x).detach().requires_grad_()

    def call():
        results = flat(layer(x, hx))
        return [*results, *torch.autograd.grad(results, [x], [torch.ones_like(r) for r in results])]

    short, long = on_both_ways(call)
    assert taken[:2] == ["forward", "backward"]
    assert_same(short, long)


INCOMING = {
    "expanded": lambda y, h: y.sum(),
    "the state's alone": lambda y, h: (h * h).sum(),
    "expanded state's": lambda y, h: h.sum(),
    "transposed": lambda y, h: (y.transpose(0, 2) * torch.arange(float(T))).sum() + h.prod(),
    "rows apart": lambda y, h: torch.cat([y, y.cos()], -1).square().sum(),
}


@pytest.mark.parametrize("incoming", INCOMING)
def test_any_incoming_gradients(taken, incoming):
    layer, x, _ = made("GRU", "plain")
    short, long = on_both_ways(lambda: torch.autograd.grad(INCOMING[incoming](*layer(x)), list(layer.parameters())))
    assert taken[:2] == ["forward", "backward"]
    assert_same(short, long)


OTHERS = {
    "lengths": lambda layer, x: layer(x, lengths=[2, T, 1]),
    "packed": lambda layer, x: layer(pack_padded_sequence(x, [T, 2, 1])),
    "unbatched": lambda layer, x: layer(x[:, 0]),
    "no rows": lambda layer, x: layer(x[:, :0]),
    "no steps": lambda layer, x: layer(x[:0]),
    "a list of states": lambda layer, x: layer(x, [torch.zeros(1, N, H)] * 2),
    "features apart": lambda layer, x: layer(x.repeat_interleave(2, -1)[..., ::2]),
    "negated": lambda layer, x: layer(torch._neg_view(x)),
    "zeros": lambda layer, x: layer(torch._efficientzerotensor(T, N, I)),
    "a subclass": lambda layer, x: layer(x.as_subclass(type("Other", (Tensor,), {}))),
    "autocast": lambda layer, x: autocast(layer, x),
    "vmap": lambda layer, x: torch.func.vmap(layer, in_dims=1)(x),
    "forward mode": lambda layer, x: forward_mode(layer, x),
    "a mode": lambda layer, x: in_a_mode(layer, x),
    "strided weights": lambda layer, x: torch.func.functional_call(
        layer, {"weight_hh_l0": layer.weight_hh_l0.detach().t().contiguous().t()}, (x,)
    ),
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
def test_other_calls_go_the_long_way(taken, kind):
    layer, x, _ = made("LSTM", "plain")
    OTHERS[kind](layer, x)
    assert "forward" not in taken


def test_dropout_in_training_alone(taken):
    layer = statewise.LSTM(I, H, 2, dropout=0.5)
    layer(torch.randn(T, N, I))
    assert taken == []
    layer.eval()(torch.randn(T, N, I))
    assert taken == ["forward"]


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
def test_mistakes_are_told_alike(mistake, form):
    layer, x, hx = made("LSTM", form)

    def call():
        with pytest.raises(Exception, match=r"\w") as told:
            MISTAKES[mistake](layer, x, hx)
        return told.type, str(told.value)

    short, long = on_both_ways(call)
    assert short == long


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


def test_a_weight_changed_before_backward_is_seen(way):
    layer, x, _ = made("LSTM", "plain")
    y, _ = layer(x)
    with torch.no_grad():
        layer.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_backward_twice_and_freed(way):
    layer, x, _ = made("LSTM", "plain")
    y, _ = layer(x)
    weights = list(layer.parameters())
    incoming = torch.ones_like(y)
    first = torch.autograd.grad(y, weights, incoming, retain_graph=True)
    assert_same(torch.autograd.grad(y, weights, incoming), first)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y, weights, incoming)


def test_derivatives_of_derivatives_go_the_long_way_back(taken):
    layer, x, _ = made("GRU", "double")
    x.requires_grad_()

    def call():
        (g,) = torch.autograd.grad(layer(x)[0].square().sum(), [x], create_graph=True)
        return torch.autograd.grad(g.square().sum(), [x, *layer.parameters()])

    short, long = on_both_ways(call)
    # The first derivative is recorded; the second passes through the output once more, by which it came in.
    assert taken == ["forward", None, "backward", None]
    for a, b in zip(short, long, strict=True):
        torch.testing.assert_close(a, b)


def test_batched_gradients_go_the_long_way_back(taken):
    layer, x, _ = made("GRU", "plain")
    x.requires_grad_()
    y, _ = layer(x)
    torch.autograd.grad(y, [x], torch.randn(2, *y.shape), is_grads_batched=True)
    torch.autograd.grad(layer(x)[0], [x], torch._efficientzerotensor(y.shape))
    assert taken == ["forward", None, "forward", None]


def test_saved_tensors_are_unpacked_once(way):
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
    assert len(packed) == len(unpacked) == 1 + 4 + 2


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
            assert taken == [None]
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
            assert taken == ["forward", "backward"]
            assert torch.equal(frozen(x)[0], y)
            with Passes():
                assert transform_reason() is not None
    finally:
        torch.set_default_device(None)
    assert transform_reason() is None
