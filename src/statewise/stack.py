"""The shape of a stack of recurrent layers: which cell, how wide, how deep, in which directions.

Letters, here and everywhere: T time steps, N batch rows, I input features, H hidden units, P projected units (H where
there is no projection), G gates, L layers, D directions, S the steps of all rows of a ragged batch together.
"""

from __future__ import annotations

from dataclasses import dataclass

from .cells import Cell, Weight


@dataclass(frozen=True)
class Stack:
    """What of a recurrent layer is not a tensor. Hashable, so that compiled graphs can be keyed by it.

    Attributes:
        cell: the cell of every layer.
        input_size: I of the first layer.
        hidden_size: H.
        num_layers: L.
        bidirectional: whether every layer also reads backwards (D = 2).
        bias: whether there are ``bias_ih`` and ``bias_hh``.
        proj_size: P, or 0 for no projection.
        num_heads: into how many blocks the weights are cut that ``cell.heads`` names; it divides H and, where W_ih is
            one of them, every layer's I.
        zoneout: for each state the probability that a unit keeps the value it had; none for none.
        clip: every state after a step is held in [-clip, clip]; 0 for no bound.
        gradient_clip: likewise the gradient of every state after a step.
        checkpoint: training keeps the states of every so many steps alone and computes the rest again; 0 to keep all.
    """

    cell: Cell
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    proj_size: int = 0
    checkpoint: int = 0
    num_heads: int = 1
    zoneout: tuple[float, ...] = ()
    clip: float = 0.0
    gradient_clip: float = 0.0

    @property
    def directions(self) -> int:
        """D."""
        return 2 if self.bidirectional else 1

    @property
    def depth(self) -> int:
        """L*D, how many layers there are counting each direction."""
        return self.num_layers * self.directions

    @property
    def output_size(self) -> int:
        """P: how wide one direction's output is, and what ``weight_hh`` reads."""
        return self.proj_size or self.hidden_size

    @property
    def width(self) -> int:
        """D*P, the features of the output."""
        return self.directions * self.output_size

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The width of each state, in the order of ``cell.states``."""
        h = self.hidden_size if self.cell.carries_h else self.output_size
        return (h,) + (self.hidden_size,) * (len(self.cell.states) - 1)

    @property
    def weights(self) -> tuple[Weight, ...]:
        """One layer's one direction's parameters, in their order."""
        return self.cell.weights(self.bias, self.proj_size > 0)

    @property
    def weights_per_layer(self) -> int:
        """How many tensors one layer's one direction has."""
        return len(self.weights)

    def weight_shape(self, weight: Weight, layer: int) -> tuple[int, ...]:
        """The shape of one of ``weights`` in layer ``layer``."""
        h, rows = self.hidden_size, max(1, len(weight.parts)) * self.hidden_size
        if weight.kind == "input":
            return rows, self.layer_input_size(layer) // (self.num_heads if "x" in self.cell.heads else 1)
        if weight.kind == "recurrent":
            return rows, h // self.num_heads if "h" in self.cell.heads else self.output_size
        if weight.kind == "vector":
            return (rows,)
        return self.proj_size, h

    def layer_input_size(self, layer: int) -> int:
        """I of layer ``layer``: the layers above the first read all directions of the one below."""
        return self.input_size if layer == 0 else self.directions * self.output_size
