"""``lengths=``: rows of different lengths in one padded batch, against torch.nn on packed sequences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import statewise
from oracle import LAYERS, assert_close_to_float64, flat, gradients, over_lengths

T, N, I, H = 6, 5, 3, 4  # noqa: E741
LENGTHS = [3, 0, 6, 1, 4]
OPTIONS = [
    {},
    {"bidirectional": True},
    {"num_layers": 3, "bidirectional": True},
    {"num_layers": 2, "bias": False},
    {"batch_first": True, "num_layers": 2, "bidirectional": True},
]


def setting(kind, options, with_hx=True, dtype=torch.float64):
    """Layer, input (as the layer wants it), states, and the time-major torch.nn layer with the same weights."""
    ours = getattr(statewise, kind)(I, H, dtype=dtype, **options)
    theirs = getattr(nn, kind)(I, H, dtype=torch.float64, **(options | {"batch_first": False}))
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(T, N, I, dtype=dtype)
    depth = ours.num_layers * (1 + ours.bidirectional)
    hx = [torch.randn(depth, N, H, dtype=dtype) for _ in range(2 if kind == "LSTM" else 1)] if with_hx else None
    return ours, theirs, x, hx


def as_hx(hx):
    return None if hx is None else hx[0] if len(hx) == 1 else tuple(hx)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("with_hx", [False, True])
@pytest.mark.parametrize("lengths", [LENGTHS, [6] * 5, [0] * 5, [1, 2, 3, 4, 5]], ids=str)
def test_forward_and_gradients(kind, options, with_hx, lengths):
    ours, theirs, x, hx = setting(kind, options, with_hx)
    x.requires_grad_()
    leaves = [x, *(hx or [])]
    for leaf in leaves:
        leaf.requires_grad_()
    given = x.transpose(0, 1) if ours.batch_first else x
    output, final = ours(given, as_hx(hx), lengths=torch.tensor(lengths))
    actual = [output.transpose(0, 1) if ours.batch_first else output, *flat(final)]
    expected = over_lengths(theirs, x, hx, lengths)
    cotangents = [torch.randn_like(e) for e in expected]
    for t, length in enumerate(lengths):
        assert not actual[0][length:, t].any()
    assert_close_to_float64(
        actual + gradients(actual, [*leaves, *ours.parameters()], cotangents),
        expected + gradients(expected, [*leaves, *theirs.parameters()], cotangents),
    )


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_padding_never_leaks(kind, poison, dtype):
    ours, _, x, hx = setting(kind, {"num_layers": 2, "bidirectional": True}, dtype=dtype)
    padded = torch.arange(T).unsqueeze(1) >= torch.tensor(LENGTHS)  # (T, N)
    results = []
    for fill in (0.0, poison):
        filled = x.masked_fill(padded.unsqueeze(-1), fill).requires_grad_()
        output = flat(ours(filled, as_hx(hx), lengths=LENGTHS))
        loss = sum((o * (1 + o)).sum() for o in output)
        results.append([*output, *torch.autograd.grad(loss, [filled, *ours.parameters()])])
    for clean, poisoned in zip(*results, strict=True):
        assert torch.equal(clean, poisoned)
    assert not results[1][len(output)][padded].any()


@pytest.mark.parametrize("kind", LAYERS)
def test_lengths_equal_packing(kind):
    ours, _, x, hx = setting(kind, {"num_layers": 2, "bidirectional": True})
    lengths = [3, 2, 6, 1, 4]
    packed, final = ours(pack_padded_sequence(x, lengths, enforce_sorted=False), as_hx(hx))
    padded, states = ours(x, as_hx(hx), lengths=lengths)
    again = pack_padded_sequence(padded, lengths, enforce_sorted=False)
    assert_close_to_float64([again.data, *flat(states)], [packed.data, *flat(final)])


@pytest.mark.parametrize("kind", LAYERS)
def test_dropout_with_lengths_draws_for_the_padded_batch(kind):
    """The masks are those of the dense call, so full lengths change nothing."""
    ours, _, x, _ = setting(kind, {"num_layers": 2, "dropout": 0.5})
    torch.manual_seed(1)
    dense = flat(ours(x))
    torch.manual_seed(1)
    ragged = flat(ours(x, lengths=[T] * N))
    assert_close_to_float64(ragged, [d.detach() for d in dense])


@pytest.mark.parametrize(
    "lengths",
    [
        torch.tensor(LENGTHS),
        torch.tensor(LENGTHS, dtype=torch.int32),
        torch.tensor(LENGTHS, dtype=torch.uint8),
        torch.tensor([*LENGTHS, *LENGTHS]).reshape(2, 5).T[:, 0],
        LENGTHS,
        tuple(LENGTHS),
        np.array(LENGTHS),
        np.array(LENGTHS, dtype=np.int16),
    ],
    ids=lambda v: f"{type(v).__name__} {getattr(v, 'dtype', '')}",
)
def test_kinds_of_lengths(lengths):
    ours, _, x, _ = setting("GRU", {})
    expected = ours(x, lengths=torch.tensor(LENGTHS))[0]
    assert torch.equal(ours(x, lengths=lengths)[0], expected)


def test_no_rows_and_no_steps():
    layer = statewise.LSTM(I, H)
    for lengths in ([], torch.zeros(0, dtype=torch.int64)):
        assert layer(torch.zeros(T, 0, I), lengths=lengths)[0].shape == (T, 0, H)
    assert layer(torch.zeros(0, 2, I), lengths=[0, 0])[0].shape == (0, 2, H)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([1, 2, 3], ValueError, "GRU: Expected lengths of size (5,), got [3]"),
        ([[1, 2, 3, 4, 5]], ValueError, "GRU: Expected lengths of size (5,), got [1, 5]"),
        (torch.tensor(3), ValueError, "GRU: Expected lengths of size (5,), got []"),
        ([1, 2, 3, 4, -1], ValueError, "GRU: Expected lengths between 0 and 6, the input's time steps, got -1"),
        ([1, 2, 7, 4, 5], ValueError, "GRU: Expected lengths between 0 and 6, the input's time steps, got 7"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], TypeError, "GRU: Expected lengths to be integers, got torch.float32"),
        (torch.ones(5, dtype=torch.bool), TypeError, "GRU: Expected lengths to be integers, got torch.bool"),
        (3, TypeError, "GRU: Expected lengths to be 5 integers, got 3"),
        ([1, "2", 3, 4, 5], TypeError, "GRU: Expected lengths to be 5 integers, got [1, '2', 3, 4, 5]"),
    ],
    ids=str,
)
def test_refusals(lengths, error, message, batch_first):
    layer = statewise.GRU(I, H, batch_first=batch_first)
    with pytest.raises(error) as caught:
        layer(torch.zeros(*((N, T) if batch_first else (T, N)), I), lengths=lengths)
    assert str(caught.value).split("\n")[0] == message  # test_hints.py has what stands below


def test_refused_where_rows_have_no_padding():
    layer = statewise.LSTM(I, H)
    with pytest.raises(ValueError, match=r"^LSTM: Expected batched 3-D input with lengths, got 2-D(\n|$)"):
        layer(torch.zeros(T, I), lengths=[3])
    packed = pack_padded_sequence(torch.zeros(T, N, I), [6, 5, 4, 3, 2])
    with pytest.raises(ValueError, match=r"^LSTM: Expected no lengths with a PackedSequence, which has its own$"):
        layer(packed, lengths=[6, 5, 4, 3, 2])


@pytest.mark.parametrize(
    "lengths",
    [
        torch.tensor([3, 9, 0, 9, 6, 9, 1, 9, 4, 9])[::2],
        torch.tensor([4]).expand(5),
        torch.tensor([[3, 0, 6, 1, 4]]).T[:, 0],
    ],
    ids=["every second", "expanded", "column"],
)
def test_lengths_that_are_views(lengths):
    layer = statewise.LSTM(I, H, bidirectional=True)
    x = torch.randn(T, N, I)
    for a, b in zip(flat(layer(x, lengths=lengths)), flat(layer(x, lengths=lengths.tolist())), strict=True):
        assert torch.equal(a, b)
