"""What torch's utilities do to modules, and users to weights: it works as with torch.nn."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, stack_module_state, vmap
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

import statewise
from oracle import CELLS, LAYERS, flat, outcome, pair

X = torch.linspace(-1, 1, 30).reshape(5, 2, 3)


def given_to(module):
    """X, or for a cell the first step of it."""
    return X[0] if isinstance(module, nn.RNNCellBase) else X


def weight(module, which="hh"):
    return f"weight_{which}" if isinstance(module, nn.RNNCellBase) else f"weight_{which}_l0"


def assert_same(a, b, x=None):
    """The same results and the same gradients of the same-named parameters."""
    results = []
    for module in (a, b):
        module.zero_grad()
        output = flat(module(given_to(module) if x is None else x))
        sum((o * torch.linspace(-1, 2, o.numel()).view_as(o)).sum() for o in output).backward()
        results.append((output, {name: p.grad for name, p in module.named_parameters()}))
    (outputs_a, grads_a), (outputs_b, grads_b) = results
    for u, v in zip(outputs_a, outputs_b, strict=True):
        torch.testing.assert_close(u, v)
    assert list(grads_a) == list(grads_b)
    for name, g in grads_a.items():
        if g is None or grads_b[name] is None:
            assert g is grads_b[name]
            continue
        largest = float(grads_b[name].abs().max())
        torch.testing.assert_close(g, grads_b[name], rtol=0, atol=1e-5 * largest, msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture(params=LAYERS + CELLS)
def kind(request):
    return request.param


@pytest.fixture(params=LAYERS)
def layer_kind(request):
    return request.param


def both(kind, **options):
    """torch.nn's and ours with equal weights; two layers, both directions, unless it is a cell."""
    if kind in CELLS:
        return pair(kind, 3, 4, **options)
    return pair(kind, 3, 4, **({"num_layers": 2, "bidirectional": True} | options))


# Copies


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), copy.copy],
    ids=["deepcopy", "pickle", "copy"],
)
def test_copies(kind, copied):
    theirs, ours = both(kind)
    ours(given_to(ours))
    twin = copied(ours)
    assert type(twin) is type(ours)
    assert_same(twin, theirs)
    assert repr(twin) == repr(ours)


def test_deepcopy_is_independent(kind):
    _, ours = both(kind)
    before = [o.clone() for o in flat(ours(given_to(ours)))]
    twin = copy.deepcopy(ours)
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
    assert all(torch.equal(a, b) for a, b in zip(flat(ours(given_to(ours))), before, strict=True))
    assert not flat(twin(given_to(twin)))[0].any()
    if hasattr(twin, "_flat_weights"):
        assert all(a is b for a, b in zip(twin._flat_weights, twin.parameters(), strict=True))


def test_save_and_load_whole(kind):
    theirs, ours = both(kind)
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    assert_same(torch.load(file, weights_only=False), theirs)


# Conversions


def test_to_and_double(kind):
    theirs, ours = both(kind)
    x = given_to(ours).double()
    assert_same(ours.double(), theirs.double(), x)
    assert_same(ours.to(torch.float32), theirs.to(torch.float32))


def test_meta_and_to_empty(kind):
    module = getattr(statewise, kind)(3, 4, device="meta")
    result = flat(module(given_to(module).to("meta")))
    assert all(r.is_meta for r in result)
    theirs, _ = pair(kind, 3, 4)
    module.to_empty(device="cpu").load_state_dict(theirs.state_dict())
    assert_same(module, theirs)


def test_meta_ragged(layer_kind):
    module = getattr(statewise, layer_kind)(3, 4, device="meta", bidirectional=True)
    assert module(X.to("meta"), lengths=[3, 5])[0].shape == (5, 2, 8)
    packed = nn.utils.rnn.pack_padded_sequence(X, [5, 3])
    assert module(packed.to("meta"))[0].data.shape == (8, 8)


def test_skip_init(kind):
    module = nn.utils.skip_init(getattr(statewise, kind), 3, 4)
    theirs, _ = pair(kind, 3, 4)
    module.load_state_dict(theirs.state_dict())
    assert_same(module, theirs)


def test_share_memory(kind):
    theirs, ours = both(kind)
    ours.share_memory()
    assert all(p.is_shared() for p in ours.parameters())
    assert_same(ours, theirs)


