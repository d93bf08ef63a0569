"""Texts and symbols told apart: found in tables and folders, read as numbers, n-grams beside the layers."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from statewise import cli
from statewise.jobs import Classifier, InputError, Regressor
from statewise.jobs.tasks.classify import training
from statewise.jobs.tasks.classify.beside import Beside
from statewise.jobs.tasks.classify.config import ClassifyConfig, Layout
from statewise.jobs.tasks.classify.features import Lesson
from statewise.jobs.tasks.classify.formats import read
from statewise.jobs.tasks.classify.ngrams import NGrams
from statewise.jobs.tasks.classify.sequences import Sequences
from statewise.jobs.tasks.classify.spelling import Spelling, normal
from statewise.jobs.tasks.classify.targets import Classes
from statewise.jobs.tasks.classify.texts import Texts, as_texts, is_texts

REVIEWS = 'review,stars\n"good, very",5\nbad film,1\n"a ""fine"" one",5\nso so,1\n'


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(content, name="texts.csv"):
    path = Path(name)
    path.write_text(content)
    return path


def said(content, name="texts.csv", **layout):
    examples = read(write(content, name), Layout(**layout))
    return list(examples.sequences.items), examples.labels, examples.layout


# Tables


def test_texts_and_labels_are_found_by_what_differs():
    texts, labels, layout = said("name,language\nRossi,Italian\nBianchi,Italian\nSmith,English\nJones,English\n")
    assert texts == ["Rossi", "Bianchi", "Smith", "Jones"]
    assert labels == ["Italian", "Italian", "English", "English"]
    assert (layout.text, layout.label) == (("name",), "language")


def test_usual_names_come_first_and_numbers_can_be_labels():
    texts, labels, _ = said(REVIEWS)
    assert texts == ["good, very", "bad film", 'a "fine" one', "so so"]
    assert labels == ["5", "1", "5", "1"]
    assert said("topic,text,label\na,x y,1\na,x z,0\nb,y z,1\n")[:2] == (["x y", "x z", "y z"], ["1", "0", "1"])


def test_several_columns_of_text_are_joined():
    content = "kind,title,body\na,x,y z\nb,u,v w\na,s,t\nb,q,r\n"
    assert said(content, text=("title", "body"))[:2] == (["x y z", "u v w", "s t", "q r"], list("abab"))
    with pytest.raises(InputError, match="2 columns could be the texts, choose with --text: title, body"):
        said(content)


def test_what_could_be_the_labels_twice_is_asked_for():
    content = "text,kind,stars\nx,a,1\ny,b,2\nz,a,1\nw,b,2\n"
    with pytest.raises(InputError, match="2 columns could be the labels, choose with --label: kind, stars"):
        said(content)
    assert said(content, label="stars")[1] == list("1212")


def test_numbers_beside_a_column_of_names_are_not_guessed():
    content = "who,a,b,label\nx,1.5,2.5,u\ny,2.5,3.5,v\nz,3.5,1.5,u\n"
    with pytest.raises(InputError, match=r"columns of numbers \(a, b\) and of text \(who\); choose with"):
        said(content)
    assert read(Path("texts.csv"), Layout(channels=("a", "b"))).sequences.lengths.tolist() == [2, 2, 2]


def test_tabs_make_quotes_signs_like_others():
    texts, labels, _ = said('sentence\tlabel\n"quoted" start\t1\nsays "no\t0\n"whole, ""one"""\t1\n', "x.tsv")
    assert texts == ['"quoted" start', 'says "no', 'whole, "one"']
    assert labels == ["1", "0", "1"]


def test_a_first_line_with_a_label_is_no_header():
    content = "ham\tgo now, he said\nspam\twin, win, win\nham\tok\nspam\tcash\nham\tyes\n"
    texts, labels, layout = said(content, "sms.tsv")
    assert texts == ["go now, he said", "win, win, win", "ok", "cash", "yes"]
    assert labels == ["ham", "spam", "ham", "spam", "ham"]
    assert (layout.text, layout.label, layout.header) == (("2",), "1", False)
    again = read(write(content.replace("ham", "eggs"), "other.tsv"), layout)
    assert again.labels == ["eggs", "spam", "eggs", "spam", "eggs"]
    assert said(content, "sms.tsv", header=False, text=("2",), label="1")[:2] == (texts, labels)


