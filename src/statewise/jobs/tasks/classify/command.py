"""The commands ``statewise classify`` and ``classify predict``."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from ...command import Command, Out, say
from ...config import again, option
from ...errors import InputError
from .config import Layout, Options

COMMAND = Command(
    "classify",
    Options,
    "statewise.jobs.tasks.classify.job:Classify.run",
    usage="""\
statewise classify [fit] [FILE] [--test FILE] [option ...]
       statewise classify predict MODEL FILE [option ...]""",
    description="""\
Train a recurrent network to tell the classes of sequences apart, and test it on
sequences it has not seen. Prints its accuracy beside those of simple baselines,
and writes report.html, predictions.csv, metrics.json and model.safetensors into a
run folder. Without a file: handwritten digits, images of 8 x 8 read row by row.
""",
    examples="""\
examples:
  statewise classify
  statewise classify --cell lstm --head last --epochs 10
  statewise classify --pixels --out runs/pixels
  statewise classify predict --help

with files of your own:
  statewise classify TRAIN.ts --test TEST.ts
  statewise classify FILE.csv --id COLUMN --label COLUMN --time COLUMN
  statewise classify REVIEWS.csv --text COLUMN --label COLUMN
  statewise classify aclImdb --vectors glove.6B.100d.txt
  statewise classify train-images-idx3-ubyte.gz --test t10k-images-idx3-ubyte.gz

files, packed as .gz or not:
  .ts            archives of timeseriesclassification.com
  CSV, Parquet   a row for each step, with a column of ids that says of which
                 sequence, and a column of labels; or a row for each sequence,
                 its columns the steps, empty after the last one; or a row for
                 each text, with a column of texts and one of labels
  folder         a folder of texts for each class, maybe in train and test
  .npz           X (n, T, I) or (n, T), y (n,), and maybe lengths (n,)
  .npy           X alone; y in another file, given with --labels
  IDX            images and labels as MNIST's
""",
)


@dataclass(kw_only=True)
class PredictOptions(Out, Layout):
    """What ``classify predict`` can be told; of the layout what is None is as the model remembers it."""

    model: Path = option(..., "a model.safetensors", metavar="MODEL", positional=True)
    file: Path = option(..., "the sequences, in any form that classify reads", metavar="FILE", positional=True)
    labels: Path | None = option(None, "their labels, where a file of its own has any", metavar="FILE", default="")
    out: Path | None = again(Out, "out", None, "FILE's name with -predicted.csv, here")
    pixels: bool | None = again(Layout, "pixels", None, "")  # type: ignore[assignment]
    gaps: Literal["refuse", "carry"] | None = again(Layout, "gaps", None, "")  # type: ignore[assignment]
    symbols: bool | None = again(Layout, "symbols", None, "")  # type: ignore[assignment]


PREDICT = Command(
    "classify predict",
    PredictOptions,
    "statewise.jobs.tasks.classify.command:predict",
    usage="statewise classify predict MODEL FILE [option ...]",
    description="""\
Predict the classes of the sequences in a file with a model that statewise classify
has written. Writes a CSV file with a row for each sequence: the likeliest class and
the probability of each. Files are read as the training part was; options say what
is different.
""",
    examples="""\
with files of your own:
  statewise classify predict runs/classify-digits-1/model.safetensors FILE
  statewise classify predict MODEL.safetensors FILE --out classes.csv
""",
)


def predict(options: PredictOptions) -> None:
    """Predict, and say how much of it is as the file has it, where it has labels."""
    from ...artifacts import atomic
    from ...data.content import plain_name
    from .answer import predictions
    from .formats import read
    from .model import Model

    out = options.out_file(f"{plain_name(options.file)}-predicted.csv")
    model = Model.load(options.model)
    given = {each.name: getattr(options, each.name) for each in fields(Layout)}
    given = {name: value for name, value in given.items() if value is not None}
    layout = replace(model.layout or Layout(), **given | {"labelled": options.label is not None})
    examples = read(options.file, layout, labels=options.labels)
    try:
        found = model.predict(examples.sequences)
    except InputError as error:
        raise InputError(f"{options.file}: {error}") from None
    atomic.write(out, predictions(examples, model.target, found))
    said = "" if examples.labels is None else model.target.compared(examples.labels, found)
    say(f"{out}: {examples.described()}{said}")
