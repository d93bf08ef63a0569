"""``freeze``: the same numbers from packed weights, for inference alone."""

from __future__ import annotations

import copy
import gc
import io
import itertools
import pickle
import subprocess
import sys
import threading
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.func import functional_call, jvp, vmap
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import statewise
from oracle import CELLS, LAYERS, flat, outcome
from statewise import freeze
from statewise.kernels import cpu

DTYPES = (torch.float32, torch.float64)
# Sizes that are no multiple of a vector's lanes.
OPTIONS = {
    "plain": {},
    "two layers": {"num_layers": 2},
    "no bias": {"bias": False},
    "both directions": {"bidirectional": True},
    "batch first": {"batch_first": True},
    "projected": {"proj_size": 3},
    "all": {"num_layers": 2, "bidirectional": True, "batch_first": True, "proj_size": 3, "dropout": 0.5},
}


@pytest.fixture(params=LAYERS + CELLS)
def kind(request):
    return request.param


@pytest.fixture(params=cpu.instruction_sets())
def _every_instruction_set(request):
    before = cpu.instruction_set()
    cpu.use_instruction_set(request.param)
    yield
    cpu.use_instruction_set(before)


def made(kind, *sizes, **options):
    return getattr(statewise, kind)(*(sizes or (5, 7)), **options)


def states(module, n, dtype=torch.float32):
    """A state for ``module``, a layer or a cell; n None: without a batch."""
    rows = [] if n is None else [n]
    if isinstance(module, nn.RNNCellBase):
        shapes = [[*rows, module.hidden_size]] * len(module._stack.cell.states)
    else:
        shapes = [[module._depth, *rows, size] for size in module._state_sizes]
    drawn = tuple(torch.randn(shape, dtype=dtype) for shape in shapes)
    return drawn if len(drawn) > 1 else drawn[0]


def x_for(module, t=4, n=3, dtype=torch.float32):
    if isinstance(module, nn.RNNCellBase):
        return torch.randn(n, module.input_size, dtype=dtype)
    sizes = (n, t) if module.batch_first else (t, n)
    return torch.randn(*sizes, module.input_size, dtype=dtype)


def steps_of(x, lengths=None):
    """How many steps a call computes, those of all rows together."""
    if lengths is not None:
        return sum(lengths)
    data = x.data if isinstance(x, PackedSequence) else x
    return data.numel() // data.size(-1)


def assert_same(frozen, live, *args, **kwargs):
    """The same tensors, in the same containers, as the live module gives in eval mode.

    To the last bit, but for calls so short that the live module doesn't pack its weights: it sums in another order.
    """
    short = steps_of(args[0] if args else kwargs["input"], kwargs.get("lengths")) < 4
    training = live.training
    live.eval()
    with torch.no_grad():
        expected = live(*args, **kwargs)
    live.train(training)
    actual = frozen(*args, **kwargs)
    assert type(actual) is type(expected)
    for a, b in zip(flat(actual), flat(expected), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.requires_grad is False
        if short:
            torch.testing.assert_close(a, b, rtol=1e-5 if a.dtype == torch.float32 else 1e-12, atol=1e-6)
        else:
            assert torch.equal(a, b)


def is_short(frozen, x, hx=None):
    """Whether a call goes past Python."""
    return frozen._shortcut(x, hx) is not None


has_exchange = pytest.mark.skipif(
    not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"), reason="this torch has no C exchange: all calls by Python"
)


# The same numbers


@pytest.mark.usefixtures("_every_instruction_set")
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layer", [*LAYERS, "relu"])
def test_layers_to_the_last_bit(layer, dtype, options):
    more = {"nonlinearity": "relu"} if layer == "relu" else {}
    live = made("RNN" if layer == "relu" else layer, dtype=dtype, **OPTIONS[options], **more)
    frozen = freeze(live)
    for t, n in ((1, 1), (4, 3), (1, 9), (40, 1)):
        x = x_for(live, t, n, dtype)
        assert_same(frozen, live, x)
        assert_same(frozen, live, x, states(live, n, dtype))
        assert_same(frozen, live, input=x, hx=states(live, n, dtype))
        assert_same(frozen, live, x, lengths=torch.arange(n) % (t + 1))
        if live._stack.cell.states == "hc":
            assert_same(frozen, live, x, list(states(live, n, dtype)))
    x = torch.randn(6, 5, dtype=dtype)
    assert_same(frozen, live, x)
    assert_same(frozen, live, x, states(live, None, dtype))
    packed = pack_sequence([torch.randn(t, 5, dtype=dtype) for t in (2, 6, 3)], enforce_sorted=False)
    assert_same(frozen, live, packed)
    assert_same(frozen, live, packed, states(live, 3, dtype))


@pytest.mark.usefixtures("_every_instruction_set")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", [*CELLS, "relu"])
def test_cells_to_the_last_bit(cell, dtype, bias):
    more = {"nonlinearity": "relu"} if cell == "relu" else {}
    live = made("RNNCell" if cell == "relu" else cell, bias=bias, dtype=dtype, **more)
    frozen = freeze(live)
    for n in (1, 3, 17):
        x = x_for(live, n=n, dtype=dtype)
        assert_same(frozen, live, x)
        assert_same(frozen, live, x, states(live, n, dtype))
    x = torch.randn(5, dtype=dtype)
    assert_same(frozen, live, x)
    assert_same(frozen, live, x, states(live, None, dtype))


@pytest.mark.parametrize("sizes", [(1, 1), (3, 64), (64, 63), (130, 500)])
@pytest.mark.parametrize("layer", LAYERS)
def test_widths(layer, sizes):
    live = made(layer, *sizes, 2)
    frozen = freeze(live)
    for t, n in ((1, 1), (3, 2), (1, 33)):
        assert_same(frozen, live, x_for(live, t, n), states(live, n))


def test_a_stream():
    live = made("LSTM")
    frozen = freeze(live)
    x = torch.randn(50, 1, 5)
    with torch.no_grad():
        expected, final = live(x)
    state, outputs = None, []
    for step in x:
        y, state = frozen(step[None], state)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs), expected)
    torch.testing.assert_close(state, final)