def test_a_first_line_that_is_none_has_no_ids():
    content = "id,said,kind,b\n1,x y,b,u\n2,x z,c,u\n3,y z,b,u\n4,z,c,u\n"
    examples = read(write(content), Layout(label="b", text=("said",)))
    assert examples.ids == ["1", "2", "3", "4"]
    examples = read(write(content.replace("kind,b", "kind,u")), Layout(label="u", text=("said",)))
    assert (examples.ids, list(examples.sequences.items)[:2]) == (["1", "2", "3", "4", "5"], ["said", "x y"])


def test_an_empty_text_is_refused_with_its_row():
    with pytest.raises(InputError, match="column 'text', row 2: expected a text, got nothing; --gaps carry"):
        said('text,label\nx,a\n"",b\nz,a\n')
    assert said('text,label\nx,a\n"",b\nz,a\n', gaps="carry")[0] == ["x", "", "z"]
    for content in ("text,label\nx,a\ny,b\n", "text\tlabel\nx\tlabel\ny\tb\n"):
        with pytest.raises(InputError, match="no column 'body' for --text; there are: text, label"):
            said(content, text=("body",), label="label")


def test_frames_and_parquet_have_texts_too():
    frame = pd.DataFrame({"text": ["x y", "z"], "label": ["a", "b"]})
    for source in (frame, pl.from_pandas(frame)):
        examples = read(source)
        assert (list(examples.sequences.items), examples.labels) == (["x y", "z"], ["a", "b"])
    pl.from_pandas(frame).write_parquet("texts.parquet")
    assert list(read(Path("texts.parquet")).sequences.items) == ["x y", "z"]


def test_a_folder_of_folders():
    for name, text in (("pos/1.txt", "fine\n"), ("pos/2.txt", "good"), ("neg/1.txt", "bad"), ("unsup/1.txt", "what")):
        path = Path("reviews") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    examples = read(Path("reviews"))
    assert list(examples.sequences.items) == ["bad", "fine", "good"]
    assert (examples.labels, examples.ids) == (["neg", "pos", "pos"], ["neg/1.txt", "pos/1.txt", "pos/2.txt"])
    with pytest.raises(InputError, match="expected a folder for each class, with a file for each text"):
        read(Path("reviews/pos"))


# Symbols


def test_events_in_a_long_table_are_symbols():
    content = "id,time,event,label\n1,1,open,a\n2,1,buy,b\n1,2,close,a\n2,2,open,b\n2,3,buy,b\n"
    assert said(content)[:2] == ([("open", "close"), ("buy", "open", "buy")], ["a", "b"])
    assert read(Path("texts.csv")).channels == ("event",)


def test_numbers_are_symbols_where_they_are_said_to_be():
    content = "id,code,label\n1,7,a\n1,9,a\n2,9,b\n"
    assert read(write(content)).sequences.steps.tolist() == [[7], [9], [9]]
    assert said(content, symbols=True)[0] == [("7", "9"), ("9",)]
    assert said("x1,x2,x3,label\nA,C,,p\nG,T,A,q\n", symbols=True)[0] == [("A", "C"), ("G", "T", "A")]
    with pytest.raises(InputError, match="row 1: expected symbols without gaps between them"):
        said("x1,x2,x3,label\nA,,C,p\nG,T,A,q\n", symbols=True)


def test_what_a_program_gives():
    assert is_texts(["a b", "c"])
    assert is_texts([["a", "b"], ["c"]])
    assert is_texts(np.array(["a", "b"]))
    assert is_texts(pd.Series(["a", "b"]))
    assert is_texts(pl.Series(["a", "b"]))
    for X in ([[1, 2], [3]], np.zeros((2, 3)), [np.zeros(3)], [], "text", None, 3, pd.DataFrame({"a": ["x"]})):
        assert not is_texts(X)
    assert as_texts(np.array([["A", "C"], ["G", "T"]])).items == [("A", "C"), ("G", "T")]
    assert as_texts(np.array([["A C"], ["G T"]])).items == ["A C", "G T"]
    for X, message in (
        (["a", None], "sequence 2: expected a text, or a list of symbols that are texts, got a missing value"),
        (["a", 3], "sequence 2: expected a text, or a list of symbols that are texts, got int 3"),
        (["a", ["b"]], "sequence 2: expected a text as sequence 1 is"),
        ([["a"], []], "sequence 2: expected a text, or a list of symbols"),
    ):
        with pytest.raises(InputError, match=message):
            as_texts(X)


# What the network reads


def spelt(items, **config):
    return Spelling.fitted(Texts(items), ClassifyConfig(min_count=1, **config))


