"""The command ``statewise tag``."""

from __future__ import annotations

from ...command import Command
from .config import Options

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
