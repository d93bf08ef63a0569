"""``statewise forecast`` as one of the methods: by default options, told no more than the columns and the horizon."""

from __future__ import annotations

import csv
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from .protocol import LEVELS, Array, Problem


def statewise(problem: Problem, *, statistical: bool = False) -> Array:
    """What the command says at the problem's origins, (N, H, 5): as it is without statsforecast, or as with that."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(problem, Path(folder), statistical)


def _run(problem: Problem, folder: Path, statistical: bool) -> Array:
    first = [len(values) - problem.rows for values in problem.values]
    first = [row + int(np.flatnonzero(np.isfinite(v[row:]))[0]) for row, v in zip(first, problem.values, strict=True)]
    _write(folder / "before.csv", problem, [0] * len(first), first)
    _write(folder / "test.csv", problem, first, [len(values) for values in problem.values])
    wanted = {(s, row) for s, row in problem.origins}
    stride = math.gcd(*(row - first[s] for s, row in wanted)) or 1
    missing = any(np.isnan(values).any() for values in problem.values)
    options = {
        "--test": folder / "test.csv",
        "--horizon": problem.horizon,
        "--quantiles": ",".join(map(str, LEVELS)),
        "--stride": stride,
        "--out": folder / "run",
        "--id": "id",
        "--time": "time",
        "--target": "y",
        **({"--gaps": "mask"} if missing else {}),
    }
    command = [sys.executable, "-m", "statewise", "forecast", str(folder / "before.csv")]
    command += ["--statistical" if statistical else "--no-statistical"]
    subprocess.run(
        command + [str(part) for option in options.items() for part in option],
        check=True,
        capture_output=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    return _read(folder / "run" / "predictions.csv", problem, first, stride)


def _write(path: Path, problem: Problem, begin: list[int], end: list[int]) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "time", "y"])
        for name, times, values, a, b in zip(problem.ids, problem.times, problem.values, begin, end, strict=True):
            rows.writerows([name, times[t], values[t]] for t in range(a, b) if np.isfinite(values[t]))


def _read(path: Path, problem: Problem, first: list[int], stride: int) -> Array:
    """The forecasts lie behind one another, series by series, ``stride`` rows from origin to origin."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    columns = ["forecast" if level == 0.5 else f"q{level}" for level in LEVELS]
    found: dict[str, list[list[float]]] = {}
    for line in lines:
        found.setdefault(line["id"], []).append([float(line[name]) for name in columns])
    result = []
    for s, row in problem.origins:
        windows = np.array(found[problem.ids[s]]).reshape(-1, problem.horizon, len(columns))
        result.append(windows[(row - first[s]) // stride])
    return np.stack(result)
