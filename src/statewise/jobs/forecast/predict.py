"""The command ``statewise forecast predict``: continue each series of a file by a trained model's horizon."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import add_out, add_reading, out_file

MODEL = "model.safetensors"  # in every run folder

DESCRIPTION = """\
Continue each series of FILE by the horizon of a model that statewise forecast has
written. Writes a CSV file with a row for each series and step: the forecast and its
quantiles. Without FILE: the series that the model has seen last. FILE has the columns
that the training had; covariates known ahead reach over the horizon.
"""

EXAMPLES = """\
after statewise forecast --out runs/airline:
  statewise forecast predict runs/airline/model.safetensors

with files of your own:
  statewise forecast predict MODEL.safetensors FILE --out next.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = "statewise forecast predict MODEL [FILE] [option ...]"
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model.safetensors")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a CSV or Parquet file")
    add_out(parser, "FILE's name, or that of MODEL's folder, with -forecast.csv, here")
    add_reading(parser.add_argument)


def run(args: argparse.Namespace) -> int:
    """Forecast; the exit status."""
    from .. import atomic
    from .ahead import ahead, to_frame
    from .storage import load

    out = out_file(args, f"{_name(args.file, args.model)}-forecast.csv")
    model = load(args.model)
    forecast = ahead(model, args.file)
    atomic.write(out, to_frame(forecast, model).write_csv())
    count = len(forecast.names)
    of = forecast.names[0] if count == 1 else f"{count} series"
    print(f"{out}: {of}, {forecast.labels[0][0]} to {forecast.labels[0][-1]}")
    return 0


def _name(file: Path | None, model: Path) -> str:
    """What the forecast is called after: the file or, of a model with the name that all have, its folder."""
    named = file or (model.absolute().parent if model.name == MODEL else model)
    return named.name.split(".")[0] or "series"
