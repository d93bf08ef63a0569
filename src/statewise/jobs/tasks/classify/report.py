"""What this job alone says of a run: lines of the terminal, sections of the page, entries of metrics.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ... import experiment
from ...data.vocabulary import SPECIAL
from ...report import Block, Heading, Note, Picture, Table
from . import pictures
from .beside import Beside
from .config import ClassifyConfig
from .examples import Examples
from .network import Network
from .result import ClassResult, LabelScore, LabelsResult, NumberResult, Result, Score, formed
from .sequences import Rows
from .spelling import Spelling
from .targets import Classes, Number, Target, written
from .texts import Item, Texts
from .training import ClassifyProblem

MOST_CLASSES = 60  # whose scores are listed
UNITS = {"char": "characters", "word": "words", "subword": "pieces of words"}
EXCERPT = 300  # characters of a text


def network_line(config: ClassifyConfig, network: Network) -> str:
    """The network in a line."""
    ways = " in each direction" if config.bidirectional else ""
    heads = {"last": "the last state", "mean": "the mean", "max": "the maximum", "attention": "attention"}
    head = heads[config.head] + ("" if config.head == "last" else " over the steps")
    reads = [f"reads {config.segment} steps at a time"] if (config.segment or 1) > 1 else []
    return experiment.network_line(config, network, ways, head, *reads)


def beside_name(label: str, beside: Beside) -> str:
    """What the model is called, whose network is a ``label``."""
    kind = beside.features.KIND
    if not beside.share:
        return f"{kind} without the {label}"
    return f"{label} beside {kind}" if beside.linear else f"{label} without {kind}"


def beside_line(beside: Beside) -> str:
    """How much the network counts beside the linear model, in words."""
    linear = beside.features.LINEAR
    if not beside.share:
        return f"the network adds nothing to the {linear}, which says it alone"
    if not beside.linear:
        return f"the {linear} adds nothing to the network, which says it alone"
    return f"the {linear} times {beside.linear:.3g}, the network's outputs times {beside.share:.3g}"


def input_facts(examples: Examples, problem: ClassifyProblem) -> experiment.Facts:
    """How texts are found and read."""
    encoder, layout, texts = problem.encoder, examples.layout, problem.part[0]
    if not isinstance(encoder, Spelling) or not isinstance(texts, Texts):
        return []
    found: experiment.Facts = []
    if layout is not None and layout.text:
        said = f"{', '.join(layout.text)} as texts, {layout.label} as labels"
        found.append(("columns", f"{said}; --text and --label name others"))
    unit = "symbols" if encoder.lists else UNITS[encoder.vocabulary.level]
    known = len(encoder.vocabulary.symbols) - len(SPECIAL)
    long = sum(len(encoder.cut(item, whole=True)) > encoder.longest for item in texts.items)
    cut = f"; {long} texts are longer than {encoder.longest}: of those both ends" if long else ""
    found.append(("read", f"by {unit}, {known:,} known{cut}"))
    if problem.vectors:
        kept = "left as they are" if problem.config.vectors_frozen else "trained further"
        size = problem.config.embedding
        found.append(("vectors", f"of {size} numbers, of {len(problem.vectors):,} of them from a file, {kept}"))
    return found


def loss_line(target: Target, smoothing: float) -> str:
    """What the training loss is and what it can't be below: where labels are smoothed, that is their entropy."""
    if isinstance(target, Number):
        return "squared error, of numbers with mean 0 and spread 1"
    what = "cross entropy" if isinstance(target, Classes) else "binary cross entropy, the mean over the labels"
    if not smoothing:
        return what
    outputs = target.width if isinstance(target, Classes) else 2
    right, wrong = 1 - smoothing + smoothing / outputs, smoothing / outputs
    least = -right * math.log(right) - (outputs - 1) * wrong * math.log(wrong)
    return f"{what} with labels smoothed by {smoothing:g}, at least {least:.2f}"


def scores(result: Result, baselines: Sequence[Score]) -> Table:
    """How good the model and the baselines are."""
    target = result.target
    head = ("on the test part", *(name for name, _ in target.MEASURES.values()))
    rows = [
        [score.name, *(formed(target, score.measured) if score.measured else ["-"] * len(target.MEASURES))]
        for score in (result.score, *baselines)
    ]
    return Table(head, rows, caption=result.caption())


