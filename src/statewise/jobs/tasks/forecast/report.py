"""What this job alone says of a run: facts, the table, the page's sections, predictions.csv, metrics.json's entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.frames import FrameKind
from ...experiment import Facts
from ...report import Block, Heading, Note, Picture, Table, Text, to_svg
from . import intervals, picture
from .answer import Words
from .backtest import Backtest, Held, Score, lost_to
from .config import Plan
from .linear.folds import independent
from .model import Model
from .recursive import Recursive
from .training import ForecastProblem

MOST_OFF = 0.08  # of a coverage, before it is bad news
FEW = 20  # series that are told one by one
MOST_ROWS = 200_000  # of predictions.csv
SHOWN = 4  # members of the linear forecast


def facts(problem: ForecastProblem) -> Facts:
    """What is forecast, and where it is split."""
    panel, plan, split = problem.panel, problem.plan, problem.split
    names = [series.name for series in panel.series]
    what = names[0] if len(names) == 1 else f"{len(names)} series ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
    found = [("", f"{panel.name}: {what}, {panel.grid.steps(plan.horizon)} ahead")]
    if len(names) == 1:
        labels = panel.series[0].labels
        ends = [0, int(split.train[0]), int(split.validation[0]), int(split.test[0])]
        spans = [f", {labels[a]} to {labels[b - 1]}" if b > a else "" for a, b in pairwise(ends)]
    else:
        spans = ["", "", ""]
    found += [(part, _rows(rows) + span) for (part, rows), span in zip(split.parts.items(), spans, strict=True)]
    unused = np.array([len(series) for series in panel.series]) - split.test
    if unused.any():
        found.append(("unused", f"{_rows(unused)} behind the test part"))
    if panel.missing:
        told = "read as the last value before" if plan.gaps == "carry" else "told to the network as missing"
        found.append(("missing", f"{panel.missing} values: not scored, not learnt from, {told}"))
    return found


def _rows(counts: NDArray[np.int64]) -> str:
    """``counts`` (S,) rows, one number a series, in words."""
    least, most = int(counts.min()), int(counts.max())
    if len(counts) == 1:
        return f"{most} rows"
    return f"{most} rows of each" if least == most else f"{least} to {most} rows of each, {int(counts.sum())} in all"


def choices(model: Model) -> Facts:
    """What was chosen before the test part was looked at."""
    plan = model.plan
    scale = "logarithms" if plan.log else "values as they are"
    scale += ", never below 0" if model.positive and not plan.log else ""
    if isinstance(model.learner, Recursive):
        scale += f", {model.learner.inputs.differences}"
        inputs = f"lags {_list(model.learner.inputs.lags)}"
    else:
        inputs = f"{plan.lookback} rows" + (f" in segments of {plan.segment}" if plan.model == "segrnn" else "")
    if told := told_cycles(model):
        inputs += f", place in the cycle of {_list(told)}"
    if model.columns.covariates:
        inputs += f", {', '.join(model.columns.covariates)}"
    ensemble = f", {plan.ensemble} networks averaged" if plan.ensemble > 1 else ""
    sizes = f"{plan.units} units" + (f", {plan.layers} layers" if plan.layers > 1 else "")
    written = f", a {plan.distribution} distribution" if plan.distribution else ""
    optimizer = f"{plan.optimizer}, rate {plan.learning_rate:g}, batch {plan.batch}, at most {plan.epochs} epochs"
    made: Facts = []
    if model.linear:
        members = list(model.linear.members.items())
        parts = ", ".join(f"{name} {100 * weight:.0f} %" for name, weight in members[:SHOWN])
        parts += f", {len(members) - SHOWN} others" if len(members) > SHOWN else ""
        network = f"{100 * model.share:.0f} % of what the {plan.label} corrects" if model.share else "nothing else"
        also = "".join(f", {name} {100 * share:.0f} %" for name, share in model.statistical.items())
        made = [("made of", f"a forecast linear in {model.linear.lookback} rows ({parts}) and {network}{also}")]
    return [
        *made,
        ("season", f"{plan.season} rows" if plan.season > 1 else "none found"),
        ("scale", scale),
        ("inputs", inputs),
        ("network", f"{plan.label}, {sizes}{written}{ensemble}; {optimizer}"),
    ]


def told_cycles(model: Model) -> list[int]:
    """The calendar's cycles that the networks are told: not the one that differences have taken out."""
    learner, cycles = model.learner, list(model.plan.cycles)
    taken = (
        learner.inputs.differences.season
        if isinstance(learner, Recursive) and learner.inputs.differences.seasonal
        else 0
    )
    return [cycle for cycle in cycles if cycle != taken]


