"""torch.compile and torch.export: one graph, the kernels within it, and the results of the plain call."""

from __future__ import annotations

import pytest
import torch
from torch.export import Dim
from torch.func import grad, jvp, vmap
from torch.nn.utils.rnn import PackedSequence

import statewise
from oracle import CELLS, LAYERS, flat

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")  # torch.func loads its decompositions with it

T, N, I, H = 4, 3, 5, 6  # noqa: E741
OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 2, "proj_size": 2, "bias": False},
    {"num_layers": 3, "dropout": 0.5, "batch_first": True},
]


@pytest.fixture(autouse=True)
def _fresh():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class Recorder:
    """A backend for torch.compile that keeps the graphs it was given, and traces them as the compilers do."""

    def __init__(self):
        self.graphs = []

    def __call__(self, graph, example_inputs):
        from torch._dynamo.backends.debugging import aot_eager

        self.graphs.append(graph)
        return aot_eager(graph, example_inputs)

    def assert_one_operation(self):
        assert len(self.graphs) == 1
        targets = [node.target for node in self.graphs[0].graph.nodes if node.op == "call_function"]
        assert targets.count(torch.ops.statewise.recurrent) == 1
        assert not {torch.sigmoid, torch.tanh, torch.nn.functional.linear} & set(targets)


def outcome(call, leaves, seed=7):
    """The results of ``call`` and the gradients of ``leaves``, its dropout drawn from ``seed``."""
    torch.manual_seed(seed)
    results = flat(call())
    value = sum((r.double() * torch.linspace(-1, 2, r.numel()).view_as(r)).sin().sum() for r in results)
    return [*results, *torch.autograd.grad(value, leaves)]


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)


def hx_for(layer, *lead):
    state = [torch.randn(*lead, size) for size in layer._stack.state_sizes]
    return tuple(state) if len(state) > 1 else state[0]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("given", ["x", "x, hx and lengths"])
def test_layers(kind, options, given):
    layer = getattr(statewise, kind)(I, H, **options)
    n = T if layer.batch_first else N
    x = torch.randn(T, N, I, requires_grad=True)
    hx = hx_for(layer, layer._depth, n) if given != "x" else None
    lengths = torch.arange(1, n + 1).clamp(max=x.size(int(layer.batch_first))) if given != "x" else None
    backend = Recorder()
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    leaves = [x, *layer.parameters()]
    found = outcome(lambda: compiled(x, hx, lengths=lengths), leaves)
    backend.assert_one_operation()
    assert_equal(found, outcome(lambda: layer(x, hx, lengths=lengths), leaves))


@pytest.mark.parametrize("kind", CELLS)
def test_cells(kind):
    cell = getattr(statewise, kind)(I, H)
    x, hx = torch.randn(N, I, requires_grad=True), hx_for(cell, N)
    backend = Recorder()
    compiled = torch.compile(cell, fullgraph=True, backend=backend)
    leaves = [x, *cell.parameters()]
    found = outcome(lambda: compiled(x, hx), leaves)
    backend.assert_one_operation()
    assert_equal(found, outcome(lambda: cell(x, hx), leaves))


@pytest.mark.parametrize("kind", LAYERS)
def test_without_gradients(kind):
    layer = getattr(statewise, kind)(I, H, 2, dropout=0.5).eval()
    x = torch.randn(T, N, I)
    with torch.inference_mode():
        assert_equal(flat(torch.compile(layer, fullgraph=True, backend="aot_eager")(x)), flat(layer(x)))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("options", [{"bidirectional": True}, {"num_layers": 2, "dropout": 0.5}], ids=str)
def test_one_graph_for_all_sizes(kind, options):
    layer = getattr(statewise, kind)(I, H, **options)
    backend = Recorder()
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    for k, (t, n) in enumerate([(T, N), (7, 2), (3, 40), (50, 9)]):
        x = torch.randn(t, n, I, requires_grad=True)
        if k == 0:
            torch._dynamo.mark_dynamic(x, 0)
            torch._dynamo.mark_dynamic(x, 1)
        leaves = [x, *layer.parameters()]
        assert_equal(outcome(lambda x=x: compiled(x), leaves), outcome(lambda x=x: layer(x), leaves))
    backend.assert_one_operation()


def test_a_float16_layer_learns():
    """The operation computes it by the reference, whose gradient must not be lost below autograd."""
    layer = statewise.GRU(I, H, dtype=torch.float16)
    x = torch.randn(T, N, I, dtype=torch.float16, requires_grad=True)
    leaves = [x, *layer.parameters()]
    found = outcome(lambda: torch.compile(layer, fullgraph=True, backend="aot_eager")(x), leaves)
    assert all(v.any() for v in found)
    torch.testing.assert_close(found, outcome(lambda: layer(x), leaves), rtol=2e-3, atol=2e-3)


