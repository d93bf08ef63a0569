"""What a run says: the lines on the terminal, ``report.html``, ``predictions.csv`` and ``metrics.json``."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import torch

from ..._version import __version__
from .. import atomic
from ..report import Block, Heading, Note, Page, Picture, Table, Text, loss_curve
from ..watch import Record
from . import pictures
from .examples import Examples
from .network import Network
from .result import Result, Score
from .settings import Plan, Shape

MOST_CLASSES = 60  # whose scores are listed


def data_lines(train: Examples, test: Examples, classes: Sequence[str], how: str) -> str:
    """What is classified, into what, and where it is split."""
    names = ", ".join(classes) if len(classes) <= 12 else f"{', '.join(classes[:10])} and {len(classes) - 10} more"
    return (
        f"{train.name}: {len(classes)} classes ({names})\n"
        f"  training  {train.described()}\n"
        f"  test      {test.described()}{how}"
    )


def network_line(shape: Shape, network: Network) -> str:
    """The network in a line."""
    size = sum(p.numel() for p in network.parameters())
    layers = f"{shape.layers} layers of {shape.units} units" if shape.layers > 1 else f"{shape.units} units"
    ways = " in each direction" if shape.bidirectional else ""
    heads = {"last": "the last state", "mean": "the mean", "max": "the maximum", "attention": "attention"}
    over = "" if shape.head == "last" else " over the steps"
    reads = f", reads {shape.segment} steps at a time" if shape.segment > 1 else ""
    return f"{shape.cell.upper()}, {layers}{ways}, {heads[shape.head]}{over}{reads}, {size:,} parameters"


def loss_line(smoothing: float, classes: int) -> str:
    """What the training loss is and what it can't be below: where labels are smoothed, that is their entropy."""
    if not smoothing:
        return "cross entropy"
    right, wrong = 1 - smoothing + smoothing / classes, smoothing / classes
    least = -right * math.log(right) - (classes - 1) * wrong * math.log(wrong)
    return f"cross entropy with labels smoothed by {smoothing:g}, at least {least:.2f}"


def training_line(history: Sequence[Record]) -> str:
    """How long was trained."""
    last = history[-1]
    held = [record for record in history if record.get("validation")]
    best = min(held, key=lambda r: r["validation"]["loss"]) if held else None
    kept = (
        f"; best epoch {best['epoch']}, validation accuracy {100 * best['validation']['accuracy']:.1f} %"
        if best is not None
        else ""
    )
    return f"{last['epoch']} epochs, {last['update']} updates, {last['seconds']:.1f} s{kept}"


def table(scores: Sequence[Score]) -> str:
    """The table of scores; the first is the model's."""
    width = max(len("on the test part"), *(len(s.name) for s in scores))
    head = f"{'on the test part':{width}}  {'accuracy':>9}  {'macro F1':>8}"
    return "\n".join([head, *(f"{s.name:{width}}  {100 * s.accuracy:7.2f} %  {s.f1:8.3f}" for s in scores)])


def interval(result: Result) -> str:
    """How well a test part of this size tells the model's accuracy."""
    low, high = (100 * share for share in result.interval)
    judged = f"Judged by {len(result.truth)} sequences, the accuracy of the {result.name}"
    return f"{judged} is between {low:.1f} and {high:.1f} % (95 % confidence)."


def verdict(model: Score, baselines: Sequence[Score]) -> tuple[str, bool]:
    """One line: does the model beat the baselines, and where not; and whether that is good news."""
    better = [b for b in baselines if b.accuracy > model.accuracy]
    if better:
        to = "; to ".join(f"{b.name} ({100 * b.accuracy:.2f} %)" for b in better)
        return f"The {model.name} loses in accuracy ({100 * model.accuracy:.2f} %) to {to}.", False
    best = max(baselines, key=lambda s: s.accuracy)
    if best.accuracy == model.accuracy:
        return f"The {model.name} is no better than {best.name}: {100 * model.accuracy:.2f} % both.", False
    wrong = " instead of ".join(f"{100 * (1 - s.accuracy):.2f} %" for s in (model, best))
    return f"The {model.name} beats the best baseline, {best.name}: {wrong} are wrong.", True


def confusions(result: Result, most: int = 3) -> str:
    """The pairs of classes that were most often confused; nothing where nothing was."""
    counts = result.confusion.copy()
    counts[range(len(counts)), range(len(counts))] = 0
    pairs = sorted(zip(*counts.nonzero(), strict=True), key=lambda pair: -counts[pair])[:most]
    said = [
        f"{result.classes[i]} for {result.classes[j]} ({f'{counts[i, j]} times' if counts[i, j] > 1 else 'once'})"
        for i, j in pairs
    ]
    return f"Most often taken: {', '.join(said)}." if said else ""


