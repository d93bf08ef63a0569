"""The random sentences on which a tagger's training is timed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

import statewise
from benchmarks import jobs
from benchmarks.clock import Effort
from benchmarks.sentences import CONLL2000, corpus

SMALL = replace(CONLL2000, rows=32, all_rows=64, H=5)


def test_they_are_of_conll_2000s_sizes():
    given = corpus(2000)
    assert given.tokens / len(given) == pytest.approx(23.7, rel=0.03)
    assert max(map(len, given.words)) <= 78
    letters = [len(word) for sentence in given.words for word in sentence]
    assert sum(letters) / len(letters) == pytest.approx(4.5, rel=0.1)
    assert given.words == corpus.__wrapped__(2000).words


def test_the_layers_are_those_of_the_library():
    ours, theirs = (SMALL.task(library, "GRU").model for library in (statewise, nn))
    assert (type(ours.recurrent), type(ours.spelling)) == (statewise.GRU, statewise.GRU)
    assert (type(theirs.recurrent), type(theirs.spelling)) == (nn.GRU, nn.GRU)
    assert all(a.equal(b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_both_libraries_learn_the_same(monkeypatch):
    monkeypatch.setattr(jobs, "JOBS", (SMALL,))
    (figure,) = jobs.measure(["LSTM"], [1], Effort(clean=1, at_least=1, seconds=0.0))
    assert figure.ours > 0 < figure.theirs
    assert figure.job.updates == 2
    assert figure.as_dict()["name"] == "CoNLL-2000"
