"""The bytes of a file, unpacked where it is a .gz, and what the data in it is called."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError

GLANCE = 1 << 16  # bytes that tell what a file is


def beginning_of(path: Path) -> bytes:
    """The first bytes of ``path``. Raises ``InputError`` as ``content_of`` does, as far as it looks."""
    with _refusing(path), path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        beginning = gzip.GzipFile(fileobj=file).read(GLANCE) if packed else file.read(GLANCE)
    if not beginning:
        raise InputError(f"{path}: the file is empty")
    return beginning


def content_of(path: Path) -> bytes:
    """The content of ``path``. Raises ``InputError`` where it can't be read, is empty, or is a damaged ``.gz``."""
    with _refusing(path):
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    if not content:
        raise InputError(f"{path}: the file is empty")
    return content


def plain_name(path: Path) -> str:
    """The name of the data in ``path``: without endings and what says which part it is, or else its folder's name."""
    name = re.sub(r"(\.(gz|ts|csv|tsv|txt|parquet|npz|npy))+$", "", path.name, flags=re.IGNORECASE)
    name = re.sub(r"[-_.](images|idx\d|ubyte)\b", "", name, flags=re.IGNORECASE)
    name = re.sub(r"(^|[-_.])(train(ing)?|test|t10k)$", "", name, flags=re.IGNORECASE)
    return name or path.resolve().parent.name or "data"


def numbered(count: int) -> list[str]:
    """What sequences are called that have no names: 1, 2, and so on."""
    return [str(row) for row in range(1, count + 1)]


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a file")
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{path}: a .gz file that is damaged or was cut short") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
