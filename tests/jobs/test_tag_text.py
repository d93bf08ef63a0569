"""``statewise tag predict`` on what has no columns: running text, and files whose columns are no tags."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from statewise import cli
from statewise.jobs import InputError, Tagger
from statewise.jobs.tasks.tag.running import cut

TEXT = (
    "\ufeffAnna sold 3.50 pounds (on May 3rd) of sand.  \u201cWhy?\u201d He\r\nleft; don\u2019t ask.\r\n"
    "\r\nthe end etc. of it"
)
WORDS = [
    ["Anna", "sold", "3.50", "pounds", "(", "on", "May", "3rd", ")", "of", "sand", "."],
    ["\u201c", "Why", "?", "\u201d"],
    ["He", "left", ";", "don\u2019t", "ask", "."],
    ["the", "end", "etc", ".", "of", "it"],
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    sentences = [["Anna", "left", "Oslo"], ["he", "left"]] * 4
    tags = [["B-NAME", "O", "B-PLACE"], ["O", "O"]] * 4
    Tagger(units=3, word_size=4, character_units=0, epochs=1).fit(sentences, tags).save(path)
    return path


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def predict(*words):
    return cli.main(["tag", "predict", *map(str, words)])


@pytest.mark.parametrize("packed", [False, True])
def test_running_text_is_cut_into_words_that_know_their_place(packed, model, capsys):
    content = TEXT.encode()
    name = "story.txt.gz" if packed else "story.txt"
    Path(name).write_bytes(gzip.compress(content) if packed else content)
    assert predict(model, name, "--text") == 0
    assert (
        capsys.readouterr().out == "story-tagged.conll: 4 sentences of 28 words\n"
    )  # and no accuracy: there are no labels
    sentences = Path("story-tagged.conll").read_bytes().decode().removesuffix("\n\n").split("\n\n")
    found = [[line.split("\t") for line in sentence.split("\n")] for sentence in sentences]
    assert [[cells[0] for cells in sentence] for sentence in found] == WORDS
    text = TEXT.removeprefix("\ufeff")
    for word, begin, end, tag in (cells for sentence in found for cells in sentence):
        assert text[int(begin) : int(end)] == word
        assert tag in ("O", "B-NAME", "B-PLACE")


def test_json_has_a_line_for_each_sentence_with_places_and_probabilities(model):
    Path("story.txt").write_bytes(TEXT.encode())
    assert predict(model, "story.txt", "--text", "--json") == 0
    sentences = [json.loads(line)["tokens"] for line in Path("story-tagged.jsonl").read_text("utf-8").splitlines()]
    assert [[token["word"] for token in sentence] for sentence in sentences] == WORDS
    text, tagger = TEXT.removeprefix("\ufeff"), Tagger.load(model)
    likely = tagger.predict_proba(WORDS)
    for sentence, told, chances in zip(sentences, tagger.predict(WORDS), likely, strict=True):
        for token, tag, of_tags in zip(sentence, told, chances, strict=True):
            assert text[token["begin"] : token["end"]] == token["word"]
            assert token["tag"] == tag
            assert token["probability"] == pytest.approx(of_tags[tagger.classes_.tolist().index(tag)], abs=1e-6)


def test_json_of_columns_has_no_places(model, capsys):
    Path("words.txt").write_text("Anna\nleft\n\nhe\n")
    assert predict(model, "words.txt", "--json", "--out", "-") == 0
    sentences = [json.loads(line)["tokens"] for line in capsys.readouterr().out.splitlines()]
    assert [[token["word"] for token in sentence] for sentence in sentences] == [["Anna", "left"], ["he"]]
    assert {*sentences[0][0]} == {"word", "tag", "probability"}


def test_spans_know_their_words_and_characters(model, monkeypatch):
    tagger = Tagger.load(model)
    told = [["O", "B-NAME"], ["B-PLACE", "I-PLACE", "B-NAME", "O"]]
    corpus = cut("He left.  New York Anna ?", "x")
    assert corpus.words == [["He", "left", "."], ["New", "York", "Anna", "?"]]
    told[0].append("O")
    first, second = tagger.model_.annotated(corpus, told)
    assert first["spans"] == [{"type": "NAME", "words": [1, 2], "begin": 3, "end": 7}]
    assert second["spans"] == [
        {"type": "PLACE", "words": [0, 2], "begin": 10, "end": 18},
        {"type": "NAME", "words": [2, 3], "begin": 19, "end": 23},
    ]


def test_a_program_annotates_a_text(model):
    tagger, text = Tagger.load(model), TEXT.removeprefix("\ufeff")
    Path("story.txt").write_bytes(text.encode())
    assert predict(model, "story.txt", "--text", "--json") == 0
    assert [json.loads(line) for line in Path("story-tagged.jsonl").read_text("utf-8").splitlines()] == tagger.annotate(
        text
    )
    assert tagger.annotate("  \n ") == []
    with pytest.raises(InputError, match="expected a text, got list; predict takes lists of words"):
        tagger.annotate(["Anna", "left"])
    with pytest.raises(InputError, match="annotate takes a text"):
        tagger.predict("Anna left.")


@pytest.mark.parametrize("packed", [False, True])
def test_a_text_comes_by_stdin_and_goes_to_stdout(packed, model, monkeypatch, capsys):
    Path("story.txt").write_bytes(TEXT.encode())
    assert predict(model, "story.txt", "--text", "--out", "-") == 0
    expected = capsys.readouterr().out
    content = gzip.compress(TEXT.encode()) if packed else TEXT.encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert predict(model, "-", "--text") == 0
    assert capsys.readouterr() == (expected, "")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert predict(model, "-", "--text", "--out", "tagged.conll") == 0
    assert Path("tagged.conll").read_text("utf-8") == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("the cat sat\non the mat\n", "line 1: expected a tag such as 'B-NAME' in column 2, got 'cat'"),
        (
            "the cat sat\nit was a very good day\n",
            "line 2: expected 3 columns as in line 1, got 6; --text reads running text",
        ),
    ],
)
def test_what_is_no_column_of_tags_is_left_alone(content, said, model, capsys):
    Path("story.txt").write_text(content)
    assert predict(model, "story.txt", "--column", "2") == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert [path.name for path in Path().iterdir()] == ["story.txt"]


def test_a_column_where_nothing_is_said_is_filled(model, capsys):
    Path("words.txt").write_text("Anna _\nleft _\n")
    assert predict(model, "words.txt") == 0
    assert capsys.readouterr().out == "words-tagged.txt: 1 sentence of 2 words\n"
    assert len(Path("words-tagged.txt").read_text().splitlines()[0].split()) == 2


@pytest.mark.parametrize(("content", "said"), [("\ufeff \r\n", "the file is empty"), ("", "the file is empty")])
def test_a_text_of_nothing_is_refused(content, said, model, capsys):
    Path("story.txt").write_text(content)
    assert predict(model, "story.txt", "--text") == 2
    assert said in capsys.readouterr().err


def test_running_text_has_no_columns(model, capsys):
    Path("story.txt").write_text("He left.")
    assert predict(model, "story.txt", "--text", "--words", "1") == 2
    assert "running text has no columns" in capsys.readouterr().err
