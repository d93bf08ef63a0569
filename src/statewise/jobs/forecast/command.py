"""The command ``statewise forecast``: its arguments. Torch is imported when it runs, not for ``--help``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import options
from ..errors import InputError
from ..rank import leads
from ..recipe import Recipe

USAGE = """\
statewise forecast [fit] [FILE] [option ...]
       statewise forecast predict MODEL [FILE] [option ...]"""

DESCRIPTION = """\
Train a recurrent network to forecast one series or many, and hold it against simple
baselines on rows it hasn't seen. Writes report.html, forecast.png, predictions.csv,
metrics.json and model.safetensors into a run folder. Without a file: the monthly
airline passengers of 1949 to 1960.
"""

EXAMPLES = """\
examples:
  statewise forecast
  statewise forecast --model gru --seeds 3 --out runs/quick
  statewise forecast predict --help

with a file of your own:
  statewise forecast FILE --time COLUMN --target COLUMN --horizon 24
  statewise forecast FILE --id SHOP --target SALES --known PRICE --static CITY
  statewise forecast predict runs/forecast-FILE-1/model.safetensors FILE
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a run."""
    parser.usage = USAGE
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a CSV or Parquet file")
    _add_data(parser)
    _add_forecast(parser)
    _add_model(parser)
    options.add_training(parser, None)
    options.add_run(parser)


def run(args: argparse.Namespace) -> int:
    """Run what ``args`` describe; the exit status."""
    typed: Sequence[str] = args.typed
    if args.resume is not None:
        args = options.resumed("forecast", args, add_arguments)
    job = _job(args)
    from .job import run_job

    run_job(job, args, typed, lambda text: print(text, flush=True) if leads() else None)
    return 0


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("data").add_argument
    add("--time", metavar="COLUMN", help="dates, or an index of numbers (default: the only candidate)")
    add("--target", nargs="+", default=[], metavar="COLUMN", help="what to forecast (default: the only one of numbers)")
    add("--id", metavar="COLUMN", help="tells several series apart, one below the other")
    add("--known", nargs="+", default=[], metavar="COLUMN", help="covariates known ahead")
    add("--observed", nargs="+", default=[], metavar="COLUMN", help="covariates known up to now")
    add("--static", nargs="+", default=[], metavar="COLUMN", help="covariates that never change within a series")
    add("--layout", choices=("long", "rows"), default="long", help="rows: each row is a whole series (default: long)")
    add("--test", type=Path, metavar="FILE", help="a file that continues each series, as the test part")
    add(
        "--gaps",
        choices=("refuse", "mask", "fill", "ignore"),
        default="refuse",
        help="missing rows and values: leave them out, repeat the last value, or take rows as equally spaced"
        " (default: refuse)",
    )
    options.add_reading(add)
    add(
        "--split",
        type=_split,
        metavar="A,B,C",
        help="rows, or shares, of training, validation and test (default: the last 30 %% are the test)",
    )


def _add_forecast(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("forecast").add_argument
    add("--horizon", type=options.whole(1), metavar="ROWS", help="rows ahead (default: a season, or 12)")
    add("--lookback", type=options.whole(1), metavar="ROWS", help="rows that a forecast reads (default: by the model)")
    add("--season", type=options.whole(1), metavar="ROWS", help="1 for none (default: found before the test part)")
    add("--quantiles", type=_levels, default=(0.1, 0.5, 0.9), metavar="Q,Q,...", help="(default: 0.1,0.5,0.9)")
    add(
        "--distribution",
        choices=("gaussian", "student-t"),
        help="let a window model write a distribution in the place of quantiles",
    )
    add(
        "--stride",
        type=options.whole(1),
        default=1,
        metavar="ROWS",
        help="from test origin to test origin (default: 1)",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("model").add_argument
    add(
        "--model",
        choices=("auto", "lstm", "gru", "rnn", "direct", "segment"),
        default="auto",
        help="lstm, gru, rnn: step by step, feeding forecasts back; direct, segment: the whole horizon at once"
        " (default: lstm for short series, segment from horizon 24 on, else direct)",
    )
    add("--cell", choices=("rnn", "lstm", "gru"), default="gru", help="of direct and segment (default: gru)")
    add("--hidden", type=options.whole(1), metavar="N", help="units (default: 16, direct 64, segment 128)")
    add("--layers", type=options.whole(1), default=1, metavar="N", help="(default: 1)")
    add("--dropout", type=options.part, metavar="X", help="(default: 0; direct and segment 0.3)")
    add("--segment", type=options.whole(1), metavar="ROWS", help="rows in a segment (default: by season and horizon)")
    add(
        "--seeds", type=options.whole(1), metavar="N", help="networks to average (default: 10 for short series, else 1)"
    )
    add(
        "--windows",
        type=options.whole(1),
        default=60_000,
        metavar="N",
        help="windows in an epoch at most (default: 60000)",
    )
    add(
        "--base",
        choices=("auto", "last", "season"),
        default="auto",
        help="the naive forecast that direct and segment correct (default: what misses less in training)",
    )
    add(
        "--calendar",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="tell the networks the hour, weekday and month, where times are known (default: yes)",
    )
    add("--log", action=argparse.BooleanOptionalAction, default=None, help="logarithms (default: where they help)")


def _job(args: argparse.Namespace) -> Any:
    from .job import Job
    from .panel import Columns
    from .reading import BUNDLED
    from .settings import Settings

    if args.file is None and args.test is not None:
        raise InputError("--test: expected a FILE that it continues")
    columns = Columns(
        args.time, args.id, tuple(args.target), tuple(args.known), tuple(args.observed), tuple(args.static), args.layout
    )
    settings = Settings(
        model=args.model,
        cell=args.cell,
        horizon=args.horizon,
        lookback=args.lookback,
        season=args.season,
        levels=args.quantiles,
        output=args.distribution or "quantiles",
        hidden=args.hidden,
        layers=args.layers,
        dropout=args.dropout,
        segment=args.segment,
        seeds=args.seeds,
        windows=args.windows,
        base=args.base,
        calendar=args.calendar,
        log=args.log,
    )
    source = args.file or BUNDLED

    def recipe(defaults: Recipe) -> Recipe:
        return options.recipe_of(args, defaults)

    return Job(source, args.test, columns, args.gaps, args.split, args.stride, settings, recipe)


def _split(text: str) -> tuple[float, ...]:
    parts = text.split(",")
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        numbers = ()
    shares = all(0 < number < 1 for number in numbers) and sum(numbers) <= 1 + 1e-9
    rows = all(number >= 1 and number == int(number) for number in numbers)
    if len(numbers) != 3 or not (shares or rows):
        raise argparse.ArgumentTypeError(
            f"expected three numbers of rows, or three shares that add up to 1 at most, got {text!r}"
        )
    return numbers


def _levels(text: str) -> tuple[float, ...]:
    return tuple(options.share(part) for part in text.split(","))
