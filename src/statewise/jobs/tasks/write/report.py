"""What this job alone says of a run: facts, the table, sections of the page, samples.txt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any

from ....runtime.cache import Cache
from ...lazy import LazyModule
from ...report import Block, Heading, Table, Text
from .likelihood import Likelihood, Score
from .text import Vocabulary

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

TOLD = 10  # lines on the terminal, and of the most surprising ones
CHARACTERS = 400  # of a running text on the terminal
WIDTH = 80
AS_IT_IS = TextWrapper(
    WIDTH, break_long_words=False, break_on_hyphens=False, expand_tabs=False, replace_whitespace=False
)
"""How lines are wrapped: between words alone."""
FEW = 5  # symbols of a line that say little


@dataclass(frozen=True)
class Written:
    """What the model wrote."""

    samples: dict[float, list[str]]
    """By temperature: new lines, or one text."""
    copies: float | None = None
    """Of ``judged`` lines written at temperature 1, the share that stands in the file; None of a running text."""
    judged: int = 0

    @property
    def copied(self) -> str:
        """How much of it is not new."""
        assert self.copies is not None
        return f"Of {self.judged} lines written at temperature 1, {100 * self.copies:.1f} % are in the file."

    def to_text(self) -> str:
        """All of it."""
        parts = ["\n".join([f"--- temperature {t:g}", *found, ""]) for t, found in self.samples.items()]
        return "\n".join(parts)


def table(scores: Sequence[Score], found: Likelihood, vocabulary: Vocabulary, which: str) -> Table:
    """How well the model and counting predict the part ``which``."""
    noun = vocabulary.noun
    head = [f"on the {which} part", f"nats per {noun}", "perplexity", "bits per character"]
    rows = [[s.name, f"{s.loss:.4f}", f"{s.perplexity:.2f}", f"{s.bits:.3f}"] for s in scores]
    if found.corpus.lengths is None and noun != "word":
        head.append("perplexity per word")
        rows = [[*row, f"{s.perplexity_per_word:.1f}"] for row, s in zip(rows, scores, strict=True)]
    caption = (
        f"Perplexity: among how many equally likely {noun}s it would be as hard to choose the next. The likeliest"
        f" {noun} was the right one in {100 * found.accuracy:.1f} % of all places."
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
        return f"\n{written.copied}\nAt temperature {temperature:g} it wrote no line that is not in the file."
    return f"\nnew lines, written at temperature {temperature:g}: {', '.join(found[:TOLD])}\n{written.copied}"


# The page


def samples(written: Written) -> list[Block]:
    """What it wrote."""
    blocks: list[Block] = [Heading("What it writes")]
    if written.copies is not None:
        blocks.append(Text(written.copied + " Those below are not."))
    for temperature, found in written.samples.items():
        text = ", ".join(found) if written.copies is not None else found[0].strip()
        wrapped = [AS_IT_IS.fill(line) for line in (text or "nothing new").split("\n")]
        blocks += [Text(f"At temperature {temperature:g}:"), Text("\n".join(wrapped), plain=True)]
    return blocks


def surprising(found: Likelihood, vocabulary: Vocabulary, which: str) -> list[Block]:
    """The lines that were predicted worst."""
    rows = found.by_line(vocabulary)
    few = min(FEW, found.corpus.terms // len(rows))
    rows = rows.filter(pl.col("symbols") >= few).sort("nats_per_symbol", descending=True)
    shown = [[row["text"][:WIDTH], f"{row['nats_per_symbol']:.2f}"] for row in rows.head(TOLD).iter_rows(named=True)]
    caption = f"The lines of the {which} part that surprised the model most, of those with a few symbols."
    return [Heading("What it did not expect"), Table(("line", f"nats per {vocabulary.noun}"), shown, caption=caption)]


def metrics(model: Score, baselines: Sequence[Score], found: Likelihood) -> dict[str, Any]:
    """What came out."""
    return {
        **_figures(model),
        "accuracy": found.accuracy,
        "unknown": found.corpus.unknown,
        "baselines": [{"name": score.name, **_figures(score)} for score in baselines],
    }


def cached(cache: Cache | None, alone: Sequence[Score]) -> dict[str, Any]:
    """The cache, and what the network reaches without it."""
    if cache is None:
        return {"cache": None}
    return {"cache": {**asdict(cache), "without": _figures(alone[0])}}


def cache_line(cache: Cache) -> str:
    """What stands beside the network."""
    return (
        f"what came after states like the present one in the last {cache.size:,} steps counts {100 * cache.share:g} %,"
        " chosen on the validation part"
    )


def _figures(score: Score) -> dict[str, float]:
    return {
        "loss": score.loss,
        "perplexity": score.perplexity,
        "bits_per_character": score.bits,
        "perplexity_per_word": score.perplexity_per_word,
        "terms": score.symbols,
    }
