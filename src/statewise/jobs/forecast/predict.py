"""The command ``statewise forecast predict``: continue each series of a file by a trained model's horizon."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError

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
    parser.usage = "statewise forecast predict MODEL [FILE] [--out FILE]"
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model.safetensors")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a CSV or Parquet file")
    parser.add_argument("--out", type=Path, metavar="FILE", help="(default: FILE's name with -forecast.csv, here)")


def run(args: argparse.Namespace) -> int:
    """Forecast; the exit status."""
    from .. import atomic
    from .ahead import ahead, to_frame
    from .storage import load

    model = load(args.model)
    forecast = ahead(model, args.file)
    out = args.out or Path(f"{(args.file or args.model).name.split('.')[0]}-forecast.csv")
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder, expected a file")
    atomic.write(out, to_frame(forecast, model).write_csv())
    count = len(forecast.names)
    of = forecast.names[0] if count == 1 else f"{count} series"
    print(f"{out}: {of}, {forecast.labels[0][0]} to {forecast.labels[0][-1]}")
    return 0
