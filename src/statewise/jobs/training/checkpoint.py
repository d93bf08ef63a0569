"""Where a training stands, as a file, so that it goes on after any kill with the same bits as if nothing had been.

The file holds the weights, their average where one is made, the best so far, the state of the optimizer, of the random
numbers and of the task, the place in the epoch, and the curve. It is replaced as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..artifacts import model_file
from ..config import from_json
from ..errors import InputError
from .average import Average
from .callbacks import Pace, Record, is_record
from .config import TrainingConfig
from .optimizer import Optimizer
from .task import Task
from .weights import as_arrays, as_tensors, check_sizes

FORMAT = 2


@dataclass
class Position:
    """How far a training has come."""

    epoch: int = 0
    batch: int = 0
    """Batches done in this epoch."""
    update: int = 0
    seconds: float = 0.0
    stale: int = 0
    """Epochs since the best one."""
    best: float | None = None
    lost: float = 0.0
    """The sum of the losses since the last record, of ``terms`` terms."""
    terms: float = 0.0
    history: list[Record] = field(default_factory=list)


class Checkpoint:
    """Writes where a training stands to ``path``, every ``every`` seconds at most, and reads it again.

    The interval grows where writing takes long; the end of the training is always written.
    """

    def __init__(self, path: Path, every: float = 30.0) -> None:
        self.path, self.pace = path, Pace(every)

    def save(
        self,
        task: Task,
        config: TrainingConfig,
        optimizer: Optimizer,
        average: Average,
        position: Position,
        best: Mapping[str, Tensor],
    ) -> None:
        """Write all that the rest of the training depends on."""
        with self.pace.spent():
            content = {**_identity(task, config), "position": asdict(position)}
            tensors = {
                **_under("model", task.model.state_dict()),
                **_under("best", best),
                **_under("average", average.tensors),
                **_under("task", task.state()),
                **_under("random", _random()),
                **_under("optimizer", optimizer.state()),
            }
            model_file.save(self.path, "checkpoint", FORMAT, content, as_arrays(tensors))

    def load(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """What ``save`` wrote; None where nothing was written yet."""
        if not self.path.exists():
            return None
        content, arrays = model_file.load(self.path, "checkpoint", FORMAT)
        return content, as_tensors(arrays)

    def restore(
        self,
        loaded: tuple[dict[str, Any], dict[str, Tensor]],
        task: Task,
        config: TrainingConfig,
        optimizer: Optimizer,
        average: Average,
    ) -> tuple[Position, dict[str, Tensor]]:
        """Put everything back where it was; how far the training had come, and the best weights.

        Raises ``InputError`` where the checkpoint belongs to other data, another network or another configuration.
        """
        content, tensors = loaded
        for what, ours in _identity(task, config).items():
            if content.get(what) != ours:
                difference = _difference(content.get(what), ours)
                raise InputError(f"{self.path}: the checkpoint is of another {what}: {difference}")
        with model_file.checked(self.path, "checkpoint"):
            position = _position(content["position"], config, -(-task.rows // config.batch))
            weights, best = _below("model", tensors), _below("best", tensors)
            for found in (weights, best) if best or position.best is not None else (weights,):
                check_sizes(task.model.state_dict(), found)
            averages = _below("average", tensors)
            check_sizes(average.tensors, averages)
            task.model.load_state_dict(weights)
            average.restore(averages)
            task.restore(_below("task", tensors))
            remembered = _below("optimizer", tensors)
            check_sizes(optimizer.state(), remembered)
            optimizer.restore(remembered)
            _set_random(_below("random", tensors))
            return position, best


def _position(content: Any, config: TrainingConfig, batches: int) -> Position:
    """Where the training of so many ``batches`` an epoch stood; ValueError where it can't have stood there."""
    history = content.get("history")
    at = from_json(Position, {name: value for name, value in content.items() if name != "history"})
    whole = at.epoch <= config.epochs and at.batch < batches and at.update == at.epoch * batches + at.batch
    if not whole or min(at.epoch, at.batch, at.stale, at.seconds, at.terms) < 0:
        raise ValueError(f"no place in a training of {config.epochs} epochs: epoch {at.epoch}, batch {at.batch}")
    if not isinstance(history, list) or not all(map(is_record, history)):
        raise ValueError("the curve is none")
    return replace(at, history=history)


def _identity(task: Task, config: TrainingConfig) -> dict[str, Any]:
    """What must be the same for a training to go on, as it reads after a way through a file: tuples are lists there."""
    identity: dict[str, Any] = json.loads(json.dumps({"configuration": asdict(config), "task": task.fingerprint()}))
    return identity


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # A tied weight is one tensor under two names; the file holds it twice.
    return {f"{prefix}.{name}": tensor.clone() for name, tensor in tensors.items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix + "."): t for name, t in tensors.items() if name.startswith(prefix + ".")}


def _random() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _set_random(states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


def _difference(theirs: Any, ours: Any) -> str:
    """The first entry that differs, in words."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        nothing = object()
        name = next(k for k in {**theirs, **ours} if theirs.get(k, nothing) != ours.get(k, nothing))
        return f"{name} {theirs.get(name)!r} there, {ours.get(name)!r} here"
    return "its data or its network are not the ones given now"
