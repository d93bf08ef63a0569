"""``accelerate``: torch.nn's modules inside a model make way for statewise's."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import statewise
from oracle import CELLS, LAYERS, flat
from statewise import accelerate


class Model(nn.Module):
    """A model as others write them: a layer shared by two names, one deep inside, a cell, a list."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(3, 4, num_layers=2, dropout=0.5, batch_first=True)
        self.again = self.encoder
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ModuleDict({"deep": nn.ModuleList([nn.GRU(4, 4)])}))
        self.cell = nn.RNNCell(4, 4, nonlinearity="relu")
        self.absent = None
        self.register_module("none", None)

    def forward(self, x):
        h, _ = self.encoder(x)
        h = self.inner[0](h)
        h, _ = self.inner[1]["deep"][0](h)
        return self.cell(h[0])


def made(kind):
    return getattr(nn, kind)(3, 4)


def x_for(kind):
    return torch.randn(2, 3) if kind.endswith("Cell") else torch.randn(5, 2, 3)


def assert_same(a, b, x):
    for u, v in zip(flat(a(x)), flat(b(x)), strict=True):
        torch.testing.assert_close(u, v)


@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.parametrize("compile", [False, True])
def test_a_recurrent_root_is_returned_new(kind, compile):
    old = made(kind)
    new = accelerate(old, compile=compile)
    assert isinstance(new, getattr(statewise, kind))
    assert isinstance(new, getattr(nn, kind)) == (not compile)
    assert (type(new) is getattr(statewise, kind)) == compile
    assert type(old) is getattr(nn, kind)
    assert all(a is b for a, b in zip(new.parameters(), old.parameters(), strict=True))
    assert repr(new) == repr(old)
    assert_same(new, old, x_for(kind))


def test_a_model_is_changed_in_place():
    model = Model().eval()
    x = torch.randn(2, 5, 3)
    expected, parameters, text = model(x), dict(model.named_parameters()), repr(model)
    assert accelerate(model) is model
    assert isinstance(model.encoder, statewise.LSTM)
    assert model.encoder is model.again
    assert isinstance(model.inner[1]["deep"][0], statewise.GRU)
    assert isinstance(model.cell, statewise.RNNCell)
    assert not model.encoder.training
    assert {name: id(p) for name, p in model.named_parameters()} == {n: id(p) for n, p in parameters.items()}
    assert repr(model) == text
    torch.testing.assert_close(model(x), expected)


def test_an_optimizer_goes_on():
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    accelerate(model)
    before = model.encoder.weight_hh_l0.detach().clone()
    model(torch.randn(2, 5, 3)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(model.encoder.weight_hh_l0, before)
    assert model.encoder._flat_weights[1] is model.encoder.weight_hh_l0


def test_twice_is_once():
    model = accelerate(Model())
    modules = list(model.modules())
    accelerate(model)
    accelerate(model, compile=True)
    assert all(a is b for a, b in zip(model.modules(), modules, strict=True))
    root = accelerate(nn.GRU(3, 4))
    assert accelerate(root) is root


@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.parametrize("compile", [False, True])
def test_copies(kind, compile):
    new = accelerate(made(kind), compile=compile)
    x = x_for(kind)
    for twin in (copy.deepcopy(new), pickle.loads(pickle.dumps(new))):
        assert type(twin) is type(new)
        assert_same(twin, new, x)
    assert_same(copy.deepcopy(new).double(), copy.deepcopy(new).double(), x.double())


def test_hooks_and_attributes_are_kept():
    old = nn.LSTM(3, 4)
    seen = []
    pre = old.register_forward_pre_hook(lambda *_: seen.append("pre"))
    old.register_forward_hook(lambda *_: seen.append("forward"))
    old.register_buffer("extra", torch.ones(2))
    old.note = "mine"
    old.weight_ih_l0.requires_grad_(False)
    new = accelerate(old)
    new(torch.randn(5, 2, 3))
    assert seen == ["pre", "forward"]
    assert new.note == "mine"
    assert new.extra is old.extra
    assert not new.weight_ih_l0.requires_grad
    pre.remove()
    new(torch.randn(5, 2, 3))
    assert seen == ["pre", "forward", "forward"]


@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.parametrize("compile", [False, True])
def test_parametrized_modules_keep_their_parametrization(kind, compile):
    name = "weight_hh" if kind.endswith("Cell") else "weight_hh_l0"
    model = nn.Sequential(parametrizations.orthogonal(made(kind), name))
    x = x_for(kind)
    expected = flat(model(x))
    accelerate(model, compile=compile)
    new = model[0]
    assert isinstance(new, getattr(statewise, kind))
    assert isinstance(new, getattr(nn, kind)) == (not compile)
    assert parametrize.is_parametrized(new, name)
    for a, b in zip(flat(model(x)), expected, strict=True):
        torch.testing.assert_close(a, b)
    q = getattr(new, name)[:4]
    torch.testing.assert_close(getattr(copy.deepcopy(new), name)[:4], q)
    flat(model(x))[0].sum().backward()
    assert new.parametrizations[name].original.grad is not None
    parametrize.remove_parametrizations(new, name)
    assert type(new) is type(accelerate(made(kind), compile=compile))
    for a, b in zip(flat(model(x)), expected, strict=True):
        torch.testing.assert_close(a, b)


class Peephole(nn.LSTM):
    def forward(self, input, hx=None):
        return super().forward(2 * input, hx)


def test_what_is_not_ours_is_left_alone():
    patched = nn.LSTM(3, 4)
    patched.forward = lambda x: x
    scripted = torch.nn.Sequential(nn.Linear(3, 3))
    modules = [Peephole(3, 4), patched, statewise.LSTM(3, 4), nn.Linear(3, 4), scripted]
    modules.append(parametrizations.orthogonal(Peephole(3, 4), "weight_hh_l0"))
    model = accelerate(nn.ModuleList(modules))
    assert all(a is b for a, b in zip(model, modules, strict=True))
    assert all(accelerate(m) is m for m in modules)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_torchscript_is_left_alone():
    scripted = torch.jit.script(nn.Sequential(nn.GRU(3, 4)))
    child = scripted._modules["0"]
    model = accelerate(nn.ModuleList([scripted, nn.GRU(3, 4)]))
    assert model[0] is scripted
    assert scripted._modules["0"] is child
    assert isinstance(model[1], statewise.GRU)


def test_only_modules():
    with pytest.raises(TypeError, match=r"^accelerate: Expected model to be a torch.nn.Module, got list$"):
        accelerate([nn.LSTM(3, 4)])


def test_the_plain_classes_compile():
    model = accelerate(Model(), compile=True).eval()
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="eager")(x), model(x))
    torch.compiler.reset()


