"""A file of tensors with a JSON header, ``.safetensors``: models and checkpoints. Never pickle.

The header says which job wrote it, in which format, by which version; a file that is truncated, foreign or of a later
format is refused in one line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from .._version import __version__
from . import atomic
from .errors import InputError

KEY = "statewise"


def save(path: Path, kind: str, format: int, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write ``tensors``, and ``content``, which must be JSON, as a file of this ``kind``. Same content, same bytes."""
    header = {"kind": kind, "format": format, "version": __version__, "content": content}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    atomic.write(path, to_bytes(plain, metadata={KEY: json.dumps(header)}))


def load(path: Path, kind: str, format: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What ``save`` was given, on the CPU. Raises ``InputError`` for any other file."""
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder, expected a file' if path.is_dir() else 'no such file'}")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it isn't a dict
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    except (SafetensorError, ValueError, RecursionError):
        raise InputError(f"{path}: not a whole .safetensors file") from None
    if not isinstance(header, dict) or header.get("kind") != kind:
        found = f"a {header['kind']}" if isinstance(header, dict) and "kind" in header else "nothing of statewise's"
        raise InputError(f"{path}: expected a {kind}, the file holds {found}")
    if header.get("format") != format or not isinstance(header.get("content"), dict):
        raise InputError(
            f"{path}: a {kind} of format {header.get('format')}, written by statewise {header.get('version')};"
            f" this is statewise {__version__}, which reads format {format}"
        )
    return header["content"], tensors
