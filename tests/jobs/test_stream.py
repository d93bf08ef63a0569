"""A trained job reads a step at a time what it otherwise reads as a whole; its networks can be exported."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch.export import Dim, export

from statewise.jobs import Classifier, Forecaster, InputError, Tagger, Writer
from statewise.jobs.tasks.forecast.ahead import forecast_ahead
from statewise.jobs.tasks.forecast.panel import array_panel
from statewise.jobs.tasks.tag.corpus import Corpus
from statewise.jobs.tasks.tag.packed import Packed

TEXT = "the cat sat on the mat\nthe dog sat on the log\n" * 20
T, N = Dim("T", min=2, max=1000), Dim("N", min=2, max=1000)


def classifier(**arguments):
    random = np.random.default_rng(0)
    X = [random.normal(size=(t, 2)) for t in (5, 7, 4, 9)] * 3
    return Classifier(units=5, epochs=2, bidirectional=False, **arguments).fit(X, np.array([0, 1] * 6)), X


@pytest.mark.parametrize("segment", [1, 3])
@pytest.mark.parametrize("head", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_classifier_says_after_every_step_what_it_says_of_the_sequence_up_to_there(cell, head, segment):
    model, X = classifier(cell=cell, head=head, segment=segment, layers=2)
    stream, pair = model.stream(), model.stream(2)
    for t in range(7):
        told = model.predict_proba([X[1][: t + 1], X[3][: t + 1]])
        np.testing.assert_allclose(stream.step(X[1][t]), told[0], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(pair.step([X[1][t], X[3][t]]), told, rtol=1e-5, atol=1e-7)


def test_gaps_are_carried_on_and_a_state_can_be_put_back():
    model, X = classifier(gaps="carry", segment=2)
    sequence = X[3].copy()
    sequence[[0, 4, 5], [1, 0, 0]] = np.nan
    stream, found = model.stream(), []
    for t, x in enumerate(sequence):
        found.append(stream.step(x))
        np.testing.assert_allclose(found[-1], model.predict_proba([sequence[: t + 1]])[0], rtol=1e-5, atol=1e-7)
        if t == 4:
            kept = stream.state
    stream.state = kept
    np.testing.assert_array_equal(stream.step(sequence[5]), found[5])


def test_what_a_stream_refuses():
    model, _ = classifier()
    with pytest.raises(InputError, match=r"\(rows, channels\) \(1, 2\), got \(1, 3\)"):
        model.stream().step([1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="the value is missing"):
        model.stream().step([1.0, np.nan])
    with pytest.raises(InputError, match="rows: expected a whole number of at least 1, got 0"):
        model.stream(0)
    with pytest.raises(InputError, match="reads in both directions, so it needs whole sequences; bidirectional=False"):
        Classifier(units=2, epochs=1).fit(np.zeros((4, 3)) + np.arange(4)[:, None], [0, 1, 0, 1]).stream()
    with pytest.raises(NotFittedError):
        Classifier().stream()


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("of_spans", [False, True])
def test_a_tagger_says_of_every_word_what_it_says_of_the_last_of_a_sentence(crf, of_spans):
    tags = ["B-X", "I-X", "O"] if of_spans else ["a", "b", "c"]
    X = [["we", "saw", "it"], ["it"], ["it", "was", "we", "saw"]] * 2
    y = [[tags[0], tags[1], tags[2]], [tags[2]], [tags[2], tags[0], tags[1], tags[1]]] * 2
    tagger = Tagger(units=4, word_size=4, character_units=3, epochs=2, bidirectional=False, crf=crf).fit(X, y)
    stream, pair = tagger.stream(), tagger.stream(2)
    for t in range(3):
        told = [tagger.predict_proba([words[: t + 1]])[0][-1] for words in (X[0], X[2])]
        np.testing.assert_allclose(stream.step(X[0][t]), told[0], rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(pair.step([X[0][t], X[2][t]]), told, rtol=1e-5, atol=1e-9)
    with pytest.raises(InputError, match="expected a word of each of 2 sentences, got 1"):
        pair.step(["we"])
    with pytest.raises(InputError, match="reads in both directions, so it needs whole sentences"):
        Tagger(units=4, word_size=4, epochs=1).fit(X, y).stream()


@pytest.mark.parametrize(("level", "X"), [("char", TEXT), ("word", TEXT), ("char", TEXT.replace("\n", " "))])
def test_a_writer_says_after_every_symbol_what_comes_next(level, X):
    writer = Writer(units=8, epochs=1, level=level).fit(X)
    symbols, join = (["the", "dog"], " ".join) if level == "word" else (list("the dog"), "".join)
    stream, pair = writer.stream(), writer.stream(2)
    for place, symbol in enumerate(symbols):
        told = writer.predict_proba(join(symbols[: place + 1]))
        np.testing.assert_allclose(stream.step(symbol), told, rtol=1e-5)
        np.testing.assert_allclose(pair.step([symbol] * 2), [told] * 2, rtol=1e-5)


def test_a_writer_of_lines_begins_with_a_line():
    writer = Writer(units=8, epochs=1).fit(["mary", "anna", "ruth", "martha"])
    stream = writer.stream()
    for end in range(1, 5):
        np.testing.assert_allclose(stream.step("mary"[end - 1]), writer.predict_proba("mary"[:end]), rtol=1e-5)
    with pytest.raises(InputError, match="expected one character that the model knows, got 'Q'"):
        stream.step("Q")


@pytest.mark.parametrize("model", ["gru", "seq2seq"])
@pytest.mark.parametrize("columns", [None, 2])
def test_a_forecaster_says_after_every_row_what_it_says_at_the_end_of_the_series(model, columns):
    values = np.sin(np.arange(104.0)) + np.random.default_rng(0).normal(0, 0.1, 104)
    values = values if columns is None else np.stack([values, -2 * values], 1)
    forecaster = Forecaster(model=model, units=3, epochs=1, ensemble=2, horizon=4, season=6).fit(values[:100])
    stream = forecaster.stream()
    for row in range(100, 104):
        said = stream.step(values[row])
        whole = forecast_ahead(
            forecaster.model_,
            forecaster.model_.encode(array_panel(np.zeros((row + 1, 0)), values[: row + 1], "refuse")),
        )
        median = whole.quantiles[..., forecaster.model_.plan.median]
        np.testing.assert_allclose(said, median[0] if columns is None else median.T, rtol=1e-6)
    assert forecaster.predict().shape == said.shape
    with pytest.raises(InputError, match="finite numbers, the next of each series, got nan"):
        stream.step(np.nan)


@pytest.mark.parametrize("head", ["last", "mean", "max", "attention"])
def test_networks_of_a_classifier_can_be_exported(head):
    network = classifier(head=head)[0].model_.network
    x, lengths = torch.randn(9, 4, 2), torch.tensor([9, 1, 3, 4])
    whole = export(network, (torch.randn(6, 3, 2),), dynamic_shapes=({0: T, 1: N},)).module()
    torch.testing.assert_close(whole(x), network(x))
    given = (torch.randn(6, 3, 2), torch.tensor([6, 2, 4]))
    ragged = export(network, given, dynamic_shapes=({0: T, 1: N}, {0: N})).module()
    torch.testing.assert_close(ragged(x, lengths), network(x, lengths))


class OfSentence(torch.nn.Module):
    """The network of a tagger as a runtime has it: a sentence at a time, without packed sequences."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, *given):
        return self.network.sentence(*given)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_networks_of_a_tagger_can_be_exported(cell):
    X, y = [["we", "saw", "it"], ["it", "was", "we"]] * 4, [["a", "b", "c"], ["c", "a", "b"]] * 4
    model = Tagger(units=4, word_size=4, character_units=3, epochs=1, cell=cell).fit(X, y).model_

    def given(words):
        batch = Packed(Corpus("", [words], None), model.vocabulary).take(np.array([0]))
        symbols = [torch.tensor(model.vocabulary.characters.encode(word)) for word in words]
        padded = torch.nn.utils.rnn.pad_sequence(symbols)
        assert [len(s) for s in symbols] == list(map(len, words))
        return batch, (batch.words, batch.shapes, batch.features, padded + 1, torch.tensor(list(map(len, words))))

    short, sentence = given(["it", "was"]), given(["we", "saw", "the", "it", "it"])
    C, S = Dim("C", min=2, max=100), Dim("S", min=2, max=100)
    shapes = ({0: S}, {0: S}, {1: S}, {0: C, 1: S}, {0: S})
    exported = export(OfSentence(model.network), short[1], dynamic_shapes=(shapes,)).module()
    torch.testing.assert_close(exported(*sentence[1]), model.network(sentence[0]))


