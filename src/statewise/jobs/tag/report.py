"""What a run says: the lines on the terminal, ``report.html`` and ``metrics.json``."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..._version import __version__
from .. import atomic
from ..report import Block, Heading, Note, Page, Picture, Table, Text, Word, Words, loss_curve
from ..watch import Record
from .corpus import Corpus
from .network import Network
from .result import Result, Score
from .settings import Plan, Shape
from .spans import type_of

NAMED = 12  # tags or types that are listed in a line
WIDEST = 750  # pixels of a table of all pairs of tags
MOST_ROWS = 60
SHOWN = 12  # sentences with wrong tags


def data_lines(name: str, train: Corpus, test: Corpus, how: str, held: str, tags: Sequence[str], of_spans: bool) -> str:
    """What is tagged, with which tags, and where it is split."""
    return (
        f"{name}: {_tags_line(tags, of_spans)}\n"
        f"  training    {train.described()}\n"
        f"  validation  {held}\n"
        f"  test        {test.described()}{how}"
    )


def _tags_line(tags: Sequence[str], of_spans: bool) -> str:
    if not of_spans:
        return f"{len(tags)} tags ({_listed(tags)})"
    types = sorted({type_of(tag) for tag in tags} - {""})
    return f"{len(tags)} tags that mark spans" + (f" of {len(types)} types ({_listed(types)})" if types else "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED else f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"


def network_line(shape: Shape, network: Network) -> str:
    """The network in a line."""
    size = sum(p.numel() for p in network.parameters())
    layers = f"{shape.layers} layers of " if shape.layers > 1 else ""
    reads = ["words", *(["characters"] if shape.character_units else []), *(["features"] if network.features else [])]
    crf = ", a CRF" if shape.crf else ""
    read = " and ".join([", ".join(reads[:-1]), reads[-1]] if len(reads) > 1 else reads)
    return f"{shape.cell.upper()}, {layers}{shape.units} units in each direction over {read}{crf}, {size:,} parameters"


def training_line(history: Sequence[Record]) -> str:
    """How long was trained, and how good that was where it was best."""
    last = history[-1]
    held = [record["validation"] | {"epoch": record["epoch"]} for record in history if record.get("validation")]
    kept = ""
    if held:
        measure = next(iter(held[0]))
        best = min(held, key=lambda scores: scores[measure])
        said = measure.removeprefix("1 - ")
        kept = f"; best epoch {best['epoch']}, validation {said} {100 * (1 - best[measure]):.2f} %"
    return f"{last['epoch']} epochs, {last['update']} updates, {last['seconds']:.1f} s{kept}"


def _cells(score: Score) -> list[str]:
    spans = score.spans
    shares = [score.accuracy, *([spans.precision, spans.recall, spans.f1] if score.of_spans else [])]
    return [f"{100 * share:.2f} %" for share in shares]


def _head(of_spans: bool) -> list[str]:
    return ["accuracy", *(["precision", "recall", "F1"] if of_spans else [])]


def table(scores: Sequence[Score]) -> str:
    """The table of scores; the first is the model's."""
    rows = [["on the test part", *_head(scores[0].of_spans)], *([s.name, *_cells(s)] for s in scores)]
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{row[0]:{width}}" + "".join(f"  {cell:>9}" for cell in row[1:]) for row in rows)


def unknown_line(result: Result) -> str:
    """How the model does on words that it hasn't seen; nothing where there is none."""
    counts = result.unknown
    if not counts.there:
        return ""
    share = 100 * counts.there / sum(map(len, result.words))
    return (
        f"{share:.1f} % of the words do not occur in training; {100 * counts.recall:.2f} % of those are tagged right."
    )


def verdict(model: Score, baselines: Sequence[Score]) -> tuple[str, bool]:
    """One line: does the model beat the baselines, and where not; and whether that is good news."""
    better = [b for b in baselines if b.value > model.value]
    measure = model.measure
    if better:
        to = "; to ".join(f"{b.name} ({100 * b.value:.2f} %)" for b in better)
        return f"The {model.name} loses in {measure} ({100 * model.value:.2f} %) to {to}.", False
    best = max(baselines, key=lambda s: s.value)
    if best.value == model.value:
        return f"The {model.name} is no better than {best.name}: {measure} {100 * model.value:.2f} % both.", False
    said = f"{measure} {100 * model.value:.2f} % against {100 * best.value:.2f} %"
    return f"The {model.name} beats the best baseline, {best.name}: {said}.", True


