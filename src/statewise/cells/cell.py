"""What a recurrent cell is: the one description from which everything else about it follows.

A description says nothing about speed, devices, time loops or layers: those belong to the kernels, the reference and
the layers, and are the same for every cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Step = Callable[[Any, Any, Any, Any, tuple[Any, ...]], tuple[Any, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A recurrent cell.

    Attributes:
        name: how kernels, model files and messages call it.
        gates: one letter a gate, in the order in which torch.nn stacks their rows in the weights; G = ``len(gates)``.
        states: one letter a state, ``"h"`` first; every state is (N, H).
        step: ``step(ops, x, r, bias, state) -> state``, one time step in plain operations. ``ops`` is the namespace
            they come from (``torch``, or anything with its ``sigmoid``, ``tanh``, ``relu``); ``x`` = W_ih x_t and
            ``r`` = W_hh h, both (N, G*H), have no bias in them; ``bias`` = (b_ih, b_hh), each (G*H,), or None.
        carries_h: whether the step reads h itself besides r (the GRU's ``z * h``). With a projection such a cell hands
            its unprojected h from step to step, because the projected one no longer holds it.
    """

    name: str
    gates: str
    states: str
    step: Step
    carries_h: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name: the descriptions are singletons."""
        from . import by_name

        return by_name, (self.name,)


def split(a: Any, n: int) -> list[Any]:
    """Cut the last axis of ``a`` into ``n`` equal parts: (N, G*H) into G times (N, H)."""
    h = a.shape[-1] // n
    return [a[..., i * h : (i + 1) * h] for i in range(n)]
