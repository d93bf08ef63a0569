"""The command ``statewise write``."""

from __future__ import annotations

from ...command import Command
from .config import Options

COMMAND = Command(
    "write",
    Options,
    "statewise.jobs.tasks.write.job:Write.run",
    usage="""\
statewise write [fit] [FILE] [option ...]
       statewise write sample MODEL [option ...]
       statewise write complete MODEL TEXT [TEXT ...]
       statewise write score MODEL FILE""",
    description="""\
Train a recurrent network to write as a text is written, character by character or
word by word. Prints how well it predicts a part that it has not seen, beside what
counting alone reaches, and something that it wrote; leaves report.html, samples.txt,
predictions.csv, metrics.json and model.safetensors in a run folder. Without a file:
32,033 first names.
""",
    examples="""\
examples:
  statewise write
  statewise write --cell lstm --epochs 3 --out runs/names
  statewise write sample runs/names/model.safetensors --prompt ma --temperature 0.6
  statewise write complete runs/names/model.safetensors mar joh --length 3

with files of your own, text in UTF-8, packed as .gz or not:
  statewise write FILE.txt
  statewise write FILE.txt --level word --units 650 --tie --dropout 0.5
  statewise write FILE.txt --lines
  statewise write score MODEL.safetensors FILE.txt
""",
)