def page(
    about: str,
    facts: str,
    history: Sequence[Record],
    test: Examples | None = None,
    result: Result | None = None,
    baselines: Sequence[Score] = (),
) -> Page:
    """The report: of a training that runs or, with ``result`` on ``test``, of a run that is done."""
    blocks: list[Block] = []
    if test is not None and result is not None:
        text, good = verdict(result.score, baselines)
        blocks += [Note(text, good), _scores(result, baselines)]
    blocks += [Text(facts, plain=True), *_curves(history)]
    if test is not None and result is not None:
        blocks += [*_classes(result), *_examples(test, result)]
    return Page(about, "statewise classify", blocks, running=result is None)


def _scores(result: Result, baselines: Sequence[Score]) -> Table:
    rows = [[s.name, f"{100 * s.accuracy:.2f} %", f"{s.f1:.3f}"] for s in (result.score, *baselines)]
    return Table(("on the test part", "accuracy", "macro F1"), rows, strong=0, caption=interval(result))


def _curves(history: Sequence[Record]) -> list[Block]:
    if not history:
        return []
    accuracies = [r["validation"]["accuracy"] for r in history if r.get("validation")]
    text = "The loss by update."
    if accuracies:
        text += f" The accuracy on the validation part is {100 * accuracies[-1]:.2f} % in the end."
    return [Heading("Training"), Picture(loss_curve(history), text)]


def _classes(result: Result) -> list[Block]:
    scores = result.by_class
    shown = sorted(scores, key=lambda s: s.f1)[:MOST_CLASSES] if len(scores) > MOST_CLASSES else scores
    rows = [[s.label, f"{s.precision:.3f}", f"{s.recall:.3f}", f"{s.f1:.3f}", str(s.count)] for s in shown]
    which = f"The {MOST_CLASSES} worst of {len(scores)} classes. " if len(scores) > MOST_CLASSES else ""
    said = "Precision: how much of what was taken for the class is of it. Recall: how much of the class was found."
    return [
        Heading("Classes"),
        Table(("class", "precision", "recall", "F1", "count"), rows, caption=which + said),
        Picture(
            pictures.confusion_matrix(result),
            f"How often each class was taken for each, on the test part. {confusions(result)}",
        ),
    ]


def _examples(test: Examples, result: Result) -> list[Block]:
    mistakes = result.mistakes
    blocks: list[Block] = [Heading("Mistakes" if len(mistakes) else "Examples")]
    if len(mistakes):
        shown = min(len(mistakes), pictures.PANELS)
        text = f"The {shown} surest of {len(mistakes)} mistakes: the true class, and the one they were taken for."
        blocks.append(Picture(pictures.some(test, result, mistakes), text))
    else:
        blocks.append(Note("Every sequence of the test part was taken for what it is.", good=True))
    right = pictures.one_of_each(test, result)
    if len(right):
        text = "Of each class the sequence that the model is surest of."
        blocks.append(Picture(pictures.some(test, result, right), text))
    return blocks


def write_predictions(path: Path, examples: Examples, classes: Sequence[Any], probabilities: Any) -> None:
    """A row for each sequence: its id, its true label where it has one, the predicted one, each class's probability."""
    labels = [str(label) for label in classes]
    columns: dict[str, Any] = {"id": list(examples.ids)}
    if examples.labels is not None:
        columns["label"] = list(examples.labels)
    columns["predicted"] = [labels[place] for place in probabilities.argmax(1)]
    columns |= {f"p({label})": probabilities[:, place] for place, label in enumerate(labels)}
    atomic.write(path, pl.DataFrame(columns).write_csv())


def write_metrics(
    path: Path,
    sizes: Mapping[str, Any],
    plan: Plan,
    shape: Shape,
    history: Sequence[Record],
    result: Result,
    baselines: Sequence[Score],
) -> None:
    """Everything that is needed to know what was run, and what came out."""
    low, high = result.interval
    last: dict[str, Any] = {**history[-1]}
    content = {
        "data": dict(sizes),
        "accuracy": result.score.accuracy,
        "interval": [low, high],
        "f1": result.score.f1,
        "log_loss": result.log_loss,
        "classes": [asdict(score) for score in result.by_class],
        "confusion": result.confusion.tolist(),
        "baselines": [asdict(score) for score in baselines],
        "network": asdict(shape),
        "recipe": asdict(plan.recipe),
        "plan": {name: getattr(plan, name) for name in ("epochs", "balance", "smoothing", "validation", "scaling")},
        "training": {name: last[name] for name in ("epoch", "update", "seconds", "loss")},
        "threads": torch.get_num_threads(),
        "versions": {
            "statewise": __version__,
            "torch": version("torch"),
            "scikit-learn": version("scikit-learn"),
            "python": platform.python_version(),
        },
    }
    atomic.write(path, json.dumps(content, indent=1) + "\n")
