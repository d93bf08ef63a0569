"""Every way in which torch differentiates and batches, through every door, against the reference in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.nn.utils.rnn import PackedSequence

import statewise
from oracle import CELLS, LAYERS, flat
from statewise import reference
from statewise.ops import library
from statewise.ops.arguments import Arguments

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")  # torch.func loads its decompositions with it

T, N, I, H = 3, 2, 2, 3  # noqa: E741
LENGTHS, BATCH_SIZES = [1, 3], [2, 1, 1]
Results = tuple[Tensor, ...]
Run = Callable[..., Results]  # (x, *states, *weights) -> output, *final states


@dataclass(frozen=True)
class Case:
    """A layer or cell, its options, and whether rows differ in length."""

    kind: str
    options: dict[str, object] = field(default_factory=dict)
    ragged: str = ""

    def __str__(self) -> str:
        return "-".join([self.kind, *(f"{k}={v}" for k, v in self.options.items()), *[self.ragged] * bool(self.ragged)])

    def make(self) -> tuple[dict[str, Run], list[Tensor]]:
        """The doors, all of which compute the same, and x, states and weights to call them with."""
        module = getattr(statewise, self.kind)(I, H, dtype=torch.float64, **self.options)
        stack, names = module._stack, [name for name, _ in module.named_parameters()]
        is_cell, states = self.kind in CELLS, len(stack.cell.states)
        lead = {"packed": [sum(BATCH_SIZES)]}.get(self.ragged, [N] if is_cell else [T, N])
        depth = [] if is_cell else [stack.num_layers * stack.directions]
        x = torch.randn(*lead, I, dtype=torch.float64)
        start = [torch.randn(*depth, N, size, dtype=torch.float64) for size in stack.state_sizes]
        lengths = torch.tensor(LENGTHS) if self.ragged == "lengths" else None
        sizes = torch.tensor(BATCH_SIZES) if self.ragged == "packed" else None

        def public(x: Tensor, *rest: Tensor) -> Results:
            state, weights = rest[:states], dict(zip(names, rest[states:], strict=True))
            given = (x if sizes is None else PackedSequence(x, sizes), state if states > 1 else state[0])
            more = {} if lengths is None else {"lengths": lengths}
            return tuple(flat(functional_call(module, weights, given, more)))

        def through(run: Callable[[Arguments], Results], x: Tensor, *rest: Tensor) -> Results:
            state, weights = rest[:states], rest[states:]
            if not is_cell:
                return run(Arguments(x, state, weights, stack, (), lengths, sizes))
            results = run(Arguments(x[None], [s[None] for s in state], weights, stack, (), None, None))
            return tuple(r[0] for r in results[1:])

        doors = {"public": public, "op": partial(through, library.run_library), "reference": partial(through, oracle)}
        return doors, [x, *start, *(p.detach() for p in module.parameters())]


def oracle(a: Arguments) -> Results:
    return reference.recurrent(
        a.x, a.state, a.weights, a.stack, masks=a.masks, lengths=a.lengths, batch_sizes=a.batch_sizes
    )


CASES = [
    *(Case(kind) for kind in LAYERS + CELLS),
    *(Case(kind, {"num_layers": 2, "bidirectional": True}) for kind in LAYERS),
    *(Case(kind, {"num_layers": 2, "proj_size": 2}, "lengths") for kind in LAYERS),
    *(Case(kind, {"bidirectional": True, "bias": False}, "packed") for kind in LAYERS),
    Case("RNN", {"nonlinearity": "relu", "bidirectional": True}, "lengths"),
    Case("RNNCell", {"nonlinearity": "relu"}),
]
THROUGH = [(case, door) for case in CASES for door in ("public", "op") if (case.ragged, door) != ("packed", "op")]


def loss(results: Sequence[Tensor]) -> Tensor:
    """A number that every result enters, none of them linearly."""
    return sum((r * torch.linspace(-1, 2, r.numel(), dtype=r.dtype).view_as(r)).sin().sum() for r in results)


def of_x(run: Run, leaves: list[Tensor]) -> Callable[[Tensor], Results]:
    return lambda x: run(x, *leaves[1:])


def of_weight(run: Run, leaves: list[Tensor]) -> Callable[[Tensor], Results]:
    """As a function of the last weight, be it a bias or not."""
    return lambda w: run(*leaves[:-1], w)


def of_all(run: Run, leaves: list[Tensor]) -> Callable[..., Tensor]:
    return lambda *leaves: loss(run(*leaves))


def like(tensor: Tensor, *more: int) -> Tensor:
    """Numbers shaped like ``tensor`` with ``more`` axes before, the same at each call."""
    generator = torch.Generator().manual_seed(tensor.numel())
    return torch.randn(*more, *tensor.shape, generator=generator, dtype=tensor.dtype)


# What torch can make of a function. Each takes a Run and its leaves, and returns tensors.


def gradient(run, leaves):
    leaves = [v.clone().requires_grad_() for v in leaves]
    return torch.autograd.grad(loss(run(*leaves)), leaves)


def second_gradient(run, leaves):
    leaves = [v.clone().requires_grad_() for v in leaves]
    first = torch.autograd.grad(loss(run(*leaves)), leaves, create_graph=True)
    return *first, *torch.autograd.grad(loss(first), leaves)


def batched_gradients(run, leaves):
    leaves = [v.clone().requires_grad_() for v in leaves]
    results = run(*leaves)
    return torch.autograd.grad(results, leaves, [like(r, 4) for r in results], is_grads_batched=True)


def tangent_of_duals(run, leaves):
    with forward_ad.dual_level():
        results = run(*[forward_ad.make_dual(v, like(v)) for v in leaves])
        return [part for r in results for part in forward_ad.unpack_dual(r)[:2]]


def gradient_of_duals(run, leaves):
    """Forward over reverse: a Hessian times a vector."""
    leaves = [v.clone().requires_grad_() for v in leaves]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(v, like(v)) for v in leaves]
        found = torch.autograd.grad(loss(run(*duals)), leaves)
        return [part.detach() for g in found for part in forward_ad.unpack_dual(g)[:2]]


def tangent(run, leaves):
    results, tangents = jvp(run, tuple(leaves), tuple(like(v) for v in leaves))
    return *results, *tangents


TRANSFORMS = {
    f.__name__: f for f in (gradient, second_gradient, batched_gradients, tangent_of_duals, gradient_of_duals, tangent)
} | {
    "grad": lambda run, leaves: grad(of_all(run, leaves), tuple(range(len(leaves))))(*leaves),
    "grad of grad": lambda run, leaves: [
        grad(lambda x: loss([grad(lambda x: loss(of_x(run, leaves)(x)))(x)]))(leaves[0])
    ],
    "vjp": lambda run, leaves: (lambda results, back: back(tuple(map(like, results))))(*vjp(run, *leaves)),
    "jacrev": lambda run, leaves: [*jacrev(of_x(run, leaves))(leaves[0]), *jacrev(of_weight(run, leaves))(leaves[-1])],
    "jacfwd": lambda run, leaves: [*jacfwd(of_x(run, leaves))(leaves[0]), *jacfwd(of_weight(run, leaves))(leaves[-1])],
    "hessian": lambda run, leaves: [hessian(lambda x: loss(of_x(run, leaves)(x)))(leaves[0])],
    "vmap over x": lambda run, leaves: vmap(of_x(run, leaves))(like(leaves[0], 4)),
    "vmap over weights": lambda run, leaves: vmap(partial(run, leaves[0]))(*[like(v, 4) for v in leaves[1:]]),
    "vmap over vmap": lambda run, leaves: vmap(vmap(of_x(run, leaves)), 1)(like(leaves[0], 2, 3)),
    "vmap of grad": lambda run, leaves: vmap(
        grad(of_all(run, leaves), tuple(range(len(leaves)))), (0, *[None] * (len(leaves) - 1))
    )(like(leaves[0], 4), *leaves[1:]),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize(("case", "door"), THROUGH, ids=lambda v: str(v))
@pytest.mark.slow
def test_transforms(case, door, transform):
    doors, leaves = case.make()
    of = TRANSFORMS[transform]
    found, expected = of(doors[door], leaves), of(doors["reference"], leaves)
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("case", "door"), THROUGH, ids=lambda v: str(v))
def test_against_finite_differences(case, door):
    doors, leaves = case.make()
    leaves = [v.requires_grad_() for v in leaves]
    assert gradcheck(doors[door], leaves, fast_mode=True, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(doors[door], leaves, fast_mode=True)


# torch.ops.statewise


def operands(dtype=torch.float64, **changes):
    """Arguments of torch.ops.statewise.recurrent for a GRU with everything."""
    layer = statewise.GRU(I, H, 2, bidirectional=True, proj_size=2, dtype=dtype)
    leaves = {
        "x": torch.randn(T, N, I, dtype=dtype),
        "state": [torch.randn(4, N, H, dtype=dtype)],
        "weights": [p.detach() for p in layer.parameters()],
        "masks": [torch.randint(0, 2, (T, N, 4)).to(dtype) * 2],
        "lengths": torch.tensor(LENGTHS),
    }
    a = Arguments(stack=layer._stack, batch_sizes=None, **{**leaves, **changes})
    return library._flat(a), a


STRIDES = {
    "contiguous": lambda x: x,
    "batch first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "features first": lambda x: x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    "expanded": lambda x: x[:1].expand(T, N, I),
    "every other": lambda x: x.repeat_interleave(2, -1)[..., ::2],
}


EVERYDAY = {("contiguous", torch.float32), ("batch first", torch.bfloat16), ("expanded", torch.float16)}
DTYPES = torch.float32, torch.bfloat16, torch.float16


@pytest.mark.parametrize(
    ("strides", "dtype"),
    [
        pytest.param(*case, marks=() if case in EVERYDAY else pytest.mark.slow, id=f"{case[0]}-{case[1]}")
        for case in itertools.product(STRIDES, DTYPES)
    ],
)
def test_opcheck(strides, dtype):
    """torch's own check of an operation: schema, fake shapes and strides, autograd, tracing; forward and backward."""
    x = STRIDES[strides](torch.randn(T, N, I, dtype=dtype))
    given, a = operands(dtype, x=x)
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype is not torch.float32 else {}
    torch.library.opcheck(torch.ops.statewise.recurrent.default, given, **tolerance)
    output, final, tape = torch.ops.statewise.recurrent_taped(*given, [True] * len(a.inputs))
    incoming = [torch.randn_like(output), torch.randn_like(final)]
    back = (*given, output, tape, incoming, [True] * len(a.inputs))
    torch.library.opcheck(torch.ops.statewise.recurrent_backward.default, back, **tolerance)
    for v in a.inputs:
        v.requires_grad_()
    torch.library.opcheck(torch.ops.statewise.recurrent.default, given, **tolerance)


