"""What is this job's own between its options and a full run folder: series, split, backtest, and what they say."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ....inspecting.sample import Sample
from ... import experiment
from ...config import part_of
from ...experiment import Facts, Outcome
from . import inspected, picture, report
from .backtest import backtest
from .config import Columns, ForecastConfig, Options
from .model import Model
from .panel import BUNDLED, read_panel
from .series import joined
from .training import ForecastProblem, prepare


class Forecast(experiment.Job[Options, Model]):
    """Learns the first part of every series and forecasts the last."""

    kind = "forecast"

    problem: ForecastProblem

    def __init__(self, config: Options) -> None:
        self.options = config
        columns, told = part_of(Columns, config), part_of(ForecastConfig, config)
        panel, rows = read_panel(config.file or BUNDLED, columns, gaps=config.gaps), None
        if config.test is not None:
            later = read_panel(config.test, panel.columns, gaps=config.gaps, grid=panel.grid)
            panel, rows = joined(panel, later), max(map(len, later.series))
        self.problem = prepare(panel, told, split=config.split, test_rows=rows, like=self.like)
        self.name, self.layout = panel.name, panel.kind

    @property
    def title(self) -> str:
        """What is forecast."""
        names = [series.name for series in self.problem.panel.series]
        return f"{names[0] if len(names) == 1 else self.name}: forecast"

    @property
    def label(self) -> str:
        """The model's name for readers."""
        return self.problem.plan.label

    def facts(self) -> Facts:
        """What is forecast, and where it is split."""
        return report.facts(self.problem)

    def facts_of(self, model: Model) -> Facts:
        """What was chosen before the test part was looked at."""
        return report.choices(model)

    def sample(self, model: Model) -> Sample | None:
        """The last windows; nothing where the networks don't count."""
        return inspected.sample(model, model.encode(self.problem.panel)) if model.share else None

    def judge(self, model: Model) -> Outcome:
        """How well the model and simple baselines forecast the test part."""
        problem, plan = self.problem, self.problem.plan
        tested = backtest(model, problem, self.config.stride)
        predictions, left_out = report.predictions(tested)
        said = f"predictions.csv leaves out {left_out} of {len(tested.rows)} origins; --stride chooses them"

        def draw(path: Any) -> None:
            picture.draw(path, tested, tested.order[len(tested.order) // 2])

        return Outcome(
            report.table(tested.scores, plan, len(tested.rows)),
            report.verdict(tested),
            {
                "data": {"name": self.name, "columns": asdict(model.columns), "step": model.grid.step}
                | {"missing": problem.panel.missing},
                **report.metrics(tested),
            },
            ending=said if left_out else "",
            blocks=report.blocks(tested),
            files={"forecast.png": draw, "predictions.csv": predictions},
            model=tested.model,
        )