def test_words_are_lower_case_without_digits_and_signs_apart():
    assert normal("It's 1984, Anna!") == "it's 0000 , anna !"
    spelling = spelt(["Good film.", "good, GOOD"], level="word")
    read = spelling.encoded(Texts(["good film", "bad film", ""]))
    good, film, unknown = spelling.vocabulary.numbers(["good", "film", "?"])
    assert read.steps[:, 0].tolist() == [good, film, unknown, film, unknown]
    assert read.lengths.tolist() == [2, 2, 1]


def test_of_a_long_text_both_ends_are_read():
    spelling = spelt(["abcdefg"], level="char", longest=5)
    assert list(spelling.cut("abcdefg")) == list("abcfg")
    assert list(spelling.cut("abcde")) == list("abcde")
    assert list(spelt(["ab"], level="char", longest=1).cut("ab")) == ["a"]


def test_symbols_are_never_cut():
    spelling = spelt([("buy it", "sell"), ("sell",)])
    assert spelling.encoded(Texts([("sell", "buy it", "buy")])).steps[:, 0].tolist() == [2, 3, 1]
    with pytest.raises(InputError, match="the model reads lists of symbols, the sequences are texts"):
        spelling.check(Texts(["sell"]))


def beside_of(rows, truth, most):
    """A linear model of n-grams, and the sequences that it was fitted to."""
    sequences = Sequences(np.concatenate(rows)[:, None], np.array(list(map(len, rows))))
    target = Classes(tuple(range(max(truth) + 1)))
    return Beside.fitted(NGrams, Lesson(sequences, target, np.array(truth), reach=most))[0], sequences


@pytest.mark.parametrize("at_once", [1, 1 << 18])
def test_ngrams_are_those_of_each_text_alone(at_once, monkeypatch):
    monkeypatch.setattr("statewise.jobs.tasks.classify.ngrams.AT_ONCE", at_once)
    rows = [[2, 3, 2], [4], [5, 2, 3, 4, 5], [4]]
    beside, sequences = beside_of(rows, [0, 2, 0, 2], 3)
    together = beside.scores(sequences)
    assert together[:, [0, 2]].argmax(1).tolist() == [0, 1, 0, 1]
    assert (together[:, 1] < -15).all()  # there are no texts of this class
    for place, row in enumerate(rows):
        alone = beside.scores(Sequences(np.array(row)[:, None], np.array([len(row)])))
        np.testing.assert_allclose(alone[0], together[place])
        state = None
        for symbol in row:
            said, state = beside.step(np.array([[symbol]]), state)
        np.testing.assert_allclose(said[0], together[place])


@pytest.mark.parametrize("weighted", [False, True])
def test_ngrams_are_logistic_regression_on_tfidf(weighted):
    """The same by hand: an n-gram is known where two texts have it."""
    draw = np.random.default_rng(0)
    rows = [draw.integers(2, 6, draw.integers(1, 9)) for _ in range(60)]
    truth = [int(2 in row) + int(3 in row) for row in rows]
    weights = draw.uniform(0, 3, 60) if weighted else None
    sequences = Sequences(np.concatenate(rows)[:, None], np.array(list(map(len, rows))))
    lesson = Lesson(sequences, Classes((0, 1, 2)), np.array(truth), weights, reach=2)
    beside, left_out = Beside.fitted(NGrams, lesson)
    assert left_out is None
    cut = [[0, *row.tolist(), 0] for row in rows]
    grams = [[(s,) for s in row] + list(pairwise(row)) for row in cut]
    known = sorted({gram for row in grams for gram in row if sum(gram in other for other in grams) > 1})
    idf = np.array([1 + math.log(61 / (1 + sum(gram in row for row in grams))) for gram in known])
    counts = np.array([[row.count(gram) for gram in known] for row in grams])
    features = counts * idf / np.sqrt(counts @ idf**2)[:, None]
    regression = LogisticRegression(C=10.0, tol=1e-3).fit(features, truth, weights)
    assert beside.features.count == len(known)
    said = softmax(beside.scores(sequences), axis=1)
    np.testing.assert_allclose(said, regression.predict_proba(features), atol=2e-3)


# Trained

ENDINGS = {"Italian": ("ini", "elli", "ucci"), "Russian": ("ov", "enko", "skaya"), "English": ("son", "ton", "ham")}
QUICK = {"units": 12, "embedding": 8, "epochs": 4, "level": "char", "learning_rate": 0.02}


