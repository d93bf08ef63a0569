"""The commands ``statewise translate`` and ``statewise translate predict``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from ...command import Command, Out, say
from ...config import again, option, part_of
from .config import Beam, Layout, Options

COMMAND = Command(
    "translate",
    Options,
    "statewise.jobs.tasks.translate.job:Translate.run",
    usage="""\
statewise translate [fit] [FILE] [--test FILE] [option ...]
       statewise translate predict MODEL FILE [option ...]""",
    description="""\
Train a recurrent network with attention to write a text for a text (translations,
pronunciations, inflections, dates), and test it on texts it has not seen. Prints how
many it writes right, and how many characters and words are wrong, beside simple
baselines, and writes report.html, predictions.csv, metrics.json and model.safetensors
into a run folder. Without a file: dates as people write them, misspelt now and then,
to be written as in 2026-11-27.
""",
    examples="""\
examples:
  statewise translate
  statewise translate --attention additive --forcing 0.7
  statewise translate predict --help

with files of your own:
  statewise translate WORDS.tsv --source word --target phonemes --target-level word
  statewise translate INFLECTIONS.tsv --no-header --features 3
  statewise translate TRAIN.tsv --no-header --level subword --test TEST.tsv

files, packed as .gz or not: CSV, TSV or Parquet, a row for each pair of texts; with
--no-header lines of fields between tabs, without names of columns and without quotes.
A source may have several targets: each of them is right.
Levels: char reads every character as one, word what stands between blanks; subword
(pieces of words, found by byte-pair encoding) needs the package tokenizers, and BLEU
and chrF, of texts of words or pieces of words, the package sacrebleu:
  pip install 'statewise[translate]'
""",
)


@dataclass(kw_only=True)
class PredictOptions(Out, Layout):
    """What it can be told; of the layout what is None is as the model remembers it."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    file: Path = option(..., "the sources, as CSV, TSV or Parquet", metavar="FILE", positional=True)
    best: Beam = option(1, "targets written for each source, the likeliest ones", metavar="N")
    beam: Beam | None = option(
        None, "beginnings that are followed", metavar="N", default="as the model was told, N of --best at least"
    )
    out: Path | None = again(Out, "out", None, "FILE's name with -predicted.csv, here")
    header: bool | None = again(  # type: ignore[assignment]
        Layout, "header", None, "as when the model was trained"
    )


PREDICT = Command(
    "translate predict",
    PredictOptions,
    "statewise.jobs.tasks.translate.command:predict",
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


def predict(options: PredictOptions) -> None:
    """Predict, and say how much of it is as the file has it, where it has targets."""
    from ...artifacts import atomic
    from ...data.content import plain_name
    from .answer import predictions
    from .model import Model
    from .pairs import read
    from .result import score

    out = options.out_file(f"{plain_name(options.file)}-predicted.csv")
    model = Model.load(options.model)
    known = model.layout or Layout()
    if options.header not in (None, known.header):  # names mean nothing where there are numbers
        known = Layout()
    given = {each.name: getattr(options, each.name) for each in fields(Layout)}
    given = {name: value for name, value in given.items() if value not in (None, ())}
    pairs, _ = read(options.file, part_of(Layout, known, **given), targets=options.target is not None)
    found = model.translate(pairs, max(options.beam or model.config.beam, options.best))
    atomic.write(out, predictions(pairs, [each[: options.best] for each in found]))
    said = ""
    if pairs.targets is not None:
        right = score("", pairs, [each[0].text for each in found])
        said = f", {100 * right.exact:.2f} % exactly as there, {100 * right.characters:.2f} % of the characters wrong"
    say(f"{out}: {pairs.described()}{said}")
