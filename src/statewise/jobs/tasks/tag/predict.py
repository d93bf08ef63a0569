"""The command ``statewise tag predict``: tags for the words of a file, by a model that was trained before."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...command import Command, Out, say
from ...config import again, from_json, option, part_of
from ...errors import InputError
from .config import Layout
from .corpus import Corpus, all_of


@dataclass(kw_only=True)
class Options(Out, Layout):
    """What it can be told; of the layout what is None is as the model remembers it."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    file: Path = option(..., "the words, as CoNLL's columns or CoNLL-U", metavar="FILE", positional=True)
    text: bool = option(False, "FILE is running text, to be cut into words first")
    out: Path | None = again(Out, "out", None, "FILE's name with -tagged, here; -: stdout")


COMMAND = Command(
    "tag predict",
    Options,
    "statewise.jobs.tasks.tag.predict:predict",
    usage="statewise tag predict MODEL FILE [option ...]",
    description="""\
Tag the words of a file with a model that statewise tag has written. The result is the
same file with the predicted tags in the column of the tags or, where it has none, in
a further one; all else in it stays. Columns are as in the training part; options say
what is different. With --text FILE is running text: the result has a line for every
word, with where it begins and ends in the text, and its tag.
""",
    examples="""\
with files of your own:
  statewise tag predict runs/tag-built-in-sentences-1/model.safetensors FILE
  statewise tag predict MODEL.safetensors FILE.conllu --out TAGGED.conllu
  statewise tag predict MODEL.safetensors FILE --out - | less
""",
)
add_arguments, run = COMMAND.add_arguments, COMMAND.run


def predict(options: Options) -> None:
    """Tag, and say how much of it is as the file has it, where it has tags."""
    from ...artifacts import atomic
    from ...artifacts.model_file import checked
    from . import running
    from .formats import read
    from .model import Model
    from .result import score
    from .spans import are_spans

    if options.text and (options.words or options.column or options.features):
        raise InputError("--text: running text has no columns to name with --words, --column or --features")
    to_stdout = options.out == Path("-")
    out = Path("-") if to_stdout else _out(options)
    model = Model.load(options.model)
    if options.text:
        corpus = running.read(options.file)
    else:
        remembered = model.notes.get("layout")
        with checked(options.model, Model.KIND):
            known = from_json(Layout, remembered) if remembered is not None else None
        corpus, _ = read(options.file, part_of(Layout, options), remembered=known, tagged=False)
        _check_tags(corpus, model.vocabulary.tags)
    tags = model.tags(corpus)
    text = corpus.as_document().with_tags(tags)
    if to_stdout:
        sys.stdout.write(text)
        return
    atomic.write(out, text)
    said = ""
    if corpus.tags is not None:
        of_spans = are_spans({*model.vocabulary.tags, *(tag for sentence in corpus.tags for tag in sentence)})
        found = score("", corpus.tags, tags, of_spans=of_spans)
        f1 = f", F1 {100 * found.spans.f1:.2f} %" if of_spans else ""
        said = f"; beside the tags that the file had: accuracy {100 * found.accuracy:.2f} %{f1}"
    say(f"{out}: {corpus.described()}{said}")


def _out(options: Options) -> Path:
    """``FILE-tagged.conllu`` for ``FILE.conllu.gz``, ``FILE-tagged.conll`` for running text; or what was asked for."""
    out, file = options.out, options.file
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise InputError(f"--out {out}: is the file to be tagged itself")
    name = Path(file.name.removesuffix(".gz"))
    return options.out_file(f"{name.stem}-tagged{'.conll' if options.text else name.suffix}")


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
