"""What every origin is brought to: a recurrent layer's weights as torch.nn names and shapes them.

An origin differs in the order of the gates, in whether a kernel's gates are its rows or its columns, and in how many
biases there are. ``Layout`` says so, and ``part`` does the rest for all of them alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import cells
from ..cells.variants import parts_of_name, variant
from ..runtime.file import LoadError

if TYPE_CHECKING:
    from ..layers import RecurrentLayer
    from ..runtime import Network

Array = NDArray[Any]
Arrays = dict[str, Array]


def refuse(where: str, expected: str, got: object) -> LoadError:
    """What to raise."""
    got = got if isinstance(got, str) else repr(got)
    return LoadError(f"{where}: expected {expected}, got {' '.join(got.split())[:200]}")


@dataclass(frozen=True)
class Layout:
    """How an origin lays a cell's weights out."""

    cell: str
    """As statewise calls it."""
    gates: str
    """In the origin's order, by the cell's own letters."""
    columns: bool = True
    """Whether gates are the columns of a kernel (I, G*H), or else its rows (G*H, I)."""

    def kernel(self, where: str, weight: Array, width: int | None, h: int) -> Array:
        """(G*H, I) in the cell's order."""
        shape = (width, len(self.gates) * h) if self.columns else (len(self.gates) * h, width)
        check(where, weight, *shape)
        return self._in_order(weight.T if self.columns else weight, h)

    def bias(self, where: str, bias: Array | None, h: int) -> Array:
        """(G*H,) in the cell's order; zeros where there is none."""
        if bias is None:
            return np.zeros(len(self.gates) * h, np.float32)
        check(where, bias, len(self.gates) * h)
        return self._in_order(bias, h)

    def _in_order(self, array: Array, h: int) -> Array:
        own = cells.by_name(self.cell).gates
        if own == tuple(self.gates):
            return np.ascontiguousarray(array)
        blocks = array.reshape(len(self.gates), h, *array.shape[1:])
        return blocks[[self.gates.index(gate) for gate in own]].reshape(array.shape)


def check(where: str, array: Array, *shape: int | None) -> None:
    """LoadError unless ``array`` has this shape; None stands for any size."""
    if len(array.shape) != len(shape) or any(n not in (s, None) for s, n in zip(array.shape, shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise refuse(where, f"numbers of shape ({wanted})", str(array.shape))
    if array.dtype.kind != "f":
        raise refuse(where, "floating-point numbers", str(array.dtype))


@dataclass(frozen=True)
class One:
    """What an origin has of one layer in one direction. Biases may be missing, and then are zeros."""

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None = None
    bias_hh: Array | None = None
    initial: tuple[Array, ...] = ()
    """What each state begins with, (H,), where that isn't zeros."""


@dataclass(frozen=True)
class Part:
    """A recurrent layer, or a stack of them, that was found somewhere.

    Attributes:
        name: what its origin calls it.
        cell: statewise's name of what it computes: what the origin says, or its default where that isn't said.
        others: cells that it may be as well, for all that the origin says: torch's RNN may be one of relu.
        input_size, hidden_size, num_layers, bidirectional, bias, proj_size: as of a layer.
        initial: whether it has states to begin with.
        arrays: the weights by torch.nn's names, ``weight_ih_l0``.
    """

    name: str
    cell: str
    input_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    bias: bool
    proj_size: int
    initial: bool
    arrays: Arrays = field(repr=False)
    others: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    """``num_heads``, ``zoneout`` and ``clip`` of a layer, where it has them."""

    def options(self) -> dict[str, Any]:
        """What the runtime's op ``recurrent`` is told of it beside the weights."""
        return {
            "cell": self.cell,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "bias": self.bias,
            "proj_size": self.proj_size,
            "initial": self.initial,
            **self.more,
        }

    def network(self, threads: int = 1) -> Network:
        """It alone as a network that runs without torch, of (T, N, I)."""
        from .program import Program

        made = Program(self.input_size)
        made.recurrent(self)
        return made.network(threads)

    def layer(self, *, batch_first: bool = False) -> RecurrentLayer:
        """It as a layer to train, an ``LSTM``, ``GRU``, ``RNN`` or ``Recurrent``; it needs torch."""
        from .layers import layer_of

        return layer_of(self, batch_first=batch_first)


def part(
    name: str,
    layout: Layout,
    layers: Sequence[Sequence[One]],
    *,
    cell: str | None = None,
    others: tuple[str, ...] = (),
) -> Part:
    """The part that ``layers`` are: of each layer its one or two directions, forward first.

    Args:
        name: of the part; messages begin with it.
        layout: how the origin lays the weights out.
        layers: from the lowest on; each but the first reads all directions of the one below.
        cell: what it computes where that is a variant of the layout's cell.
        others: see ``Part``.
    """
    first = layers[0][0]
    weight = first.weight_hh
    if weight.ndim != 2 or not weight.size or weight.shape[not layout.columns] > weight.shape[layout.columns]:
        raise refuse(f"{name}.weight_hh", f"numbers for {len(layout.gates)} gates", str(weight.shape))
    h = weight.shape[not layout.columns]
    check(f"{name}.weight_ih", first.weight_ih, None, None)
    width = size = first.weight_ih.shape[not layout.columns]
    everything = [one for layer in layers for one in layer]
    bias = any(each is not None for one in everything for each in (one.bias_ih, one.bias_hh))
    states = cells.by_name(layout.cell).states
    initial = any(one.initial for one in everything)
    arrays: Arrays = {}
    for k, layer in enumerate(layers):
        for way, one in zip(("", "_reverse"), layer, strict=False):
            end = f"_l{k}{way}"
            where = f"{name}{end}" if len(everything) > 1 else name
            arrays[f"weight_hh{end}"] = layout.kernel(f"{where}.weight_hh", one.weight_hh, h, h)
            arrays[f"weight_ih{end}"] = layout.kernel(f"{where}.weight_ih", one.weight_ih, width, h)
            if bias:
                arrays[f"bias_ih{end}"] = layout.bias(f"{where}.bias_ih", one.bias_ih, h)
                arrays[f"bias_hh{end}"] = layout.bias(f"{where}.bias_hh", one.bias_hh, h)
            for letter, begin in zip(states, one.initial, strict=False):
                check(f"{where}.{letter}", begin, h)
                arrays[f"initial_{letter}{end}"] = begin
        width = h * len(layer)
    two = len(layers[0]) == 2
    return Part(name, cell or layout.cell, size, h, len(layers), two, bias, 0, initial, arrays, others)


def with_activations(where: str, cell: str, activation: Mapping[str, str]) -> str:
    """The name of ``cell`` with other activations in the places of tanh and sigmoid."""
    base, own = parts_of_name(cell) or (cell, {})
    try:
        return variant(cells.by_name(base), own | dict(activation)).name
    except ValueError as error:
        raise LoadError(f"{where}: {error}") from None
