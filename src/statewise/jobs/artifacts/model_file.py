"""A file of tensors with a JSON header, ``.safetensors``: models and checkpoints. Never pickle.

The header says which job wrote it, in which format, by which version; a file that is truncated, foreign or of a later
format is refused in one line. So is one whose content makes no sense: nothing of the sizes that a header names is made
before they are known to be those of the tensors.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ..._version import __version__
from ...freezing import freeze
from ..config import from_json, short, to_json
from ..errors import InputError
from . import atomic

KEY = "statewise"
LARGEST = 2**53  # of whole numbers in a header: JSON has no larger ones

Own = TypeVar("Own", bound="Model")
Module = TypeVar("Module", bound=nn.Module)


def save(path: Path, kind: str, format: int, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write ``tensors``, and ``content``, which must be JSON, as a file of this ``kind``. Same content, same bytes."""
    header = {"kind": kind, "format": format, "version": __version__, "content": content}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    atomic.write(path, to_bytes(plain, metadata={KEY: json.dumps(header)}))


def load(
    path: Path, kind: str, format: int, *, missing: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What ``save`` was given, on the CPU. Raises ``InputError`` as ``load_any``."""
    return load_any(path, kind, (format,), missing=missing)[1:]


def load_any(
    path: Path, kind: str, formats: Collection[int], *, missing: Collection[str] = ()
) -> tuple[int, dict[str, Any], dict[str, Tensor]]:
    """The format of a file, one of ``formats``, and what ``save`` was given, on the CPU.

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
    if header.get("format") not in formats or not isinstance(header.get("content"), dict):
        raise InputError(
            f"{path}: a {kind} of format {short(header.get('format'))}, written by statewise"
            f" {' '.join(str(header.get('version')).split())[:40]};"
            f" this is statewise {__version__}, which reads format {' and '.join(map(str, formats))}"
        )
    for name, tensor in tensors.items():
        if name not in missing and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"{path}: a damaged {kind}: {name} has numbers that are not finite")
    return header["format"], header["content"], tensors


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """The base of trained models: what they were told, what they can do, and the file that holds them."""

    KIND: ClassVar[str]
    FORMAT: ClassVar[int] = 2
    CONFIG: ClassVar[type[Any]]
    LAYOUT: ClassVar[type[Any] | None] = None
    MISSING: ClassVar[Collection[str]] = ()
    """Tensors in which NaN may be."""

    config: Any
    """What was set, with everything decided."""
    layout: Any = None
    """How the files lay that it has learnt from, where a command read them: a ``LAYOUT``."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the file is to hold, as JSON."""

    @cached_property
    def frozen(self) -> Any:
        """Its network, packed for many calls."""
        return freeze(self.networks()[""])

    def networks(self) -> dict[str, nn.Module]:
        """Its networks, by the names that ``training.problem.Trainer.fit`` was given; a single one has none."""
        return {"": self.network}  # type: ignore[attr-defined]

    def content(self) -> dict[str, Any]:
        """What the file's header has beside these two, as JSON."""
        raise NotImplementedError

    def tensors(self) -> dict[str, Tensor]:
        """The file's tensors."""
        raise NotImplementedError

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """A header of format 1 as it would be today."""
        raise NotImplementedError

    @classmethod
    def built(cls: type[Own], content: Mapping[str, Any], tensors: dict[str, Tensor], **shared: Any) -> Own:
        """The model of ``content`` and ``tensors``; ``shared`` are the other fields."""
        raise NotImplementedError

    def save(self, path: Path) -> None:
        """Write the model as one ``.safetensors`` file. The same model gives the same bytes."""
        layout = {} if self.layout is None else {"layout": to_json(self.layout)}
        shared = {"config": to_json(self.config), "notes": {**layout, **self.notes}}
        save(path, self.KIND, self.FORMAT, {**shared, **self.content()}, self.tensors())

    @classmethod
    def load(cls: type[Own], path: Path) -> Own:
        """What ``save`` wrote, on the CPU; refuses a file that is damaged, foreign or of a later format."""
        format, content, tensors = load_any(path, cls.KIND, range(1, cls.FORMAT + 1), missing=cls.MISSING)
        with checked(path, cls.KIND):
            content = cls.former(content) if format < cls.FORMAT else content
            config, notes = from_json(cls.CONFIG, content["config"]), dict(content["notes"])
            known = notes.pop("layout", None) if cls.LAYOUT else None
            layout = None if known is None or cls.LAYOUT is None else from_json(cls.LAYOUT, known)
            return cls.built(content, tensors, config=config, layout=layout, notes=notes)


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
