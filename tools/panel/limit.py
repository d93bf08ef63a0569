"""What could be had: a forecaster that knows the law of each series and its state, on series of the panel's shapes.

Each set is replaced by series of its lengths, seasons and horizon that follow a law with a level that wanders and,
where there is a season, a season that does (exponential smoothing's, in the form of innovations). Their best forecast
and its intervals are known exactly. What those score beside the same simple methods, the best of which is picked
afterwards, is what no method can be expected to better: ``python -m panel.limit``, with tools/ and the repository on
the path.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from statistics import NormalDist
from typing import Any

import numpy as np

from benchmarks.pages import renew
from benchmarks.record import markdown

from .baselines import simple_methods
from .measure import DOCS, PAGE
from .protocol import LEVELS, SEASONS, Array, cut, score
from .report import BEHIND, OWN, ratio

KEPT = (1.0, 0.5, 0.2)  # of a shock, in the level: a random walk, and calmer ones
IN_SEASON = 0.1  # of it in the season
SPREAD = 3.0  # of the season at the beginning, in that of the shocks
TURNS = 2  # times that each set is drawn


class Law:
    """y = level + season + shock; ``alpha`` of each shock stays in the level, ``gamma`` in the season of ``turn``."""

    def __init__(self, alpha: float, gamma: float, turn: int) -> None:
        self.alpha, self.gamma, self.turn = alpha, gamma, turn

    def drawn(self, rows: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
        """Values (T,), and the level (T,) and the season (T + turn,) after each: a row's own is ``turn`` further."""
        shocks = random.standard_normal(rows)
        level = self.alpha * np.cumsum(shocks)
        season = np.concatenate([SPREAD * random.standard_normal(self.turn) * (self.turn > 1), self.gamma * shocks])
        for turn in range(self.turn, len(season), self.turn):
            part = season[turn : turn + self.turn]
            part += season[turn - self.turn : turn][: len(part)]
        return np.concatenate([[0.0], level[:-1]]) + season[:rows] + shocks, level, season

    def forecast(self, level: Array, season: Array, row: int, horizon: int) -> Array:
        """The quantiles of the steps from ``row`` on, (H, Q)."""
        steps = np.arange(horizon)
        mean = level[row - 1] + season[row + steps % self.turn]
        stays = self.alpha + self.gamma * (np.arange(1, horizon) % self.turn == 0)
        spread = np.sqrt(1 + np.concatenate([[0.0], np.cumsum(stays**2)]))
        return np.asarray(mean[:, None] + spread[:, None] * np.array([NormalDist().inv_cdf(q) for q in LEVELS]))


def record(shape: Mapping[str, Any], alpha: float, random: np.random.Generator) -> dict[str, Any]:
    """As ``shape`` is, of simulated series and of the forecaster that knows them."""
    turn = SEASONS.get(shape["frequency"], (1,))[0]
    turn = turn if 4 * turn <= shape["rows"] else 1
    law = Law(alpha, IN_SEASON if turn > 1 else 0.0, turn)
    drawn = [law.drawn(shape["rows"], random) for _ in range(shape["series"])]
    ids, times = [str(number) for number in range(len(drawn))], [[""] * shape["rows"]] * len(drawn)
    problem = cut("simulated", shape["frequency"], shape["horizon"], ids, times, [values for values, *_ in drawn])
    found = {name: method(problem) for name, method in simple_methods(problem).items()}
    found[OWN] = np.stack([law.forecast(*drawn[s][1:], row, problem.horizon) for s, row in problem.origins])
    return {**shape, "scores": {name: asdict(score(problem, each)) for name, each in found.items()}}


def table(records: Mapping[float, list[dict[str, Any]]]) -> str:
    """A row for each law, by how much of a shock its level keeps."""
    head = ["of a shock stays", "ratio, geometric mean", "better than all simple ones", "more than 2 % behind"]
    rows = []
    for alpha, found in records.items():
        ratios = np.array([ratio(each, simple=True)[0] for each in found])
        held = np.array([each["scores"][OWN]["cover80"] for each in found])
        shares = ratios < 1, ratios > BEHIND, (held >= 0.72) & (held <= 0.88)
        won, behind, inside = (f"{share.mean():.0%}" for share in shares)
        rows.append([f"{alpha:.0%}", f"{np.exp(np.log(ratios).mean()):.3f}", won, behind, inside])
    return markdown([[*head, "80 % intervals hold 72 to 88 %"], *rows])


def main() -> int:
    """Simulate, and renew the table in docs/jobs/forecast.md; the exit status."""
    records = json.loads((DOCS / "panel.json").read_text(encoding="utf-8"))
    shapes = [shape for shape in records.values() if OWN in shape["scores"]]
    random = np.random.default_rng(0)
    found = {alpha: [record(shape, alpha, random) for shape in shapes for _ in range(TURNS)] for alpha in KEPT}
    renew({"panel-limit": table(found)}, [PAGE])
    return 0


if __name__ == "__main__":
    sys.exit(main())
