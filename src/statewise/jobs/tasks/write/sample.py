"""The command ``statewise write sample``: new text, by a model that was trained before."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ...command import Command, Reading
from ...config import Count, NotNegative, Whole, option
from ...errors import InputError


@dataclass(kw_only=True)
class Options(Reading):
    """What it can be told."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    prompt: str = option("", "what the text begins with", metavar="TEXT", default="nothing")
    temperature: NotNegative = option(0.8, "0: always the likeliest", metavar="X")
    top_k: Whole | None = option(None, "among so many symbols, the likeliest", metavar="N", default="all")
    length: Whole | None = option(None, "symbols after the prompt", metavar="N", default="500; a line: to its end")
    count: Whole | None = option(None, "how many texts or lines", metavar="N", default="1, of drawn lines 10")
    seed: Count = option(0, "of the draws", metavar="N")
    new: Path | None = option(None, "of lines: none that is in FILE, and none twice", metavar="FILE", default="")


COMMAND = Command(
    "write sample",
    Options,
    "statewise.jobs.tasks.write.sample:sample",
    usage="statewise write sample MODEL [option ...]",
    description="""\
Write with a model that statewise write has trained: new lines, or text that goes on
after a prompt. The same seed gives the same text.
""",
    examples="""\
examples:
  statewise write --epochs 3 --out runs/names
  statewise write sample runs/names/model.safetensors --prompt jo --count 5
  statewise write sample runs/names/model.safetensors --temperature 0
""",
)


def sample(options: Options) -> None:
    """Write to stdout."""
    from .model import LENGTH, Model
    from .sampling import Draw
    from .text import lines_of, read_text

    model = Model.load(options.model)
    draw = Draw(temperature=options.temperature, top_k=options.top_k, seed=options.seed)
    count = options.count or (10 if model.lines and draw.temperature > 0 else 1)
    if options.new is not None and not model.lines:
        raise InputError(f"--new {options.new}: is for models of lines, {options.model} has learnt a running text")
    if count == 1 and not model.lines:
        pieces = model.write(options.prompt, options.length or LENGTH, draw)
        first = next(pieces)  # what can't be used is refused before anything is shown
        for piece in chain([model.begun(options.prompt), first], pieces):
            sys.stdout.write(piece)
            sys.stdout.flush()
        print()
        return
    without = set(lines_of(read_text(options.new))) if options.new is not None else set[str]()
    found = model.samples(count, options.prompt, options.length, draw, without)
    print(("\n" if model.lines else "\n\n---\n\n").join(found))
    if len(found) < count:
        raise InputError(f"--new {options.new}: the model wrote {len(found)} lines that are not in it, not {count}")
