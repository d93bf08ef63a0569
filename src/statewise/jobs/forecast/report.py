"""What a run says: the lines on the terminal, ``report.html``, ``predictions.csv`` and ``metrics.json``."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..._version import __version__
from .. import atomic
from ..recipe import Recipe
from ..report import Block, Heading, Note, Page, Picture, Table, Text, loss_curve, to_svg
from ..watch import Record
from . import picture
from .ahead import quantile_name
from .backtest import Backtest, best_to_worst
from .conformal import least_windows
from .model import Forecast, Model
from .scores import Score, lost_to
from .settings import Plan
from .stepwise import StepLearner
from .training import Prepared

FEW = 20  # series that are told one by one
MOST_ROWS = 200_000  # of predictions.csv


def data_lines(prepared: Prepared) -> str:
    """What is forecast, and where it is split."""
    panel, plan, split = prepared.panel, prepared.plan, prepared.split
    names = [series.name for series in panel.series]
    what = names[0] if len(names) == 1 else f"{len(names)} series ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
    lines = [f"{panel.name}: {what}, {panel.grid.steps(plan.horizon)} ahead"]
    if len(names) == 1:
        labels = panel.series[0].labels
        ends = [0, int(split.train[0]), int(split.validation[0]), int(split.test[0])]
        spans = [f", {labels[a]} to {labels[b - 1]}" if b > a else "" for a, b in pairwise(ends)]
    else:
        spans = ["", "", ""]
    for (part, rows), span in zip(split.parts.items(), spans, strict=True):
        lines.append(f"  {part:<11}{_rows(rows)}{span}")
    unused = np.array([len(series) for series in panel.series]) - split.test
    if unused.any():
        lines.append(f"  {'unused':<11}{_rows(unused)} behind the test part")
    if panel.missing:
        told = "read as the last value before" if prepared.gaps == "fill" else "told to the network as missing"
        lines.append(f"  {'missing':<11}{panel.missing} values: not scored, not learnt from, {told}")
    return "\n".join(lines)


def _rows(counts: NDArray[np.int64]) -> str:
    """``counts`` (S,) rows, one number a series, in words."""
    least, most = int(counts.min()), int(counts.max())
    if len(counts) == 1:
        return f"{most} rows"
    return f"{most} rows of each" if least == most else f"{least} to {most} rows of each, {int(counts.sum())} in all"


def choice_lines(model: Model, recipe: Recipe) -> str:
    """What was chosen before the test part was looked at."""
    plan = model.plan
    season = f"{plan.season} rows" if plan.season > 1 else "none found"
    scale = "logarithms" if plan.log else "values as they are"
    if isinstance(model.learner, StepLearner):
        scale += f", {model.learner.differences}"
        inputs = f"lags {_list(model.learner.lags)}"
    else:
        inputs = f"{plan.lookback} rows" + (f" in segments of {plan.segment}" if plan.model == "segment" else "")
    if told := told_cycles(model):
        inputs += f", place in the cycle of {_list(told)}"
    if model.columns.covariates:
        inputs += f", {', '.join(model.columns.covariates)}"
    seeds = f", {plan.seeds} networks averaged" if plan.seeds > 1 else ""
    sizes = f"{plan.hidden} units" + (f", {plan.layers} layers" if plan.layers > 1 else "")
    return (
        f"  season     {season}\n"
        f"  scale      {scale}\n"
        f"  inputs     {inputs}\n"
        f"  network    {plan.label}, {sizes}{seeds}; {recipe.optimizer}, rate {recipe.learning_rate:g},"
        f" batch {recipe.batch}, at most {recipe.epochs} epochs"
    )


def told_cycles(model: Model) -> list[int]:
    """The calendar's cycles that the networks are told: not the one that differences have taken out."""
    learner, cycles = model.learner, list(model.plan.cycles)
    taken = learner.differences.season if isinstance(learner, StepLearner) and learner.differences.seasonal else 0
    return [cycle for cycle in cycles if cycle != taken]


HEAD = ("RMSE", "MAE", "sMAPE", "MASE", "MSE std.", "pinball", "coverage")


def table(scores: Sequence[Score], plan: Plan, origins: int) -> str:
    """The table of scores as text."""
    title = f"{plan.horizon} steps ahead from {origins} origins"
    width = max(len(title), *(len(score.name) for score in scores))
    lines = [f"{title:<{width}}" + "".join(f" {head:>9}" for head in HEAD)]
    lines += [f"{score.name:<{width}}" + "".join(f" {cell:>9}" for cell in _cells(score, plan)) for score in scores]
    return "\n".join([*lines, meaning(plan)])


