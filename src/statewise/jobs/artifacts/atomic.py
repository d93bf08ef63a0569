"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import InputError

PART = ".part"
"""How the name of a file ends while it is written. A kill may leave one; ``clear`` removes them."""


def write(path: Path, content: bytes | str) -> None:
    """Write ``content`` to ``path``. Who reads meanwhile, or after a kill, finds the old file or the new one.

    Raises ``InputError`` where the folder can't be written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def clear(folder: Path) -> None:
    """Remove the beginnings of files that a kill left in ``folder``."""
    for part in folder.glob(f".*{PART}"):
        part.unlink(missing_ok=True)
