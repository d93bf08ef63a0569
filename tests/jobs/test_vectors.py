"""Pretrained vectors of words: the three formats, and what is refused of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from statewise.jobs import InputError
from statewise.jobs.data.vectors import read_vectors, table_of

GLOVE = "the 0.5 -1 2e-1\nParis 1 2 3\n. . . 4 5 6\nparis 7 8 9\n1984 3 3 3\n"


@pytest.fixture
def file(tmp_path):
    def write(content, name="vectors.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_glove_has_no_first_line_of_its_own(file):
    found = read_vectors(file(GLOVE), ["the", ". . .", "of"])
    assert set(found) == {"the", ". . ."}
    np.testing.assert_array_equal(found["the"], np.float32([0.5, -1, 0.2]))
    np.testing.assert_array_equal(found[". . ."], [4, 5, 6])


def test_word2vec_and_fasttext_say_how_many_there_are(file):
    content = "2 3\nthe 1 2 3 \nof 4 5 6 \n"  # fastText ends a line with a blank
    found = read_vectors(file(content, "cc.vec"), ["of", "the"])
    assert {word: vector.tolist() for word, vector in found.items()} == {"the": [1, 2, 3], "of": [4, 5, 6]}
    packed = read_vectors(file(gzip.compress(content.encode()), "cc.vec.gz"), ["of"])
    assert packed["of"].tolist() == [4, 5, 6]


def test_a_word_as_it_is_comes_before_one_that_is_written_otherwise(file):
    found = read_vectors(file(GLOVE), ["paris", "0000"])
    assert found["paris"].tolist() == [7, 8, 9]
    assert found["0000"].tolist() == [3, 3, 3]
    assert read_vectors(file("Paris 1 2\nPARIS 3 4\n"), ["paris"])["paris"].tolist() == [1, 2]


def test_the_first_ones_of_a_file_come_whatever_is_asked_for(file):
    content = file("Oslo 1 2\noslo 3 4\n1984 5 6\nof 7 8\nto 9 0\n")
    assert set(read_vectors(content, ["of"], first=3)) == {"oslo", "0000", "of"}


def test_what_has_no_vector_is_drawn(file):
    vectors = read_vectors(file(GLOVE), ["the", "paris"])
    table = table_of(vectors, ["<unk>", "the", "paris"], np.random.default_rng(0))
    assert table.shape == (3, 3)
    np.testing.assert_array_equal(table[1:], [vectors["the"], vectors["paris"]])
    assert table[0].any()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "there are no vectors in it"),
        ("2 3\nthe 1 2 3\n", "speaks of 2 words, there are 1"),
        ("the 1 2 3\nof 1 2\n", "line 2: expected a word and 3 numbers, got 3 entries"),
        ("the 1 2 3\nof 1 x 3\n", "line 2: expected 3 finite numbers"),
        ("the 1 2 3\nof 1 nan 3\n", "line 2: expected 3 finite numbers"),
        ("the 1 2 3\nof 1 2 1e300\n", "line 2: expected 3 finite numbers"),
        ("the\nof\n", "line 1: expected a word and 1 to"),
        ("1 0\n", "line 1: expected a word and 1 to"),
        (b"1 3\nof\xff\xfe 1 2 3\n", "line 2: expected a word in UTF-8"),
        (gzip.compress(b"1 3\nof 1 2 3\n", mtime=0)[:-9], "a damaged .gz file"),
        (b"of 1" * (1 << 19), "line 1: longer than"),
    ],
)
def test_what_is_damaged_is_refused_in_one_line(file, content, said):
    with pytest.raises(InputError, match=said) as caught:
        read_vectors(file(content), ["the", "of"])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is a folder"):
        read_vectors(file(content).parent, ["the"])
    with pytest.raises(InputError, match="no such file"):
        read_vectors(Path("nowhere.vec"), ["the"])
