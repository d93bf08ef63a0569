"""Every cell by the kernels: against the reference in float64, forward and every gradient, on every instruction set."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from statewise import cells, reference
from statewise.cells import Cell
from statewise.kernels import cpu
from statewise.ops import operation
from statewise.ops.arguments import Arguments
from statewise.ops.fallback import reason
from statewise.stack import Stack

# T, N, I, H, L, D: sizes that fill no vector, one unit, one step, several groups of rows, more than a block.
SIZES = [
    (5, 3, 4, 6, 1, 1),
    (7, 9, 6, 16, 2, 2),
    (3, 2, 6, 34, 1, 2),
    (40, 33, 8, 52, 2, 1),
    (1, 3, 4, 20, 1, 1),
    (9, 40, 4, 128, 1, 1),
    (6, 4, 4, 2, 1, 1),
]


def weights_of(stack: Stack, dtype: torch.dtype) -> list[Tensor]:
    found = []
    for layer in range(stack.num_layers):
        for _ in range(stack.directions):
            for w in stack.weights:
                near = 0.0 if w.initial is None else w.initial
                drawn = torch.randn(stack.weight_shape(w, layer), dtype=dtype) * 0.3 + near
                found.append(drawn.requires_grad_())
    return found


def states_of(stack: Stack, dtype: torch.dtype, *rows: int) -> list[Tensor]:
    """States to begin with, those that are divisors far from zero."""
    found = [torch.randn(stack.depth, *rows, size, dtype=dtype) * 0.3 for size in stack.state_sizes]
    if "n" in stack.cell.states:
        k = list(stack.cell.states).index("n")
        found[k] = found[k].abs() + 1
    return [s.requires_grad_() for s in found]


def heads_of(cell: Cell, sizes: tuple[int, ...]) -> int:
    return 2 if cell.heads and sizes[2] % 2 == 0 and sizes[3] % 2 == 0 else 1


def compare(a: Arguments, leaves: list[Tensor], rebuild: Any) -> None:
    """The kernels' results and gradients on ``a`` against the reference's in float64."""
    assert reason(a.x, a.state, a.weights, a.stack) is None
    results = operation._by_kernels(a, False)
    assert results is not None
    incoming = [torch.randn_like(r) for r in results]
    found = torch.autograd.grad(results, leaves, incoming, allow_unused=True)
    doubles = [t.detach().double().requires_grad_() for t in leaves]
    wanted_results = reference_of(rebuild(doubles))
    wanted = torch.autograd.grad(wanted_results, doubles, [g.double() for g in incoming], allow_unused=True)
    tolerance = 1e-10 if a.x.dtype == torch.float64 else 3e-4
    for place, (one, other) in enumerate(zip([*results, *found], [*wanted_results, *wanted], strict=True)):
        one = torch.zeros_like(leaves[0]) if one is None and other is None else one
        other = torch.zeros_like(one, dtype=torch.float64) if other is None else other
        one = torch.zeros_like(other) if one is None else one
        assert one.shape == other.shape, place
        if one.numel():
            one, other = one.detach().double(), other.detach()
            scale = max(float(other.abs().max()), 1e-3)
            assert float((one - other).abs().max()) <= tolerance * scale, place


def reference_of(a: Arguments) -> tuple[Tensor, ...]:
    options = a._asdict()
    first = [options.pop(name) for name in ("x", "state", "weights", "stack")]
    return reference.recurrent(*first, **options)


def arguments(leaves: list[Tensor], stack: Stack, states: int, initial: int, **options: Any) -> Arguments:
    x, *rest = leaves
    state, weights = rest[:states] or None, rest[states : len(rest) - initial]
    begins = rest[len(rest) - initial :] if initial else None
    return Arguments(x, state, weights, stack, initial=begins, **options)


@pytest.fixture(params=cpu.instruction_sets())
def instruction_set(request: pytest.FixtureRequest) -> Any:
    before = cpu.instruction_set()
    cpu.use_instruction_set(request.param)
    yield request.param
    cpu.use_instruction_set(before)


@pytest.mark.parametrize("cell", cells.CELLS, ids=lambda c: c.name)
def test_every_cell_on_every_instruction_set(cell: Cell, instruction_set: str) -> None:
    torch.manual_seed(len(cell.name))
    for count, sizes in enumerate(SIZES):
        t, n, i, h, layers, directions = sizes
        checkpoint = 4 if count % 3 == 2 else 0
        dtype = torch.float32 if count % 4 == 1 else torch.float64
        stack = Stack(cell, i, h, layers, directions == 2, count != 4, 0, checkpoint, heads_of(cell, sizes))
        states = states_of(stack, dtype, n) if count % 2 == 0 else []
        leaves = [torch.randn(t, n, i, dtype=dtype).requires_grad_(), *states, *weights_of(stack, dtype)]
        lengths = torch.randint(0, t + 1, (n,)) if count % 2 else None

        def rebuild(tensors: list[Tensor], s: Stack = stack, k: int = len(states), n: Any = lengths) -> Arguments:
            return arguments(tensors, s, k, 0, lengths=n)

        compare(rebuild(leaves), leaves, rebuild)


@pytest.mark.parametrize("number", range(60))
def test_options_at_random(number: int) -> None:
    """Resets, zoneout, bounds, masks in the recurrence, first states, all states: any of them together."""
    chance = random.Random(number)
    torch.manual_seed(number)
    cell = cells.CELLS[number % len(cells.CELLS)]
    t, n = chance.choice([1, 2, 5, 9, 40]), chance.choice([1, 2, 5, 33])
    i, h, layers, directions = 4, chance.choice([4, 8, 20, 52]), chance.choice([1, 2]), chance.choice([1, 2])
    bounded = "n" not in cell.states  # a divisor may be neither held back nor cut off
    stack = Stack(
        cell,
        i,
        h,
        layers,
        directions == 2,
        checkpoint=chance.choice([0, 0, 3]),
        num_heads=4 if cell.heads else 1,
        zoneout=tuple(chance.choice([0.0, 0.3, 0.7]) for _ in cell.states) if bounded and chance.random() < 0.5 else (),
        clip=chance.choice([0.0, 0.6]) if bounded else 0.0,
        gradient_clip=chance.choice([0.0, 0.5]),
    )
    options: dict[str, Any] = {"return_states": chance.random() < 0.5}
    lengths = torch.randint(1, t + 1, (n,)).sort(descending=True)[0]
    steps: tuple[int, ...] = (t, n)
    if chance.random() < 0.3:
        sizes = (lengths.unsqueeze(0) > torch.arange(int(lengths[0])).unsqueeze(1)).sum(1)
        options["batch_sizes"] = sizes
        steps = (int(sizes.sum()),)
    elif chance.random() < 0.5:
        options["lengths"] = lengths
    if chance.random() < 0.6:
        options["reset"] = torch.rand(steps) < 0.3
    if chance.random() < 0.4 and cell.recurrent:
        options["recurrent_masks"] = [torch.rand(n, h, dtype=torch.float64).round() * 1.5 for _ in range(stack.depth)]
    if stack.zoneout and chance.random() < 0.6:
        options["seed"] = chance.randrange(-(2**63), 2**63)
    dtype = torch.float64
    states = states_of(stack, dtype, n) if chance.random() < 0.7 else []
    initial = states_of(stack, dtype) if chance.random() < 0.4 else []
    x = torch.randn(*steps, i, dtype=dtype).requires_grad_()
    leaves = [x, *states, *weights_of(stack, dtype), *initial]

    def rebuild(tensors: list[Tensor]) -> Arguments:
        return arguments(tensors, stack, len(states), len(initial), **options)

    compare(rebuild(leaves), leaves, rebuild)


def test_results_are_the_same_by_any_number_of_threads() -> None:
    """With masks, norms, late products and heads, where threads help within steps and between them."""
    before = torch.get_num_threads()
    try:
        for cell in cells.CELLS:
            stack = Stack(cell, 8, 136, 2, True, num_heads=2 if cell.heads else 1)
            torch.manual_seed(1)
            leaves = [torch.randn(70, 3, 8).requires_grad_(), *weights_of(stack, torch.float32)]
            found = []
            for threads in (1, 2, 5):
                torch.set_num_threads(threads)
                results = operation._by_kernels(arguments(leaves, stack, 0, 0), False)
                assert results is not None
                found.append([*results, *torch.autograd.grad([r.sum() for r in results], leaves, allow_unused=True)])
            for other in found[1:]:
                for a, b in zip(found[0], other, strict=True):
                    assert (a is None and b is None) or torch.equal(a.nan_to_num(), b.nan_to_num()), cell.name
    finally:
        torch.set_num_threads(before)