def test_default_dtype_and_device_contexts(kind):
    with torch.device("meta"):
        assert next(getattr(statewise, kind)(3, 4).parameters()).is_meta
    torch.set_default_dtype(torch.float64)
    try:
        assert next(getattr(statewise, kind)(3, 4).parameters()).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


# state_dict


def test_state_dict_goes_both_ways(kind):
    theirs, ours = both(kind)
    other = both(kind)[0]
    ours.load_state_dict(other.state_dict())
    assert_same(ours, other)
    theirs.load_state_dict(ours.state_dict())
    assert_same(ours, theirs)


def test_load_state_dict_assign(kind):
    theirs, _ = both(kind)
    with torch.device("meta"):
        _, ours = both(kind)
    ours.load_state_dict(theirs.state_dict(), assign=True)
    assert_same(ours, theirs)
    if kind in LAYERS:
        assert all(a is b for a, b in zip(ours._flat_weights, ours.parameters(), strict=True))


@pytest.mark.parametrize("assign", [False, True])
def test_load_state_dict_mismatch_message(kind, assign):
    theirs, ours = pair(kind, 3, 4)
    wrong = pair(kind, 3, 5)[0].state_dict()
    expected = outcome(lambda: theirs.load_state_dict(wrong, assign=assign))
    assert expected[0] is RuntimeError
    assert outcome(lambda: ours.load_state_dict(wrong, assign=assign)) == expected


def test_swapping_conversions(kind):
    """torch.__future__'s other way to convert and load parameters."""
    theirs, ours = both(kind)
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        assert_same(ours.double(), theirs.double(), given_to(ours).double())
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


# Weights that aren't plain parameters


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_weight_norm_of_old(kind):
    theirs, ours = both(kind)
    for module in (theirs, ours):
        nn.utils.weight_norm(module, weight(module))
    assert_same(ours, theirs)
    with torch.no_grad():
        for module in (theirs, ours):
            getattr(module, weight(module) + "_g").mul_(2)
    assert_same(ours, theirs)
    for module in (theirs, ours):
        nn.utils.remove_weight_norm(module, weight(module))
    assert_same(ours, theirs)


@pytest.mark.parametrize("how", ["weight_norm", "orthogonal", "spectral_norm"])
def test_parametrizations(kind, how):
    theirs, ours = both(kind)
    for module in (theirs, ours):
        torch.manual_seed(1)
        getattr(parametrizations, how)(module, weight(module))
        module.eval()  # spectral_norm moves on at each use in training
    assert_same(ours, theirs)
    with torch.no_grad():
        for module in (theirs, ours):
            next(module.parametrizations[weight(module)].parameters()).add_(0.1)
    assert_same(ours, theirs)
    with parametrize.cached():
        assert_same(ours, theirs)
    twin = copy.deepcopy(ours)
    assert_same(twin, theirs)
    x = given_to(ours).double()
    assert_same(twin.double(), theirs.double(), x)
    assert_same(copy.deepcopy(twin), theirs, x)
    parametrize.remove_parametrizations(ours, weight(ours))
    assert type(ours) is getattr(statewise, kind)
    assert_same(copy.deepcopy(ours), ours)


@pytest.mark.parametrize("how", ["orthogonal", "weight_norm"])
@pytest.mark.parametrize("which", ["ih", "hh"])
def test_parametrizations_under_autocast(kind, how, which):
    """A parametrization may return bfloat16 there, for one weight of many: the others keep their digits."""
    plain, ours = pair(kind, 3, 4)[1], pair(kind, 3, 4)[1]
    ours.load_state_dict(plain.state_dict())
    name = weight(ours, which)
    getattr(parametrizations, how)(ours, name)
    with torch.autocast("cpu"):
        result = flat(ours(given_to(ours)))
        computed = getattr(ours, name).detach().float()
    with torch.no_grad():
        getattr(plain, name).copy_(computed)
    for a, b in zip(result, flat(plain(given_to(plain))), strict=True):
        torch.testing.assert_close(a.float(), b, rtol=2e-2, atol=2e-2)


