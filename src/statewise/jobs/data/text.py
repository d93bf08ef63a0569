"""Read a text file, packed as ``.gz`` or not."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .content import read_content


def read_text(path: Path, *, endings: bool = True) -> str:
    """The text in ``path``, without a byte order mark, its lines ending in ``\\n`` or, without ``endings``, as they do.

    Raises ``InputError`` where the file can't be read, is empty, is a damaged ``.gz``, or isn't UTF-8; then with the
    line where that shows.
    """
    content = read_content(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line}: not text in UTF-8 (byte 0x{content[error.start]:02x})") from None
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    if not endings:
        return text
    return text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
