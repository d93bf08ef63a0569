"""The network and its search: gradients, rows by themselves and together, and beam search against trying everything."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from statewise.jobs.data.vocabulary import END, SPECIAL, UNKNOWN
from statewise.jobs.tasks.translate.config import TranslateConfig
from statewise.jobs.tasks.translate.network import Network
from statewise.jobs.tasks.translate.ragged import Ragged
from statewise.jobs.training.weights import arrays_of
from statewise.runtime import Translator
from statewise.runtime.jobs import translate

CELLS = ("gru", "lstm", "rnn")
ATTENTIONS = ("multiplicative", "additive")


def made(symbols=5, **told):
    config = TranslateConfig(**{"units": 3, "embedding": 4, "dropout": 0.0, **told})
    network = Network(6, symbols, config).double()
    network.config = config
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(2).add_(torch.randn_like(p) / 2)
    return network


def ragged(lengths, most):
    return Ragged([[*torch.randint(2, most, (n - 1,)).tolist(), END] for n in lengths])


def search(network, sources, rows, *, beam, longest, penalty):
    """What the runtime finds for ``rows`` of ``sources`` with the weights of ``network``, in float64."""
    arrays = {name: array for name, array in arrays_of(network).items() if name != "output.weight"}
    sides = {
        side: {"level": "char", "symbols": [*SPECIAL, *"abcdefgh"[: len(arrays[f"{name}.weight"]) - 2]], "merges": []}
        for side, name in (("source", "read"), ("target", "written"))
    }
    config = vars(network.config) | {"length_penalty": penalty}
    translator = Translator(*translate({"config": config, "longest": longest, **sides}, arrays))
    return translator.search([sources.take(torch.tensor([row]))[0][:, 0].numpy() for row in rows], beam)


@torch.no_grad()
def logarithm(network, source, written):
    """The logarithm of the probability of ``written``, which ends in END, step by step."""
    memory, state = network.encode(torch.tensor(source)[:, None], torch.tensor([len(source)]))
    total, before = 0.0, END
    for symbol in written:
        steps, state, _ = network.decode(memory, torch.tensor([[before]]), state)
        total += float(network.output(steps[0, 0]).log_softmax(-1)[symbol])
        before = symbol
    return total


def everything(network, source, longest, symbols, penalty):
    """All targets of up to ``longest`` symbols, the end among them, best first."""
    found = []
    for n in range(longest):
        for body in product(range(UNKNOWN + 1, symbols), repeat=n):
            p = logarithm(network, source, [*body, END])
            found.append((p / (n + 1) ** penalty, list(body), p))
    return sorted(found, key=lambda entry: -entry[0])


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("lstm", 2), ("rnn", 3)])
@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
def test_a_beam_wide_enough_finds_what_trying_everything_does(cell, layers, attention, penalty):
    network, longest = made(cell=cell, layers=layers, attention=attention).eval(), 4
    sources = ragged((1, 5, 2), 6)
    beam = sum(3**n for n in range(longest))
    found = search(network, sources, range(3), beam=beam, longest=longest, penalty=penalty)
    for row, best in enumerate(found):
        source = sources.take(torch.tensor([row]))[0][:, 0].tolist()
        expected = everything(network, source, longest, 5, penalty)
        assert [symbols for symbols, _ in best] == [body for _, body, _ in expected]
        assert [p for _, p in best] == pytest.approx([p for _, _, p in expected])


@pytest.mark.parametrize("beam", [1, 2, 5])
@pytest.mark.parametrize("cell", CELLS)
def test_rows_are_searched_together_as_one_by_one(cell, beam):
    network, sources = made(9, cell=cell).eval(), ragged((7, 1, 3, 12, 2), 6)
    how = {"beam": beam, "longest": 9, "penalty": 0.6}
    together = search(network, sources, range(5), **how)
    for row, best in enumerate(together):
        (alone,) = search(network, sources, [row], **how)
        assert [symbols for symbols, _ in best] == [symbols for symbols, _ in alone]
        assert [p for _, p in best] == pytest.approx([p for _, p in alone])
        assert len({tuple(symbols) for symbols, _ in best}) == len(best) <= beam


def test_a_wider_beam_finds_nothing_worse():
    network, sources = made(7).eval(), ragged((4, 6, 2, 9), 6)
    best = [
        [row[0][1] for row in search(network, sources, range(4), beam=beam, longest=6, penalty=0)]
        for beam in (1, 50, 6**5)
    ]
    assert all(one <= many + 1e-12 for one, many in zip(best[0], best[2], strict=True))
    assert all(one <= many + 1e-12 for one, many in zip(best[1], best[2], strict=True))


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("lstm", 2), ("rnn", 1), ("gru", 3)])
def test_training_sees_what_the_search_sees(cell, layers, attention):
    """The logits of whole targets, of ragged rows, are those of a row alone, a step at a time."""
    network = made(cell=cell, layers=layers, attention=attention)
    sources, targets = ragged((1, 5, 63), 6), ragged((4, 1, 7), 5)
    rows = torch.tensor([2, 0, 1])
    (source, lengths), (target, counts) = sources.take(rows), targets.take(rows)
    before = torch.cat((target.new_full((1, 3), END), target[:-1]))
    logits = network(source, lengths, before, counts)
    there = torch.arange(len(target))[:, None] < counts
    found = torch.zeros(target.shape, dtype=torch.float64)
    found[there] = logits.log_softmax(-1).gather(1, target[there][:, None])[:, 0].detach()
    for place, row in enumerate(rows):
        alone = [side.take(row[None])[0][:, 0].tolist() for side in (sources, targets)]
        assert float(found[:, place].sum()) == pytest.approx(logarithm(network, *alone), abs=1e-12)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize(("cell", "layers"), [("gru", 2), ("lstm", 2), ("rnn", 1)])
@pytest.mark.slow
def test_gradients(cell, layers, attention):
    network = made(cell=cell, layers=layers, attention=attention)
    (source, lengths), (before, counts) = (
        ragged((3, 1), 6).take(torch.arange(2)),
        ragged((1, 3), 5).take(torch.arange(2)),
    )
    names, parameters = zip(*network.named_parameters(), strict=True)

    def loss(*given):
        told = dict(zip(names, given, strict=True))
        return torch.func.functional_call(network, told, (source, lengths, before, counts)).log_softmax(-1)[:, 0].sum()

    assert torch.autograd.gradcheck(loss, tuple(p.detach().requires_grad_() for p in parameters))


def test_attention_is_a_distribution_over_what_is_there():
    network = made().eval()
    source, lengths = ragged((2, 6), 6).take(torch.arange(2))
    memory, state = network.encode(source, lengths)
    attention = network.decode(memory, torch.tensor([[END, END], [2, 3]]), state)[2]
    assert attention.shape == (2, 2, 6)
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 2, dtype=torch.float64))
    assert not attention[0, :, 2:].any()
    assert (attention[1] > 0).all()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_decoder_is_what_its_equations_say(attention):
    """A row alone, its attention and its output with loops over symbols; the layers are tested elsewhere."""
    network = made(7, layers=2, attention=attention).eval()
    p = dict(network.named_parameters())
    source, before = torch.tensor([[2], [5], [3], [END]]), torch.tensor([[END], [4], [2]])
    memory, state = network.encode(source, torch.tensor([4]))
    found, _, weights = network.decode(memory, before, state)

    values, last = network.encoder(p["read.weight"][source])
    last = torch.cat((last[2, 0], last[3, 0]))  # of the upper layer: forward at the end, backward at the beginning
    h0 = torch.tanh(p["bridge.weight"] @ last + p["bridge.bias"]).view(2, 1, 1, 3)
    x = network.decoder[0](p["written.weight"][before], h0[0])[0]
    contexts = []
    for t in range(3):
        scores = []
        for value in values[:, 0]:
            key, query = p["keys.weight"] @ value, x[t, 0]
            if attention == "additive":
                query = p["query.weight"] @ query + p["query.bias"]
                scores.append(p["energy.weight"][0] @ torch.tanh(query + key))
            else:
                scores.append(query @ key / 3**0.5)
        share = torch.stack(scores).softmax(0)
        torch.testing.assert_close(weights[0, t], share)
        contexts.append(share @ values[:, 0])
    context = torch.stack(contexts)[:, None]
    x = x + network.decoder[1](torch.cat((x, context), 2), h0[1])[0]
    read = torch.tanh(torch.cat((x, context), 2) @ p["combine.weight"].T + p["combine.bias"])
    torch.testing.assert_close(found, read)
    assert network.output.weight is network.written.weight


def test_a_share_of_the_symbols_before_is_the_networks_own():
    network = made(9).train()
    source, lengths = ragged((5,) * 200, 6).take(torch.arange(200))
    before = torch.full((10, 200), 2)
    memory, state = network.encode(source, lengths)
    counts = torch.full((200,), 10)
    mixed = network._mixed(memory, state, before, counts, 0.75)
    assert torch.equal(mixed[0], before[0])
    assert not ((mixed == END) | (mixed == UNKNOWN)).any()
    # Drawn as the network would draw them, so that a share is what it was before.
    drawn = network.output(network.decode(memory, before, state)[0]).softmax(-1)[:-1].detach()
    kept = 1 - 0.25 * (1 - drawn[..., [END, UNKNOWN, 2]].sum(-1).mean())
    assert float((mixed[1:] == 2).double().mean()) == pytest.approx(float(kept), abs=0.03)
    assert torch.equal(network._mixed(memory, state, before, counts, 1.0), before)


def test_nothing_is_mixed_outside_of_training():
    network = made(9).eval()
    given = (*ragged((5, 2), 6).take(torch.arange(2)), *ragged((4, 3), 9).take(torch.arange(2)))
    assert torch.equal(network(*given, 0.0), network(*given, 1.0))