def test_dropout_is_as_before():
    model, x = Model(), torch.randn(2, 5, 3)
    torch.manual_seed(3)
    expected = model(x)
    torch.manual_seed(3)
    torch.testing.assert_close(accelerate(model)(x), expected)


def test_state_dict_is_as_before():
    model = Model()
    fresh = Model()
    accelerate(model).load_state_dict(fresh.state_dict())
    fresh.load_state_dict(model.state_dict())
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(model.eval()(x), fresh.eval()(x))


# The way back


def shared(a, b):
    return all(p is q for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.parametrize("compile", [False, True])
def test_restore_gives_what_was_accelerated(kind, compile):
    old = made(kind).eval()
    seen = []
    handle = old.register_forward_hook(lambda *_: seen.append("hook"))
    old.mark = "kept"
    before = sorted(vars(old))
    new = statewise.restore(accelerate(old, compile=compile))
    assert type(new) is getattr(nn, kind)
    assert shared(new, old)
    assert sorted(vars(new)) == before
    assert (new.training, new.mark, repr(new)) == (False, "kept", repr(old))
    assert_same(new, old, x_for(kind))
    assert seen == ["hook"] * 2
    handle.remove()
    assert_same(new, old, x_for(kind))
    assert seen == ["hook"] * 2


@pytest.mark.parametrize("kind", LAYERS + CELLS)
def test_restore_of_layers_that_were_never_torch_nns(kind):
    ours = getattr(statewise, kind)(3, 4)
    theirs = statewise.restore(ours)
    assert type(theirs) is getattr(nn, kind)
    assert sorted(vars(theirs)) == sorted(vars(made(kind)))
    assert_same(theirs, ours, x_for(kind))
    for copied in (copy.deepcopy(theirs), pickle.loads(pickle.dumps(theirs))):
        assert_same(copied, ours, x_for(kind))
    assert type(accelerate(theirs, compile=True)) is type(ours)


def test_restore_reaches_all_of_a_model():
    model = Model().eval()
    expected = model(torch.ones(2, 5, 3))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    assert statewise.restore(accelerate(model)) is model
    assert type(model.encoder) is nn.LSTM
    assert model.again is model.encoder
    assert type(model.inner[1]["deep"][0]) is nn.GRU
    assert type(model.cell) is nn.RNNCell
    assert model.cell.nonlinearity == "relu"
    torch.testing.assert_close(model(torch.ones(2, 5, 3)), expected)
    model(torch.ones(2, 5, 3)).sum().backward()
    optimizer.step()
    assert not torch.allclose(model(torch.ones(2, 5, 3)), expected)


def test_restore_sees_weights_that_were_replaced():
    ours = statewise.GRU(3, 4)
    ours._parameters["weight_hh_l0"] = nn.Parameter(2 * ours.weight_hh_l0.detach())
    assert_same(statewise.restore(ours), ours, x_for("GRU"))


def test_restore_keeps_parametrizations():
    ours = statewise.LSTM(3, 4)
    parametrizations.weight_norm(ours, "weight_hh_l0")
    theirs = statewise.restore(ours)
    assert isinstance(theirs, nn.LSTM)
    assert not isinstance(theirs, statewise.LSTM)
    assert parametrize.is_parametrized(theirs, "weight_hh_l0")
    assert_same(theirs, ours, x_for("LSTM"))


def test_restore_forgets_checkpoints():
    theirs = statewise.restore(statewise.LSTM(3, 4, checkpoint=2))
    assert not hasattr(theirs, "checkpoint")
    assert_same(theirs, theirs, x_for("LSTM"))


def test_restore_leaves_subclasses_alone():
    class Mine(statewise.LSTM):
        pass

    model = nn.Sequential(Mine(3, 4))
    statewise.restore(model)
    assert type(model[0]) is Mine


@pytest.mark.parametrize(
    ("make", "lacks"),
    [
        (lambda: statewise.GRU(3, 4, proj_size=2), "an RNN or GRU with proj_size 1"),
        (lambda: statewise.freeze(statewise.GRU(3, 4)), "a frozen 1"),
    ],
)
def test_restore_refuses_what_torch_nn_lacks(make, lacks):
    model = nn.Sequential(statewise.LSTM(3, 4), make())
    with pytest.raises(ValueError, match=f"got {lacks}"):
        statewise.restore(model)
    assert type(model[0]) is statewise.LSTM
    with pytest.raises(TypeError, match=r"Expected model to be a torch.nn.Module, got int"):
        statewise.restore(3)
