"""What torch's machinery sees of ``torch.ops.statewise.recurrent``, and that it is right: transforms, modes, AOT."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.func import functional_call, grad, hessian, jacrev, stack_module_state, vjp, vmap
from torch.library import opcheck
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts
from torch.utils.flop_counter import FlopCounterMode

import statewise
from oracle import CELLS, LAYERS, flat
from statewise.ops.arguments import Arguments
from statewise.ops.library import _flat

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")

T, N, I, H, B = 5, 2, 3, 4, 3  # noqa: E741
OPTIONS = [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False, "batch_first": True}, {"proj_size": 2}]


@pytest.fixture
def no_fallback(monkeypatch):
    """The slow reference isn't taken: for what it is asked to compute here there are kernels."""
    from statewise.ops import gradient, library

    def refuse(*_, **__):
        raise AssertionError("the reference was taken")

    monkeypatch.setattr(gradient.reference, "recurrent", refuse)
    monkeypatch.setattr(library, "run_reference", refuse)


def made(kind, **options):
    return getattr(statewise, kind)(I, H, **({} if kind in CELLS else options))


def given_to(module, *lead):
    size = (N, I) if isinstance(module, nn.RNNCellBase) else (N, T, I) if module.batch_first else (T, N, I)
    return torch.randn(*lead, *size)


def loss_of(module):
    def loss(weights, x):
        return sum((r * torch.linspace(-1, 2, r.numel()).view_as(r)).sin().sum() for r in results(weights, x))

    def results(weights, x):
        return flat(functional_call(module, weights, (x,)))

    return loss


def detached(module):
    return {name: p.detach() for name, p in module.named_parameters()}


def expected_gradients(module, x):
    """By plain autograd: of x, and of the weights by name."""
    x = x.detach().requires_grad_()
    weights = dict(module.named_parameters())
    found = torch.autograd.grad(loss_of(module)(weights, x), [x, *weights.values()])
    return found[0], dict(zip(weights, found[1:], strict=True))


# torch.func


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.usefixtures("no_fallback")
def test_vmap_and_grad_in_both_orders(kind, options):
    module = made(kind, **options)
    weights, xs = detached(module), given_to(module, B)
    loss = loss_of(module)
    plain = [expected_gradients(module, x) for x in xs]
    for a, b in zip(flat(vmap(module)(xs)), zip(*(flat(module(x)) for x in xs), strict=True), strict=True):
        torch.testing.assert_close(a, torch.stack(b))
    of_weights, of_x = vmap(grad(loss, argnums=(0, 1)), in_dims=(None, 0))(weights, xs)
    only_x = vmap(grad(loss, argnums=1), in_dims=(None, 0))(weights, xs)
    summed = grad(lambda w: vmap(loss, in_dims=(None, 0))(w, xs).sum())(weights)
    for k, (d_x, d_weights) in enumerate(plain):
        torch.testing.assert_close(of_x[k], d_x)
        torch.testing.assert_close(only_x[k], d_x)
        for name, g in d_weights.items():
            torch.testing.assert_close(of_weights[name][k], g)
    for name in weights:
        torch.testing.assert_close(summed[name], sum(d_weights[name] for _, d_weights in plain))


@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.usefixtures("no_fallback")
def test_ensembles(kind):
    modules = [made(kind, num_layers=2) for _ in range(B)]
    weights, _ = stack_module_state(modules)
    weights = {name: w.detach() for name, w in weights.items()}
    skeleton = copy.deepcopy(modules[0]).to("meta")
    x = given_to(modules[0])
    outputs = vmap(lambda w: flat(functional_call(skeleton, w, (x,))))(weights)
    gradients = vmap(grad(loss_of(skeleton)), in_dims=(0, None))(weights, x)
    for k, module in enumerate(modules):
        for a, b in zip(outputs, flat(module(x)), strict=True):
            torch.testing.assert_close(a[k], b)
        for name, g in expected_gradients(module, x)[1].items():
            torch.testing.assert_close(gradients[name][k], g)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.usefixtures("no_fallback")
