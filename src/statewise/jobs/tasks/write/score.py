"""The command ``statewise write score``: how well a model that was trained before predicts a text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...command import Command, Out
from ...config import again, option
from ...errors import InputError


@dataclass(kw_only=True)
class Options(Out):
    """What it can be told."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    file: Path = option(..., "text in UTF-8, packed as .gz or not", metavar="FILE", positional=True)
    out: Path | None = again(Out, "out", None, "none; a CSV file of what each line costs")


COMMAND = Command(
    "write score",
    Options,
    "statewise.jobs.tasks.write.score:score",
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


def score(options: Options) -> None:
    """Print the figures."""
    from ...artifacts import atomic
    from .model import Model
    from .report import predictions, score_lines
    from .text import read_text

    model = Model.load(options.model)
    text = read_text(options.file)
    out = options.out_file("") if options.out is not None else None
    try:
        surprised = model.surprise(text)
    except InputError as error:
        raise InputError(f"{options.file}: {error}") from None
    print(score_lines(str(options.file), surprised, model.vocabulary))
    if out is not None:
        atomic.write(out, predictions(surprised, model.vocabulary))
        print(f"{out}: a row for each line")
