"""What this job alone says of a run: facts, the table, sections of the page, samples.txt, predictions.csv."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ... import experiment
from ...experiment import Facts
from ...report import Block, Heading, Table, Text
from .config import Plan
from .network import Network
from .surprise import Score, Surprise, line_numbers
from .vocabulary import END, Corpus, Vocabulary

if TYPE_CHECKING:
    from .job import Written

TOLD = 10  # lines on the terminal, and of the most surprising ones
CHARACTERS = 400  # of a running text on the terminal
WIDTH = 80
FEW = 5  # symbols of a line that say little


def parts(name: str, vocabulary: Vocabulary, corpus: Corpus, held: Corpus | None, how: str) -> Facts:
    """What is learnt from, and what is held out."""
    nothing = "none: nothing tells how well other text is predicted"
    return [
        ("", f"{name}: {len(vocabulary):,} different {vocabulary.noun}s"),
        ("training", _described(corpus, vocabulary)),
        ("validation", nothing if held is None else _described(held, vocabulary) + how),
    ]


def _described(corpus: Corpus, vocabulary: Vocabulary) -> str:
    lines = f"{len(corpus.lengths):,} lines, " if corpus.lengths is not None else ""
    unknown = ""
    if corpus.unknown:
        what = "<unk>" if vocabulary.level == "word" else "not known, left out"
        unknown = f", {corpus.unknown:,} of them {what}"
    return f"{lines}{len(corpus.ids):,} {vocabulary.noun}s{unknown}"


def network_line(config: Plan, network: Network) -> str:
    """The network in a line."""
    tied = "tied embedding" if config.tie else f"embedding of {config.embedding}"
    return experiment.network_line(config, network, "", tied)


def table(scores: Sequence[Score], surprised: Surprise, vocabulary: Vocabulary, which: str) -> Table:
    """How well the model and counting predict the part ``which``."""
    noun = vocabulary.noun
    head = [f"on the {which} part", f"nats per {noun}", "perplexity", "bits per character"]
    rows = [[s.name, f"{s.loss:.4f}", f"{s.perplexity:.2f}", f"{s.bits:.3f}"] for s in scores]
    caption = (
        f"Perplexity: among how many equally likely {noun}s it would be as hard to choose the next. The likeliest"
        f" {noun} was the right one in {100 * surprised.accuracy:.1f} % of all places."
    )
    return Table(head, rows, caption=caption)


def verdict(model: Score, baselines: Sequence[Score], noun: str, *, held: bool) -> tuple[str, bool]:
    """One line: does the model beat counting, on a part ``held`` out; and whether that is good news."""
    best = min(baselines, key=lambda score: score.nats)
    figures = f"{model.loss:.3f} instead of {best.loss:.3f} nats per {noun}"
    if not held:
        text = f"{figures} against {best.name}; but nothing was held out, so this tells how much was learnt by heart."
        return text, False
    if model.nats < best.nats:
        return f"The {model.name} beats the best baseline, {best.name}: {figures}.", True
    return f"The {model.name} loses to {best.name}: {figures}.", False


def sample(written: Written) -> str:
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


def samples(written: Written) -> list[Block]:
    """What it wrote."""
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


def surprising(surprised: Surprise, vocabulary: Vocabulary, which: str) -> list[Block]:
    """The lines that were predicted worst."""
    rows = _by_line(surprised, vocabulary)
    few = min(FEW, surprised.corpus.terms // len(rows))
    rows = rows.filter(pl.col("symbols") >= few).sort("nats_per_symbol", descending=True)
    shown = [[row["text"][:WIDTH], f"{row['nats_per_symbol']:.2f}"] for row in rows.head(TOLD).iter_rows(named=True)]
    caption = f"The lines of the {which} part that surprised the model most, of those with a few symbols."
    return [Heading("What it did not expect"), Table(("line", f"nats per {vocabulary.noun}"), shown, caption=caption)]


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


def predictions(surprised: Surprise, vocabulary: Vocabulary) -> str:
    """A row for each line of the text that was predicted."""
    return _by_line(surprised, vocabulary).write_csv()


def samples_text(written: Written) -> str:
    """All that was written for the report."""
    return "\n".join(
        f"--- temperature {temperature:g}\n" + "\n".join(found) + "\n" for temperature, found in written.samples.items()
    )


def metrics(model: Score, baselines: Sequence[Score], surprised: Surprise) -> dict[str, Any]:
    """What came out."""
    return {
        **_figures(model),
        "accuracy": surprised.accuracy,
        "unknown": surprised.corpus.unknown,
        "baselines": [{"name": score.name, **_figures(score)} for score in baselines],
    }


def _figures(score: Score) -> dict[str, float]:
    return {
        "loss": score.loss,
        "perplexity": score.perplexity,
        "bits_per_character": score.bits,
        "terms": score.symbols,
    }
