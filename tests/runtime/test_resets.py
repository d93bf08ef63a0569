"""Resets: what the runtime gives is what the layers give, and what each piece would give alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import statewise
from statewise import runtime

T, N, WIDTH = 13, 5, 3
LENGTHS = np.array([13, 1, 0, 7, 12])
LAYERS = {
    "lstm": lambda: statewise.LSTM(WIDTH, 6, 2),
    "both directions": lambda: statewise.GRU(WIDTH, 5, 2, bidirectional=True),
    "projection": lambda: statewise.LSTM(WIDTH, 6, proj_size=4),
    "learnt state, batch first": lambda: statewise.GRU(WIDTH, 6, learn_initial_state=True, batch_first=True),
    "norms, several widths": lambda: statewise.LSTM(WIDTH, [6, 4], norm=True),
}


def saved(model, tmp_path):
    statewise.save(model, tmp_path / "net.safetensors")
    return runtime.load(tmp_path / "net.safetensors")


def drawn():
    random = np.random.default_rng(0)
    x, reset = random.standard_normal((T, N, WIDTH)).astype(np.float32), random.random((T, N)) < 0.3
    reset[[0, 12], [0, 0]] = True
    return x, reset


@torch.no_grad()
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("name", LAYERS)
def test_as_the_layers_do_it(name, lengths, tmp_path):
    torch.manual_seed(0)
    layer = LAYERS[name]()
    for weight in layer.parameters():
        weight.add_(torch.randn_like(weight) * 0.2)
    net, (x, reset) = saved(layer, tmp_path), drawn()
    if layer.batch_first:
        x, reset = x.swapaxes(0, 1), reset.swapaxes(0, 1)
    told = {} if lengths is None else {"lengths": torch.from_numpy(lengths)}
    expected = layer(torch.tensor(x), reset=torch.tensor(reset), **told)[0].numpy()
    np.testing.assert_allclose(net.run(x, lengths, reset), expected, atol=2e-6)
    if net.streams:
        np.testing.assert_allclose(net.feed(x, net.start(N), lengths, reset)[0], expected, atol=2e-6)


def test_steps_and_parts_go_on_from_one_another(tmp_path):
    net, (x, reset) = saved(LAYERS["lstm"](), tmp_path), drawn()
    expected = net.run(x, reset=reset)
    first, state = net.feed(x[:4], net.start(N), reset=reset[:4])
    found = [*first]
    for row, new in zip(x[4:9], reset[4:9], strict=True):
        y, state = net.step(row, state, new)
        found.append(y)
    rest, after = net.feed(x[9:], state, reset=reset[9:])
    np.testing.assert_allclose([*found, *rest], expected, atol=2e-6)
    begun = net.step(x[0], net.start(N))[0]
    np.testing.assert_array_equal(net.step(x[0], after, np.ones(N, bool))[0], begun)
    np.testing.assert_array_equal(net.feed(x[:1], after, reset=np.ones((1, N), bool))[0][0], begun)


class Summary(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.recurrent = nn.Conv1d(WIDTH, 4, 3), statewise.GRU(4, 5)

    def forward(self, x):  # (T, N, I)
        x = nn.functional.pad(x.permute(1, 2, 0), (2, 0))
        return self.recurrent(self.convolution(x).permute(2, 0, 1))[0].mean(0)


def test_what_sums_up_the_steps_says_it_of_the_last_piece(tmp_path):
    net, (x, reset) = saved(Summary(), tmp_path), drawn()
    found = net.run(x, LENGTHS, reset)
    for row, length in enumerate(LENGTHS):
        begin = max([0, *np.flatnonzero(reset[:length, row])])
        np.testing.assert_allclose(found[row], net.run(x[begin:length, row : row + 1])[0], atol=2e-6)


def test_what_does_not_fit(tmp_path):
    net, (x, reset) = saved(LAYERS["lstm"](), tmp_path), drawn()
    for odd in (reset[1:], reset.astype(int), reset[0]):
        with pytest.raises(ValueError, match=r"reset: expected booleans as many as x has, \(13, 5\), got"):
            net.run(x, reset=odd)
    with pytest.raises(ValueError, match=r"reset: expected booleans \(N,\), \(5,\), got bool \(13, 5\)"):
        net.step(x[0], net.start(N), reset)
