"""What a forecast can be told, and what becomes of it once the data are known.

The defaults of the stepwise models were chosen on the first 101 months of the airline series, those of the window
models on the validation part of ETTh1; docs/jobs.md tells how. No default has seen a test part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError
from ..recipe import Recipe

STEPWISE = ("lstm", "gru", "rnn")
WINDOWED = ("direct", "segment")
MODELS = ("auto", *STEPWISE, *WINDOWED)
BASES = ("auto", "last", "season")
OUTPUTS = ("quantiles", "gaussian", "student-t")

SHORT = 500  # rows before the test part: too few to hold any out of the last training
MANY = 20_000  # training rows from which on batches are large
WARM = 256  # rows that a stepwise network reads before it forecasts
MOST_HORIZON = 168  # unless one is asked for


@dataclass(frozen=True)
class Settings:
    """What can be set; None: by the model and the data, see ``resolve``. Raises ``InputError`` for what can't be."""

    model: str = "auto"
    cell: str = "gru"
    """Of the window models; a stepwise model is called by its cell."""
    horizon: int | None = None
    """Rows ahead. None: a season, or 12."""
    lookback: int | None = None
    """Rows that a forecast looks back."""
    season: int | None = None
    """Rows in a season, 1: none. None: found in the training part."""
    levels: tuple[float, ...] = (0.1, 0.5, 0.9)
    """Quantiles to forecast; 0.5, the point forecast, is always among them."""
    output: str = "quantiles"
    hidden: int | None = None
    layers: int = 1
    dropout: float | None = None
    segment: int | None = None
    """Rows that the segment model reads, and writes, at once."""
    seeds: int | None = None
    """So many networks, their forecasts averaged."""
    windows: int = 60_000
    """Windows that a window model sees in an epoch at most, drawn anew each time."""
    base: str = "auto"
    """The naive forecast that a window model corrects: ``last`` level, last ``season``, or what misses less."""
    calendar: bool = True
    """Whether networks are told the hour, the weekday, the month, where times are known."""
    log: bool | None = None
    """Whether networks read and write logarithms. None: where the spread grows with the level."""

    def __post_init__(self) -> None:
        _one_of("model", self.model, MODELS)
        _one_of("cell", self.cell, STEPWISE)
        _one_of("output", self.output, OUTPUTS)
        _one_of("base", self.base, BASES)
        for name in ("horizon", "lookback", "season", "hidden", "layers", "segment", "seeds", "windows"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f"{name}: expected a whole number of at least 1, got {value!r}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise InputError(f"dropout: expected a number from 0 to below 1, got {self.dropout!r}")
        if not self.levels or not all(0 < level < 1 for level in self.levels):
            raise InputError(f"quantiles: expected numbers between 0 and 1, got {self.levels!r}")


@dataclass(frozen=True)
class Plan:
    """Settings in which nothing is open any more; what a model file keeps."""

    model: str
    cell: str
    horizon: int
    lookback: int
    season: int
    cycles: tuple[int, ...]
    levels: tuple[float, ...]  # rising, with 0.5
    output: str
    hidden: int
    layers: int
    dropout: float
    segment: int
    seeds: int
    windows: int
    base: str
    log: bool
    channels: bool
    """Whether each series has an embedding of its own: where several columns are forecast."""
    short: bool
    """Whether the last networks train on the validation part as well, which has served its purpose then."""

    def __post_init__(self) -> None:
        """ValueError where a file has a plan that none could have made."""
        for name, choices in (("model", MODELS[1:]), ("cell", STEPWISE), ("output", OUTPUTS), ("base", BASES)):
            _one_of(name, getattr(self, name), choices)
        for name in ("horizon", "lookback", "season", "hidden", "layers", "segment", "seeds", "windows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if min(self.cycles, default=2) < 2 or not 0 <= self.dropout < 1 or (self.stepwise and self.cell != self.model):
            raise ValueError(f"no plan: {self}")
        if self.levels != tuple(sorted({*self.levels, 0.5})) or not 0 < self.levels[0] <= self.levels[-1] < 1:
            raise ValueError(f"expected rising quantiles with 0.5 among them, got {self.levels}")
        if self.model == "segment" and self.lookback % self.segment:
            raise ValueError(f"expected a lookback in segments of {self.segment} rows, got {self.lookback}")

    @property
    def stepwise(self) -> bool:
        """Whether the network forecasts one step and feeds it back."""
        return self.model in STEPWISE

    @property
    def median(self) -> int:
        """Which of ``levels`` is 0.5."""
        return self.levels.index(0.5)

    @property
    def label(self) -> str:
        """The model's name for readers."""
        return self.model.upper() if self.stepwise else f"{self.model} {self.cell.upper()}"


def resolve_horizon(settings: Settings, season: int) -> int:
    """The horizon: what was asked for, or a season, or 12."""
    return settings.horizon or (min(season, MOST_HORIZON) if season > 1 else 12)


def resolve(
    settings: Settings,
    *,
    horizon: int,
    season: int,
    cycles: tuple[int, ...],
    rows: int,
    observed: bool,
    channels: bool,
    log: bool,
) -> Plan:
    """The plan for training parts of which the shortest has ``rows``, the longest about as many.

    ``observed``: whether there are covariates known up to now alone, which no stepwise model can take, since it would
    have to forecast them too. Raises ``InputError`` for settings that don't go together.
    """
    model = settings.model
    if model == "auto":
        model = "lstm" if rows < SHORT and not observed else "segment" if horizon >= 24 else "direct"
    stepwise = model in STEPWISE
    if stepwise and observed:
        raise InputError(
            f"--observed: {model} feeds its own forecasts back and can't; choose --model direct or segment"
        )
    if stepwise and settings.output != "quantiles":
        raise InputError(f"--distribution: {model} takes its intervals from the validation part alone; choose direct")
    segment = settings.segment or _segment(horizon, season)
    lookback = settings.lookback or (WARM if stepwise else max(1, min(max(4 * horizon, 2 * season), rows // 2)))
    if model == "segment":
        if settings.lookback and settings.segment and lookback % segment:
            raise InputError(f"--lookback {lookback}: expected a multiple of --segment {segment}")
        segment = segment if lookback % segment == 0 or not settings.lookback else math.gcd(lookback, segment)
        lookback = max(lookback // segment, 1) * segment
    return Plan(
        model=model,
        cell=model if stepwise else settings.cell,
        horizon=horizon,
        lookback=lookback,
        season=season,
        cycles=cycles if settings.calendar else (),
        levels=tuple(sorted({*settings.levels, 0.5})),
        output=settings.output,
        hidden=settings.hidden or (16 if stepwise else 128 if model == "segment" else 64),
        layers=settings.layers,
        dropout=settings.dropout if settings.dropout is not None else 0.0 if stepwise else 0.3,
        segment=segment,
        seeds=settings.seeds or (10 if stepwise and rows < SHORT else 1),
        windows=settings.windows,
        base=settings.base,
        log=log if settings.log is None else settings.log,
        channels=channels and not stepwise,
        short=stepwise and rows < SHORT,
    )


def default_recipe(plan: Plan, rows: int) -> Recipe:
    """How the networks of ``plan`` are trained, on ``rows`` rows of all series, unless the user says otherwise.

    Window models make 20 passes, or as many as 1500 updates need: few windows come in smaller batches, more often.
    """
    if plan.short:
        return Recipe(epochs=40, batch=8, learning_rate=0.02, schedule="linear", weight_decay=0.01)
    if plan.stepwise:
        return Recipe(epochs=40, batch=16, learning_rate=0.005, schedule="linear", weight_decay=0.01, patience=6)
    batch = 256 if rows >= MANY else 64
    epochs = min(max(20, 1500 * batch // min(rows, plan.windows)), 200)
    return Recipe(epochs=epochs, batch=batch, learning_rate=1e-3, schedule="cosine", patience=max(4, epochs // 6))


def _segment(horizon: int, season: int) -> int:
    """A whole season, or half of one, or a divisor of the horizon near a quarter of it."""
    if 1 < season <= 48 and horizon >= season:
        return season
    near = max(1, min(horizon // 2, 24))
    return next(w for w in range(near, 0, -1) if horizon % w == 0)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
