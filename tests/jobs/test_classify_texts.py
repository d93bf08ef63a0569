"""Texts and symbols told apart: found in tables and folders, read as numbers, n-grams beside the layers."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from statewise.jobs import InputError
from statewise.jobs.tasks.classify.config import ClassifyConfig, Layout
from statewise.jobs.tasks.classify.formats import read
from statewise.jobs.tasks.classify.network import outputs_of
from statewise.jobs.tasks.classify.ngrams import fitted, share
from statewise.jobs.tasks.classify.sequences import Batches
from statewise.jobs.tasks.classify.spelling import Spelling, normal
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


def test_an_empty_text_is_refused_with_its_row():
    with pytest.raises(InputError, match="column 'text', row 2: expected a text, got nothing; --gaps carry"):
        said('text,label\nx,a\n"",b\nz,a\n')
    assert said('text,label\nx,a\n"",b\nz,a\n', gaps="carry")[0] == ["x", "", "z"]
    with pytest.raises(InputError, match="no column 'body' for --text; there are: text, label"):
        said("text,label\nx,a\ny,b\n", text=("body",))


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
    batches = spelling.batches(Texts(["good film", "bad film", ""]))
    good, film, unknown = spelling.vocabulary.numbers(["good", "film", "?"])
    assert batches.steps[:, 0].tolist() == [good, film, unknown, film, unknown]
    assert batches.lengths.tolist() == [2, 2, 1]


def test_of_a_long_text_both_ends_are_read():
    spelling = spelt(["abcdefg"], level="char", longest=5)
    assert list(spelling.cut("abcdefg")) == list("abcfg")
    assert list(spelling.cut("abcde")) == list("abcde")
    assert list(spelt(["ab"], level="char", longest=1).cut("ab")) == ["a"]


def test_symbols_are_never_cut():
    spelling = spelt([("buy it", "sell"), ("sell",)])
    assert spelling.batches(Texts([("sell", "buy it", "buy")])).steps[:, 0].tolist() == [2, 3, 1]
    with pytest.raises(InputError, match="the model reads lists of symbols, the sequences are texts"):
        spelling.check(Texts(["sell"]))


def test_ngrams_are_those_of_each_text_alone():
    rows = [[2, 3, 2], [4], [5, 2, 3, 4, 5], [4]]
    x = torch.full((5, 4, 1), 9)  # what lies behind an end
    for place, row in enumerate(rows):
        x[: len(row), place, 0] = torch.tensor(row)
    lengths = torch.tensor(list(map(len, rows)))
    steps = np.concatenate(rows)[:, None]
    ngrams = fitted(Batches(steps, lengths.numpy()), np.array([0, 2, 0, 2]), 4, 3).double()
    together = ngrams(x, lengths)
    assert together[:, [0, 2]].argmax(1).tolist() == [0, 1, 0, 1]
    assert (together[:, [1, 3]] < -15).all()  # there are no texts of these classes
    for place, row in enumerate(rows):
        torch.testing.assert_close(ngrams(torch.tensor(row)[:, None, None], None)[0], together[place])
        state = None
        for symbol in row:
            said, state = ngrams.step(torch.tensor([[symbol]]), state)
        torch.testing.assert_close(said[0], together[place])


def test_ngrams_are_logistic_regression_on_tfidf():
    """The same by hand: an n-gram is known where two texts have it."""
    draw = np.random.default_rng(0)
    rows = [draw.integers(2, 6, draw.integers(1, 9)) for _ in range(60)]
    truth = np.array([int(2 in row) + int(3 in row) for row in rows])
    batches = Batches(np.concatenate(rows)[:, None], np.array(list(map(len, rows))))
    ngrams = fitted(batches, truth, 3, 2)
    cut = [[0, *row.tolist(), 0] for row in rows]
    grams = [[(s,) for s in row] + list(pairwise(row)) for row in cut]
    known = sorted({gram for row in grams for gram in row if sum(gram in other for other in grams) > 1})
    idf = np.array([1 + math.log(61 / (1 + sum(gram in row for row in grams))) for gram in known])
    counts = np.array([[row.count(gram) for gram in known] for row in grams])
    features = counts * idf / np.sqrt(counts @ idf**2)[:, None]
    regression = LogisticRegression(C=10.0, tol=1e-3).fit(features, truth)
    assert len(ngrams.keys) == len(known)
    said = outputs_of(ngrams, batches).softmax(1)
    np.testing.assert_allclose(said, regression.predict_proba(features), atol=2e-3)


def test_the_share_of_the_ngrams_is_that_with_which_the_loss_is_least():
    truth = np.array([0, 1, 1])
    right = torch.tensor([[2.0, 0], [0, 2], [0, 2]])
    assert share(right, -right, truth) == 0
    assert share(-right, right, truth) == 1
    assert 0 < share(right * torch.tensor([[9.0], [9], [-9]]), right * torch.tensor([[9.0], [-9], [9]]), truth) < 1
