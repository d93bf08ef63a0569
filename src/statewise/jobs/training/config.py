"""How a network is trained, whatever the job: what the fitting loop can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..config import Config, Count, NotNegative, Part, Positive, Range, Whole, option

training = partial(option, group="training")


@dataclass(kw_only=True)
class TrainingConfig(Config):
    """The settings of ``fit``. Everything that decides the weights besides the data and the network is in here.

    Raises ``InputError`` where a value can't be used. Each job's configuration derives from this.
    """

    epochs: Whole = training(20, "passes over the data at most", metavar="N")
    batch: Whole = training(32, "rows in a batch", metavar="N", search=Range(8, 128, log=True))
    optimizer: Literal["adamw", "adam", "sgd"] = training("adamw", "the optimizer")
    learning_rate: Positive = training(1e-3, "the highest", metavar="X", search=Range(3e-4, 3e-2, log=True))
    schedule: Literal["cosine", "linear", "constant"] = training("cosine", "how the learning rate falls")
    warmup: Part = training(0.0, "share of the updates in which it rises", metavar="X")
    momentum: Part = training(0.9, "of sgd alone", metavar="X")
    weight_decay: NotNegative = training(0.0, "of the optimizer", metavar="X", search=Range(1e-5, 1e-1, log=True))
    clip: NotNegative | None = training(1.0, "largest gradient norm, 0 for any", metavar="X")
    average: Part = training(
        0.0, "decay of a moving average of the weights, judged and kept in their place, such as 0.999", metavar="X"
    )
    patience: Count | None = training(None, "epochs without gain, 0: never stop", metavar="N")
    seed: Count = training(0, "of all random numbers", metavar="N")
    device: str = training("cpu", "cpu, cuda, cuda:1", metavar="NAME")
    precision: Literal["auto", "float32", "medium", "bfloat16"] = training(
        "auto", "medium: products of bfloat16 alone; auto: bfloat16 on GPUs that have it"
    )

    def rate(self, done: float) -> float:
        """The learning rate when the share ``done`` of all updates, from 0 to 1, has been made."""
        if done < self.warmup:
            return self.learning_rate * done / self.warmup
        rest = (1 - done) / (1 - self.warmup) if self.warmup < 1 else 0.0
        if self.schedule == "cosine":
            return self.learning_rate * (1 - math.cos(math.pi * rest)) / 2
        return self.learning_rate * (rest if self.schedule == "linear" else 1.0)
