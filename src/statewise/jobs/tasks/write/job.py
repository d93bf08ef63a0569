"""What is this job's own between its options and a full run folder: parts, what it writes, what counting reaches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ....inspecting.sample import Sample
from ... import experiment
from ...config import part_of
from ...data.content import plain_name
from ...errors import InputError
from ...experiment import Facts, Outcome
from . import inspected, report
from .answer import described
from .config import Draw, Options, WriteConfig
from .model import Model
from .ngrams import baselines
from .text import held_out, lines_of, read_text
from .training import WriteProblem

NAMES = Path(__file__).parents[2] / "data" / "names.txt"

TEMPERATURES = (0.5, 0.8, 1.0)
SHOWN = {"char": 600, "word": 120, "subword": 200}  # symbols of a running text
LINES = 20
JUDGED = 1000  # lines written to see how many of them are copies


class Write(experiment.Job[Options, Model]):
    """Learns one part of a text and is judged by another."""

    kind = "write"
    problem: WriteProblem

    def __init__(self, config: Options) -> None:
        config = self.options = replace(config, lines=config.lines or config.file is None)
        self.text, self.held, self.how = self._parts(config)
        self.name = plain_name(config.file or NAMES)
        try:
            self.problem = WriteProblem.of(part_of(WriteConfig, config), self.text, self.held, self.like)
        except InputError as error:
            raise InputError(f"{config.file or 'the built-in names'}: {error}") from None

    def _parts(self, config: Options) -> tuple[str, str, str]:
        """The text to learn, the one to validate with, empty where there is none, and in words where that is from."""
        text = read_text(config.file or NAMES)
        if config.validation is not None:
            return text, read_text(config.validation), f" ({config.validation})"
        kept, held = held_out(text, config.validation_share, lines=config.lines, level=config.level, seed=config.seed)
        return kept, held, f" (drawn with seed {config.seed})" if config.lines else " (the end of the text)"

    @property
    def title(self) -> str:
        """The heading of the report."""
        return f"{self.name}: to write as a text is written"

    def facts(self) -> Facts:
        """What is learnt from, what is held out, and by what network."""
        problem, known, plan = self.problem, self.problem.vocabulary, self.problem.config
        tied = "tied embedding" if plan.tie else f"embedding of {plan.embedding}"
        held = "none: nothing tells how well other text is predicted"
        if problem.held_out is not None:
            held = described(problem.held_out, known) + self.how
        facts = [
            ("", f"{self.name}: {len(known):,} different {known.noun}s"),
            ("training", described(problem.corpus, known)),
            ("validation", held),
            ("network", experiment.network_line(plan, problem.network(), "", tied)),
        ]
        return facts if plan.lines else [*facts, ("read", f"in {plan.batch} streams, {plan.steps} steps at a time")]

    def facts_of(self, model: Model) -> Facts:
        """The cache."""
        return [] if model.cache is None else [("cache", report.cache_line(model.cache))]

    def sample(self, model: Model) -> Sample:
        """Of what was held out."""
        return inspected.sample(model, self.held or self.text)

    def judge(self, model: Model) -> Outcome:
        """How well the model and counting predict the part held out, or else the one learnt, and what it writes."""
        problem, vocabulary = self.problem, model.vocabulary
        test, which = problem.held_out or problem.corpus, "validation" if problem.held_out else "training"
        found = model.likelihood(self.held or self.text)
        score = found.score(self.label if model.cache is None else f"{self.label} with its cache")
        alone = [] if found.alone is None else [found.alone.score(f"{self.label} without it")]
        others = list(baselines(problem.corpus, test, len(vocabulary), vocabulary.level))
        wrote = self.written(model)
        return Outcome(
            report.table([score, *alone, *others], found, vocabulary, which),
            report.verdict(score, others, vocabulary.noun, held=problem.held_out is not None),
            {
                "data": {"name": self.name, "training": len(problem.corpus.ids), "symbols": len(vocabulary)},
                "part": which,
                **report.metrics(score, others, found),
                **report.cached(model.cache, alone),
                "copies": wrote.copies,
            },
            ending=report.sample(wrote),
            blocks=[*report.samples(wrote), *report.surprising(found, vocabulary, which)],
            files={"samples.txt": wrote.to_text(), "predictions.csv": found.by_line(vocabulary).write_csv()},
        )

    def written(self, model: Model) -> report.Written:
        """Samples at some temperatures; of lines, such as are not known."""
        if not model.lines:
            length = SHOWN[model.vocabulary.level]
            draws = {t: Draw(temperature=t) for t in TEMPERATURES}
            return report.Written({t: model.samples(1, length=length, draw=draw) for t, draw in draws.items()})
        known = set(lines_of(self.text)) | set(lines_of(self.held))
        samples = {t: model.samples(LINES, draw=Draw(temperature=t), without=known) for t in TEMPERATURES}
        lines = model.samples(JUDGED, draw=Draw(temperature=1.0))
        return report.Written(samples, sum(line in known for line in lines) / JUDGED, JUDGED)
