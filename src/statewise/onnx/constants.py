"""What an ONNX graph computes of constants and of sizes alone: weights that are cut and joined, shapes of states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .axes import Dim, UnreadError, atom
from .graph import Array
from .package import helper
from .tensors import MOST


@dataclass(frozen=True)
class Dims:
    """Whole numbers of which some are sizes that the file leaves open."""

    dims: tuple[Dim, ...]
    scalar: bool = False


@dataclass(frozen=True)
class Spread:
    """An array that is repeated along axes whose sizes the file leaves open, and has one place there."""

    array: Array


Constant = Array | Dims | Spread


def whole(value: Any) -> tuple[int, ...]:
    """Whole numbers that are known, as of axes."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or value.ndim > 1:
        raise UnreadError("numbers that the file doesn't tell")
    return tuple(int(n) for n in value.reshape(-1))


def dims_of(value: Any) -> tuple[Dim, ...]:
    """The numbers of a shape."""
    return value.dims if isinstance(value, Dims) else whole(value)


def axes_of(given: Sequence[Any], attributes: Mapping[str, Any], at: int = 1) -> tuple[int, ...] | None:
    """Axes, an attribute in older files and an input in newer ones."""
    if "axes" in attributes:
        return tuple(attributes["axes"])
    return whole(given[at]) if len(given) > at and given[at] is not None else None


