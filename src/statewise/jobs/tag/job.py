"""The job from files to a run folder: read, split, train, predict, compare, write."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .. import atomic
from ..checkpoint import Checkpoint
from ..errors import InputError
from ..onlookers import onlookers
from ..options import recipe_of
from ..parallel import find_device
from ..rank import leads
from ..report import Page
from ..runs import new_run, resumed_run
from ..watch import Record
from . import example, report
from .baselines import baselines
from .command import layout_of
from .corpus import Corpus, all_of, counted
from .formats import read
from .layout import CONLLU, Layout
from .model import Model
from .result import Result, Score, score
from .settings import RECIPE, Plan, Shape
from .spans import are_spans
from .training import Lesson, split, train

JOB = "tag"


@dataclass(frozen=True)
class Parts:
    """The sentences to train on, to validate with (None: some of those) and to test with."""

    train: Corpus
    dev: Corpus | None
    test: Corpus
    layout: Layout
    name: str
    how: str
    """In words how the test part came about."""


def parts_of(args: argparse.Namespace) -> Parts:
    """The parts that ``args`` name; what is not named is split off."""
    if args.file is None:
        if args.test or args.dev:
            raise InputError(f"--{'test' if args.test else 'dev'}: needs FILE, the training part, as well")
        corpus, found, name = example.sentences(), Layout(), "built-in sentences"
    else:
        corpus, found = read(args.file, layout_of(args))
        name = plain_name(args.file)
    if args.dev and args.validation is not None:
        raise InputError("--validation: there is a validation part already, given with --dev")
    dev = _beside(args.dev, args, corpus, found) if args.dev else None
    if args.test:
        return Parts(corpus, dev, _beside(args.test, args, corpus, found), found, name, f" ({args.test})")
    ours, test = split(corpus, args.test_share, args.seed or 0)
    if test is None:
        raise InputError(f"{corpus.source}: {corpus.described()}, too few to split; give a test part with --test")
    how = f" ({100 * args.test_share:g} %, split off with seed {args.seed or 0})"
    return Parts(ours, dev, test, found, name, how)


def _beside(path: Path, args: argparse.Namespace, corpus: Corpus, found: Layout) -> Corpus:
    """The sentences in ``path``, read as those of ``corpus`` were."""
    other, _ = read(path, layout_of(args), remembered=found)
    if len(other.features) != len(corpus.features):
        expected = counted(len(corpus.features), "feature")
        raise InputError(f"{path}: expected {expected} of every word, got {len(other.features)}")
    return other


def plan_of(args: argparse.Namespace) -> Plan:
    """How to train, from the options."""
    shape = Shape(
        args.cell,
        args.units,
        args.layers,
        args.word_size,
        args.character_units,
        args.feature_size,
        args.dropout,
        args.crf,
    )
    return Plan(shape, recipe_of(args, RECIPE), args.least, args.validation)


def tag(args: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Run the job that ``args`` describe. ``say`` gets what the user is to read."""
    plan = plan_of(args)
    find_device(plan.recipe.device)
    parts = parts_of(args)
    lesson = Lesson.of(parts.train, plan, parts.dev)
    with _folder(args, parts.name) as folder:
        facts = _facts(parts, lesson, plan)
        say(facts)

        def page(history: Sequence[Record]) -> Page:
            return report.page(parts.name, facts, history)

        with onlookers(f"training a {plan.shape.cell.upper()}", folder, page, args) as watch:
            checkpoint = Checkpoint(folder / "model.checkpoint", args.checkpoint_every)
            model, history = train(lesson, plan, watch=watch, checkpoint=checkpoint)
        if not leads():
            return
        model = replace(model, notes={"layout": asdict(parts.layout), "data": parts.name})
        say(f"  trained     {report.training_line(history)}\n")
        result = tested(model, parts)
        others = compared(parts, result)
        say(report.table([result.score, *others]))
        say(report.unknown_line(result))
        say(report.verdict(result.score, others)[0])
        facts += f"\n  trained     {report.training_line(history)}"
        report.page(parts.name, facts, history, result, others).write(folder / "report.html")
        write_tagged(folder, parts.test, result, parts.layout)
        model.save(folder / "model.safetensors")
        data = {
            "name": parts.name,
            "training": len(lesson.corpus),
            "test": len(parts.test),
            "source": parts.train.source,
        }
        report.write_metrics(folder / "metrics.json", data, plan, history, result, others)
    files = ", ".join(sorted(p.name for p in folder.iterdir()))
    say(f"\n{folder}: {files}")


def tested(model: Model, parts: Parts) -> Result:
    """What the model says of the test part."""
    truth = parts.test.known_tags
    known = frozenset(all_of(parts.train.words))
    of_spans = are_spans({*model.vocabulary.tags, *all_of(truth)})
    return Result(model.shape.cell.upper(), parts.test.words, truth, model.tags(parts.test), known, of_spans)


def compared(parts: Parts, result: Result) -> list[Score]:
    """The scores of the baselines."""
    found = baselines(parts.train, parts.test, parts.layout.features)
    return [score(name, result.truth, tags, of_spans=result.of_spans) for name, tags in found]


def write_tagged(folder: Path, test: Corpus, result: Result, layout: Layout) -> None:
    """The test part with the predicted tags: in CoNLL-U in the place of the true ones, else in a column after them."""
    document = test.as_document()
    conllu = layout.format == CONLLU and test.document is not None
    text = document.with_tags(result.predicted, beside=not conllu)
    atomic.write(folder / ("predictions.conllu" if conllu else "predictions.conll"), text)


def plain_name(path: Path) -> str:
    """The name of the data in ``path``: without endings, and without what says which part it is."""
    name = re.sub(r"(\.(gz|conllu|conll|txt|tsv|iob2?|bio|pos))+$", "", path.name, flags=re.IGNORECASE)
    name = re.sub(r"[-_.]?train$", "", name, flags=re.IGNORECASE)
    return name or path.absolute().parent.name or "data"


def _facts(parts: Parts, lesson: Lesson, plan: Plan) -> str:
    if lesson.held_out is None:
        held = "none"
    else:
        where = " (split off the training part)" if parts.dev is None else f" ({parts.dev.source})"
        held = lesson.held_out.described() + where
    tags = lesson.vocabulary.tags
    lines = report.data_lines(parts.name, lesson.corpus, parts.test, parts.how, held, tags, are_spans(tags))
    return f"{lines}\n  network     {report.network_line(plan.shape, lesson.network(plan))}"


def _folder(args: argparse.Namespace, name: str) -> AbstractContextManager[Path]:
    return resumed_run(JOB, args.resume) if args.resume else new_run(JOB, name, args.out, args.typed)
