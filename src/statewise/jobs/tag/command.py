"""The command ``statewise tag``: its arguments. Torch is imported when it runs, not for ``--help``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from ..options import add_reading, add_run, add_training, part, resumed, share, whole
from ..rank import leads
from .layout import Layout
from .settings import CELLS, RECIPE, Plan, Shape

USAGE = """\
statewise tag [fit] [FILE] [--test FILE] [option ...]
       statewise tag predict MODEL FILE [option ...]"""

DESCRIPTION = """\
Train a recurrent network to give every word of a sentence a tag (parts of speech,
chunks, names), and test it on sentences it has not seen. Where tags mark spans, as
B-NP I-NP O, the score is the F1 of whole spans by conlleval's rules, else the share
of words that are right. Prints it beside simple baselines, and writes report.html,
the test part with predicted tags, metrics.json and model.safetensors into a run
folder. Without a file: sentences made by a small grammar, in which dates, durations,
amounts and sums are to be found.
"""

EXAMPLES = """\
examples:
  statewise tag
  statewise tag --crf --epochs 5
  statewise tag predict --help

with files of your own:
  statewise tag TRAIN.txt --test TEST.txt
  statewise tag TRAIN.txt --words 1 --features 2 --column 3
  statewise tag TRAIN.conllu --dev DEV.conllu --test TEST.conllu --field xpos

files, packed as .gz or not:
  CoNLL          a word a line, columns separated by blanks or tabs, an empty line
                 after a sentence; the first column has the words, the last the tags
  CoNLL-U        as universaldependencies.org describes it; the tag is UPOS
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
    add("--test-share", type=share, default=0.2, metavar="X", help="of the sentences to split off (default: 0.2)")
    add("--dev", type=Path, metavar="FILE", help="the validation part (default: split off FILE)")
    add("--validation", type=part, metavar="X", help="share to split off (default: 0.1 where that is 50 or more)")
    add_layout(parser)
    _add_network(parser)
    add_training(parser, RECIPE)
    add_run(parser)


def add_layout(parser: argparse.ArgumentParser) -> None:
    """The options of how files are read."""
    add = parser.add_argument_group("reading files, columns by number from 1 or by name").add_argument
    add("--words", metavar="COLUMN", help="the words (default: FORM, or the first)")
    add(
        "--column",
        "--field",
        metavar="COLUMN",
        help="the tags: upos, xpos, feats, deprel, 4 (default: UPOS, or the last)",
    )
    add("--features", metavar="A,B,...", help="columns that the network reads beside the words (default: none)")
    add_reading(add)


def layout_of(args: argparse.Namespace) -> Layout:
    """How files are to be read, from the options of ``add_layout``."""
    features = tuple(args.features.split(",")) if args.features else ()
    if len(set(features)) < len(features):
        raise InputError(f"--features {args.features}: names a column twice")
    return Layout(args.words, args.column, features)


def _add_network(parser: argparse.ArgumentParser) -> None:
    shape, plan = Shape(), Plan()
    add = parser.add_argument_group("network").add_argument
    add("--cell", choices=CELLS, default=shape.cell, help=f"the kind of layer (default: {shape.cell})")
    add("--units", type=whole(1), default=shape.units, metavar="N", help=f"in each direction (default: {shape.units})")
    add("--layers", type=whole(1), default=shape.layers, metavar="N", help=f"layers (default: {shape.layers})")
    _number(add, "--word-size", 1, shape.word_size, "numbers learnt for each word")
    _number(add, "--character-units", 0, shape.character_units, "of the layer that reads a word's characters, 0: none")
    _number(add, "--feature-size", 1, shape.feature_size, "numbers learnt for each value of a feature")
    add("--dropout", type=part, default=shape.dropout, metavar="X", help=f"(default: {shape.dropout:g})")
    add("--crf", action="store_true", help="score tags together with the one before, by a conditional random field")
    _number(add, "--least", 1, plan.least, "words that occur less often are unknown")


def _number(add: Callable[..., object], name: str, least: int, default: int, text: str) -> None:
    add(name, type=whole(least), default=default, metavar="N", help=f"{text} (default: {default})")


def run(args: argparse.Namespace) -> int:
    """Run the job that ``args`` describe; the exit status."""
    if args.resume:
        args = resumed("tag", args, add_arguments)
    from .job import tag

    tag(args, lambda text: print(text, flush=True) if leads() and text else None)
    return 0
