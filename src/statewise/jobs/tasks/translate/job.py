"""What is this job's own between its options and a full run folder: parts, facts, baselines, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from ....inspecting.sample import Sample
from ... import experiment
from ...config import part_of
from ...data.content import plain_name
from ...errors import InputError
from ...experiment import Facts, Outcome, network_line
from . import inspected, report
from .answer import predictions
from .config import Layout, Options, TranslateConfig
from .model import Model
from .pairs import dates, read
from .result import baselines, score
from .training import TranslateProblem


class Translate(experiment.Job[Options, Model]):
    """Learns to write targets for one part of the sources and is tested on another."""

    kind = "translate"
    problem: TranslateProblem

    def __init__(self, config: Options) -> None:
        self.options, told = config, part_of(Layout, config)
        if config.file is None:
            self.train_part, self.layout, self.name = dates(), Layout(), "built-in dates"
        else:
            self.train_part, self.layout = read(config.file, told)
            self.name = plain_name(config.file)
        held_out = read(config.validation, self.layout)[0] if config.validation else None
        if config.test:
            self.test, self.how = read(config.test, self.layout)[0], f" ({config.test})"
            if known := len(self.test.groups().keys() & self.train_part.groups().keys()):
                self.how += f", {known:,} of its sources are in the training part too"
        else:
            self.train_part, test = self.train_part.split(config.test_share, config.seed)
            if test is None:
                about = f"{self.train_part.where}: {self.train_part.described()}"
                raise InputError(f"{about}, too few to split; give a test part with --test")
            self.test = test
            self.how = f" ({100 * config.test_share:g} % of the sources, split off with seed {config.seed})"
        self.problem = TranslateProblem.of(part_of(TranslateConfig, config), self.train_part, held_out, self.like)
        if self.problem.sentences:
            import_module("sacrebleu")  # where that isn't installed, it is said before training

    @property
    def title(self) -> str:
        """The heading of the report."""
        return f"{self.name}: a text for a text"

    def facts(self) -> Facts:
        """What is read and written, where it is split, and by what network."""
        problem, held = self.problem, "none"
        if problem.held_out is not None:
            where = f" ({self.config.validation})" if self.config.validation else " (split off the training part)"
            held = problem.held_out.described() + where
        first = [report.short(side[0]) for side in (problem.pairs.sources, problem.pairs.known_targets)]
        ways = " in the decoder and in each direction of the encoder"
        columns = f"column {self.layout.source} to column {self.layout.target}" if self.config.file else "as 2026-11-27"
        return [
            ("", f"{self.name}: {columns}, such as {first[0]!r} to {first[1]!r}"),
            ("training", problem.pairs.described()),
            ("validation", held),
            ("test", self.test.described() + self.how),
            ("symbols", report.symbols_line(problem.source, problem.target)),
            ("network", network_line(problem.config, problem.network(), ways, f"{problem.config.attention} attention")),
        ]

    def validated(self, scores: Mapping[str, float]) -> str:
        """How much is wrong."""
        return f"{100 * scores['exact']:.2f} % exact, {100 * scores['error rate']:.2f} % of the symbols wrong"

    def sample(self, model: Model) -> Sample:
        """Of what was held out."""
        return inspected.sample(model, self.test)

    def judge(self, model: Model) -> Outcome:
        """How good the targets are that the model, and baselines, write for the sources of the test part."""
        sentences, best = self.problem.sentences, [each[0] for each in model.translate(self.test)]
        written = [each.text for each in best]
        found = score(self.label, self.test, written, sentences=sentences)
        others = [
            score(name, self.test, said, sentences=sentences) for name, said in baselines(self.train_part, self.test)
        ]
        result = report.Result(model, self.test, best)
        sizes = {"training": len(self.problem.pairs), "test": len(self.test), "source": self.train_part.where}
        return Outcome(
            report.table(found, others),
            report.verdict(found, others, characters=model.target.level == "char"),
            {"data": {"name": self.name, **sizes}, **vars(found), "baselines": [vars(each) for each in others]},
            blocks=report.blocks(result),
            files={"predictions.csv": predictions(self.test, [[each] for each in best])},
        )
