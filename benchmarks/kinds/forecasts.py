"""How long a trained forecaster takes to continue one series: what a program waits for.

A call is ``Forecaster.predict()``, which goes on from the rows that were fitted, or ``predict(df)`` with a frame of the
whole series, of values, of polars or of pandas. Nothing is compared; the unit is the same call on values.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import torch

from statewise.jobs import Forecaster

from ..case import FORWARD, Case, Shape
from ..record import Record, by_case, pivot
from ..runner import Kind, Table

CALLS, WARM = 200, 20
VALUES = "values"
SIDES = (VALUES, "polars", "pandas", "polars, newer rows", "pandas, newer rows")
ROWS = 500
MODELS: dict[str, dict[str, Any]] = {
    "linear alone": {"horizon": 24, "model": "seq2seq"},
    "ten LSTMs": {"horizon": 12, "model": "lstm", "ensemble": 10, "combine": False},
    "seq2seq": {"horizon": 24, "model": "seq2seq", "combine": False},
    "segrnn": {"horizon": 24, "model": "segrnn", "combine": False},
}


def cases(shapes: Sequence[Shape], threads: Sequence[int]) -> Iterator[Case]:
    """Every model."""
    return (Case("LSTM", Shape(ROWS, 1, 1, 16, 1), FORWARD, count, name) for count, name in product(threads, MODELS))


def measure(case: Case) -> list[Record]:
    """The median over ``CALLS`` calls, in milliseconds."""
    torch.set_num_threads(case.threads)
    taken = {side: _times(_call(case.name, side)) for side in SIDES}
    unit = median(taken[VALUES])
    return [
        Record(case, side, median(ms), median(ms) / unit, unit="ms", clean=CALLS, taken=CALLS, samples=tuple(ms))
        for side, ms in taken.items()
    ]


def _times(call: Callable[[], object]) -> list[float]:
    """Milliseconds of each call, after some that aren't counted."""
    found = []
    for number in range(WARM + CALLS):
        before = time.perf_counter()
        call()
        if number >= WARM:
            found.append(1e3 * (time.perf_counter() - before))
    return found


def _call(name: str, side: str) -> Callable[[], object]:
    values = np.sin(np.arange(ROWS) * 2 * np.pi / 24) + 0.3 * np.random.default_rng(0).normal(size=ROWS)
    kind, _, newer = side.partition(", ")
    if kind == VALUES:
        return _fitted(name, VALUES).predict
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, 1) + pl.duration(days=ROWS - 1), eager=True)
    frame: Any = pl.DataFrame({"unique_id": ["a"] * ROWS, "ds": days.cast(pl.Datetime("us")), "y": values})
    frame = frame.to_pandas() if kind == "pandas" else frame
    forecaster = _fitted(name, kind, frame)
    return (lambda: forecaster.predict(frame)) if newer else forecaster.predict


_KNOWN: dict[tuple[str, str], Forecaster] = {}


def _fitted(name: str, kind: str, data: Any = None) -> Forecaster:
    """Trained for no longer than it takes to have weights: what a call costs doesn't depend on how good they are."""
    if (name, kind) not in _KNOWN:
        data = np.sin(np.arange(ROWS) * 2 * np.pi / 24) if data is None else data
        found = Forecaster(epochs=1, season=24, windows=64, **MODELS[name]).fit(data)
        if name == "linear alone":
            found.model_ = replace(found.model_, share=0.0)
        _KNOWN[name, kind] = found
    return _KNOWN[name, kind]


def sections(records: Table) -> dict[str, str]:
    """A row a model."""
    return {"forecasts": pivot(_entries(records), "one series continued by")}


def _entries(records: Table) -> Iterator[tuple[list[str], str, str]]:
    for case, sides in by_case(records).items():
        for side in SIDES:
            yield [case.name], side, f"{sides[side].value:.2f} ms"


KIND = Kind(
    "how long a trained forecaster takes to continue one series",
    cases,
    sections=sections,
    threads=(2,),
    packages=("numpy", "pandas", "polars"),
    measure=measure,
)
