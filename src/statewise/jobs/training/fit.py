"""The fitting loop that all jobs share: read it from top to bottom.

It knows nothing of the job. What is trained, on which rows, with which loss, is a ``Task``; how, is a
``TrainingConfig``. A training that is killed goes on from its checkpoint with the same bits; several processes under
``torchrun`` make the same steps as one with the same batch.
"""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from ..errors import InputError
from .average import Average
from .callbacks import Callback, Record
from .checkpoint import Checkpoint, Position
from .config import TrainingConfig
from .distributed import Group, find_device, join
from .optimizer import Optimizer, clip
from .task import Task

POINTS = 500  # of the loss curve


def fit(
    task: Task, config: TrainingConfig, *, callback: Callback | None = None, checkpoint: Checkpoint | None = None
) -> list[Record]:
    """Train ``task.model`` in place, leave the weights of the best validation in it, and give the curve.

    Where ``checkpoint`` has a file already, training goes on from it. The caller's random numbers stay as they were.
    Raises ``InputError`` for a device that isn't there, a checkpoint of something else, or a loss that isn't finite.
    """
    if task.rows < 1:
        raise InputError("there is nothing to train on: no rows")
    device = find_device(config.device)
    group = join(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        callback = callback if callback is not None and group.is_main_process else Callback()
        task.to(device)
        parameters = [p for p in task.model.parameters() if p.requires_grad]
        optimizer = Optimizer(config, parameters)
        average = Average(task.model, config.average)
        mixed, products = autocast(config, device), Products(config)
        at, best = Position(), dict[str, Tensor]()
        batches = -(-task.rows // config.batch)  # in an epoch
        updates = config.epochs * batches
        stretch = max(1, updates // POINTS)

        if checkpoint and (loaded := group.broadcast(checkpoint.load)):
            at, best = checkpoint.restore(loaded, task, config, optimizer, average)
        elif task.judged_first and (scores := _validate(task, group)):
            at.best, best = next(iter(scores.values())), _copied(task.model)
        model = group.wrap(task.model)
        callback.begin(at.history)
        callback.plan(updates - at.update)
        lost, began = torch.tensor(float(at.lost), device=device), time.monotonic() - at.seconds

        while at.epoch < config.epochs and not (config.patience and at.stale >= config.patience):
            if at.batch == 0:
                set_seed(_seed(config.seed, at.epoch, group.rank), device)
            order = task.order(at.epoch, torch.Generator().manual_seed(_seed(config.seed, at.epoch)))
            model.train()
            while at.batch < batches:
                rows, counted = group.share(order[at.batch * config.batch : (at.batch + 1) * config.batch])
                rate = config.rate(at.update / updates)
                with products:
                    with mixed:
                        loss, terms = task.loss(model, rows)
                    terms = group.total(terms if counted else 0.0)
                    for parameter in parameters:
                        parameter.grad = None
                    # The gradients of several processes are averaged: times their number, that is the sum again.
                    # A gradient given to backward has torch import sympy, a third of a second, to compare two shapes.
                    (loss * (counted * group.size / (terms or 1.0))).backward()
                if config.clip:
                    clip(parameters, config.clip)
                optimizer.step(rate)
                if counted:
                    lost += loss.detach()
                at.terms += terms
                at.batch += 1
                at.update += 1
                average.follow(at.update)
                callback.tick()
                if at.batch < batches:
                    if at.update % stretch == 0 and at.terms:
                        _record(at, group.total(float(lost)), rate, began, callback)
                        lost.zero_()
                    if checkpoint and group.size == 1 and checkpoint.pace.due():
                        at.lost, at.seconds = float(lost), time.monotonic() - began
                        checkpoint.save(task, config, optimizer, average, at, best)

            at.epoch, at.batch = at.epoch + 1, 0
            with average.in_place():
                scores = _validate(task, group)
                better = bool(scores) and (at.best is None or next(iter(scores.values())) < at.best)
                at.stale = 0 if better or not scores else at.stale + 1
                if better:
                    at.best = next(iter(scores.values()))
                    best = _copied(task.model)
            _record(at, group.total(float(lost)), rate, began, callback, scores)
            lost.zero_()
            at.lost, at.seconds = 0.0, time.monotonic() - began
            last = at.epoch == config.epochs or bool(config.patience and at.stale >= config.patience)
            if checkpoint and group.is_main_process and (last or checkpoint.pace.due()):
                checkpoint.save(task, config, optimizer, average, at, best)

        callback.plan(at.update - updates)
        average.settle()
        if best:
            task.model.load_state_dict(best)
        task.model.eval()
        return at.history


def autocast(config: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    """The context in which losses are computed: mixed with bfloat16 where that is asked for, or suits the device."""
    suits = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if config.precision == "bfloat16" or (config.precision == "auto" and suits):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


class Products:
    """The context in which products of float32 are as exact as ``config`` says, in the whole program.

    It can be entered again and again. What is left open stays as the program has it, and so does the validation.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.wanted = {"float32": "highest", "medium": "medium"}.get(config.precision)

    def __enter__(self) -> None:
        """Set it."""
        if self.wanted:
            self.before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision(self.wanted)

    def __exit__(self, *error: object) -> None:
        """Set it back."""
        if self.wanted:
            torch.set_float32_matmul_precision(self.before)


def set_seed(number: int, device: torch.device) -> None:
    """Have torch's random numbers on the CPU and on ``device`` begin at ``number``.

    ``torch.manual_seed`` also puts down a seed, with a traceback, for each kind of device that the program hasn't used:
    a third of a millisecond, which counts where a network of few rows has many epochs.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _validate(task: Task, group: Group) -> dict[str, float]:
    """What ``task.validate`` says; of several processes the first one asks."""
    task.model.eval()
    with torch.no_grad():
        return group.broadcast(lambda: dict(task.validate()))


def _record(
    at: Position, lost: float, rate: float, began: float, callback: Callback, scores: dict[str, float] | None = None
) -> None:
    """A point of the curve: what was lost since the one before, and what the validation says at an epoch's end."""
    if at.terms:
        loss = lost / at.terms
    elif at.history:  # the last batches of the epoch had nothing that counts
        loss = at.history[-1]["loss"]
    else:
        raise InputError("there is nothing to train on: no row has a term of the loss")
    if not math.isfinite(loss) or not all(map(math.isfinite, (scores or {}).values())):
        raise InputError(
            f"the loss is no longer finite after {at.update} updates at a learning rate of {rate:.3g};"
            " a lower one may help"
        )
    record = Record(epoch=at.epoch, update=at.update, seconds=time.monotonic() - began, loss=loss, learning_rate=rate)
    if scores:
        record["validation"] = scores
    at.history.append(record)
    at.terms = 0.0
    callback.record(record)


def _seed(*numbers: int) -> int:
    """A seed of its own for every epoch and process."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 6364136223846793005 + number + 1442695040888963407) % 2**63
    return mixed