def test_odd_memory(kind):
    live = made(kind, 1, 7)
    frozen = freeze(live)
    x = x_for(live, n=6)
    wide = torch.randn(*x.shape[:-1], 4)
    negative = torch.complex(x, x).conj().imag  # negated when it is read
    assert negative.is_neg()
    for odd in (x[..., ::2, :], x.flip(0), wide[..., 2:3], x[:1].expand(x.shape), negative, torch.zeros_like(x)):
        n = odd.shape[-2]
        hx = states(live, n)
        strided = tuple(s.transpose(0, -1).contiguous().transpose(0, -1) for s in (hx if type(hx) is tuple else (hx,)))
        assert_same(frozen, live, odd)
        assert_same(frozen, live, odd, hx)
        assert_same(frozen, live, odd, strided if len(strided) > 1 else strided[0])
    assert_same(frozen, live, torch._efficientzerotensor(x.shape))
    for empty in (x[..., :0, :], x[:0]):
        assert_same(frozen, live, empty)


def test_features_apart(kind):
    live = made(kind)
    x = x_for(live, n=5)
    transposed = x.transpose(-1, -2).contiguous().transpose(-1, -2)
    assert transposed.stride(-1) != 1
    assert_same(freeze(live), live, transposed, states(live, 5))


def test_results_are_the_callers(kind):
    """No result is another's memory, an argument's or a later call's."""
    live = made(kind)
    frozen = freeze(live)
    x, hx = x_for(live), states(live, 3)
    results = [*flat(frozen(x, hx)), *flat(frozen(x, hx)), *flat(hx), x]
    assert len({r.untyped_storage().data_ptr() for r in results}) == len(results)
    for result in results[:-1]:
        result.resize_(2, 2)  # as only memory of torch's own can be


def test_plain_calls_go_past_python(kind):
    live = made(kind)
    frozen = freeze(live)
    x = x_for(live)
    assert is_short(frozen, x)
    assert is_short(frozen, x, states(live, 3))
    for copied in (copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        assert is_short(copied, x)
    assert is_short(copy.deepcopy(frozen).double(), x.double())
    with torch.inference_mode():
        assert is_short(frozen, x)


@pytest.mark.slow
def test_an_older_torch():
    """Without the C exchange there is one clear word."""
    code = (
        "import torch\n"
        "del torch.Tensor.__dlpack_c_exchange_api__\n"
        "import statewise\n"
        "try: statewise.LSTM\n"
        "except ImportError as error: print(error)\n"
    )
    env = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, check=True, timeout=120, capture_output=True, text=True
    )
    assert done.stdout.startswith(f"statewise needs torch 2.13 or newer, found {torch.__version__}")