def test_prune(kind):
    theirs, ours = both(kind)
    for module in (theirs, ours):
        prune.l1_unstructured(module, weight(module), 0.5)
    assert_same(ours, theirs)
    with torch.no_grad():
        for module in (theirs, ours):
            getattr(module, weight(module) + "_orig").mul_(2)
    assert_same(ours, theirs)
    for module in (theirs, ours):
        prune.remove(module, weight(module))
    assert_same(ours, theirs)


def test_weight_drop(kind):
    """The parameter is deleted, and a plain tensor made from another one takes its name before each call."""
    theirs, ours = both(kind)
    for scale in (1.0, 0.5):
        for module in (theirs, ours):
            name = weight(module)
            if scale == 1.0:
                raw = getattr(module, name)
                delattr(module, name)
                module.register_parameter("raw", raw)
            setattr(module, name, module.raw * scale)
        assert_same(ours, theirs)


def test_a_deleted_weight_is_missed(kind):
    _, ours = pair(kind, 3, 4)
    delattr(ours, weight(ours))
    with pytest.raises(AttributeError, match=weight(ours)):
        ours(given_to(ours))


def test_weight_tying(kind):
    theirs, ours = pair(kind, 4, 4)
    for module in (theirs, ours):
        setattr(module, weight(module, "ih"), getattr(module, weight(module)))
    assert_same(ours, theirs, torch.randn(2, 4) if kind in CELLS else torch.randn(5, 2, 4))


def test_a_parameter_replaced_past_setattr(kind):
    theirs, ours = both(kind)
    for module in (theirs, ours):
        name = weight(module)
        module._parameters[name] = nn.Parameter(module._parameters[name].detach() * 2)
    assert_same(ours, theirs)


@pytest.mark.parametrize("call", [functional_call, torch.nn.utils.stateless._functional_call])
def test_functional_call(kind, call):
    theirs, ours = both(kind)
    before = flat(ours(given_to(ours)))
    weights = {name: (2 * p.detach()).requires_grad_() for name, p in ours.named_parameters()}
    results = []
    for module in (ours, theirs):
        output = flat(call(module, weights, (given_to(module),)))
        gradients = torch.autograd.grad(sum(o.square().sum() for o in output), list(weights.values()))
        results.append([*output, *gradients])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(flat(ours(given_to(ours))), before, strict=True):
        assert torch.equal(a, b)


def test_data_parallel_replica(layer_kind):
    """As torch.nn.parallel.replicate makes them: a bare replica, which gets plain tensors for its parameters."""
    theirs, ours = both(layer_kind)
    replicas = []
    for module in (theirs, ours):
        replica = module._replicate_for_data_parallel()
        for name, p in module.named_parameters():
            setattr(replica, name, p * 2)
        replicas.append(flat(replica(X)))
    for a, b in zip(*replicas, strict=True):
        torch.testing.assert_close(a, b)
    assert_same(ours, theirs)
    assert all(a is b for a, b in zip(ours._flat_weights, ours.parameters(), strict=True))


# Autograd


def test_checkpoint(kind):
    theirs, ours = both(kind)
    x = given_to(ours).clone().requires_grad_()
    expected = torch.autograd.grad(flat(theirs(x))[0].square().sum(), [x, *theirs.parameters()])
    for reentrant in (False, True):
        output = checkpoint(ours, x, use_reentrant=reentrant)
        ours.zero_grad()
        x.grad = None
        flat(output)[0].square().sum().backward()
        for a, b in zip([x.grad, *(p.grad for p in ours.parameters())], expected, strict=True):
            torch.testing.assert_close(a, b)


def test_hooks(kind):
    seen = {}
    for module in both(kind):
        own = seen[module] = []
        handles = [
            module.register_forward_pre_hook(lambda *_, own=own: own.append("pre")),
            module.register_forward_hook(lambda *_, own=own: own.append("forward")),
            module.register_forward_hook(lambda *a, own=own: own.append(list(a[2])), with_kwargs=True),
            module.register_full_backward_pre_hook(lambda _, go, own=own: own.append(("backward pre", len(go)))),
            module.register_full_backward_hook(
                lambda _, gi, go, own=own: own.append(("backward", gi[0].shape, len(go)))
            ),
        ]
        for _ in range(2):
            flat(module(given_to(module).clone().requires_grad_(), hx=None))[0].sum().backward()
            for handle in handles:
                handle.remove()
    theirs, ours = seen.values()
    assert len(ours) == 5
    assert ours == theirs


