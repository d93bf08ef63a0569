"""The commands ``statewise tag`` and ``tag predict``."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...command import Command, Out, say
from ...config import again, option, part_of
from ...data.content import STDIO
from ...errors import InputError
from .config import Layout, Options
from .corpus import Corpus, all_of

if TYPE_CHECKING:
    from .model import Model

COMMAND = Command(
    "tag",
    Options,
    "statewise.jobs.tasks.tag.job:Tag.run",
    usage="""\
statewise tag [fit] [FILE] [--test FILE] [option ...]
       statewise tag predict MODEL FILE [option ...]""",
    description="""\
Train a recurrent network to give every word of a sentence a tag (parts of speech,
chunks, names), and test it on sentences it has not seen. Where tags mark spans, as
B-NP I-NP O, the score is the F1 of whole spans by conlleval's rules, else the share
of words that are right. Prints it beside simple baselines, and writes report.html,
the test part with predicted tags, metrics.json and model.safetensors into a run
folder. Without a file: sentences made by a small grammar, in which dates, durations,
amounts and sums are to be found.
""",
    examples="""\
examples:
  statewise tag
  statewise tag --crf --epochs 5
  statewise tag predict --help

with files of your own:
  statewise tag TRAIN.txt --test TEST.txt
  statewise tag TRAIN.txt --words 1 --features 2 --column 3
  statewise tag TRAIN.conllu --validation DEV.conllu --test TEST.conllu --field xpos

files, packed as .gz or not; columns by number from 1, or by name:
  CoNLL          a word a line, columns separated by blanks or tabs, an empty line
                 after a sentence; the first column has the words, the last the tags
  CoNLL-U        as universaldependencies.org describes it; the tag is UPOS
""",
)


@dataclass(kw_only=True)
class PredictOptions(Out, Layout):
    """What ``tag predict`` can be told; of the layout what is None is as the model remembers it."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    file: Path = option(..., "the words, as CoNLL's columns or CoNLL-U; -: stdin", metavar="FILE", positional=True)
    text: bool = option(False, "FILE is running text, to be cut into words first")
    json: bool = option(False, "a line of JSON for each sentence: its words, how likely their tags are, its spans")
    out: Path | None = again(Out, "out", None, "FILE's name with -tagged, here; -, and of stdin: stdout")


PREDICT = Command(
    "tag predict",
    PredictOptions,
    "statewise.jobs.tasks.tag.command:predict",
    usage="statewise tag predict MODEL FILE [option ...]",
    description="""\
Tag the words of a file with a model that statewise tag has written. The result is the
same file with the predicted tags in the column of the tags or, where it has none, in
a further one; all else in it stays. Columns are as in the training part; options say
what is different. With --text FILE is running text: the result has a line for every
word, with where it begins and ends in the text, and its tag. A word is letters and
digits, and between them one at a time of . , : / - & @ + and apostrophes; any other
character is a word by itself. A sentence ends with an empty line, or after . ! ? and
closing quotes, where a blank follows and then no lower-case letter.
""",
    examples="""\
with files of your own:
  statewise tag predict runs/tag-built-in-sentences-1/model.safetensors FILE
  statewise tag predict MODEL.safetensors FILE.conllu --out TAGGED.conllu
  statewise tag predict MODEL.safetensors FILE --out - | less
  statewise tag predict MODEL.safetensors STORY.txt --text --json
  echo "Anna lives in Oslo." | statewise tag predict MODEL.safetensors - --text --json
""",
)


def predict(options: PredictOptions) -> None:
    """Tag, and say how much of it is as the file has it, where it has tags."""
    from ...artifacts import atomic
    from .model import Model
    from .result import score

    if options.text and (options.words or options.column or options.features):
        raise InputError("--text: running text has no columns to name with --words, --column or --features")
    to_stdout = STDIO in (options.out, options.file if options.out is None else None)
    out = STDIO if to_stdout else _out(options)
    model = Model.load(options.model)
    corpus = _read(options, model)
    tags = model.tags(corpus)
    if options.json:
        text = "".join(json.dumps(said, ensure_ascii=False) + "\n" for said in model.annotated(corpus, tags))
    else:
        text = corpus.as_document().with_tags(tags)
    if to_stdout:
        sys.stdout.write(text)
        return
    atomic.write(out, text)
    said = ""
    if corpus.tags is not None:
        found = score("", corpus.tags, tags, model.vocabulary.tags).numbers
        shown = [f"{name} {100 * found[name]:.2f} %" for name in ("accuracy", "F1") if name in found]
        said = f"; beside the tags that the file had: {', '.join(shown)}"
    say(f"{out}: {corpus.described()}{said}")


def _out(options: PredictOptions) -> Path:
    """``FILE-tagged.conllu`` for ``FILE.conllu.gz``, ``FILE-tagged.conll`` for running text; or what was asked for."""
    out, file = options.out, options.file
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise InputError(f"--out {out}: is the file to be tagged itself")
    name = Path(file.name.removesuffix(".gz"))
    ending = ".jsonl" if options.json else ".conll" if options.text else name.suffix
    return options.out_file(f"{name.stem}-tagged{ending}")


def _read(options: PredictOptions, model: Model) -> Corpus:
    """The sentences to tag. Refuses a column of tags that hardly has any that the model knows: it is not to be lost."""
    from .formats import read
    from .running import read_running

    if options.text:
        return read_running(options.file)
    corpus, _ = read(options.file, part_of(Layout, options), remembered=model.layout, tagged=False)
    if corpus.tags is not None and corpus.document is not None and corpus.document.column is not None:
        places = zip(all_of(corpus.document.places), all_of(corpus.tags), strict=True)
        strange = [(place, tag) for place, tag in places if tag not in model.vocabulary.tags.numbers]
        if 2 * len(strange) > corpus.tokens:
            (line, cell), column = strange[0], corpus.document.column + 1
            raise InputError(
                f"{corpus.source}: line {line + 1}: expected a tag such as {model.vocabulary.tags[0]!r} in column"
                f" {column}, got {cell[:40]!r}; --column names another column, and --text reads running text"
            )
    return corpus
