"""A whole network as it is read from somewhere else: the ops of the runtime's program, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .part import Array, Arrays, Part, refuse

if TYPE_CHECKING:
    from ..runtime import Network

ACTIVATIONS = {
    **{name: name for name in ("relu", "tanh", "sigmoid", "silu", "softplus", "softmax", "log_softmax", "elu")},
    "swish": "silu",
}
"""By their names in Keras, RTNeural and the like, those of the runtime."""
NOTHING = ("", "linear", None)


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

    def network(self, threads: int = 1) -> Network:
        """The network, which checks everything once more."""
        from ..runtime import Network

        content: dict[str, Any] = {"inputs": self.inputs, "ops": self.ops, "batch_first": self.batch_first}
        if self.results is not None:
            content["results"] = self.results
        return Network(content, self.arrays, threads)