def test_networks_of_a_writer_can_be_exported():
    network = Writer(units=8, layers=2, epochs=1).fit(TEXT).model_.network
    ids = torch.randint(0, 5, (9, 4))
    whole = export(network, (ids[:6, :3].clone(),), dynamic_shapes=({0: T, 1: N},)).module()
    with torch.no_grad():
        told, state = network(ids)
    torch.testing.assert_close(whole(ids)[0], told)
    step = export(network, (ids[:1], state)).module()
    torch.testing.assert_close(step(ids[:1], state), network(ids[:1], state))


@pytest.mark.parametrize("model", ["lstm", "seq2seq", "segrnn"])
def test_networks_of_a_forecaster_can_be_exported(model):
    values = np.sin(np.arange(100.0)) + np.random.default_rng(0).normal(0, 0.1, 100)
    forecaster = Forecaster(model=model, units=3, epochs=1, ensemble=1, horizon=4, combine=False).fit(values)
    learner = forecaster.model_.learner
    network, features = learner.networks[0], learner.inputs.features
    if model == "lstm":
        inputs = (torch.randn(6, 3, features),)
    else:
        past, future = torch.randn(3, learner.plan.lookback, features), torch.randn(3, 4, learner.inputs.known)
        inputs = (past, future, torch.zeros(3, dtype=torch.int64))
        told = learner.runners[0](*(each.numpy() for each in inputs))
        np.testing.assert_allclose(told, network(*inputs).detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(export(network, inputs).module()(*inputs), network(*inputs))
