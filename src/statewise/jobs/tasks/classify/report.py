"""What this job alone says of a run: lines of the terminal, sections of the page, entries of metrics.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from ... import experiment
from ...report import Block, Heading, Note, Picture, Table
from . import pictures
from .config import ClassifyConfig
from .examples import Examples
from .network import Network
from .result import Result, Score

MOST_CLASSES = 60  # whose scores are listed


def network_line(config: ClassifyConfig, network: Network) -> str:
    """The network in a line."""
    ways = " in each direction" if config.bidirectional else ""
    heads = {"last": "the last state", "mean": "the mean", "max": "the maximum", "attention": "attention"}
    head = heads[config.head] + ("" if config.head == "last" else " over the steps")
    reads = [f"reads {config.segment} steps at a time"] if (config.segment or 1) > 1 else []
    return experiment.network_line(config, network, ways, head, *reads)


def loss_line(smoothing: float, classes: int) -> str:
    """What the training loss is and what it can't be below: where labels are smoothed, that is their entropy."""
    if not smoothing:
        return "cross entropy"
    right, wrong = 1 - smoothing + smoothing / classes, smoothing / classes
    least = -right * math.log(right) - (classes - 1) * wrong * math.log(wrong)
    return f"cross entropy with labels smoothed by {smoothing:g}, at least {least:.2f}"


def scores(result: Result, baselines: Sequence[Score]) -> Table:
    """How good the model and the baselines are."""
    rows = [[s.name, experiment.percent(s.accuracy), f"{s.f1:.3f}"] for s in (result.score, *baselines)]
    return Table(("on the test part", "accuracy", "macro F1"), rows, caption=interval(result))


def interval(result: Result) -> str:
    """How well a test part of this size tells the model's accuracy."""
    low, high = (100 * share for share in result.interval)
    judged = f"Judged by {len(result.truth)} sequences, the accuracy of the {result.name}"
    return f"{judged} is between {low:.1f} and {high:.1f} % (95 % confidence)."


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


def classes(result: Result) -> list[Block]:
    """How each class is found, and what it is taken for."""
    found = result.by_class
    shown = sorted(found, key=lambda s: s.f1)[:MOST_CLASSES] if len(found) > MOST_CLASSES else found
    rows = [[s.label, f"{s.precision:.3f}", f"{s.recall:.3f}", f"{s.f1:.3f}", str(s.count)] for s in shown]
    which = f"The {MOST_CLASSES} worst of {len(found)} classes. " if len(found) > MOST_CLASSES else ""
    said = "Precision: how much of what was taken for the class is of it. Recall: how much of the class was found."
    return [
        Heading("Classes"),
        Table(("class", "precision", "recall", "F1", "count"), rows, caption=which + said),
        Picture(
            pictures.confusion_matrix(result),
            f"How often each class was taken for each, on the test part. {confusions(result)}",
        ),
    ]


def mistakes(test: Examples, result: Result) -> list[Block]:
    """The surest mistakes, and the surest of what is right."""
    wrong = result.mistakes
    blocks: list[Block] = [Heading("Mistakes" if len(wrong) else "Examples")]
    if len(wrong):
        shown = min(len(wrong), pictures.PANELS)
        text = f"The {shown} surest of {len(wrong)} mistakes: the true class, and the one they were taken for."
        blocks.append(Picture(pictures.some(test, result, wrong), text))
    else:
        blocks.append(Note("Every sequence of the test part was taken for what it is.", good=True))
    right = pictures.one_of_each(test, result)
    if len(right):
        text = "Of each class the sequence that the model is surest of."
        blocks.append(Picture(pictures.some(test, result, right), text))
    return blocks


def predictions(examples: Examples, classes: Sequence[Any], probabilities: Any) -> str:
    """A row for each sequence: its id, its true label where it has one, the predicted one, each class's probability."""
    labels = [str(label) for label in classes]
    columns: dict[str, Any] = {"id": list(examples.ids)}
    if examples.labels is not None:
        columns["label"] = list(examples.labels)
    columns["predicted"] = [labels[place] for place in probabilities.argmax(1)]
    columns |= {f"p({label})": probabilities[:, place] for place, label in enumerate(labels)}
    return pl.DataFrame(columns).write_csv()


def metrics(result: Result, baselines: Sequence[Score]) -> dict[str, Any]:
    """What came out."""
    return {
        "accuracy": result.score.accuracy,
        "interval": list(result.interval),
        "f1": result.score.f1,
        "log_loss": result.log_loss,
        "classes": [asdict(score) for score in result.by_class],
        "confusion": result.confusion.tolist(),
        "baselines": [asdict(score) for score in baselines],
    }
