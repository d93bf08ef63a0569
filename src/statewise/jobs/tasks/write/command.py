"""The commands ``statewise write``, ``write sample``, ``write complete`` and ``write score``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ...command import Command, Out, Reading
from ...config import Config, Whole, again, option, part_of
from ...errors import InputError
from .config import Draw, Options

COMMAND = Command(
    "write",
    Options,
    "statewise.jobs.tasks.write.job:Write.run",
    usage="""\
statewise write [fit] [FILE] [option ...]
       statewise write sample MODEL [option ...]
       statewise write complete MODEL TEXT [TEXT ...]
       statewise write score MODEL FILE""",
    description="""\
Train a recurrent network to write as a text is written, character by character, word
by word or by pieces of words. Prints how well it predicts a part that it has not seen, beside what
counting alone reaches, and something that it wrote; leaves report.html, samples.txt,
predictions.csv, metrics.json and model.safetensors in a run folder. Without a file:
32,033 first names.
""",
    examples="""\
examples:
  statewise write
  statewise write --cell lstm --epochs 3 --out runs/names
  statewise write sample runs/names/model.safetensors --prompt ma --temperature 0.6
  statewise write complete runs/names/model.safetensors mar joh --length 3

with files of your own, text in UTF-8, packed as .gz or not:
  statewise write FILE.txt
  statewise write FILE.txt --level word --units 650 --tie --dropout 0.5
  statewise write FILE.txt --level subword --max-words 4000
  statewise write FILE.txt --lines
  statewise write score MODEL.safetensors FILE.txt

Pieces of words (--level subword), found by byte-pair encoding, need the package
tokenizers: pip install 'statewise[translate]'
""",
)


@dataclass(kw_only=True)
class SampleOptions(Reading, Draw):
    """What ``write sample`` can be told."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    prompt: str = option("", "what the text begins with", metavar="TEXT", default="nothing")
    length: Whole | None = option(None, "symbols after the prompt", metavar="N", default="500; a line: to its end")
    count: Whole | None = option(None, "how many texts or lines", metavar="N", default="1, of drawn lines 10")
    new: Path | None = option(None, "of lines: none that is in FILE, and none twice", metavar="FILE", default="")


SAMPLE = Command(
    "write sample",
    SampleOptions,
    "statewise.jobs.tasks.write.command:sample",
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


def sample(options: SampleOptions) -> None:
    """Write to stdout."""
    from .model import LENGTH, Model
    from .text import lines_of, read_text

    model = Model.load(options.model)
    draw = part_of(Draw, options)
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


@dataclass(kw_only=True)
class CompleteOptions(Config):
    """What ``write complete`` can be told."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    texts: tuple[str, ...] = option(..., "how a line or text begins", metavar="TEXT", positional=True)
    length: Whole = option(1, "symbols to add, to a line's end at most", metavar="N")


COMPLETE = Command(
    "write complete",
    CompleteOptions,
    "statewise.jobs.tasks.write.command:complete",
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


def complete(options: CompleteOptions) -> None:
    """Print a line for each text."""
    from .model import Model

    model = Model.load(options.model)
    completed = [model.complete(text, options.length) for text in options.texts]
    width = max(map(len, completed))
    shown = {"\n": "(end)", " ": "(blank)"}
    for text, whole_text in zip(options.texts, completed, strict=True):
        likely = [f"{shown.get(symbol, symbol)} {100 * chance:.1f} %" for symbol, chance in model.following(text, 3)]
        print(f"{whole_text:{width}}   next: {', '.join(likely)}")


@dataclass(kw_only=True)
class ScoreOptions(Out):
    """What ``write score`` can be told."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    file: Path = option(..., "text in UTF-8, packed as .gz or not; -: stdin", metavar="FILE", positional=True)
    out: Path | None = again(Out, "out", None, "none; a CSV file of what each line costs")


SCORE = Command(
    "write score",
    ScoreOptions,
    "statewise.jobs.tasks.write.command:score",
    usage="statewise write score MODEL FILE [option ...]",
    description="""\
Say how well a model, trained by statewise write, predicts the text in a file: the
perplexity, and the bits that a character costs.
""",
    examples="""\
with files of your own:
  statewise write score MODEL.safetensors FILE
  statewise write score MODEL.safetensors FILE --out lines.csv
""",
)


def score(options: ScoreOptions) -> None:
    """Print the figures."""
    from ...artifacts import atomic
    from .answer import score_lines
    from .model import Model
    from .text import read_text

    model = Model.load(options.model)
    text = read_text(options.file)
    out = options.out_file("") if options.out is not None else None
    try:
        found = model.likelihood(text)
    except InputError as error:
        raise InputError(f"{options.file}: {error}") from None
    print(score_lines(str(options.file), found, model.vocabulary))
    if out is not None:
        atomic.write(out, found.by_line(model.vocabulary).write_csv())
        print(f"{out}: a row for each line")
