"""The command ``statewise translate``."""

from __future__ import annotations

from ...command import Command
from .config import Options

COMMAND = Command(
    "translate",
    Options,
    "statewise.jobs.tasks.translate.job:run",
    usage="""\
statewise translate [fit] [FILE] [--test FILE] [option ...]
       statewise translate predict MODEL FILE [option ...]""",
    description="""\
Train a recurrent network with attention to write a text for a text (translations,
pronunciations, inflections, dates), and test it on texts it has not seen. Prints how
many it writes right, and how many characters and words are wrong, beside simple
baselines, and writes report.html, predictions.csv, metrics.json and model.safetensors
into a run folder. Without a file: dates as people write them, misspelt now and then,
to be written as in 2026-11-27.
""",
    examples="""\
examples:
  statewise translate
  statewise translate --attention additive --forcing 0.7
  statewise translate predict --help

with files of your own:
  statewise translate WORDS.tsv --source word --target phonemes --target-level word
  statewise translate INFLECTIONS.tsv --no-header --features 3
  statewise translate TRAIN.tsv --no-header --level subword --test TEST.tsv

files, packed as .gz or not: CSV, TSV or Parquet, a row for each pair of texts; with
--no-header lines of fields between tabs, without names of columns and without quotes.
A source may have several targets: each of them is right.
Levels: char reads every character as one, word what stands between blanks; subword
(pieces of words, found by byte-pair encoding) needs the package tokenizers, and BLEU
and chrF, of texts of words or pieces of words, the package sacrebleu:
  pip install 'statewise[translate]'
""",
)
add_arguments, run = COMMAND.add_arguments, COMMAND.run
