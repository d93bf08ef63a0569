"""What the defaults reach on real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from statewise.jobs import Classifier
from statewise.jobs.data.split import stratified_split
from statewise.jobs.tasks.classify.formats import digits, read

SHARED = Path(__file__).parents[3] / "shared" / "data" / "classify"


def archive(name, part):
    path = SHARED / "ucr" / f"{name}_{part}.ts.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    examples = read(path)
    return list(examples.sequences), np.array(examples.labels)


def test_digits():
    examples = digits()
    labels = np.array(examples.labels)
    kept, held = stratified_split(labels.astype(np.int64), 0.2, 0)
    X = examples.sequences.steps.reshape(-1, 8, 8)
    classifier = Classifier(scaling="all", epochs=10, learning_rate=0.01).fit(X[kept], labels[kept])
    assert classifier.score(X[held], labels[held]) >= 0.96


@pytest.mark.slow
def test_japanese_vowels():
    classifier = Classifier().fit(*archive("JapaneseVowels", "TRAIN"))
    assert classifier.score(*archive("JapaneseVowels", "TEST")) >= 0.95


@pytest.mark.slow
def test_basic_motions():
    classifier = Classifier().fit(*archive("BasicMotions", "TRAIN"))
    assert classifier.score(*archive("BasicMotions", "TEST")) >= 0.9