def test_inference_mode_and_no_grad(kind):
    theirs, ours = both(kind)
    expected = [e.detach() for e in flat(theirs(given_to(ours)))]
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            result = flat(ours(given_to(ours)))
        assert not any(r.requires_grad for r in result)
        for a, b in zip(result, expected, strict=True):
            torch.testing.assert_close(a, b)


def test_frozen_weights(kind):
    theirs, ours = both(kind)
    for module in (theirs, ours):
        module.requires_grad_(False)
        assert not any(o.requires_grad for o in flat(module(given_to(module))))
        getattr(module, weight(module, "ih")).requires_grad_(True)
    assert_same(ours, theirs)
    x = given_to(ours).clone().requires_grad_()
    a, b = (torch.autograd.grad(flat(m(x))[0].square().sum(), x)[0] for m in (ours, theirs))
    torch.testing.assert_close(a, b)


def test_expanded_and_strided_arguments(kind):
    theirs, ours = pair(kind, 3, 4)
    h = torch.randn(4)
    if kind in CELLS:
        hx, shapes = h.expand(2, 4), [X[0], X[:1, :1].expand(1, 2, 3)[0], X[0].T.contiguous().T]
    else:
        hx = h.expand(1, 2, 4)
        shapes = [X[::2], X[:1].expand(5, 2, 3), X.transpose(1, 2).contiguous().transpose(1, 2), X.flip(0)[:, 1:1]]
        hx = [hx, hx, hx, hx[:, 1:1]]
    for k, x in enumerate(shapes):
        start = hx[k] if isinstance(hx, list) else hx
        state = (start, start) if kind.startswith("LSTM") else start
        for a, b in zip(flat(ours(x, state)), flat(theirs(x, state)), strict=True):
            torch.testing.assert_close(a, b)


def test_gradient_of_an_expanded_state(layer_kind):
    theirs, ours = pair(layer_kind, 3, 4)
    found = []
    for module in (ours, theirs):
        h = torch.full((1, 1, 4), 0.3, requires_grad=True)
        state = (h.expand(1, 2, 4),) * 2 if layer_kind == "LSTM" else h.expand(1, 2, 4)
        module(X, state)[0].square().sum().backward()
        found.append(h.grad)
    torch.testing.assert_close(*found)


