"""The bytes of a file, unpacked where it is a ``.gz``."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError

PACKED = b"\x1f\x8b"  # what a .gz begins with, whatever it is called


def read_content(path: Path, expected: str = "a file") -> bytes:
    """All of ``path``. Raises ``InputError`` where it is a folder, not ``expected``, is damaged, or can't be read."""
    with refusing(path, expected):
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(PACKED) else content


@contextmanager
def refusing(path: Path, expected: str = "a file") -> Iterator[None]:
    """What goes wrong while ``path`` is read or unpacked becomes an ``InputError``."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected {expected}")
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{path}: a damaged .gz file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from None