@pytest.mark.parametrize("case", range(7))
def test_all_else_is_looked_at(kind, case):
    live = made(kind)
    frozen = freeze(live)
    x, hx = x_for(live), states(live, 3)
    bad = [
        (x.double(), hx),
        (x[..., :4], hx),
        (x.requires_grad_(), hx),
        (x.detach().as_subclass(type("Odd", (torch.Tensor,), {})), hx),
        (x.detach().to("meta"), hx),
        (x.detach(), [hx]),
        (x.detach().numpy(), None),
    ]
    assert not is_short(frozen, *bad[case])


# The same words


@pytest.mark.parametrize("number", range(17))
def test_wrong_calls(kind, number):
    live = made(kind)
    frozen = freeze(live)
    x, hx = x_for(live), states(live, 3)
    a_state = hx if isinstance(hx, torch.Tensor) else hx[0]
    swap = (lambda s: (hx[0], s)) if isinstance(hx, tuple) else (lambda s: s)
    calls = [
        (x[..., :4],),
        (x.double(),),
        (x.long(),),
        (x[None],),
        (x[..., 0, 0],),
        (x, a_state if isinstance(hx, tuple) else (hx, hx)),
        (x, swap(a_state[..., :6])),
        (x, swap(a_state[..., :2, :])),
        (x, swap(a_state[None])),
        (x, swap(a_state.double())),
        (x, swap(a_state.to("meta"))),
        (x.to("meta"),),
        (x, "hx"),
        (None,),
        (x, swap(a_state[..., 0, :])),
        (x.to(torch.bfloat16), hx),
        (x.int(),),
    ]
    expected = outcome(lambda: live.eval()(*calls[number]))
    assert expected[0] != "returned"
    assert outcome(lambda: frozen(*calls[number])) == expected


def test_an_unknown_nonlinearity_is_refused_by_the_call():
    frozen = freeze(statewise.RNNCell(5, 7, nonlinearity="sig"))
    with pytest.raises(RuntimeError, match=r"^Unknown nonlinearity: sig$"):
        frozen(torch.randn(3, 5))


def test_a_gradient_is_refused(kind):
    frozen = freeze(made(kind))
    x, hx = x_for(frozen), states(frozen, 3)
    plain = flat(hx)
    message = "Expected input and hx that require no gradient, since this is frozen and has none"
    with pytest.raises(RuntimeError, match=message):
        frozen(x.clone().requires_grad_())
    plain[-1].requires_grad_()
    with pytest.raises(RuntimeError, match=message):
        frozen(x, hx)
    with torch.no_grad():
        frozen(x, hx)


def test_training_is_refused(kind):
    for frozen in (freeze(made(kind)), freeze(nn.Sequential(made(kind)))):
        with pytest.raises(RuntimeError, match=f"^Frozen{kind}: Expected to stay in eval mode, .* freeze that again$"):
            frozen.train()
        assert frozen.eval() is frozen
        assert frozen.train(False) is frozen
        assert list(frozen.parameters()) == []


# What is frozen


class Model(nn.Module):
    def __init__(self, home=statewise):
        super().__init__()
        self.encoder = home.LSTM(3, 4, num_layers=2, dropout=0.5, batch_first=True)
        self.again = self.encoder
        self.aside = [self.encoder]
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ModuleDict({"deep": nn.ModuleList([home.GRU(4, 4)])}))
        self.drop = nn.Dropout(0.5)
        self.cell = home.RNNCell(4, 4, nonlinearity="relu")
        self.register_module("none", None)

    def forward(self, x):
        h, _ = self.encoder(x)
        h = self.drop(self.inner[0](h))
        h, _ = self.inner[1]["deep"][0](h)
        return self.cell(h[0])