def test_opcheck_can_fail(monkeypatch):
    """With results that differ from call to call."""
    compute = library._forward_by_kernels
    noise = iter(range(1, 255))
    monkeypatch.setattr(library, "_forward_by_kernels", lambda *args: [r + next(noise) for r in compute(*args)])
    with pytest.raises(torch.testing._internal.optests.generate_tests.OpCheckError, match="Outputs"):
        torch.library.opcheck(torch.ops.statewise.recurrent.default, operands()[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
def test_the_backward_operation_by_itself(dtype):
    """Called as users hardly will: with gradients recorded, it is the reference's and differentiable again."""
    given, a = operands(dtype)
    output, _, tape = torch.ops.statewise.recurrent_taped(*given, [True] * len(a.inputs))
    incoming = [torch.randn_like(output).requires_grad_(), None]
    needs = [True, False, *[True] * len(a.weights)]

    def call():
        return torch.ops.statewise.recurrent_backward(*given, output, tape, incoming, needs)

    with torch.no_grad():
        constant = call()
    assert len(constant) == sum(needs)
    assert not any(g.requires_grad for g in constant)
    wanted = [a.x, *a.weights]
    for v in wanted:
        v.requires_grad_()
    expected = torch.autograd.grad(oracle(a)[0], wanted, incoming[0], create_graph=True)
    torch.testing.assert_close(constant, [g.detach() for g in expected])
    found = call()
    torch.testing.assert_close(found, list(expected))
    for v in (incoming[0], a.x, a.weights[1]):
        again = torch.autograd.grad(loss(found), v, retain_graph=True)
        torch.testing.assert_close(again, torch.autograd.grad(loss(expected), v, retain_graph=True))


def test_no_tangent_is_lost_by_the_operation():
    given, a = operands()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(a.x, torch.ones_like(a.x))
        output = torch.ops.statewise.recurrent(dual, *given[1:])[0]
        assert forward_ad.unpack_dual(output).tangent.abs().max() > 0


# Tensors that are changed, shared, frozen or odd


def problem(kind="LSTM", **options):
    """A layer in float64 with x and the states as leaves, and ``expected``: the reference for the same call."""
    layer = getattr(statewise, kind)(I, H, 2, dtype=torch.float64, **options)
    x = torch.randn(T, N, I, dtype=torch.float64, requires_grad=True)
    hx = [torch.randn(2, N, H, dtype=torch.float64, requires_grad=True) for _ in layer._stack.cell.states]

    def expected(x, state):
        return reference.recurrent(x, state, list(layer.parameters()), layer._stack)

    return layer, x, hx, expected


@pytest.mark.parametrize("changed", ["x", "hx", "cx", "weight", "bias", "output", "lengths"])
def test_a_change_before_backward_is_seen(changed):
    layer, x, hx, _ = problem()
    x, hx, lengths = x.clone(), [h.clone() for h in hx], torch.tensor(LENGTHS)
    output, _ = layer(x, hx, lengths=lengths)
    weights = {"weight": layer.weight_hh_l1, "bias": layer.bias_ih_l0}
    with torch.no_grad():
        {"x": x, "hx": hx[0], "cx": hx[1], "output": output, "lengths": lengths, **weights}[changed].add_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss([output * 1]).backward()


@pytest.mark.parametrize("kind", LAYERS)
def test_final_states_may_be_changed_before_backward(kind):
    layer, x, hx, expected = problem(kind)
    leaves = [x, *hx, *layer.parameters()]
    output, final = layer(x, tuple(hx) if len(hx) > 1 else hx[0])
    final = [s.mul_(2) for s in flat(final)]
    found = torch.autograd.grad(loss([output, *final]), leaves)
    output, *final = expected(x, hx)
    torch.testing.assert_close(found, torch.autograd.grad(loss([output, *(2 * s for s in final)]), leaves))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_second_backward_is_equal_to_the_bit(kind):
    layer = getattr(statewise, kind)(5, 50, 2, bidirectional=True, dropout=0.5)
    x = torch.randn(20, 9, 5, requires_grad=True)
    value = loss(flat(layer(x)))
    leaves = [x, *layer.parameters()]
    first = torch.autograd.grad(value, leaves, retain_graph=True)
    other = torch.autograd.grad(loss(flat(layer(x * 2))), leaves)
    second = torch.autograd.grad(value, leaves)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(value, leaves)


@pytest.mark.parametrize("again", [False, True])
def test_inputs_that_depend_on_each_other(again):
    """h_0 computed from x, c_0 the same tensor as h_0, one weight in both layers: each use has its own gradient."""
    layer, x, _, _ = problem(bias=False)
    w = torch.randn(2, N, I, H, dtype=torch.float64)
    weights = list(layer.parameters())

    def found_by(run):
        shared = [*weights[:3], weights[1] * 1]
        h = torch.einsum("ni,lnih->lnh", x.sum(0), w)
        results = run(x, [h, h], shared, layer._stack)
        leaves = [x, *weights[:3]]
        found = torch.autograd.grad(loss(results), leaves, create_graph=again)
        return torch.autograd.grad(loss(found), leaves) if again else found

    torch.testing.assert_close(found_by(statewise.ops.recurrent), found_by(reference.recurrent))


@pytest.mark.parametrize(
    ("kind", "used"), [("LSTM", "c_n"), *((k, u) for k in LAYERS for u in ("output", "h_n", "sum of output"))]
)
def test_results_that_are_not_used(kind, used):
    layer, x, hx, expected = problem(kind)
    pick = {"output": 0, "sum of output": 0, "h_n": 1, "c_n": 2}[used]

    def value(results):
        return results[pick].sum() if "sum" in used else loss([results[pick]])

    leaves = [x, *hx, *layer.parameters()]
    found = torch.autograd.grad(value(flat(layer(x, hx if len(hx) > 1 else hx[0]))), leaves)
    torch.testing.assert_close(found, torch.autograd.grad(value(expected(x, hx)), leaves))


@pytest.mark.parametrize(
    "frozen", [["x"], ["x", "h"], ["weight_ih_l0", "bias_hh_l1"], ["x", "weight_hh_l1", "c"], ["bias_ih_l0"]]
)
def test_frozen_inputs_get_no_gradient(frozen):
    layer, x, hx, expected = problem()
    named = {"x": x, "h": hx[0], "c": hx[1], **dict(layer.named_parameters())}
    for name in frozen:
        named[name].requires_grad_(False)
    loss(flat(layer(x, hx))).backward()
    trained = [v for name, v in named.items() if name not in frozen]
    wanted = torch.autograd.grad(loss(expected(x, hx)), trained)
    torch.testing.assert_close([v.grad for v in trained], list(wanted))
    assert all(named[name].grad is None for name in frozen)


def negated(tensor):
    """``tensor`` as a view that is lazily the negative of its memory."""
    view = torch._neg_view(-tensor)  # what z.conj().imag is, but with no gaps, for which it would be copied anyway
    assert view.is_neg()
    return view


@pytest.mark.parametrize("which", ["x", "state", "weights", "masks", "gradient"])
def test_lazily_negated_tensors(which):
    layer, x, hx, _ = problem()
    mask = torch.randn(T, N, H, dtype=torch.float64)
    weights = [p.detach() for p in layer.parameters()]
    x, hx = x.detach(), [h.detach() for h in hx]
    wrap = {"x": x, "state": hx, "weights": weights, "masks": [mask]}

    def run(negate, **given):
        leaves = {name: [v.clone().requires_grad_() for v in flat(values)] for name, values in given.items()}
        seen = {n: [negate(v) for v in values] if n == which else values for n, values in leaves.items()}
        results = statewise.ops.recurrent(
            seen["x"][0], seen["state"], seen["weights"], layer._stack, masks=[m.detach() for m in seen["masks"]]
        )
        incoming = [like(r) for r in results]
        incoming = [negate(g) for g in incoming] if which == "gradient" else incoming
        trained = [v for n, values in leaves.items() if n != "masks" for v in values]
        return [*results, *torch.autograd.grad(results, trained, incoming)]

    torch.testing.assert_close(run(negated, **wrap), run(lambda v: v, **wrap), rtol=0, atol=0)


def test_zeros_without_memory():
    """What forward-mode differentiation makes of constants, and users may pass on."""
    layer, x, hx, _ = problem()
    zeros = torch._efficientzerotensor
    for a, b in zip(flat(layer(zeros(x.shape, dtype=x.dtype), hx)), flat(layer(torch.zeros_like(x), hx)), strict=True):
        torch.testing.assert_close(a, b)
    output, _ = layer(x, hx)
    (g,) = torch.autograd.grad(output, x, zeros(output.shape, dtype=x.dtype))
    assert torch.equal(g, torch.zeros_like(x))


class Tagged(torch.Tensor):
    """A subclass that does nothing but be one."""


def test_subclasses_are_kept():
    layer, x, hx, expected = problem()
    results = flat(layer(x.detach().as_subclass(Tagged), hx))
    assert all(type(r) is Tagged for r in results)
    for a, b in zip(results, expected(x, hx), strict=True):
        torch.testing.assert_close(a.as_subclass(torch.Tensor), b)


def test_modes_see_the_operations_within():
    from torch._subclasses import FakeTensor, FakeTensorMode
    from torch.overrides import TorchFunctionMode
    from torch.utils.flop_counter import FlopCounterMode

    class Names(TorchFunctionMode):
        def __init__(self):
            super().__init__()
            self.seen = set()

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.seen.add(getattr(func, "__name__", ""))
            return func(*args, **(kwargs or {}))

    layer, x, hx, expected = problem()
    with FlopCounterMode(display=False) as counter:
        loss(flat(layer(x, hx))).backward()
    assert counter.get_total_flops() > 2 * T * N * 2 * 4 * H * (I + H)
    with Names() as names:
        results = flat(layer(x, hx))
    assert "sigmoid" in names.seen
    torch.testing.assert_close(results, list(expected(x, hx)))
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert all(type(r) is FakeTensor for r in flat(layer(x, hx)))


@pytest.mark.parametrize(
    "odd",
    [
        lambda x: x.to_sparse(),
        lambda x: x.to_mkldnn(),
        lambda x: torch.nested.nested_tensor([x[0], x[1, :1]], layout=torch.jagged),
    ],
    ids=["sparse", "mkldnn", "nested"],
)
def test_other_layouts_are_refused(odd):
    layer = statewise.LSTM(I, H)
    with pytest.raises((RuntimeError, NotImplementedError), match=r"not implemented|Could not run|not supported"):
        layer(odd(torch.randn(T, N, I)))
