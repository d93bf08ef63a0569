"""What a program is made of: ops over time, each with one method that computes, ``feed``.

A value is (T, N, F) or, of what sums up the steps by now, (N, F); numbers of symbols are (T, N). A state is a tuple of
arrays whose rows are on the last axis but one, so that rows of any of them are taken, put and counted alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import cells
from ..kernels.cpu._kernels import ArrayStack, Stored
from ..kernels.served import as_kernel, cell_reason
from ..stack import Stack
from .file import LARGEST, Arrays, LoadError

Array = NDArray[Any]
State = tuple[Array, ...]
NONE: State = ()
KEPT = {"float32": Stored.NUMBERS, "bfloat16": Stored.BFLOAT16, "int8": Stored.INT8}  # how weights may be packed
NEVER = -1e4  # the score of a move that may not be
MOST_AROUND = 2**24  # numbers that a convolution reads at once beside a step, or puts before the first


class Form(NamedTuple):
    """What is known of a value before there is one."""

    width: int
    """F; of symbols how many there are."""
    kind: str = "values"
    """Or ``symbols``; or ``summary``, (N, F)."""


class Told:
    """What a file says of one op: options and tensors, each checked when it is asked for."""

    def __init__(self, entry: Mapping[str, Any], arrays: Arrays, used: set[str], threads: int) -> None:
        self.entry, self.arrays, self.used, self.threads = entry, arrays, used, threads
        self.name = str(entry.get("name", entry["op"]))
        floats = {array.dtype for array in arrays.values() if array.dtype.kind == "f"}
        self.dtype = np.dtype(np.float64 if floats == {np.dtype(np.float64)} else np.float32)

    def refuse(self, expected: str, got: object) -> LoadError:
        """What to raise."""
        return LoadError(f"{self.name}: expected {expected}, got {' '.join(repr(got).split())[:80]}")

    def count(self, name: str, default: int | None = None, least: int = 1) -> int:
        """A whole number of ``least`` or more."""
        value = self.entry.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
            raise self.refuse(f"{name} to be a whole number from {least} on", value)
        return value

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        value = self.entry.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            raise self.refuse(f"{name} to be a number", value)
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self.entry.get(name, default)
        if not isinstance(value, bool):
            raise self.refuse(f"{name} to be true or false", value)
        return value

    def word(self, name: str, among: Sequence[str] = ()) -> str:
        """A text, one of ``among`` where there are any."""
        value = self.entry.get(name)
        if not isinstance(value, str) or (among and value not in among):
            raise self.refuse(f"{name} to be {', '.join(among) or 'a name'}", value)
        return value

    def has(self, name: str) -> bool:
        """Whether there is such a tensor."""
        return f"{self.name}.{name}" in self.arrays

    def array(self, name: str, *shape: int | None, exact: bool = False) -> Array:
        """A tensor of this shape, None for any; in the program's dtype, or else (``exact``) in float64."""
        full = f"{self.name}.{name}"
        if full not in self.arrays:
            raise LoadError(f"there is no tensor {full}")
        array = self.arrays[full]
        if len(array.shape) != len(shape) or any(s not in (n, None) for n, s in zip(array.shape, shape, strict=True)):
            raise LoadError(f"expected {full} of size {shape}, got {array.shape}")
        self.used.add(full)
        found = np.require(array, np.float64 if exact else self.dtype, ("C", "A", "E"))  # also of a mapped file
        unit = f"{full}.scale"  # in which the rows of a matrix in eight bits are counted
        if array.dtype != np.int8 or unit not in self.arrays:
            return found
        scale = self.arrays[unit]
        if scale.dtype != np.float32 or scale.shape != array.shape[:1]:
            raise LoadError(f"expected {unit} of size {array.shape[:1]} in float32, got {scale.shape}")
        self.used.add(unit)
        with np.errstate(over="ignore"):  # what a damaged file made huge
            return found * scale.reshape(-1, *[1] * (array.ndim - 1))


