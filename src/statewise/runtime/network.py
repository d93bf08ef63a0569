"""A network that runs: over whole sequences, step by step, and many streams of steps at once."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import file
from .file import Arrays, LoadError
from .hints import of_input, of_lengths
from .program import inputs_of, made, parts_of
from .resets import begun_anew, pieces

Array = NDArray[Any]
State = tuple[tuple[Array, ...], ...]
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
        self.content, self._arrays, self._threads = content, arrays, threads
        self._program = self._made()
        self.batch_first = content.get("batch_first") is True
        self.labels: list[Any] = list(content.get("labels", []))
        """The names of the result's features, where the file has names."""
        self.inputs = inputs_of(content)
        self.ops = parts_of(content, self._program)
        self.dtype = np.dtype(np.float64 if self._program.float64 else np.float32)
        self.width = self.ops[-1].form.width
        """O, features of the result."""
        self._dtypes = [_dtype_of(entry, self.dtype) for entry in content["inputs"]]

    @property
    def streams(self) -> bool:
        """Whether it can read a step at a time: not where a layer reads backwards."""
        return not self._program.whole

    @property
    def over_time(self) -> list[bool]:
        """Of each result whether it is one for each step, (T, N, O), or one for all, (N, O)."""
        return [kind != "summary" for kind, _ in self._program.results]

    def run(self, x: Any, lengths: Any = None, reset: Any = None) -> Any:
        """The result for whole sequences.

        Args:
            x: (T, N, I); or (T, N) symbols.
            lengths: (N,), how many of each row's T steps count. Default: all. Results past a row's end are zeros.
            reset: (T, N), true where a new sequence begins within a row: its state is set back before that step is
                read. A layer that reads backwards is set back at the same border. Default: nowhere.

        Raises:
            ValueError: something doesn't fit; the message says what was expected and what came.
        """
        return self._feed(x, None, lengths, reset, wanted=False)[0]

    def start(self, batch: int = 1) -> State:
        """The state of ``batch`` rows of which nothing has been read. ValueError where it needs whole sequences."""
        self._check_streams()
        state: State = self._program.start(batch)
        return state

    def feed(self, x: Any, state: State, lengths: Any = None, reset: Any = None) -> tuple[Any, State]:
        """As ``run``, but from ``state`` on: the result for the next T steps of ``x``, and the state after them.

        ``x`` is (T, N, I), or (T, N) symbols, ``lengths`` (N,) and ``reset`` (T, N) as in ``run``.
        ValueError where they don't fit.
        """
        self._check_streams()
        return self._feed(x, state, lengths, reset)

    def step(self, x: Any, state: State, reset: Any = None) -> tuple[Any, State]:
        """The result (N, O) for one more step x (N, I), or (N,) symbols, and the state after it.

        Rows whose ``reset`` (N,) is true begin anew before they read it. The result is not to be written to: it may be
        part of the state. ValueError: something doesn't fit.
        """
        # Every tenth of a microsecond counts here: what is right is known to be so in C++.
        if reset is not None:
            new = _marks(reset, (rows_of(state) or len(x),), "(N,)")
            state = begun_anew(state, new, self.start(len(new)))
        found: tuple[Any, State] | None = self._program.step(x, state)
        if found is None:
            values = self._read(x, 0)
            found = self._current().step(values[0] if len(values) == 1 else tuple(values), state)
            assert found is not None  # what has been read is right
        return found

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
        expected = [[(a.shape, a.dtype) for a in each] for each in self._program.start(1)]
        state = []
        for k, each in enumerate(expected):
            found = [arrays.pop(f"{k}.{j}", None) for j in range(len(each))]
            shapes = [((*shape[:-2], rows, shape[-1]), dtype) for shape, dtype in each]
            if [None if a is None else (a.shape, a.dtype) for a in found] != shapes:
                raise LoadError("the state: it has other sizes than this network's")
            state.append(tuple(found))
        return tuple(state)  # type: ignore[arg-type]  # none of them is None

    # Reading what is given

    def _feed(
        self, x: Any, state: State | None, lengths: Any, reset: Any = None, wanted: bool = True
    ) -> tuple[Any, Any]:
        values = self._read(x, 1)
        counts = self._lengths(lengths, values[0])
        if reset is None:
            found, after = self._current().feed(tuple(values), state, counts, wanted)
        else:
            found, after = self._feed_pieces(values, state, counts, reset, wanted)
        if self.batch_first:
            over_time = zip(found, self.over_time, strict=True)
            found = tuple([result.swapaxes(0, 1) if steps else result for result, steps in over_time])
        return found[0] if len(found) == 1 else found, after

    def _feed_pieces(
        self, values: list[Array], state: State | None, lengths: Array | None, reset: Any, wanted: bool
    ) -> tuple[tuple[Array, ...], Any]:
        """``values`` with resets, each piece between two of them as a row of its own."""
        shape = values[0].shape[:2]
        marks = np.asarray(reset)
        marks = _marks(
            marks.swapaxes(0, 1) if self.batch_first and marks.ndim == 2 else marks, shape, "as many as x has"
        )
        if odd := next((op.name for op in self.ops if not op.keeps_steps), None):
            raise ValueError(f"{odd}: it gives other steps than it reads, so there is no place for a reset")
        cut = pieces(marks, lengths)
        if state is not None:
            taken = tuple([tuple([array.take(cut.rows, axis=-2) for array in each]) for each in state])
            state = begun_anew(taken, cut.new, self._program.start(len(cut.rows)))
        found, after = self._current().feed(tuple(map(cut.cut, values)), state, cut.lengths, wanted)
        joined = [
            cut.join(y, *shape) if over_time else y[cut.last]
            for y, over_time in zip(found, self.over_time, strict=True)
        ]
        if wanted:
            after = tuple([tuple([array.take(cut.last, axis=-2) for array in each]) for each in after])
        return tuple(joined), after

    def _current(self) -> Any:
        """The program for the instruction set in use, of which there is one, unless somebody chooses another."""
        if not self._program.is_current:
            self._program = self._made()
        return self._program

    def _made(self) -> Any:
        """What runs: a ``Program``, or what does as one."""
        return made(self.content, self._arrays, self._threads)

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
            value = value if value.flags.aligned else value.copy()
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
        if self._program.whole:
            raise ValueError(f"{self._program.whole}: use run")


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