def meaning(plan: Plan) -> str:
    """What the columns are relative to."""
    naive = f"the seasonal naive forecast ({plan.season} rows before)" if plan.season > 1 else "persistence"
    mase = f"MASE 1 is the mean absolute error of {naive} inside the part before the test."
    if len(plan.levels) < 2:
        return mase
    low, high = plan.levels[0], plan.levels[-1]
    return (
        f"{mase} Coverage: real values between the quantiles {low:g} and {high:g}, {100 * (high - low):.0f} % expected."
    )


def verdict(scores: Sequence[Score]) -> tuple[str, bool]:
    """One line: does the model beat the baselines, and where not; and whether that is good news."""
    model, *baselines = scores
    lost = lost_to(model, baselines)
    if lost:
        return f"The {model.name} loses to {'; to '.join(lost)}.", False
    best = min(baselines, key=lambda score: score.rmse)
    gain = 100 * (1 - model.rmse / best.rmse) if best.rmse > 0 else 0.0
    return f"The {model.name} beats every baseline; the best of them, {best.name}, by {gain:.1f} % in RMSE.", True


def running_page(prepared: Prepared) -> Callable[[Sequence[Record]], Page]:
    """The page while the networks train."""
    title, subtitle, text = _title(prepared), _subtitle(prepared), data_lines(prepared)

    def page(history: Sequence[Record]) -> Page:
        blocks: list[Block] = [Text(text, plain=True), Heading("Training"), _curve(history)]
        return Page(title, subtitle, blocks, running=True)

    return page


def final_page(
    prepared: Prepared,
    model: Model,
    tested: Backtest | None,
    future: Forecast | None,
    history: Sequence[Record],
    recipe: Recipe,
    seconds: float,
) -> Page:
    """The page of a complete run."""
    plan = model.plan
    blocks: list[Block] = []
    if tested is not None:
        said, good = verdict(tested.scores)
        blocks += [Note(said, good), *_scored(prepared, model, tested, future)]
    blocks += [
        Heading("Training"),
        _curve(history),
        Heading("What was run"),
        Text(data_lines(prepared) + "\n" + choice_lines(model, recipe), plain=True),
        Text(f"{seconds:.1f} seconds in all; statewise {__version__}, torch {version('torch')}; seed {recipe.seed}."),
    ]
    if plan.short:
        blocks.append(
            Text(
                "The series is short: the networks that give the intervals saw the training part alone, those that"
                " forecast the validation part as well."
            )
        )
    return Page(_title(prepared), _subtitle(prepared), blocks)


