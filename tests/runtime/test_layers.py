"""A layer that was saved computes in the runtime what it does in torch: every cell, option and instruction set."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import statewise
from statewise import cells, runtime
from statewise.kernels import cpu

LAYERS = {
    "lstm": lambda: statewise.LSTM(3, 5),
    "one of everything": lambda: statewise.GRU(1, 1),
    "stack": lambda: statewise.GRU(5, 63, 3, bias=False),
    "both directions": lambda: statewise.LSTM(7, 17, 2, bidirectional=True),
    "projection": lambda: statewise.LSTM(3, 17, 2, proj_size=6),
    "projected gru": lambda: statewise.GRU(3, 17, proj_size=6, bidirectional=True),
    "relu": lambda: statewise.RNN(3, 9, nonlinearity="relu"),
    "activation": lambda: statewise.LSTM(3, 9, activation="softsign"),
    "pyramid": lambda: statewise.LSTM(3, [9, 6, 4]),
    "norms and residuals": lambda: statewise.GRU(4, 8, 3, residual=True, norm=True, bidirectional=True),
    "zoneout and bounds": lambda: statewise.LSTM(3, 9, 2, zoneout=(0.1, 0.4), clip=0.3, gradient_clip=1.0),
    "learnt state": lambda: statewise.GRU(3, 6, 2, learn_initial_state=True, bidirectional=True),
    "learnt state, one layer": lambda: statewise.LSTM(3, 6, learn_initial_state=True),
    "dropout": lambda: statewise.LSTM(3, 6, 2, dropout=0.5, input_dropout=0.5, weight_dropout=0.5),
    "heads": lambda: statewise.Recurrent("slstm", 4, 8, num_heads=2),
    "torch's lstm": lambda: nn.LSTM(3, 6, 2, bidirectional=True, batch_first=True),
    "torch's gru": lambda: nn.GRU(3, 6),
    "torch's rnn": lambda: nn.RNN(3, 6, nonlinearity="relu"),
    **{cell.name: lambda cell=cell: statewise.Recurrent(cell, 6, 6, 2, bidirectional=True) for cell in cells.CELLS},
}


@pytest.fixture(params=cpu.instruction_sets())
def instruction_set(request):
    before = cpu.instruction_set()
    cpu.use_instruction_set(request.param)
    yield request.param
    cpu.use_instruction_set(before)


def saved(model, tmp_path, **options):
    statewise.save(model, tmp_path / "net.safetensors")
    return runtime.load(tmp_path / "net.safetensors", **options)


def shaken(model):
    """With weights that differ all over, those that begin as zeros or ones too."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model.eval()


def over_lengths(layer, x, lengths):
    """What ``layer``, ours or torch's, gives for rows of these lengths: zeros past a row's end."""
    if isinstance(layer, statewise.layers.RecurrentLayer):
        return layer(x, lengths=lengths)[0]
    first = layer.batch_first
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, first, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(layer(packed)[0], first, total_length=x.shape[1 if first else 0])[0]