def surnames(count=240, seed=0):
    draw = np.random.default_rng(seed)
    labels = draw.choice(sorted(ENDINGS), count).tolist()
    beginnings = ["".join(draw.choice(list("abdegiklmnorst"), 4)) for _ in labels]
    return [
        first.title() + draw.choice(ENDINGS[label]) for first, label in zip(beginnings, labels, strict=True)
    ], labels


@pytest.fixture(scope="module")
def classifier():
    return Classifier(**QUICK, bidirectional=False).fit(*surnames())


def test_a_classifier_reads_texts_and_is_kept(classifier):
    X, y = surnames(60, seed=1)
    assert classifier.score(X, y) > 0.9
    assert set(classifier.predict(["Rossini", "", "漢字"])) <= set(ENDINGS)
    classifier.save("model.safetensors")
    again = Classifier.load("model.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    assert isinstance(again.model_.beside.features, NGrams)
    with pytest.raises(InputError, match="the model reads symbols, the sequences are numbers"):
        again.predict([np.zeros(3)])
    with pytest.raises(InputError, match="the model reads texts, the sequences are lists of symbols"):
        again.predict([["a", "b"]])


def test_it_goes_on_with_symbols_that_it_has_not_met(classifier):
    classifier.save("model.safetensors")
    again = Classifier.load("model.safetensors")
    known = again.model_.encoder.vocabulary.symbols
    again.partial_fit([f"{name}漢" for name in surnames(48, seed=2)[0]], surnames(48, seed=2)[1])
    assert again.model_.encoder.vocabulary.symbols == known
    assert again.score(*surnames(60, seed=1)) > 0.8
    np.testing.assert_array_equal(again.model_.beside.weights, classifier.model_.beside.weights)


def test_a_stream_says_after_each_symbol_what_is_said_of_the_text_so_far(classifier):
    stream = classifier.stream()
    for end in range(1, 8):
        said = stream.step("Rossini"[end - 1])
        np.testing.assert_allclose(said, classifier.predict_proba(["Rossini"[:end]])[0], atol=1e-6)
    both = classifier.stream(rows=2)
    for symbols in ("RI", "ov", "sa"):
        said = both.step(list(symbols))
    np.testing.assert_allclose(said, classifier.predict_proba(["Ros", "Iva"]), atol=1e-6)
    with pytest.raises(InputError, match="expected a symbol of each of 2 sequences"):
        both.step(["a"])


def test_an_eval_set_and_weights():
    X, y = surnames(90)
    fitted = Classifier(**QUICK).fit(X, y, eval_set=surnames(30, seed=1), sample_weight=np.arange(90))
    assert len(fitted.history_[-1]["validation"]) == 2
    assert fitted.model_.beside is not None


def test_symbols_of_a_program():
    draw = np.random.default_rng(0)
    events = [draw.integers(5, 9, draw.integers(3, 9)).tolist() for _ in range(120)]
    truth = [row[0] < row[-1] for row in events]
    fitted = Classifier(units=8, embedding=4, epochs=3, symbols=True).fit(events, truth)
    assert fitted.model_.encoder.lists
    assert set(fitted.model_.encoder.vocabulary.symbols[2:]) == set("5678")
    assert fitted.predict([[5, 6], [7]]).shape == (2,)
    as_words = [["ABCD"[symbol - 5] for symbol in row] for row in events]
    same = [row[:3] for row in as_words]  # of one length, but no table
    assert Classifier(units=8, embedding=4, epochs=1).fit(same, truth).predict(as_words).shape == (120,)
    regressor = Regressor(units=4, embedding=4, epochs=1).fit(as_words, [float(len(row)) for row in events])
    assert regressor.predict(as_words[:2]).shape == (2,)
    assert regressor.model_.beside is None


def test_several_labels_of_a_text_may_be_balanced():
    X, y = surnames(40)
    labels = np.stack([np.array(y) == "Italian", np.array(y) != "Russian"], 1).astype(int)
    fitted = Classifier(units=4, embedding=4, epochs=1, balance=True).fit(X, labels)
    assert fitted.predict(X).shape == (40, 2)
    assert fitted.model_.beside is None


def test_the_level_is_tried_where_texts_suit_several(monkeypatch):
    assert Texts(["Ann"] * 3).levels == ("char",)
    assert Texts(["a b c d"] * 3).levels == ("word", "subword", "char")
    assert Texts(["many words of them " * 9] * 3).levels == ("word", "subword")
    assert Texts([("a", "b", "c d e")]).levels == ("char",)
    monkeypatch.setattr(training, "LEAST_TRIED", 100)
    monkeypatch.setattr(training, "EPOCHS_TRIED", 6)
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 160)
    # Which class it is two letters in a row say, in words of which none comes twice.
    words = [["".join(draw.choice(list("abcdef"), 5)) for _ in range(3)] for _ in truth]
    texts = [" ".join([*row[:2], row[2] + ("xy" if label else "yx")]) for row, label in zip(words, truth, strict=True)]
    fitted = Classifier(units=8, embedding=8, epochs=1, learning_rate=0.02).fit(texts, truth)
    assert fitted.model_.config.level in ("char", "subword")
    assert Classifier(units=4, embedding=4, epochs=1, level="word").fit(texts, truth).model_.config.level == "word"


