"""The command ``statewise write complete``: what most likely comes next, by a model that was trained before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...command import Command
from ...config import Config, Whole, option


@dataclass(kw_only=True)
class Options(Config):
    """What it can be told."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    texts: tuple[str, ...] = option(..., "how a line or text begins", metavar="TEXT", positional=True)
    length: Whole = option(1, "symbols to add, to a line's end at most", metavar="N")


COMMAND = Command(
    "write complete",
    Options,
    "statewise.jobs.tasks.write.complete:complete",
    usage="statewise write complete MODEL TEXT [TEXT ...] [option ...]",
    description="""\
Complete the beginnings of lines or texts with what a model, trained by statewise
write, finds likeliest: the next letter or word, or several, one after the other.
""",
    examples="""\
examples:
  statewise write --epochs 3 --out runs/names
  statewise write complete runs/names/model.safetensors mar joh
  statewise write complete runs/names/model.safetensors mar joh --length 10
""",
)


def complete(options: Options) -> None:
    """Print a line for each text."""
    from .model import Model

    model = Model.load(options.model)
    completed = [model.complete(text, options.length) for text in options.texts]
    width = max(map(len, completed))
    for text, whole_text in zip(options.texts, completed, strict=True):
        likely = [f"{_shown(symbol)} {100 * chance:.1f} %" for symbol, chance in model.following(text, 3)]
        print(f"{whole_text:{width}}   next: {', '.join(likely)}")


def _shown(symbol: str) -> str:
    """A symbol that can be seen."""
    return {"\n": "(end)", " ": "(blank)"}.get(symbol, symbol)