@pytest.mark.parametrize("home", [statewise, nn])
@pytest.mark.parametrize("accelerated", [False, True])
def test_a_model(home, accelerated):
    model = Model(home)
    if accelerated:
        statewise.accelerate(model)
        model.aside = [model.encoder]
    before, text = copy.deepcopy(model.state_dict()), repr(model)
    frozen = freeze(model)
    x = torch.randn(2, 5, 3)
    statewise.accelerate(model)  # torch.nn's numbers are others in the last bit
    assert_same(frozen, model, x)
    assert type(frozen) is Model
    assert frozen.encoder is frozen.again
    assert frozen.aside[0] is frozen.encoder
    assert repr(frozen.encoder) == "FrozenLSTM(3, 4, num_layers=2, batch_first=True, dropout=0.5)"
    assert repr(frozen.cell) == "FrozenRNNCell(4, 4, nonlinearity=relu)"
    assert isinstance(frozen.encoder, nn.LSTM) == (home is nn)
    assert isinstance(frozen.encoder, statewise.LSTM)
    assert not any(p.requires_grad for p in frozen.parameters())
    assert not any(m.training for m in frozen.modules())
    # The model it came from is as it was.
    assert repr(model) == text or not accelerated
    assert all(m.training for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())
    model(x).sum().backward()
    own = {t.untyped_storage().data_ptr() for t in frozen.state_dict().values()}
    assert own.isdisjoint(t.untyped_storage().data_ptr() for t in model.state_dict().values())
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    for name, tensor in frozen.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_nothing_to_freeze():
    with pytest.raises(TypeError, match=r"^freeze: Expected model to be a torch.nn.Module, got list$"):
        freeze([made("LSTM")])
    with pytest.raises(
        ValueError, match=r"^freeze: Expected a model with an RNN, LSTM, GRU or cell in it, got Linear$"
    ):
        freeze(nn.Linear(3, 4))


class Peephole(statewise.LSTM):
    def forward(self, input, hx=None):
        return super().forward(2 * input, hx)


def test_what_computes_otherwise_is_copied():
    patched = made("LSTM")
    patched.forward = lambda x: x + 1
    model = nn.ModuleList([Peephole(5, 7), patched, made("LSTM")])
    frozen = freeze(model)
    x = torch.randn(2, 3, 5)
    assert type(frozen[0]) is Peephole
    assert_same(frozen[0], model[0], x)
    assert torch.equal(frozen[1](x), x + 1)
    assert not any(p.requires_grad for p in frozen.parameters())


def test_twice_is_once():
    frozen = freeze(Model())
    again = freeze(frozen)
    x = torch.randn(2, 5, 3)
    assert type(again.encoder) is type(frozen.encoder)
    assert again.encoder is not frozen.encoder
    assert torch.equal(again(x), frozen(x))


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "change",
    [
        parametrizations.orthogonal,
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        lambda m, name: prune.l1_unstructured(m, name, 0.5),
    ],
    ids=["orthogonal", "weight norm", "spectral norm", "old weight norm", "old spectral norm", "pruned"],
)
def test_weights_as_they_evaluate(kind, change):
    live = made(kind)
    name = "weight_hh" if kind in CELLS else "weight_hh_l0"
    change(live, name)
    with torch.no_grad():  # so that what a hook computed at first is out of date
        for p in live.parameters():
            p.mul_(1.5)
    before = {k: v.detach().clone() for k, v in live.state_dict().items()}
    frozen = freeze(nn.Sequential(live))[0]
    assert all(torch.equal(v, before[k]) for k, v in live.state_dict().items())
    assert set(frozen.state_dict()) == set(made(kind).state_dict())
    assert not frozen._forward_pre_hooks
    assert_same(frozen, live, x_for(live), states(live, 3))


def test_tied_and_replaced_weights():
    live = made("GRU", 7, 7)
    live.weight_ih_l0 = live.weight_hh_l0
    frozen = freeze(live)
    assert_same(frozen, live, x_for(live))
    dropped = live.weight_hh_l0 * 2
    del live.weight_hh_l0
    live.weight_hh_l0 = dropped  # a tensor with a history, as weight drop puts it there
    assert_same(freeze(live), live, x_for(live))


def test_hooks(kind):
    seen = []
    live = made(kind)
    x, hx = x_for(live), states(live, 3)
    live.register_forward_pre_hook(lambda module, args: seen.append((type(module).__name__, len(args))))
    live.register_full_backward_hook(lambda *_: None)
    live.note = "mine"
    frozen = freeze(live)
    assert frozen.note == "mine"
    frozen(x)
    frozen(x, hx)
    assert seen == [(f"Frozen{kind}", 1), (f"Frozen{kind}", 2)]
    frozen._forward_pre_hooks.clear()
    handle = frozen.register_forward_hook(lambda module, args, result: "mine")
    assert frozen(x) == "mine"
    handle.remove()
    assert frozen(x) != "mine"
    handle = nn.modules.module.register_module_forward_hook(lambda *_: "all's")
    assert frozen(x) == "all's"
    handle.remove()
    frozen.forward = lambda *_: "patched"
    assert frozen(x) == "patched"


