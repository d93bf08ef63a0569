"""torch's tools that know torch.nn's modules by name, and opacus: ours work with them, or say what to use."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from torch import fx, nn
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads
from torch.nn.utils.rnn import pack_padded_sequence

import statewise
from oracle import CELLS, LAYERS, flat

T, N, I, H = 5, 3, 3, 4  # noqa: E741


class Model(nn.Module):
    """A layer and a cell between other modules, from ``library``."""

    def __init__(self, library, kind="LSTM", **options):
        super().__init__()
        self.inner = nn.ModuleDict({"layer": getattr(library, kind)(I, H, **options)})
        self.linear = nn.Linear(H, I)
        self.cell = getattr(library, kind + "Cell")(I, H)

    def forward(self, x):
        output, state = self.inner["layer"](x)
        return self.linear(output), state, self.cell(self.linear(output[0]))


def models(kind="LSTM"):
    """Ours from the start, and torch.nn's accelerated, both ways."""
    torch.manual_seed(0)
    plain = Model(nn, kind)
    ours = Model(statewise, kind)
    ours.load_state_dict(plain.state_dict())
    return [ours, statewise.accelerate(copy.deepcopy(plain)), statewise.accelerate(plain, compile=True)]


@pytest.fixture(params=range(3), ids=["made", "accelerated", "accelerated to compile"])
def which(request):
    return request.param


def outcome(model, x):
    model.zero_grad()
    results = flat(model(x))
    sum(r.square().sum() for r in results).backward()
    return [*results, *(p.grad for p in model.parameters())]


# torch.jit.script


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("kind", LAYERS + CELLS)
def test_jit_script_says_what_to_use(kind):
    module = getattr(statewise, kind)(I, H)
    for model in (module, nn.Sequential(module)):
        with pytest.raises(RuntimeError, match=rf"^{kind}: .*torch.compile, torch.export or torch.jit.trace"):
            torch.jit.script(model)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_restored_model_is_scripted(which):
    model = statewise.restore(models()[which])
    x = torch.randn(T, N, I)
    for a, b in zip(flat(torch.jit.script(model)(x)), flat(model(x)), strict=True):
        torch.testing.assert_close(a, b)


# torch.fx


@pytest.mark.parametrize("kind", LAYERS)
def test_fx_sees_leaves(kind, which):
    model = models(kind)[which]
    traced = fx.symbolic_trace(model)
    called = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    assert called == ["inner.layer", "linear", "linear", "cell"]
    assert traced.inner.layer is model.inner["layer"]
    x = torch.randn(T, N, I)
    for twin in (traced, pickle.loads(pickle.dumps(traced)), fx.symbolic_trace(traced)):
        for a, b in zip(outcome(twin, x), outcome(model, x), strict=True):
            assert torch.equal(a, b)
    assert flat(traced(torch.randn(T + 2, 1, I)))[0].shape == (T + 2, 1, I)


class WithMore(nn.Module):
    def __init__(self, library):
        super().__init__()
        self.gru = library.GRU(I, H)

    def forward(self, x, h, lengths=None):
        return self.gru(x, h) if lengths is None else self.gru(x, h, lengths=lengths)


def test_fx_keeps_states_and_lengths():
    model = WithMore(statewise)
    x, h, lengths = torch.randn(T, N, I), torch.randn(1, N, H), torch.tensor([1, 5, 3])
    for args in ((x, h), (x, h, lengths)):
        traced = fx.Tracer().trace(model, {} if len(args) == 3 else {"lengths": None})
        found = fx.GraphModule(model, traced)(*args)
        for a, b in zip(flat(found), flat(model(*args)), strict=True):
            assert torch.equal(a, b)


def test_fx_refuses_hooks_that_would_run_twice():
    model = models()[0]
    model.inner["layer"].register_forward_hook(lambda module, args, result: (2 * result[0], result[1]))
    with pytest.raises(RuntimeError, match=r"LSTM: torch.fx would run the forward hooks"):
        fx.symbolic_trace(model)


# Expanded weights


def by_rows(model, x, dim):
    """The gradients of each row alone, by parameter."""
    found = []
    for k in range(x.size(dim)):
        model.zero_grad()
        flat(model(x.narrow(dim, k, 1)))[0].square().sum().backward()
        found.append([p.grad for p in model.parameters()])
    return [torch.stack(grads) for grads in zip(*found, strict=True)]


@pytest.mark.parametrize("t", [N, N + 2])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"num_layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("kind", LAYERS)
def test_per_sample_gradients_by_expanded_weights(kind, options, batch_first, t):
    model = getattr(statewise, kind)(I, H, batch_first=batch_first, **options)
    x = torch.randn(N, t, I) if batch_first else torch.randn(t, N, I)
    call = call_for_per_sample_grads(model, loss_reduction="sum", batch_first=batch_first)
    call(x)[0].square().sum().backward()
    found = [p.grad_sample for p in model.parameters()]
    for a, b in zip(found, by_rows(model, x, 0 if batch_first else 1), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_expanded_weights_take_packed_rows_and_no_lengths():
    model = statewise.GRU(I, H)
    x, lengths = torch.randn(T, N, I), torch.tensor([5, 4, 2])
    with pytest.raises(NotImplementedError, match="takes no lengths"):
        call_for_per_sample_grads(model, batch_size=N)(x, lengths=lengths)
    output, _ = call_for_per_sample_grads(model, batch_size=N, loss_reduction="sum")(pack_padded_sequence(x, lengths))
    output.data.square().sum().backward()
    for k, n in enumerate(lengths.tolist()):
        weights = list(model.parameters())
        expected = torch.autograd.grad(model(x[:n, k])[0].square().sum(), weights)
        for p, g in zip(weights, expected, strict=True):
            torch.testing.assert_close(p.grad_sample[k], g, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", CELLS)
def test_expanded_weights_of_cells_are_refused_as_torch_nns(kind):
    messages = []
    for library in (nn, statewise):
        with pytest.raises(RuntimeError, match="Expanded Weights encountered but cannot handle function") as caught:
            call_for_per_sample_grads(getattr(library, kind)(I, H))(torch.randn(N, I))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


# Quantization


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantize_dynamic_says_what_to_use(which):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        quantized = torch.ao.quantization.quantize_dynamic(models()[which])
    ours = [str(w.message) for w in caught if "statewise.restore(model) gives them back" in str(w.message)]
    assert [message.split(" stays")[0] for message in ours] == ["LSTM", "LSTMCell"]
    assert isinstance(quantized.inner["layer"], statewise.LSTM)
    quantized = torch.ao.quantization.quantize_dynamic(statewise.restore(models()[which]))
    assert type(quantized.inner["layer"]) is torch.ao.nn.quantized.dynamic.LSTM
    assert type(quantized.cell) is torch.ao.nn.quantized.dynamic.LSTMCell
    x = torch.randn(T, N, I)
    for a, b in zip(flat(quantized(x)), flat(models()[which](x)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0.05)


# opacus


@pytest.mark.parametrize("kind", LAYERS)
def test_opacus_is_refused_when_it_prepares_a_layer(kind):
    module = getattr(statewise, kind)(I, H)
    with pytest.raises(NotImplementedError, match=f"{kind}: opacus has no per-sample gradients.*DP{kind}"):
        module.ft_compute_sample_grad = lambda *_: None  # which is how it prepares one


@pytest.mark.filterwarnings("ignore")
def test_opacus_refuses_the_model(which):
    opacus = pytest.importorskip("opacus")
    with pytest.raises(NotImplementedError, match="LSTM: opacus has no per-sample gradients"):
        opacus.GradSampleModule(models()[which])
