"""Read a text file, packed as ``.gz`` or not."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .content import read_content


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
