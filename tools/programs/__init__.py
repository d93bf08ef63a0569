"""Other people's programs through ``statewise.accelerate``, or with their weights in the runtime: ``make programs``.

Each program has a module here, which says what pip installs for it (``REQUIREMENTS``) and what is computed (``WORK``).
One that is accelerated ``build()``s its model and ``run(model)``s it once, on a synthetic input of the model's dtype
and of a size that its users have. One that is carried over has ``cases()``: what it computes itself, and the same by
networks of the runtime's, made of its weights. Nothing is downloaded beyond the packages: weights are random but where
a package carries them.

A program is measured in an environment and a process of its own. No time is taken before its outputs and gradients are
as near to float64 as they are with torch.nn, or before the carried-over outputs are those of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

ACCELERATED = ("resemblyzer", "stanza", "flair", "darts", "torchrl")
CARRIED_OVER = ("silero", "g2p", "resemblyzer_runtime", "amp")
NAMES = (*ACCELERATED, *CARRIED_OVER)


class Program(Protocol):
    """What the module of a program has that is accelerated."""

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


class Case(NamedTuple):
    """One computation of a program that is carried over. Both sides give the same arrays."""

    theirs: Callable[[], Sequence[NDArray[Any]]]
    ours: Callable[[], Sequence[NDArray[Any]]]
    within: float
    """How far their numbers may be apart: float32's rounding, along as many steps as there are."""


class Port(Protocol):
    """What the module of a program has that is carried over."""

    REQUIREMENTS: tuple[str, ...]
    WORK: str

    @staticmethod
    def cases() -> dict[str, Case]:
        """By what the table calls them."""


def program(name: str) -> Program:
    """The module of that name. Importing it imports nothing of the program."""
    return cast(Program, import_module(f"{__name__}.{name}"))


def port(name: str) -> Port:
    """Likewise of a program that is carried over."""
    return cast(Port, import_module(f"{__name__}.{name}"))


def dtype_of(model: nn.Module) -> torch.dtype:
    """The dtype of the first parameter, which the input has to have."""
    return next(model.parameters()).dtype


def normal(*shape: int) -> Tensor:
    """The same random numbers for every dtype that they are cast to."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float32)