class Op:
    """One op. ``__init__`` reads what a file says of it, and the forms of what it is given."""

    NAME: ClassVar[str]
    form: Form
    """Of its result."""
    streams = True
    """Whether it can go on from where it was."""

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        raise NotImplementedError

    def start(self, rows: int) -> State:
        """The first state."""
        return NONE

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        """The result for the steps that are given, of which each row's first ``lengths`` count, and the state after.

        ``state`` is what the steps before gave; None: there were none, and no state is wanted.
        """
        raise NotImplementedError

    def step(self, given: Sequence[Array], state: State) -> tuple[Array, State]:
        """The same for a single step: what is given and the result are (N, F), or (N,) of symbols."""
        result, state = self.feed([value[None] for value in given], state, None)
        return (result if self.form.kind == "summary" else result[0]), state

    def left(self, lengths: Any) -> Any:
        """How many steps the result has of rows that have so many."""
        return lengths


class _Local(Op):
    """An op that looks at one step at a time, or at a summary."""

    def apply(self, *given: Array) -> Array:
        raise NotImplementedError

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        return self.apply(*given), NONE

    def step(self, given: Sequence[Array], state: State) -> tuple[Array, State]:
        return self.apply(*given), NONE


class Embedding(_Local):
    """A vector for each symbol."""

    NAME = "embedding"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (form,) = given
        if form.kind != "symbols":
            raise told.refuse("numbers of symbols", form.kind)
        self.weight = told.array("weight", form.width, None)
        self.form = Form(self.weight.shape[1])

    def apply(self, *given: Array) -> Array:
        return np.asarray(self.weight.take(given[0], axis=0))


class Linear(_Local):
    """x W^T + b."""

    NAME = "linear"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (form,) = _values(told, given)
        weight = told.array("weight", None, form.width)
        self.weight = np.ascontiguousarray(weight.T)
        self.bias = told.array("bias", len(weight)) if told.has("bias") else None
        self.form = form._replace(width=len(weight))

    def apply(self, *given: Array) -> Array:
        x = given[0]
        y = x @ self.weight if x.ndim == 2 else (x.reshape(-1, x.shape[-1]) @ self.weight).reshape(*x.shape[:-1], -1)
        if self.bias is not None:
            y += self.bias
        return np.asarray(y)


class Norm(_Local):
    """A layer norm over the features."""

    NAME = "norm"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (self.form,) = _values(told, given)
        self.epsilon = told.number("epsilon", 1e-5)
        self.weight, self.bias = (
            told.array(name, self.form.width) if told.has(name) else None for name in ("weight", "bias")
        )

    def apply(self, *given: Array) -> Array:
        x = given[0]
        centred = x - x.mean(-1, keepdims=True)
        y: Array = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + x.dtype.type(self.epsilon))
        y = y if self.weight is None else y * self.weight
        return y if self.bias is None else y + self.bias


class Sum(_Local):
    """The sum of what is given."""

    NAME = "add"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        self.form = _values(told, given, None)[0]
        if len(set(given)) > 1:
            raise told.refuse("values of one width", list(given))

    def apply(self, *given: Array) -> Array:
        return np.asarray(sum(given[1:], start=given[0]))


class Joined(_Local):
    """All features of what is given, one after the other."""

    NAME = "concat"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        kinds = {form.kind for form in _values(told, given, None)}
        if len(kinds) > 1:
            raise told.refuse("steps or summaries", sorted(kinds))
        self.form = given[0]._replace(width=sum(form.width for form in given))

    def apply(self, *given: Array) -> Array:
        return np.concatenate(given, axis=-1)


def _sigmoid(x: Array) -> Array:
    half = x.dtype.type(0.5)
    return np.asarray(half * np.tanh(half * x) + half)


def _softmax(x: Array) -> Array:
    raised = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def _log_softmax(x: Array) -> Array:
    x = x - x.max(-1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(-1, keepdims=True)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
}


