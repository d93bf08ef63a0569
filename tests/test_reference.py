"""The reference where nothing else is its oracle: projections that torch.nn hasn't, and empty inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import statewise
from statewise import cells, reference
from statewise.stack import Stack


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru_with_projection(x, h, w_ih, w_hh, b_ih, b_hh, w_hr):
    """Written out: the whole h goes from step to step, W_hh reads its projection, which is the output too."""
    outputs = []
    for row in x:
        i_r, i_z, i_n = np.split(row @ w_ih.T + b_ih, 3, -1)
        h_r, h_z, h_n = np.split(h @ w_hr.T @ w_hh.T + b_hh, 3, -1)
        z = sigmoid(i_z + h_z)
        h = (1 - z) * np.tanh(i_n + sigmoid(i_r + h_r) * h_n) + z * h
        outputs.append(h @ w_hr.T)
    return np.stack(outputs), h


def rnn_with_projection(x, h, w_ih, w_hh, b_ih, b_hh, w_hr):
    """Written out: the projection is the state."""
    outputs = []
    for row in x:
        h = np.tanh(row @ w_ih.T + b_ih + h @ w_hh.T + b_hh) @ w_hr.T
        outputs.append(h)
    return np.stack(outputs), h


@pytest.mark.parametrize(("kind", "written_out"), [("GRU", gru_with_projection), ("RNN", rnn_with_projection)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_projections_that_torch_has_not(kind, written_out, bidirectional):
    layer = getattr(statewise, kind)(3, 5, proj_size=2, bidirectional=bidirectional, dtype=torch.float64)
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    h = torch.randn(1 + bidirectional, 4, layer._stack.state_sizes[0], dtype=torch.float64)
    weights = list(layer.parameters())
    output, final = (r.detach().numpy() for r in reference.recurrent(x, [h], weights, layer._stack))
    weights = [w.detach().numpy() for w in weights]
    expected, state = written_out(x.numpy(), h[0].numpy(), *weights[:5])
    np.testing.assert_allclose(output[..., :2], expected, rtol=1e-12)
    np.testing.assert_allclose(final[0], state, rtol=1e-12)
    if bidirectional:
        expected, state = written_out(x.numpy()[::-1], h[1].numpy(), *weights[5:])
        np.testing.assert_allclose(output[..., 2:], expected[::-1], rtol=1e-12)
        np.testing.assert_allclose(final[1], state, rtol=1e-12)


@pytest.mark.parametrize("cell", cells.CELLS, ids=lambda c: c.name)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_empty_inputs(cell, device):
    stack = Stack(cell, 3, 4, 2, bidirectional=True)
    shapes = [stack.weight_shape(w, k // 2) for k in range(stack.depth) for w in stack.weights]
    weights = [torch.zeros(shape, device=device) for shape in shapes]
    none = torch.zeros(0, dtype=torch.int64)
    state = [torch.zeros(4, 0, 4, device=device) for _ in cell.states]
    for t, n in ((0, 2), (5, 0), (0, 0)):
        for lengths in (None, torch.zeros(n, dtype=torch.int64)):
            output, *final = reference.recurrent(
                torch.zeros(t, n, 3, device=device), None, weights, stack, lengths=lengths
            )
            assert output.shape == (t, n, 8)
            assert [f.shape for f in final] == [(4, n, 4)] * len(cell.states)
    for sizes in (none, torch.zeros(3, dtype=torch.int64)):
        output, *final = reference.recurrent(torch.zeros(0, 3, device=device), state, weights, stack, batch_sizes=sizes)
        assert output.shape == (0, 8)
        assert [f.shape for f in final] == [(4, 0, 4)] * len(cell.states)


def test_masks_multiply_what_goes_from_layer_to_layer():
    layer = statewise.LSTM(3, 4, 2, bidirectional=True)
    x, weights = torch.randn(5, 2, 3), list(layer.parameters())
    first = reference.recurrent(x, None, weights[:8], Stack(cells.LSTM, 3, 4, bidirectional=True))[0]
    mask = torch.rand(5, 2, 8)
    expected = reference.recurrent(first * mask, None, weights[8:], Stack(cells.LSTM, 8, 4, bidirectional=True))[0]
    actual = reference.recurrent(x, None, weights, layer._stack, masks=[mask])[0]
    torch.testing.assert_close(actual, expected)
