"""What is this job's own between its options and a full run folder: parts, facts, baselines, and what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ....inspecting.sample import Sample
from ... import experiment
from ...config import part_of
from ...data.columns import listed
from ...errors import InputError, remark
from ...experiment import Facts, Outcome
from . import inspected, report
from .answer import predictions
from .baselines import baselines
from .config import ClassifyConfig, Layout, Options
from .examples import Examples, check_alike, met_again, numbered
from .formats import digits, parts_of, read
from .model import Model
from .result import Score, result_of
from .targets import Classes, Labels, Target, target_of
from .training import ClassifyProblem


class Classify(experiment.Job[Options, Model]):
    """Learns what one part of the sequences is and is tested on another."""

    kind = "classify"

    problem: ClassifyProblem

    def __init__(self, options: Options) -> None:
        self.options, self.layout = options, part_of(Layout, options)
        self.examples, self.test, self.how = self._parts(options)
        self.name = self.examples.name
        self.values, self.truth = (
            self.target.read(part.labels or (), part.source, part.ids) for part in (self.examples, self.test)
        )
        told, image = part_of(ClassifyConfig, options), self.examples.picture is not None
        groups = None if self.examples.groups is None else numbered(self.examples.groups, len(self.examples))
        given = told, self.examples.sequences, self.values, self.target
        self.problem = ClassifyProblem.of(*given, image=image, groups=groups, like=self.like)
        if again := met_again(self.examples, self.test):
            where = f"{again} of {len(self.test)} sequences of the test part"
            remark(f"{self.test.source}: {where} are in the training part too, value for value")

    def _parts(self, config: Options) -> tuple[Examples, Examples, str]:
        """The training part, the test part, and in words how they were told apart."""
        if config.file is None:
            examples = digits(pixels=config.pixels)
        else:
            file, beside = parts_of(config.file)
            config = replace(config, file=file, test=config.test or beside)
            examples = read(file, self.layout, labels=config.labels)
        if config.group is not None and examples.groups is None:
            raise InputError(f"{examples.source}: no column {config.group!r} for --group")
        if examples.channels:  # other files have to be as this one
            self.layout = replace(self.layout, channels=examples.channels, long=True)
        self.layout = examples.layout or self.layout
        self.target = self._target(examples, config)
        if config.test is not None:
            test = read(config.test, self.layout, labels=config.test_labels)
            check_alike(examples, test)
            if test.labels is None:
                raise InputError(f"{test.source}: has no labels to test with; to get some: statewise classify predict")
            return examples, test, f" ({config.test})"
        values = self.target.read(examples.labels or (), examples.source, examples.ids)
        groups = None if examples.groups is None else numbered(examples.groups, len(examples))
        kept, held = self.target.split(values, config.test_share, config.seed, groups)
        if not len(held):
            few = "no class has two sequences" if groups is None else f"no group of {config.group!r} can be spared"
            raise InputError(f"{examples.source}: {few}; give a test part with --test")
        of = " of each class" if isinstance(self.target, Classes) else ""
        of += "" if groups is None else f", in whole groups by {config.group!r}"
        how = f" ({100 * config.test_share:g} %{of}, split off with seed {config.seed})"
        return examples.select(kept), examples.select(held), how

    def _target(self, examples: Examples, config: Options) -> Target:
        """What the labels are: of a model that is trained further what they were."""
        if self.like is None:
            return target_of(examples.labels, examples.source, config.task, config.separator or examples.separator)
        target = self.like.target
        if examples.labels is None:
            raise InputError(f"{examples.source}: has no labels; --label names a table's column of them")
        if config.task not in (None, target.TASK):
            raise InputError(f"--task {config.task}: {config.from_} has learnt {target.TASK}")
        return target

    def facts(self) -> Facts:
        """What is classified, into what, where it is split, and by what network."""
        config, target = self.problem.config, self.problem.target
        facts = [
            ("", f"{self.name}: {_described(target)}"),
            ("training", self.examples.described()),
            ("test", self.test.described() + self.how),
            *report.input_facts(self.examples, self.problem),
            ("network", report.network_line(config, self.problem.network())),
            ("loss", report.loss_line(target, config.smoothing)),
        ]
        beside = self.problem.features
        return facts + ([("beside it", f"a {beside.LINEAR}")] if beside and self.problem.beside else [])

    def facts_of(self, model: Model) -> Facts:
        """What the network and what stands beside it count."""
        return [] if model.beside is None else [("counts", report.beside_line(model.beside))]

    def validated(self, scores: Any) -> str:
        """What the target says of them."""
        return self.target.validated_line(scores)

    def sample(self, model: Model) -> Sample:
        """Of what was held out."""
        return inspected.sample(model, self.test.sequences)

    def judge(self, model: Model) -> Outcome:
        """How many of the test part's sequences are taken for what they are, by the model and by baselines."""
        target = model.target
        name, scores, rocket = self.label, None, None
        if model.beside is not None:
            name = report.beside_name(self.label, model.beside)
            scores = model.beside.scores(model.encoder.encoded(self.test.sequences))
            left_out = self.problem.beside and self.problem.beside[1]
            if left_out is not None and not self.problem.config.balance:
                rocket = scores, left_out
        result = result_of(name, target, self.truth, model.predict(self.test.sequences, scores))
        others = [
            Score(name, {} if said is None else target.measured(self.truth, said))
            for name, said in baselines(model.encoder, target, self.examples, self.values, self.test, rocket)
        ]
        sizes = {"training": len(self.examples), "test": len(self.test), "source": self.examples.source}
        return Outcome(
            report.scores(result, others),
            report.verdict(result, others),
            {
                "data": {"name": self.name, **sizes},
                "task": target.TASK,
                "share": None if model.beside is None else model.beside.share,
                **report.metrics(result, others),
            },
            ending=result.ending(),
            blocks=report.blocks(self.test, result),
            files={"predictions.csv": predictions(self.test, target, result.said)},
        )


def _described(target: Target) -> str:
    """What is told, in words."""
    if isinstance(target, Classes | Labels):
        what = "classes" if isinstance(target, Classes) else "labels, any number of them each"
        return f"{len(target.names)} {what} ({listed(list(map(str, target.names)))})"
    return "a number each"