class Activation(_Local):
    """A function of each number or, softmax, of the features of each step."""

    NAME = "activation"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (self.form,) = _values(told, given)
        self.function = ACTIVATIONS[told.word("function", tuple(ACTIVATIONS))]

    def apply(self, *given: Array) -> Array:
        return self.function(given[0])


class Recurrent(Op):
    """A stack of recurrent layers of one cell, by the kernels, which have its weights packed, maybe in fewer bits.

    Of a single layer in one direction without a projection the states are (N, .), else (L*D, N, .).
    """

    NAME = "recurrent"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (form,) = _values(told, given)
        if form.kind == "summary":
            raise told.refuse("steps to read", "a summary of them")
        self.name, self.threads, self.dtype = told.name, told.threads, told.dtype
        layers = told.count("num_layers", 1)
        if layers > len(told.arrays):
            raise told.refuse("as many layers as there are weights", layers)
        self.stack = self._described(told, form.width, layers)
        reason = cell_reason(self.stack.cell)
        if reason is not None:
            raise LoadError(f"{told.name}: {reason}")
        places = [(f"_l{k}{way}", k) for k in range(layers) for way in ("", "_reverse")[: self.stack.directions]]
        shapes = [(w.name + way, self.stack.weight_shape(w, k)) for way, k in places for w in self.stack.weights]
        self.weights: Callable[[], list[Array]] = lambda: [told.array(name, *shape) for name, shape in shapes]
        self.kept = KEPT[told.word("dtype", tuple(KEPT))] if "dtype" in told.entry else Stored.NUMBERS
        if self.kept is not Stored.NUMBERS and told.dtype == np.float64:
            raise told.refuse("float32 weights, to keep them in fewer bits", "float64")
        self.initial = [
            np.stack([told.array(f"initial_{letter}{suffix}", width) for suffix, _ in places])[:, None]  # (L*D, 1, .)
            for letter, width in zip(self.stack.cell.states, self.stack.state_sizes, strict=True)
            if told.flag("initial")
        ]
        self.streams = not self.stack.bidirectional
        self.single = self.stack.depth == 1 and not self.stack.proj_size
        self.letters = len(self.stack.cell.states)
        self.form = Form(self.stack.width)
        self.kernel = self._packed()

    @staticmethod
    def _described(told: Told, width: int, layers: int) -> Stack:
        try:
            cell = cells.by_name(told.word("cell"))
        except KeyError as error:
            raise LoadError(f"{told.name}: {error.args[0]}") from None
        zoneout, heads = told.entry.get("zoneout", []), told.count("num_heads", 1)
        if not isinstance(zoneout, list) or len(zoneout) not in (0, len(cell.states)):
            raise told.refuse("zoneout of each state", zoneout)
        if not all(isinstance(p, (int, float)) and 0 <= p <= 1 for p in zoneout):
            raise told.refuse("zoneout of each state", zoneout)
        h, p = told.count("hidden_size"), told.count("proj_size", 0, least=0)
        if heads > 1 and (not cell.heads or h % heads or ("x" in cell.heads and width % heads) or layers > 1):
            raise told.refuse("heads that divide the widths", heads)
        return Stack(
            cell,
            width,
            h,
            layers,
            told.flag("bidirectional"),
            told.flag("bias", True),
            p,
            num_heads=heads,
            zoneout=tuple(map(float, zoneout)),
            clip=told.number("clip", 0.0),
        )

    def _packed(self) -> ArrayStack:
        """For the instruction set in use."""
        stack = as_kernel(self.stack)
        assert stack is not None
        try:
            return ArrayStack(stack, self.weights(), self.threads, self.kept)
        except ValueError as error:
            raise LoadError(f"{self.name}: {error}") from None

    def start(self, rows: int) -> State:
        sizes, depth = self.stack.state_sizes, () if self.single else (self.stack.depth,)
        if self.initial:
            every = [np.repeat(first, rows, axis=1) for first in self.initial]
            return tuple(first[0] for first in every) if self.single else tuple(every)
        return tuple([np.zeros((*depth, rows, size), self.dtype) for size in sizes])

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        x = given[0]
        if state is None and self.initial:
            state = self.start(x.shape[1])
        if self.single and state is not None:
            state = tuple([each[None] for each in state])
        result, *final = self._run(x, state, lengths)
        return result, tuple([each[0] for each in final] if self.single else final)

    def step(self, given: Sequence[Array], state: State) -> tuple[Array, State]:
        if self.single:
            found = self.kernel(given[0], state if self.letters > 1 else state[0])
            found = self._run(given[0], state, None) if found is None else found
            return found[0], found
        result, *final = self._run(given[0][None], state, None)
        return result[0], tuple(final)

    def _run(self, x: Array, state: State | None, lengths: Any) -> tuple[Array, ...]:
        hx = state if state is None or self.letters > 1 else state[0]
        found: tuple[Array, ...] | None = self.kernel(x, hx, lengths)
        if found is None:
            if not self.kernel.is_current:
                self.kernel = self._packed()
                return self._run(x, state, lengths)
            shapes = None if state is None else [each.shape for each in state]
            raise ValueError(f"{self.name}: the state doesn't fit: x is {x.dtype} {x.shape}, the states are {shapes}")
        return found


