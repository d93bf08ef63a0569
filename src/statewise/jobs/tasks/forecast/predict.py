"""The command ``statewise forecast predict``: continue each series of a file by a trained model's horizon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...command import Command, Out, say
from ...config import again, option

MODEL = "model.safetensors"  # in every run folder


@dataclass(kw_only=True)
class Options(Out):
    """What it can be told."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    file: Path | None = option(None, "a CSV or Parquet file", metavar="FILE", positional=True, default="")
    out: Path | None = again(Out, "out", None, "FILE's name, or that of MODEL's folder, with -forecast.csv, here")


COMMAND = Command(
    "forecast predict",
    Options,
    "statewise.jobs.tasks.forecast.predict:predict",
    usage="statewise forecast predict MODEL [FILE] [option ...]",
    description="""\
Continue each series of FILE by the horizon of a model that statewise forecast has
written. Writes a CSV file with a row for each series and step: the forecast and its
quantiles. Without FILE: the series that the model has seen last. FILE has the columns
that the training had; covariates known ahead reach over the horizon.
""",
    examples="""\
after statewise forecast --out runs/airline:
  statewise forecast predict runs/airline/model.safetensors

with files of your own:
  statewise forecast predict MODEL.safetensors FILE --out next.csv
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
    frame, horizon = trained.forecast_frame(options.file), trained.plan.horizon
    atomic.write(out, frame.write_csv())
    count, times = len(frame) // horizon, frame["time"]
    of = frame["series"][0] if count == 1 else f"{count} series"
    say(f"{out}: {of}, {times[0]} to {times[horizon - 1]}")