def test_retain_graph(kind):
    _, ours = pair(kind, 3, 4)
    x = given_to(ours).clone().requires_grad_()
    loss = flat(ours(x))[0].square().sum()
    first = torch.autograd.grad(loss, [x, *ours.parameters()], retain_graph=True)
    again = torch.autograd.grad(loss, [x, *ours.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, x)


def test_batched_gradients(kind):
    _, ours = pair(kind, 3, 4)
    x = given_to(ours).clone().requires_grad_()
    output = flat(ours(x))[0]
    cotangents = torch.randn(3, *output.shape)
    leaves = [x, *ours.parameters()]
    batched = torch.autograd.grad(output, leaves, cotangents, is_grads_batched=True, retain_graph=True)
    for k, cotangent in enumerate(cotangents):
        one = torch.autograd.grad(output, leaves, cotangent, retain_graph=True)
        for a, b in zip(batched, one, strict=True):
            torch.testing.assert_close(a[k], b)


# torch.func and compiled graphs, which torch.nn's layers refuse


def test_vmap_over_inputs(kind):
    _, ours = pair(kind, 3, 4)
    x = torch.randn(3, *given_to(ours).shape)
    for a, b in zip(flat(vmap(ours)(x)), zip(*(flat(ours(v)) for v in x), strict=True), strict=True):
        torch.testing.assert_close(a, torch.stack(b))


def test_vmap_over_stacked_weights(kind):
    models = [getattr(statewise, kind)(3, 4) for _ in range(3)]
    weights, buffers = stack_module_state(models)
    skeleton = copy.deepcopy(models[0]).to("meta")
    x = given_to(models[0])
    stacked = vmap(lambda w, b: functional_call(skeleton, (w, b), (x,)))(weights, buffers)
    for a, b in zip(flat(stacked), zip(*(flat(m(x)) for m in models), strict=True), strict=True):
        torch.testing.assert_close(a, torch.stack(b))


def test_per_sample_gradients(kind):
    _, ours = pair(kind, 3, 4)
    weights = {name: p.detach() for name, p in ours.named_parameters()}
    samples = torch.randn(3, *given_to(ours).shape)

    def loss(w, x):
        return flat(functional_call(ours, w, (x,)))[0].square().sum()

    batched = vmap(grad(loss), in_dims=(None, 0))(weights, samples)
    for k, sample in enumerate(samples):
        for name, g in grad(loss)(weights, sample).items():
            torch.testing.assert_close(batched[name][k], g)


@pytest.mark.filterwarnings("ignore:`torch.jit")  # torch loads its decompositions with it
def test_jvp(kind):
    ours = getattr(statewise, kind)(3, 4, dtype=torch.float64)
    x = given_to(ours).double()
    v = torch.randn_like(x)
    _, tangent = jvp(lambda x: flat(ours(x))[0], (x,), (v,))
    eps = 1e-6
    difference = (flat(ours(x + eps * v))[0] - flat(ours(x - eps * v))[0]) / (2 * eps)
    torch.testing.assert_close(tangent, difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("randomness", ["different", "same"])
def test_dropout_under_vmap(randomness):
    layer = statewise.LSTM(3, 4, 2, dropout=0.5)
    x = X.expand(3, *X.shape)
    output = vmap(lambda x: layer(x)[0], randomness=randomness)(x)
    assert torch.equal(output[0], output[1]) == (randomness == "same")


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5, "num_layers": 2, "batch_first": True}], ids=str)
def test_compile_makes_one_graph(kind, options):
    _, ours = pair(kind, 3, 4, **({} if kind in CELLS else options))
    ours.eval()
    compiled = torch.compile(ours, fullgraph=True, backend="eager")
    for a, b in zip(flat(compiled(given_to(ours))), flat(ours(given_to(ours))), strict=True):
        torch.testing.assert_close(a, b)
    ours.train()
    flat(compiled(given_to(ours)))[0].sum().backward()
    if kind in LAYERS:
        state = torch.zeros(getattr(ours, "num_layers"), 5 if ours.batch_first else 2, 4)  # noqa: B009
        hx = (state, state) if kind == "LSTM" else state
        compiled(given_to(ours), hx)
    torch.compiler.reset()


def in_shared_memory(module, path):
    """Move W_hh into a file that this process has mapped; what writes into it."""
    w = module.get_parameter(weight(module))
    w.data = torch.from_file(str(path), shared=True, size=w.numel()).view_as(w)
    with torch.no_grad():
        w.uniform_(-0.5, 0.5)
    bytes_ = bytes(torch.full_like(w, 0.125).numpy())
    code = "import sys; open(sys.argv[1], 'r+b').write(bytes.fromhex(sys.argv[2]))"
    return [sys.executable, "-c", code, str(path), bytes_.hex()]


@pytest.mark.parametrize("by", ["fused Adam", "data", "numpy", "load_state_dict", "another process"])
def test_a_changed_weight_is_seen_by_the_next_call(kind, by, tmp_path):
    """Nothing that was made of the weights outlives a call: most of these leave no trace on the tensor."""
    ours = getattr(statewise, kind)(3, 4)
    w = ours.get_parameter(weight(ours))
    if by == "another process":
        command = in_shared_memory(ours, tmp_path / "weight")
    for _ in range(2):
        with torch.no_grad():
            ours(given_to(ours))
        before = w.detach().clone()
        if by == "fused Adam":
            for p in ours.parameters():
                p.grad = torch.ones_like(p)
            torch.optim.Adam(ours.parameters(), 0.1, fused=True).step()
        elif by == "data":
            w.data.mul_(2)
        elif by == "numpy":
            w.detach().numpy()[:] *= 2
        elif by == "load_state_dict":
            ours.load_state_dict(getattr(statewise, kind)(3, 4).state_dict())
        else:
            subprocess.run(command, check=True, timeout=60)
        assert torch.equal(w, before) == (by == "another process" and bool((before == 0.125).all()))
        theirs = getattr(nn, kind)(3, 4)
        theirs.load_state_dict(ours.state_dict())
        assert_same(ours, theirs)