def checked(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that memory may be taken for."""
    if any(n < 0 for n in shape) or prod(shape) > MOST:
        raise UnreadError(f"a constant of size {list(shape)}")
    return tuple(shape)


def cuts(given: Sequence[Any], attributes: Mapping[str, Any]) -> list[tuple[int, int, int, int]]:
    """What Slice cuts: axis, start, stop and step of each; attributes in older files and inputs in newer ones."""
    if "starts" in attributes:
        starts, stops, more = attributes["starts"], attributes["ends"], [attributes.get("axes"), None]
    else:
        starts, stops = whole(given[1]), whole(given[2])
        more = [None if each is None else whole(each) for each in (*given[3:], None, None)]
    axes = range(len(starts)) if more[0] is None else more[0]
    steps = [1] * len(starts) if more[1] is None else more[1]
    return list(zip(axes, starts, stops, steps, strict=True))


def _sliced(array: Array, given: Sequence[Any], attributes: Mapping[str, Any]) -> Array:
    at = [slice(None)] * array.ndim
    for axis, start, stop, step in cuts(given, attributes):
        if not -array.ndim <= axis < array.ndim or not step:
            raise UnreadError("a cut along no axis")
        # Backwards, what lies before the first place is the end.
        at[axis] = slice(start, None if step < 0 and stop < -array.shape[axis] else stop, step)
    return array[tuple(at)]


def weights_of(value: Any) -> Array:
    if not isinstance(value, np.ndarray):
        raise UnreadError("whose weights the file doesn't tell")
    return value


def _plain(value: Any) -> Any:
    return value.array if isinstance(value, Spread) else value


def _open(count: int) -> Dims:
    """Sizes of which nothing is known."""
    return Dims(tuple((atom("?", None),) for _ in range(count)))


def _reshape(given: Sequence[Any], _: Mapping[str, Any]) -> Constant:
    array, told = given[0], whole(given[1])
    if isinstance(array, Dims):
        return Dims(array.dims, not told)
    return np.reshape(array, [array.shape[k] if n == 0 else n for k, n in enumerate(told)])


def _expand(given: Sequence[Any], _: Mapping[str, Any]) -> Constant:
    array, dims = _plain(given[0]), dims_of(given[1])
    shape = np.broadcast_shapes(array.shape, tuple(n if isinstance(n, int) else 1 for n in dims))
    found = np.broadcast_to(array, checked(shape))
    known = isinstance(given[0], np.ndarray) and all(isinstance(n, int) for n in dims)
    return found if known else Spread(found)


def _filled(given: Sequence[Any], attributes: Mapping[str, Any]) -> Constant:
    from .tensors import array_of

    told = attributes.get("value")
    value = np.zeros(1, np.float32) if told is None else array_of(told, None)
    return _expand([value.reshape(()), given[0]], {})


def _concat(given: Sequence[Any], attributes: Mapping[str, Any]) -> Constant:
    if any(isinstance(each, Dims) for each in given):
        return Dims(tuple(dim for each in given for dim in dims_of(each)))
    return np.concatenate(given, axis=attributes["axis"])


def _gather(given: Sequence[Any], attributes: Mapping[str, Any]) -> Constant:
    if isinstance(given[0], Dims):
        found = tuple(given[0].dims[k] for k in whole(given[1]))
        return Dims(found, given[1].ndim == 0)
    axis = attributes.get("axis", 0)
    return np.asarray(np.take(given[0], given[1], axis=axis))


def _slice(given: Sequence[Any], attributes: Mapping[str, Any]) -> Constant:
    if isinstance(given[0], Dims):
        places = _sliced(np.arange(len(given[0].dims)), given, attributes)
        return Dims(tuple(given[0].dims[k] for k in places))
    return _sliced(given[0], given, attributes)


def _unsqueeze(given: Sequence[Any], attributes: Mapping[str, Any]) -> Constant:
    if isinstance(given[0], Dims):
        return Dims(given[0].dims)
    return np.asarray(np.expand_dims(given[0], axes_of(given, attributes) or ()))


def _squeeze(given: Sequence[Any], attributes: Mapping[str, Any]) -> Constant:
    if isinstance(given[0], Dims):
        return Dims(given[0].dims, len(given[0].dims) == 1)
    return np.asarray(np.squeeze(given[0], axes_of(given, attributes)))


def _cast(given: Sequence[Any], attributes: Mapping[str, Any]) -> Constant:
    if not isinstance(given[0], np.ndarray):
        return given[0]  # type: ignore[no-any-return]
    return np.asarray(given[0]).astype(helper.tensor_dtype_to_np_dtype(attributes["to"]))


def _product(given: Sequence[Any], _: Mapping[str, Any]) -> Constant:
    if all(isinstance(each, np.ndarray) for each in given):
        return np.asarray(given[0] * given[1])
    a, b = (dims_of(each) for each in given)
    if len(a) != 1 or len(b) != 1 or not all(isinstance(each[0], tuple) or each[0] == 1 for each in (a, b)):
        return _open(max(len(a), len(b)))
    return Dims((tuple(each for one in (*a, *b) if isinstance(one, tuple) for each in one),))


def split(given: Sequence[Any], attributes: Mapping[str, Any], count: int) -> list[Constant]:
    """Split, into so many."""
    array, axis = given[0], attributes.get("axis", 0)
    sizes = attributes.get("split") or (whole(given[1]) if len(given) > 1 and given[1] is not None else None)
    if isinstance(array, Dims):
        raise UnreadError("of sizes")
    plain = _plain(array)
    parts = np.split(plain, np.cumsum(sizes)[:-1] if sizes is not None else count, axis=axis)
    return [Spread(part) if isinstance(array, Spread) else part for part in parts]


def folded(kind: str, given: Sequence[Any], attributes: Mapping[str, Any]) -> Constant:
    """What a node of this kind gives of constants."""
    if kind not in FOLDED:
        raise UnreadError("of constants alone")
    if any(isinstance(each, Spread) for each in given) and kind != "Expand":
        if kind not in _OF_SPREAD:
            raise UnreadError("of what is as long as the file leaves open")
        found = FOLDED[kind]([_plain(each) for each in given], attributes)
        return Spread(found) if isinstance(found, np.ndarray) else found
    return FOLDED[kind](given, attributes)


_OF_SPREAD = ("Identity", "Cast", "Transpose", "Concat", "Gather", "Slice", "Unsqueeze", "Squeeze")


def _binary(function: Callable[[Array, Array], Array]) -> Callable[[Sequence[Any], Mapping[str, Any]], Constant]:
    def apply(given: Sequence[Any], _: Mapping[str, Any]) -> Constant:
        if any(isinstance(each, Dims) for each in given):
            return _open(max(len(dims_of(each)) for each in given))
        checked(np.broadcast_shapes(given[0].shape, given[1].shape))
        return np.asarray(function(given[0], given[1]))

    return apply


FOLDED: dict[str, Callable[[Sequence[Any], Mapping[str, Any]], Constant]] = {
    "Identity": lambda given, _: given[0],
    "Cast": _cast,
    "Reshape": _reshape,
    "Expand": _expand,
    "ConstantOfShape": _filled,
    "Transpose": lambda given, told: np.transpose(given[0], told.get("perm")),
    "Concat": _concat,
    "Gather": _gather,
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Mul": _product,
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Div": _binary(np.divide),
    "Neg": lambda given, _: np.negative(given[0]),
    "Sqrt": lambda given, _: np.sqrt(given[0]),
}
"""The nodes that may read constants alone."""
