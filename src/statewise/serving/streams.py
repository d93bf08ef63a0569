"""The streams of one model: their states, each of the last two, in memory or in a file that outlives the process.

A state is written beside the one before, never over it, and what it was told of it a stream says only afterwards. So
whenever the process is killed, each stream is where it said to be or one request further; and a client that heard no
answer asks the same again: a request says how many steps were read before it (``at``), and one that was answered
already is answered from the state that it began with, to the same effect.

A slot of the file is a record of ``_Layout.record``: a stream's name (zeros: none), when it was last used, and two
halves, each a number of steps, a checksum and the bytes of a state. The half with the larger number of steps counts,
of those whose checksum is right. The system writes the file to the disk when it likes, and it is right after a kill of
the process, not after a loss of power: then streams may be a while behind, or, where the checksums say so, gone. That
isn't so where they are *durable*: then what a batch has written is on the disk before any of it is answered, and since
one of the halves is the state that was answered before, it doesn't matter which sectors a loss of power leaves out.
"""

from __future__ import annotations

import os
import secrets
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jobs.errors import InputError
from ..runtime import LoadError, Network, State
from .problem import Problem, busy
from .rows import forward

MAGIC = b"statewise streams 1\n"
HEADER = 64  # bytes: the magic, the size of a record, the first of the network's fingerprint
NEVER = -1  # steps of a half that holds nothing

Array = NDArray[Any]


@dataclass(frozen=True)
class Opened:
    """A stream to be: the bytes of a state, or None from the beginning, and how many steps were read by then."""

    state: bytes | None = None
    steps: int = 0


@dataclass(frozen=True)
class Steps:
    """Steps for a stream to read: of each input an array (T, I) or (T,)."""

    stream: str
    x: tuple[Array, ...]
    at: int | None = None
    """How many it has read before, where the client says so."""


@dataclass(frozen=True)
class Place:
    """Where a stream is."""

    stream: str
    steps: int


@dataclass(frozen=True)
class Read:
    """What a stream says to the steps it was given, and how many it has read by now."""

    y: tuple[Array, ...]
    steps: int


@dataclass(frozen=True)
class Kept:
    """A stream's state as bytes."""

    state: bytes
    steps: int


class _Layout:
    """How a state of one row lies in a record."""

    def __init__(self, network: Network) -> None:
        self.parts = [[(array.shape[:-2], array.shape[-1], array.dtype) for array in each] for each in network.start(1)]
        self.size = sum(prod(lead) * wide * dtype.itemsize for each in self.parts for lead, wide, dtype in each)
        half = [("steps", "<i8"), ("checksum", "<u4"), ("data", "u1", (self.size,))]
        self.record = np.dtype([("name", "V16"), ("used", "<f8"), ("half", half, (2,))])

    def pack(self, state: State, rows: int) -> Array:
        """(rows, size) bytes."""
        flat = [np.ascontiguousarray(np.moveaxis(array, -2, 0)) for each in state for array in each]
        return np.concatenate([np.empty((rows, 0), np.uint8), *(a.reshape(rows, -1).view(np.uint8) for a in flat)], 1)

    def unpack(self, data: Array) -> State:
        """The state of the rows of ``data`` (rows, size)."""
        at, state = 0, []
        for each in self.parts:
            arrays = []
            for lead, wide, dtype in each:
                end = at + prod(lead) * wide * dtype.itemsize
                array = np.ascontiguousarray(data[:, at:end]).view(dtype).reshape(len(data), *lead, wide)
                arrays.append(np.ascontiguousarray(np.moveaxis(array, 0, -2)))
                at = end
            state.append(tuple(arrays))
        return tuple(state)


