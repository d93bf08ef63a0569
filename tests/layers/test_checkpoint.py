"""checkpoint=k: less is kept, and nothing else changes, to the last bit."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence

import statewise
from oracle import LAYERS, flat
from statewise.ops import library

T, I, H = 300, 6, 18  # noqa: E741
FORMS = {
    "dense": {},
    "layers": {"num_layers": 3, "dropout": 0.3},
    "both directions": {"bidirectional": True, "num_layers": 2},
    "projected": {"proj_size": 5, "num_layers": 2, "bias": False},
    "lengths": {"bidirectional": True, "num_layers": 2, "proj_size": 4},
    "packed": {"bidirectional": True},
    "batch_first": {"batch_first": True},
}


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(layer, form, n, t=T):
    """Output, states and all gradients of a call; the same numbers for every layer of one shape."""
    torch.manual_seed(2)
    sizes = torch.linspace(n, 1, t).long()  # (T,)
    shape = [int(sizes.sum())] if form == "packed" else [n, t] if form == "batch_first" else [t, n]
    x = torch.randn(*shape, I, dtype=layer.weight_ih_l0.dtype).requires_grad_()
    hx = [torch.randn(layer._depth, n, size, dtype=x.dtype).requires_grad_() for size in layer._state_sizes]
    given = PackedSequence(x, sizes) if form == "packed" else x
    lengths = torch.arange(n) * 97 % (t + 1) if form == "lengths" else None
    results = flat(layer(given, hx[0] if len(hx) == 1 else tuple(hx), lengths=lengths))
    cotangents = [torch.linspace(-1, 2, r.numel(), dtype=x.dtype).view_as(r) for r in results]
    gradients = torch.autograd.grad(results, [x, *hx, *layer.parameters()], cotangents)
    return [*(r.detach() for r in results), *gradients]


def pair(kind, form, checkpoint, **options):
    torch.manual_seed(1)
    kept = getattr(statewise, kind)(I, H, **FORMS[form], **options)
    again = getattr(statewise, kind)(I, H, **FORMS[form], **options, checkpoint=checkpoint)
    again.load_state_dict(kept.state_dict())
    return kept, again


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [1, 3, 37])
@pytest.mark.parametrize("checkpoint", [1, 100, 1000])
@pytest.mark.slow
def test_the_same_bits(kind, form, n, checkpoint):
    kept, again = pair(kind, form, checkpoint)
    for threads in (1, 3):
        torch.set_num_threads(threads)
        for a, b in zip(run(again, form, n), run(kept, form, n), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("kind", LAYERS)
def test_in_float64_and_compiled(kind):
    kept, again = pair(kind, "lengths", 50, dtype=torch.float64)
    expected = run(kept, "lengths", 4)
    for layer in (again, torch.compile(again, backend="aot_eager")):
        module = getattr(layer, "_orig_mod", layer)
        for a, b in zip(run(module, "lengths", 4), expected, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("t", [0, 1, 2])
def test_few_steps(t):
    kept, again = pair("LSTM", "both directions", 7)
    for a, b in zip(run(again, "dense", 3, t), run(kept, "dense", 3, t), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_tape_has_the_checkpoints_alone(kind):
    """Bytes for each step of a row: with checkpoints none but for the outputs between layers."""
    isa = statewise.kernels.cpu.instruction_set()
    for layers in (1, 2):
        stack = getattr(statewise, kind)(I, H, layers, checkpoint=100)._stack
        a_step, a_row, a_kept, _ = library._tape_bytes(stack, torch.float32, False, isa)
        assert a_step <= (layers - 1) * (H * 4 + 4)
        assert a_row <= 4
        assert 0 < a_kept <= 2 * layers * 4 * (H + 16)


def test_it_can_be_set_later_and_is_copied_pickled_and_shown():
    kept, _ = pair("GRU", "dense", 0)
    expected = run(kept, "dense", 2)
    kept.checkpoint = 64
    for layer in (kept, copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert layer._stack.checkpoint == 64
        assert repr(layer) == f"GRU({I}, {H}, checkpoint=64)"
        for a, b in zip(run(layer, "dense", 2), expected, strict=True):
            assert torch.equal(a, b)
    assert "checkpoint" not in repr(statewise.GRU(I, H))
    assert statewise.accelerate(torch.nn.GRU(I, H)).checkpoint == 0


@pytest.mark.parametrize(
    ("checkpoint", "error", "message"),
    [
        (-1, ValueError, "checkpoint should be a positive number of steps, or zero to keep all, got -1"),
        (True, TypeError, "checkpoint should be of type int, got: bool"),
        (2.5, TypeError, "checkpoint should be of type int, got: float"),
    ],
)
def test_what_makes_no_sense_is_refused(checkpoint, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        statewise.LSTM(I, H, checkpoint=checkpoint)
