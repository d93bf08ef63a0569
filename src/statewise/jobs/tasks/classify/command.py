"""The command ``statewise classify``."""

from __future__ import annotations

from ...command import Command
from .config import Options

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
  statewise classify train-images-idx3-ubyte.gz --test t10k-images-idx3-ubyte.gz

files, packed as .gz or not:
  .ts            archives of timeseriesclassification.com
  CSV, Parquet   a row for each step, with a column of ids that says of which
                 sequence, and a column of labels; or a row for each sequence,
                 its columns the steps, empty after the last one
  .npz           X (n, T, I) or (n, T), y (n,), and maybe lengths (n,)
  .npy           X alone; y in another file, given with --labels
  IDX            images and labels as MNIST's
""",
)
