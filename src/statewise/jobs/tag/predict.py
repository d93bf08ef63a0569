"""The command ``statewise tag predict``: tags for the words of a file, by a model that was trained before."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .. import atomic
from ..errors import InputError
from .command import add_layout, layout_of
from .layout import Layout

DESCRIPTION = """\
Tag the words of a file with a model that statewise tag has written. The result is the
same file with the predicted tags in the column of the tags or, where it has none, in
a further one; all else in it stays. Columns are as in the training part; options say
what is different.
"""

EXAMPLES = """\
with files of your own:
  statewise tag predict runs/tag-built-in-sentences-1/model.safetensors FILE
  statewise tag predict MODEL.safetensors FILE.conllu --out TAGGED.conllu
  statewise tag predict MODEL.safetensors FILE --out - | less
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = "statewise tag predict MODEL FILE [option ...]"
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model.safetensors")
    parser.add_argument("file", type=Path, metavar="FILE", help="the words, as CoNLL's columns or CoNLL-U")
    parser.add_argument("--out", type=Path, metavar="FILE", help="(default: FILE's name with -tagged, here; -: stdout)")
    add_layout(parser)


def run(args: argparse.Namespace) -> int:
    """Predict; the exit status."""
    from .formats import read
    from .model import Model
    from .result import score
    from .spans import are_spans

    model = Model.load(args.model)
    corpus, _ = read(
        args.file, layout_of(args), remembered=_layout(args.model, model.notes.get("layout")), tagged=False
    )
    tags = model.tags(corpus)
    text = corpus.as_document().with_tags(tags)
    if args.out == Path("-"):
        sys.stdout.write(text)
        return 0
    out = args.out or _out(args.file)
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder, expected a file")
    if out.exists() and out.samefile(args.file):
        raise InputError(f"--out {out}: is the file to be tagged itself")
    atomic.write(out, text)
    said = ""
    if corpus.tags is not None:
        of_spans = are_spans({*model.vocabulary.tags, *(tag for sentence in corpus.tags for tag in sentence)})
        found = score("", corpus.tags, tags, of_spans=of_spans)
        f1 = f", F1 {100 * found.spans.f1:.2f} %" if of_spans else ""
        said = f"; beside the tags that the file had: accuracy {100 * found.accuracy:.2f} %{f1}"
    print(f"{out}: {corpus.described()}{said}")
    return 0


def _out(path: Path) -> Path:
    """``FILE-tagged.conllu`` for ``FILE.conllu.gz``."""
    name = Path(path.name.removesuffix(".gz"))
    return Path(f"{name.stem}-tagged{name.suffix}")


def _layout(path: Path, remembered: Any) -> Layout | None:
    """The layout that the model in ``path`` remembers; None where it has none."""
    from ..model_file import checked, typed

    with checked(path, "tagging model"):
        return typed(Layout, remembered) if remembered is not None else None
