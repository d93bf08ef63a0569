"""A file of tensors with a JSON header, ``.safetensors``: models and checkpoints. Never pickle. No torch here.

The header says which job wrote it, in which format, by which version; a file that is truncated, foreign or of a later
format is refused in one line. So is one whose content makes no sense: nothing of the sizes that a header names is made
before they are known to be those of the tensors.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from ..._version import __version__
from ...runtime import file
from ...runtime.file import KEY, LARGEST, Arrays, LoadError
from ...runtime.jobs import JOBS, kept_in
from ..config import from_json, short, to_json
from ..errors import InputError
from . import atomic

if TYPE_CHECKING:
    from torch import nn

__all__ = ["KEY", "LARGEST", "Arrays", "Kernels", "Model"]

Own = TypeVar("Own", bound="Model")


def save(path: Path, kind: str, format: int, content: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write ``arrays``, and ``content``, which must be JSON, as a file of this ``kind``. Same content, same bytes."""
    atomic.write(path, file.write(kind, format, content, arrays))


def load(path: Path, kind: str, format: int, *, missing: Collection[str] = ()) -> tuple[dict[str, Any], Arrays]:
    """What ``save`` was given. Raises ``InputError`` as ``load_any``."""
    return load_any(path, kind, (format,), missing=missing)[1:]


def load_any(
    path: Path, kind: str, formats: Collection[int], *, missing: Collection[str] = ()
) -> tuple[int, dict[str, Any], Arrays]:
    """The format of a file, one of ``formats``, and what ``save`` was given, the arrays read-only.

    Raises ``InputError`` for any other file, and where a number isn't finite: NaN may be in the arrays ``missing``.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder, expected a file' if path.is_dir() else 'no such file'}")
    try:
        header, arrays, halves = file.parse(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    except LoadError as error:
        raise InputError(f"{path}: {error}") from None
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
    if halves:
        raise InputError(f"{path}: a damaged {kind}: {halves[0]} is of half precision, which no {kind} is")
    for name, array in arrays.items():
        if name not in missing and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{path}: a damaged {kind}: {name} has numbers that are not finite")
    return header["format"], header["content"], arrays


class Kernels(NamedTuple):
    """How the kernels compute what a model says."""

    threads: int = 0
    """On how many; 0: on as many as there are processors for this process, or OMP_NUM_THREADS."""
    dtype: str | None = None
    """In which they keep the recurrent layers' weights; None: as they are."""

    @property
    def number(self) -> int:
        """The threads."""
        told = os.environ.get("OMP_NUM_THREADS", "")
        there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.threads or max(1, min(int(told), there) if told.isdecimal() else there)


class Kept:
    """A dataclass whose copies have its fields alone: what is packed or made of them is made anew."""

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(Kept, ABC):
    """The base of trained models: what they were told, what they can do, and the file that holds them.

    What they can do needs no torch. Their network as torch has it, ``network``, is made when somebody asks for it.
    """

    KIND: ClassVar[str]
    FORMAT: ClassVar[int] = 2
    CONFIG: ClassVar[type[Any]]
    LAYOUT: ClassVar[type[Any] | None] = None
    MISSING: ClassVar[Collection[str]] = ()
    """Arrays in which NaN may be."""

    config: Any
    """What was set, with everything decided."""
    layout: Any = None
    """How the files lay that it has learnt from, where a command read them: a ``LAYOUT``."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the file is to hold, as JSON."""
    kernels: Kernels = Kernels()
    """How they compute what it says."""

    @cached_property
    def net(self) -> Any:
        """What runs its network, of the runtime: made of what its file says."""
        job = JOBS[self.KIND]
        assert job.read is not None
        content = json.loads(json.dumps(self.content())) | {"config": vars(self.config)}
        content, arrays = job.read(content, dict(self.tensors()))
        return job.network(kept_in(self.kernels.dtype, content), arrays, self.kernels.number)

    def running(self) -> Any:
        """What ``runtime.load`` gives of it."""
        return self.net

    def checked(self: Own, weights: Arrays) -> Own:
        """The same. ValueError where its network can't be run, or ``weights`` are of another type than trained ones."""
        if wrong := [name for name, array in weights.items() if array.dtype.kind == "f" and array.dtype != np.float32]:
            raise ValueError(f"expected {wrong[0]} as float32, got {weights[wrong[0]].dtype}")
        assert self.net is not None
        return self

    @property
    def network(self) -> Any:
        """Its network, in torch's modules, to be trained further or exported; of several see ``networks``."""
        raise AttributeError(f"a {self.KIND} has no single network, see networks()")

    def networks(self) -> dict[str, nn.Module]:
        """Its networks, by the names that ``training.problem.Trainer.fit`` was given; a single one has none."""
        return {"": self.network}

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What the file's header has beside these two, as JSON."""

    @abstractmethod
    def tensors(self) -> Arrays:
        """The file's tensors."""

    @classmethod
    def former(cls, content: dict[str, Any]) -> dict[str, Any]:
        """A header of an older format as it would be today; as it is, where there is none."""
        return content

    @classmethod
    @abstractmethod
    def built(cls: type[Own], content: Mapping[str, Any], arrays: Arrays, **shared: Any) -> Own:
        """The model of ``content`` and ``arrays``; ``shared`` are the other fields."""

    def save(self, path: Path) -> None:
        """Write the model as one ``.safetensors`` file. The same model gives the same bytes."""
        layout = {} if self.layout is None else {"layout": to_json(self.layout)}
        shared = {"config": to_json(self.config), "notes": {**layout, **self.notes}}
        save(path, self.KIND, self.FORMAT, {**shared, **self.content()}, self.tensors())

    @classmethod
    def load(cls: type[Own], path: Path, kernels: Kernels = Kernels()) -> Own:  # noqa: B008  # it never changes
        """What ``save`` wrote; refuses a file that is damaged, foreign or of a later format."""
        format, content, arrays = load_any(path, cls.KIND, range(1, cls.FORMAT + 1), missing=cls.MISSING)
        with checked(path, cls.KIND):
            content = cls.former(content) if format < cls.FORMAT else content
            config, notes = from_json(cls.CONFIG, content["config"]), dict(content["notes"])
            known = notes.pop("layout", None) if cls.LAYOUT else None
            layout = None if known is None or cls.LAYOUT is None else from_json(cls.LAYOUT, known)
            return cls.built(content, arrays, config=config, layout=layout, notes=notes, kernels=kernels)


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
