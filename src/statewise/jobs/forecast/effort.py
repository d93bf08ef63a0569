"""How a series is best trained, found on its training part: how many updates, and whether with mirrored windows.

Fifty updates with mirrored windows suit every short series that was tried, and a short series can't tell better: it has
too few rows to hold out. A longer one may ask for more. Then alternatives are judged on the last fifth of the training
part, and one is taken if it lowers the squared error there by more than two standard errors: first training without
mirrored windows, then twice the updates, four times, and so on until two doublings in a row don't help.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..progress import Progress
from .settings import Settings
from .training import mean_output, train

LEAST = 50
MOST = 1600
LEAST_HELD_OUT = 100
JUDGES = 2  # networks that are trained for each alternative
PATIENCE = 2


def find_effort(x: Tensor, y: Tensor, mirrored: Tensor, settings: Settings, progress: Progress) -> Settings:
    """``settings`` with ``updates`` and ``mirror`` filled in where they are None, for all of ``x`` and ``y``."""
    updates, mirror = settings.updates or LEAST, settings.mirror is not False
    best = replace(settings, updates=updates, mirror=mirror)
    held_out = len(y) - len(y) // 5
    if len(y) - held_out < LEAST_HELD_OUT or None not in (settings.updates, settings.mirror):
        return best

    def errors(tried: Settings) -> Tensor:
        progress.plan((tried.updates or 0) * JUDGES)
        seeds = range(tried.seed, tried.seed + JUDGES)
        networks = [train(x[:held_out], y[:held_out], mirrored, seed, tried, progress) for seed in seeds]
        return (mean_output(networks, x)[held_out:] - y[held_out:]) ** 2

    least = errors(best)

    def judge(tried: Settings) -> bool:
        nonlocal best, least
        squares = errors(tried)
        gain = least - squares
        taken = bool(gain.mean() > 2 * gain.std() / len(gain) ** 0.5)
        if taken:
            best, least = tried, squares
        return taken

    if settings.mirror is None:
        judge(replace(best, mirror=False))
    failures = 0 if settings.updates is None else PATIENCE
    while failures < PATIENCE and 2 * updates <= MOST:
        updates *= 2
        failures = 0 if judge(replace(best, updates=updates)) else failures + 1
    return best
