"""CoNLL's columns and CoNLL-U: what is read, what is refused and where, what is written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from statewise.jobs import InputError
from statewise.jobs.tasks.tag.config import Layout
from statewise.jobs.tasks.tag.corpus import Corpus
from statewise.jobs.tasks.tag.formats import read

COLUMNS = """\
-DOCSTART- -X- O

# id = 7
He  PRP B-NP
reckons VBZ  B-VP
# # B-NP

On IN B-PP
"""

CONLLU = """\
# sent_id = 1
# text = Don't go.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\tMood=Imp\t0\troot\t_\t_
3.1\tyou\tyou\tPRON\tPRP\t_\t_\t_\t3:nsubj\t_
4\t.\t.\tPUNCT\t.\t_\t3\tpunct\t_\t_

1\tGo\tgo\tVERB\tVB\tMood=Imp\t0\troot\t_\t_
"""


@pytest.fixture
def file(tmp_path):
    def write(text, name="data.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_columns(file):
    corpus, layout = read(file(COLUMNS))
    assert corpus.words == [["He", "reckons", "#"], ["On"]]
    assert corpus.tags == [["B-NP", "B-VP", "B-NP"], ["B-PP"]]
    assert layout == Layout(words="1", column="3", features=(), format="columns")
    assert corpus.described() == "2 sentences of 4 words"


def test_columns_that_are_named(file):
    corpus, layout = read(file(COLUMNS), Layout(words="2", column="1", features=("3",)))
    assert corpus.words == [["PRP", "VBZ", "#"], ["IN"]]
    assert corpus.tags == [["He", "reckons", "#"], ["On"]]
    assert corpus.features == [[["B-NP", "B-VP", "B-NP"], ["B-PP"]]]
    assert layout == Layout(words="2", column="1", features=("3",), format="columns")


def test_columns_with_names(file):
    text = "# global.columns = ID FORM MISC\n1\ta\tX\n2\tb\tY\n"
    corpus, layout = read(file(text), Layout(column="misc"))
    assert (corpus.words, corpus.tags) == ([["a", "b"]], [["X", "Y"]])
    assert layout.words == "2"


def test_columns_keep_everything_but_the_tags(file):
    corpus, _ = read(file(COLUMNS))
    tagged = corpus.as_document().with_tags([["1", "2", "3"], ["4"]])
    assert tagged == COLUMNS.replace("PRP B-NP", "PRP 1").replace("B-VP", "2").replace("# # B-NP", "# # 3").replace(
        "B-PP", "4"
    )
    beside = corpus.as_document().with_tags([["1", "2", "3"], ["4"]], beside=True)
    assert "He  PRP B-NP 1\nreckons VBZ  B-VP 2\n# # B-NP 3\n\nOn IN B-PP 4\n" in beside


def test_tabs_may_have_blanks_between_them(file):
    path = file("New York\tB\nis\tO\n\n\nbig\tO\n")
    corpus, _ = read(path)
    assert corpus.words == [["New York", "is"], ["big"]]
    assert corpus.as_document().with_tags([["x", "y"], ["z"]]) == "New York\tx\nis\ty\n\n\nbig\tz\n"


def test_what_has_no_tags_gets_a_further_column(file):
    remembered = Layout(words="1", column="3", features=(), format="columns")
    corpus, _ = read(file("He PRP\nis VBZ\n"), remembered=remembered, tagged=False)
    assert corpus.tags is None
    assert corpus.as_document().with_tags([["a", "b"]]) == "He PRP a\nis VBZ b\n"
    words, _ = read(file("He\nis\n"), tagged=False)
    assert (words.words, words.tags) == ([["He", "is"]], None)


def test_conllu(file):
    corpus, layout = read(file(CONLLU))
    assert corpus.words == [["Do", "n't", "go", "."], ["Go"]]
    assert corpus.tags == [["AUX", "PART", "VERB", "PUNCT"], ["VERB"]]
    assert layout == Layout(words="2", column="4", features=(), format="CoNLL-U")


@pytest.mark.parametrize(
    ("field", "tags"),
    [
        ("xpos", ["VB", "RB", "VB", "."]),
        ("DEPREL", ["aux", "advmod", "root", "punct"]),
        ("feats", ["_", "_", "Mood=Imp", "_"]),
        ("3", ["do", "not", "go", "."]),
    ],
)
def test_any_field_of_conllu(file, field, tags):
    assert read(file(CONLLU), Layout(column=field))[0].known_tags[0] == tags


def test_conllu_keeps_everything_but_the_tags(file):
    corpus, _ = read(file(CONLLU))
    tagged = corpus.as_document().with_tags([["a", "b", "c", "d"], ["e"]])
    expected = CONLLU
    for old, new in (("do\tAUX", "do\ta"), ("PART", "b"), ("VERB", "c"), ("PUNCT", "d"), ("Go\tgo\tc", "Go\tgo\te")):
        expected = expected.replace(old, new)
    assert tagged == expected


def test_conllu_without_tags(file):
    bare = CONLLU
    for tag in ("AUX", "PART", "VERB", "PUNCT", "PRON"):
        bare = bare.replace(tag, "_")
    assert read(file(bare), tagged=False)[0].tags is None
    with pytest.raises(InputError, match=r"data.txt: column 4 has no tags: _ everywhere"):
        read(file(bare))


def test_packed_with_a_byte_order_mark_and_windows_lines(file):
    content = gzip.compress(b"\xef\xbb\xbf" + COLUMNS.replace("\n", "\r\n").encode())
    assert read(file(content, "data.gz"))[0].words == [["He", "reckons", "#"], ["On"]]


def test_other_blanks_are_part_of_a_word(file):
    assert read(file("10\u00a0000 O\n\u2028 O\n"))[0].words == [["10\u00a0000", "\u2028"]]


def test_a_document_of_sentences_without_one():
    corpus = Corpus("c", [["a", "b"], ["c"]], [["X", "Y"], ["Z"]], [[["1", "2"], ["3"]]])
    assert corpus.as_document().with_tags([["P", "Q"], ["R"]]) == "a\t1\tP\nb\t2\tQ\n\nc\t3\tR\n\n"
    assert corpus.as_document().with_tags([["P", "Q"], ["R"]], beside=True).startswith("a\t1\tX\tP\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("-DOCSTART- O\n", "no words, expected one a line"),
        ("a X\nb\n", "line 2: expected 2 columns as in line 1, got 1"),
        ("# note\na X\n\nb Y Z\n", "line 4: expected 2 columns as in line 2, got 3"),
        ("a\nb\n", "line 1: expected a word and its tag in columns separated by blanks or tabs, got one column"),
        ("a\t\tX\nb\tc\tY\n", None),
        ("a\t \n", "line 1: column 2 is empty"),
        (b"a X\nb\xe9 Y\n", "expected text in UTF-8, got the byte 0xe9 in line 2"),
        (gzip.compress(COLUMNS.encode(), mtime=0)[:-9], "a damaged .gz file"),
        (CONLLU.replace("3\tgo", "4\tgo"), "line 6: expected word 3 of the sentence, got 4"),
        (
            CONLLU.replace("3\tgo", "x\tgo"),
            "line 6: expected a word's number, a range like 3-4 or an empty node like 3.1",
        ),
        (CONLLU.replace("1-2", "2-3"), "line 3: expected a range that begins with 1, got 2-3"),
        (CONLLU.replace("3.1", "2.1"), "line 7: expected an empty node after word 3, got 2.1"),
        (CONLLU.replace("root\t_\t_\n3.1", "root\t_\n3.1"), "line 6: expected 10 columns separated by tabs, got 9"),
    ],
)
def test_what_is_refused_and_where(file, text, said):
    path = file(text)
    if said is None:
        read(path)
        return
    with pytest.raises(InputError) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}: {said}")


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        (Layout(column="4"), "no column 4 for --column; the file has 3 columns"),
        (Layout(column="0"), "no column 0 for --column"),
        (
            Layout(column="pos"),
            "no column 'pos' for --column; the file has 3 columns, which have no names, only numbers",
        ),
        (Layout(words="3"), "column 3 is both the tag and the words"),
        (Layout(features=("3",)), "column 3 is both the tag and a feature"),
        (Layout(features=("9",)), "no column 9 for --features"),
    ],
)
def test_columns_that_are_not_there(file, layout, said):
    with pytest.raises(InputError, match=said):
        read(file(COLUMNS), layout)


def test_a_name_that_conllu_does_not_have(file):
    with pytest.raises(InputError, match="no column 'pos' for --column; the file has 10 columns: ID, FORM, LEMMA"):
        read(file(CONLLU), Layout(column="pos"))


def test_too_few_columns_for_a_model(file):
    remembered = Layout(words="1", column="4", features=(), format="columns")
    with pytest.raises(InputError, match="expected 3 columns before the tags, or 4 with them, got 2"):
        read(file("He PRP\n"), remembered=remembered, tagged=False)


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="is a folder, expected a text file"):
        read(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / Path("nothing.txt"))
