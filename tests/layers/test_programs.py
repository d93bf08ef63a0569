"""Programs as people write them, from beginning to end."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import statewise
from oracle import LAYERS, flat, pair


def train(model, loss_of, steps, lr=0.01):
    optimizer = torch.optim.Adam(model.parameters(), lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        optimizer.step()
    return float(loss.detach())


class ManyToOne(nn.Module):
    """Reads a sequence, classifies it by the output of the last step."""

    def __init__(self, layer, features, hidden, classes):
        super().__init__()
        self.layer = layer(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x):
        output, _ = self.layer(x)
        return self.head(output[:, -1])


@pytest.mark.parametrize("kind", LAYERS)
def test_a_many_to_one_classifier_trains(kind):
    """Does the first step's sign come back at the end?"""
    x = torch.randn(64, 8, 1)
    labels = (x[:, 0, 0] > 0).long()
    model = ManyToOne(getattr(statewise, kind), 1, 16, 2)
    before = nn.functional.cross_entropy(model(x), labels).item()
    after = train(model, lambda m: nn.functional.cross_entropy(m(x), labels), 120, lr=0.02)
    assert after < before / 4
    assert (model(x).argmax(-1) == labels).float().mean() > 0.95


def test_training_is_torchs_step_by_step():
    theirs, ours = ManyToOne(nn.LSTM, 3, 8, 2), ManyToOne(statewise.LSTM, 3, 8, 2)
    ours.load_state_dict(theirs.state_dict())
    x, labels = torch.randn(16, 7, 3), torch.arange(16) % 2
    for model in (theirs, ours):
        train(model, lambda m: nn.functional.cross_entropy(m(x), labels), 20)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_the_last_letter_of_four_letter_words():
    words = ["make", "need", "coal", "word", "love", "hate", "live", "home", "hash", "star"]
    letters = torch.tensor([[ord(c) - ord("a") for c in word] for word in words])  # (10, 4)
    x = nn.functional.one_hot(letters[:, :3], 26).float()  # (10, 3, 26)
    model = ManyToOne(statewise.LSTM, 26, 32, 26)
    train(model, lambda m: nn.functional.cross_entropy(m(x), letters[:, 3]), 150, lr=0.02)
    assert torch.equal(model(x).argmax(-1), letters[:, 3])


def test_a_bidirectional_layer_over_27_26_27():
    theirs, ours = pair("LSTM", 27, 32, bidirectional=True)
    x = torch.randn(27, 26, 27)
    output, (h_n, c_n) = ours(x)
    assert output.shape == (27, 26, 64)
    assert h_n.shape == c_n.shape == (2, 26, 32)
    torch.testing.assert_close(output, theirs(x)[0])
    forward, backward = output.view(27, 26, 2, 32).unbind(2)
    assert torch.equal(forward[-1], h_n[0])
    assert torch.equal(backward[0], h_n[1])


@pytest.mark.parametrize("kind", LAYERS)
def test_a_loop_over_the_cell_is_the_layer(kind):
    layer, cell = getattr(statewise, kind)(3, 4), getattr(statewise, kind + "Cell")(3, 4)
    cell.load_state_dict({name.removesuffix("_l0"): w for name, w in layer.state_dict().items()})
    x = torch.randn(6, 2, 3)
    state, outputs = None, []
    for step in x:
        state = cell(step, state)
        outputs.append(flat(state)[0])
    output, final = layer(x)
    torch.testing.assert_close(torch.stack(outputs), output)
    for a, b in zip(flat(state), flat(final), strict=True):
        torch.testing.assert_close(a, b[0])


@pytest.mark.parametrize("kind", LAYERS)
def test_the_last_output_is_the_final_state(kind):
    output, final = getattr(statewise, kind)(3, 4, num_layers=2, batch_first=True)(torch.randn(2, 6, 3))
    assert torch.equal(output[:, -1], flat(final)[0][-1])


@pytest.mark.parametrize("kind", LAYERS)
def test_a_sequence_in_two_parts_is_the_sequence(kind):
    """Stateful training: the state of one part, detached or not, starts the next."""
    layer = getattr(statewise, kind)(3, 4, num_layers=2)
    x = torch.randn(7, 2, 3)
    first, state = layer(x[:3])
    second, final = layer(x[3:], state)
    whole, end = layer(x)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    for a, b in zip(flat(final), flat(end), strict=True):
        torch.testing.assert_close(a, b)


def test_sequence_to_sequence():
    encoder, decoder = statewise.GRU(3, 8), statewise.GRUCell(2, 8)
    head = nn.Linear(8, 2)
    _, state = encoder(torch.randn(5, 4, 3))
    state, letter, written = state[0], torch.zeros(4, 2), []
    for _ in range(3):
        state = decoder(letter, state)
        letter = head(state)
        written.append(letter)
    torch.stack(written).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())
