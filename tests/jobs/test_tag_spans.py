"""Spans, their grammar and their scores, by conlleval's rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from statewise.jobs.data.symbols import Symbols
from statewise.jobs.tasks.tag.config import Layout
from statewise.jobs.tasks.tag.formats import read
from statewise.jobs.tasks.tag.result import most_frequent
from statewise.jobs.tasks.tag.spans import Counts, are_spans, count, grammar, keep_to_grammar, spans, total

CONLL2000 = Path(__file__).parents[2] / "../shared/data/tagging/conll2000"


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("", []),
        ("O O", []),
        ("B-X I-X O", [(0, 2, "X")]),
        ("B-X B-X", [(0, 1, "X"), (1, 2, "X")]),
        ("O I-X I-X", [(1, 3, "X")]),  # a span may begin with I
        ("I-X I-Y", [(0, 1, "X"), (1, 2, "Y")]),  # another type begins anew
        ("B-X I-Y I-Y", [(0, 1, "X"), (1, 3, "Y")]),
        ("I-X O I-X", [(0, 1, "X"), (2, 3, "X")]),
        ("I-X B-X I-X", [(0, 1, "X"), (1, 3, "X")]),  # the first kind of IOB
        ("B-X I-X E-X S-Y O", [(0, 3, "X"), (3, 4, "Y")]),
        ("S-X S-X", [(0, 1, "X"), (1, 2, "X")]),
        ("B-X E-X E-X", [(0, 2, "X"), (2, 3, "X")]),  # what has ended doesn't go on
        ("B-X E-X I-X", [(0, 2, "X"), (2, 3, "X")]),
        ("S-X I-X", [(0, 1, "X"), (1, 2, "X")]),
        ("B-X L-X U-X", [(0, 2, "X"), (2, 3, "X")]),
        ("B I O B", [(0, 2, ""), (3, 4, "")]),  # spans of no type
        ("B-A-B I-A-B I-A", [(0, 2, "A-B"), (2, 3, "A")]),  # the type is all after the first hyphen
    ],
)
def test_which_spans_there_are(tags, found):
    assert [tuple(span) for span in spans(tags.split())] == found


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"O", "B-X", "I-X"}, True),
        ({"B", "I", "O"}, True),
        ({"I-X", "O"}, True),
        ({"NOUN", "O", "B-X"}, False),
        ({"O"}, False),
        ({"B-", "O"}, False),
        ({"S", "E"}, False),
    ],
)
def test_which_tags_mark_spans(tags, expected):
    assert are_spans(tags) is expected


def test_counts_are_of_whole_spans_and_their_types():
    truth = ["B-X I-X O B-Y", "B-X O"]
    told = ["B-X I-X O B-X", "B-X I-X"]
    counts = count([t.split() for t in truth], [t.split() for t in told])
    assert counts == {"X": Counts(1, 3, 2), "Y": Counts(0, 0, 1)}
    both = total(counts.values())
    assert both == (1, 3, 3)
    assert both.precision == both.recall == both.f1 == pytest.approx(1 / 3)
    assert counts["Y"].precision == counts["Y"].recall == counts["Y"].f1 == 0
    assert total([]) == (0, 0, 0)
    by_word = count([["D", "N"], ["N"]], [["D", "D"], ["N"]], of_spans=False)
    assert by_word == {"D": Counts(1, 2, 1), "N": Counts(1, 1, 2)}


def test_precision_and_recall_of_a_type():
    counts = Counts(right=3, said=4, there=6)
    assert (counts.precision, counts.recall) == (0.75, 0.5)
    assert counts.f1 == pytest.approx(2 * 0.75 * 0.5 / 1.25)


def pairs(tags, allowed):
    """The pairs of ``tags`` and None, for a sentence's end, that may stand in a row, or may not."""
    matrix, states = grammar(tags), [*tags, None]
    assert matrix.shape == (len(states), len(states))
    return {(states[i], states[j]) for i, j in np.argwhere(matrix == allowed)}


def test_the_grammar_of_iob():
    refused = pairs(("B-X", "B-Y", "I-X", "I-Y", "O"), False)
    assert refused == {(b, "I-X") for b in ("B-Y", "I-Y", "O", None)} | {(b, "I-Y") for b in ("B-X", "I-X", "O", None)}


def test_the_grammar_of_iobes_ends_what_it_begins():
    allowed = pairs(("B-X", "E-X", "I-X", "O", "S-X"), True)
    inside = {(b, t) for b in ("B-X", "I-X") for t in ("I-X", "E-X")}
    outside = {(b, t) for b in ("E-X", "O", "S-X", None) for t in ("B-X", "O", "S-X", None)}
    assert allowed == inside | outside


def test_the_first_kind_of_iob_does_not_keep_to_it():
    tags = Symbols(("B-X", "I-X", "O"))
    assert keep_to_grammar([["B-X", "I-X"], ["O", "B-X"]], tags)
    assert not keep_to_grammar([["O", "I-X"]], tags)
    assert not keep_to_grammar([["I-X"]], tags)
    assert not keep_to_grammar([["B-X"]], Symbols(("B-X", "E-X", "O")))  # which ends nothing


@pytest.mark.skipif(not CONLL2000.is_dir(), reason="the data of CoNLL-2000 are not there")
def test_the_baseline_of_conll_2000_is_as_published():
    """The shared task's own: the chunk tag that a part of speech has most often; 72.58 %, 82.14 %, 77.07."""
    layout = Layout(features=("2",))
    train, test = (read(CONLL2000 / f"{part}.txt.gz", layout)[0] for part in ("train", "test"))
    told = most_frequent(train.features[0], train.known_tags, test.features[0])
    found = total(count(test.known_tags, told).values())
    assert 100 * found.precision == pytest.approx(72.58, abs=0.005)
    assert 100 * found.recall == pytest.approx(82.14, abs=0.005)
    assert 100 * found.f1 == pytest.approx(77.07, abs=0.005)
