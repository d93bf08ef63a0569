"""Several processes that train one network together, as ``torchrun`` starts them; one process is a group of one.

Each process takes its share of every batch. Gradients are sums over what all of them saw, divided by how much that was,
so a batch gives the same step however it is split.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

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

    def told(self, value: T) -> T:
        """What rank 0 has as ``value``."""
        if self.size == 1:
            return value
        values: list[Any] = [value]
        dist.broadcast_object_list(values, src=0)
        result: T = values[0]
        return result

    def share(self, rows: Tensor) -> tuple[Tensor, bool]:
        """This process's part of a batch's rows; False with a row that is not to count where there are too few."""
        if self.size == 1:
            return rows, True
        mine = rows[self.rank :: self.size]
        return (mine, True) if len(mine) else (rows[:1], False)


@contextmanager
def group() -> Iterator[Group]:
    """The group that the environment speaks of, for the length of the block. Nested, it is the one there is."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield Group()
    elif dist.is_initialized():
        yield Group(dist.get_rank(), dist.get_world_size())
    else:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
        try:
            yield Group(dist.get_rank(), dist.get_world_size())
        finally:
            dist.destroy_process_group()


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
