"""The bytes of a file, unpacked where it is a .gz, and what the data in it is called."""

from __future__ import annotations

import gzip
from pathlib import Path

from ....data.content import PACKED, read_content, refusing
from ....errors import InputError

GLANCE = 1 << 16  # bytes that tell what a file is


def beginning_of(path: Path) -> bytes:
    """The first bytes of ``path``. Raises ``InputError`` as ``content_of`` does, as far as it looks."""
    with refusing(path), path.open("rb") as file:
        packed = file.read(2) == PACKED
        file.seek(0)
        beginning = gzip.GzipFile(fileobj=file).read(GLANCE) if packed else file.read(GLANCE)
    if not beginning:
        raise InputError(f"{path}: the file is empty")
    return beginning


def content_of(path: Path) -> bytes:
    """The content of ``path``. Raises ``InputError`` where it can't be read, is empty, or is a damaged ``.gz``."""
    content = read_content(path)
    if not content:
        raise InputError(f"{path}: the file is empty")
    return content


def numbered(count: int) -> list[str]:
    """What sequences are called that have no names: 1, 2, and so on."""
    return [str(row) for row in range(1, count + 1)]
