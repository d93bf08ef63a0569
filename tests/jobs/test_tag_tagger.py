"""``Tagger``: scikit-learn's conventions, what it takes and refuses, its file."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

from statewise.jobs import InputError, Tagger
from statewise.jobs.tasks.tag.corpus import Corpus
from statewise.jobs.tasks.tag.example import sentences
from statewise.jobs.tasks.tag.packed import Packed
from statewise.jobs.tasks.tag.spans import count, total

SMALL = {"units": 12, "word_size": 12, "character_units": 6}


@pytest.fixture(scope="module")
def data():
    corpus = sentences(160)
    return [list(s) for s in corpus.words], [list(s) for s in corpus.known_tags]


@pytest.fixture(scope="module")
def trained(data):
    return Tagger(epochs=12, batch=4).fit(*(part[:120] for part in data))


def test_it_learns(trained, data):
    X, y = (part[120:] for part in data)
    predicted = trained.predict(X)
    assert [len(s) for s in predicted] == [len(s) for s in X]
    f1 = total(count(y, predicted).values()).f1
    assert trained.score(X, y) == f1 > 0.6
    assert trained.classes_.tolist() == sorted({t for s in data[1] for t in s})
    assert len(trained.history_) >= 10


def test_the_score_of_other_tags_is_the_accuracy():
    X, y = [["a", "b"], ["b"]] * 10, [["1", "2"], ["2"]] * 10
    tagger = Tagger(epochs=8, batch=2).fit(X, y)
    assert tagger.score(X, y) == 1
    assert tagger.score([["a", "b"]], [["1", "1"]]) == 0.5


def test_scikit_learns_tools(data):
    X, y = data
    tagger = Tagger(epochs=1, **SMALL)
    assert clone(tagger).get_params() == tagger.get_params()
    assert tagger.set_params(units=5).units == 5
    scores = cross_val_score(tagger, X[:60], y[:60], cv=3, error_score="raise")
    assert scores.shape == (3,)
    search = GridSearchCV(tagger, {"units": [3, 4]}, cv=2, error_score="raise").fit(X[:40], y[:40])
    assert search.best_params_["units"] in (3, 4)
    assert len(search.predict(X[:5])) == 5


def test_the_same_seed_gives_the_same(data):
    X, y = (part[:40] for part in data)
    a, b, c = (Tagger(epochs=2, random_state=seed, **SMALL).fit(X, y).history_[-1]["loss"] for seed in (0, 0, 1))
    assert a == b != c
    before = torch.random.get_rng_state()
    Tagger(epochs=1, random_state=None, **SMALL).fit(X, y)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("options", [{}, {"crf": True}, {"cell": "gru", "layers": 2}, {"character_units": 0}])
def test_a_file_gives_the_same_tags(data, tmp_path, options):
    X, y = (part[:40] for part in data)
    tagger = Tagger(**{**SMALL, "epochs": 1, **options}).fit(X, y)
    path = tmp_path / "model.safetensors"
    tagger.save(path)
    again = Tagger.load(path)
    assert again.predict(X) == tagger.predict(X)
    assert again.get_params()["units"] == 12
    assert again.classes_.tolist() == tagger.classes_.tolist()
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_a_damaged_file_is_refused(trained, tmp_path):
    path = tmp_path / "model.safetensors"
    trained.save(path)
    content = path.read_bytes()
    for old, new in (
        (b'\\"units\\": 64', b'\\"units\\": 99'),
        (b'\\"layers\\": 2', b'\\"layers\\": 7'),
        (b'\\"word_size\\": 64', b'\\"word_size\\": 90'),
        (b'\\"cell\\": \\"lstm\\"', b'\\"cell\\": \\"lsdm\\"'),
        (b'\\"strict\\"', b'\\"strikt\\"'),
    ):
        assert old in content
        path.write_bytes(content.replace(old, new))
        with pytest.raises(InputError, match=r"model.safetensors: a damaged tagging model: "):
            Tagger.load(path)
    path.write_bytes(content[:-100])
    with pytest.raises(InputError, match=r"not a whole .safetensors file"):
        Tagger.load(path)


@pytest.mark.parametrize(("tags", "crf"), [(["B-X", "O"], True), (["X", "Y"], False)])
def test_a_crf_by_default_where_tags_mark_spans(tags, crf):
    tagger = Tagger(epochs=1, **SMALL).fit([["a", "b"]] * 4, [tags] * 4)
    assert (tagger.model_.network.crf is not None, tagger.model_.config.crf) == (crf, crf)
    assert Tagger(epochs=1, crf=not crf, **SMALL).fit([["a", "b"]] * 4, [tags] * 4).model_.config.crf is not crf


def test_features_come_as_tuples():
    X = [[("w", "1"), ("w", "2")], [("w", "2")]] * 20
    y = [["X", "Y"], ["Y"]] * 20
    tagger = Tagger(epochs=5, batch=4).fit(X, y)
    assert tagger.predict(X[:2]) == y[:2]
    with pytest.raises(InputError, match="the model reads 1 feature of every word, got 0"):
        tagger.predict([["w"]])


@pytest.fixture
def vectors(tmp_path):
    """Towns lie in one direction and rivers in another, those that are not in training as well."""
    towns, rivers = ["Oslo", "Rome", "Lima", "Bonn"], ["Rhine", "Don", "Po", "Loire"]
    path = tmp_path / "vectors.txt"
    sides = ((1, towns), (-1, rivers))
    path.write_text("".join(f"{word} {n / 10} {s} {-s}\n" for s, words in sides for n, word in enumerate(words)))
    X = [["at", word] for word in towns[:3] + rivers[:3]]
    return path, X * 6, ([["O", "TOWN"]] * 3 + [["O", "RIVER"]] * 3) * 6


@pytest.mark.parametrize("frozen", [True, False])
def test_vectors_from_a_file_tell_of_words_that_training_has_not(vectors, tmp_path, frozen):
    path, X, y = vectors
    options = {"units": 8, "word_size": 4, "character_units": 0, "epochs": 12, "learning_rate": 0.02, "batch": 4}
    tagger = Tagger(**options, vectors=str(path), vectors_frozen=frozen).fit(X, y)
    assert tagger.predict([["at", "Bonn"], ["at", "Loire"]]) == [["O", "TOWN"], ["O", "RIVER"]]
    model = tagger.model_
    assert set(model.vocabulary.vectors) == {"oslo", "rome", "lima", "bonn", "rhine", "don", "po", "loire"}
    table, place = model.network.vectors.weight.detach(), model.vocabulary.vectors.numbers["rome"] + 1
    assert torch.equal(table[place], torch.tensor([0.1, 1.0, -1.0])) == frozen
    if frozen:
        assert not table[0].any()
    path.unlink()  # the model has them
    tagger.save(tmp_path / "model.safetensors")
    again = Tagger.load(tmp_path / "model.safetensors")
    assert again.predict(X) == tagger.predict(X)
    assert again.partial_fit(X, y).predict([["at", "Bonn"]]) == [["O", "TOWN"]]


def test_vectors_of_training_words_alone(vectors):
    path, X, y = vectors
    tagger = Tagger(epochs=1, **SMALL, vectors=str(path), max_vectors=0).fit(X, y)
    assert set(tagger.model_.vocabulary.vectors) == {"oslo", "rome", "lima", "rhine", "don", "po"}
    path.write_text("elsewhere 1 2\n")
    with pytest.raises(InputError, match=r"vectors\.txt: has a vector for no word of the training part"):
        Tagger(epochs=1, **SMALL, vectors=str(path)).fit(X, y)


def test_sentences_without_words(trained):
    assert trained.predict([]) == []
    assert trained.predict([[], ["May"], []])[::2] == [[], []]
    assert trained.predict([[]]) == [[]]


def test_it_must_be_trained_first():
    with pytest.raises(NotFittedError):
        Tagger().predict([["a"]])


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        ("a b", [["X", "Y"]], "X: expected a list of sentences, each a list, got str"),
        (["a b"], [["X", "Y"]], "sentence 0: expected a list of words, got str"),
        ([["a"], ["b"]], [["X"]], "expected tags for each of 2 sentences, got 1"),
        ([["a"], ["b"]], [["X"], ["X", "Y"]], "sentence 1: 1 words, but 2 tags"),
        ([["a"], [1]], [["X"], ["Y"]], "sentence 1: expected words, or tuples of a word and its features, got 1"),
        ([["a"], [""]], [["X"], ["Y"]], "sentence 1: expected words"),
        ([["a"], [("b", "c")]], [["X"], ["Y"]], "sentence 1: expected as many features of every word"),
        ([["a"]], [[1]], "sentence 0: expected tags that are text, got 1"),
        ([["a"]], None, "the sentences: has no tags"),
        ([["a"]], ["X"], "sentence 0: expected a list of tags, got str"),
        ([[]], [[]], "X has no sentences with words, there is nothing to learn"),
        ([["a"]], [["X"]], "the sentences: every word has the tag 'X'"),
    ],
)
def test_what_is_refused(X, y, said):
    with pytest.raises(InputError) as refused:
        Tagger().fit(X, y)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cell": "elman"}, "cell: expected one of lstm, gru, rnn, got 'elman'"),
        ({"units": 0}, "units: expected a whole number of at least 1, got 0"),
        ({"character_units": -1}, "character_units: expected a whole number of at least 0, got -1"),
        ({"dropout": 1.0}, "dropout: expected a number of at least 0 and below 1, got 1.0"),
        ({"min_count": 0}, "min_count: expected a whole number of at least 1, got 0"),
        ({"validation_share": 1}, "validation_share: expected a number of at least 0 and below 1, got 1"),
        ({"epochs": 0}, "epochs: expected a whole number of at least 1, got 0"),
    ],
)
def test_arguments_that_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        Tagger(**options).fit([["a", "b"]], [["X", "Y"]])


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("of_spans", [False, True])
def test_probabilities_and_n_best_are_those_of_all_sequences(crf, of_spans):
    """Against every sequence of tags written out, from the network's scores, in float64."""
    tags = ["B-X", "I-X", "O"] if of_spans else ["a", "b", "c"]
    random = np.random.default_rng(0)
    X = [[f"w{word}" for word in random.integers(9, size=length)] for length in (3, 1, 4, 3)]
    y = [[tags[0], tags[1], tags[2]], [tags[2]], [tags[2], tags[0], tags[1], tags[1]], [tags[0], tags[0], tags[2]]]
    tagger = Tagger(epochs=3, batch=2, crf=crf, **SMALL).fit(X, y)
    model = tagger.model_
    assert (model.network.allowed is not None) == of_spans
    given = [*X[:2], [], *X[2:]]
    predicted, probabilities, best = tagger.predict(given), tagger.predict_proba(given), tagger.predict_n_best(given, 7)
    assert (probabilities[2].shape, best[2]) == ((0, 3), [([], 1.0)])
    for words, one, marginals, ranked in zip(given, predicted, probabilities, best, strict=True):
        if not words:
            continue
        batch = Packed(Corpus("", [words], None), model.vocabulary, model.linear).take(np.array([0]))
        emissions = model.network(batch).double().detach()
        if crf:
            between, first, last = (s.detach().double() for s in model.network.crf.scores())
        else:
            between, first, last = torch.zeros(3, 3), torch.zeros(3), torch.zeros(3)
        scores = {}
        for path in itertools.product(range(3), repeat=len(words)):
            if of_spans and any(now == 1 and before == 2 for before, now in itertools.pairwise((2, *path))):
                continue  # I-X after O, or first
            own = sum(emissions[t, tag] for t, tag in enumerate(path)) + first[path[0]] + last[path[-1]]
            scores[path] = own + sum(between[a, b] for a, b in itertools.pairwise(path))
        values = torch.stack(list(scores.values())).softmax(0)
        likely = dict(zip(scores, values.tolist(), strict=True))
        expected = sorted(likely, key=likely.get, reverse=True)[:7]
        assert [told for told, _ in ranked] == [[tags[t] for t in path] for path in expected]
        np.testing.assert_allclose([p for _, p in ranked], [likely[path] for path in expected], rtol=1e-6)
        assert one == ranked[0][0]
        for t in range(len(words)):
            of_tag = [sum(p for path, p in likely.items() if path[t] == tag) for tag in range(3)]
            np.testing.assert_allclose(marginals[t], of_tag, rtol=1e-6, atol=1e-12)
    assert len(best[1]) == (2 if of_spans else 3)  # of one word


def test_probabilities_of_a_tagger_that_is_not_fitted():
    for ask in (Tagger().predict_proba, Tagger().predict_n_best):
        with pytest.raises(NotFittedError):
            ask([["a"]])