def verdict(result: Result, baselines: Sequence[Score]) -> tuple[str, bool]:
    """Whether the model beats all baselines in the measure that decides."""
    name, form = next(iter(result.target.MEASURES.values()))
    others = [(score.name, score.decides) for score in baselines if score.measured]
    return experiment.verdict(
        (result.name, result.score.decides), others, name, form=lambda value: written(form, value)
    )


def blocks(test: Examples, result: Result) -> list[Block]:
    """The sections of the page."""
    return [*DETAILS[type(result)](result), *mistakes(test, result)]


def _classes(result: ClassResult) -> list[Block]:
    """How each class is found, and what it is taken for."""
    rows, which = _shown(result.by_label, "classes")
    said = "Precision: how much of what was taken for the class is of it. Recall: how much of the class was found."
    return [
        Heading("Classes"),
        Table(("class", *LABEL_HEAD), [_label_row(score) for score in rows], caption=which + said),
        Picture(
            pictures.confusion_matrix(result),
            f"How often each class was taken for each, on the test part. {result.ending()}",
        ),
    ]


def _labels(result: LabelsResult) -> list[Block]:
    """How each label is found."""
    beside = dict(
        zip([s.label for s in result.by_label], zip(result.precisions, result.target.levels, strict=True), strict=True)
    )
    found, which = _shown(result.by_label, "labels")
    rows = []
    for score in found:
        precision, level = beside[score.label]
        rows.append([*_label_row(score), "-" if precision is None else f"{precision:.3f}", f"{level:.2f}"])
    said = "AP: the average precision over all thresholds. Threshold: the probability from which the label is said."
    return [Heading("Labels"), Table(("label", *LABEL_HEAD, "AP", "threshold"), rows, caption=which + said)]


def _numbers(result: NumberResult) -> list[Block]:
    """What is said beside what is true."""
    text = "Each sequence of the test part: what it is, and what is said. On the line both are equal."
    return [Heading("Predictions"), Picture(pictures.scatter(result), text)]


DETAILS: dict[type[Result], Any] = {ClassResult: _classes, LabelsResult: _labels, NumberResult: _numbers}
LABEL_HEAD = ("precision", "recall", "F1", "count")


def _label_row(score: LabelScore) -> list[str]:
    return [score.label, *(f"{v:.3f}" for v in (score.precision, score.recall, score.f1)), str(score.count)]


def _shown(found: list[LabelScore], what: str) -> tuple[list[LabelScore], str]:
    """All, or the worst of too many and a sentence that says so."""
    if len(found) <= MOST_CLASSES:
        return found, ""
    return sorted(found, key=lambda s: s.f1)[:MOST_CLASSES], f"The {MOST_CLASSES} worst of {len(found)} {what}. "


def mistakes(test: Examples, result: Result) -> list[Block]:
    """The worst mistakes and, of classes, the surest of what is right."""
    wrong = result.mistakes()
    found: list[Block] = [Heading("Mistakes" if len(wrong) else "Examples")]
    if len(wrong):
        shown = min(len(wrong), pictures.PANELS)
        kind = "surest" if isinstance(result, ClassResult) else "largest"
        text = f"The {shown} {kind} of {len(wrong)} mistakes: what is true, and what they were taken for."
        found.append(_some(test, result, wrong, text))
    else:
        found.append(Note("Every sequence of the test part was taken for what it is.", good=True))
    if isinstance(result, ClassResult) and len(right := pictures.one_of_each(result)):
        text = "Of each class the sequence that the model is surest of."
        found.append(_some(test, result, right, text))
    return found


def _some(test: Examples, result: Result, rows: Rows, text: str) -> Block:
    """The sequences ``rows``, drawn or, where they are texts, written."""
    if not isinstance(test.sequences, Texts):
        return Picture(pictures.some(test, result, rows), text)
    shown = [[_excerpt(test.sequences[row]), *result.titles(int(row))[:2]] for row in rows[: pictures.PANELS]]
    return Table(("text", "true", "taken for"), shown, caption=text)


def _excerpt(item: Item) -> str:
    """A text in a line, of a long one its beginning."""
    line = " ".join((item if isinstance(item, str) else " ".join(item)).split())
    return line if len(line) <= EXCERPT else line[:EXCERPT] + "…"


def metrics(result: Result, baselines: Sequence[Score]) -> dict[str, Any]:
    """What came out."""
    return {**result.score.measured, **result.metrics(), "baselines": [score.metrics() for score in baselines]}
