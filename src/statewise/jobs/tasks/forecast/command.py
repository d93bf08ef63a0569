"""The command ``statewise forecast``."""

from __future__ import annotations

from ...command import Command
from .config import Options

COMMAND = Command(
    "forecast",
    Options,
    "statewise.jobs.tasks.forecast.job:Forecast.run",
    usage="""\
statewise forecast [fit] [FILE] [option ...]
       statewise forecast predict MODEL [FILE] [option ...]""",
    description="""\
Train a recurrent network to forecast one series or many, and hold it against simple
baselines on rows it hasn't seen. Writes report.html, forecast.png, predictions.csv,
metrics.json and model.safetensors into a run folder. Without a file: the monthly
airline passengers of 1949 to 1960.
""",
    examples="""\
examples:
  statewise forecast
  statewise forecast --model gru --ensemble 3 --out runs/quick
  statewise forecast predict --help

with a file of your own:
  statewise forecast FILE --time COLUMN --target COLUMN --horizon 24
  statewise forecast FILE --id SHOP --target SALES --known PRICE --static CITY
  statewise forecast predict runs/forecast-FILE-1/model.safetensors FILE
""",
)
