"""The command ``statewise classify predict``: the classes of sequences, by a model that was trained before."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..options import add_out, out_file
from .command import add_layout
from .layout import Layout

DESCRIPTION = """\
Predict the classes of the sequences in a file with a model that statewise classify
has written. Writes a CSV file with a row for each sequence: the likeliest class and
the probability of each. Files are read as the training part was; options say what
is different.
"""

EXAMPLES = """\
with files of your own:
  statewise classify predict runs/classify-digits-1/model.safetensors FILE
  statewise classify predict MODEL.safetensors FILE --out classes.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = "statewise classify predict MODEL FILE [option ...]"
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model.safetensors")
    parser.add_argument("file", type=Path, metavar="FILE", help="the sequences, in any form that classify reads")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="their labels, where a file of its own has any")
    add_out(parser, "FILE's name with -predicted.csv, here")
    add_layout(parser)
    parser.set_defaults(pixels=None, gaps=None)


def run(args: argparse.Namespace) -> int:
    """Predict; the exit status."""
    from .examples import Examples
    from .formats import read
    from .formats.content import plain_name
    from .model import Model
    from .report import write_predictions

    out = out_file(args, f"{plain_name(args.file)}-predicted.csv")
    model = Model.load(args.model)
    examples: Examples = read(args.file, _layout(args, model.notes.get("layout")), labels=args.labels)
    try:
        probabilities = model.probabilities(examples.sequences)
    except InputError as error:
        raise InputError(f"{args.file}: {error}") from None
    write_predictions(out, examples, model.classes, probabilities)
    said = ""
    if examples.labels is not None:
        names = [str(label) for label in model.classes]
        right = sum(names[p] == label for p, label in zip(probabilities.argmax(1), examples.labels, strict=True))
        said = f", {right} ({100 * right / len(examples):.2f} %) as they are labelled"
    print(f"{out}: {examples.described()}{said}")
    return 0


def _layout(args: argparse.Namespace, remembered: object) -> Layout:
    """The layout that the model remembers, but for what the options say."""
    from ..model_file import checked, typed

    options = ("id", "label", "time", "channels", "pixels", "gaps")
    stored: dict[str, object] = remembered if isinstance(remembered, dict) else {}
    with checked(args.model, "classification model"):
        typed(Layout, stored)
    known = {name: stored[name] for name in (*options, "long") if name in stored}
    given = {name: getattr(args, name) for name in options if getattr(args, name) is not None}
    layout = {**known, **given, "labelled": args.label is not None}
    channels = layout.get("channels")
    if channels is not None:
        layout["channels"] = tuple(channels.split(",") if isinstance(channels, str) else channels)
    return Layout(**layout)