TRANSFORMED = {
    "vmap": lambda f: vmap(f),
    "grad": lambda f: grad(lambda x: f(x).sin().sum()),
    "vmap of grad": lambda f: vmap(grad(lambda x: f(x).sin().sum())),
    "jvp": lambda f: lambda x: jvp(f, (x,), (torch.ones_like(x),)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("transform", TRANSFORMED)
@pytest.mark.slow
def test_transforms_within_a_compiled_function(kind, transform):
    layer = getattr(statewise, kind)(I, H)
    function = TRANSFORMED[transform](lambda x: layer(x)[0])
    x = torch.randn(*[2] * transform.startswith("vmap"), 2, N, I)
    found = flat(torch.compile(function, fullgraph=True, backend="aot_eager")(x))
    for a, b in zip(found, flat(function(x)), strict=True):
        torch.testing.assert_close(a, b)
        assert b.any()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's, at a graph break
@pytest.mark.parametrize("kind", LAYERS)
def test_a_packed_sequence_breaks_the_graph(kind):
    layer = getattr(statewise, kind)(I, H, 2, bidirectional=True)
    data = torch.randn(6, I, requires_grad=True)
    leaves = [data, *layer.parameters()]

    def through(module):
        return outcome(lambda: module(PackedSequence(data, torch.tensor([3, 2, 1]))), leaves)

    assert_equal(through(torch.compile(layer, backend="aot_eager")), through(layer))
    torch.compiler.reset()
    with pytest.raises(torch._dynamo.exc.UserError, match="data-dependent"):
        through(torch.compile(layer, fullgraph=True, backend="aot_eager"))


def test_what_torch_cannot_differentiate_raises():
    layer = statewise.LSTM(I, H)
    x = torch.randn(T, N, I, requires_grad=True)
    (g,) = torch.autograd.grad(torch.compile(layer, backend="aot_eager")(x)[0].square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="double backward"):
        g.sum().backward()


@pytest.mark.slow
def test_inductor():
    """The compiler proper, which relies on strides: x in several orders, gradients of all.

    The LSTM alone, whose results are the most: what it is told of the operation is the same for every kind.
    """
    layer = statewise.LSTM(I, H, 2, dropout=0.5, bidirectional=True)

    def model(x):
        output, final = layer(x * 2)
        return output.relu(), final

    compiled = torch.compile(model, fullgraph=True)
    layer.eval()  # inductor draws its own random numbers
    for x in (torch.randn(T, N, I), torch.randn(N, T, I).transpose(0, 1), torch.randn(I, T, N).permute(1, 2, 0)):
        x.requires_grad_()
        leaves = [x, *layer.parameters()]
        found, expected = outcome(lambda x=x: compiled(x), leaves), outcome(lambda x=x: model(x), leaves)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)
    layer.train()
    dropped = flat(compiled(torch.randn(T, N, I, requires_grad=True)))[0]
    assert dropped.isfinite().all()
    assert dropped.any()


# Export


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("ragged", [False, True])
def test_export_with_any_time_and_batch(kind, ragged):
    layer = getattr(statewise, kind)(I, H, 2, bidirectional=True)
    steps, rows = Dim("T"), Dim("N")

    def given(t, n):
        return {"lengths": torch.randint(0, t + 1, (n,))} if ragged else {}

    shapes = {"input": {0: steps, 1: rows}} | ({"lengths": {0: rows}} if ragged else {})
    exported = torch.export.export(layer, (torch.randn(T, N, I),), given(T, N), dynamic_shapes=shapes)
    assert "statewise.recurrent" in exported.graph_module.code
    module = exported.module()
    for t, n in [(T, N), (9, 2), (2, 30)]:
        x, more = torch.randn(t, n, I, requires_grad=True), given(t, n)
        assert_equal(
            outcome(lambda x=x, more=more: module(x, **more), [x, *module.parameters()]),
            outcome(lambda x=x, more=more: layer(x, **more), [x, *layer.parameters()]),
        )


def test_an_exported_layer_has_its_derivatives():
    """It calls the operation eagerly: what doesn't know it must not take it for a constant."""
    layer = statewise.LSTM(I, H, dtype=torch.float64)
    x = torch.randn(T, N, I, dtype=torch.float64)
    module = torch.export.export(layer, (x,)).module(check_guards=False)
    v = torch.randn_like(x)

    def derivatives(f):
        value = lambda x: f(x)[0].sin().sum()  # noqa: E731
        return [jvp(lambda x: f(x)[0], (x,), (v,))[1], grad(value)(x), jvp(grad(value), (x,), (v,))[1]]

    for a, b in zip(derivatives(module), derivatives(layer), strict=True):
        torch.testing.assert_close(a, b)
        assert b.any()


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_a_traced_layer_takes_other_sizes(tmp_path):
    """A loop unrolled by the tracer would go on with the steps of the example."""
    layer = statewise.LSTM(3, 4, num_layers=2, bidirectional=True)
    torch.jit.trace(layer, (torch.randn(5, 2, 3),)).save(tmp_path / "layer.pt")
    traced = torch.jit.load(tmp_path / "layer.pt")
    x = torch.randn(9, 6, 3)
    assert torch.equal(traced(x)[0], layer(x)[0])
