"""What goes to torch's own kernels, as on CUDA. They take CPU tensors too, which tells whether we call them rightly."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import statewise
from oracle import CELLS, LAYERS, flat, pair
from statewise import cells, reference
from statewise.kernels import cpu
from statewise.ops.arguments import Arguments
from statewise.ops.torch_kernels import run_torch, serves, serves_stack
from statewise.stack import Stack


def assert_equal(actual, expected):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}, {"proj_size": 2}],
    ids=str,
)
def test_layers(kind, with_state, options):
    if kind != "LSTM":
        options = {name: value for name, value in options.items() if name != "proj_size"}
    layer = getattr(statewise, kind)(3, 4, **options)
    stack, weights = layer._stack, list(layer.parameters())
    depth = stack.num_layers * stack.directions
    x = torch.randn(5, 2, 3)
    state = [torch.randn(depth, 2, size) for size in stack.state_sizes] if with_state else None
    actual = run_torch(Arguments(x, state, weights, stack), 0.0, True)
    assert_equal(actual, reference.recurrent(x, state, weights, stack))
    packed = pack_padded_sequence(x, [5, 3])
    ragged = Arguments(packed.data, state, weights, stack, batch_sizes=packed.batch_sizes)
    actual = run_torch(ragged, 0.0, True)
    assert_equal(actual, reference.recurrent(packed.data, state, weights, stack, batch_sizes=packed.batch_sizes))


@pytest.mark.parametrize("training", [True, False])
def test_dropout_and_training_are_passed_on(training):
    layer = statewise.GRU(3, 4, 2)
    a = Arguments(torch.randn(5, 2, 3), None, list(layer.parameters()), layer._stack)
    assert torch.equal(run_torch(a, 1.0, training)[0], run_torch(a, 0.0, training)[0]) == (not training)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("with_state", [False, True])
def test_cells(kind, bias, with_state):
    theirs, ours = pair(kind, 3, 4, bias)
    x = torch.randn(2, 3)
    hx = [torch.randn(2, 4) for _ in ours._stack.cell.states] if with_state else None
    given = None if hx is None else hx[0] if len(hx) == 1 else tuple(hx)
    actual = run_torch(Arguments(x, hx, list(ours.parameters()), ours._stack), 0.0, True)
    assert_equal(actual[1:], flat(theirs(x, given)))


def test_what_it_serves():
    assert {cell.name for cell in cells.CELLS if serves_stack(Stack(cell, 3, 4))} == {
        "rnn_tanh",
        "rnn_relu",
        "lstm",
        "gru",
    }
    assert serves_stack(Stack(cells.LSTM, 3, 4, proj_size=2))
    assert not serves_stack(Stack(cells.GRU, 3, 4, proj_size=2))


@pytest.fixture
def no_bfloat16():
    """The lowest instruction set, which doesn't multiply bfloat16."""
    before = cpu.instruction_set()
    cpu.use_instruction_set(cpu.instruction_sets()[0])
    if cpu.computes_bfloat16():
        pytest.skip("compiled for one instruction set alone")
    yield
    cpu.use_instruction_set(before)


@pytest.mark.usefixtures("no_bfloat16")
@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_on_the_cpu_it_serves_what_is_computed_in_16_bits(kind, dtype):
    theirs, ours = pair(kind, 3, 4, dtype=dtype)
    x = torch.randn(2, 3, dtype=dtype) if kind in CELLS else torch.randn(5, 2, 3, dtype=dtype)
    assert serves(Arguments(x, None, list(ours.parameters()), ours._stack))
    assert not serves(Arguments(x.float(), None, [p.float() for p in ours.parameters()], ours._stack))
    for a, b in zip(flat(ours(x)), flat(theirs(x)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("kind", LAYERS)
def test_on_a_device(kind):
    theirs, ours = (m.cuda() for m in pair(kind, 3, 4, 2, bidirectional=True))
    x = torch.randn(5, 2, 3, device="cuda")
    assert_equal(flat(ours(x)), flat(theirs(x)))
    ragged = ours(x, lengths=[5, 3])[0]
    packed = ours(pack_padded_sequence(x, [5, 3]))[0]
    torch.testing.assert_close(pack_padded_sequence(ragged, [5, 3]).data, packed.data)
    assert getattr(statewise, kind)(3, 4, proj_size=2, device="cuda")(x)[0].shape == (5, 2, 2)
    ours.flatten_parameters()
