"""The command ``statewise write complete``: what most likely comes next, by a model that was trained before."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import whole

DESCRIPTION = """\
Complete the beginnings of lines or texts with what a model, trained by statewise
write, finds likeliest: the next letter or word, or several, one after the other.
"""

EXAMPLES = """\
examples:
  statewise write --epochs 3 --out runs/names
  statewise write complete runs/names/model.safetensors mar joh
  statewise write complete runs/names/model.safetensors mar joh --length 10
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = "statewise write complete MODEL TEXT [TEXT ...] [option ...]"
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model.safetensors")
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="how a line or text begins")
    add = parser.add_argument
    add("--length", type=whole(1), default=1, metavar="N", help="symbols to add, to a line's end at most (default: 1)")


def run(args: argparse.Namespace) -> int:
    """Print a line for each text; the exit status."""
    from .model import Model

    model = Model.load(args.model)
    completed = [model.complete(text, args.length) for text in args.texts]
    width = max(map(len, completed))
    for text, whole_text in zip(args.texts, completed, strict=True):
        likely = [f"{_shown(symbol)} {100 * chance:.1f} %" for symbol, chance in model.following(text, 3)]
        print(f"{whole_text:{width}}   next: {', '.join(likely)}")
    return 0


def _shown(symbol: str) -> str:
    """A symbol that can be seen."""
    return {"\n": "(end)", " ": "(blank)"}.get(symbol, symbol)
