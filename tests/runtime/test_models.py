"""Modules of one's own: what ``forward`` does, as torch.fx sees it, the runtime does, or says that it can't."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import statewise
from statewise import runtime
from statewise.runtime import LoadError, file


class Model(nn.Module):
    """What ``forward`` makes of parts that are there for all."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.run(self, x)


def symbols(self, x):
    return torch.log_softmax(self.output(self.dropout(self.layer(self.embedding(x))[0])), -1)


def residual(self, x):
    x = torch.tanh(self.first(x))
    y, _ = self.layer(self.norm(x))
    return self.output(torch.cat([x + y, y], dim=-1)).sigmoid()


def both_ends(self, x):
    _, (h, _) = self.layer(x)
    return self.output(torch.cat((h[-2], h[-1]), dim=1))


def last_state(self, x):
    _, h = self.layer(x)
    return functional.softmax(self.output(h[-1]), dim=1)


def last_step(self, x):
    return self.output(self.layer(x)[0][-1]), None


def mean_of_batch_first(self, x):
    return self.output(functional.silu(self.layer(x)[0]).mean(1))


def last_of_batch_first(self, x):
    return self.output(self.layer(x)[0][:, -1, :])


def largest(self, x):
    return self.output(torch.amax(self.layer(x)[0], dim=0))


def causal(self, x):
    x = functional.pad(x.permute(1, 2, 0), (4, 0))
    x = self.last(functional.relu(self.first(x)))[:, :, :-2]
    return self.output(self.layer(x.permute(2, 0, 1))[0])


def strided(self, x):
    y = self.front(x.transpose(1, 2))
    return self.output(self.layer(y.transpose(1, 2))[0])


def cut_off(self, x):
    return self.layer(self.front(x.permute(1, 2, 0))[..., :-1].permute(2, 0, 1))[0]


MODELS = {
    "symbols": (
        lambda: Model(
            symbols,
            embedding=nn.Embedding(11, 4),
            layer=nn.LSTM(4, 6, 2),
            dropout=nn.Dropout(0.5),
            output=nn.Linear(6, 11),
        ),
        11,
    ),
    "residual": (
        lambda: Model(
            residual,
            first=nn.Linear(3, 6),
            norm=nn.LayerNorm(6, eps=1e-3),
            layer=statewise.GRU(6, 6),
            output=nn.Linear(12, 2),
        ),
        3,
    ),
    "both ends": (
        lambda: Model(both_ends, layer=nn.LSTM(3, 6, 2, bidirectional=True), output=nn.Linear(12, 2)),
        3,
    ),
    "last state": (lambda: Model(last_state, layer=nn.GRU(3, 6, 2), output=nn.Linear(6, 2, bias=False)), 3),
    "last step": (lambda: Model(last_step, layer=nn.GRU(3, 6, 2), output=nn.Linear(6, 2)), 3),
    "mean": (lambda: Model(mean_of_batch_first, layer=nn.GRU(3, 6, batch_first=True), output=nn.Linear(6, 2)), 3),
    "last of batch first": (
        lambda: Model(last_of_batch_first, layer=statewise.LSTM(3, 6, batch_first=True), output=nn.Linear(6, 2)),
        3,
    ),
    "causal convolutions": (
        lambda: Model(
            causal,
            first=nn.Conv1d(4, 6, 3, dilation=2, groups=2),
            last=nn.Conv1d(6, 6, 3, padding=2, groups=6, bias=False),
            layer=nn.GRU(6, 5),
            output=nn.Linear(5, 2),
        ),
        4,
    ),
    "strided convolutions": (
        lambda: Model(
            strided,
            front=nn.Sequential(
                *(nn.ReflectionPad1d((1, 2)), nn.Conv1d(3, 8, 3, stride=2), nn.BatchNorm1d(8), nn.SiLU()),
                *(nn.Conv1d(8, 6, 4, padding="same", dilation=2), nn.ReLU()),
            ),
            layer=nn.LSTM(6, 5, batch_first=True),
            output=nn.Linear(5, 2),
        ),
        3,
    ),
    "largest": (lambda: Model(largest, layer=statewise.RNN(3, 6), output=nn.Linear(6, 2)), 3),
}


def saved(model, tmp_path):
    statewise.save(model, tmp_path / "net.safetensors")
    return runtime.load(tmp_path / "net.safetensors")