@torch.no_grad()
@pytest.mark.parametrize("name", LAYERS)
def test_whole_sequences_and_ragged_rows(name, tmp_path):
    layer = shaken(LAYERS[name]())
    net = saved(layer, tmp_path)
    x, lengths = torch.randn(11, 5, layer.input_size), torch.tensor([11, 3, 1, 7, 10])
    x = x.transpose(0, 1) if layer.batch_first else x
    np.testing.assert_allclose(net.run(x.numpy()), layer(x)[0].numpy(), atol=2e-6)
    found, expected = net.run(x.numpy(), lengths.numpy()), over_lengths(layer, x, lengths)
    if layer.batch_first:
        found, expected = found.swapaxes(0, 1), expected.transpose(0, 1)
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(found[:length, row], expected[:length, row].numpy(), atol=2e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", LAYERS)
def test_a_step_at_a_time(name, tmp_path):
    layer = shaken(LAYERS[name]())
    net = saved(layer, tmp_path)
    assert net.streams is not layer.bidirectional
    if layer.bidirectional:
        with pytest.raises(ValueError, match="needs whole sequences"):
            net.start(3)
        return
    x = torch.randn(9, 3, layer.input_size)
    expected = (layer(x)[0] if not layer.batch_first else layer(x.transpose(0, 1))[0].transpose(0, 1)).numpy()
    state, found = net.start(3), []
    for step in x.numpy():
        y, state = net.step(step, state)
        found.append(y)
    np.testing.assert_allclose(np.stack(found), expected, atol=2e-6)
    head, state = net.feed(x.numpy()[:4], net.start(3))
    tail, _ = net.feed(x.numpy()[4:], state)
    np.testing.assert_allclose(np.concatenate([head, tail]), expected, atol=2e-6)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("h", [1, 5, 63, 64, 130])
def test_every_instruction_set(h, dtype, instruction_set, tmp_path):
    assert cpu.instruction_set() == instruction_set
    layer = shaken(statewise.LSTM(7, h, 2, dtype=dtype))
    net = saved(layer, tmp_path)
    assert net.dtype == np.dtype(str(dtype).removeprefix("torch."))
    x = torch.randn(6, 19, 7, dtype=dtype)
    expected, bound = layer(x)[0].numpy(), 1e-5 if dtype is torch.float32 else 1e-14
    np.testing.assert_allclose(net.run(x.numpy()), expected, atol=bound)
    y, _ = net.step(x[0].numpy(), net.start(19))
    np.testing.assert_allclose(y, expected[0], atol=bound)


def test_weights_are_packed_anew_for_another_instruction_set(tmp_path):
    before, (lowest, *_) = cpu.instruction_set(), cpu.instruction_sets()
    net = saved(shaken(statewise.LSTM(7, 33)), tmp_path)
    x = np.random.default_rng(0).standard_normal((6, 4, 7))
    expected = net.run(x)
    try:
        cpu.use_instruction_set(lowest)
        np.testing.assert_allclose(net.run(x), expected, atol=2e-6)
    finally:
        cpu.use_instruction_set(before)


def test_several_threads_change_no_bit(tmp_path):
    layer = shaken(statewise.GRU(33, 64, 2, bidirectional=True))
    x = np.random.default_rng(0).standard_normal((40, 50, 33))
    one, two = (saved(layer, tmp_path, threads=n).run(x) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@torch.no_grad()
@pytest.mark.parametrize("make", [nn.LSTMCell, nn.GRUCell, statewise.LSTMCell, statewise.RNNCell])
def test_a_cell_reads_steps(make, tmp_path):
    cell = make(3, 17)
    net = saved(cell, tmp_path)
    x, state, hx = torch.randn(5, 2, 3), net.start(2), None
    for step in x:
        hx = cell(step, hx)
        y, state = net.step(step.numpy(), state)
        np.testing.assert_allclose(y, (hx[0] if isinstance(hx, tuple) else hx).numpy(), atol=1e-6)


@torch.no_grad()
def test_what_computes_a_weight_is_resolved(tmp_path):
    layer = nn.utils.parametrizations.weight_norm(statewise.LSTM(3, 8), "weight_hh_l0")
    x = torch.randn(6, 2, 3)
    np.testing.assert_allclose(saved(layer, tmp_path).run(x.numpy()), layer(x)[0].numpy(), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype, tmp_path):
    layer, x = statewise.GRU(3, 8), torch.randn(6, 2, 3)
    net = saved(layer.to(dtype), tmp_path)
    assert net.dtype == np.float32
    np.testing.assert_allclose(net.run(x.numpy()), layer.float()(x)[0].numpy(), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("shape", [(0, 3, 4), (5, 0, 4)])
def test_nothing_to_read(shape, tmp_path):
    net = saved(statewise.LSTM(4, 6), tmp_path)
    assert net.run(np.zeros(shape)).shape == (*shape[:2], 6)


def test_input_of_any_kind_and_layout(tmp_path):
    net = saved(shaken(statewise.LSTM(4, 6)), tmp_path)
    x = np.random.default_rng(0).standard_normal((3, 5, 8)).astype(np.float32)
    expected = net.run(np.ascontiguousarray(x[:, ::-1, ::2]))
    np.testing.assert_array_equal(net.run(x[:, ::-1, ::2]), expected)
    np.testing.assert_array_equal(net.run(np.asfortranarray(x[:, ::-1, ::2])), expected)
    np.testing.assert_array_equal(net.run(x[:, ::-1, ::2].tolist()), expected)
    np.testing.assert_array_equal(net.run(x[:, ::-1, ::2].astype(">f4")), expected)
    np.testing.assert_array_equal(net.run(np.ones((3, 5, 4), int)), net.run(np.ones((3, 5, 4))))


@pytest.mark.parametrize(
    ("x", "lengths", "message"),
    [
        (np.zeros((3, 5)), None, r"x: expected \(T, N, 4\), got \(3, 5\)"),
        (np.zeros((3, 5, 3)), None, r"x: expected \(T, N, 4\), got \(3, 5, 3\)"),
        (np.zeros((3, 5, 4), complex), None, "x: expected numbers, got complex128"),
        (np.zeros((3, 5, 4)), [1, 2], "lengths: expected 5 numbers from 0 to 3, got"),
        (np.zeros((3, 5, 4)), [1, 2, 3, 4, 0], "lengths: expected 5 numbers from 0 to 3, got"),
        (np.zeros((3, 5, 4)), [1.0] * 5, "lengths: expected whole numbers, got float64"),
    ],
)
def test_what_does_not_fit_is_said(x, lengths, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        saved(statewise.LSTM(4, 6), tmp_path).run(x, lengths)
