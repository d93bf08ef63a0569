"""What a run says: lines on the terminal, ``report.html``, ``samples.txt``, ``predictions.csv``, ``metrics.json``."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch

from ..._version import __version__
from .. import atomic
from ..report import Block, Heading, Note, Page, Picture, Table, Text, loss_curve
from ..watch import Record
from .network import Network
from .settings import Plan, Shape
from .surprise import Score, Surprise, line_numbers
from .vocabulary import END, Corpus, Vocabulary

if TYPE_CHECKING:
    from .job import Outcome, Written

TOLD = 10  # lines on the terminal, and of the most surprising ones
CHARACTERS = 400  # of a running text on the terminal
WIDTH = 80
FEW = 5  # symbols of a line that say little


def name_of(path: Path) -> str:
    """What a run is called after the file."""
    return path.name.removesuffix(".gz").removesuffix(".txt")


def data_lines(name: str, vocabulary: Vocabulary, corpus: Corpus, held: Corpus | None, how: str) -> list[str]:
    """What is learnt from, and what is held out."""
    lines = [
        f"{name}: {len(vocabulary):,} different {vocabulary.noun}s",
        f"  training    {_described(corpus, vocabulary)}",
    ]
    if held is None:
        return [*lines, "  validation  none: nothing tells how well other text is predicted"]
    return [*lines, f"  validation  {_described(held, vocabulary)}{how}"]


def _described(corpus: Corpus, vocabulary: Vocabulary) -> str:
    lines = f"{len(corpus.lengths):,} lines, " if corpus.lengths is not None else ""
    unknown = ""
    if corpus.unknown:
        what = "<unk>" if vocabulary.level == "word" else "not known, left out"
        unknown = f", {corpus.unknown:,} of them {what}"
    return f"{lines}{len(corpus.ids):,} {vocabulary.noun}s{unknown}"


def network_line(shape: Shape, network: Network) -> str:
    """The network in a line."""
    size = sum(p.numel() for p in network.parameters())
    layers = f"{shape.layers} layers of {shape.units} units" if shape.layers > 1 else f"{shape.units} units"
    tied = "tied embedding" if shape.tie else f"embedding of {shape.embedding}"
    return f"{shape.cell.upper()}, {layers}, {tied}, {size:,} parameters"


def training_line(history: Sequence[Record]) -> str:
    """How long was trained."""
    last = history[-1]
    held = [record for record in history if record.get("validation")]
    best = min(held, key=lambda r: r["validation"]["loss"]) if held else None
    kept = f"; best epoch {best['epoch']}" if best is not None else ""
    return f"{last['epoch']} epochs, {last['update']} updates, {last['seconds']:.1f} s{kept}"


def terminal(outcome: Outcome) -> str:
    """What came out, for the terminal."""
    blocks = [table(outcome), verdict(outcome)[0], _sample(outcome.written)]
    return "\n".join(filter(None, blocks))


def table(outcome: Outcome) -> str:
    """The scores; the first is the model's."""
    head, rows = _cells(outcome)
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join([f"{row[0]:{widths[0]}}", *(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in [head, *rows]
    )


def _cells(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    noun = outcome.vocabulary.noun
    which = "validation" if outcome.held else "training"
    head = [f"on the {which} part", f"nats per {noun}", "perplexity", "bits per character"]
    rows = [
        [score.name, f"{score.loss:.4f}", f"{score.perplexity:.2f}", f"{score.bits:.3f}"]
        for score in (outcome.model, *outcome.baselines)
    ]
    return head, rows


def verdict(outcome: Outcome) -> tuple[str, bool]:
    """One line: does the model beat counting; and whether that is good news."""
    model, noun = outcome.model, outcome.vocabulary.noun
    best = min(outcome.baselines, key=lambda score: score.nats)
    figures = f"{model.loss:.3f} instead of {best.loss:.3f} nats per {noun}"
    if not outcome.held:
        text = f"{figures} against {best.name}; but nothing was held out, so this tells how much was learnt by heart."
        return text, False
    if model.nats < best.nats:
        return f"The {model.name} beats the best baseline, {best.name}: {figures}.", True
    return f"The {model.name} loses to {best.name}: {figures}.", False


def _sample(written: Written) -> str:
    """A little of what was written at the middle temperature."""
    temperature, found = list(written.samples.items())[1]
    if written.copies is None:
        return f"\nwritten at temperature {temperature:g}:\n{found[0].strip()[:CHARACTERS]}"
    if not found:
        return f"\n{copies_line(written)}\nAt temperature {temperature:g} it wrote no line that is not in the file."
    return f"\nnew lines, written at temperature {temperature:g}: {', '.join(found[:TOLD])}\n{copies_line(written)}"


def copies_line(written: Written) -> str:
    """How much of what is written is not new."""
    assert written.copies is not None
    return f"Of {written.judged} lines written at temperature 1, {100 * written.copies:.1f} % are in the file."


def score_lines(name: str, surprised: Surprise, vocabulary: Vocabulary) -> str:
    """What ``statewise write score`` says."""
    score, noun = surprised.score(name), vocabulary.noun
    return (
        f"{name}: {_described(surprised.corpus, vocabulary)}\n"
        f"  nats per {noun:9}  {score.loss:.4f}\n"
        f"  perplexity          {score.perplexity:.3f}\n"
        f"  bits per character  {score.bits:.4f}\n"
        f"  likeliest right     {100 * surprised.accuracy:.2f} %"
    )


# The page


def page(about: str, facts: str, history: Sequence[Record], outcome: Outcome | None = None) -> Page:
    """The report: of a training that runs or, with ``outcome``, of a run that is done."""
    blocks: list[Block] = []
    if outcome is not None:
        text, good = verdict(outcome)
        head, rows = _cells(outcome)
        blocks += [Note(text, good), Table(head, rows, strong=0, caption=_meaning(outcome))]
    blocks.append(Text(facts, plain=True))
    if history:
        blocks += [Heading("Training"), Picture(loss_curve(history), "The loss, nats per symbol, by update.")]
    if outcome is not None:
        blocks += [*_samples(outcome.written), *_surprising(outcome)]
    return Page(f"{about}: to write as a text is written", "statewise write", blocks, running=outcome is None)


def _meaning(outcome: Outcome) -> str:
    noun = outcome.vocabulary.noun
    return (
        f"Perplexity: among how many equally likely {noun}s it would be as hard to choose the next. The likeliest"
        f" {noun} was the right one in {100 * outcome.surprise.accuracy:.1f} % of all places."
    )


def _samples(written: Written) -> list[Block]:
    blocks: list[Block] = [Heading("What it writes")]
    if written.copies is not None:
        blocks.append(Text(copies_line(written) + " Those below are not."))
    for temperature, found in written.samples.items():
        text = ", ".join(found) if written.copies is not None else found[0].strip()
        blocks += [Text(f"At temperature {temperature:g}:"), Text(_wrapped(text or "nothing new"), plain=True)]
    return blocks


def _wrapped(text: str) -> str:
    """``text`` with lines of a readable width, broken between words."""
    lines = []
    for line in text.split("\n"):
        while len(line) > WIDTH and (blank := line.rfind(" ", 0, WIDTH + 1)) > 0:
            lines.append(line[:blank])
            line = line[blank + 1 :]
        lines.append(line)
    return "\n".join(lines)


def _surprising(outcome: Outcome) -> list[Block]:
    """The lines that were predicted worst."""
    rows = _by_line(outcome.surprise, outcome.vocabulary)
    few = min(FEW, outcome.surprise.corpus.terms // len(rows))
    rows = rows.filter(pl.col("symbols") >= few).sort("nats_per_symbol", descending=True)
    shown = [[row["text"][:WIDTH], f"{row['nats_per_symbol']:.2f}"] for row in rows.head(TOLD).iter_rows(named=True)]
    which = "validation" if outcome.held else "training"
    caption = f"The lines of the {which} part that surprised the model most, of those with a few symbols."
    return [
        Heading("What it did not expect"),
        Table(("line", f"nats per {outcome.vocabulary.noun}"), shown, caption=caption),
    ]


def _by_line(surprised: Surprise, vocabulary: Vocabulary) -> pl.DataFrame:
    """A row for each line of the text: its number, it, how many symbols of it were predicted, and how well."""
    corpus = surprised.corpus
    numbers = line_numbers(corpus, vocabulary.end)
    counted = np.ones(len(corpus.ids))
    counted[: len(corpus.ids) - corpus.terms] = 0  # the first symbol of a running text
    nats, symbols = np.bincount(numbers, surprised.nats), np.bincount(numbers, counted)
    pieces = np.split(corpus.ids, np.flatnonzero(np.diff(numbers)) + 1)
    texts = [vocabulary.decode(piece.tolist()).removesuffix(END) for piece in pieces]
    frame = pl.DataFrame(
        {
            "line": np.arange(1, len(texts) + 1),
            "text": texts,
            "symbols": symbols.astype(np.int64),
            "nats_per_symbol": nats / np.maximum(symbols, 1),
        }
    )
    return frame.filter(pl.col("symbols") > 0)


# Files


def write_predictions(path: Path, surprised: Surprise, vocabulary: Vocabulary) -> None:
    """A row for each line of the text that was predicted."""
    atomic.write(path, _by_line(surprised, vocabulary).write_csv())


def write_samples(path: Path, outcome: Outcome) -> None:
    """All that was written for the report."""
    blocks = [
        f"--- temperature {temperature:g}\n" + "\n".join(found) + "\n"
        for temperature, found in outcome.written.samples.items()
    ]
    atomic.write(path, "\n".join(blocks))


def write_metrics(
    path: Path, name: str, corpus: Corpus, plan: Plan, history: Sequence[Record], outcome: Outcome
) -> None:
    """Everything that is needed to know what was run, and what came out."""
    last: dict[str, Any] = {**history[-1]}
    content = {
        "data": {"name": name, "training": len(corpus.ids), "symbols": len(outcome.vocabulary)},
        "part": "validation" if outcome.held else "training",
        **_figures(outcome.model),
        "accuracy": outcome.surprise.accuracy,
        "unknown": outcome.surprise.corpus.unknown,
        "baselines": [{"name": score.name, **_figures(score)} for score in outcome.baselines],
        "copies": outcome.written.copies,
        "plan": asdict(plan),
        "training": {key: last[key] for key in ("epoch", "update", "seconds", "loss")},
        "threads": torch.get_num_threads(),
        "versions": {"statewise": __version__, "torch": version("torch"), "python": platform.python_version()},
    }
    atomic.write(path, json.dumps(content, indent=1) + "\n")


def _figures(score: Score) -> dict[str, float]:
    return {
        "loss": score.loss,
        "perplexity": score.perplexity,
        "bits_per_character": score.bits,
        "terms": score.symbols,
    }
