"""The bytes of a file, unpacked where it is a ``.gz``, and its text.

A packed file may hold a thousand times its size, so there is a limit to what is unpacked.
"""

from __future__ import annotations

import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from ..errors import InputError

PACKED = b"\x1f\x8b"  # what a .gz begins with, whatever it is called
STDIO = Path("-")  # what is given for a text that comes by stdin, or goes to stdout
GIGABYTE = 10**9
PIECE = 2**20
GLANCE = 1 << 16  # bytes that tell what a file is
ENDINGS = "gz|ts|csv|tsv|txt|parquet|npz|npy|conllu|conll|iob2?|bio|pos"

limit: ContextVar[float] = ContextVar("limit", default=4 * GIGABYTE)
"""Bytes that a packed file may hold at most; the commands' option ``--unpack`` sets it."""


def read_content(path: Path, expected: str = "a file") -> bytes:
    """All of ``path``; ``-`` is stdin. Raises ``InputError`` where it is a folder, is damaged, or can't be read.

    Also where it is packed and holds more than ``limit``. A folder is not what was ``expected``.
    """
    with refusing(path, expected):
        content = sys.stdin.buffer.read() if path == STDIO else path.read_bytes()
        return _unpacked(path, content) if content.startswith(PACKED) else content


def filled_content(path: Path) -> bytes:
    """``read_content``, which must not be empty."""
    content = read_content(path)
    if not content:
        raise InputError(f"{path}: the file is empty")
    return content


def beginning_of(path: Path) -> bytes:
    """The first bytes of ``path``, unpacked, which tell what it is. Raises ``InputError`` as ``filled_content``."""
    with refusing(path), path.open("rb") as file:
        packed = file.read(2) == PACKED
        file.seek(0)
        beginning = gzip.GzipFile(fileobj=file).read(GLANCE) if packed else file.read(GLANCE)
    if not beginning:
        raise InputError(f"{path}: the file is empty")
    return beginning


def check_unpacked(path: Path, size: float, what: str = "unpacked") -> None:
    """Raise ``InputError`` where ``path`` holds more bytes than ``limit``, unpacked."""
    if size > limit.get():
        raise InputError(
            f"{path}: holds more than {limit.get() / GIGABYTE:g} GB {what}; a larger --unpack GB takes it all the same"
        )


@contextmanager
def refusing(path: Path, expected: str = "a file") -> Iterator[None]:
    """What goes wrong while ``path`` is read or unpacked becomes an ``InputError``."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected {expected}")
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{path}: a damaged .gz file") from None
    except MemoryError:
        raise InputError(f"{path}: is larger than the memory that there is") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from None


def _unpacked(path: Path, content: bytes) -> bytes:
    """Piece by piece, so that no more is unpacked than ``limit``."""
    found = bytearray()
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        while piece := file.read(PIECE):
            found += piece
            check_unpacked(path, len(found))
    return bytes(found)


def plain_name(path: Path) -> str:
    """The name of the data in ``path``: without endings and what says which part it is, or else its folder's name."""
    name = re.sub(rf"(\.({ENDINGS}))+$", "", path.name, flags=re.IGNORECASE)
    name = re.sub(r"[-_.](images|idx\d|ubyte)\b", "", name, flags=re.IGNORECASE)
    name = re.sub(r"(^|[-_.])(train(ing)?|test|t10k)$", "", name, flags=re.IGNORECASE)
    return name or path.absolute().parent.name or "data"


def decoded(path: Path) -> str:
    """The text in ``path``, without a byte order mark. Raises ``InputError`` with the line where it isn't UTF-8."""
    content = read_content(path, "a text file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        found = f"the byte 0x{byte:02x} in line {line}; to convert a file: iconv -t utf-8"
        raise InputError(f"{path}: expected text in UTF-8, got {found}") from None


def read_text(path: Path, *, endings: bool = True) -> str:
    """The text in ``path``, without a byte order mark, its lines ending in ``\\n`` or, without ``endings``, as they do.

    Raises ``InputError`` where the file can't be read, is empty, is a damaged ``.gz``, or isn't UTF-8; then with the
    line where that shows.
    """
    text = decoded(path)
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    if not endings:
        return text
    return text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
