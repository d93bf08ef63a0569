"""The command ``statewise write sample``: new text, by a model that was trained before."""

from __future__ import annotations

import argparse
import sys
from itertools import chain
from pathlib import Path

from ..options import add_reading, not_negative, whole

DESCRIPTION = """\
Write with a model that statewise write has trained: new lines, or text that goes on
after a prompt. The same seed gives the same text.
"""

EXAMPLES = """\
examples:
  statewise write --epochs 3 --out runs/names
  statewise write sample runs/names/model.safetensors --prompt jo --count 5
  statewise write sample runs/names/model.safetensors --temperature 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = "statewise write sample MODEL [option ...]"
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model.safetensors")
    add = parser.add_argument
    add("--prompt", default="", metavar="TEXT", help="what the text begins with (default: nothing)")
    add("--temperature", type=not_negative, default=0.8, metavar="X", help="0: always the likeliest (default: 0.8)")
    add("--top-k", type=whole(1), metavar="N", help="among so many symbols, the likeliest (default: all)")
    add("--length", type=whole(1), metavar="N", help="symbols after the prompt (default: 500; a line: to its end)")
    add("--count", type=whole(1), metavar="N", help="how many texts or lines (default: 1, of drawn lines 10)")
    add("--seed", type=whole(0), default=0, metavar="N", help="of the draws (default: 0)")
    add("--new", type=Path, metavar="FILE", help="of lines: none that is in FILE, and none twice")
    add_reading(add)


def run(args: argparse.Namespace) -> int:
    """Write to stdout; the exit status."""
    from ..errors import InputError
    from .model import LENGTH, Model
    from .sampling import Draw
    from .text import lines_of, read_text

    model, draw = Model.load(args.model), Draw(args.temperature, args.top_k, args.seed)
    count = args.count or (10 if model.lines and draw.temperature > 0 else 1)
    if args.new is not None and not model.lines:
        raise InputError(f"--new {args.new}: is for models of lines, {args.model} has learnt a running text")
    if count == 1 and not model.lines:
        pieces = model.write(args.prompt, args.length or LENGTH, draw)
        first = next(pieces)  # what can't be used is refused before anything is shown
        for piece in chain([model.begun(args.prompt), first], pieces):
            sys.stdout.write(piece)
            sys.stdout.flush()
        print()
        return 0
    without = set(lines_of(read_text(args.new))) if args.new is not None else set[str]()
    found = model.samples(count, args.prompt, args.length, draw, without)
    print(("\n" if model.lines else "\n\n---\n\n").join(found))
    if len(found) < count:
        raise InputError(f"--new {args.new}: the model wrote {len(found)} lines that are not in it, not {count}")
    return 0
