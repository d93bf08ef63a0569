"""The command ``statewise translate predict``: targets for the texts of a file, by a model that was trained before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...command import Command, Out, say
from ...config import again, from_json, option, part_of
from .config import Beam, Layout


@dataclass(kw_only=True)
class Options(Out, Layout):
    """What it can be told; of the layout what is None is as the model remembers it."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    file: Path = option(..., "the sources, as CSV, TSV or Parquet", metavar="FILE", positional=True)
    best: Beam = option(1, "targets written for each source, the likeliest ones", metavar="N")
    beam: Beam | None = option(
        None, "beginnings that are followed", metavar="N", default="as the model was told, N of --best at least"
    )
    out: Path | None = again(Out, "out", None, "FILE's name with -predicted.csv, here")
    header: bool | None = again(Layout, "header", None, "")  # type: ignore[assignment]


COMMAND = Command(
    "translate predict",
    Options,
    "statewise.jobs.tasks.translate.predict:predict",
    usage="statewise translate predict MODEL FILE [option ...]",
    description="""\
Write a text for each text of a file with a model that statewise translate has written.
Writes a CSV file: the sources, the likeliest targets and their probabilities. Files are
read as the training part was; options say what is different. With --no-header FILE is
lines of text, or of fields between tabs.
""",
    examples="""\
with files of your own:
  statewise translate predict runs/translate-built-in-dates-1/model.safetensors FILE --no-header
  statewise translate predict MODEL.safetensors FILE --best 5 --beam 20 --out best.csv
""",
)
add_arguments, run = COMMAND.add_arguments, COMMAND.run


def predict(options: Options) -> None:
    """Predict, and say how much of it is as the file has it, where it has targets."""
    from ...artifacts import atomic
    from ...artifacts.model_file import checked
    from ...data.content import plain_name
    from .model import Model
    from .pairs import read
    from .report import predictions
    from .result import score

    out = options.out_file(f"{plain_name(options.file)}-predicted.csv")
    model = Model.load(options.model)
    with checked(options.model, Model.KIND):
        known = from_json(Layout, model.notes.get("layout", {}))
    given = {name: value for name, value in vars(part_of(Layout, options)).items() if value not in (None, ())}
    pairs, _ = read(options.file, part_of(Layout, known, **given), targets=options.target is not None)
    found = model.translate(pairs, max(options.beam or model.config.beam, options.best))
    atomic.write(out, predictions(pairs, [each[: options.best] for each in found]))
    said = ""
    if pairs.targets is not None:
        right = score("", pairs, [each[0].text for each in found])
        said = f", {100 * right.exact:.2f} % exactly as there, {100 * right.characters:.2f} % of the characters wrong"
    say(f"{out}: {pairs.described()}{said}")
