"""How a network is trained, whatever the job: what the fitting loop can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import InputError

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Recipe:
    """The settings of ``fit``. Everything that decides the weights besides the data and the network is in here.

    Raises ``InputError`` where a value can't be used.
    """

    epochs: int = 20
    batch: int = 32
    """Rows in a batch, over all processes together."""
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    """The highest; ``schedule`` says how it goes on from there."""
    weight_decay: float = 0.0
    momentum: float = 0.9
    """Of ``sgd`` alone, with Nesterov's step."""
    schedule: str = "cosine"
    """``cosine`` and ``linear`` fall to zero at the last update."""
    warmup: float = 0.0
    """The share of all updates in which the rate rises from zero in a straight line."""
    clip: float | None = 1.0
    """The largest norm of all gradients together; None: any."""
    patience: int | None = None
    """Stop after so many epochs without a better validation score; None: never."""
    seed: int = 0
    device: str = "cpu"
    precision: str = "auto"
    """``auto``: bfloat16 where a GPU has it, float32 elsewhere."""

    def __post_init__(self) -> None:
        _least("epochs", self.epochs, 1)
        _least("batch", self.batch, 1)
        _least("patience", self.patience, 1)
        _least("seed", self.seed, 0)
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("precision", self.precision, PRECISIONS)
        _within("learning_rate", self.learning_rate, 0, math.inf, open_below=True)
        _within("weight_decay", self.weight_decay, 0, math.inf)
        _within("momentum", self.momentum, 0, 1)
        _within("warmup", self.warmup, 0, 1)
        if self.clip is not None:
            _within("clip", self.clip, 0, math.inf, open_below=True)

    def rate(self, done: float) -> float:
        """The learning rate when the share ``done`` of all updates, from 0 to 1, has been made."""
        if done < self.warmup:
            return self.learning_rate * done / self.warmup
        rest = (1 - done) / (1 - self.warmup) if self.warmup < 1 else 0.0
        if self.schedule == "cosine":
            return self.learning_rate * (1 - math.cos(math.pi * rest)) / 2
        return self.learning_rate * (rest if self.schedule == "linear" else 1.0)


def _least(name: str, value: int | None, least: int) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise InputError(f"{name}: expected a whole number of at least {least}, got {value!r}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def _within(name: str, value: float, low: float, high: float, *, open_below: bool = False) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (low < value < high or (value == low and not open_below)):
        above = "above" if open_below else "of at least"
        below = f" and below {high:g}" if high < math.inf else ""
        raise InputError(f"{name}: expected a number {above} {low:g}{below}, got {value!r}")
