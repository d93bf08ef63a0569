"""``Translator``: what it learns, what it takes, and what it refuses."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest

from statewise.jobs import InputError, Translator
from statewise.jobs.tasks.translate.pairs import dates

TOY = {"epochs": 60, "batch": 10, "units": 32, "embedding": 16, "dropout": 0.0, "learning_rate": 1e-2}
WORDS = [f"{a}{b}{c}" for a in "bdk" for b in "aeiou" for c in "lmnr"]
random.Random(0).shuffle(WORDS)


def backwards(words):
    return [word[::-1] for word in words]


@pytest.fixture(scope="module")
def learnt():
    return Translator(**TOY).fit(WORDS[:48], backwards(WORDS[:48]))


def test_it_learns_to_write_backwards(learnt):
    rest = WORDS[48:]
    assert learnt.score(rest, backwards(rest)) == 1.0
    assert learnt.predict(rest) == backwards(rest)
    assert learnt.history_[-1]["loss"] < learnt.history_[0]["loss"]
    assert learnt.predict([]) == []


def test_the_best_targets_come_with_their_probabilities(learnt):
    best = learnt.predict_n_best(WORDS[:3], 6)
    assert [each[0][0] for each in best] == learnt.predict(WORDS[:3])
    for each in best:
        assert len(each) == 6
        assert len({text for text, _ in each}) == 6
        assert 0 < sum(p for _, p in each) <= 1
    assert [len(each) for each in learnt.predict_n_best(WORDS[:3], 1)] == [1] * 3


@pytest.mark.slow
def test_features_decide_what_is_written():
    X = [(word, feature) for word in WORDS for feature in ("up", "back")]
    y = [word.upper() if feature == "up" else word[::-1] for word, feature in X]
    translator = Translator(**TOY).fit(X[:100], y[:100])
    assert translator.score(X[100:], y[100:]) > 0.8


def test_the_same_seed_gives_the_same_and_another_other_weights():
    made = dates(40)
    one, two, other = (
        Translator(units=4, embedding=4, epochs=1, forcing=0.5, random_state=s).fit(made.sources, made.targets)
        for s in (1, 1, 2)
    )
    weights = [each.model_.network.output.weight.detach().numpy() for each in (one, two, other)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).any()


@pytest.mark.slow
def test_scheduled_sampling_learns_too():
    translator = Translator(**TOY | {"forcing": 0.5, "cell": "lstm", "attention": "additive"})
    assert translator.fit(WORDS, backwards(WORDS)).score(WORDS, backwards(WORDS)) > 0.9


def test_it_goes_on_from_its_weights_with_what_it_knows(learnt):
    again = copy.deepcopy(learnt).set_params(epochs=1, learning_rate=1e-9)
    again.partial_fit(WORDS[:20], backwards(WORDS[:20]), eval_set=(WORDS[48:], backwards(WORDS[48:])))
    assert again.predict(WORDS) == learnt.predict(WORDS)
    assert again.model_.target.symbols == learnt.model_.target.symbols
    assert again.history_[-1]["validation"]["exact"] == learnt.score(WORDS[48:], backwards(WORDS[48:]))
    with pytest.raises(InputError, match="the target 'xyz' has a character that the model can't write"):
        again.partial_fit(["abc"], ["xyz"])


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        ("abc", ["a"], "X: expected a list of texts, got str"),
        (["a"], "b", "y: expected a list of texts, got str"),
        (["a"], ["b", "c"], "expected a target for each of 1 sources, got 2"),
        (["a", 3], ["b", "c"], "X, row 1: expected a text, or a tuple of a text and features, got 3"),
        (["a", " "], ["b", "c"], "X, row 1: expected a text, or a tuple of a text and features, got (' ',)"),
        (["a", "b"], ["b", ""], "y, row 1: expected a text, got ''"),
        (["a", "b"], ["b", None], "y, row 1: expected a text, got None"),
        ([], [], "X has no texts, there is nothing to learn"),
    ],
)
def test_what_can_not_be_used_is_refused(X, y, said):
    with pytest.raises(InputError) as error:
        Translator(epochs=1).fit(X, y)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("name", "value"), [("beam", 0), ("forcing", 1.5), ("level", "line"), ("length_penalty", -1.0)]
)
def test_arguments_have_bounds(name, value):
    with pytest.raises(InputError, match=f"^{name}: expected "):
        Translator(**{name: value}).fit(["a"], ["b"])
