"""What a forecast can be told, and what becomes of it once the data are known. No torch here: help comes at once.

The defaults of the recursive models were chosen on the first 101 months of the airline series, those of the direct ones
on the validation part of ETTh1; docs/jobs/forecast-method.md tells how. No default has seen a test part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from ...command import Run
from ...config import Bounds, Cell, Config, Count, NotNegative, Part, Positive, Range, Says, Share, Whole, again, option
from ...errors import InputError
from ...training.config import TrainingConfig

RECURSIVE = ("lstm", "gru", "rnn")
FROM_ZERO = ("negative-binomial", "tweedie")  # distributions of what is never below 0

SHORT = 500  # rows before the test part: too few to hold any out of the last training
MANY = 20_000  # training rows from which on batches are large
WARM = 256  # rows that a recursive network reads before it forecasts
MOST_HORIZON = 168  # unless one is asked for

Names = tuple[str, ...]
Style = Literal["auto", "plain", "nixtla", "autogluon", "darts"]
Quantiles = Annotated[tuple[Share, ...], Says("numbers between 0 and 1", bool)]

Level = Annotated[float, Bounds(gt=0, lt=100)]
Levels = Annotated[tuple[Level, ...], Says("numbers between 0 and 100", bool)]

data, reading, forecast, network = (
    partial(option, group=group) for group in ("data", "reading files", "forecast", "network")
)


def _splits(numbers: tuple[float, ...]) -> bool:
    shares = all(0 < number < 1 for number in numbers) and sum(numbers) <= 1 + 1e-9
    return len(numbers) == 3 and (shares or all(number >= 1 and number == int(number) for number in numbers))


Split = Annotated[tuple[float, ...], Says("three numbers of rows, or three shares that add up to 1 at most", _splits)]


@dataclass(kw_only=True)
class Columns(Config):
    """Which column of a table is what, see conventions.py. ``time`` and ``target`` are found if only one can be it."""

    time: str | None = reading(None, "dates, or an index of numbers", metavar="COLUMN", default="the only candidate")
    target: Names = reading(
        (), "what to forecast; '*': every column of numbers", metavar="COLUMN", default="the only one of numbers"
    )
    id: Names = reading((), "tell several series apart, one below the other", metavar="COLUMN")
    known: Names = reading((), "covariates known ahead, such as prices and holidays", metavar="COLUMN")
    observed: Names = reading((), "covariates known up to now, such as the weather as it was", metavar="COLUMN")
    static: Names = reading((), "covariates that never change within a series", metavar="COLUMN")
    holidays: str | None = reading(
        None, "tell the networks the public holidays of a country, such as DE or DE-BY", metavar="COUNTRY", default=""
    )
    layout: Literal["long", "rows"] = reading("long", "rows: each row is a whole series")
    convention: Style = reading("auto", "how columns are called, in the table and in its forecast", default="found")
    header: bool | None = reading(
        None, "whether the first line of a CSV file names its columns; else they are 1, 2, ...", default="found"
    )

    def __post_init__(self) -> None:
        for name in ("target", "id", "known", "observed", "static"):
            if isinstance(getattr(self, name), str):
                setattr(self, name, (getattr(self, name),))
        super().__post_init__()

    @property
    def ahead(self) -> tuple[str, ...]:
        """All covariates whose future is known."""
        return self.known + self.static

    @property
    def covariates(self) -> tuple[str, ...]:
        """All covariates."""
        return self.ahead + self.observed


@dataclass(kw_only=True)
class ForecastConfig(TrainingConfig):
    """How a forecaster is built and trained; what is None is decided by the model and the data, see ``decided``."""

    epochs: Whole | None = again(TrainingConfig, "epochs", None, "by the model")  # type: ignore[assignment]
    batch: Whole | None = again(TrainingConfig, "batch", None, "by the model")  # type: ignore[assignment]
    learning_rate: Positive | None = again(  # type: ignore[assignment]
        TrainingConfig, "learning_rate", None, "by the model"
    )
    schedule: Literal["cosine", "linear", "constant"] | None = again(  # type: ignore[assignment]
        TrainingConfig, "schedule", None, "by the model"
    )
    weight_decay: NotNegative | None = again(  # type: ignore[assignment]
        TrainingConfig, "weight_decay", None, "by the model"
    )
    patience: Count | None = again(TrainingConfig, "patience", None, "by the model")

    gaps: Literal["refuse", "mask", "carry", "ignore"] = reading(
        "refuse",
        "missing rows and values: refuse, leave them out, carry the last value on, or take rows as equally spaced",
        further="kept",
    )
    horizon: Whole | None = forecast(None, "rows ahead", metavar="ROWS", default="a season, or 12")
    lookback: Whole | None = forecast(None, "rows that a forecast reads", metavar="ROWS", default="by the model")
    season: Whole | None = forecast(
        None, "rows in a season, 1 for none", metavar="ROWS", default="found before the test part", further="kept"
    )
    quantiles: Quantiles = forecast(
        (0.1, 0.5, 0.9), "to forecast; 0.5, the point forecast, is always among them", metavar="Q,Q,...", commas=True
    )
    combine: bool = forecast(
        True,
        "forecast linearly in the window, and let the network correct that as far as validation says it helps",
        further="kept",
    )
    statistical: bool | None = forecast(
        None,
        "AutoETS and AutoTheta of the package statsforecast beside that, of short series without gaps",
        default="where it is installed",
        further="told",
    )
    distribution: Literal["quantiles", "gaussian", "student-t", "negative-binomial", "tweedie"] | None = forecast(
        None,
        "what a direct model writes: quantiles or a distribution, of counts negative-binomial, of amounts that may be 0"
        " tweedie",
        default="quantiles, but of demand that comes now and then its distribution",
    )
    model: Literal["auto", "lstm", "gru", "rnn", "seq2seq", "segrnn"] = network(
        "auto",
        "lstm, gru, rnn: recursive, feeding forecasts back; seq2seq, segrnn: direct, the whole horizon at once",
        default="lstm for short series, segrnn from horizon 24 on, else seq2seq",
    )
    cell: Cell = network("gru", "of seq2seq and segrnn")
    units: Whole | None = network(
        None,
        "hidden units of each layer",
        metavar="N",
        default="16, seq2seq 64, segrnn 128",
        search=Range(8, 256, log=True),
    )
    layers: Whole = network(1, "layers", metavar="N", search=Range(1, 3))
    dropout: Part | None = network(
        None,
        "probability of dropping a unit, in training",
        metavar="X",
        default="0; seq2seq and segrnn 0.3",
        further="kept",
        search=Range(0.0, 0.6),
    )
    segment: Whole | None = network(
        None, "rows read, and written, at a time", metavar="ROWS", default="by season and horizon"
    )
    ensemble: Whole | None = network(
        None, "networks to average", metavar="N", default="10 for short series, else 1, or 2 with --base both"
    )
    windows: Whole = network(
        60_000, "windows that a window model sees in an epoch at most", metavar="N", further="kept"
    )
    base: Literal["auto", "last", "season", "both"] = network(
        "auto",
        "what seq2seq and segrnn correct; both: of two networks one the linear forecast, one the last value",
        default="the linear forecast, or the naive one that misses less",
    )
    calendar: bool = network(True, "tell the networks the hour, weekday and month, where times are known")
    log: bool | None = network(None, "whether networks read and write logarithms", default="where they help")


@dataclass(kw_only=True)
class Options(Run, Columns, ForecastConfig):
    """What ``statewise forecast`` can be told."""

    file: Path | None = option(None, "a CSV or Parquet file", metavar="FILE", positional=True, default="")
    test: Path | None = data(None, "a file that continues each series, as the test part", metavar="FILE", default="")
    split: Split | None = data(
        None,
        "rows, or shares, of training, validation and test",
        metavar="A,B,C",
        default="the last 30 % are the test",
        commas=True,
    )
    stride: Whole = forecast(1, "from test origin to test origin", metavar="ROWS")


@dataclass(kw_only=True)
class Plan(ForecastConfig):
    """A configuration in which nothing is open any more; what a model's file keeps."""

    epochs: Whole
    batch: Whole
    learning_rate: Positive
    schedule: Literal["cosine", "linear", "constant"]
    weight_decay: NotNegative
    horizon: Whole
    lookback: Whole
    season: Whole
    cycles: tuple[int, ...]
    model: Literal["lstm", "gru", "rnn", "seq2seq", "segrnn"]
    units: Whole
    dropout: Part
    segment: Whole
    ensemble: Whole
    log: bool
    channels: bool
    """Whether each series has an embedding of its own: where several columns are forecast."""
    short: bool
    """Whether the last networks train on the validation part as well, which has served its purpose then."""

    def __post_init__(self) -> None:
        """ValueError where a file has a plan that none could have made."""
        super().__post_init__()
        if min(self.cycles, default=2) < 2 or (self.recursive and self.cell != self.model):
            raise ValueError(f"no plan: {self}")
        if self.quantiles != tuple(sorted({*self.quantiles, 0.5})):
            raise ValueError(f"expected rising quantiles with 0.5 among them, got {self.quantiles}")
        if self.model == "segrnn" and self.lookback % self.segment:
            raise ValueError(f"expected a lookback in segments of {self.segment} rows, got {self.lookback}")

    @property
    def recursive(self) -> bool:
        """Whether the network forecasts one step and feeds it back."""
        return self.model in RECURSIVE

    @property
    def output(self) -> str:
        """What a direct model writes for each step."""
        return self.distribution or "quantiles"

    @property
    def from_zero(self) -> bool:
        """Whether 0 is 0 on the scale of the networks too, as a distribution that begins there needs it."""
        return self.distribution in FROM_ZERO

    @property
    def median(self) -> int:
        """Which of ``quantiles`` is 0.5."""
        return self.quantiles.index(0.5)

    @property
    def label(self) -> str:
        """The model's name for readers."""
        return self.model.upper() if self.recursive else f"{self.model} {self.cell.upper()}"


