"""What can be asked of a model, and how the steps of sequences are read.

An operation is a pair of pydantic models, which check what comes and describe it, and a function from what many clients
ask for to what each of them gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, create_model

from ...runtime import Network
from ..limits import Limits
from ..problem import Problem

Array = NDArray[Any]
LARGEST = 2**53  # of whole numbers: JSON has no larger ones


class Shape(BaseModel):
    """The base of what comes and goes: nothing but what is declared, and no number that isn't finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=(), strict=True)


@dataclass(frozen=True)
class Operation:
    """``POST .../NAME``."""

    name: str
    summary: str
    asked: type[Shape]
    answer: type[Shape]
    read: Callable[[Any], Any]
    """From an ``asked`` to what ``compute`` is given. Raises ``Problem``."""
    compute: Callable[[Sequence[Any]], Sequence[Any]]
    """To as many dicts of ``answer``, exceptions, or ``Again``."""


@dataclass(frozen=True)
class Served:
    """A model."""

    operations: Sequence[Operation]
    network: Network | None = field(default=None, repr=False)
    """That streams run through, if it can read a step at a time."""
    labels: Sequence[Any] = ()
    """The names of what it says."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else a client may want to know."""


class StepsOf:
    """How the steps of a network's sequences are told in JSON, and read."""

    def __init__(self, network: Network, limits: Limits) -> None:
        self.network, self.limits = network, limits
        self.names = [name for name, _ in network.inputs]
        self.dtypes = [_dtype(entry, network) for entry in network.content["inputs"]]
        carry = any(op.entry.get("carry", False) for op in network.ops)
        types = [steps_of(form.width, form.kind, carry, limits.length) for _, form in network.inputs]
        self.several = len(types) > 1
        self.type: Any = types[0]
        """The type of ``x``: steps, or an object of these where the network reads several things."""
        if self.several:
            fields: dict[str, Any] = {f"input_{k}": (t, Field(alias=self.names[k])) for k, t in enumerate(types)}
            self.type = create_model("Inputs", __base__=Shape, **fields)

    def read(self, x: Any) -> tuple[Array, ...]:
        """``x``, which has been checked, as arrays."""
        given = [getattr(x, f"input_{k}") for k in range(len(self.names))] if self.several else [x]
        if len({len(each) for each in given}) > 1:
            raise Problem(422, f"x: expected as many steps of each, got {[len(each) for each in given]}")
        found = []
        for name, dtype, each in zip(self.names, self.dtypes, given, strict=True):
            with np.errstate(over="ignore"):
                array = np.array(each, np.float64 if dtype.kind == "f" else dtype).astype(dtype)
            if np.isinf(array).any():
                raise Problem(422, f"{name}: expected numbers that {dtype} has room for")
            found.append(array)
        wide = self.network.width if any(self.network.over_time) else 1
        if len(given[0]) * wide > self.limits.answer:
            most = max(1, self.limits.answer // wide)
            raise Problem(422, f"x: expected {most} steps at most, got {len(given[0])}: each of them answers {wide}")
        return tuple(found)

    def told(self, y: tuple[Array, ...]) -> Any:
        """A result in JSON's terms; of several a list."""
        return y[0].tolist() if len(y) == 1 else [each.tolist() for each in y]


def _dtype(entry: Mapping[str, Any], network: Network) -> np.dtype[Any]:
    return {"values": network.dtype, "exact": np.dtype(np.float64), "symbols": np.dtype(np.int64)}[entry["kind"]]


def steps_of(width: int, kind: str, gaps: bool, most: int) -> Any:
    """The type of a sequence of at most so many steps; with ``gaps`` a number may be null."""
    if kind == "symbols":
        return listed(Annotated[int, Field(ge=0, lt=width)], 1, most)
    return listed(listed(float | None if gaps else float, width, width), 1, most)


def listed(each: Any, least: int, most: int) -> Any:
    """The type of a list of so many; the first entry that is wrong ends the search for more."""
    return Annotated[list[each], Field(min_length=least, max_length=most, fail_fast=True)]
