"""``Writer`` keeps scikit-learn's conventions, writes what it has learnt, and comes back from its file to the bit."""

from __future__ import annotations

import json
import math
import pickle
import random as plain_random

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

from statewise.jobs import InputError, Writer
from statewise.jobs.tasks.write.model import Model

WORDS = ["make", "need", "coal", "word", "love", "hate", "live", "home", "hash", "star"]
QUICK = {"units": 32, "layers": 1, "epochs": 150, "batch": 10, "learning_rate": 0.02}
COUNTING = "one two three four five\n" * 70
SENTENCES = "the cat sat on the mat\nthe dog sat on the log\n" * 30


@pytest.fixture(scope="module")
def of_words():
    return Writer(**QUICK, dropout=0.0).fit(WORDS)


@pytest.fixture(scope="module")
def of_text():
    return Writer(units=32, layers=1, steps=32, batch=4, epochs=50, learning_rate=0.01, dropout=0.0).fit(COUNTING)


def test_the_last_letter_of_four_letter_words(of_words):
    assert of_words.complete([word[:3] for word in WORDS]) == WORDS
    assert of_words.complete("mak") == "make"
    assert of_words.complete("sta", length=9) == "star"  # a line ends where it ends


def test_it_writes_lines_as_it_has_learnt_them(of_words):
    lines = of_words.sample(40, temperature=0.5, random_state=1)
    assert len(lines) == 40
    assert len(set(lines) & set(WORDS)) == 10
    assert sum(line in WORDS for line in lines) >= 36
    assert of_words.sample(40, temperature=0.5, random_state=1) == lines
    assert of_words.sample(40, temperature=0.5, random_state=3) != lines
    assert {line[:2] for line in of_words.sample(9, prompt="ho")} == {"ho"}
    assert len(set(of_words.sample(9, temperature=0))) == 1
    assert all(len(line) <= 3 for line in of_words.sample(9, length=3))


def test_it_goes_on_with_a_running_text(of_text):
    text = of_text.sample(prompt="one t", length=30, temperature=0)[0]
    assert text == "one two three four five\none two thr"
    assert len(of_text.sample(length=100)[0]) == 100
    assert len(of_text.sample()[0]) == 500
    assert of_text.symbols_ == tuple(sorted(set(COUNTING)))


def test_sampling_keeps_the_state_as_reading_does(of_text):
    """The likeliest symbols one after the other are those that the likeliest-rule finds over the whole text."""
    text = "\n" + of_text.sample(prompt="o", length=40, temperature=0)[0]
    model = of_text.model_
    with torch.no_grad():
        logits, _ = model.network(torch.from_numpy(model.vocabulary.numbers(text)[:, None]))
    assert model.vocabulary.decode(logits.argmax(-1).tolist())[1:-1] == text[2:]


def test_scores_agree_with_each_other(of_text):
    loss = -of_text.score(COUNTING)
    assert 0 < loss < 0.1
    assert of_text.perplexity(COUNTING) == pytest.approx(math.exp(loss))
    bits = of_text.bits_per_character(COUNTING)
    assert bits == pytest.approx(loss * (len(COUNTING) - 1) / len(COUNTING) / math.log(2))
    assert of_text.score("evif owt eno") < -3
    assert of_text.score(COUNTING) > of_text.score(COUNTING[::-1])


@pytest.mark.parametrize("tie", [False, True])
def test_words(tie):
    options = {"units": 24, "layers": 1, "steps": 16, "batch": 8, "epochs": 80, "learning_rate": 0.03}
    writer = Writer(level="word", **options, dropout=0.0, tie=tie).fit(SENTENCES)
    assert writer.symbols_[:2] == ("\n", "<unk>")
    assert writer.complete("the dog sat on the", length=2) == "the dog sat on the log\n"
    assert writer.complete("the cat ") == "the cat sat"
    text = writer.sample(length=200, temperature=1.0)[0]
    assert set(text.split()) <= set(SENTENCES.split())  # never <unk>
    assert "  " not in text
    assert "\n " not in text
    assert writer.perplexity("the cat sat on the unheard-of mat") > writer.perplexity("the cat sat on the mat")


def test_pieces_of_words():
    options = {"units": 24, "layers": 1, "steps": 16, "batch": 8, "epochs": 40, "learning_rate": 0.03, "dropout": 0.0}
    writer = Writer(level="subword", max_words=280, **options).fit(SENTENCES)
    assert 256 < len(writer.symbols_) <= 280
    assert writer.complete("the dog sat on the", length=3).startswith("the dog sat on the log\n")
    assert writer.complete("the cat ") == "the cat sat"
    text = writer.sample(length=200, temperature=0.5)[0]
    assert len(set(text.split()) & set(SENTENCES.split())) > 4
    best = writer.predict_n_best("the cat", 3)
    assert best[0][0] == " sat"
    assert best[0][1] == pytest.approx(writer.predict_proba("the cat").max(), rel=1e-5)
    assert writer.perplexity("zyx the cat \u65e5") > writer.perplexity("the cat sat")
    likely, state = writer.model_.step(["\n"], writer.model_.net.start(1))  # symbol by symbol, as a stream
    for symbol in ("the", " cat"):
        likely, state = writer.model_.step([symbol], state)
    np.testing.assert_allclose(likely[0], writer.predict_proba("the cat"), rtol=1e-4, atol=1e-7)


