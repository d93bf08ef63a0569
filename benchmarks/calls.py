"""How programs call layers and cells: the plain call of the shapes in cases.py, and the everyday ones beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from statewise.layers.recurrent import RecurrentLayer

from .cases import MODES, TRAINING, Case, Shape


class Call:
    """The plain call of a layer, ``layer(x)`` with x (T, N, I). The others say what they do differently.

    Args:
        shape: the sizes.
        modes: what is measured of it.
        options: for the layer's constructor.
    """

    suffix = ""  # of the class's name
    dtype = torch.float32
    states = False  # whether the states are given, and differentiated
    results: tuple[str, ...] = ("output", "h_n", "c_n")

    def __init__(self, shape: Shape, modes: Iterable[str] = MODES, **options: Any) -> None:
        self.shape = shape
        self.modes = tuple(modes)
        self.options = options

    def build(self, namespace: Any, cell: str) -> nn.Module:
        """The module, from the ``namespace`` that has the classes."""
        layers = {} if self.suffix else {"num_layers": self.shape.L}
        kind = getattr(namespace, cell + self.suffix)
        module = kind(self.shape.I, self.shape.H, **layers, **self.options, dtype=self.dtype)
        assert isinstance(module, nn.Module)
        return module

    def sizes(self, cell: str) -> dict[str, tuple[int, ...]]:
        """Of x and of the states that are given."""
        return {"x": self.input_size()} | {name: self.state_size() for name in state_names(cell) if self.states}

    def input_size(self) -> tuple[int, ...]:
        """Of x."""
        return self.shape.T, self.shape.N, self.shape.I

    def state_size(self) -> tuple[int, ...]:
        """Of each state."""
        return self.shape.L, self.shape.N, self.shape.H

    def run(self, module: nn.Module, x: Tensor, *states: Tensor) -> Any:
        """What is timed; the output comes first in its result."""
        return module(x, _as_given(states)) if states else module(x)


class StatesGiven(Call):
    """A piece of a longer sequence, beginning with the state that the piece before ended with."""

    states = True


class CellStep(StatesGiven):
    """One step of a cell, x (N, I)."""

    suffix = "Cell"
    results: tuple[str, ...] = ("h", "c")

    def input_size(self) -> tuple[int, ...]:
        """Of x."""
        return self.shape.N, self.shape.I

    def state_size(self) -> tuple[int, ...]:
        """Of each state."""
        return self.shape.N, self.shape.H


class CellLoop(CellStep):
    """A loop over the T steps of x."""

    results = Call.results

    def input_size(self) -> tuple[int, ...]:
        """Of x."""
        return Call.input_size(self)

    def run(self, module: nn.Module, x: Tensor, *states: Tensor) -> Any:
        """The hidden states of all steps, and the last state."""
        state, outputs = _as_given(states), []
        for step in x:
            state = module(step, state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs), state


class Unbatched(Call):
    """x (T, I)."""

    def input_size(self) -> tuple[int, ...]:
        """Of x."""
        return self.shape.T, self.shape.I


class BatchFirst(Call):
    """x (N, T, I)."""

    def __init__(self, shape: Shape, modes: Iterable[str] = MODES) -> None:
        super().__init__(shape, modes, batch_first=True)

    def input_size(self) -> tuple[int, ...]:
        """Of x."""
        return self.shape.N, self.shape.T, self.shape.I


class Ragged(Call):
    """Rows of 1/4 to all of T steps. torch.nn packs and pads again; statewise takes ``lengths``."""

    def __init__(self, shape: Shape, modes: Iterable[str] = MODES) -> None:
        super().__init__(shape, modes)
        self.lengths = torch.linspace(shape.T, (shape.T + 3) // 4, shape.N).long()  # (N,)

    def run(self, module: nn.Module, x: Tensor, *states: Tensor) -> Any:
        """By the best way that each side has."""
        if isinstance(module, RecurrentLayer):
            return module(x, lengths=self.lengths)
        output, state = module(pack_padded_sequence(x, self.lengths))
        return pad_packed_sequence(output, total_length=self.shape.T)[0], state


class Packed(Ragged):
    """The same rows, packed before the call and packed after it: x (S, I)."""

    def __init__(self, shape: Shape, modes: Iterable[str] = MODES) -> None:
        super().__init__(shape, modes)
        self.batch_sizes = pack_padded_sequence(torch.empty(shape.T, shape.N, 1), self.lengths).batch_sizes

    def input_size(self) -> tuple[int, ...]:
        """Of x."""
        return int(self.lengths.sum()), self.shape.I

    def run(self, module: nn.Module, x: Tensor, *states: Tensor) -> Any:
        """The layer alone."""
        return module(PackedSequence(x, self.batch_sizes))


class Autocast(Call):
    """Under autocast to bfloat16."""

    def run(self, module: nn.Module, x: Tensor, *states: Tensor) -> Any:
        """The layer alone; backward is run outside, as torch recommends."""
        with torch.autocast("cpu", torch.bfloat16):
            return module(x)


class BFloat16(Call):
    """Weights and input in bfloat16."""

    dtype = torch.bfloat16


_MIDDLE = Shape(50, 32, 64, 64, 1)
# 18 calls and modes, with three cells 54 cases.
EVERYDAY: dict[str, Call] = {
    "cell, one row": CellStep(Shape(1, 1, 8, 8, 1)),
    "cell": CellStep(Shape(1, 32, 64, 64, 1)),
    "loop over a cell": CellLoop(_MIDDLE, [TRAINING]),
    "both directions": Call(_MIDDLE, [TRAINING], bidirectional=True),
    "dropout between layers": Call(Shape(50, 32, 64, 64, 2), [TRAINING], dropout=0.5),
    "PackedSequence": Packed(_MIDDLE, [TRAINING]),
    "lengths=": Ragged(_MIDDLE, [TRAINING]),
    "states given": StatesGiven(_MIDDLE, [TRAINING]),
    "unbatched": Unbatched(Shape(50, 1, 64, 64, 1)),
    "batch_first": BatchFirst(_MIDDLE, [TRAINING]),
    "H = 1024": Call(Shape(20, 32, 256, 1024, 1)),
    "autocast to bfloat16": Autocast(Shape(32, 64, 256, 256, 1)),
    "bfloat16 weights": BFloat16(Shape(100, 32, 64, 128, 1), [TRAINING]),
}


def everyday(cells: Iterable[str], modes: Iterable[str], threads: Iterable[int]) -> Iterator[Case]:
    """Every everyday call with every cell, in the modes that are among ``modes``."""
    modes = tuple(modes)
    for cell, (name, call), count in product(cells, EVERYDAY.items(), threads):
        for mode in (mode for mode in call.modes if mode in modes):
            yield Case(cell, call.shape, mode, count, name)


def call_of(case: Case) -> Call:
    """How the case is called."""
    return EVERYDAY[case.call] if case.call else Call(case.shape)


def state_names(cell: str) -> tuple[str, ...]:
    """Of the states that ``cell`` begins with."""
    return ("h_0", "c_0") if cell == "LSTM" else ("h_0",)


def tensors_in(result: Any) -> list[Tensor]:
    """The output and the final states, out of whatever ``Call.run`` returned."""
    if isinstance(result, PackedSequence):
        return [result.data]
    return [result] if isinstance(result, Tensor) else [t for part in result for t in tensors_in(part)]


def _as_given(states: tuple[Tensor, ...]) -> Any:
    """The states as modules take them."""
    return states if len(states) > 1 else states[0]