def settled(model):
    """In eval mode, and normalising by figures that differ from channel to channel."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            for figures in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                figures.uniform_(0.5, 1.5)
    return model.eval()


def first(result):
    return result[0] if isinstance(result, tuple) else result


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_it_computes_the_same(name, tmp_path):
    make, width = MODELS[name]
    model = settled(make())
    net = saved(model, tmp_path)
    is_symbols = isinstance(next(model.children()), nn.Embedding)
    x = torch.randint(width, (7, 4)) if is_symbols else torch.randn(7, 4, width)
    expected = first(model(x)).numpy()
    np.testing.assert_allclose(net.run(x.numpy()), expected, atol=2e-6)
    rows = x.transpose(0, 1) if net.batch_first else x
    assert net.streams is (name not in ("both ends", "strided convolutions"))
    if not net.streams:
        return
    state = net.start(rows.shape[1])
    for t, step in enumerate(rows):
        y, state = net.step(step.numpy(), state)
        so_far = rows[: t + 1].transpose(0, 1) if net.batch_first else rows[: t + 1]
        want = first(model(so_far)).numpy()
        want = want if want.ndim == 2 else (want[:, -1] if net.batch_first else want[-1])
        np.testing.assert_allclose(y, want, atol=2e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_a_ragged_row_is_what_it_is_alone(name, tmp_path):
    make, width = MODELS[name]
    model = settled(make())
    net = saved(model, tmp_path)
    is_symbols = isinstance(next(model.children()), nn.Embedding)
    x = torch.randint(width, (7, 3)) if is_symbols else torch.randn(7, 3, width)
    x = x.transpose(0, 1) if net.batch_first else x
    lengths = [7, 3, 5]
    found = net.run(x.numpy(), lengths)
    for row, length in enumerate(lengths):
        own = x[row : row + 1, :length] if net.batch_first else x[:length, row : row + 1]
        want = first(model(own)).numpy()
        if want.ndim == 2:
            np.testing.assert_allclose(found[row : row + 1], want, atol=2e-6)
        elif net.batch_first:
            np.testing.assert_allclose(found[row : row + 1, : want.shape[1]], want, atol=2e-6)
        else:
            np.testing.assert_allclose(found[:length, row : row + 1], want, atol=2e-6)


def test_a_convolution_within_each_step(tmp_path):
    """As a frame of a signal is made a spectrum, and a spectrum a few numbers, before the layer reads these."""
    random = np.random.default_rng(0)
    waves, weight, bias = random.standard_normal((10, 1, 8)), random.standard_normal((3, 5, 3)), np.zeros(3)
    ops = [
        {"op": "convolution", "name": "waves", "positions": 16, "stride": 4, "right": 4, "reflect": True},
        {"op": "magnitude", "positions": 4},
        {"op": "convolution", "name": "narrow", "positions": 4, "stride": 2, "left": 1, "right": 1},
    ]
    arrays = {"waves.weight": waves, "narrow.weight": weight, "narrow.bias": bias}
    net = runtime.Network({"inputs": [{"name": "x", "kind": "values", "width": 16}], "ops": ops}, arrays)
    x = random.standard_normal((7, 2, 16))
    frames = torch.from_numpy(x).reshape(14, 1, 16)
    parts = functional.conv1d(functional.pad(frames, (0, 4), "reflect"), torch.from_numpy(waves), stride=4)
    spectra = (parts[:, :5] ** 2 + parts[:, 5:] ** 2).sqrt()
    expected = functional.conv1d(spectra, torch.from_numpy(weight), torch.from_numpy(bias), stride=2, padding=1)
    expected = expected.transpose(1, 2).reshape(7, 2, 6).numpy()
    np.testing.assert_allclose(net.run(x), expected, atol=1e-12)
    np.testing.assert_allclose(net.step(x[0], net.start(2))[0], expected[0], atol=1e-12)
    np.testing.assert_allclose(net.run(x, lengths=[7, 3])[:3, 1], expected[:3, 1], atol=1e-12)


def test_too_few_steps_to_reflect_are_refused(tmp_path):
    net = saved(MODELS["strided convolutions"][0](), tmp_path)
    with pytest.raises(ValueError, match=r"front.1: expected more than 2 steps to reflect"):
        net.run(np.zeros((2, 5, 3)), lengths=[5, 2])


def test_symbols_out_of_range_are_refused(tmp_path):
    net = saved(MODELS["symbols"][0](), tmp_path)
    for odd in (-1, 11):
        with pytest.raises(ValueError, match=f"x: expected numbers from 0 to 10, got {odd}"):
            net.run([[odd]])
        with pytest.raises(ValueError, match=f"x: expected numbers from 0 to 10, got {odd}"):
            net.step([odd], net.start(1))


def gelu(self, x):
    return functional.gelu(self.layer(x)[0])


def its_own_state(self, x):
    return self.layer(x, x[:1, :, :1])[0]


def of_the_first_layer(self, x):
    return self.layer(x)[1][0]


def as_the_values_say(self, x):
    return self.layer(x)[0] if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(gelu, layer=statewise.GRU(3, 4)), "can't run function gelu"),
        (Model(its_own_state, layer=statewise.GRU(3, 1)), "can't run what getitem takes of something"),
        (Model(of_the_first_layer, layer=statewise.GRU(3, 4, 2)), "can't run what getitem_1 takes of something"),
        (Model(as_the_values_say, layer=statewise.GRU(3, 4)), "can't run what torch.fx can't trace"),
        (Model(cut_off, front=nn.Conv1d(3, 3, 2), layer=nn.GRU(3, 4)), "can't run steps of front to -1"),
        (nn.Sequential(nn.Conv1d(3, 3, 1), nn.GRU(3, 4)), r"a Conv1d, 0, of what isn't transposed to \(N, C, T\)"),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.GRU(3, 4)), "can't run a Conv2d, 0"),
        (nn.Linear(3, 4), "can't run a model without an RNN, LSTM, GRU or cell in it, a Linear"),
    ],
)
def test_what_it_can_not_run_is_said_when_it_is_saved(model, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        statewise.save(model, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_no_module(tmp_path):
    with pytest.raises(TypeError, match=r"Expected model to be a torch\.nn\.Module, got int"):
        statewise.save(3, tmp_path / "net.safetensors")


def test_a_cell_that_nobody_has_described(tmp_path):
    path = tmp_path / "net.safetensors"
    statewise.save(statewise.GRU(3, 4), path)
    told, arrays = file.read(path.read_bytes(), "")
    told["content"]["ops"][0]["cell"] = "mine"
    path.write_bytes(file.write("network", 1, told["content"], arrays))
    with pytest.raises(LoadError, match=r"net.safetensors: layer: no cell is called 'mine'; there are .*lstm"):
        runtime.load(path)
