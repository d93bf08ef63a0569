"""A network that runs: over whole sequences, step by step, and many streams of steps at once."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import file
from .file import Arrays, LoadError
from .hints import of_input, of_lengths
from .ops import NONE, OPS, Form, Op, Told, rows_of
from .ops import State as OpState

Array = NDArray[Any]
State = tuple[OpState, ...]
"""Of each op a tuple of arrays, the rows on the last axis but one. Not to be written to."""

KIND, FORMAT = "network", 1
STATE, STATE_FORMAT = "state", 1


class Network:
    """What ``load`` gives. Calls change nothing in it, so several threads may share one.

    Letters: T time steps, N rows of a batch, I features of the input, O of the result. Input is brought to the dtype of
    the weights; symbols are whole numbers, (T, N). A network of several inputs takes a tuple of arrays in their place.
    A result is (T, N, O), or (N, O) where the network sums up what it has read; of several results it is a tuple. With
    ``batch_first``, (N, T, .) in the place of (T, N, .).
    """

    def __init__(self, content: Mapping[str, Any], arrays: Arrays, threads: int = 1) -> None:
        """Of a program and its tensors: see docs/runtime.md. Raises ``LoadError`` for what can't be run."""
        self.content, self._arrays = content, arrays
        self.batch_first = content.get("batch_first") is True
        self.labels: list[Any] = list(content.get("labels", []))
        """The names of the result's features, where the file has names."""
        self.inputs = _inputs(content.get("inputs"))
        names, used = [name for name, _ in self.inputs], set[str]()
        forms = [form for _, form in self.inputs]
        self.ops: list[Op] = []
        self._reads: list[list[int]] = []
        for entry in _entries(content.get("ops")):
            told = Told(entry, arrays, used, threads)
            of = entry.get("of", names[-1:])
            if not isinstance(of, list) or not of or any(name not in names for name in of):
                raise told.refuse(f"of to be among {', '.join(names)}", of)
            if told.name in names:
                raise told.refuse("a name of its own", told.name)
            reads = [names.index(name) for name in of]
            op = OPS[entry["op"]](told, [forms[at] for at in reads])
            self.ops.append(op)
            self._reads.append(reads)
            names.append(told.name)
            forms.append(op.form)
            self.dtype = told.dtype
        if left := sorted(set(arrays) - used):
            raise LoadError(f"the runtime can't run what {left[0]} belongs to")
        self.width = self.ops[-1].form.width
        """O, features of the result."""
        told = content.get("results", names[-1:])
        if not isinstance(told, list) or not told or any(name not in names for name in told):
            raise LoadError(f"expected results among {', '.join(names)}, got {told!r:.80}")
        self._results = [(names.index(name), forms[names.index(name)].kind != "summary") for name in told]
        self._dtypes = [_dtype_of(entry, self.dtype) for entry in content["inputs"]]
        (_, form), *more = self.inputs
        plain = form.kind == "values" and not more
        self._plain = (form.width, self._dtypes[0]) if plain else (0, None)  # of the one input, for a quick look at it
        self._steps = [(op.step, first, others) for op, (first, *others) in zip(self.ops, self._reads, strict=True)]
        self._last = [at for at, _ in self._results] == [len(forms) - 1]
        self._whole = [f"{name}: {op.NAME}" for name, op in zip(names[len(self.inputs) :], self.ops, strict=True)]
        self._whole = [said for said, op in zip(self._whole, self.ops, strict=True) if not op.streams]

    @property
    def streams(self) -> bool:
        """Whether it can read a step at a time: not where a layer reads backwards."""
        return not self._whole

    @property
    def over_time(self) -> list[bool]:
        """Of each result whether it is one for each step, (T, N, O), or one for all, (N, O)."""
        return [over_time for _, over_time in self._results]

    def run(self, x: Any, lengths: Any = None) -> Any:
        """The result for whole sequences.

        Args:
            x: (T, N, I); or (T, N) symbols.
            lengths: (N,), how many of each row's T steps count. Default: all. Results past a row's end say nothing.

        Raises:
            ValueError: something doesn't fit; the message says what was expected and what came.
        """
        return self._feed(x, None, lengths)[0]

    def start(self, batch: int = 1) -> State:
        """The state of ``batch`` rows of which nothing has been read. ValueError where it needs whole sequences."""
        self._check_streams()
        return tuple([op.start(batch) for op in self.ops])

    def feed(self, x: Any, state: State, lengths: Any = None) -> tuple[Any, State]:
        """As ``run``, but from ``state`` on: the result for the next T steps of ``x``, and the state after them.

        ``x`` is (T, N, I), or (T, N) symbols, ``lengths`` (N,) as in ``run``. ValueError where they don't fit.
        """
        self._check_streams()
        return self._feed(x, state, lengths)

    def step(self, x: Any, state: State) -> tuple[Any, State]:
        """The result (N, O) for one more step x (N, I), or (N,) symbols, and the state after it.

        The result is not to be written to: it may be part of the state.
        """
        # Every tenth of a microsecond counts here: the kernels take two for a layer of 64 units.
        width, dtype = self._plain
        plain = type(x) is np.ndarray and x.dtype is dtype and x.ndim == 2 and x.shape[1] == width
        values = [x] if plain else self._read(x, 0)
        after = []
        for (step, first, others), before in zip(self._steps, state, strict=True):
            given = [values[first], *[values[at] for at in others]] if others else (values[first],)
            value, changed = step(given, before)
            values.append(value)
            after.append(changed)
        if self._last:
            return value, tuple(after)
        return tuple([values[at] for at, _ in self._results]), tuple(after)

    def pool(self) -> Pool:
        """A pool of streams, empty: any of them make a step together, as one batch."""
        return Pool(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it to ``path`` as a file that ``load`` reads, as it was read. OSError: it can't be written."""
        Path(path).write_bytes(file.write(KIND, FORMAT, self.content, self._arrays))

    # States as bytes

    @cached_property
    def fingerprint(self) -> str:
        """What tells this network from others: a hash of its program and weights."""
        said = sha256(json.dumps(self.content, sort_keys=True).encode())
        for name, array in sorted(self._arrays.items()):
            said.update(f"{name} {array.dtype} {array.shape}".encode())
            said.update(np.ascontiguousarray(array).tobytes())
        return said.hexdigest()

    def to_bytes(self, state: State) -> bytes:
        """``state`` to be kept somewhere, for this very network."""
        arrays = {f"{k}.{j}": array for k, each in enumerate(state) for j, array in enumerate(each)}
        content = {"network": self.fingerprint, "rows": rows_of(state), "crc32": _checksum(arrays)}
        return file.write(STATE, STATE_FORMAT, content, arrays)

    def from_bytes(self, data: bytes) -> State:
        """The state that ``to_bytes`` made ``data`` of. ``LoadError`` where that was another network's, or damage."""
        told, arrays = file.read(data, "the state")
        content = told["content"]
        if told.get("kind") != STATE or told.get("format") != STATE_FORMAT:
            raise LoadError(f"the state: expected a {STATE} of format {STATE_FORMAT}, got {_said(told)}")
        if content.get("network") != self.fingerprint:
            raise LoadError("the state: it is another network's, or was made of other weights")
        rows = content.get("rows")
        if type(rows) is not int or content.get("crc32") != _checksum(arrays):
            raise LoadError("the state: it is damaged")
        expected = [[(a.shape, a.dtype) for a in op.start(1)] for op in self.ops]
        state = []
        for k, each in enumerate(expected):
            found = [arrays.pop(f"{k}.{j}", None) for j in range(len(each))]
            shapes = [((*shape[:-2], rows, shape[-1]), dtype) for shape, dtype in each]
            if [None if a is None else (a.shape, a.dtype) for a in found] != shapes:
                raise LoadError("the state: it has other sizes than this network's")
            state.append(tuple(found) if found else NONE)
        return tuple(state)  # type: ignore[arg-type]  # none of them is None

    # Reading what is given

    def _feed(self, x: Any, state: State | None, lengths: Any) -> tuple[Any, State]:
        values = self._read(x, 1)
        count = self._lengths(lengths, values[0])
        counts = [count] * len(values)
        after = []
        for k, (op, reads) in enumerate(zip(self.ops, self._reads, strict=True)):
            at = counts[reads[0]]
            value, changed = op.feed([values[r] for r in reads], None if state is None else state[k], at)
            values.append(value)
            counts.append(op.left(at))
            after.append(changed)
        results = [
            values[at].swapaxes(0, 1) if self.batch_first and over_time else values[at]
            for at, over_time in self._results
        ]
        return results[0] if len(results) == 1 else tuple(results), tuple(after)

    def _read(self, x: Any, over_time: int) -> list[Array]:
        """The inputs as the ops take them."""
        given = x if len(self.inputs) > 1 else (x,)
        if len(given) != len(self.inputs):
            raise ValueError(f"expected {', '.join(name for name, _ in self.inputs)}, got {len(given)} arrays")
        values = []
        for (name, form), dtype, value in zip(self.inputs, self._dtypes, given, strict=True):
            if type(value) is not np.ndarray or value.dtype is not dtype:
                value = _as_array(name, value, dtype)
            symbols = form.kind == "symbols"
            if value.ndim != 2 - symbols + over_time or (not symbols and value.shape[-1] != form.width):
                axes = "(N, T" if self.batch_first else "(T, N"
                axes = (axes if over_time else "(N") + (")" if symbols else f", {form.width})")
                width = None if symbols else form.width
                meant = of_input(name, value.shape, width, bool(over_time), self.batch_first)
                raise ValueError(f"{name}: expected {axes.replace('(N)', '(N,)')}, got {value.shape}{meant}")
            if symbols and value.size and int(value.view(np.uint64).max()) >= form.width:
                raise ValueError(f"{name}: expected numbers from 0 to {form.width - 1}, got {_odd(value, form.width)}")
            values.append(value.swapaxes(0, 1) if over_time and self.batch_first else value)
        if len(values) > 1 and len({value.shape[: 1 + over_time] for value in values}) > 1:
            raise ValueError(f"expected as many steps and rows of all, got {[value.shape for value in values]}")
        return values

    def _lengths(self, lengths: Any, x: Array) -> Any:
        if lengths is None:
            return None
        lengths = _as_array("lengths", lengths, np.dtype(np.int64))
        if lengths.shape != x.shape[1:2] or (lengths.size and not 0 <= lengths.min() <= lengths.max() <= len(x)):
            meant = of_lengths(lengths.size, len(x), x.shape[1], self.batch_first) if lengths.ndim == 1 else ""
            told = f"lengths: expected {x.shape[1]} numbers from 0 to {len(x)}, got {lengths.tolist()!r:.80}"
            raise ValueError(told + meant)
        return lengths

    def _check_streams(self) -> None:
        if self._whole:
            raise ValueError(f"{self._whole[0]}: it needs whole sequences, and can't read a step at a time: use run")


class Pool:
    """Streams that come and go: any of them make a step together, as one batch.

    A stream has a number that no other stream of the pool ever has. One thread at a time.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._places: dict[int, int] = {}  # of each stream its row
        self._free: list[int] = []
        self._next = 0
        self._state = [list(each) for each in network.start(0)]

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, stream: object) -> bool:
        return stream in self._places

    def add(self, state: State | None = None) -> int:
        """A stream that begins, or goes on from the ``state`` of one row; its number."""
        state = self.network.start(1) if state is None else state
        if [[a.shape for a in each] for each in state] != [
            [(*a.shape[:-2], 1, a.shape[-1]) for a in each] for each in self._state
        ]:
            raise ValueError(f"expected the state of one row of this network, got one of {rows_of(state)}")
        if not self._free:
            self._grow()
        stream, place = self._next, self._free.pop()
        self._next += 1
        self._places[stream] = place
        self._put([place], state)
        return stream

    def drop(self, stream: int) -> None:
        """Forget a stream. KeyError where there is none of this number."""
        self._free.append(self._places.pop(stream))

    def state(self, stream: int) -> State:
        """The state of a stream, of one row: ``network.to_bytes`` makes bytes of it, ``add`` a stream."""
        return self._take([self._places[stream]])

    def step(self, streams: Sequence[int], x: Any) -> Any:
        """One more step of each of ``streams`` (n different ones), x (n, I): the results (n, O), in that order.

        KeyError, ValueError: a stream isn't there, or is there twice, or ``x`` doesn't fit; no stream has changed then.
        """
        places = [self._places[stream] for stream in streams]
        if len(set(places)) < len(places):
            raise ValueError("a stream is there twice")
        y, state = self.network.step(x, self._take(places))
        self._put(places, state)
        return y

    def _take(self, places: list[int]) -> State:
        return tuple([tuple([array.take(places, axis=-2) for array in each]) for each in self._state])

    def _put(self, places: list[int], state: State) -> None:
        for each, new in zip(self._state, state, strict=True):
            for array, rows in zip(each, new, strict=True):
                array[..., places, :] = rows

    def _grow(self) -> None:
        had = len(self._places)
        more = self.network.start(max(8, had))
        self._free = list(range(had + max(8, had) - 1, had - 1, -1))
        self._state = [
            [np.concatenate([a, b], axis=-2) for a, b in zip(each, new, strict=True)]
            for each, new in zip(self._state, more, strict=True)
        ]


def _inputs(given: Any) -> list[tuple[str, Form]]:
    found = []
    for entry in given if isinstance(given, list) else []:
        name, kind, width = (entry.get(word) for word in ("name", "kind", "width"))
        if not isinstance(name, str) or kind not in ("values", "exact", "symbols") or type(width) is not int:
            raise LoadError("expected the name, the kind and the width of each input")
        found.append((name, Form(width, "symbols" if kind == "symbols" else "values")))
    if not found or any(form.width < 1 for _, form in found):
        raise LoadError("expected the inputs of a program")
    return found


def _entries(given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not given:
        raise LoadError("expected the ops of a program")
    for entry in given:
        name = entry.get("op") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in OPS:
            raise LoadError(f"the runtime has no op {str(name)[:40]!r}; it has {', '.join(OPS)}")
    return given


def _dtype_of(entry: Mapping[str, Any], dtype: np.dtype[Any]) -> np.dtype[Any]:
    return {"values": dtype, "exact": np.dtype(np.float64), "symbols": np.dtype(np.int64)}[entry["kind"]]


def _as_array(name: str, value: Any, dtype: np.dtype[Any]) -> Array:
    """``value`` in ``dtype``: numbers of any kind as floats, whole numbers alone as such."""
    found = np.asarray(value)
    if found.dtype.kind not in ("iu" if dtype.kind == "i" else "fiub") and found.size:
        raise ValueError(f"{name}: expected {'whole ' * (dtype.kind == 'i')}numbers, got {found.dtype}")
    with np.errstate(over="ignore"):
        return found.astype(dtype, copy=False).view(np.ndarray)


def _odd(value: Array, width: int) -> int:
    return int(value[(value < 0) | (value >= width)].flat[0])


def _checksum(arrays: Mapping[str, Array]) -> int:
    found = 0
    for _, array in sorted(arrays.items()):
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
    return found


def _said(told: Mapping[str, Any]) -> str:
    return f"{str(told.get('kind'))[:40]!r} of format {str(told.get('format'))[:20]}"
