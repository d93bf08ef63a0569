"""The linear tagger beside the network: what it looks at, how it is fitted, what each of both counts, its file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from statewise.jobs import InputError, Tagger
from statewise.jobs.artifacts.model_file import load_any, save
from statewise.jobs.tasks.tag import fitting, training
from statewise.jobs.tasks.tag.config import TagConfig
from statewise.jobs.tasks.tag.corpus import Corpus, all_of
from statewise.jobs.tasks.tag.cues import cues, templates
from statewise.jobs.tasks.tag.example import sentences
from statewise.jobs.tasks.tag.linear import Linear, found_in
from statewise.jobs.tasks.tag.model import Model
from statewise.jobs.tasks.tag.packed import Packed
from statewise.jobs.tasks.tag.training import TagProblem
from statewise.jobs.training.problem import Trainer

SMALL = {"units": 4, "word_size": 4, "character_units": 3, "layers": 1, "batch": 8}
WORDS = [["The", "cat", "sat"], ["Yes"], ["In", "1984", "McCat", "é", "日本", "!"]]
KINDS = [["d", "n", "v"], ["x"], ["p", "c", "n", "x", "n", "."]]


@pytest.fixture(scope="module")
def corpus():
    """Sentences of the example, some to learn from and some to validate with."""
    given = sentences()
    return given.select(range(30)), given.select(range(30, 45))


@pytest.fixture(autouse=True)
def few_iterations(monkeypatch):
    monkeypatch.setattr(fitting, "ITERATIONS", 5)


def problem(corpus, **options):
    return TagProblem.of(TagConfig(**{"epochs": 1, **SMALL, **options}), *corpus)


def test_cues_are_those_of_the_sentence_alone():
    together = cues(WORDS, [KINDS])
    assert together.shape == (10, len(templates(1)))
    alone = [cues([words], [[kinds]]) for words, kinds in zip(WORDS, KINDS, strict=True)]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    assert all(len(set(row)) == len(row) for row in together.tolist())  # no two cues of a word are one
    assert cues([], []).shape == (0, len(templates(0)))


def test_what_cues_tell_apart():
    def told(word, other):
        """Which of the cues of a word that has no neighbours another one has too."""
        return {made for made, same in zip(templates(0), (cues([[word]]) == cues([[other]]))[0], strict=True) if same}

    assert ((("shape", 0),) in told("Anna", "Otto"), (("word", 0),) in told("Anna", "Otto")) == (True, False)
    assert ((("shape", 0),) in told("Anna", "Ed"), (("brief shape", 0),) in told("Anna", "Ed")) == (False, True)
    assert told("1984", "2026") == set(templates(0))
    assert {(name, 0) for name in (">1", ">2", ">3")} == {
        made[0] for made in told("going", "sing") if len(made) == 1 and made[0][0] in {f">{n}" for n in range(1, 6)}
    }
    neighbours = cues([["a", "b", "c"]])[1] == cues([["a", "x", "c"]])[1]
    found = {made for made, same in zip(templates(0), neighbours, strict=True) if same and made}
    assert {(("word", -1),), (("word", 1),)} <= found
    assert not {(("word", 0),), (("word", -1), ("word", 0))} & found


def test_keys_stay_what_files_have():
    """A file has keys alone: once they change, no linear tagger is read right."""
    keys = cues([["Anna", "2"]], [[["N", "C"]]])
    assert [int(keys.sum()), *keys[0, [0, 2, -1]].tolist()] == [
        737110837907766607,
        -7046029254386353131,
        -30102802618975135,
        -8629560097419796049,
    ]


def test_scores_are_sums_over_cues():
    random = np.random.default_rng(0)
    keys = cues(WORDS)
    known = np.unique(keys)[::2]
    linear = Linear(known, random.normal(size=(len(known), 3)).astype(np.float32))
    table = dict(zip(known.tolist(), linear.weights.astype(np.float64), strict=True))
    expected = [sum((table.get(key, np.zeros(3)) for key in row), np.zeros(3)) for row in keys.tolist()]
    np.testing.assert_allclose(linear.scores(WORDS), expected, atol=1e-5)
    np.testing.assert_allclose(linear.times(0.25).scores(WORDS), np.multiply(0.25, expected), atol=1e-5)


def test_without_a_crf_it_is_logistic_regression(corpus, monkeypatch):
    monkeypatch.setattr(fitting, "ITERATIONS", 500)
    given = problem(corpus, crf=False)
    linear, moves = fitting.fitted(given.corpus, Packed(given.corpus, given.vocabulary), given.network())
    assert moves == []
    asked = cues(given.corpus.words)
    places, there = found_in(linear.keys, asked)
    entries = np.ones(there.sum()), places[there], np.append(0, there.sum(1).cumsum())
    X = csr_array(entries, shape=(len(asked), len(linear.keys)))
    theirs = LogisticRegression(C=1 / fitting.DECAY, fit_intercept=False, max_iter=2000, tol=1e-6)
    theirs.fit(X, given.vocabulary.tags.encode(all_of(given.corpus.tags)))
    ours = torch.from_numpy(linear.scores(given.corpus.words)).softmax(1).numpy()
    np.testing.assert_allclose(ours[:, theirs.classes_], theirs.predict_proba(X), atol=2e-3)


def test_it_learns_how_tags_follow(corpus):
    given = problem(corpus, crf=True)
    _, (between, first, _) = fitting.fitted(given.corpus, Packed(given.corpus, given.vocabulary), given.network())
    number = given.vocabulary.tags.numbers
    assert between[number["B-DATE"], number["I-DATE"]] > between[number["B-DATE"], number["B-DATE"]]
    assert first[number["I-DATE"]] == 0  # which the grammar forbids


@pytest.mark.parametrize("crf", [False, True])
def test_what_each_counts_loses_least(corpus, crf, monkeypatch):
    given = problem(corpus, crf=crf)
    network, outside = given.network().eval(), given.vocabulary.tags.numbers["O"]
    linear, moves = fitting.fitted(given.corpus, Packed(given.corpus, given.vocabulary), network)
    held = Packed(given.held_out, given.vocabulary, linear)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    monkeypatch.setattr(fitting, "ITERATIONS", 50)
    best = fitting._weighed(network, moves, held, outside)

    def lost(counts):
        network.load_state_dict(before)
        tried = Packed(given.held_out, given.vocabulary, linear)
        with pytest.MonkeyPatch.context() as patch, torch.no_grad():
            patch.setattr(fitting, "_weighed", lambda *given: counts)
            joined = fitting.join(network, linear, moves, tried, outside)
            np.testing.assert_allclose(tried.beside, joined.scores(given.held_out.words), atol=1e-4)
            batch = tried.take(np.arange(len(tried)))
            return float(network(batch, batch.targets))

    least = lost(best)
    assert least < min(lost((1.0, 0.0, 0.0)), lost((0.0, 1.0, 0.0)), lost((0.5, 0.5, 0.0)))
    for place in range(3):
        for change in (-0.1, 0.1):
            assert least < lost(tuple(count + change * (number == place) for number, count in enumerate(best)))


def test_it_stands_beside_the_network_unless_that_is_worse(corpus, monkeypatch):
    alone = problem(corpus, linear=False).train(Trainer())
    assert (alone.linear, alone.config.linear) == (None, False)

    def join(network, linear, *others):
        network.output.bias.data[0] = 1e3
        return linear

    monkeypatch.setattr(training, "join", join)
    for together, kept in ((0.25, True), (0.5, True), (0.75, False)):
        judged = iter([0.5, 0.5, together])  # of the pass, the network alone, and both
        monkeypatch.setattr(training.Tagging, "validate", lambda self, of=judged: {"1 - F1": next(of)})
        model = problem(corpus).train(Trainer())
        assert (model.linear is not None, model.config.linear) == (kept, kept)
        assert (model.weights["output.bias"][0] == 1e3) == kept
    assert model.tags(corpus[1]) == alone.tags(corpus[1])


def test_a_network_that_reads_forwards_alone_has_none(corpus):
    assert problem(corpus, bidirectional=False).train(Trainer()).linear is None


def test_nothing_that_occurs_twice():
    given = TagProblem.of(TagConfig(epochs=1, **SMALL), Corpus("", [["a"]], [["X"]]), Corpus("", [["b"]], [["Y"]]))
    monkey = Packed(given.corpus, given.vocabulary)
    assert fitting.fitted(given.corpus, monkey, given.network()) is None
    assert given.train(Trainer()).linear is None


def test_its_file_and_further_training(corpus, tmp_path):
    X, y = corpus[0].words, corpus[0].tags
    tagger = Tagger(epochs=1, **SMALL).fit(X, y)
    tagger.save(tmp_path / "model.safetensors")
    read = Tagger.load(tmp_path / "model.safetensors")
    assert read.predict(corpus[1].words) == tagger.predict(corpus[1].words)
    linear = tagger.model_.linear
    assert tagger.partial_fit(X, y).model_.linear is linear


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("linear.keys", lambda keys: keys[::-1].copy(), "expected rising keys of cues"),
        ("linear.keys", lambda keys: keys.astype(np.float32), "expected rising keys of cues"),
        ("linear.weights", lambda weights: weights[1:], "expected what each cue adds as float32 of size"),
    ],
)
def test_a_damaged_file_is_refused(corpus, tmp_path, name, change, said):
    path = tmp_path / "model.safetensors"
    problem(corpus, linear=True).train(Trainer()).save(path)
    format, content, arrays = load_any(path, Model.KIND, [Model.FORMAT])
    save(path, Model.KIND, format, content, arrays | {name: change(arrays[name])})
    with pytest.raises(InputError, match=said):
        Model.load(path)
