"""What networks are trained on: windows for direct ones, stretches of rows for recursive ones."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...training.task import Task
from . import losses
from .direct import Windows, chunks
from .distributions import Output
from .networks import move
from .recursive import Steps
from .split import Array, Rows

MOST_JUDGED = 4000  # windows of the validation part that are looked at after each epoch
RIDGE = 8.0  # noise of variance RIDGE / rows on the inputs acts on a linear reader as this ridge penalty


class WindowTask(Task):
    """Windows of the training part to learn from, windows of the validation part to judge by."""

    def __init__(
        self,
        model: nn.Module,
        output: Output,
        windows: Windows,
        train: tuple[Rows, Rows],
        validation: tuple[Rows, Rows],
        most: int,
        bases: tuple[Array | None, Array | None] = (None, None),
    ) -> None:
        self.model, self.output, self.windows = model, output, _as_tensors(windows)
        self.base, judged_base = (None if each is None else _single(each) for each in bases)
        self.origins, self.channel = map(torch.from_numpy, train)  # (n,) each
        self.judged, self.judged_channel = (_some(torch.from_numpy(x)) for x in validation)
        self.judged_base = None if judged_base is None else _some(judged_base)
        self.judged_first = self.base is not None and len(self.judged) > 0
        self.rows = min(len(self.origins), most)
        dataset, judged = (windows.rows, windows.scaled, windows.seen), (self.judged, self.judged_channel)
        self.data = [*dataset, self.origins, *judged, output.kind, list(output.quantiles)]

    def to(self, device: torch.device) -> None:
        super().to(device)
        move(self, device)
        move(self.windows, device)

    def order(self, epoch: int, random: torch.Generator) -> Tensor:
        """Other windows in every epoch, where there are more than ``rows``."""
        return torch.randperm(len(self.origins), generator=random)[: self.rows]

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        rows = rows.to(self.origins.device)
        base = None if self.base is None else self.base[rows]
        window = self.windows.take(self.origins[rows], self.channel[rows], base)
        raw = model(window.past, window.future, window.channel).float()
        return losses.summed(self.output, raw, window)

    def validate(self) -> Mapping[str, float]:
        if not len(self.judged):
            return {}
        lost, squares, terms = 0.0, 0.0, 0.0
        for chunk in chunks(self.judged, self.judged_channel, self.judged_base):
            window = self.windows.take(*chunk)
            raw = self.model(window.past, window.future, window.channel)
            loss, count = losses.summed(self.output, raw, window)
            placed = losses.placed(self.output, raw, window.base).cpu().numpy()
            read = self.output.read(placed, window.unit.cpu().numpy())
            middle = torch.from_numpy(read[..., self.output.quantiles.index(0.5)]).to(window.target)
            lost, terms = lost + float(loss), terms + count
            squares += float(((middle - window.target).square() * window.seen).sum())
        return {"loss": lost / max(terms, 1.0), "mse": squares / max(terms, 1.0)}


class StepTask(Task):
    """Stretches of the training parts, drawn at random, a loss at every row.

    ``end`` (S,) is where each training part ends. ``judge`` says how good the network is, {}: nothing does.
    """

    def __init__(
        self, model: nn.Module, steps: Steps, end: Rows, *, width: int, windows: int, mirror: bool, judge: Any = dict
    ) -> None:
        self.model, self.rows, self.mirror, self.judge = model, windows, mirror, judge
        self.x, self.y, self.seen, self.signs = map(_single, (steps.inputs, steps.missed, steps.seen, steps.signs))
        self.first, self.end = torch.from_numpy(steps.first), torch.from_numpy(end)
        lengths = (self.end - self.first).clamp(min=0)
        self.width = min(width, int(lengths.max()))
        self.choices = torch.where(lengths > 0, (lengths - self.width).clamp(min=0) + 1, 0).cumsum(0)  # (S,)
        self.data = [self.x, self.y, self.seen, self.end, self.width, mirror]
        self.noise = (RIDGE / max(1, int(lengths.sum()))) ** 0.5

    def to(self, device: torch.device) -> None:
        super().to(device)
        move(self, device)

    def order(self, epoch: int, random: torch.Generator) -> Tensor:
        """Which stretch each of ``windows`` is: any of them, drawn with replacement."""
        return torch.randint(int(self.choices[-1]), (self.rows,), generator=random)

    def loss(self, model: nn.Module, rows: Tensor) -> tuple[Tensor, float]:
        rows = rows.to(self.x.device)
        series = torch.searchsorted(self.choices, rows, right=True)  # (N,)
        before = torch.where(series > 0, self.choices[series - 1], 0)
        at = self.first[series] + rows - before + torch.arange(self.width, device=rows.device)[:, None]  # (T, N)
        inside = at < self.end[series]
        at = at.clamp(max=len(self.y) - 1)
        x, y, seen = self.x[at], self.y[at], self.seen[at] * inside
        x = x + self.noise * torch.randn_like(x)
        if self.mirror:
            upside_down = torch.arange(len(rows), device=rows.device) % 2 == 1
            x = x * torch.where(upside_down[:, None], self.signs, 1.0)
            y = y * torch.where(upside_down, -1.0, 1.0)
        return ((model(x) - y).square() * seen).sum(), float(seen.sum())

    def validate(self) -> Mapping[str, float]:
        return dict(self.judge())


def _as_tensors(windows: Windows) -> Any:
    """The same windows, which give tensors."""
    found = copy(windows)
    for name, value in vars(windows).items():
        if isinstance(value, np.ndarray):
            setattr(found, name, torch.from_numpy(value))
    return found


def _some(rows: Tensor) -> Tensor:
    """At most as many of them as are judged, evenly."""
    return rows[:: -(-len(rows) // MOST_JUDGED) or 1].contiguous()


def _single(values: Array) -> Tensor:
    with np.errstate(over="ignore"):  # what comes of such values is refused
        return torch.from_numpy(values.astype(np.float32))
