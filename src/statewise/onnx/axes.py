"""What a tensor of an ONNX graph is among the runtime's values: which axes hold time, rows and features.

The runtime has (T, N, F) alone. An ONNX graph turns, cuts and joins axes as it likes; here they are followed by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import prod
from typing import NamedTuple

_NUMBERS = count()


class UnreadError(ValueError):
    """What can't be read."""


class Atom(NamedTuple):
    """A part of an axis: an axis is a product of such, the last of which runs fastest."""

    label: str
    """T, N, or F of features."""
    size: int | None
    """None where the file leaves it open."""
    number: int


def atom(label: str, size: int | None) -> Atom:
    """A new one."""
    return Atom(label, size, next(_NUMBERS))


Axis = tuple[Atom, ...]
Dim = int | Axis
"""A number of a shape: known, or as many as some atoms have."""


@dataclass(frozen=True)
class Tensor:
    """A tensor as a value of the program, with its axes."""

    name: str
    """Of the value; of a state the name of its op."""
    axes: tuple[Axis, ...]
    features: Axis
    """The atoms that the value's features are made of, in their order there."""
    kind: str = "values"
    """``symbols``; ``summary``, without time; ``input``, not looked at yet; ``lengths``; ``state``, of a layer, whose
    features are D and H."""
    letter: int = 0
    """Of a state: which."""
    rows: tuple[int, int] | None = None
    """Of a state or an input: so many of the first axis, from the first number to the second."""

    @property
    def rank(self) -> int:
        """How many axes there are."""
        return len(self.axes)

    @property
    def width(self) -> int:
        """F."""
        return prod(each.size or 0 for each in self.features)

    def axis(self, k: int) -> int:
        """An axis's number from 0 on."""
        if not -self.rank <= k < self.rank:
            raise UnreadError(f"an axis {k} of {self.rank}")
        return k % self.rank

    def turned(self, order: Sequence[int]) -> Tensor:
        """With its axes in another order."""
        if sorted(order) != list(range(self.rank)):
            raise UnreadError(f"axes in the order {list(order)}")
        return replace(self, axes=tuple(self.axes[k] for k in order))

    def widened(self, places: Sequence[int]) -> Tensor:
        """With axes of one at ``places`` of the result."""
        rank = self.rank + len(places)
        at = {k % rank for k in places if -rank <= k < rank}
        if len(at) < len(places):
            raise UnreadError(f"new axes {list(places)}")
        left = iter(self.axes)
        return replace(self, axes=tuple(() if k in at else next(left) for k in range(rank)))

    def squeezed(self, places: Sequence[int] | None) -> Tensor:
        """Without the axes at ``places``, which have one place, or without all that have."""
        at = (
            {self.axis(k) for k in places}
            if places is not None
            else {k for k, axis in enumerate(self.axes) if is_one(axis)}
        )
        for k in at:
            held = self.kind != "input" and any(each.label in "TN" for each in self.axes[k])
            if not is_one(self.axes[k]) or held:
                raise UnreadError("an axis that is squeezed though it has more than one place")
        return replace(self, axes=tuple(axis for k, axis in enumerate(self.axes) if k not in at))

    def reshaped(self, dims: Sequence[Dim], keep: bool = True) -> Tensor:
        """With axes of these sizes; ``keep``: 0 stands for the axis that was there."""
        told: list[Dim] = [self.axes[k] if keep and dim == 0 and k < self.rank else dim for k, dim in enumerate(dims)]
        atoms, features = [each for axis in self.axes for each in axis], self.features
        # A size that the file computes in a way that isn't followed is what is left, as -1 is.
        told = [-1 if isinstance(dim, tuple) and [each.label for each in dim] == ["?"] else dim for dim in told]
        open_at = [k for k, dim in enumerate(told) if dim == -1]
        if len(open_at) > 1:
            raise UnreadError("a shape with two open sizes")
        cut = open_at[0] if open_at else len(told)
        axes: list[Axis] = []
        for dim in told[:cut]:
            found, atoms, features = _taken(dim, atoms, features, 0)
            axes.append(found)
        back: list[Axis] = []
        for dim in reversed(told[cut + 1 :]):
            found, atoms, features = _taken(dim, atoms, features, -1)
            back.append(found)
        if open_at:
            axes.append(tuple(atoms))
        elif any(each.size != 1 for each in atoms):
            raise UnreadError("a shape of another size")
        else:
            axes[-1:] = [(*axes[-1], *atoms)] if axes else []
        return replace(self, axes=(*axes, *reversed(back)), features=features)

    def place(self, label: str) -> int | None:
        """The axis that is all of time, or all of the rows; None where there is none."""
        found = [k for k, axis in enumerate(self.axes) if [each.label for each in axis] == [label]]
        return found[0] if len(found) == 1 else None

    def needs_features_last(self) -> None:
        """UnreadError unless the last axis holds the features, as the value has them."""
        if not self.axes or _without_ones(self.axes[-1]) != _without_ones(self.features):
            raise UnreadError("features that aren't on the last axis")


def is_one(axis: Axis) -> bool:
    """Whether there is one place on it."""
    return all(each.size == 1 for each in axis)


def _without_ones(axis: Axis) -> Axis:
    return tuple(each for each in axis if each.size != 1)


def _taken(dim: Dim, atoms: list[Atom], features: Axis, end: int) -> tuple[Axis, list[Atom], Axis]:
    """An axis of ``dim`` off one end of ``atoms``: it, what is left, and the features, one of them cut maybe."""
    atoms, found, size = list(atoms), list[Atom](), 1
    if isinstance(dim, tuple):
        for _ in dim:
            found.append(atoms.pop(end) if atoms else atom("", 0))
        found = found[::-1] if end else found
        if tuple(found) != dim:
            raise UnreadError("a shape that mixes axes")
        return tuple(found), atoms, features
    if dim < 0:
        raise UnreadError(f"a size {dim}")
    while size < dim or (dim == 1 and not found and atoms and atoms[end].size == 1):
        if not atoms or atoms[end].size is None:
            raise UnreadError("a shape of another size")
        each = atoms.pop(end)
        have, left = each.size or 0, dim // size
        if have > left or (have and left % have):
            if each.label != "F" or not left or have % left or size * left != dim:
                raise UnreadError("a shape that mixes axes")
            part, rest = atom("F", left), atom("F", have // left)
            halves = (part, rest) if end == 0 else (rest, part)
            features = tuple(new for old in features for new in (halves if old == each else (old,)))
            atoms.insert(len(atoms) if end else 0, rest)
            each = part
        found.append(each)
        size *= each.size or 0
        if not size:
            break
    if size != dim:
        raise UnreadError("a shape of another size")
    return tuple(found[::-1] if end else found), atoms, features
