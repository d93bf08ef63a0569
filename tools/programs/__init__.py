"""Other people's programs through ``statewise.accelerate``: ``make programs``.

Each program has a module here, which says what pip installs for it (``REQUIREMENTS``) and what is computed (``WORK``),
``build()``s its model and ``run(model)``s it once, on a synthetic input of the model's dtype and of a size that its
users have. Nothing is downloaded beyond the packages: weights are random but where a package carries them.

A program is measured in an environment and a process of its own. No time is taken before its outputs and gradients are
as near to float64 as they are with torch.nn.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

import torch
from torch import Tensor, nn

NAMES = ("resemblyzer", "stanza", "flair", "darts", "torchrl")


class Program(Protocol):
    """What a program's module has."""

    REQUIREMENTS: tuple[str, ...]
    """For pip; the program first, with its version."""
    WORK: str
    """What one run computes, for the table."""

    @staticmethod
    def build() -> nn.Module:
        """The model, with torch.nn's layers."""

    @staticmethod
    def run(model: nn.Module) -> Sequence[Tensor]:
        """Its outputs; whatever of them requires a gradient is differentiated in training."""


def program(name: str) -> Program:
    """The module of that name. Importing it imports nothing of the program."""
    return cast(Program, import_module(f"{__name__}.{name}"))


def dtype_of(model: nn.Module) -> torch.dtype:
    """The dtype of the first parameter, which the input has to have."""
    return next(model.parameters()).dtype


def normal(*shape: int) -> Tensor:
    """The same random numbers for every dtype that they are cast to."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float32)
