"""What was measured, as docs/panel.json keeps it and as docs/panel.md and docs/jobs/forecast.md show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmarks.record import markdown

OWN = "statewise"
EXTRA = "statewise[statsforecast]"
"""The command where statsforecast is installed: AutoETS and AutoTheta count in it."""
SIMPLE = ("naive", "drift", "seasonal naive", "linear")
"""What the command prints beside itself, with a seasonal naive forecast for each season."""
BEHIND = 1.02
HALVES = {
    "dev": "where settings were chosen",
    "report": "kept apart",
    "last": "met last, when the defaults stood",
}

_HEAD = """# The panel: how `statewise forecast` does on public series, by default

Written by `make panel`. `tools/panel/sets.csv` names every set by repository, commit and SHA-256; nothing of them is
part of this repository. Half of the sets, by a hash of their names and before anything was tried, are those on which
settings were chosen; those that had a part in earlier defaults (airline, ETTh1, M4 Hourly, taylor, sunspots) are
among them. The other half was kept apart; a third group was gathered when the defaults stood.

The last five horizons of each series, at most 30 %, are the test part. Every method is fitted once, on the rows
before it, and forecasts from 3 to 12 origins inside it with all rows before the origin. Panels are cut to 60 series,
series to their last 6,000 rows. *MASE* is the mean absolute error in that of the seasonal naive forecast before the
test part, averaged over series. *Ratio* is the command's MASE over that of the best of naive, drift, seasonal naive
(one for each season of the calendar) and linear, *of the field* over that of the best of those and of AutoETS,
AutoTheta, AutoARIMA, MSTL (statsforecast) and boosted trees: **the best is picked on the test part**, so a method that
always chose rightly among them would have a ratio of 1. The command knows the columns and the horizon, and nothing
else. *Quantile loss* is the mean over 2.5, 10, 50, 90 and 97.5 %, in that of the seasonal naive forecast. A method that
failed on a set, or would have taken minutes, is left out there. The command is measured as it is without statsforecast;
beside it stand the short sets where AutoETS and AutoTheta count as soon as that is installed."""

Records = Mapping[str, Mapping[str, Any]]


def page(records: Records) -> str:
    """All of docs/panel.md."""
    parts = [_HEAD, summary(records)]
    for half, said in HALVES.items():
        if any(record["half"] == half and OWN in record["scores"] for record in records.values()):
            parts.append(f"## Sets {said}\n\n" + sets(records, half))
    return "\n\n".join(parts) + "\n"


def summary(records: Records) -> str:
    """A row for each half."""
    head = [
        "sets",
        "number",
        "ratio, geometric mean",
        "median",
        "better than all simple ones",
        "more than 2 % behind",
        "largest ratio",
    ]
    head += ["of the field, geometric mean", "best of the field", "quantile loss"]
    head += ["80 % intervals hold", "in 72 to 88 %", "95 % hold"]
    rows = []
    for half, said in HALVES.items():
        if chosen := [record for record in records.values() if record["half"] == half and OWN in record["scores"]]:
            rows.append(_summary(said, chosen))
        if both := [record for record in chosen if EXTRA in record["scores"]]:
            rows.append(_summary("the short ones among them", both))
            rows.append(_summary("the same with statsforecast installed", both, EXTRA))
    return markdown([head, *rows])


def _summary(said: str, records: list[Mapping[str, Any]], name: str = OWN) -> list[str]:
    simple, field = (
        np.array([ratio(record, simple=only, own=name)[0] for record in records]) for only in (True, False)
    )
    own = [record["scores"][name] for record in records]
    held80, held95 = (np.array([score[kept] for score in own]) for kept in ("cover80", "cover95"))
    losses = [r["scores"][name]["loss"] / r["scores"][_seasonal(r)]["loss"] for r in records]
    return [
        said,
        str(len(records)),
        f"{_geometric(simple):.3f}",
        f"{np.median(simple):.3f}",
        f"{np.mean(simple < 1):.0%}",
        f"{np.mean(simple > BEHIND):.0%}",
        f"{simple.max():.2f}",
        f"{_geometric(field):.3f}",
        f"{np.mean(field < 1):.0%}",
        f"{_geometric(losses):.3f}",
        f"{held80.mean():.1%}",
        f"{np.mean((held80 >= 0.72) & (held80 <= 0.88)):.0%}",
        f"{held95.mean():.1%}",
    ]


def sets(records: Records, half: str) -> str:
    """A row for each set, the worst first."""
    rows = []
    for name, record in records.items():
        if record["half"] != half or OWN not in record["scores"]:
            continue
        own, (simple, first), (field, best) = (
            record["scores"][OWN],
            ratio(record, simple=True),
            ratio(record, simple=False),
        )
        kind = f"{record['frequency']}, {record['series']} x {record['rows']}, {record['horizon']} ahead"
        cells = [name, kind, f"{own['mase']:.3f}", f"{simple:.3f}", first, f"{field:.3f}", best]
        rows.append((simple, [*cells, f"{own['cover80']:.0%}", f"{own['cover95']:.0%}"]))
    head = ["set", "", "MASE", "ratio", "to", "of the field", "to", "80 %", "95 %"]
    return markdown([head, *(cells for _, cells in sorted(rows, key=lambda row: -row[0]))])


def ratio(record: Mapping[str, Any], *, simple: bool, own: str = OWN) -> tuple[float, str]:
    """The command's error over that of the best other method, or of the best simple one; and its name."""
    scores = record["scores"]
    names = [name for name in scores if name not in (OWN, EXTRA) and (name.startswith(SIMPLE) or not simple)]
    best = min(names, key=lambda name: float(scores[name]["mase"]))
    return float(scores[own]["mase"] / scores[best]["mase"]), best


def _seasonal(record: Mapping[str, Any]) -> str:
    return next((name for name in record["scores"] if name.startswith("seasonal naive")), "naive")


def _geometric(values: Iterable[float]) -> float:
    return float(np.exp(np.mean(np.log(np.array(list(values))))))
