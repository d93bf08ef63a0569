"""An ONNX graph as it grows: nodes, constants, names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .package import helper, numpy_helper

Array = NDArray[Any]
Dims = Sequence[int | str | None]


class Graph:
    """A graph that is being made. ``inner`` is one within it, such as the body of a Scan, with names of its own."""

    def __init__(self, dtype: np.dtype[Any], prefix: str = "") -> None:
        self.dtype, self._prefix = dtype, prefix
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._constants: dict[str, Array] = {}
        self._small: dict[tuple[Any, ...], str] = {}
        self._taken: set[str] = set()

    def inner(self, name: str) -> Graph:
        """A graph for an attribute of a node of this one."""
        return Graph(self.dtype, f"{self.name(f'{name}.step')}/")

    def name(self, wish: str) -> str:
        """A name that nothing else has, ``wish`` where it is free."""
        wish, k = f"{self._prefix}{wish}", 1
        found = wish
        while found in self._taken:
            found = f"{wish}_{(k := k + 1)}"
        self._taken.add(found)
        return found

    def input(self, name: str, dtype: Any, dims: Dims) -> str:
        """An input of the graph."""
        name = self.name(name)
        self.inputs.append(_value(name, dtype, dims))
        return name

    def output(self, value: str, name: str, dtype: Any, dims: Dims) -> str:
        """``value`` as an output of the graph that is called ``name``."""
        name = self.name(name)
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self.outputs.append(_value(name, dtype, dims))
        return name

    def constant(self, value: Any, wish: str = "constant") -> str:
        """An array, or numbers that become the graph's floats; what is small and the same is there once."""
        array = np.asarray(value, None if isinstance(value, np.ndarray) else self.dtype, order="C")
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 16 else (id(array),)
        if key not in self._small:
            self._small[key] = self.name(wish)
            self._constants[self._small[key]] = array
        return self._small[key]

    def whole(self, *numbers: int) -> str:
        """A constant of whole numbers (n,), such as axes."""
        return self.constant(np.array(numbers, np.int64), "numbers")

    def node(self, op: str, *given: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """A node with one result, or the first of several, which are called ``outputs``, as far as they are free."""
        return self.several(op, given, outputs or (op.lower(),), **attributes)[0]

    def several(self, op: str, given: Sequence[str], outputs: Sequence[str], **attributes: Any) -> list[str]:
        """A node with several results."""
        names = [self.name(wish) for wish in outputs]
        self.nodes.append(helper.make_node(op, list(given), names, name=names[0], **attributes))
        return names

    def split(self, value: str, sizes: Sequence[int], axis: int = -1) -> list[str]:
        """``value`` cut into parts of these sizes."""
        if len(sizes) == 1:
            return [value]
        return self.several("Split", [value, self.whole(*sizes)], ["part"] * len(sizes), axis=axis)

    def reshape(self, value: str, *dims: int) -> str:
        """0 for an axis as it is, -1 for what is left."""
        return self.node("Reshape", value, self.whole(*dims))

    def scan(
        self, body: Graph, state: Sequence[str], given: Sequence[str], names: Sequence[str], reverse: bool = False
    ) -> tuple[str, list[str]]:
        """What ``body``, of states and a step of ``given`` to states and a result, gives over all steps: the results,
        and the final states. Of the nodes that are made ``names`` are those of the states and of the results.
        """
        # Steps are turned round by hand: not every program that reads ONNX knows Scan's own way.
        *final, found = self.several(
            "Scan",
            [*state, *(self.turned(each) if reverse else each for each in given)],
            names,
            body=body.made(names[-1]),
            num_scan_inputs=len(given),
        )
        return self.turned(found) if reverse else found, final

    def turned(self, value: str) -> str:
        """The last step first."""
        return self.node("Slice", value, self.whole(-1), self.whole(-(2**62)), self.whole(0), self.whole(-1))

    def size(self, value: str, axis: int) -> str:
        """How long an axis is: (1,)."""
        return self.node("Shape", value, start=axis, end=axis + 1)

    def made(self, name: str) -> Any:
        """The whole as ONNX has it."""
        read, nodes = {each.name for each in self.outputs}, list[Any]()
        for node in reversed(self.nodes):  # what nothing reads is left out
            if not read.isdisjoint(node.output):
                nodes.append(node)
                read.update(node.input)
        tensors = [numpy_helper.from_array(array, key) for key, array in self._constants.items() if key in read]
        return helper.make_graph(nodes[::-1], name, self.inputs, self.outputs, tensors)

    @property
    def nbytes(self) -> int:
        """Of its constants."""
        return sum(array.nbytes for array in self._constants.values())


def _value(name: str, dtype: Any, dims: Dims) -> Any:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), dims)