HEAD = ("RMSE", "MAE", "sMAPE", "MASE", "MSE std.", "pinball", "coverage")


def table(scores: Sequence[Score], plan: Plan, origins: int) -> Table:
    """How good the model and the baselines are."""
    title = f"{plan.horizon} steps, {origins} origins"
    return Table([title, *HEAD], [[s.name, *_cells(s, plan)] for s in scores], caption=meaning(plan))


def meaning(plan: Plan) -> str:
    """What the columns are relative to."""
    naive = f"the seasonal naive forecast ({plan.season} rows before)" if plan.season > 1 else "persistence"
    mase = f"MASE 1 is the mean absolute error of {naive} inside the part before the test."
    if len(plan.quantiles) < 2:
        return mase
    low, high = plan.quantiles[0], plan.quantiles[-1]
    return (
        f"{mase} Coverage: real values between the quantiles {low:g} and {high:g}, {100 * (high - low):.0f} % expected."
    )


def verdict(tested: Backtest) -> tuple[str, bool]:
    """Does the model beat the baselines, and where not; do its intervals hold; and whether all that is good news."""
    model, *baselines = tested.scores
    said, good = _beside(model, baselines)
    if tested.model.linear and not tested.model.share:
        said += " The network adds nothing to what is linear in it."
    for held in tested.held:
        if off := _off(held, tested.windows):
            said, good = f"{said} {off[0]}", good and off[1]
    return said, good


def _off(held: Held, windows: float) -> tuple[str, bool] | None:
    """How intervals fail to hold what they should, in words, and whether that may be chance; None where they don't.

    As few windows as the test part has miss it by chance too: by a standard error, whatever the intervals are.
    """
    off, name, holds = held.share - held.level, f"{100 * held.level:.0f} %", f"{100 * held.share:.1f} %"
    if abs(off) <= MOST_OFF:
        return None
    if abs(off) <= _chance(held.level, windows):
        return f"Its {name} intervals hold {holds}, in too few windows to tell why.", True
    return f"Its {name} intervals are too {'narrow' if off < 0 else 'wide'}: they hold {holds}.", False


def _chance(level: float, windows: float) -> float:
    """A standard error of the share that intervals hold in ``windows`` that have no row in common."""
    return float(np.sqrt(level * (1 - level) / max(windows, 1.0)))


def _beside(model: Score, baselines: Sequence[Score]) -> tuple[str, bool]:
    lost = lost_to(model, baselines)
    if lost:
        return f"The {model.name} loses to {'; to '.join(lost)}.", False
    best = min(baselines, key=lambda score: score.rmse)
    gain = 100 * (1 - model.rmse / best.rmse) if best.rmse > 0 else 0.0
    return f"The {model.name} beats every baseline; the best of them, {best.name}, by {gain:.1f} % in RMSE.", True


