"""The sides of a case: what each library computes, from the same input with the same weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

OURS = ("statewise", "statewise, frozen")
STEP = 1e-3
Tensors = Sequence[Tensor]


class Side(Protocol):
    """One way to compute a problem; a call of it is what is timed."""

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """Take new inputs, the gradients of the outputs, and by what to change the weights, as an optimizer would."""

    def __call__(self) -> object:
        """Compute: forward, or forward and backward from the first output. A carried state goes on from before."""

    def results(self) -> dict[str, Tensor]:
        """Call, with a gradient into every output, and tell all that was computed."""


class ModuleSide:
    """A module, or a function of the same inputs, with the parameters whose gradients count."""

    def __init__(
        self,
        call: Callable[..., Any],
        parameters: Mapping[str, Tensor],
        names: Sequence[str] = ("output", "h_n", "c_n"),
        *,
        inputs: Sequence[str] = ("x", "h_0", "c_0"),
        trains: bool,
    ) -> None:
        self._call, self._trains = call, trains
        self._names, self._input_names = names, inputs
        self.parameters = dict(parameters)
        self._dtype = next(iter(self.parameters.values())).dtype
        self.inputs: Tensors = ()
        self._incoming: Tensors = ()

    def feed(self, inputs: Tensors, incoming: Tensors, steps: Tensors) -> None:
        """See ``Side``. A side has its own copy of the inputs."""
        self.inputs = [t.to(self._dtype, copy=True).requires_grad_(self._trains) for t in inputs]
        self._incoming = incoming
        with torch.no_grad():
            for parameter, step in zip(self.parameters.values(), steps, strict=False):
                parameter.sub_(step, alpha=STEP)

    def __call__(self) -> None:
        """See ``Side``. Who times inference has turned gradients off for all sides."""
        if not self._trains:
            self._call(*self.inputs)
            return
        self._forget_gradients()
        output = self._call(*self.inputs)
        while not isinstance(output, Tensor):
            output = output[0]
        output.backward(self._incoming[0])

    def results(self) -> dict[str, Tensor]:
        """See ``Side``."""
        self._forget_gradients()
        outputs = tensors_in(self._call(*self.inputs))
        named = {name: output.detach() for name, output in zip(self._names, outputs, strict=False)}
        if not self._trains:
            return named
        pairs = list(zip(outputs, self._incoming, strict=False))
        torch.autograd.backward([o for o, _ in pairs], [g.to(o.dtype) for o, g in pairs])
        leaves = {**dict(zip(self._input_names, self.inputs, strict=False)), **self.parameters}
        gradients = {f"gradient of {name}": leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
        return named | gradients

    def _forget_gradients(self) -> None:
        for leaf in (*self.inputs, *self.parameters.values()):
            leaf.grad = None


class Carried:
    """A layer or cell whose state goes on from call to call: ``layer(x, state)`` gives the output and the state."""

    def __init__(self, layer: Callable[[Tensor, Any], Any], state: Any) -> None:
        self._layer, self._state = layer, state

    def __call__(self, x: Tensor) -> tuple[Tensor, Any]:
        output, self._state = self._layer(x, self._state)
        return output, self._state


@dataclass
class Problem:
    """All that is measured of one case."""

    sides: Mapping[str, Mapping[str, Side]]  # by library, then by way, of which the fastest is measured
    exact: Mapping[str, Side] = field(default_factory=dict)  # by library: what it has to equal, mostly in float64
    draw: Callable[[], tuple[Tensors, Tensors, Tensors]] = lambda: ((), (), ())  # what sides are fed with
    unit: Sequence[str] = OURS  # sides, the fastest of which has the ratio 1
    reference: str = "torch.nn"  # others may be off by twice what it is,
    floor: float = 3e-6  # or by this share of the largest value
    rounds: int = 1  # in which they are compared: several where a state is carried
    per: int = 1  # units of work in a call: what is told is the time of one

    def feed(self, sides: Sequence[Side], *, step: bool) -> None:
        """The same fresh input for all."""
        inputs, incoming, steps = self.draw()
        for side in sides:
            side.feed(inputs, incoming, steps if step else ())


class Normal:
    """Draws inputs of given sizes by their names, and what goes with the outputs and weights of ``side``."""

    def __init__(self, sizes: Mapping[str, Sequence[int]], side: ModuleSide, *, seed: int = 0) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._dtype = next(iter(side.parameters.values())).dtype
        self._inputs, self._weights = list(sizes.values()), [p.shape for p in side.parameters.values()]
        side.feed([self._normal(size) for size in self._inputs], (), ())
        with torch.no_grad():
            self._outputs = [(t.shape, t.dtype) for t in tensors_in(side._call(*side.inputs))]

    def __call__(self) -> tuple[Tensors, Tensors, Tensors]:
        incoming = [self._normal(shape).to(dtype) for shape, dtype in self._outputs]
        inputs, steps = ([self._normal(size) for size in sizes] for sizes in (self._inputs, self._weights))
        return inputs, incoming, steps

    def _normal(self, size: Sequence[int]) -> Tensor:
        return torch.randn(*size, generator=self._generator).to(self._dtype)


def modules_problem(
    modules: Mapping[str, nn.Module],
    run: Callable[..., Any],
    sizes: Mapping[str, Sequence[int]],
    names: Sequence[str],
    *,
    trains: bool,
) -> Problem:
    """The same module of several libraries, called by ``run(module, *inputs)`` with inputs of ``sizes``."""
    *_, peer = modules.values()
    for module in modules.values():
        module.load_state_dict(peer.state_dict())

    def side(module: nn.Module) -> ModuleSide:
        parameters = dict(module.named_parameters())
        return ModuleSide(lambda *inputs: run(module, *inputs), parameters, names, inputs=list(sizes), trains=trains)

    sides = {name: side(module) for name, module in modules.items()}
    exact = side(copy.deepcopy(peer).double())
    draw = Normal(sizes, sides[next(reversed(sides))])
    return Problem({name: {"": one} for name, one in sides.items()}, dict.fromkeys(sides, exact), draw)


def tensors_in(result: Any) -> list[Tensor]:
    """The output and the final states, out of whatever a module returned."""
    if isinstance(result, PackedSequence):
        return [result.data]
    return [result] if isinstance(result, Tensor) else [t for part in result for t in tensors_in(part)]