def test_vmap_over_states_lengths_and_axes(kind):
    module = made(kind, bidirectional=True)
    xs = torch.randn(T, N, B, I)
    states = [torch.randn(2, B, N, H) for _ in module._stack.cell.states]
    lengths = torch.tensor([[5, 2], [0, 1], [3, 3]])

    def call(x, *state):
        return flat(module(x, state[0] if len(state) == 1 else state))

    found = vmap(call, in_dims=(2, *[1] * len(states)))(xs, *states)
    shared = vmap(call, in_dims=(None, *[1] * len(states)))(xs[:, :, 0], *states)
    for k in range(B):
        state = [s[:, k] for s in states]
        for a, b in zip(found, call(xs[:, :, k], *state), strict=True):
            torch.testing.assert_close(a[k], b)
        for a, b in zip(shared, call(xs[:, :, 0], *state), strict=True):
            torch.testing.assert_close(a[k], b)
    for k, n in enumerate(lengths):
        ragged = vmap(lambda x, n=n: flat(module(x, lengths=n)), in_dims=2)(xs)
        for a, b in zip(ragged, flat(module(xs[:, :, k], lengths=n)), strict=True):
            torch.testing.assert_close(a[k], b)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.usefixtures("no_fallback")
def test_jacobians_and_pullbacks(kind):
    module, x = made(kind), torch.randn(2, 1, I)
    expected = torch.autograd.functional.jacobian(lambda x: module(x)[0], x)
    torch.testing.assert_close(jacrev(lambda x: module(x)[0])(x), expected)
    output, pull = vjp(lambda x: module(x)[0], x)
    cotangents = torch.randn(4, *output.shape)
    for a, b in zip(vmap(pull)(cotangents)[0], cotangents, strict=True):
        torch.testing.assert_close(a, pull(b)[0])


@pytest.mark.parametrize("kind", LAYERS + CELLS)
def test_gradients_of_gradients(kind):
    """By the reference, and none is lost on the way: against differences, at every level and in both directions."""
    module = made(kind, num_layers=2).double()
    x = given_to(module).double()
    value = loss_of(module)
    weights = detached(module)

    def penalty(weights, x):
        return grad(value, argnums=1)(weights, x).square().sum()

    of_weights, of_x = grad(penalty, argnums=(0, 1))(weights, x)
    leaves = [x.clone().requires_grad_(), *(w.clone().requires_grad_() for w in weights.values())]
    (first,) = torch.autograd.grad(
        value(dict(zip(weights, leaves[1:], strict=True)), leaves[0]), leaves[:1], create_graph=True
    )
    expected = torch.autograd.grad(first.square().sum(), leaves)
    for a, b in zip([of_x, *of_weights.values()], expected, strict=True):
        torch.testing.assert_close(a, b)
    eps = 1e-6 * torch.randn_like(x)
    difference = penalty(weights, x + eps) - penalty(weights, x - eps)
    torch.testing.assert_close(2 * (of_x * eps).sum(), difference, rtol=1e-5, atol=1e-12)
    second = hessian(lambda x: value(weights, x))(x)
    torch.testing.assert_close(second, torch.autograd.functional.hessian(lambda x: value(weights, x), x))


def test_parameters_outside_of_the_transform_get_gradients_too():
    module, x = made("GRU"), given_to(made("GRU"))
    grad(lambda x: module(x)[0].square().sum())(x).square().sum().backward()
    found = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    x.requires_grad_()
    (first,) = torch.autograd.grad(module(x)[0].square().sum(), x, create_graph=True)
    for a, b in zip(found, torch.autograd.grad(first.square().sum(), list(module.parameters())), strict=True):
        torch.testing.assert_close(a, b)


# Modes


class Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", LAYERS + CELLS)
@pytest.mark.usefixtures("no_fallback")
def test_modes_see_the_operation(kind):
    module = made(kind, num_layers=2)
    x = given_to(module)
    with Recorder() as recorder, torch.no_grad():
        found = flat(module(x))
    for a, b in zip(found, flat(module(x)), strict=True):
        assert torch.equal(a, b)
    with recorder:
        flat(module(x))[0].sum().backward()
    ours = [str(f) for f in recorder.seen if f.namespace == "statewise"]
    assert ours == [f"statewise.recurrent{end}.default" for end in ("", "_taped", "_backward")]
    assert not {torch.ops.aten.mm.default, torch.ops.aten.tanh.default} & set(recorder.seen)


@pytest.mark.parametrize("kind", LAYERS)
def test_selective_checkpoints(kind):
    module, x = made(kind), torch.randn(T, N, I, requires_grad=True)
    ran = []

    class Counter(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            ran.append(func)
            return func(*args, **(kwargs or {}))

    def run(policy):
        ran.clear()
        contexts = lambda: create_selective_checkpoint_contexts(lambda ctx, op, *a, **k: policy)  # noqa: E731
        with Counter():
            y = checkpoint(lambda x: module(x)[0].sin(), x, use_reentrant=False, context_fn=contexts)
            (g,) = torch.autograd.grad(y.sum(), x)
        return g, ran.count(torch.ops.statewise.recurrent_taped.default)

    (expected,) = torch.autograd.grad(module(x)[0].sin().sum(), x)
    for policy, times in ((CheckpointPolicy.MUST_SAVE, 1), (CheckpointPolicy.MUST_RECOMPUTE, 2)):
        g, count = run(policy)
        assert torch.equal(g, expected)
        assert count == times


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("LSTM", 4), ("GRU", 3)])
def test_flops(kind, gates):
    module, x = made(kind, num_layers=2), torch.randn(T, N, I)
    from_x, others = (2 * T * N * gates * H * width for width in (I, 3 * H))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    assert counter.get_total_flops() == from_x + others
    for needs_x in (False, True):
        with FlopCounterMode(display=False) as counter:
            module(x.clone().requires_grad_(needs_x))[0].sum().backward()
        assert counter.get_total_flops() == (2 + needs_x) * from_x + 3 * others
    packed = pack_padded_sequence(x, [T, 2])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(packed)
    assert counter.get_total_flops() == (from_x + others) * (T + 2) // (T * N)


# The operation's own rules


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("given", ["x", "all"])
@pytest.mark.parametrize("kind", LAYERS)
def test_opcheck(kind, given, requires_grad):
    module = getattr(statewise, kind)(I, H, 2, bidirectional=True).requires_grad_(requires_grad)
    x = torch.randn(T, N, I, requires_grad=requires_grad)
    state, masks, lengths = None, (), None
    if given == "all":
        state = [torch.randn(4, N, H, requires_grad=requires_grad) for _ in module._stack.cell.states]
        masks, lengths = [torch.rand(T, N, 2 * H)], torch.tensor([T, 0])
    a = Arguments(x, state, list(module.parameters()), module._stack, masks, lengths)
    opcheck(torch.ops.statewise.recurrent.default, _flat(a))


def test_only_what_is_differentiated_writes_a_tape():
    module, x = made("LSTM"), torch.randn(T, N, I)
    graphs = []

    def backend(graph, inputs):
        from torch._dynamo.backends.common import aot_autograd
        from torch._functorch.aot_autograd import make_boxed_func

        def keep(graph, inputs):
            graphs.append({str(node.target) for node in graph.graph.nodes if "statewise" in str(node.target)})
            return make_boxed_func(graph.forward)

        return aot_autograd(fw_compiler=keep, bw_compiler=keep)(graph, inputs)

    torch.compiler.reset()
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    with torch.no_grad():
        compiled(x)
    assert graphs == [{"statewise.recurrent.default"}]
    compiled(x)[0].sum().backward()
    assert graphs[1:] == [{"statewise.recurrent_taped.default"}, {"statewise.recurrent_backward.default"}]
    torch.compiler.reset()
    with torch.no_grad():
        results = torch.ops.statewise.recurrent(*_flat(Arguments(x, None, list(module.parameters()), module._stack)))
    assert [tuple(r.shape) for r in results] == [(T, N, H), (1, N, H), (1, N, H)]


