"""``statewise.inspect``: what is recorded is what the layers compute; a sick net is told so, a healthy one too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import statewise
from statewise.cells import CELLS, Cell
from statewise.inspecting.inspection import Inspection
from statewise.inspecting.recording import record, seen


class Net(nn.Module):
    """Steps, the last state, two numbers."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.recurrent = layer
        self.output = nn.Linear(layer.hidden_size, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, 2) of x (T, N, I)."""
        return self.output(self.recurrent(x)[0][-1])


def trained(layer: Any, steps: int, updates: int = 60) -> Net:
    """A net that has learnt whether the last eight numbers of feature 0 add up to more than 0."""
    torch.manual_seed(0)
    net = Net(layer)
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(updates):
        x, y = rows(steps, 32)
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, y = rows(steps, 200)
    assert float((net(x).argmax(1) == y).float().mean()) > 0.8
    return net


def rows(steps: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(steps, count, 3)
    return x, (x[-8:, :, 0].sum(0) > 0).long()


def said(found: Inspection, title: str) -> str:
    return found.findings[title].text


# What is recorded


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_states_are_the_layers(cell: Cell) -> None:
    """Of every cell; and each of its gates has been seen."""
    torch.manual_seed(0)
    layer = statewise.Recurrent(cell, 4, 6, 2, bidirectional=True).eval()
    x = torch.randn(5, 3, 4)
    output, final, passed = layer(x, return_states=True)
    (recording,) = record(layer, (x,), {})
    torch.testing.assert_close(recording.result[0], output)
    for k, scan in enumerate(recording.scans):
        for letter, states in zip(cell.states, passed if isinstance(passed, tuple) else (passed,), strict=True):
            torch.testing.assert_close(torch.stack(scan.states[letter]), states[k])
        assert set(seen(cell).squashed) <= {*scan.gates, *scan.states}
    del final


def test_the_gates_are_the_equations() -> None:
    """The LSTM's, written out."""
    layer = statewise.LSTM(4, 6).eval()
    x = torch.randn(5, 3, 4)
    (found,) = statewise.inspect(layer, x).layers
    w, r, b, d = (p.detach() for p in layer.parameters())
    h = np.concatenate([np.zeros((1, 3, 6)), found.h[:-1]])
    sums = x.numpy() @ w.numpy().T + b.numpy() + h @ r.numpy().T + d.numpy()
    for k, (gate, function) in enumerate(zip("ifgo", ("sigmoid", "sigmoid", "tanh", "sigmoid"), strict=True)):
        part = sums[..., 6 * k : 6 * k + 6]
        expected = np.tanh(part) if function == "tanh" else 1 / (1 + np.exp(-part))
        np.testing.assert_allclose(found.gates[gate], expected, atol=1e-5)


def packed(layer: Any, x: torch.Tensor, lengths: list[int]) -> Any:
    return (nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False),)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN, statewise.LSTM])
def test_ragged_rows_are_as_each_alone(kind: Any) -> None:
    """As a PackedSequence, whose rows are put in order, and with lengths; NaN past a row's end."""
    torch.manual_seed(0)
    layer, x, lengths = kind(4, 6, 2, bidirectional=True), torch.randn(7, 3, 4), [2, 7, 4]
    calls: list[Any] = [packed(layer, x, lengths)]
    if kind is statewise.LSTM:
        calls.append({"input": x, "lengths": torch.tensor(lengths)})
    for call in calls:
        found = statewise.inspect(layer, call, points=4)
        for n, length in enumerate(lengths):
            alone = statewise.inspect(layer, x[:length, n : n + 1], points=4)
            for mine, theirs in zip(found.layers, alone.layers, strict=True):
                np.testing.assert_allclose(mine.h[:length, n], theirs.h[:, 0], atol=1e-5)
                assert np.isnan(mine.h[length:, n]).all()
            np.testing.assert_allclose(
                found.attributions.values[:length, n], alone.attributions.values[:, 0], atol=1e-5
            )
            assert np.isnan(found.attributions.values[length:, n]).all()


