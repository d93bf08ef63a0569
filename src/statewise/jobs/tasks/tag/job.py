"""What is this job's own between its options and a full run folder: parts, facts, baselines, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ....inspecting.sample import Sample
from ... import experiment
from ...config import part_of
from ...data.content import plain_name
from ...errors import InputError
from ...experiment import Facts, Outcome
from . import example, inspected, report
from .config import CONLLU, Layout, Options, TagConfig
from .corpus import Corpus, all_of, counted
from .formats import read
from .model import Model
from .result import Result, baselines, score
from .spans import are_spans
from .training import TagProblem, split


class Tag(experiment.Job[Options, Model]):
    """Learns the tags of one part of the sentences and is tested on another."""

    kind = "tag"
    problem: TagProblem

    def __init__(self, config: Options) -> None:
        self.options, told = config, part_of(Layout, config)
        if config.file is None:
            self.train_part, self.layout, self.name = example.sentences(), Layout(), "built-in sentences"
        else:
            self.train_part, self.layout = read(config.file, told)
            self.name = plain_name(config.file)
        held_out = self._beside(config.validation, told) if config.validation else None
        if config.test:
            self.test, self.how = self._beside(config.test, told), f" ({config.test})"
        else:
            self.train_part, test = split(self.train_part, config.test_share, config.seed)
            if test is None:
                about = f"{self.train_part.source}: {self.train_part.described()}"
                raise InputError(f"{about}, too few to split; give a test part with --test")
            self.test = test
            self.how = f" ({100 * config.test_share:g} %, split off with seed {config.seed})"
        self.problem = TagProblem.of(part_of(TagConfig, config), self.train_part, held_out, self.like)

    def _beside(self, path: Path, told: Layout) -> Corpus:
        """The sentences in ``path``, read as those of the training part were."""
        other, _ = read(path, told, remembered=self.layout)
        features = self.train_part.features
        if len(other.features) != len(features):
            expected = counted(len(features), "feature")
            raise InputError(f"{path}: expected {expected} of every word, got {len(other.features)}")
        return other

    @property
    def title(self) -> str:
        """The heading of the report."""
        return f"{self.name}: a tag for every word"

    def facts(self) -> Facts:
        """What is tagged, with which tags, where it is split, and by what network."""
        problem, held = self.problem, "none"
        if problem.held_out is not None:
            given = self.config.validation is not None
            where = f" ({problem.held_out.source})" if given else " (split off the training part)"
            held = problem.held_out.described() + where
        tags = problem.vocabulary.tags
        vectors = []
        if problem.table is not None:
            frozen = problem.config.vectors_frozen
            vectors = [("vectors", report.vectors_line(problem.vocabulary, problem.corpus, frozen))]
        return [
            ("", f"{self.name}: {report.tags_line(tags, are_spans(tags))}"),
            ("training", problem.corpus.described()),
            ("validation", held),
            ("test", self.test.described() + self.how),
            *vectors,
            ("network", report.network_line(problem.config, problem.network())),
        ]

    def validated(self, scores: Mapping[str, float]) -> str:
        """How much is right: the first of the scores, which says how much is not."""
        measure, wrong = next(iter(scores.items()))
        return f"{measure.removeprefix('1 - ')} {experiment.percent(1 - wrong)}"

    def sample(self, model: Model) -> Sample:
        """Of what was held out."""
        return inspected.sample(model, self.test)

    def judge(self, model: Model) -> Outcome:
        """How many of the test part's words, or spans, are tagged right, by the model and by baselines."""
        truth, predicted = self.test.known_tags, model.tags(self.test)
        own = score(self.label, truth, predicted, model.vocabulary.tags)
        result = Result(own, self.test.words, truth, predicted, frozenset(all_of(self.train_part.words)))
        found = baselines(self.train_part, self.test, self.layout.features)
        others = [score(name, truth, tags, model.vocabulary.tags) for name, tags in found]
        sizes = {"training": len(self.problem.corpus), "test": len(self.test), "source": self.train_part.source}
        # The predicted tags stand in CoNLL-U in the place of the true ones, else in a column after them.
        conllu = self.layout.format == CONLLU and self.test.document is not None
        text = self.test.as_document().with_tags(result.predicted, beside=not conllu)
        return Outcome(
            report.table(result, others),
            experiment.verdict((own.name, own.value), [(s.name, s.value) for s in others], own.measure),
            {"data": {"name": self.name, **sizes}, **report.metrics(result, others)},
            blocks=report.blocks(result),
            files={"predictions.conllu" if conllu else "predictions.conll": text},
        )