@pytest.mark.slow  # compiles C++
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec:FutureWarning")  # torch's own, while it packages
@pytest.mark.parametrize("kind", LAYERS)
def test_aot_inductor(kind, tmp_path):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = getattr(statewise, kind)(I, H, 2, bidirectional=True)

        def forward(self, x):
            output, state = self.layer(x)
            return self.layer(2 * x, state)[0], output

    model, any_t_and_n = Model().eval(), ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},)
    with torch.no_grad():
        program = torch.export.export(model, (torch.randn(T, N, I),), dynamic_shapes=any_t_and_n)
        path = torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "model.pt2"))
        loaded = torch._inductor.aoti_load_package(path)
        for t, n in ((T, N), (9, 4)):
            x = torch.randn(t, n, I)
            for a, b in zip(loaded(x), model(x), strict=True):
                torch.testing.assert_close(a, b)


# torch.jit.trace


class Packs(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths):
        packed, state = self.layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return pad_packed_sequence(packed)[0], state


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # of the checks, as with torch.nn's layers
@pytest.mark.parametrize("options", OPTIONS[:2], ids=str)
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.usefixtures("no_fallback")
def test_traced_packing_works_at_other_sizes(kind, options):
    model = Packs(made(kind, **options))
    traced = torch.jit.trace(model, (torch.randn(T, 3, I), torch.tensor([3, T, 2])), check_trace=False)
    for n, t in (([3, 5, 2], 5), ([1, 9, 4, 4], 9), ([2], 2)):
        x, lengths = torch.randn(t, len(n), I, requires_grad=True), torch.tensor(n)
        leaves = [x, *model.parameters()]
        found, expected = (flat(m(x, lengths)) for m in (traced, model))
        for a, b in zip(found, expected, strict=True):
            assert torch.equal(a, b)
        gradients = [torch.autograd.grad(sum(r.square().sum() for r in rs), leaves) for rs in (found, expected)]
        for a, b in zip(*gradients, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("options", [{}, {"bias": False}], ids=str)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_penalty_on_per_sample_gradients(kind, options):
    """The gradient of what vmap(grad) gives, whichever way it came to it."""
    module = getattr(statewise, kind)(I, H, **options).double()
    weights, xs, value = detached(module), torch.randn(B, T, N, I).double(), loss_of(module)

    def at_once(weights):
        return sum(g.square().sum() for g in vmap(grad(value), in_dims=(None, 0))(weights, xs).values())

    def one_by_one(weights):
        return sum(g.square().sum() for x in xs for g in grad(value)(weights, x).values())

    found, expected = grad(at_once)(weights), grad(one_by_one)(weights)
    for name in weights:
        torch.testing.assert_close(found[name], expected[name])


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.usefixtures("no_fallback")
def test_per_sample_gradients_with_states_and_lengths(kind):
    module = getattr(statewise, kind)(I, H)
    weights, xs, lengths = detached(module), torch.randn(B, T, N, I), torch.tensor([3, T])
    xs[:, 3:, 0] = float("nan")  # the padding, which nobody may read
    states = [torch.randn(B, 1, N, H) for _ in module._stack.cell.states]

    def value(weights, x, *state):
        hx = state[0] if len(state) == 1 else state
        return sum(r.sin().sum() for r in flat(functional_call(module, weights, (x, hx), {"lengths": lengths})))

    arguments = tuple(range(2 + len(states)))
    found = vmap(grad(value, argnums=arguments), in_dims=(None, *[0] * (1 + len(states))))(weights, xs, *states)
    for k in range(B):
        expected = grad(value, argnums=arguments)(weights, xs[k], *(s[k] for s in states))
        for a, b in zip(found[1:], expected[1:], strict=True):
            torch.testing.assert_close(a[k], b)
        for name, g in expected[0].items():
            torch.testing.assert_close(found[0][name][k], g)