class Last(Op):
    """What the last step gives; of a layer in two directions the backward one's first step."""

    NAME = "last"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (form,) = _steps(told, given)
        self.both, self.dtype = told.flag("bidirectional"), told.dtype
        self.form, self.streams = Form(form.width, "summary"), not self.both

    def start(self, rows: int) -> State:
        return (np.zeros((rows, self.form.width), self.dtype),)

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        x = given[0]
        _check_rows(x, state)
        before = np.zeros(x.shape[1:], x.dtype) if state is None else state[0]
        if lengths is None:
            last = x[-1] if len(x) else before
        else:
            last = np.where(lengths[:, None] > 0, x[lengths - 1, np.arange(len(lengths))] if len(x) else 0, before)
        if self.both and len(x):
            half = self.form.width // 2
            first = x[0] if lengths is None else np.where(lengths[:, None] > 0, x[0], before)
            last = np.concatenate([last[:, :half], first[:, half:]], axis=1)
        return last, (last,)

    def step(self, given: Sequence[Array], state: State) -> tuple[Array, State]:
        _check_rows(given[0][None], state)
        return given[0], (given[0],)


class Largest(Op):
    """The largest number of each feature by now."""

    NAME = "max"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (form,) = _steps(told, given)
        self.form, self.dtype = Form(form.width, "summary"), told.dtype

    def start(self, rows: int) -> State:
        return (np.full((rows, self.form.width), -np.inf, self.dtype),)

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        x = given[0]
        _check_rows(x, state)
        (largest,) = self.start(x.shape[1]) if state is None else state
        if lengths is not None:
            x = np.where(_there(x, lengths), x, x.dtype.type(-np.inf))
        largest = np.maximum(largest, x.max(0, initial=-np.inf))
        return largest, (largest,)


class Mean(Op):
    """The mean of the steps by now, weighted by exp of the first value that is given, if there are two: attention.

    Weights are scaled so that the largest is 1.
    """

    NAME = "mean"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        scores = _steps(told, given, None)[:-1]
        if len(scores) > 1 or any(form.width != 1 for form in scores):
            raise told.refuse("steps, and maybe a score of each", list(given))
        self.form, self.dtype = Form(given[-1].width, "summary"), told.dtype

    def start(self, rows: int) -> State:
        one = np.zeros((rows, 1), self.dtype)
        return np.zeros((rows, self.form.width), self.dtype), one, np.full_like(one, -np.inf)

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        x = given[-1]
        _check_rows(x, state)
        total, weight, largest = self.start(x.shape[1]) if state is None else state
        scores = given[0] if len(given) > 1 else np.zeros((*x.shape[:2], 1), x.dtype)
        if lengths is not None:
            scores = np.where(_there(x, lengths), scores, -np.inf)
            x = np.where(_there(x, lengths), x, 0)
        highest = np.maximum(largest, scores.max(0, initial=-np.inf))
        with np.errstate(invalid="ignore"):  # no step at all: the mean of nothing is NaN, as torch's
            kept = np.where(np.isneginf(largest), 0, np.exp(largest - highest))
            own = np.where(np.isneginf(scores), 0, np.exp(scores - highest))
            total, weight = total * kept + (own * x).sum(0), weight * kept + own.sum(0)
            return total / weight, (total, weight, highest)


