"""The training of a tagger, as in docs/jobs.md's reference run, on random sentences of CoNLL-2000's sizes."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from statewise.jobs.tasks.tag.config import TagConfig
from statewise.jobs.tasks.tag.corpus import Corpus, all_of
from statewise.jobs.tasks.tag.training import Tagging, TagProblem
from statewise.jobs.tasks.tag.vocabulary import Vocabulary
from statewise.jobs.training.problem import seeded

from .prose import CELLS

# Of CoNLL-2000's training part: words of a sentence (mean 23.7, deviation 11.1), different words, their letters (mean
# 7.3 each, 4.5 as they occur: the shorter the more frequent), parts of speech, tags.
WORDS, LETTERS, FEATURES, TAGS = 19122, 26, 44, 22


@dataclass(frozen=True, slots=True)
class Sentences:
    """A training of a tagger: ``all_rows`` sentences make the vocabulary, of ``rows`` an epoch is measured."""

    name: str
    recipe: TagConfig
    rows: int
    all_rows: int
    epoch: int
    """Updates in an epoch of the real data, whose time is told."""
    H: int = 64

    @property
    def updates(self) -> int:
        """Of one fit, as it is measured."""
        return self.recipe.epochs * -(-self.rows // self.recipe.batch)

    def task(self, library: Any, cell: str) -> Tagging:
        """The task with the recurrent layers of ``library``, beginning with the same weights whichever it is."""
        config = replace(self.recipe, cell=CELLS[cell.upper()], units=self.H)
        everything = corpus(self.all_rows)
        vocabulary = Vocabulary.of(everything, set(all_of(everything.known_tags)), config.min_count)
        problem = TagProblem(config, everything.select(range(self.rows)), None, vocabulary, strict=False)
        return problem.task(seeded(config.seed, lambda: problem.make(library)))


CONLL2000 = Sentences(
    "CoNLL-2000",
    TagConfig(epochs=1, crf=True, min_count=2, validation_share=0.0),
    rows=320,
    all_rows=8936,
    epoch=559,
)


@lru_cache(maxsize=1)
def corpus(count: int) -> Corpus:
    """``count`` random sentences, the same ones always. A word's number says its part of speech and its tag."""
    draw = random.Random(0)
    words = [_word(draw, rank) for rank in range(WORDS)]
    frequency = [1 / (rank + 3) for rank in range(WORDS)]
    lengths = [max(1, min(78, round(draw.gammavariate(4.5, 5.27)))) for _ in range(count)]
    picked = [draw.choices(range(WORDS), frequency, k=length) for length in lengths]
    return Corpus(
        "random sentences",
        [[words[n] for n in sentence] for sentence in picked],
        [[f"T{n % TAGS}" for n in sentence] for sentence in picked],
        [[[f"P{n % FEATURES}" for n in sentence] for sentence in picked]],
    )


def _word(draw: random.Random, rank: int) -> str:
    """Letters, the more the rarer the word is: 1 to 16."""
    mean = 2 + 5.7 * (rank / WORDS) ** 0.2
    length = max(1, min(16, round(draw.gauss(mean, 2))))
    return "".join(chr(ord("a") + draw.randrange(LETTERS)) for _ in range(length))
