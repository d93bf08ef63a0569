"""Every cell of the list, forward and every gradient, by whatever computes it, against its paper in float64.

A cell that ``written_out`` hasn't is held against the reference in float64, which the others vouch for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils._pytree import tree_map_only

import written_out
from oracle import assert_close_to_float64, gradients, worst
from statewise import ops, reference
from statewise.cells import CELLS
from statewise.stack import Stack


@dataclass(frozen=True)
class Problem:
    """What is computed. Widths are those of one head, where a cell has heads."""

    T: int = 5
    N: int = 3
    I: int = 4  # noqa: E741
    H: int = 7
    heads: int = 2
    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    with_state: bool = True
    ragged: str = ""  # or "lengths" or "packed"

    def stack(self, cell):
        heads = self.heads if cell.heads else 1
        units = max(self.H, 3) if cell.norms else self.H  # of fewer a norm tells the signs alone, and all is rounding
        return Stack(
            cell, heads * self.I, heads * units, self.num_layers, self.bidirectional, self.bias, num_heads=heads
        )

    @property
    def lengths(self):
        if not self.ragged:
            return [self.T] * self.N
        shortest = 0 if self.ragged == "lengths" else 1
        return [max(shortest, self.T - 2 * k) for k in range(self.N)]

    def draw(self, cell):
        """x, the states and the weights in float64; the states are such as the cell gets into."""
        stack = self.stack(cell)
        weights = []
        for k in range(stack.depth):
            for weight in stack.weights:
                shape = stack.weight_shape(weight, k // stack.directions)
                drawn = torch.randn(shape, dtype=torch.float64)
                weights.append(1 + 0.3 * drawn if "norm" in weight.name else drawn * shape[-1] ** -0.5)
        x = torch.randn(self.T, self.N, stack.input_size, dtype=torch.float64)
        state = reference.recurrent(torch.randn_like(x), None, weights, stack)[1:] if self.with_state else None
        return x, state, weights


PROBLEMS = {
    "plain": Problem(),
    "no state": Problem(with_state=False),
    "no bias": Problem(bias=False),
    "stacked": Problem(num_layers=2, bidirectional=True),
    "lengths": Problem(num_layers=2, bidirectional=True, ragged="lengths"),
    "packed": Problem(num_layers=2, bidirectional=True, ragged="packed", with_state=False),
    "packed from a state": Problem(bidirectional=True, ragged="packed", T=6),
    "ones": Problem(T=3, N=1, I=1, H=1, heads=1),
    "wide": Problem(T=4, N=5, I=5, H=63, heads=1),
    "wide heads": Problem(T=4, N=9, I=7, H=33, heads=3),
    "long": Problem(T=70, N=2, I=2, H=17, heads=1, ragged="lengths"),
}


def packed(problem, output):
    """What of a padded output is there when it is packed."""
    return pack_padded_sequence(output, problem.lengths).data if problem.ragged == "packed" else output


def run(function, problem, cell, x, state, weights):
    """The results of ``ops.recurrent`` or ``reference.recurrent``, and the gradients for all of their leaves."""
    leaves = [t.detach().clone().requires_grad_() for t in (x, *(state or ()), *weights)]
    x, *rest = leaves
    count = len(state or ())
    given, weights = rest[:count] if state else None, rest[count:]
    ragged = {}
    if problem.ragged == "lengths":
        ragged["lengths"] = torch.tensor(problem.lengths)
    elif problem.ragged == "packed":
        x, ragged["batch_sizes"], *_ = pack_padded_sequence(x, problem.lengths)
    return function(x, given, weights, problem.stack(cell), **ragged), leaves


def on_paper(problem, cell, x, state, weights):
    """Likewise, from what is written out."""
    leaves = [t.detach().clone().requires_grad_() for t in (x, *(state or ()), *weights)]
    stack = problem.stack(cell)
    x, *rest = leaves
    count = len(state or ())
    zeros = [x.new_zeros(stack.depth, problem.N, size) for size in stack.state_sizes]
    given, weights = rest[:count] or zeros, iter(rest[count:])
    layers = []
    for _ in range(stack.depth):
        layer = {w.name: next(weights) for w in stack.weights}
        rows = len(layer["weight_ih"])
        layer.setdefault("bias_ih", x.new_zeros(rows))
        layer.setdefault("bias_hh", x.new_zeros(len(layer.get("weight_hh", ()))))
        layers.append(layer)
    output, *final = written_out.run(
        written_out.STEPS[cell.name],
        x,
        given,
        layers,
        bidirectional=problem.bidirectional,
        heads=stack.num_heads,
        lengths=problem.lengths,
    )
    return (packed(problem, output), *final), leaves


def results(outputs, leaves):
    """The outputs and the gradients of a sum of them, weighted as a seed says."""
    random = torch.Generator().manual_seed(1)
    cotangents = [torch.randn(o.shape, generator=random, dtype=torch.float64) for o in outputs]
    return [*outputs, *gradients(outputs, leaves, cotangents)]


def around(judge, data, expected):
    """Of each result the judge's own worst in the dtype of ``data``: as it is, and a unit in the last place off.

    One number of one run says little of how exact a float32 can be: a sum of few terms is right by luck.
    """
    found = []
    for away in (None, torch.inf, -torch.inf):
        off = tree_map_only(torch.Tensor, lambda t, away=away: t if away is None else t.nextafter(t + away), data)
        found.append(results(*judge(*off)))
    return [max(tries, key=partial(worst, oracle=o)) for *tries, o in zip(*found, expected, strict=True)]


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
@pytest.mark.parametrize("name", PROBLEMS)
def test_against_the_paper(cell, name):
    problem = PROBLEMS[name]
    data = problem.draw(cell)
    judge = on_paper if cell.name in written_out.STEPS else partial(run, reference.recurrent)
    judge = partial(judge, problem, cell)
    expected = results(*judge(*data))
    for dtype in (torch.float64, torch.float32):
        cast = tree_map_only(torch.Tensor, partial(torch.Tensor.to, dtype=dtype), data)
        for function in (reference.recurrent, ops.recurrent):
            actual = results(*run(function, problem, cell, *cast))
            # Not the reference, which is made from the same description, but what is judged by says what is allowed.
            assert_close_to_float64(actual, expected, partial(around, judge, cast, expected))
