"""Read a text file, packed as ``.gz`` or not."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from .errors import InputError


def read_text(path: Path) -> str:
    """The text in ``path``, without a byte order mark, its lines ending in ``\\n``.

    Raises ``InputError`` where the file can't be read, is empty, is a damaged ``.gz``, or isn't UTF-8; then with the
    line where that shows.
    """
    content = _content(path)
    if not content.strip():
        raise InputError(f"{path}: the file is empty")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line}: not text in UTF-8 (byte 0x{content[error.start]:02x})") from None
    return text.replace("\r\n", "\n")


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a file")
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{path}: a .gz file that is damaged or was cut short") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from None
