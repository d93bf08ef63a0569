"""The command ``statewise write``: its arguments. Torch is imported when it runs, not for ``--help``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import add_reading, add_run, add_training, part, resumed, whole
from ..rank import leads
from .settings import CELLS, LEVELS, RECIPE, Plan, Shape

USAGE = """\
statewise write [fit] [FILE] [option ...]
       statewise write sample MODEL [option ...]
       statewise write complete MODEL TEXT [TEXT ...]
       statewise write score MODEL FILE"""

DESCRIPTION = """\
Train a recurrent network to write as a text is written, character by character or
word by word. Prints how well it predicts a part that it has not seen, beside what
counting alone reaches, and something that it wrote; leaves report.html, samples.txt,
predictions.csv, metrics.json and model.safetensors in a run folder. Without a file:
32,033 first names.
"""

EXAMPLES = """\
examples:
  statewise write
  statewise write --cell lstm --epochs 3 --out runs/names
  statewise write sample runs/names/model.safetensors --prompt ma --temperature 0.6
  statewise write complete runs/names/model.safetensors mar joh --length 3

with files of your own, text in UTF-8, packed as .gz or not:
  statewise write FILE.txt
  statewise write FILE.txt --level word --units 650 --tie --dropout 0.5
  statewise write FILE.txt --lines
  statewise write score MODEL.safetensors FILE.txt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = USAGE
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a text file")
    plan = Plan()
    add = parser.add_argument_group("data").add_argument
    add("--level", choices=LEVELS, default=plan.level, help=f"what is written next (default: {plan.level})")
    add("--lines", action="store_true", help="every line is one for itself, such as names (default: one running text)")
    add("--validation", type=Path, metavar="FILE", help="the validation part (default: held out of FILE)")
    add("--validation-share", type=part, metavar="X", help="to hold out: the end, of lines any (default: 0.1)")
    words = f"known, the most frequent (default: {plan.most_words})"
    add("--vocabulary", type=whole(1), default=plan.most_words, metavar="N", help=f"how many words are {words}")
    often = f"words that occur less often are <unk> (default: {plan.at_least})"
    add("--at-least", type=whole(1), default=plan.at_least, metavar="N", help=often)
    add_reading(add)
    _add_network(parser)
    add_training(parser, RECIPE, epochs="as many as make 5000 updates, of lines 8000; 300 at most")
    add_run(parser)


def _add_network(parser: argparse.ArgumentParser) -> None:
    shape, plan = Shape(), Plan()
    add = parser.add_argument_group("network").add_argument
    add("--cell", choices=CELLS, default=shape.cell, help=f"the kind of layer (default: {shape.cell})")
    add("--units", type=whole(1), metavar="N", help="of each layer (default: 256, of lines 128)")
    add("--layers", type=whole(1), metavar="N", help="layers (default: 2, of lines 1)")
    add("--embedding", type=whole(1), metavar="N", help="width of the input (default: 64; words, --tie: as --units)")
    add("--dropout", type=part, default=shape.dropout, metavar="X", help=f"(default: {shape.dropout:g})")
    add("--tie", action="store_true", help="the output has the embedding's weights")
    far = f"how far the gradient goes back in a running text (default: {plan.steps})"
    add("--steps", type=whole(1), default=plan.steps, metavar="N", help=far)


def run(args: argparse.Namespace) -> int:
    """Run the job that ``args`` describe; the exit status."""
    if args.resume:
        args = resumed("write", args, add_arguments)
    from .job import write

    write(args, lambda text: print(text, flush=True) if leads() and text else None)
    return 0
