"""Several processes that train one network together, as ``torchrun`` starts them; one process is a group of one.

Each process takes its share of every batch. Gradients are sums over what all of them saw, divided by how much that was,
so a batch gives the same step however it is split.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import InputError

T = TypeVar("T")

PATIENCE = timedelta(hours=2)  # rank 0 alone validates and draws, the others wait


@dataclass(frozen=True)
class Group:
    """Who we are among ``size`` processes. Rank 0 speaks, writes and validates."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that speaks and writes."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """``model``, its gradients averaged over the processes in every backward."""
        return nn.parallel.DistributedDataParallel(model) if self.size > 1 else model

    def total(self, value: float) -> float:
        """The sum of ``value`` over the processes."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=_device())
        dist.all_reduce(tensor)
        return float(tensor)

    def told(self, ask: Callable[[], T]) -> T:
        """What ``ask`` gives rank 0, which alone calls it; an ``InputError`` it raises there is raised by all."""
        if self.size == 1:
            return ask()
        answer: list[Any] = [None, None]  # what it gave, and what it refused
        if self.leads:
            try:
                answer[0] = ask()
            except InputError as error:
                answer[1] = str(error)
        dist.broadcast_object_list(answer, src=0)
        if answer[1] is not None:
            raise InputError(answer[1])
        result: T = answer[0]
        return result

    def share(self, rows: Tensor) -> tuple[Tensor, bool]:
        """This process's part of a batch's rows; False with a row that is not to count where there are too few."""
        if self.size == 1:
            return rows, True
        mine = rows[self.rank :: self.size].contiguous()
        return (mine, True) if len(mine) else (rows[:1], False)


def join(device: torch.device) -> Group:
    """The group that the environment speaks of, made at the first call and there until the process ends.

    A second one in the same process would read the addresses that the first one left in torchrun's store.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Group()
    if not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        atexit.register(dist.destroy_process_group)
    return Group(dist.get_rank(), dist.get_world_size())


def find_device(name: str) -> torch.device:
    """The device called ``name``; of several processes on a machine each has a ``cuda`` of its own.

    Raises ``InputError`` where there is none of that name.
    """
    try:
        device = torch.device(name)
        if device == torch.device("cuda"):
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", torch.cuda.current_device())))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device {name!r} can't be used: {str(error).splitlines()[0]}") from None
    return device


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
