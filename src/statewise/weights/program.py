"""A whole network as it is read from somewhere else: the ops of the runtime's program, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.program import ACTIVATIONS as OF_RUNTIME
from ..runtime.program import MOST_AROUND
from .part import Array, Arrays, Part, check, refuse

if TYPE_CHECKING:
    from ..runtime import Network

__all__ = ["ACTIVATIONS", "MOST_AROUND", "NOTHING", "Program"]

ACTIVATIONS = {name: name for name in OF_RUNTIME} | {"swish": "silu"}
"""By their names in Keras, RTNeural and the like, those of the runtime."""
NOTHING = ("", "linear", None)
_DEFAULTS = {"left": 0, "right": 0, "stride": 1, "dilation": 1, "groups": 1}  # of the op convolution


class Program:
    """A network of one input, as far as it is read."""

    def __init__(self, width: int, kind: str = "values", *, batch_first: bool = False) -> None:
        self.batch_first = batch_first
        self.inputs = [{"name": "x", "kind": kind, "width": width}]
        self.ops: list[dict[str, Any]] = []
        self.arrays: Arrays = {}
        self.last = "x"
        self.results: list[str] | None = None
        """Names, where it isn't what the last op gives."""

    def add(
        self, op: str, name: str, arrays: Mapping[str, Array | None] | None = None, of: Any = None, **options: Any
    ) -> str:
        """Add an op that reads ``of``, by default what the one before gives; its name, which it gives its result."""
        taken = {each["name"] for each in self.ops} | {"x"}
        name = next(n for n in (name, *(f"{name}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)
        self.ops.append({"op": op, "name": name, "of": [self.last] if of is None else list(of), **options})
        self.arrays |= {f"{name}.{key}": array for key, array in (arrays or {}).items() if array is not None}
        self.last = name
        return name

    def recurrent(self, part: Part, of: Any = None) -> str:
        """Add a part under its name."""
        return self.add("recurrent", part.name, part.arrays, of, **part.options())

    def activation(self, name: str, function: Any, of: Any = None) -> str:
        """Add a function of each number, if it is one."""
        if function in NOTHING:
            return self.last if of is None else str(of[0])
        if not isinstance(function, str) or function not in ACTIVATIONS:
            raise refuse(name, f"an activation among {', '.join(ACTIVATIONS)}", function)
        return self.add("activation", f"{name}.{function}", None, of, function=ACTIVATIONS[function])

    def convolution(
        self, name: str, kernel: Array, bias: Array | None, width: int, of: Any = None, **options: int
    ) -> str:
        """Add a convolution by a kernel of Keras's form, (K, I/groups, O), of ``width`` features."""
        groups = options.get("groups", 1)
        check(f"{name}.kernel", kernel, None, None, None)
        _, channels, size = kernel.shape
        if channels * groups != width or size % groups:
            raise refuse(f"{name}.kernel", f"channels of {width} in {groups} groups", str(kernel.shape))
        if bias is not None:
            check(f"{name}.bias", bias, size)
        given = {key: value for key, value in options.items() if value != _DEFAULTS[key]}
        return self.add("convolution", name, {"weight": kernel.transpose(2, 1, 0), "bias": bias}, of, **given)

    def normalisation(self, name: str, learnt: Mapping[str, Array], width: int, epsilon: object, of: Any = None) -> str:
        """Add a batch norm by what it learnt, mean, variance and maybe gamma and beta: a convolution of one channel."""
        if not isinstance(epsilon, (int, float)):
            raise refuse(name, "epsilon to be a number", epsilon)
        for key, array in learnt.items():
            check(f"{name}.{key}", array, width)
        total = learnt["variance"].astype(np.float64) + epsilon
        if not (total > 0).all():
            raise refuse(f"{name}.variance", "numbers above 0", float(total.min()))
        scale = learnt.get("gamma", 1.0) / np.sqrt(total)
        bias = learnt.get("beta", 0.0) - learnt["mean"] * scale
        tensors = {"weight": scale[:, None, None].astype(np.float32), "bias": bias.astype(np.float32)}
        return self.add("convolution", name, tensors, of, positions=1, groups=width)

    def leaky(self, name: str, slopes: Array, width: int) -> str:
        """Add a ReLU that has a slope below zero, of each feature its own or one: (1 - a) relu(x) + a x."""
        if slopes.size not in (1, width):
            raise refuse(name, f"a slope, or {width} of them", slopes.size)
        x, a = self.last, np.broadcast_to(slopes, width)[:, None, None]
        above = self.add("activation", f"{name}.relu", None, [x], function="relu")
        parts = [
            self.add("convolution", f"{name}.{key}", {"weight": weight}, [of], positions=1, groups=width)
            for key, weight, of in (("above", 1 - a, above), ("below", a, x))
        ]
        return self.add("add", name, None, parts)

    def network(self, threads: int = 1) -> Network:
        """The network, which checks everything once more."""
        from ..runtime import Network

        content: dict[str, Any] = {"inputs": self.inputs, "ops": self.ops, "batch_first": self.batch_first}
        if self.results is not None:
            content["results"] = self.results
        return Network(content, self.arrays, threads)