@pytest.mark.slow
def test_a_hook_does_not_keep_it_alive(kind):
    frozen = freeze(made(kind))
    frozen.register_forward_hook(lambda *_, keeper=frozen: None)
    alive = weakref.ref(frozen)
    del frozen
    gc.collect()
    assert alive() is None


# What happens to it


def test_state_dict_both_ways(kind):
    live, other = made(kind), made(kind)
    frozen = freeze(live)
    x = x_for(live)
    assert list(frozen.state_dict()) == list(live.state_dict())
    other.load_state_dict(frozen.state_dict())
    assert_same(frozen, other, x)
    for assign in (False, True):
        other = made(kind)
        frozen.load_state_dict(copy.deepcopy(other.state_dict()), assign=assign)
        assert_same(frozen, other, x)
        assert_same(frozen, other, x, states(live, 3))
    wrong = outcome(lambda: frozen.load_state_dict(made(kind, 5, 8).state_dict()))
    assert wrong[0] is RuntimeError
    assert "size mismatch for weight_ih" in wrong[1]


def test_copies(kind):
    live = made(kind)
    frozen = freeze(live)
    file = io.BytesIO()
    torch.save(frozen, file)
    file.seek(0)
    x = x_for(live)
    for twin in (
        copy.deepcopy(frozen),
        copy.copy(frozen),
        pickle.loads(pickle.dumps(frozen)),
        torch.load(file, weights_only=False),
    ):
        assert type(twin) is type(frozen)
        assert_same(twin, live, x, states(live, 3))


@pytest.mark.parametrize("kind", ["LSTM", "GRUCell"])
@pytest.mark.slow
def test_a_pickle_has_no_pack(kind, tmp_path):
    """One that was made with one instruction set serves with another."""
    live = made(kind, 5, 70)
    frozen = freeze(live)
    x = x_for(live)
    torch.save((frozen, x), tmp_path / "frozen.pt")
    other = cpu.instruction_sets()[0]
    code = (
        "import sys, torch\nfrozen, x = torch.load(sys.argv[1], weights_only=False)\ntorch.save(frozen(x), sys.argv[2])"
    )
    env = {"STATEWISE_ISA": other, "PYTHONPATH": ":".join(filter(None, sys.path))}
    files = tmp_path / "frozen.pt", tmp_path / "y.pt"
    subprocess.run([sys.executable, "-c", code, *files], env=env, check=True, timeout=120)
    before = cpu.instruction_set()
    cpu.use_instruction_set(other)
    try:
        assert_same(frozen, live, x)  # and packs anew here
        expected = flat(frozen(x))
    finally:
        cpu.use_instruction_set(before)
    assert all(torch.equal(a, b) for a, b in zip(flat(torch.load(files[1])), expected, strict=True))


def test_other_dtypes_and_devices(kind):
    live = made(kind)
    frozen = freeze(live)
    x = x_for(live)
    assert_same(copy.deepcopy(frozen).double(), copy.deepcopy(live).double(), x.double())
    assert_same(copy.deepcopy(frozen).bfloat16(), copy.deepcopy(live).bfloat16(), x.bfloat16())
    assert_same(copy.deepcopy(frozen).double().float(), live, x)
    assert flat(copy.deepcopy(frozen).to("meta")(x.to("meta")))[0].device.type == "meta"
    assert_same(copy.deepcopy(frozen).share_memory(), live, x)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda(kind):
    live = made(kind).cuda()
    frozen = freeze(live)
    assert_same(frozen, live, x_for(live).cuda())
    assert_same(frozen.cpu(), live.cpu(), x_for(live))


def test_autocast(kind):
    live = made(kind)
    frozen = freeze(live)
    with torch.autocast("cpu", torch.bfloat16):
        assert_same(frozen, live, x_for(live))
        assert_same(frozen, live, x_for(live).bfloat16())


def test_changed_attributes():
    live = made("GRU")
    frozen = freeze(live)
    x = torch.randn(4, 3, 5)
    frozen(x)
    live.batch_first = frozen.batch_first = True
    assert_same(frozen, live, x)
    frozen.input_size = 6
    with pytest.raises(RuntimeError, match=r"input.size\(-1\) must be equal to input_size. Expected 6, got 5"):
        frozen(x)


