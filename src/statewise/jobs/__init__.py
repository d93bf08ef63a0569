"""The usual jobs of recurrent nets, one package each: data, model, fit, report. Importing this imports no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import InputError, Remark

if TYPE_CHECKING:
    from .tasks.classify.classifier import Classifier, Regressor
    from .tasks.forecast.forecaster import Forecaster
    from .tasks.forecast.regressor import ForecastRegressor
    from .tasks.tag.tagger import Tagger
    from .tasks.translate.translator import Translator
    from .tasks.write.writer import Writer
    from .training.callbacks import Callback
    from .tuning import tune

__all__ = [
    "Callback",
    "Classifier",
    "ForecastRegressor",
    "Forecaster",
    "InputError",
    "Regressor",
    "Remark",
    "Tagger",
    "Translator",
    "Writer",
    "tune",
]

_HOMES = {
    "tune": ".tuning",
    "Callback": ".training.callbacks",
    "Classifier": ".tasks.classify.classifier",
    "Forecaster": ".tasks.forecast.forecaster",
    "Regressor": ".tasks.classify.classifier",
    "ForecastRegressor": ".tasks.forecast.regressor",
    "Tagger": ".tasks.tag.tagger",
    "Translator": ".tasks.translate.translator",
    "Writer": ".tasks.write.writer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
