"""What is this job's own between its options and a full run folder: parts, facts, baselines, and what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ... import experiment
from ...config import part_of
from ...data.columns import listed
from ...data.split import stratified_split
from ...errors import InputError
from ...experiment import Facts, Outcome
from . import report
from .baselines import baselines
from .config import ClassifyConfig, Layout, Options
from .examples import Examples, check_alike, classes_of, targets_of
from .formats import digits, read
from .model import Model
from .result import Result, Score, score
from .training import ClassifyProblem


class Classify(experiment.Job[Options, Model]):
    """Learns the classes of one part of the sequences and is tested on another."""

    kind = "classify"

    problem: ClassifyProblem

    def __init__(self, options: Options) -> None:
        self.options, self.layout = options, part_of(Layout, options)
        self.examples, self.test, self.how = self._parts(options)
        self.classes, self.name = classes_of(self.examples), self.examples.name
        self.targets, self.truth = (targets_of(part, self.classes) for part in (self.examples, self.test))
        told, image = part_of(ClassifyConfig, options), self.examples.picture is not None
        self.problem = ClassifyProblem.of(told, self.examples.sequences, self.targets, self.classes, image=image)

    def _parts(self, config: Options) -> tuple[Examples, Examples, str]:
        """The training part, the test part, and in words how they were told apart."""
        if config.file is None:
            examples = digits(pixels=config.pixels)
        else:
            examples = read(config.file, self.layout, labels=config.labels)
        if examples.channels:  # other files have to be as this one
            self.layout = replace(self.layout, channels=examples.channels, long=True)
        classes = classes_of(examples)
        if config.test is not None:
            test = read(config.test, self.layout, labels=config.test_labels)
            check_alike(examples, test)
            if test.labels is None:
                raise InputError(f"{test.source}: has no labels to test with; to get some: statewise classify predict")
            return examples, test, f" ({config.test})"
        kept, held = stratified_split(targets_of(examples, classes), config.test_share, config.seed)
        if not len(held):
            raise InputError(f"{examples.source}: no class has two sequences; give a test part with --test")
        how = f" ({100 * config.test_share:g} % of each class, split off with seed {config.seed})"
        return examples.select(kept), examples.select(held), how

    def facts(self) -> Facts:
        """What is classified, into what, where it is split, and by what network."""
        return [
            ("", f"{self.name}: {len(self.classes)} classes ({listed(self.classes)})"),
            ("training", self.examples.described()),
            ("test", self.test.described() + self.how),
            ("network", report.network_line(self.problem.config, self.problem.network())),
            ("loss", report.loss_line(self.config.smoothing, len(self.classes))),
        ]

    def validated(self, scores: Any) -> str:
        """How many are right."""
        return f"accuracy {experiment.percent(scores['accuracy'])}"

    def judge(self, model: Model) -> Outcome:
        """How many of the test part's sequences are taken for what they are, by the model and by baselines."""
        result = Result(self.label, self.classes, self.truth, model.probabilities(self.test.sequences))
        others = self.compared(model)
        content = report.predictions(self.test, self.classes, result.probabilities)
        sizes = {"training": len(self.examples), "test": len(self.test), "source": self.examples.source}
        return Outcome(
            report.scores(result, others),
            experiment.verdict((self.label, result.score.accuracy), [(s.name, s.accuracy) for s in others], "accuracy"),
            {"data": {"name": self.name, **sizes}, **report.metrics(result, others)},
            ending=report.confusions(result),
            blocks=[*report.classes(result), *report.mistakes(self.test, result)],
            files={"predictions.csv": content},
        )

    def compared(self, model: Model) -> list[Score]:
        """The scores of the baselines."""
        train, test = (model.encoder.batches(part.sequences) for part in (self.examples, self.test))
        found = baselines(train, self.targets, test, images=self.examples.picture is not None)
        return [score(name, self.truth, predicted) for name, predicted in found]