def rows_of(state: State) -> int:
    """N, of a network's state; 0 where nothing in it has one."""
    return next(iter(islice((array.shape[-2] for each in state for array in each), 1)), 0)


def _dtype_of(entry: Mapping[str, Any], dtype: np.dtype[Any]) -> np.dtype[Any]:
    return {"values": dtype, "exact": np.dtype(np.float64), "symbols": np.dtype(np.int64)}[entry["kind"]]


def _as_array(name: str, value: Any, dtype: np.dtype[Any]) -> Array:
    """``value`` in ``dtype``: numbers of any kind as floats, whole numbers alone as such."""
    found = np.asarray(value)
    if found.dtype.kind not in ("iu" if dtype.kind == "i" else "fiub") and found.size:
        raise ValueError(f"{name}: expected {'whole ' * (dtype.kind == 'i')}numbers, got {found.dtype}")
    with np.errstate(over="ignore"):
        return found.astype(dtype, copy=False).view(np.ndarray)


def _marks(reset: Any, shape: tuple[int, ...], expected: str) -> Array:
    """Where rows begin anew, as booleans of this shape."""
    found = np.asarray(reset)
    if found.dtype != np.bool_ or found.shape != shape:
        raise ValueError(f"reset: expected booleans {expected}, {shape}, got {found.dtype} {found.shape}")
    return found


def _odd(value: Array, width: int) -> int:
    return int(value[(value < 0) | (value >= width)].flat[0])


def _checksum(arrays: Mapping[str, Array]) -> int:
    found = 0
    for _, array in sorted(arrays.items()):
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
    return found


def _said(told: Mapping[str, Any]) -> str:
    return f"{str(told.get('kind'))[:40]!r} of format {str(told.get('format'))[:20]}"
