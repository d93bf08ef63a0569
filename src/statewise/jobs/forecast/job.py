"""The job from a table to a run folder: read, split, train, forecast the test part, score, write."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..onlookers import onlookers
from ..parallel import find_device
from ..rank import leads
from ..recipe import Recipe
from ..runs import new_run, resumed_run
from ..watch import Log, Record
from . import picture, report
from .backtest import backtest, best_to_worst
from .learning import Trainer
from .model import Model
from .panel import Columns, joined
from .reading import read_panel
from .settings import Settings
from .storage import save
from .training import Prepared, prepare, train


@dataclass(frozen=True)
class Job:
    """What the command was asked for. ``recipe`` puts the user's training options over the plan's defaults."""

    source: Path
    test: Path | None
    columns: Columns
    gaps: str
    split: Sequence[float] | None
    stride: int
    settings: Settings
    recipe: Callable[[Recipe], Recipe]


def run_job(job: Job, args: argparse.Namespace, typed: Sequence[str], say: Callable[[str], None]) -> Path:
    """Run ``job``; the folder with the results. ``say`` gets what the user is to read.

    ``args`` are the options of the run, ``typed`` what was typed after the command, for ``--resume``.
    """
    began = time.monotonic()
    prepared = read(job)
    recipe = job.recipe(prepared.recipe)
    find_device(recipe.device)  # before anything is said or made
    with _folder(args, prepared, typed) as folder:
        if leads():
            say(report.data_lines(prepared))
        doing = f"training {prepared.plan.label}"
        with onlookers(doing, folder, report.running_page(prepared), args) as watch:
            model = train(prepared, Trainer(recipe, watch, folder, args.checkpoint_every))
        if leads():
            _finish(folder, job, prepared, model, recipe, began, say)
    return folder


def read(job: Job) -> Prepared:
    """The series of ``job``, split, with all settings decided."""
    panel, rows = read_panel(job.source, job.columns, gaps=job.gaps), None
    if job.test is not None:
        later = read_panel(job.test, panel.columns, gaps=job.gaps, grid=panel.grid)
        panel, rows = joined(panel, later), max(map(len, later.series))
    return prepare(panel, job.settings, gaps=job.gaps, split=job.split, test_rows=rows)


def _folder(args: argparse.Namespace, prepared: Prepared, typed: Sequence[str]) -> AbstractContextManager[Path]:
    if args.resume is not None:
        return resumed_run("forecast", args.resume)
    return new_run("forecast", prepared.panel.name, args.out, typed)


def _finish(
    folder: Path,
    job: Job,
    prepared: Prepared,
    model: Model,
    recipe: Recipe,
    began: float,
    say: Callable[[str], None],
) -> None:
    """Score the model, and write everything beside its weights; ``metrics.json`` last."""
    history: list[Record] = Log(folder / "metrics.jsonl").records
    tested = backtest(model, prepared, job.stride)
    future = _future(model, prepared)
    say(report.choice_lines(model, recipe) + "\n")
    say(report.table(tested.scores, model.plan, len(tested.rows)))
    say(report.verdict(tested.scores)[0])
    order = best_to_worst(tested.scores[0].mase_by_series) or [0]
    picture.draw(folder / "forecast.png", model, prepared, tested, future, order[len(order) // 2])
    left_out = report.write_predictions(folder / "predictions.csv", prepared, model, tested)
    if left_out:
        say(f"predictions.csv leaves out {left_out} of {len(tested.rows)} origins; --stride chooses them")
    save(model, folder / "model.safetensors")
    seconds = time.monotonic() - began
    page = report.final_page(prepared, model, tested, future, history, recipe, seconds)
    page.write(folder / "report.html")
    report.write_metrics(folder / "metrics.json", prepared, model, tested, recipe, seconds)
    written = sorted(p.name for p in folder.iterdir() if p.suffix != ".checkpoint" and p.is_file())
    say(f"\n{folder}: {', '.join(written)}")


def _future(model: Model, prepared: Prepared) -> Any:
    """The forecast beyond the data, for the pictures; None where covariates known ahead don't reach that far."""
    horizon = model.plan.horizon
    if model.known.columns and any(len(t.known) - len(t.values) < horizon for t in model.tails):
        return None
    return model.forecast_ahead(model.tails)