def test_pretrained_vectors_are_begun_with_and_may_stay():
    Path("words.vec").write_text("3 4\ngood 1 2 3 4\nbad -1 -2 -3 -4\nother 0 0 0 1\n")
    X, y = ["good film", "bad film", "Good one", "a bad one"] * 6, list("pnpn") * 6
    how = {"units": 4, "epochs": 1, "min_count": 1, "vectors": "words.vec"}
    for frozen in (True, False):
        fitted = Classifier(**how, vectors_frozen=frozen).fit(X, y)
        front, symbols = fitted.model_.network.front, fitted.model_.encoder.vocabulary.symbols
        assert (fitted.model_.config.level, fitted.model_.config.embedding) == ("word", 4)
        assert torch.equal(front.weight[symbols.index("good")], torch.tensor([1.0, 2, 3, 4])) == frozen
    fitted.save("model.safetensors")
    Path("words.vec").unlink()
    assert Classifier.load("model.safetensors").predict(["good"]) in ("p", "n")
    with pytest.raises(InputError, match=r"words\.vec: no such file"):
        Classifier(**how).fit(X, y)
    Path("words.vec").write_text("3 4\nelse 1 2 3 4\n")
    with pytest.raises(InputError, match="there are 1; cut short"):
        Classifier(**how).fit(X, y)
    Path("words.vec").write_text("else 1 2 3 4\n")
    with pytest.raises(InputError, match="has a vector for no word of the training part"):
        Classifier(**how).fit(X, y)
    with pytest.raises(InputError, match="--vectors: the sequences are numbers, expected texts"):
        Classifier(**how).fit(np.zeros((4, 3)), [0, 1, 0, 1])


def test_long_texts_are_read_in_fewer_passes():
    epochs = {length: ClassifyConfig(level="char").decided(3200, length, texts=True).epochs for length in (8, 60, 300)}
    assert epochs == {8: 80, 60: 40, 300: 20}
    assert ClassifyConfig(level="word").decided(3200, 300, texts=True).epochs == 10
    assert ClassifyConfig().decided(3200, 300).epochs == 20


# The command


def test_the_command_finds_the_columns_tells_of_the_baseline_and_predicts(capsys):
    X, y = surnames(150)
    pl.DataFrame({"name": X, "language": y}).write_csv("names.csv")
    quick = ["--units", "8", "--embedding", "8", "--epochs", "2"]
    assert cli.main(["classify", "names.csv", *quick, "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert re.search("columns +name as texts, language as labels; --text and --label name others", out)
    assert re.search(r"read +by characters, \d+ known\n", out)
    assert re.search(r"beside it +a logistic regression on the tf-idf of n-grams\n", out)
    assert re.search(r"counts +the (network|logistic regression on the tf-idf of n-grams) ", out)
    assert "logistic regression on tf-idf of n-grams of characters" in out
    report = Path("run/report.html").read_text()
    assert report.count("taken for") or "Every sequence" in report
    pl.DataFrame({"name": X}).write_csv("new.csv")
    assert cli.main(["classify", "predict", "run/model.safetensors", "new.csv"]) == 0
    found = pl.read_csv("new-predicted.csv")
    said = Classifier.load("run/model.safetensors").predict(X).tolist()
    assert found["predicted"].to_list() == said


def test_a_folder_with_both_parts(capsys):
    for part, seed in (("train", 0), ("test", 1)):
        for place, (text, label) in enumerate(zip(*surnames(60, seed), strict=True)):
            path = Path("names") / part / label / f"{place}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    assert cli.main(["classify", "names", "--units", "4", "--epochs", "1", "--out", "run"]) == 0
    assert re.search("training +60 texts", capsys.readouterr().out)
    assert cli.main(["classify", "predict", "run/model.safetensors", "names/test", "--out", "said.csv"]) == 0
    assert "60 texts" in capsys.readouterr().out
