"""The command ``statewise forecast predict``: continue each series of a file by a trained model's horizon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...command import Command, Out, say
from ...config import Count, Whole, again, option
from ...errors import InputError
from .config import Levels

MODEL = "model.safetensors"  # in every run folder


@dataclass(kw_only=True)
class Options(Out):
    """What it can be told."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    file: Path | None = option(None, "a CSV or Parquet file", metavar="FILE", positional=True, default="")
    ahead: Path | None = option(
        None, "a table of ids, times and what is known of rows to come", metavar="FILE", default="in rows of FILE"
    )
    horizon: Whole | None = option(None, "rows ahead", metavar="ROWS", default="as in training")
    level: Levels | None = option(
        None, "intervals, in per cent, such as 80 95", metavar="LEVEL", default="the quantiles of training"
    )
    samples: Whole | None = option(
        None, "ways that the rows may go, instead of a forecast", metavar="N", default="none"
    )
    seed: Count = option(0, "of samples")
    out: Path | None = again(Out, "out", None, "FILE's name, or that of MODEL's folder, with -forecast.csv, here")


COMMAND = Command(
    "forecast predict",
    Options,
    "statewise.jobs.tasks.forecast.predict:predict",
    usage="statewise forecast predict MODEL [FILE] [option ...]",
    description="""\
Continue each series of FILE by the horizon of a model that statewise forecast has
written, or by another one. Writes a CSV file with a row for each series and step: the
forecast and its quantiles, named as FILE names things. Without FILE: the series that the
model has seen last. FILE has the columns that the training had, its static ones only
for new series; covariates known ahead reach over the horizon, or are in a table of
their own, --ahead.
""",
    examples="""\
after statewise forecast --out runs/airline:
  statewise forecast predict runs/airline/model.safetensors

with files of your own:
  statewise forecast predict MODEL.safetensors FILE --out next.csv
  statewise forecast predict MODEL.safetensors --horizon 36 --level 80 95
  statewise forecast predict MODEL.safetensors --samples 100
""",
)


def predict(options: Options) -> None:
    """Forecast."""
    from ...artifacts import atomic
    from .model import Model

    # Called after the file or, of a model with the name that all have, its folder.
    model = options.model
    named = options.file or (model.absolute().parent if model.name == MODEL else model)
    out = options.out_file(f"{named.name.split('.')[0] or 'series'}-forecast.csv")
    trained = Model.load(model)
    if options.samples and options.level:
        raise InputError("--level: samples have no intervals; ask for one of the two")
    found, text = trained.predict(
        options.file,
        ahead=options.ahead,
        rows=options.horizon,
        level=options.level,
        samples=options.samples or 0,
        seed=options.seed,
        text=True,
    )
    atomic.write(out, text)
    of = found.names[0] if len(found.names) == 1 else f"{len(found.names)} series"
    say(f"{out}: {of}, {found.labels[0][0]} to {found.labels[0][-1]}")
