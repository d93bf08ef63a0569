"""The job from a file to a run folder: read, split, train, compare, write, report."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from ..checkpoint import Checkpoint
from ..errors import InputError
from ..onlookers import onlookers
from ..options import recipe_of
from ..rank import leads
from ..report import Page
from ..runs import new_run, resumed_run
from ..watch import Record
from . import report
from .model import Model
from .network import Network
from .ngrams import baselines
from .sampling import Draw
from .settings import RECIPE, Plan, Shape
from .surprise import Score, Surprise
from .text import held_out, lines_of, read_text
from .training import corpora, streams_of, train
from .vocabulary import Corpus, Vocabulary

JOB = "write"
NAMES = Path(__file__).parents[1] / "data" / "names.txt"

TEMPERATURES = (0.5, 0.8, 1.0)
SHOWN = {True: 20, False: 600}  # lines, or symbols of a running text
JUDGED = 1000  # lines written to see how many of them are copies


@dataclass(frozen=True)
class Written:
    """What the model wrote."""

    samples: dict[float, list[str]]
    """By temperature: new lines, or one text."""
    copies: float | None = None
    """Of ``judged`` lines written at temperature 1, the share that stands in the file; None of a running text."""
    judged: int = 0


@dataclass(frozen=True, eq=False)
class Outcome:
    """How well the model, and counting, predict the part held out, and what the model wrote."""

    model: Score
    baselines: Sequence[Score]
    surprise: Surprise
    vocabulary: Vocabulary
    written: Written
    held: bool
    """Whether a part was held out; else all this is of the training part."""


def plan_of(args: argparse.Namespace) -> Plan:
    """How to train, from the options; without a file there are lines."""
    lines = args.lines or args.file is None
    shape = Shape.chosen(
        args.level,
        lines,
        cell=args.cell,
        units=args.units,
        layers=args.layers,
        embedding=args.embedding,
        dropout=args.dropout,
        tie=args.tie,
    )
    recipe = recipe_of(args, RECIPE)
    return Plan(args.level, lines, shape, recipe, args.epochs, args.steps, args.vocabulary, args.at_least)


def parts(args: argparse.Namespace, plan: Plan) -> tuple[str, str, str]:
    """The text to learn from, the one to validate with, empty where there is none, and in words where that is from."""
    if args.validation is not None:
        if args.file is None:
            raise InputError("--validation: needs FILE, the training part, as well")
        if args.validation_share is not None:
            raise InputError("--validation-share: says how much of FILE to hold out, but --validation names a file")
        return read_text(args.file), read_text(args.validation), f" ({args.validation})"
    text = read_text(args.file or NAMES)
    kept, held = held_out(text, args.validation_share, lines=plan.lines, level=plan.level, seed=plan.recipe.seed)
    return kept, held, f" (drawn with seed {plan.recipe.seed})" if plan.lines else " (the end of the text)"


def write(args: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Run the job that ``args`` describe. ``say`` gets what the user is to read."""
    plan = plan_of(args)
    text, held, how = parts(args, plan)
    name = report.name_of(args.file or NAMES)
    try:
        vocabulary, corpus, held_corpus = corpora(text, held, plan)
    except InputError as error:
        raise InputError(f"{args.file}: {error}") from None
    with _folder(args, name) as folder:
        facts = _facts(name, vocabulary, corpus, held_corpus, how, plan)
        say(facts)

        def page(history: Sequence[Record]) -> Page:
            return report.page(name, facts, history)

        with onlookers(f"training a {plan.shape.cell.upper()}", folder, page, args) as watch:
            checkpoint = Checkpoint(folder / "model.checkpoint", args.checkpoint_every)
            model, history = train(text, held, plan, watch=watch, checkpoint=checkpoint)
        if not leads():
            return
        model = replace(model, notes={"data": name})
        facts += f"\n  trained     {report.training_line(history)}"
        say(facts.rpartition("\n")[2] + "\n")
        outcome = judged(model, text, held, corpus, held_corpus)
        say(report.terminal(outcome))
        report.page(name, facts, history, outcome).write(folder / "report.html")
        report.write_samples(folder / "samples.txt", outcome)
        report.write_predictions(folder / "predictions.csv", outcome.surprise, vocabulary)
        model.save(folder / "model.safetensors")
        report.write_metrics(folder / "metrics.json", name, corpus, plan, history, outcome)
    say(f"\n{folder}: {', '.join(sorted(p.name for p in folder.iterdir()))}")


def judged(model: Model, text: str, held: str, corpus: Corpus, held_corpus: Corpus | None) -> Outcome:
    """What the model says of the part held out, of the training part where there is none, and what it writes."""
    test, vocabulary = held_corpus or corpus, model.vocabulary
    surprised = model.surprise(held or text)
    others = list(baselines(corpus, test, len(vocabulary), vocabulary.level))
    score = surprised.score(model.shape.cell.upper())
    known = set(lines_of(text)) | set(lines_of(held))
    return Outcome(score, others, surprised, vocabulary, written(model, known), held_corpus is not None)


def written(model: Model, known: set[str]) -> Written:
    """Samples at some temperatures; of lines, such as are not ``known``."""
    if not model.lines:
        length = SHOWN[False] if model.vocabulary.level == "char" else SHOWN[False] // 5
        return Written({t: model.samples(1, length=length, draw=Draw(t)) for t in TEMPERATURES})
    samples = {t: model.samples(SHOWN[True], draw=Draw(t), without=known) for t in TEMPERATURES}
    lines = model.samples(JUDGED, draw=Draw(1.0))
    return Written(samples, sum(line in known for line in lines) / JUDGED, JUDGED)


def _facts(name: str, vocabulary: Vocabulary, corpus: Corpus, held: Corpus | None, how: str, plan: Plan) -> str:
    network = Network(len(vocabulary), plan.shape)
    lines = [
        *report.data_lines(name, vocabulary, corpus, held, how),
        f"  network     {report.network_line(plan.shape, network)}",
    ]
    if not plan.lines:
        lines.append(f"  read        in {streams_of(corpus, plan)} streams, {plan.steps} steps at a time")
    return "\n".join(lines)


def _folder(args: argparse.Namespace, name: str) -> AbstractContextManager[Path]:
    return resumed_run(JOB, args.resume) if args.resume else new_run(JOB, name, args.out, args.typed)
