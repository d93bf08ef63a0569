"""A file of tensors with a JSON header, ``.safetensors``: models and checkpoints. Never pickle.

The header says which job wrote it, in which format, by which version; a file that is truncated, foreign or of a later
format is refused in one line. So is one whose content makes no sense: nothing of the sizes that a header names is made
before they are known to be those of the tensors.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from .._version import __version__
from . import atomic
from .errors import InputError

KEY = "statewise"
LARGEST = 2**53  # of whole numbers in a header: JSON has no larger ones

Data = TypeVar("Data")
Module = TypeVar("Module", bound=nn.Module)


def save(path: Path, kind: str, format: int, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write ``tensors``, and ``content``, which must be JSON, as a file of this ``kind``. Same content, same bytes."""
    header = {"kind": kind, "format": format, "version": __version__, "content": content}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    atomic.write(path, to_bytes(plain, metadata={KEY: json.dumps(header)}))


def load(
    path: Path, kind: str, format: int, *, missing: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What ``save`` was given, on the CPU.

    Raises ``InputError`` for any other file, and where a number isn't finite: NaN may be in the tensors ``missing``.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder, expected a file' if path.is_dir() else 'no such file'}")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(KEY, "null"))
            json.dumps(header, ensure_ascii=False).encode()  # half of a pair of characters is none
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it isn't a dict
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    except (SafetensorError, ValueError, RecursionError, AttributeError):  # the last: a type that torch hasn't got
        raise InputError(f"{path}: not a whole .safetensors file") from None
    if not isinstance(header, dict) or header.get("kind") != kind:
        named = isinstance(header, dict) and isinstance(header.get("kind"), str)
        found = f"a {' '.join(header['kind'].split())[:40]}" if named else "nothing of statewise's"
        raise InputError(f"{path}: expected a {kind}, the file holds {found}")
    if header.get("format") != format or not isinstance(header.get("content"), dict):
        raise InputError(
            f"{path}: a {kind} of format {_short(header.get('format'))}, written by statewise"
            f" {' '.join(str(header.get('version')).split())[:40]};"
            f" this is statewise {__version__}, which reads format {format}"
        )
    for name, tensor in tensors.items():
        if name not in missing and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"{path}: a damaged {kind}: {name} has numbers that are not finite")
    return header["content"], tensors


@contextmanager
def checked(path: Path, kind: str) -> Iterator[None]:
    """What goes wrong while the content of ``path`` is put together becomes an ``InputError`` of one line."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, KeyError):
            reason = f"there is no {reason}"
        raise InputError(f"{path}: a damaged {kind}: {reason[:300]}") from None


def typed(kind: type[Data], content: Any) -> Data:
    """The dataclass ``kind`` that ``content``, a JSON object, holds the fields of. ValueError where it doesn't."""
    if not isinstance(content, dict):
        raise ValueError(f"expected the entries of {kind.__name__}, got {_short(content)}")
    hints, known = get_type_hints(kind), {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(content) - set(known)):
        raise ValueError(f"{kind.__name__} has no {unknown[0]!r}")
    for name, field in known.items():
        if name not in content and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"there is no {name!r}")
    return kind(**{name: _value(name, hints[name], value) for name, value in content.items()})


def _value(name: str, hint: Any, value: Any) -> Any:
    """``value`` as ``hint`` has it: a number, a text, None, or a tuple of such."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in inner:
            return None
        hint = next(one for one in inner if one is not NoneType)
        return _value(name, hint, value)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(name, inner[0], item) for item in value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is float and number and math.isfinite(value):
        return value
    if hint is int and number and isinstance(value, int) and abs(value) <= LARGEST:
        return value
    if hint in (bool, str) and isinstance(value, hint):
        return value
    expected = {float: "a finite number", int: "a whole number", bool: "true or false", str: "a text"}
    raise ValueError(f"{name}: expected {expected.get(hint, 'a list')}, got {_short(value)}")


def filled(make: Callable[[], Module], tensors: Mapping[str, Tensor]) -> Module:
    """The module that ``make`` makes, with the weights ``tensors``. ValueError where they are not its own.

    That is found out before it is made, on a device that has no memory. How often ``make`` loops must be known to be
    right before.
    """
    with without_memory():
        try:
            expected = make().state_dict()
        except RuntimeError as error:  # torch can't count that many bytes
            raise ValueError("expected weights that a memory can hold, got larger ones") from error
    check_sizes(expected, tensors)
    module = make()
    module.load_state_dict(tensors)
    return module


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are made have sizes and types, but no weights. Sizes of 0 make torch warn; they fit no file."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def check_sizes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """ValueError where ``found`` has not the names, sizes and types of ``expected``."""
    if other := sorted(set(expected) ^ set(found)):
        raise ValueError(f"{'no weights' if other[0] in expected else 'weights that belong to nothing'}: {other[0]!r}")
    for name, tensor in expected.items():
        ours, theirs = (tuple(t.shape) for t in (tensor, found[name]))
        if ours != theirs:
            raise ValueError(f"expected {name} of size {ours}, got {theirs}")
        if tensor.dtype != found[name].dtype:
            raise ValueError(f"expected {name} as {tensor.dtype}, got {found[name].dtype}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
