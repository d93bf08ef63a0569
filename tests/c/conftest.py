"""libstatewise by ctypes, as the C++ tests' build left it: `make cpp-test` makes it."""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_float, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "statewise" / "kernels" / "cpu"
DTYPES = [np.float32, np.float64, np.int64]


def built() -> Path | None:
    """The library; None where there is none that is newer than its sources."""
    if told := os.environ.get("STATEWISE_LIBRARY"):
        return Path(told)
    sources = [*SOURCES.rglob("*.[ch]pp"), *SOURCES.rglob("*.h")]
    newest = max(path.stat().st_mtime for path in sources)
    found = [
        path for path in ROOT.glob("build/*/src/statewise/kernels/cpu/c/libstatewise.so") if "sanitize" not in str(path)
    ]
    fresh = [path for path in found if path.stat().st_mtime >= newest]
    return max(fresh, key=lambda path: path.stat().st_mtime, default=None)


class Error(Structure):
    _fields_ = (("status", c_int), ("message", c_char * 248))


class Port(Structure):
    _fields_ = (("name", c_char_p), ("type", c_int), ("width", c_size_t), ("over_time", c_int))


class RefusedError(Exception):
    """A status, and what was said."""


class Library:
    """What the header declares, with numpy's arrays."""

    def __init__(self, path: Path) -> None:
        self.c = c = ctypes.CDLL(str(path))
        pointers = POINTER(c_void_p)
        for name, result, *arguments in (
            ("version", c_char_p),
            ("status_text", c_char_p, c_int),
            ("load", c_void_p, c_char_p, c_int, POINTER(Error)),
            ("load_memory", c_void_p, c_char_p, c_size_t, c_int, POINTER(Error)),
            ("free", None, c_void_p),
            ("inputs", c_size_t, c_void_p),
            ("results", c_size_t, c_void_p),
            ("input", Port, c_void_p, c_size_t),
            ("result", Port, c_void_p, c_size_t),
            ("result_steps", c_size_t, c_void_p, c_size_t, c_size_t),
            ("streams", c_int, c_void_p),
            ("run", c_int, c_void_p, c_size_t, c_size_t, POINTER(c_int64), pointers, pointers, POINTER(Error)),
            ("stream_new", c_void_p, c_void_p, c_size_t, POINTER(Error)),
            ("stream_free", None, c_void_p),
            ("reset", None, c_void_p),
            ("step", c_int, c_void_p, pointers, pointers),
            ("feed", c_int, c_void_p, c_size_t, POINTER(c_float), POINTER(c_float)),
            ("state_size", c_size_t, c_void_p),
            ("state_save", c_int, c_void_p, c_void_p, c_size_t),
            ("state_load", c_int, c_void_p, c_void_p, c_size_t),
        ):
            function = getattr(c, f"statewise_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def network(self, data: bytes) -> Net:
        """The network in the bytes of a file."""
        error = Error()
        found = self.load_memory(data, len(data), 1, byref(error))
        if not found:
            raise RefusedError(error.status, error.message.decode())
        return Net(self, found)


class Net:
    """A network."""

    def __init__(self, library: Library, at: int) -> None:
        self.api, self.at = library, at
        self.inputs = [library.input(at, i) for i in range(library.inputs(at))]
        self.results = [library.result(at, i) for i in range(library.results(at))]

    def __del__(self) -> None:
        self.api.free(self.at)

    def run(self, *given, lengths=None):
        """Whole sequences (T, N, F); the results."""
        inputs = [self._array(port, x) for port, x in zip(self.inputs, given, strict=True)]
        steps, rows = inputs[0].shape[:2]
        made = []
        for i, port in enumerate(self.results):
            count = self.api.result_steps(self.at, i, steps)
            shape = (count, rows) if port.over_time else (rows,)
            made.append(np.full((*shape, *self._width(port)), 7, DTYPES[port.type]))
        counts = None if lengths is None else (c_int64 * rows)(*lengths)
        error = Error()
        if self.api.run(self.at, steps, rows, counts, _pointers(inputs), _pointers(made), byref(error)):
            raise RefusedError(error.status, error.message.decode())
        return made

    def stream(self, rows):
        """A stream of so many rows."""
        return Stream(self, rows)

    @staticmethod
    def _array(port, x):
        return np.ascontiguousarray(x, DTYPES[port.type])

    @staticmethod
    def _width(port):
        return () if port.type == 2 else (port.width,)


class Stream:
    """A stream of a network."""

    def __init__(self, net: Net, rows: int) -> None:
        error = Error()
        self.net, self.rows = net, rows
        self.at = net.api.stream_new(net.at, rows, byref(error))
        if not self.at:
            raise RefusedError(error.status, error.message.decode())

    def __del__(self) -> None:
        if self.at:
            self.net.api.stream_free(self.at)

    def step(self, *given):
        """One step (N, F); the results."""
        inputs = [self.net._array(port, x) for port, x in zip(self.net.inputs, given, strict=True)]
        made = [np.full((self.rows, *self.net._width(port)), 7, DTYPES[port.type]) for port in self.net.results]
        if status := self.net.api.step(self.at, _pointers(inputs), _pointers(made)):
            raise RefusedError(status)
        return made

    def save(self) -> bytes:
        """The state."""
        room = ctypes.create_string_buffer(self.net.api.state_size(self.at))
        assert self.net.api.state_save(self.at, room, len(room)) == 0
        return room.raw

    def load(self, state: bytes) -> int:
        """Go on from it; the status."""
        room = ctypes.create_string_buffer(state, len(state))
        return self.net.api.state_load(self.at, room, len(state))


def _pointers(arrays):
    return (c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


@pytest.fixture(scope="session")
def library():
    path = built()
    if path is None:
        pytest.skip("libstatewise isn't built, or older than its sources: make cpp-test")
    return Library(path)
