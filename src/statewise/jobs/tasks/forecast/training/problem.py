"""The series with everything decided, and how a model comes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ....training.problem import Problem, Trainer
from ..config import Plan
from ..dataset import EncodedSeries, Encoding
from ..intervals import transformed
from ..linear.decided import LONGEST, Decided
from ..linear.folds import folds
from ..model import AGAIN, Model, calibration
from ..newer import make_tails
from ..season import nested_seasons, seasonal_spread
from ..series import Panel
from ..split import Array, Rows, Split
from .calibration import Judge, calibrated
from .fitting import best_epochs, learn


@dataclass(frozen=True)
class ForecastProblem(Problem[Model]):
    """The series, split and encoded, and what is decided of them before anything is trained."""

    panel: Panel
    config: Plan
    split: Split
    known: Encoding
    observed: Encoding
    series: tuple[EncodedSeries, ...]
    dimensions: int = 0
    """Of the array that the series came as; 0: a table."""
    like: Model | None = None
    """What the networks have got used to."""

    @property
    def plan(self) -> Plan:
        """The configuration."""
        return self.config

    @cached_property
    def seasons(self) -> list[int]:
        """The season, those of the calendar, and without one what else repeats, that fit twice before the test part."""
        most = min(int(self.split.validation.min()) // 2, LONGEST)
        found = self.panel.grid.seasons or nested_seasons(self.before_test, self.plan.season)
        return sorted({s for s in (self.plan.season, *found) if 1 < s <= most})

    @property
    def folds(self) -> list[tuple[Rows, Rows]]:
        """The pieces [begin, end) of each series, (S,), on which is decided what counts how much, and calibrated.

        That is the validation part; of short series, whose networks train in no time, several that overlap it.
        """
        if self.plan.short and self.plan.combine:
            return folds(self.split.validation, self.plan.horizon, self.plan.season)
        return [(self.split.train, self.split.validation)]

    @property
    def before_test(self) -> list[Array]:
        """The values (T,) of each series before its test part."""
        return [each.real[:end] for each, end in zip(self.series, self.split.validation, strict=True)]

    def train(self, trainer: Trainer) -> Model:
        """A model that has learnt it. Raises ``InputError`` as ``Problem.train``."""
        plan, split, series = self.plan, self.split, self.series
        folds, decided, judges = self.folds, None, list[Judge]()
        if plan.combine:
            decided = Decided(series, split.validation, plan.horizon, self.seasons, [begin for begin, _ in folds])
        for number, (begin, end) in enumerate(folds, 1):
            linear = decided.linear(begin) if decided else None
            name, until = (calibration(number), None) if plan.short else ("", end)
            learner, kept = learn(plan, series, begin, until, trainer, linear, self.like, name)
            judges.append(Judge(learner, kept, linear, begin, end))
        if plan.short:
            # A short series has no rows to spare: those that calibrated train the networks that stay.
            learner, kept = learn(plan, series, split.validation, None, trainer, like=self.like)
        unit = np.array([seasonal_spread(transformed(values, plan), plan.season) for values in self.before_test])
        shifts, reach, ranks, share, beside = calibrated(self, judges, unit)
        linear = decided.linear(split.validation) if decided else None
        if linear and share and not plan.short:
            # What the network is worth has been told: the newest rows are worth more than telling it again.
            passes = best_epochs(trainer.history, plan.ensemble)
            learner, kept = learn(plan, series, split.validation, None, trainer, linear, self.like, AGAIN, passes)
        model = Model(
            config=plan,
            columns=self.panel.columns,
            grid=self.panel.grid,
            known=self.known,
            observed=self.observed,
            names=tuple(each.name for each in series),
            scaling=kept,
            unit=unit,
            shifts=shifts,
            reach=reach,
            positive=all(np.nanmin(values) >= 0 for values in self.before_test),
            learner=learner,
            tails=(),
            ranks=ranks,
            dimensions=self.dimensions,
            linear=linear,
            share=share,
            statistical=beside,
            layout=self.panel.kind,
            heads=tuple(one.head for one in self.panel.series),
        )
        return make_tails(model, series)
