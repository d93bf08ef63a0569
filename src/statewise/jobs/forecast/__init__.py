"""Forecast a series one step ahead: ``statewise forecast``, and ``fit``, ``save`` and ``load`` for a program.

    series.py      a file becomes one series (table, columns, cadence)
    forecaster.py  fit and predict (season, transform, inputs, network, training, effort)
    job.py         the whole run (scores, report, picture)

A network isn't asked for the series itself. The best naive forecast is taken as the base, and a recurrent network that
reads the past learns what that forecast misses. Importing this package imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .command import add_arguments, run

if TYPE_CHECKING:
    from .forecaster import Forecaster, fit
    from .series import Series, read_series
    from .settings import Settings
    from .storage import load, save

__all__ = ["Forecaster", "Series", "Settings", "add_arguments", "fit", "load", "read_series", "run", "save"]

_HOMES = {
    "Forecaster": ".forecaster",
    "Series": ".series",
    "Settings": ".settings",
    "fit": ".forecaster",
    "load": ".storage",
    "read_series": ".series",
    "save": ".storage",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
