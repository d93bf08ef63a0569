"""The command ``statewise tag predict``: tags for the words of a file, by a model that was trained before."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import atomic
from ..errors import InputError
from ..options import add_out, out_file
from .command import add_layout, layout_of
from .corpus import Corpus, all_of
from .layout import Layout

DESCRIPTION = """\
Tag the words of a file with a model that statewise tag has written. The result is the
same file with the predicted tags in the column of the tags or, where it has none, in
a further one; all else in it stays. Columns are as in the training part; options say
what is different. With --text FILE is running text: the result has a line for every
word, with where it begins and ends in the text, and its tag.
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
    parser.add_argument("--text", action="store_true", help="FILE is running text, to be cut into words first")
    add_out(parser, "FILE's name with -tagged, here; -: stdout")
    add_layout(parser)


def run(args: argparse.Namespace) -> int:
    """Predict; the exit status."""
    from .formats import read, running
    from .model import Model
    from .result import score
    from .spans import are_spans

    if args.text and (args.words or args.column or args.features):
        raise InputError("--text: running text has no columns to name with --words, --column or --features")
    to_stdout = args.out == Path("-")
    out = args.out if to_stdout else _out(args)
    model = Model.load(args.model)
    if args.text:
        corpus = running.read(args.file)
    else:
        remembered = _layout(args.model, model.notes.get("layout"))
        corpus, _ = read(args.file, layout_of(args), remembered=remembered, tagged=False)
        _check_tags(corpus, model.vocabulary.tags)
    tags = model.tags(corpus)
    text = corpus.as_document().with_tags(tags)
    if to_stdout:
        sys.stdout.write(text)
        return 0
    atomic.write(out, text)
    said = ""
    if corpus.tags is not None:
        of_spans = are_spans({*model.vocabulary.tags, *(tag for sentence in corpus.tags for tag in sentence)})
        found = score("", corpus.tags, tags, of_spans=of_spans)
        f1 = f", F1 {100 * found.spans.f1:.2f} %" if of_spans else ""
        said = f"; beside the tags that the file had: accuracy {100 * found.accuracy:.2f} %{f1}"
    print(f"{out}: {corpus.described()}{said}")
    return 0


def _out(args: argparse.Namespace) -> Path:
    """``FILE-tagged.conllu`` for ``FILE.conllu.gz``, ``FILE-tagged.conll`` for running text; or what was asked for."""
    if args.out is not None and args.out.exists() and args.file.exists() and args.out.samefile(args.file):
        raise InputError(f"--out {args.out}: is the file to be tagged itself")
    name = Path(args.file.name.removesuffix(".gz"))
    return out_file(args, f"{name.stem}-tagged{'.conll' if args.text else name.suffix}")


def _check_tags(corpus: Corpus, known: Sequence[str]) -> None:
    """Refuse a column of tags that hardly has any that the model knows: it holds something else, not to be lost."""
    if corpus.tags is None or corpus.document is None or corpus.document.column is None:
        return
    places = [place for sentence in corpus.document.places for place in sentence]
    strange = [(place, tag) for place, tag in zip(places, all_of(corpus.tags), strict=True) if tag not in known]
    if 2 * len(strange) > corpus.tokens:
        line, cell = strange[0]
        raise InputError(
            f"{corpus.source}: line {line + 1}: expected a tag such as {known[0]!r} in column"
            f" {corpus.document.column + 1}, got {cell[:40]!r}; --column names another column, and --text reads running"
            " text"
        )


def _layout(path: Path, remembered: Any) -> Layout | None:
    """The layout that the model in ``path`` remembers; None where it has none."""
    from ..config import from_json
    from ..model_file import checked

    with checked(path, "tagging model"):
        return from_json(Layout, remembered) if remembered is not None else None
