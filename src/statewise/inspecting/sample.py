"""Some rows of a job's data as ``inspect`` takes them: what a job says of itself to be looked into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .inspect import inspect
from .inspection import Inspection

ROWS, STEPS = 8, 128  # of a sample, at most: within a second
POINTS = 12  # of its attributions


@dataclass(frozen=True)
class Sample:
    """A network, what it is called with for a few rows, and what there is to know of them: ``inspect``'s arguments."""

    network: nn.Module
    x: Any
    of: Callable[[Any], Tensor] | None = None
    layer: str | None = None
    features: Sequence[str] = ()
    labels: Sequence[Sequence[str]] = ()
    row: int = 0

    def inspected(self, title: str) -> Inspection:
        """What is inside."""
        given = {name: value for name, value in vars(self).items() if name not in ("network", "x")}
        return inspect(self.network, self.x, points=POINTS, title=title, **given)