def test_the_best_epoch_is_kept_by_what_is_held_out():
    noise = "".join(plain_random.Random(0).choices("abcd", k=1200))
    writer = Writer(
        units=64, layers=1, steps=32, batch=4, epochs=40, dropout=0, validation_share=0.3, learning_rate=0.03
    )
    writer.fit(noise)
    losses = [record["validation"]["loss"] for record in writer.history_ if "validation" in record]
    assert min(losses) < losses[-1] - 0.1  # it learns the noise by heart in the end
    assert -writer.score(noise[840:]) == pytest.approx(min(losses), rel=1e-4)


def test_a_seed_is_a_result():
    options = {"units": 8, "epochs": 3, "dropout": 0.5, "layers": 2}
    first, second, other = (Writer(**options, random_state=seed).fit(WORDS) for seed in (1, 1, 2))
    state = first.model_.network.state_dict()
    for name, weight in second.model_.network.state_dict().items():
        assert torch.equal(weight, state[name])
    assert not torch.equal(other.model_.network.output.weight, first.model_.network.output.weight)
    np_state = np.random.RandomState(5)
    assert Writer(**options, random_state=np_state).fit(WORDS).history_


def test_conventions_of_scikit_learn(of_words):
    assert Writer().get_params()["units"] is None
    twin = clone(of_words)
    assert twin.get_params() == of_words.get_params()
    assert not hasattr(twin, "model_")
    with pytest.raises(Exception, match="not fitted"):
        twin.sample()
    scores = cross_val_score(Writer(units=8, epochs=3), WORDS * 3, cv=3)
    assert scores.shape == (3,)
    assert (scores < 0).all()
    search = GridSearchCV(Writer(epochs=3), {"units": [2, 8]}, cv=2).fit(WORDS * 3)
    assert search.best_params_["units"] in (2, 8)
    assert pickle.loads(pickle.dumps(of_words)).sample(3) == of_words.sample(3)


# The file


@pytest.mark.parametrize(
    "options", [{"cell": "lstm"}, {"cell": "rnn", "layers": 2}, {"tie": True}, {"level": "word"}, {"level": "subword"}]
)
def test_it_comes_back_from_its_file(tmp_path, options):
    text = SENTENCES.splitlines() if "level" in options else WORDS
    writer = Writer(**{"units": 16, "epochs": 5, **options}).fit(text)
    writer.save(tmp_path / "w.safetensors")
    again = Writer.load(tmp_path / "w.safetensors")
    assert again.sample(10) == writer.sample(10)
    assert again.score(text) == writer.score(text)
    assert again.symbols_ == writer.symbols_
    assert again.get_params()["units"] == 16
    again.save(tmp_path / "v.safetensors")
    assert (tmp_path / "w.safetensors").read_bytes() == (tmp_path / "v.safetensors").read_bytes()