class Streams:
    """Streams by name, in one thread. A method takes what several requests ask for and answers each: ``Batcher``."""

    def __init__(self, network: Network, most: int, path: Path | None = None, *, durable: bool = False) -> None:
        """At most ``most`` are open; with ``path`` those that are open in this file go on.

        ``durable``: what is answered is on the disk. Raises ``InputError`` where the file is another network's, in use,
        or can't be had.
        """
        self.network, self.most, self.durable = network, most, durable
        self.attached: set[str] = set()
        """Those that a client is connected to: they don't expire."""
        self.lost = 0
        """Streams of the file of which nothing whole was found."""
        self._layout = _Layout(network)
        self._file: int | None = None
        self._mapped = None if path is None else self._opened(path)
        self._records = np.zeros(most, self._layout.record) if self._mapped is None else np.asarray(self._mapped)
        self._half = self._records["half"]
        self._steps = np.full((len(self._records), 2), NEVER, np.int64)  # as in the records: quicker to look at
        self._places: dict[str, int] = {}
        self._find()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, stream: object) -> bool:
        return stream in self._places

    # What requests ask for

    def open(self, asked: Sequence[Opened]) -> list[Place | Problem]:
        """Begin streams, or go on from states."""
        found = [self._open(each) for each in asked]
        self._sync()
        return found

    def step(self, asked: Sequence[Steps]) -> list[Read | Problem]:
        """Read steps, of each stream once at most: as one batch."""
        found: list[Any] = [self._half_of(each) for each in asked]
        going = [k for k, half in enumerate(found) if not isinstance(half, Problem)]
        if not going:
            return found
        slots, halves = np.array([self._places[asked[k].stream] for k in going]), np.array([found[k] for k in going])
        before = self._layout.unpack(self._half["data"][slots, halves])
        results, state = forward(self.network, [asked[k].x for k in going], before)
        steps = self._steps[slots, halves] + [len(asked[k].x[0]) for k in going]
        self._put(slots, 1 - halves, steps, self._layout.pack(state, len(going)))
        self._sync()
        for k, y, count in zip(going, results, steps.tolist(), strict=True):
            found[k] = Read(y, count)
        return found

    def place(self, asked: Sequence[str]) -> list[Place | Problem]:
        """Where streams are."""
        return [self._place(name) for name in asked]

    def state(self, asked: Sequence[str]) -> list[Kept | Problem]:
        """The states of streams, as ``open`` takes them."""
        return [self._kept(name) for name in asked]

    def close(self, asked: Sequence[str]) -> list[Kept | Problem]:
        """The same, and the streams are no more."""
        found = self.state(asked)
        for name in asked:
            self._drop(name)
        self._sync()
        return found

    def expire(self, asked: Sequence[float]) -> list[int]:
        """Drop the streams that nobody is connected to and that weren't used for so many seconds; how many."""
        return [self._expire(seconds) for seconds in asked]

    def end(self, asked: Sequence[Any] = (None,)) -> list[None]:
        """Have what is in memory written to the file."""
        if self._mapped is not None:
            self._mapped.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None
        return [None] * len(asked)

    # How

    def _open(self, asked: Opened) -> Place | Problem:
        try:
            state = self.network.start(1) if asked.state is None else self.network.from_bytes(asked.state)
            packed = self._layout.pack(state, 1)
            if packed.shape[1] != self._layout.size:
                raise LoadError("the state: it is that of several rows")
        except (LoadError, ValueError) as error:
            return Problem(422, str(error))
        if len(self._places) >= self.most or not self._free:
            return busy(f"{len(self._places)} streams are open, and no more may be")
        slot, name = self._free.pop(), secrets.token_bytes(16)
        self._half["checksum"][slot], self._half["steps"][slot] = 0, NEVER
        self._records["name"][slot] = np.void(name)
        self._places[name.hex()] = slot
        self._steps[slot] = NEVER
        self._put(np.array([slot]), np.array([0]), np.array([asked.steps]), packed)
        return Place(name.hex(), asked.steps)

    def _half_of(self, asked: Steps) -> int | Problem:
        """The half that a request goes on from."""
        slot = self._places.get(asked.stream)
        if slot is None:
            return _unknown(asked.stream)
        now = int(self._steps[slot].argmax())
        if asked.at is None or asked.at == self._steps[slot, now]:
            return now
        if asked.at == self._steps[slot, 1 - now]:  # its answer didn't arrive
            return 1 - now
        return Problem(409, f"the stream has read {self._steps[slot, now]} steps, not {asked.at}")

    def _place(self, name: str) -> Place | Problem:
        slot = self._places.get(name)
        return _unknown(name) if slot is None else Place(name, int(self._steps[slot].max()))

    def _kept(self, name: str) -> Kept | Problem:
        slot = self._places.get(name)
        if slot is None:
            return _unknown(name)
        now = int(self._steps[slot].argmax())
        state = self._layout.unpack(self._half["data"][[slot], [now]])
        return Kept(self.network.to_bytes(state), int(self._steps[slot, now]))

    def _drop(self, name: str) -> None:
        slot = self._places.pop(name, None)
        if slot is not None:
            self._records["name"][slot] = np.void(bytes(16))
            self._half["data"][slot] = 0
            self._free.append(slot)

    def _expire(self, seconds: float) -> int:
        before = time.time() - seconds
        gone = [
            name
            for name, slot in self._places.items()
            if self._records["used"][slot] < before and name not in self.attached
        ]
        for name in gone:
            self._drop(name)
        return len(gone)

    def _sync(self) -> None:
        """Wait until the disk has what the file has, where that is wanted."""
        if self.durable and self._mapped is not None:
            self._mapped.flush()

    def _put(self, slots: Array, halves: Array, steps: Array, packed: Array) -> None:
        sums = [
            _checksum(self._records["name"][slot].tobytes(), int(count), data)
            for slot, count, data in zip(slots, steps, packed, strict=True)
        ]
        self._half["data"][slots, halves] = packed
        self._half["steps"][slots, halves] = steps
        self._half["checksum"][slots, halves] = sums
        self._records["used"][slots] = time.time()
        self._steps[slots, halves] = steps

    # The file

    def _find(self) -> None:
        """The streams that are in the records already."""
        nobody = bytes(16)
        self._free: list[int] = []
        for slot in range(len(self._records) - 1, -1, -1):
            name = self._records["name"][slot].tobytes()
            if name == nobody:
                self._free.append(slot)
                continue
            for half in (0, 1):
                steps, checksum, data = (self._half[part][slot, half] for part in ("steps", "checksum", "data"))
                if steps >= 0 and checksum == _checksum(name, int(steps), data):
                    self._steps[slot, half] = steps
            if self._steps[slot].max() == NEVER:
                self.lost += 1
                self._records["name"][slot] = np.void(nobody)
                self._free.append(slot)
            else:
                self._places[name.hex()] = slot

    def _opened(self, path: Path) -> np.memmap[Any, Any]:
        """The records of the file, which is made or made longer where it is needed."""
        size, mark = self._layout.record.itemsize, bytes.fromhex(self.network.fingerprint)
        header = (MAGIC + struct.pack("<Q", size) + mark).ljust(HEADER, b"\0")[:HEADER]
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            _lock(self._file, path)
            length = os.fstat(self._file).st_size
            if length == 0:
                os.pwrite(self._file, header, 0)
            elif os.pread(self._file, HEADER, 0) != header or (length - HEADER) % size > 0:
                raise InputError(f"{path}: expected the streams of this very model")
            count = max(self.most, (length - HEADER) // size)
            _reserve(self._file, HEADER + count * size)
            if self.durable:  # that there is such a file, and how long it is
                os.fsync(self._file)
                for folder in (path.parent, path.parent.parent):
                    _sync_folder(folder)
            return np.memmap(path, self._layout.record, "r+", HEADER, (count,))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None


def _checksum(name: bytes, steps: int, data: Array) -> int:
    return zlib.crc32(data.tobytes(), zlib.crc32(name + struct.pack("<q", steps)))


def _unknown(name: str) -> Problem:
    return Problem(404, f"there is no stream {name[:40]}")


def _lock(file: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{path}: another server has it open") from None


def _sync_folder(folder: Path) -> None:
    """Have the disk know the names in a folder. Windows has no such call, and needs none."""
    if hasattr(os, "O_DIRECTORY"):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _reserve(file: int, length: int) -> None:
    """Make the file so long that none of its bytes can be lacking later, when that would be a fault of memory."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, length)
    elif os.fstat(file).st_size < length:
        os.truncate(file, length)
