"""The command ``statewise classify``: its arguments. Torch is imported when it runs, not for ``--help``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import add_reading, add_run, add_training, part, resumed, share, whole
from ..rank import leads
from .layout import GAPS
from .settings import CELLS, HEADS, RECIPE, SCALINGS, Shape

USAGE = """\
statewise classify [fit] [FILE] [--test FILE] [option ...]
       statewise classify predict MODEL FILE [option ...]"""

DESCRIPTION = """\
Train a recurrent network to tell the classes of sequences apart, and test it on
sequences it has not seen. Prints its accuracy beside those of simple baselines,
and writes report.html, predictions.csv, metrics.json and model.safetensors into a
run folder. Without a file: handwritten digits, images of 8 x 8 read row by row.
"""

EXAMPLES = """\
examples:
  statewise classify
  statewise classify --cell lstm --head last --epochs 10
  statewise classify --pixels --out runs/pixels
  statewise classify predict --help

with files of your own:
  statewise classify TRAIN.ts --test TEST.ts
  statewise classify FILE.csv --id COLUMN --label COLUMN --time COLUMN
  statewise classify train-images-idx3-ubyte.gz --test t10k-images-idx3-ubyte.gz

files, packed as .gz or not:
  .ts            archives of timeseriesclassification.com
  CSV, Parquet   a row for each step, with a column of ids that says of which
                 sequence, and a column of labels; or a row for each sequence,
                 its columns the steps, empty after the last one
  .npz           X (n, T, I) or (n, T), y (n,), and maybe lengths (n,)
  .npy           X alone; y in another file, given with --labels
  IDX            images and labels as MNIST's
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = USAGE
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the training part, or all there is")
    add = parser.add_argument_group("data").add_argument
    add("--test", type=Path, metavar="FILE", help="the test part (default: split off FILE)")
    add("--test-share", type=share, default=0.2, metavar="X", help="of each class to split off (default: 0.2)")
    add("--labels", type=Path, metavar="FILE", help="the labels, where they are in a file of their own")
    add("--test-labels", type=Path, metavar="FILE", help="those of the test part")
    add("--validation", type=part, metavar="X", help="held out of training (default: 0.1 where that is 50 or more)")
    add("--scaling", choices=SCALINGS, help="what gets mean 0 and spread 1 (default: each channel; images: all)")
    add_layout(parser)
    _add_network(parser)
    add_training(parser, RECIPE, epochs="as many as make 2000 updates, 12 to 300")
    add_run(parser)


def add_layout(parser: argparse.ArgumentParser) -> None:
    """The options of how files are read."""
    add = parser.add_argument_group("reading files").add_argument
    add("--id", metavar="COLUMN", help="says of which sequence a row is (default: id, sequence, series or case)")
    add("--label", metavar="COLUMN", help="the class (default: label, class or target)")
    add("--time", metavar="COLUMN", help="orders the rows (default: time, timestamp, date, t or step)")
    add("--channels", metavar="A,B,...", help="the columns of values (default: all others)")
    add("--pixels", action="store_true", help="read images pixel by pixel instead of row by row")
    add("--gaps", choices=GAPS, default="refuse", help="missing values: refuse, or carry the last one on")
    add_reading(add)


def _add_network(parser: argparse.ArgumentParser) -> None:
    shape = Shape()
    add = parser.add_argument_group("network").add_argument
    add("--cell", choices=CELLS, default=shape.cell, help=f"the kind of layer (default: {shape.cell})")
    add("--units", type=whole(1), default=shape.units, metavar="N", help=f"of each layer (default: {shape.units})")
    add("--layers", type=whole(1), default=shape.layers, metavar="N", help=f"layers (default: {shape.layers})")
    add(
        "--bidirectional",
        action=argparse.BooleanOptionalAction,
        default=shape.bidirectional,
        help=f"read backwards too (default: {'yes' if shape.bidirectional else 'no'})",
    )
    add("--head", choices=HEADS, default=shape.head, help=f"what the output sees of the steps (default: {shape.head})")
    add("--segment", type=whole(1), metavar="N", help="steps read at a time (default: a 32nd of 65 or more; images: 1)")
    add("--dropout", type=part, default=shape.dropout, metavar="X", help=f"(default: {shape.dropout:g})")
    add("--balance", action="store_true", help="every class weighs the same, however rare")
    add("--smoothing", type=part, default=0.1, metavar="X", help="of the labels, against overconfidence (default: 0.1)")


def run(args: argparse.Namespace) -> int:
    """Run the job that ``args`` describe; the exit status."""
    if args.resume:
        args = resumed("classify", args, add_arguments)
    from .job import classify

    classify(args, lambda text: print(text, flush=True) if leads() and text else None)
    return 0