def _scored(prepared: Prepared, model: Model, tested: Backtest, future: Forecast | None) -> list[Block]:
    plan = model.plan
    rows = [[score.name, *_cells(score, plan)] for score in tested.scores]
    order = best_to_worst(tested.scores[0].mase_by_series) or [0]
    blocks: list[Block] = [
        Table(["", *HEAD], rows, strong=0, caption=meaning(plan)),
        Heading("Forecasts of the test part"),
    ]
    shown = (
        {order[0]: "best", order[len(order) // 2]: "median", order[-1]: "worst"} if len(order) > 1 else {order[0]: ""}
    )
    for series, rank in shown.items():
        name = prepared.tracks[series].name
        mase = tested.scores[0].mase_by_series[series]
        quality = f", the {rank} series: MASE {mase:.3g}" if rank and mase is not None else ""
        svg = to_svg(picture.series_figure(model, prepared, tested, future, series))
        blocks.append(Picture(svg, f"{name}{quality}. Forecasts that follow one another, the last beyond the data."))
    blocks += [
        Heading("The error by step"),
        Picture(to_svg(picture.step_figure(tested.scores)), "Mean absolute error at each step of the horizon."),
    ]
    if len(order) > FEW:
        svg = to_svg(picture.spread_figure(tested.scores))
        blocks += [Heading("From series to series"), Picture(svg, "The share of the series with a MASE below a value.")]
    elif len(order) > 1:
        blocks += [Heading("From series to series"), _by_series(prepared, tested, order)]
    if len(plan.levels) > 1:
        blocks += [Heading("Intervals"), *_intervals(plan, tested)]
    return blocks


def _by_series(prepared: Prepared, tested: Backtest, order: Sequence[int]) -> Table:
    """The MASE of each series, best first, of the model and of every baseline."""
    rows = [
        [
            prepared.tracks[s].name,
            *("-" if (mase := score.mase_by_series[s]) is None else f"{mase:.3f}" for score in tested.scores),
        ]
        for s in order
    ]
    return Table(["MASE", *(score.name for score in tested.scores)], rows)


def _intervals(plan: Plan, tested: Backtest) -> list[Block]:
    low, high = plan.levels[0], plan.levels[-1]
    score = tested.scores[0]
    expected = 100 * (high - low)
    text = (
        f"Between the quantiles {low:g} and {high:g}, {expected:.0f} % of the real values should lie; on the test part"
        f" {100 * score.coverage:.1f} % do, at a mean width of {score.width:.4g}. The quantiles are split-conformal:"
        f" moved by what was missed in {tested.calibrated} windows of the validation part."
    )
    series = max(1, len(set(tested.series.tolist())))
    blocks: list[Block] = [Text(text)]
    if tested.calibrated < least_windows(plan.levels) * series:
        blocks.append(
            Note(
                f"Fewer than {least_windows(plan.levels)} windows can't tell quantiles as far out as these.", good=False
            )
        )
    inside = (tested.real >= tested.quantiles[..., 0]) & (tested.real <= tested.quantiles[..., -1])
    there = np.isfinite(tested.real)
    steps = np.unique(np.linspace(0, plan.horizon - 1, 12).astype(int))
    rows = [[str(h + 1), f"{100 * inside[there[:, h], h].mean():.1f} %"] for h in steps if there[:, h].any()]
    blocks.append(Table(["steps ahead", "coverage"], rows))
    return blocks


def write_predictions(path: Path, prepared: Prepared, model: Model, tested: Backtest) -> int:
    """One row for each forecast of the test part; of very many origins some. How many origins were left out."""
    plan = model.plan
    every = -(-len(tested.rows) * plan.horizon // MOST_ROWS) or 1
    rows, series = tested.rows[::every], tested.series[::every]
    at = rows[:, None] + np.arange(plan.horizon)  # (n, H)
    labels = [prepared.panel.series[s].labels for s in range(len(prepared.tracks))]
    columns: dict[str, Any] = {
        "series": np.repeat([prepared.tracks[s].name for s in series], plan.horizon),
        "origin": np.repeat([labels[s][row - 1] for s, row in zip(series, rows, strict=True)], plan.horizon),
        "time": [labels[s][row] for s, window in zip(series, at, strict=True) for row in window],
        "step": np.tile(np.arange(1, plan.horizon + 1), len(rows)),
        "real": pl.Series(tested.real[::every].ravel()).fill_nan(None),
        "forecast": tested.quantiles[::every][..., plan.median].ravel(),
    }
    for q, level in enumerate(plan.levels):
        if level != 0.5:
            columns[quantile_name(level)] = tested.quantiles[::every][..., q].ravel()
    atomic.write(path, pl.DataFrame(columns).write_csv())
    return len(tested.rows) - len(rows)


def write_metrics(
    path: Path, prepared: Prepared, model: Model, tested: Backtest | None, recipe: Recipe, seconds: float
) -> None:
    """Everything that is needed to know what was run, and what came out."""
    panel = prepared.panel
    learner = model.learner.to_json()
    content: dict[str, Any] = {
        "data": {
            "name": panel.name,
            "columns": asdict(panel.columns),
            "step": panel.grid.step,
            "missing": panel.missing,
        },
        "series": len(panel.series),
        "rows": prepared.split.counts,
        "plan": asdict(model.plan),
        "learner": learner,
        "recipe": asdict(recipe),
        "origins": 0 if tested is None else len(tested.rows),
        "calibration_windows": 0 if tested is None else tested.calibrated,
        "scores": [] if tested is None else [_finite(asdict(score)) for score in tested.scores],
        "seconds": round(seconds, 2),
        "versions": {"statewise": __version__, "torch": version("torch"), "python": platform.python_version()},
    }
    atomic.write(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _finite(content: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: None in its place."""
    whole: dict[str, Any] = json.loads(json.dumps(content), parse_constant=lambda _: None)
    return whole


def _curve(history: Sequence[Record]) -> Picture:
    fits = len({record.get("fit") for record in history})
    several = f" One line for each of {fits} networks." if fits > 1 else ""
    return Picture(loss_curve(history), f"The loss over the updates.{several}")


def _title(prepared: Prepared) -> str:
    names = [series.name for series in prepared.panel.series]
    return f"{names[0] if len(names) == 1 else prepared.panel.name}: forecast"


def _subtitle(prepared: Prepared) -> str:
    plan, panel = prepared.plan, prepared.panel
    many = f"{len(panel.series)} series of " if len(panel.series) > 1 else ""
    return f"{plan.label}, {panel.grid.steps(plan.horizon)} ahead; {many}{panel.name}"


def _cells(score: Score, plan: Plan) -> list[str]:
    return [
        f"{score.rmse:.4g}",
        f"{score.mae:.4g}",
        f"{score.smape:.2f}",
        "-" if score.mase is None else f"{score.mase:.3f}",
        f"{score.mse_standardised:.4f}",
        f"{score.pinball:.4g}",
        f"{100 * score.coverage:.1f} %" if len(plan.levels) > 1 else "-",
    ]


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