def test_layers_with_options_and_loops() -> None:
    """Norms, residuals, several widths; a layer that is called step by step is one."""
    torch.manual_seed(0)
    x = torch.randn(6, 2, 4)
    for layer in (statewise.GRU(4, 4, 2, norm=True, residual=True), statewise.GRU(4, [5, 3]), statewise.GRU(4, 4, 2)):
        found = statewise.inspect(layer, x, points=4)
        *_, passed = layer.eval()(x, return_states=True)
        last = (
            passed[-1][-1] if isinstance(passed, tuple) else passed[-1]
        )  # where layers differ in width a tuple of them
        np.testing.assert_allclose(found.layers[-1].h, last.detach().numpy(), atol=1e-5)
        assert [each.h.shape[0] for each in found.layers] == [6, 6]

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.GRU(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            state = None
            for step in x:
                _, state = self.layer(step[None], state)
            assert state is not None
            return state[-1]

    loop = Loop()
    (found_layer,) = statewise.inspect(loop, x).layers
    np.testing.assert_allclose(found_layer.h, loop.layer(x)[0].detach().numpy(), atol=1e-5)


def test_a_layer_that_reads_two_things_and_the_order_of_layers() -> None:
    """Of calls with other rows the longest is looked at, and scaled alone; layers come as they are called."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late, self.early = nn.GRU(5, 4), nn.GRU(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first, _ = self.early(x)
            short, _ = self.early(torch.cat([x[:1], x[:1]], 1))
            return self.late(first)[0][-1] + short[0, :2, :4]

    torch.manual_seed(0)
    model, x = Twice(), torch.randn(6, 2, 4)
    found = statewise.inspect(model, x)
    assert [layer.name for layer in found.layers] == ["early", "late"]
    np.testing.assert_allclose(found.layers[0].h, model.early(x)[0].detach().numpy(), atol=1e-5)
    assert found.attributions.error < 0.01


def test_gradients_through_time_are_autograds() -> None:
    """Of h after the last step, beside what they are there."""
    torch.manual_seed(0)
    layer = statewise.GRU(3, 5)
    (found,) = statewise.inspect(layer, torch.randn(6, 2, 3)).layers
    np.testing.assert_allclose(found.gradients[-1], 1, atol=1e-6)
    state = torch.from_numpy(found.h[2]).requires_grad_()
    torch.manual_seed(0)
    layer = statewise.GRU(3, 5)
    x = torch.randn(6, 2, 3)
    probe = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()
    (layer(x[3:], state[None])[1][0] * probe).sum().backward()
    assert state.grad is not None
    norms = (state.grad.norm(dim=1) / probe.norm(dim=1)).numpy()
    np.testing.assert_allclose(found.gradients[2], norms, rtol=1e-4)


def test_attributions_add_up() -> None:
    """To the difference from an input of zeros; a linear part is told exactly."""
    torch.manual_seed(0)
    net = Net(statewise.LSTM(3, 8))
    x = torch.randn(9, 4, 3)
    found = statewise.inspect(net, x, of=lambda y: y[:, 1], features=["a", "b", "c"]).attributions
    told = (net(x) - net(0 * x))[:, 1].detach().numpy()
    np.testing.assert_allclose(found.told, told, atol=1e-6)
    np.testing.assert_allclose(found.values.sum((0, 2)), told, atol=2e-3)
    assert found.error < 0.01
    assert found.features.sum() == pytest.approx(1)


def test_the_module_is_left_as_it_was() -> None:
    net = Net(nn.LSTM(3, 8)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    statewise.inspect(net, torch.randn(5, 2, 3), points=2)
    assert type(net.recurrent) is nn.LSTM
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert not net.recurrent._forward_pre_hooks


@pytest.mark.parametrize(
    ("model", "more", "error", "message"),
    [
        ("lstm", {}, TypeError, "inspect: Expected model to be a torch.nn.Module, got str"),
        (nn.Linear(3, 3), {}, ValueError, "Linear calls none of them"),
        (nn.GRU(3, 4), {"layer": "other"}, ValueError, "Expected layer to be one of"),
        (nn.Sequential(nn.GRU(3, 4), nn.Identity()), {"of": lambda y: y[0].sum()}, ValueError, "a number for each row"),
    ],
)
def test_what_cant_be_inspected(model: Any, more: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        statewise.inspect(model, torch.randn(5, 2, 3), **more)


# What is said of it


@pytest.mark.parametrize("kind", [statewise.LSTM, statewise.GRU, statewise.RNN])
def test_healthy_nets_are_told_so(kind: Any) -> None:
    """Trained ones, of each of the three cells."""
    net = trained(kind(3, 16), 20)
    found = statewise.inspect(net, rows(20, 16)[0], features=["a", "b", "c"])
    assert found.healthy, str(found)
    assert all("Healthy" in finding.text for title, finding in found.findings.items() if "input" not in title)
    assert said(found, "What mattered of the input").startswith("Most of the result comes from a (")


def scaled(layer: Any, name: str, by: float, plus: float = 0.0) -> Net:
    net = Net(layer)
    with torch.no_grad():
        weight = getattr(layer, name)
        weight.mul_(by).add_(plus)
    return net


def test_gradients_that_vanish() -> None:
    net = scaled(statewise.RNN(3, 16), "weight_hh_l0", 0.3)
    found = statewise.inspect(net, rows(40, 8)[0])
    assert "They vanish: in recurrent less than 1% of a gradient" in said(found, "Gradients through time")
    assert not found.healthy


def test_of_layers_above_one_another_the_one_that_reaches_furthest_tells() -> None:
    """But of modules beside one another each for itself."""
    torch.manual_seed(0)
    layer = statewise.RNN(3, 16, 2)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(torch.eye(16))
        layer.weight_ih_l0 *= 0.1
        layer.weight_hh_l1 *= 0.2
    x = rows(40, 8)[0]
    found = statewise.inspect(Net(layer), x)
    back = [int((each.reach >= 0.01).sum()) for each in found.layers]
    assert back[0] == 40
    assert back[1] <= 5
    assert "Healthy" in said(found, "Gradients through time")

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.well, self.ill = layer, scaled(statewise.RNN(3, 16), "weight_hh_l0", 0.2).recurrent

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.well(x)[0][-1] + self.ill(x)[0][-1]

    assert "They vanish: in ill" in said(statewise.inspect(Both(), x), "Gradients through time")


def test_gradients_that_explode() -> None:
    net = scaled(statewise.RNN(3, 16, nonlinearity="relu"), "weight_hh_l0", 6.0)
    found = statewise.inspect(net, rows(20, 8)[0])
    assert "They explode: in recurrent a gradient grows" in said(found, "Gradients through time")


@pytest.mark.parametrize("by", [100.0, -100.0])
def test_gates_that_saturate(by: float) -> None:
    """By inputs of an odd scale."""
    torch.manual_seed(0)
    found = statewise.inspect(Net(statewise.LSTM(3, 16)), by * rows(20, 8)[0])
    assert "of its values are at its bounds" in said(found, "Saturation of the gates")
    assert not found.healthy


def test_a_gate_that_is_shut() -> None:
    net = Net(statewise.GRU(3, 16))
    with torch.no_grad():
        net.recurrent.bias_ih_l0[16:32] = 8.0
    found = statewise.inspect(net, rows(20, 8)[0])
    assert said(found, "Saturation of the gates").startswith(
        "z of recurrent is stuck: 100% of its values are at the upper"
    )


def test_units_that_are_dead() -> None:
    torch.manual_seed(0)
    net = Net(statewise.RNN(3, 16, nonlinearity="relu"))
    with torch.no_grad():
        net.recurrent.bias_ih_l0[[2, 5, 11]] = -50.0
    found = statewise.inspect(net, rows(20, 8)[0])
    assert found.layers[0].dead == [2, 5, 11]
    assert "3 of 16 units of recurrent hardly vary (units 2, 5, 11)" in said(found, "Units")


def test_states_that_dont_follow_the_input() -> None:
    net = scaled(statewise.GRU(3, 16), "weight_ih_l0", 0.001)
    found = statewise.inspect(net, rows(20, 8)[0])
    assert "comes to the same state whatever it reads" in said(found, "Gates and states over time")
    one = statewise.inspect(net, rows(20, 1)[0])
    assert said(one, "Gates and states over time").startswith("Of one row it can't be told")


# How it is shown


def test_the_page(tmp_path: Any) -> None:
    """A section for each finding, heat maps for each layer and direction; a notebook shows the same."""
    net = nn.Sequential(nn.Embedding(9, 3), nn.GRU(3, 8, bidirectional=True))
    x = torch.arange(24).reshape(12, 2) % 9
    labels = [[f"<{number}>" for number in column] for column in x.T.tolist()]
    found = statewise.inspect(net, x, labels=labels, title="a net & more")
    found.save(tmp_path / "net.html")
    html = (tmp_path / "net.html").read_text()
    assert html.count("<svg ") == 4 + 2
    for title, finding in found.findings.items():
        assert f"<h2>{title}</h2>" in html
        assert finding.text.split(":")[0] in html
    assert "a net &amp; more" in html
    assert "&lt;3&gt;" in html
    assert "<script" not in html
    assert found._repr_html_().startswith("<iframe srcdoc=")
    assert str(found).startswith("a net & more, 2 rows of 12 steps\nGradients through time: ")
