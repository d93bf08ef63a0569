"""The command ``statewise write score``: how well a model that was trained before predicts a text."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import add_reading, out_file

DESCRIPTION = """\
Say how well a model, trained by statewise write, predicts the text in a file: the
perplexity, and the bits that a character costs.
"""

EXAMPLES = """\
with files of your own:
  statewise write score MODEL.safetensors FILE
  statewise write score MODEL.safetensors FILE --out lines.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = "statewise write score MODEL FILE [option ...]"
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model.safetensors")
    parser.add_argument("file", type=Path, metavar="FILE", help="text in UTF-8, packed as .gz or not")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write what each line costs into a CSV file")
    parser.add_argument("--overwrite", action="store_true", help="write over a file that is there already")
    add_reading(parser.add_argument)


def run(args: argparse.Namespace) -> int:
    """Print the figures; the exit status."""
    from ..errors import InputError
    from .model import Model
    from .report import score_lines, write_predictions
    from .text import read_text

    model = Model.load(args.model)
    text = read_text(args.file)
    if args.out is not None:
        out_file(args, "")
    try:
        surprised = model.surprise(text)
    except InputError as error:
        raise InputError(f"{args.file}: {error}") from None
    print(score_lines(str(args.file), surprised, model.vocabulary))
    if args.out is not None:
        write_predictions(args.out, surprised, model.vocabulary)
        print(f"{args.out}: a row for each line")
    return 0
