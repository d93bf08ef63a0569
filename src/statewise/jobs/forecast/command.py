"""The command ``statewise forecast``: its arguments. Torch is imported when it runs, not for ``--help``."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Train a recurrent network on the first 70 % of a series and forecast the rest one
step ahead. Prints RMSE, MAE and MASE beside those of simple baselines, and writes
forecast.png, predictions.csv, metrics.json and model.safetensors into a run folder.
Without a file: the monthly airline passengers of 1949 to 1960.
"""

EXAMPLES = """\
examples:
  statewise forecast
  statewise forecast --cell gru
  statewise forecast --seeds 3 --out runs/quick

with a file of your own:
  statewise forecast FILE --time COLUMN --target COLUMN
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("file", nargs="?", type=Path, metavar="FILE", help="a CSV or Parquet file, one row per time step")
    add("--time", metavar="COLUMN", help="the column of dates (default: the only one there is)")
    add("--target", metavar="COLUMN", help="the column to forecast (default: the only column of numbers)")
    add("--cell", choices=("rnn", "lstm", "gru"), default="lstm", help="the kind of network (default: lstm)")
    add("--season", type=int, metavar="ROWS", help="rows in a season, 1 for none (default: found in the training part)")
    add("--ignore-gaps", action="store_true", help="take the rows as equally spaced although their times are not")
    add("--seeds", type=_positive, default=10, metavar="N", help="networks to average (default: 10)")
    add("--seed", type=_seed, default=0, metavar="N", help="seed of the first network (default: 0)")
    add("--hidden", type=_positive, default=16, metavar="N", help="hidden units (default: 16)")
    add("--updates", type=_positive, metavar="N", help="training steps (default: found in the training part)")
    add("--out", type=Path, metavar="FOLDER", help="the run folder (default: runs/forecast-NAME-N)")


def run(args: argparse.Namespace) -> int:
    """Run the job that ``args`` describe; the exit status."""
    from .job import forecast
    from .series import BUNDLED, read_series
    from .settings import Settings

    series = read_series(args.file or BUNDLED, args.time, args.target, ignore_gaps=args.ignore_gaps)
    settings = Settings(cell=args.cell, hidden=args.hidden, seeds=args.seeds, seed=args.seed, updates=args.updates)
    forecast(series, settings, season=args.season, out=args.out, say=lambda text: print(text, flush=True))
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**62:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2^62, got {text!r}")
    return int(text)