def decided_horizon(config: ForecastConfig, season: int) -> int:
    """The horizon: what was asked for, or a season, or 12."""
    return config.horizon or (min(season, MOST_HORIZON) if season > 1 else 12)


def decided(
    config: ForecastConfig,
    *,
    horizon: int,
    season: int,
    cycles: tuple[int, ...],
    rows: int,
    learnt: int,
    observed: bool,
    channels: bool,
    log: bool,
    demand: str | None = None,
) -> Plan:
    """The plan for series of which the shortest has ``rows`` before the test part, with ``learnt`` to train on in all.

    ``demand`` is the distribution of what comes now and then, if that is what they have. ``observed``: whether there
    are covariates known up to now alone, which no recursive model can take, since it would have to forecast them too.
    Raises ``InputError`` for settings that don't go together.
    """
    model = config.model
    distribution = config.distribution or (demand if model == "auto" and not config.log else None)
    distribution = None if distribution == "quantiles" else distribution
    if model == "auto":
        direct = rows >= SHORT or observed or distribution is not None
        model = "lstm" if not direct else "segrnn" if horizon >= 24 else "seq2seq"
    recursive = model in RECURSIVE
    if recursive and observed:
        raise InputError(
            f"--observed: {model} feeds its own forecasts back and can't; choose --model seq2seq or segrnn"
        )
    if recursive and distribution:
        raise InputError(f"--distribution: {model} takes its intervals from the validation part alone; choose seq2seq")
    if config.base == "both" and not config.combine:
        raise InputError("--base both: one of them is the linear forecast, which --no-combine goes without")
    if distribution in FROM_ZERO and config.log:
        raise InputError(f"--log: logarithms have no {distribution} distribution")
    segment = config.segment or _segment(horizon, season)
    lookback = config.lookback or (WARM if recursive else max(1, min(max(4 * horizon, 2 * season), rows // 2)))
    if model == "segrnn":
        if config.lookback and config.segment and lookback % segment:
            raise InputError(f"--lookback {lookback}: expected a multiple of --segment {segment}")
        segment = segment if lookback % segment == 0 or not config.lookback else math.gcd(lookback, segment)
        lookback = max(lookback // segment, 1) * segment
    short = recursive and rows < SHORT
    found = {
        **_training(recursive, short, learnt, config.windows),
        "horizon": horizon,
        "lookback": lookback,
        "season": season,
        "units": 16 if recursive else 128 if model == "segrnn" else 64,
        "dropout": 0.0 if recursive else 0.3,
        "segment": segment,
        "ensemble": 10 if short else 2 if config.base == "both" and not recursive else 1,
        "log": log and distribution not in FROM_ZERO,
    }
    told = {each.name: getattr(config, each.name) for each in fields(ForecastConfig) if each.init}
    found |= {name: value for name, value in told.items() if value is not None}
    found |= {"model": model, "lookback": lookback, "segment": segment, "distribution": distribution}
    return Plan(
        **found
        | {
            "cell": model if recursive else config.cell,
            "quantiles": tuple(sorted({*config.quantiles, 0.5})),
            "cycles": cycles if config.calendar else (),
            "channels": channels and not recursive,
            "short": short,
        }
    )


def _training(recursive: bool, short: bool, rows: int, windows: int) -> dict[str, Any]:
    """How networks are trained on ``rows`` rows of all series, unless the user says otherwise.

    Direct models make 20 passes, or as many as 1500 updates need: few windows come in smaller batches, more often.
    """
    if short:
        rate, batch, epochs, patience = 0.02, 8, 40, 0
    elif recursive:
        rate, batch, epochs, patience = 0.005, 16, 40, 6
    else:
        batch = 256 if rows >= MANY else 64
        epochs = min(max(20, 1500 * batch // min(rows, windows)), 200)
        rate, patience = 1e-3, max(4, epochs // 6)
    decay = {"schedule": "linear", "weight_decay": 0.01} if recursive else {"schedule": "cosine", "weight_decay": 0.0}
    return {"epochs": epochs, "batch": batch, "learning_rate": rate, "patience": patience, **decay}


def former(plan: dict[str, Any], gaps: str | None) -> dict[str, Any]:
    """The plan of a model's file of a former format under today's names.

    Format 1 didn't tell how it was trained, and had ``gaps`` beside the plan.
    """
    model = {"direct": "seq2seq", "segment": "segrnn"}.get(plan["model"], plan["model"])
    if gaps is None:
        return plan | {"model": model}
    names = {"hidden": "units", "seeds": "ensemble", "levels": "quantiles", "output": "distribution"}
    plan = {names.get(name, name): value for name, value in plan.items()} | {"model": model}
    plan["distribution"] = None if plan["distribution"] == "quantiles" else plan["distribution"]
    how = _training(model in RECURSIVE, bool(plan["short"]), MANY, MANY)
    return how | plan | {"gaps": "carry" if gaps == "fill" else gaps}


def _segment(horizon: int, season: int) -> int:
    """A whole season, or half of one, or a divisor of the horizon near a quarter of it."""
    if 1 < season <= 48 and horizon >= season:
        return season
    near = max(1, min(horizon // 2, 24))
    return next(w for w in range(near, 0, -1) if horizon % w == 0)