def page(
    about: str,
    facts: str,
    history: Sequence[Record],
    result: Result | None = None,
    baselines: Sequence[Score] = (),
) -> Page:
    """The report: of a training that runs or, with ``result``, of a run that is done."""
    blocks: list[Block] = []
    if result is not None:
        text, good = verdict(result.score, baselines)
        scores = [result.score, *baselines]
        rows = [[s.name, *_cells(s)] for s in scores]
        head = ["on the test part", *_head(result.of_spans)]
        blocks += [Note(text, good), Table(head, rows, strong=0, caption=unknown_line(result))]
    blocks += [Text(facts, plain=True), *_curves(history)]
    if result is not None:
        blocks += [
            Heading("Spans" if result.of_spans else "Tags"),
            _types(result),
            *_confusion(result),
            *_sentences(result),
        ]
    return Page(f"{about}: a tag for every word", "statewise tag", blocks, running=result is None)


def _curves(history: Sequence[Record]) -> list[Block]:
    if not history:
        return []
    said = "The loss of a word by update, and what the validation part says at the end of every epoch."
    return [Heading("Training"), Picture(loss_curve(history), said)]


def _types(result: Result) -> Table:
    types = result.score.types
    what = "spans of type" if result.of_spans else "words with tag"
    shown = sorted(types, key=lambda t: -types[t].there)[:MOST_ROWS]
    rows = []
    for name in shown:
        counts = types[name]
        shares = [f"{100 * share:.2f} %" for share in (counts.precision, counts.recall, counts.f1)]
        rows.append([name or "(no name)", *shares, f"{counts.there:,}", f"{counts.said:,}"])
    which = f"The {MOST_ROWS} most frequent of {len(types)}. " if len(types) > MOST_ROWS else ""
    whole = "A span is right where its type, its first and its last word are. " if result.of_spans else ""
    said = "Precision: how much of what was found is right. Recall: how much of what there is was found."
    return Table((what, "precision", "recall", "F1", "there", "found"), rows, caption=which + whole + said)


def _confusion(result: Result) -> list[Block]:
    """All pairs of tags where there are few, else the most frequent mistakes."""
    counts = result.confusion
    tags = sorted({tag for pair in counts for tag in pair})
    wrong = sorted((pair for pair in counts if pair[0] != pair[1]), key=lambda pair: (-counts[pair], pair))
    if not wrong:
        return [Note("Every word of the test part has its tag.", good=True)]
    if sum(8 * len(tag) + 27 for tag in tags) <= WIDEST:
        rows = [[real, *(f"{counts[real, told]:,}" if counts[real, told] else "" for told in tags)] for real in tags]
        return [Heading("Confusion"), Table(["true, by predicted", *tags], rows, caption="Words of the test part.")]
    rows = [[f"{real} taken for {told}", f"{counts[real, told]:,}"] for real, told in wrong[:SHOWN]]
    return [Heading("Confusion"), Table(("most often", "words"), rows)]


def _sentences(result: Result) -> list[Block]:
    wrong = result.wrong
    if not wrong:
        return []
    shown = [wrong[place * len(wrong) // SHOWN] for place in range(SHOWN)] if len(wrong) > SHOWN else wrong
    few = f"; here are {len(shown)} of them" if len(shown) < len(wrong) else ""
    text = (
        f"{len(wrong):,} of {len(result.words):,} sentences have a wrong tag{few}. Below a word stands the tag that it"
        " was given and, where that is wrong, the true one."
    )
    return [Heading("Mistakes"), Text(text), *(_sentence(result, row) for row in shown)]


def _sentence(result: Result, row: int) -> Words:
    words = zip(result.words[row], result.truth[row], result.predicted[row], strict=True)
    return Words(
        [Word(word, told if real == told else f"{told}, not {real}", real != told) for word, real, told in words]
    )


def write_metrics(
    path: Path,
    data: Mapping[str, Any],
    plan: Plan,
    history: Sequence[Record],
    result: Result,
    baselines: Sequence[Score],
) -> None:
    """Everything that is needed to know what was run, and what came out."""
    last: dict[str, Any] = {**history[-1]}
    unknown = result.unknown
    content = {
        "data": dict(data),
        **_numbers(result.score),
        "unknown_words": {"count": unknown.there, "accuracy": unknown.recall},
        "types": {t: {**c._asdict(), "f1": c.f1} for t, c in result.score.types.items()},
        "baselines": [{"name": s.name, **_numbers(s)} for s in baselines],
        "network": asdict(plan.shape),
        "recipe": asdict(plan.recipe),
        "plan": {"least": plan.least, "validation": plan.validation},
        "training": {name: last[name] for name in ("epoch", "update", "seconds", "loss")},
        "threads": torch.get_num_threads(),
        "versions": {
            "statewise": __version__,
            "torch": version("torch"),
            "python": platform.python_version(),
        },
    }
    atomic.write(path, json.dumps(content, indent=1) + "\n")


def _numbers(score: Score) -> dict[str, float]:
    spans = score.spans
    of_spans = {"precision": spans.precision, "recall": spans.recall, "f1": spans.f1} if score.of_spans else {}
    return {"accuracy": score.accuracy, **of_spans}