def changed(path, change):
    """The file in ``path`` written anew with its content and tensors changed."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["statewise"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header["content"], tensors)
    save_file(tensors, path, metadata={"statewise": json.dumps(header)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c, t: c["symbols"].pop(), r"expected output\.bias of size \(16,\), got \(17,\)"),
        (lambda c, t: c["symbols"].reverse(), "out of order"),
        (lambda c, t: c.update(symbols=[*c["symbols"][:-1], "a"]), "twice"),
        (lambda c, t: c["config"].update(level="byte"), "level: expected one of char, word, subword, got 'byte'"),
        (
            lambda c, t: c["config"].update(units=10**9),
            r"weight_ih_l0 of size \(3000000000, 32\), got \(96, 32\)",
        ),
        (lambda c, t: c["config"].update(layers=2), "there is no tensor recurrent.1.weight_ih_l0"),
        (lambda c, t: c["config"].update(colour=1), "colour"),
        (lambda c, t: c.pop("longest"), "longest"),
        (lambda c, t: t.pop("output.bias"), "output.bias"),
        (lambda c, t: t.update({"embedding.weight": torch.zeros(3, 3)}), "expected embedding.weight"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, of_words, change, said):
    path = tmp_path / "w.safetensors"
    of_words.save(path)
    changed(path, change)
    with pytest.raises(InputError, match=said) as raised:
        Model.load(path)
    assert "\n" not in str(raised.value)


def test_a_truncated_or_foreign_file_is_refused(tmp_path, of_words):
    path = tmp_path / "w.safetensors"
    of_words.save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="not a whole"):
        Writer.load(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="expected a writing model"):
        Writer.load(path)


# What is refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the text: expected text, got nothing"),
        ([], "the lines: expected text, got nothing"),
        (["one", 2], "line 2: expected a string, got int"),
        (["one", "two\nthree"], "line 2: expected one line, got several"),
        (5, "expected a text, a list of lines or a pathlib.Path, got int"),
        ("aaaaaaa", "expected at least two different symbols"),
    ],
)
def test_text_that_cannot_be_used(text, said):
    with pytest.raises(InputError, match=said):
        Writer(epochs=1).fit(text)


@pytest.mark.parametrize(
    "options",
    [{"validation_share": 1.0}, {"units": 0}, {"level": "byte"}, {"batch": 0}, {"epochs": 0}, {"cell": "cnn"}],
)
def test_arguments_that_cannot_be_used(options):
    with pytest.raises(InputError, match=f"{next(iter(options))}: expected"):
        Writer(**options).fit(WORDS)


def test_prompts_that_cannot_be_used(of_words, of_text):
    with pytest.raises(InputError, match="'mäk': the model has never seen the character 'ä'"):
        of_words.complete("mäk")
    with pytest.raises(InputError, match="a line's end in it"):
        of_words.sample(prompt="make\n")
    with pytest.raises(InputError, match="count: expected"):
        of_words.sample(0)
    with pytest.raises(InputError, match="temperature: expected"):
        of_words.sample(temperature=-1)
    with pytest.raises(InputError, match="expected text of characters that the model knows"):
        of_text.score("日本")


def test_the_probability_of_what_comes_next(of_words, of_text):
    for writer, text in ((of_words, "hom"), (of_text, "one two th")):
        likely = writer.predict_proba(text)
        assert likely.shape == (len(writer.symbols_),)
        assert likely.sum() == pytest.approx(1)
        assert writer.symbols_[int(likely.argmax())] == writer.complete(text)[-1] == "e" if text == "hom" else "r"
    assert of_words.predict_proba(["", "h"]).shape == (2, len(of_words.symbols_))
    assert of_words.predict_proba([]).shape == (0, len(of_words.symbols_))


def test_the_likelihood_of_each_symbol_adds_up_to_the_score(of_words, of_text):
    found = of_text.score_samples("\none two")
    assert found.shape == (7,)  # nothing says how likely the first is
    assert found.mean() == pytest.approx(of_text.score("\none two"))
    for end, symbol in enumerate("one two"):
        likely = of_text.predict_proba("one two"[:end])[of_text.symbols_.index(symbol)]
        assert found[end] == pytest.approx(np.log(likely), rel=1e-3, abs=1e-5)
    lines = of_words.score_samples(["home", "star"])
    assert [len(line) for line in lines] == [5, 5]  # with the end
    assert np.concatenate(lines).mean() == pytest.approx(of_words.score(["home", "star"]))
    first = np.log(of_words.predict_proba("")[of_words.symbols_.index("h")])
    assert lines[0][0] == pytest.approx(first, rel=1e-4)


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("lines", [False, True])
def test_the_n_best_continuations_are_those_of_all(lines, level):
    """Against all ways to go on, each symbol's probability asked for by itself."""
    text = ["ab", "ba", "aab", "b"] * 9 if level == "char" else ["a b", "b a", "a a b", "b"] * 9
    writer = Writer(units=6, epochs=2, level=level).fit(text if lines else " ".join(text))
    symbols = [symbol for symbol in writer.symbols_ if symbol != "<unk>"]
    length, blank = 3, " " if level == "word" else ""
    likely, begun = {}, [("a", 1.0)]
    for _ in range(length):
        begun = [
            (told + ("" if "\n" in (told[-1], symbol) else blank) + symbol, p * q)
            for told, p in begun
            for symbol, q in zip(writer.symbols_, writer.predict_proba(told), strict=True)
            if symbol in symbols
        ]
        likely |= {told.strip("\n"): p for told, p in begun if lines and told.endswith("\n")}
        begun = [(told, p) for told, p in begun if not lines or not told.endswith("\n")]
    likely |= dict(begun)
    expected = sorted(likely, key=likely.get, reverse=True)[:6]
    found = writer.predict_n_best("a", 6, length=length, width=1000)
    assert ["a" + told for told, _ in found] == expected
    np.testing.assert_allclose([p for _, p in found], [likely[told] for told in expected], rtol=1e-4)
    assert writer.predict_n_best(["a", "b"], 2, length=2)[0] == writer.predict_n_best("a", 2, length=2)


def test_what_is_asked_for_too_little_of_is_refused(of_words):
    with pytest.raises(InputError, match="width: expected a whole number of at least 1, got 0"):
        of_words.predict_n_best("a", width=0)
    with pytest.raises(NotFittedError):
        Writer().predict_proba("a")
