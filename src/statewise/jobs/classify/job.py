"""The job from files to a run folder: read, split, train, predict, compare, write."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
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
from .baselines import baselines
from .examples import Examples, check_alike, classes_of, targets_of
from .formats import digits, read
from .layout import Layout
from .model import Model
from .network import Network
from .result import Result, Score, score
from .sequences import Rows
from .settings import RECIPE, Plan, Shape
from .split import stratified
from .training import train

JOB = "classify"


def layout_of(args: argparse.Namespace) -> Layout:
    """How the files are to be read, from the options of ``command.add_layout``."""
    channels = tuple(args.channels.split(",")) if args.channels else None
    return Layout(args.id, args.label, args.time, channels, pixels=args.pixels, gaps=args.gaps)


def plan_of(args: argparse.Namespace, examples: Examples) -> Plan:
    """How to train, from the options; inputs of images are scaled all together."""
    shape = Shape(args.cell, args.units, args.layers, args.bidirectional, args.head, args.dropout)
    image = examples.picture is not None
    return Plan(
        shape,
        args.segment or (1 if image else None),
        recipe_of(args, RECIPE),
        args.epochs,
        balance=args.balance,
        smoothing=args.smoothing,
        validation=args.validation,
        scaling=args.scaling or ("all" if image else "channel"),
    )


def parts(args: argparse.Namespace) -> tuple[Examples, Examples, str]:
    """The training part, the test part, and in words how they were told apart."""
    layout = layout_of(args)
    if args.file is None:
        if args.test is not None:
            raise InputError("--test: needs FILE, the training part, as well")
        examples = digits(pixels=args.pixels)
    else:
        examples = read(args.file, layout, labels=args.labels)
    classes = classes_of(examples)
    if args.test is not None:
        test = read(args.test, _like(layout, examples), labels=args.test_labels)
        check_alike(examples, test)
        if test.labels is None:
            raise InputError(f"{test.source}: has no labels to test with; to get some: statewise classify predict")
        return examples, test, f" ({args.test})"
    kept, held = stratified(targets_of(examples, classes), args.test_share, args.seed or 0)
    if not len(held):
        raise InputError(f"{examples.source}: no class has two sequences; give a test part with --test")
    how = f" ({100 * args.test_share:g} % of each class, split off with seed {args.seed or 0})"
    return examples.select(kept), examples.select(held), how


def classify(args: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Run the job that ``args`` describe. ``say`` gets what the user is to read."""
    examples, test, how = parts(args)
    classes = classes_of(examples)
    targets, truth = targets_of(examples, classes), targets_of(test, classes)
    plan = plan_of(args, examples)
    with _folder(args, examples.name) as folder:
        facts = _facts(examples, test, classes, how, plan)
        say(facts)

        def page(history: Sequence[Record]) -> Page:
            return report.page(examples.name, facts, history)

        with onlookers(f"training a {plan.shape.cell.upper()}", folder, page, args) as watch:
            checkpoint = Checkpoint(folder / "model.checkpoint", args.checkpoint_every)
            model, history = train(examples.sequences, targets, classes, plan, watch=watch, checkpoint=checkpoint)
        if not leads():
            return
        model = replace(model, notes={"layout": asdict(_like(layout_of(args), examples)), "data": examples.name})
        say(f"  trained   {report.training_line(history)}\n")
        result = Result(plan.shape.cell.upper(), classes, truth, model.probabilities(test.sequences))
        others = compared(model, examples, targets, test, truth)
        say(report.table([result.score, *others]))
        say(report.interval(result))
        say(report.verdict(result.score, others)[0])
        say(report.confusions(result))
        facts += f"\n  trained   {report.training_line(history)}"
        report.page(examples.name, facts, history, test, result, others).write(folder / "report.html")
        report.write_predictions(folder / "predictions.csv", test, classes, result.probabilities)
        model.save(folder / "model.safetensors")
        sizes = {"name": examples.name, "training": len(examples), "test": len(test), "source": examples.source}
        report.write_metrics(folder / "metrics.json", sizes, plan, model.shape, history, result, others)
    files = ", ".join(sorted(p.name for p in folder.iterdir()))
    say(f"\n{folder}: {files}")


def compared(model: Model, examples: Examples, targets: Rows, test: Examples, truth: Rows) -> list[Score]:
    """The scores of the baselines."""
    batches, others = model.scaler.batches(examples.sequences), model.scaler.batches(test.sequences)
    found = baselines(batches, targets, others, images=examples.picture is not None)
    return [score(name, truth, predicted, len(model.classes)) for name, predicted in found]


def _facts(examples: Examples, test: Examples, classes: Sequence[str], how: str, plan: Plan) -> str:
    shape = plan.shape_for(examples.sequences.usual_length)
    network = Network(examples.sequences.channels, len(classes), shape)
    lines = (
        report.data_lines(examples, test, classes, how),
        f"  network   {report.network_line(shape, network)}",
        f"  loss      {report.loss_line(plan.smoothing, len(classes))}",
    )
    return "\n".join(lines)


def _folder(args: argparse.Namespace, name: str) -> AbstractContextManager[Path]:
    return resumed_run(JOB, args.resume) if args.resume else new_run(JOB, name, args.out, args.typed)


def _like(layout: Layout, examples: Examples) -> Layout:
    """The layout that other files are to be read with, so that they are as ``examples``."""
    return replace(layout, channels=examples.channels, long=True) if examples.channels else layout