def test_replaced_weights_count(kind):
    live, other = made(kind), made(kind)
    frozen = freeze(live)
    x = x_for(live, n=5)
    weights = {k: v.detach() for k, v in other.state_dict().items()}
    swapped = flat(functional_call(frozen, weights, x))
    assert all(torch.equal(a, b) for a, b in zip(swapped, flat(freeze(other)(x)), strict=True))
    assert_same(frozen, live, x)
    for name, value in weights.items():
        setattr(frozen, name, value)
    assert_same(frozen, other, x)


@pytest.mark.filterwarnings("ignore:`torch.jit")  # torch.func loads its decompositions with it
def test_transforms(kind):
    live = made(kind)
    frozen = freeze(live)
    x = torch.stack([x_for(live) for _ in range(3)])
    for a, b in zip(flat(vmap(frozen)(x)), flat([[*flat(frozen(row))] for row in x]), strict=False):
        torch.testing.assert_close(a[0], b)
    _, tangent = jvp(lambda x: flat(frozen(x))[0], (x[0],), (x[1],))
    _, expected = jvp(lambda x: flat(live(x))[0], (x[0],), (x[1],))
    torch.testing.assert_close(tangent, expected)


def test_compile(kind):
    frozen = freeze(nn.Sequential(made(kind)))
    x = x_for(frozen[0], n=5)
    compiled = torch.compile(frozen, fullgraph=True, backend="eager")
    for a, b in zip(flat(compiled(x)), flat(frozen(x)), strict=True):
        assert torch.equal(a, b)
    frozen.compile(fullgraph=True, backend="eager")
    assert all(torch.equal(a, b) for a, b in zip(flat(frozen(x)), flat(compiled(x)), strict=True))
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_jit_trace():
    frozen = freeze(made("LSTM"))
    x = torch.randn(4, 3, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(frozen, x)
    assert torch.equal(traced(x)[0], frozen(x)[0])


def test_threads(kind):
    """Several threads call one frozen module at once: widths on both sides of where the interpreter is let go."""
    for width in (7, 300):
        live = made(kind, 5, width)
        frozen = freeze(live)
        calls = [(x_for(live, 2, n), states(live, n)) for n in (1, 2, 5)]
        with torch.no_grad():
            for call in calls:
                assert_same(frozen, live, *call)
            expected = [flat(frozen(*call)) for call in calls]
        wrong = []

        def work(frozen=frozen, calls=calls, expected=expected, wrong=wrong):
            for k in itertools.islice(itertools.cycle(range(len(calls))), 60):
                results = flat(frozen(*calls[k]))
                if not all(torch.equal(a, b) for a, b in zip(results, expected[k], strict=True)):
                    wrong.append(k)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def test_padded_rows_of_a_packed_sequence_with_a_state():
    live = made("LSTM", bidirectional=True)
    packed = pack_padded_sequence(torch.randn(6, 3, 5), [6, 4, 1])
    assert_same(freeze(live), live, packed, states(live, 3))


@pytest.mark.parametrize("change", ["mul_", "copy_", "index", "load_state_dict", "a step of one weight"])
def test_a_weight_that_is_written_to_is_seen(kind, change):
    """All weights lie in one tensor, which has one version; both ways to the pack look at it."""
    live = made(kind)
    frozen = freeze(live)
    x, hx = x_for(live), states(live, 3)
    before = flat(frozen(x, hx))
    name = next(n for n, _ in frozen.named_buffers() if n.startswith("weight_hh"))
    with torch.no_grad():
        for module in (live, frozen):
            weight = getattr(module, name)
            if change == "mul_":
                weight.mul_(2)
            elif change == "copy_":
                weight.copy_(torch.ones_like(weight))
            elif change == "index":
                weight[0, 0] += 1
            elif change == "a step of one weight":
                getattr(module, name.replace("weight", "bias")).add_(1)
        if change == "load_state_dict":
            live.load_state_dict({n: w * 2 for n, w in live.state_dict().items()})
            frozen.load_state_dict(live.state_dict())
    expected = flat(freeze(live)(x, hx))
    assert not torch.equal(before[0], expected[0])
    assert_equal(flat(frozen(x, hx)), expected)
    assert is_short(frozen, x, hx)  # packed anew


def assert_equal(found, expected):
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_frozen_in_inference_mode_it_still_has_a_version(kind):
    with torch.inference_mode():
        frozen = freeze(made(kind))
        x = x_for(frozen)
        before = flat(frozen(x))[0]
        next(frozen.buffers()).mul_(2)
        assert not torch.equal(flat(frozen(x))[0], before)
