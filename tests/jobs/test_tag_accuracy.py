"""How good the tagger is on real data, in shorter trainings than the reference runs of docs/jobs/tag.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from statewise.jobs.tasks.tag.config import Layout, TagConfig
from statewise.jobs.tasks.tag.formats import read
from statewise.jobs.tasks.tag.result import score
from statewise.jobs.tasks.tag.training import TagProblem
from statewise.jobs.training.problem import Trainer

TAGGING = Path(__file__).parents[2] / "../shared/data/tagging"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TAGGING.is_dir(), reason="the data of CoNLL-2000 and UD-EWT are not there"),
]


def test_chunks_of_conll_2000():
    corpus, test = (read(TAGGING / f"conll2000/{p}.txt.gz", Layout(features=("2",)))[0] for p in ("train", "test"))
    assert (len(corpus), corpus.tokens, len(test), test.tokens) == (8936, 211727, 2012, 47377)
    config = TagConfig(crf=True, epochs=3, min_count=2)
    model = TagProblem.of(config, corpus).train(Trainer())
    assert 100 * score("", test.known_tags, model.tags(test)).value >= 92


def test_parts_of_speech_of_ud_ewt():
    train_part, dev, test = (
        read(TAGGING / f"ud-ewt/en_ewt-ud-{part}.conllu.gz")[0] for part in ("train", "dev", "test")
    )
    assert (len(train_part), len(dev), len(test)) == (12544, 2001, 2077)
    assert (train_part.tokens, dev.tokens, test.tokens) == (204577, 25147, 25094)
    config = TagConfig(epochs=2, min_count=2)
    model = TagProblem.of(config, train_part, dev).train(Trainer())
    found = score("", test.known_tags, model.tags(test))
    assert 100 * found.accuracy >= 92