def blocks(tested: Backtest) -> list[Block]:
    """The sections of the page."""
    plan, order, found = tested.model.plan, tested.order, list[Block]()
    if plan.short:
        text = "The series is short: the networks that give the intervals saw the training part alone, those that"
        found.append(Text(f"{text} forecast the validation part as well."))
    found.append(Heading("Forecasts of the test part"))
    shown = (
        {order[0]: "best", order[len(order) // 2]: "median", order[-1]: "worst"} if len(order) > 1 else {order[0]: ""}
    )
    for series, rank in shown.items():
        name = tested.problem.series[series].name
        mase = tested.scores[0].mase_by_series[series]
        quality = f", the {rank} series: MASE {mase:.3g}" if rank and mase is not None else ""
        svg = to_svg(picture.series_figure(tested, series))
        found.append(Picture(svg, f"{name}{quality}. Forecasts that follow one another, the last beyond the data."))
    found += [
        Heading("The error by step"),
        Picture(to_svg(picture.step_figure(tested.scores)), "Mean absolute error at each step of the horizon."),
    ]
    if len(order) > FEW:
        svg = to_svg(picture.spread_figure(tested.scores))
        found += [Heading("From series to series"), Picture(svg, "The share of the series with a MASE below a value.")]
    elif len(order) > 1:
        found += [Heading("From series to series"), _by_series(tested)]
    if len(plan.quantiles) > 1:
        found += [Heading("Intervals"), *_intervals(tested)]
    return found


def _by_series(tested: Backtest) -> Table:
    """The MASE of each series, best first, of the model and of every baseline."""
    rows = [
        [
            tested.problem.series[s].name,
            *("-" if (mase := score.mase_by_series[s]) is None else f"{mase:.3f}" for score in tested.scores),
        ]
        for s in tested.order
    ]
    return Table(["MASE", *(score.name for score in tested.scores)], rows)


def _intervals(tested: Backtest) -> list[Block]:
    plan = tested.model.plan
    low, high = plan.quantiles[0], plan.quantiles[-1]
    few = independent(tested.problem.folds, plan.horizon) < intervals.FEW
    how = "so few without a row in common that Student's t says how far" if few else "split-conformal"
    found: list[Block] = [
        Text(
            f"The quantiles are moved by what was missed in {tested.calibrated} windows that were not learnt from"
            f" ({how}). Then they follow the values that come, those before the origin of a forecast: wider where more"
            " are outside than should be, narrower where fewer are."
        )
    ]
    rows = [
        [f"{100 * each.level:.0f} %", f"{100 * each.share:.1f} %", f"{100 * each.without:.1f} %"]
        for each in tested.held
    ]
    caption = f"Their mean width between {low:g} and {high:g}: {tested.scores[0].width:.4g}."
    found.append(Table(["intervals of", "hold", "not following"], rows, caption=caption))
    if _chance(tested.held[0].level, tested.windows) > MOST_OFF:
        many = f"{tested.windows:.0f}" if tested.windows >= 1.5 else "one"
        text = f"The test part has about {many} windows without a row in common: too few to tell a miss of"
        found.append(Note(f"{text} {100 * MOST_OFF:.0f} points from chance.", good=False))
    inside = (tested.real >= tested.quantiles[..., 0]) & (tested.real <= tested.quantiles[..., -1])
    there = np.isfinite(tested.real)
    steps = np.unique(np.linspace(0, plan.horizon - 1, 12).astype(int))
    rows = [[str(h + 1), f"{100 * inside[there[:, h], h].mean():.1f} %"] for h in steps if there[:, h].any()]
    found.append(Table(["steps ahead", "coverage"], rows))
    return found


def predictions(tested: Backtest) -> tuple[str, int]:
    """One row for each forecast of the test part; of very many origins some. And how many origins were left out."""
    plan, panel = tested.model.plan, tested.problem.panel
    every = -(-len(tested.rows) * plan.horizon // MOST_ROWS) or 1
    rows, series = tested.rows[::every], [panel.series[s] for s in tested.series[::every]]
    first = np.array([each.first for each in series], dtype=np.int64) + rows
    table = Words(panel.columns, panel.grid, FrameKind(types=dict.fromkeys(panel.kind.types, ("String",)))).table(
        [each.head for each in series],
        first[:, None] + np.arange(plan.horizon),
        [each.labels[row : row + plan.horizon] for each, row in zip(series, rows, strict=True)],
        plan.quantiles,
        tested.quantiles[::every],
        cutoffs=(first - 1, [each.labels[row - 1] for each, row in zip(series, rows, strict=True)]),
        real=tested.real[::every],
    )
    return table.fill_nan(None).write_csv(), len(tested.rows) - len(rows)


def metrics(tested: Backtest) -> dict[str, Any]:
    """What was run, beside the configuration, and what came out."""
    return {
        "series": len(tested.problem.series),
        "rows": tested.problem.split.counts,
        "learner": tested.model.learner.to_json(),
        "linear": tested.model.linear.to_json() if tested.model.linear else None,
        "share": tested.model.share,
        "origins": len(tested.rows),
        "calibration_windows": tested.calibrated,
        "intervals": [asdict(each) for each in tested.held],
        "scores": [_finite(asdict(score)) for score in tested.scores],
    }


def _finite(content: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: None in its place."""
    whole: dict[str, Any] = json.loads(json.dumps(content), parse_constant=lambda _: None)
    return whole


def _cells(score: Score, plan: Plan) -> list[str]:
    return [
        f"{score.rmse:.4g}",
        f"{score.mae:.4g}",
        f"{score.smape:.2f}",
        "-" if score.mase is None else f"{score.mase:.3f}",
        f"{score.mse_standardised:.4f}",
        f"{score.pinball:.4g}",
        f"{100 * score.coverage:.1f} %" if len(plan.quantiles) > 1 else "-",
    ]


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