class Scaled(Op):
    """(x - mean) / scale in float64; with ``carry`` a missing value, NaN, is the last one before it, or else 0."""

    NAME = "scale"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (self.form,), self.dtype = _steps(told, given), told.dtype
        self.name, self.carry = told.name, told.flag("carry")
        self.mean, self.scale = (told.array(name, self.form.width, exact=True) for name in ("mean", "scale"))
        if not (self.scale > 0).all():
            raise told.refuse("scales above 0", float(self.scale.min(initial=0)))

    def start(self, rows: int) -> State:
        return (np.zeros((rows, self.form.width), self.dtype),)

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        with np.errstate(over="ignore"):
            x = ((given[0] - self.mean) / self.scale).astype(self.dtype)
        _check_rows(x, state)
        (before,) = self.start(x.shape[1]) if state is None else state
        missing = np.isnan(x)
        if missing.any():
            if not self.carry:
                raise ValueError(f"{self.name}: values are missing (NaN), and the network has learnt without")
            known = np.where(missing, 0, np.arange(1, 1 + len(x))[:, None, None])  # the step that is repeated
            known = np.maximum.accumulate(known, axis=0)
            x = np.take_along_axis(np.concatenate([before[None], x]), known, axis=0)
        last = x[-1] if len(x) else before
        if lengths is not None and len(x):
            last = np.where(lengths[:, None] > 0, x[lengths - 1, np.arange(len(lengths))], before)
        return x, (last,)


class Segments(Op):
    """``size`` steps as one; the last one's are filled up with the last step that there is."""

    NAME = "segment"
    streams = False

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (form,) = _steps(told, given)
        self.size = told.count("size")
        self.form = Form(form.width * self.size)

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        x = given[0]
        steps, rows, width = x.shape
        count = -(-steps // self.size)
        ends = np.full(rows, steps) if lengths is None else lengths
        at = np.minimum(np.arange(count * self.size)[:, None], np.maximum(ends - 1, 0))  # (T', N)
        cut = x[at, np.arange(rows)].reshape(count, self.size, rows, width)
        return np.ascontiguousarray(cut.transpose(0, 2, 1, 3)).reshape(count, rows, self.size * width), NONE

    def left(self, lengths: Any) -> Any:
        return None if lengths is None else -(-lengths // self.size)


class Reversed(Op):
    """Each row's steps, the last one first."""

    NAME = "reverse"
    streams = False

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (self.form,) = _steps(told, given)

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        x = given[0]
        if lengths is None:
            return np.ascontiguousarray(x[::-1]), NONE
        at = np.arange(len(x))[:, None]  # (T, 1)
        return x[np.where(at < lengths, lengths - 1 - at, at), np.arange(x.shape[1])], NONE


class Magnitude(_Local):
    """sqrt(a^2 + b^2) of the first and the second half of the features, of each of ``positions``: of a spectrum."""

    NAME = "magnitude"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (form,) = _values(told, given)
        self.positions = told.count("positions", 1)
        if form.width % (2 * self.positions):
            raise told.refuse(f"a width that is a multiple of {2 * self.positions}", form.width)
        self.form = form._replace(width=form.width // 2)

    def apply(self, *given: Array) -> Array:
        x = given[0]
        halves = x.reshape(*x.shape[:-1], self.positions, 2, -1)
        return np.asarray(np.sqrt(np.square(halves).sum(-2)).reshape(*x.shape[:-1], -1))


class Convolution(Op):
    """A convolution over time; or, with ``positions``, over so many within each step, whose channels are side by side.

    ``left`` positions are put before the first, and ``right`` after the last: zeros, or, with ``reflect``, those that
    are there in a mirror. Over time it streams where what it gives for a step waits for no later one.
    """

    NAME = "convolution"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        self.positions = told.count("positions", 0, least=0)
        (form,) = _values(told, given) if self.positions else _steps(told, given)
        self.name, self.dtype, self.groups = told.name, told.dtype, told.count("groups", 1)
        self.stride, self.dilation = told.count("stride", 1), told.count("dilation", 1)
        self.before, self.after = told.count("left", 0, least=0), told.count("right", 0, least=0)
        self.reflect = told.flag("reflect")
        channels, odd = divmod(form.width, self.positions or 1)
        if odd or channels % self.groups:
            raise told.refuse(f"{self.positions or 1} positions of channels in {self.groups} groups", form.width)
        weight = told.array("weight", None, channels // self.groups, None)
        made, _, self.kernel = weight.shape
        if made % self.groups or not made or not self.kernel:
            raise told.refuse(f"results in {self.groups} groups, of one position or more", weight.shape)
        self.span = (self.kernel - 1) * self.dilation + 1
        if (around := max(self.before, self.after, self.span) * channels) > MOST_AROUND:
            raise told.refuse(f"no more than {MOST_AROUND} numbers around a position", around)
        self.channels, self.weight = channels, weight.reshape(self.groups, made // self.groups, -1)
        self.bias = told.array("bias", made) if told.has("bias") else None
        if self.positions:
            if self.reflect and max(self.before, self.after) >= self.positions:
                raise told.refuse("more positions than are reflected", self.positions)
            found = self._count(self.positions)
            if not found:
                raise told.refuse(f"{self.span} positions or more", self.positions + self.before + self.after)
            self.form = form._replace(width=found * made)
        else:
            self.form = form._replace(width=made)
            self.streams = (self.before, self.after, self.stride) == (self.span - 1, 0, 1) and not self.reflect

    def _count(self, positions: int) -> int:
        """How many there are of so many."""
        return max(0, (positions + self.before + self.after - self.span) // self.stride + 1) if positions else 0

    def start(self, rows: int) -> State:
        return () if self.positions or not self.before else (np.zeros((self.before, rows, self.channels), self.dtype),)

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        x = given[0]
        if self.positions:
            return self._within(x), NONE
        _check_rows(x, state or None)
        steps, rows = x.shape[:2]
        if self.reflect:
            ends = np.full(rows, steps) if lengths is None else lengths
            if steps and ends.min(initial=steps) <= max(self.before, self.after):
                raise ValueError(f"{self.name}: expected more than {max(self.before, self.after)} steps to reflect")
            around = np.stack([self._mirrored(end, steps) for end in ends.tolist()], axis=1) if rows and steps else None
            return self._convolved(x if around is None else x[around, np.arange(rows)]), NONE
        if lengths is not None:
            x = np.where(_there(x, lengths), x, 0)
        (before,) = state or self.start(rows) or (x[:0],)
        if not steps:
            return self._convolved(x), (before,) if self.before else NONE
        x = self._between(before, x)
        if not self.before:
            return self._convolved(x), NONE
        at = np.full(rows, steps) if lengths is None else lengths
        return self._convolved(x), (x[at + np.arange(self.before)[:, None], np.arange(rows)],)

    def left(self, lengths: Any) -> Any:
        if self.positions or lengths is None:
            return lengths
        return np.where(
            lengths > 0, np.maximum((lengths + self.before + self.after - self.span) // self.stride + 1, 0), 0
        )

    def step(self, given: Sequence[Array], state: State) -> tuple[Array, State]:
        if self.positions:
            return self._within(given[0]), NONE
        result, state = self.feed([given[0][None]], state, None)
        return result[0], state

    def _within(self, x: Array) -> Array:
        """Over the positions of each step: the features that each result reads are taken by their numbers."""
        flat = x.reshape(-1, x.shape[-1])
        if self.before + self.after and not self.reflect:
            flat = np.concatenate([flat, np.zeros((len(flat), 1), flat.dtype)], axis=1)
        each = flat.take(self._read, axis=1).reshape(-1, self.groups, self.weight.shape[-1])
        return self._product(each).reshape(*x.shape[:-1], self.form.width)

    @cached_property
    def _read(self) -> Array:
        """(positions', channels, kernel): which features; the one after the last is a zero. Made when it is needed."""
        at = self._mirrored(self.positions) if self.reflect else np.arange(-self.before, self.positions + self.after)
        every = np.lib.stride_tricks.sliding_window_view(at, self.span)[:: self.stride, :: self.dilation]
        there = (every >= 0) & (every < self.positions)
        features = every[:, None] * self.channels + np.arange(self.channels)[:, None]
        return np.where(there[:, None], features, self.positions * self.channels)

    def _mirrored(self, count: int, most: int = 0) -> Array:
        """Which of ``count`` positions lie around and at them; of ``most`` places the later ones don't matter."""
        at = np.abs(np.arange(-self.before, max(count, most) + self.after))
        return np.where(at < count, at, np.maximum(2 * (count - 1) - at, 0))

    def _between(self, before: Array, x: Array) -> Array:
        return np.concatenate([before, x, np.zeros((self.after, *x.shape[1:]), x.dtype)])

    def _convolved(self, x: Array) -> Array:
        """(positions', M, results) of what is padded (positions, M, channels)."""
        if len(x) < self.span:
            return np.zeros((0, x.shape[1], self.weight.shape[0] * self.weight.shape[1]), self.dtype)
        every = np.lib.stride_tricks.sliding_window_view(x, self.span, axis=0)[:: self.stride, ..., :: self.dilation]
        count, rows = every.shape[:2]
        return self._product(every.reshape(count * rows, self.groups, -1)).reshape(count, rows, -1)

    def _product(self, each: Array) -> Array:
        """(M, groups, channels of one * kernel) to (M, results)."""
        if self.groups == 1:
            y = each[:, 0] @ self.weight[0].T
        else:
            y = np.matmul(each.swapaxes(0, 1), self.weight.swapaxes(1, 2)).swapaxes(0, 1).reshape(len(each), -1)
        return np.asarray(y if self.bias is None else y + self.bias)


class Path(Op):
    """The number of the best feature at each step: of all ways through the steps the one of the highest sum.

    Beside each step's own scores there are those of moving on (``between``), beginning and ending, and which moves are
    ``allowed`` (K+1, K+1), the last row and column for the ends; without these tensors each step is for itself.
    """

    NAME = "path"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (form,) = _steps(told, given)
        k = form.width
        self.moves: Array | None = None
        if told.has("allowed") or told.has("between"):
            moves = np.zeros((k + 1, k + 1), told.dtype)
            for name, part in (("between", moves[:k, :k]), ("first", moves[k, :k]), ("last", moves[:k, k])):
                if told.has("between"):
                    part[...] = told.array(name, *part.shape)
            if told.has("allowed"):
                moves[told.array("allowed", k + 1, k + 1) == 0] = NEVER
            self.moves = moves
        self.form, self.streams = Form(k, "symbols"), self.moves is None

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        scores = given[0]
        if self.moves is None or not scores.size:
            return scores.argmax(-1), NONE
        between, first, last = self.moves[:-1, :-1], self.moves[-1, :-1], self.moves[:-1, -1]
        steps, rows = scores.shape[:2]
        there = np.ones((steps, rows), bool) if lengths is None else np.arange(steps)[:, None] < lengths
        best, came = scores[0] + first, [np.empty(0, np.int64)]  # (N, K): of the best way to here, and from where
        for t in range(1, steps):
            ways = best[:, :, None] + between  # (N, K, K)
            came.append(ways.argmax(1))
            best = np.where(there[t, :, None], ways.max(1) + scores[t], best)
        found = np.empty((steps, rows), np.int64)
        found[-1] = (best + last).argmax(1)
        for t in range(steps - 1, 0, -1):
            found[t - 1] = np.where(there[t], came[t][np.arange(rows), found[t]], found[t])
        return found, NONE

    def step(self, given: Sequence[Array], state: State) -> tuple[Array, State]:
        return given[0].argmax(-1), NONE


class Attention(Op):
    """The mean of a memory's values, weighted by how well their keys fit what is given: the softmax of the scores.

    The state is the memory of T' steps: values (T', N, V), keys (T', N, F) and what there is of a row (T', N, 1), 1 or
    0; at first there is none. A score is a product, over sqrt(F), or what ``energy`` makes of a sum (Bahdanau).
    """

    NAME = "attention"

    def __init__(self, told: Told, given: Sequence[Form]) -> None:
        (form,) = _values(told, given)
        self.name, self.dtype, self.keys = told.name, told.dtype, form.width
        self.form = form._replace(width=told.count("values"))
        self.additive = told.has("energy.weight")
        if self.additive:
            self.query = np.ascontiguousarray(told.array("query.weight", form.width, form.width).T)
            self.bias = told.array("query.bias", form.width)
            self.energy = told.array("energy.weight", 1, form.width)[0]

    def start(self, rows: int) -> State:
        return tuple([np.zeros((0, rows, width), self.dtype) for width in (self.form.width, self.keys, 1)])

    def feed(self, given: Sequence[Array], state: State | None, lengths: Any) -> tuple[Array, State]:
        if state is None or not len(state[0]):
            raise ValueError(f"{self.name}: there is nothing to look at: a memory is part of the state")
        _check_rows(given[0], state)
        return np.stack([self._look(query, *state) for query in given[0]]), state

    def step(self, given: Sequence[Array], state: State) -> tuple[Array, State]:
        result, state = self.feed([given[0][None]], state, None)
        return result[0], state

    def _look(self, query: Array, values: Array, keys: Array, there: Array) -> Array:
        """(N, V)."""
        if self.additive:
            scores = np.tanh(keys + (query @ self.query + self.bias)) @ self.energy  # (T', N)
        else:
            scores = (keys * query).sum(-1) * keys.dtype.type(self.keys**-0.5)
        scores = np.where(there[..., 0] > 0, scores, -np.inf)
        raised = np.exp(scores - scores.max(0))
        return np.asarray(np.einsum("tn,tnv->nv", raised / raised.sum(0), values))


OPS: dict[str, type[Op]] = {
    each.NAME: each
    for each in (
        *(Embedding, Linear, Norm, Sum, Joined, Activation, Magnitude),
        *(Recurrent, Last, Largest, Mean, Scaled, Segments, Reversed, Convolution, Path, Attention),
    )
}


def _values(told: Told, given: Sequence[Form], count: int | None = 1) -> Sequence[Form]:
    """``given``, so many of them, none of which are symbols."""
    if not given or len(given) != (count or len(given)) or any(form.kind == "symbols" for form in given):
        raise told.refuse(f"{count or 'some'} values", list(given))
    return given


def _steps(told: Told, given: Sequence[Form], count: int | None = 1) -> Sequence[Form]:
    """``given``, so many of them, all of which are over time."""
    if any(form.kind == "summary" for form in _values(told, given, count)):
        raise told.refuse("steps to read", "a summary of them")
    return given


def _there(x: Array, lengths: Any) -> Array:
    """Which steps count of x (T, N, F): (T, N, 1)."""
    return np.asarray((np.arange(len(x))[:, None] < lengths)[:, :, None])


def _check_rows(x: Array, state: State | None) -> None:
    if state is not None and state[0].shape[-2] != x.shape[1]:
        raise ValueError(f"the state has {state[0].shape[-2]} rows, x has {x.shape[1]}")


def rows_of(state: Sequence[State]) -> int:
    """N, of a network's state; 0 where nothing in it has one."""
    return next(iter(islice((array.shape[-2] for each in state for array in each), 1)), 0)
