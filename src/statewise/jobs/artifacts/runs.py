"""Run folders: where a job leaves what it makes, and what it needs to go on after a kill.

A run folder appears when the input has been found good, with ``config.json`` in it, and every file in it appears
whole or not at all. A job that ends early leaves nothing behind, unless there is a checkpoint to go on from.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from ..._version import __version__
from ..errors import InputError, Interrupted
from ..training.rank import is_main_process
from . import atomic

CONFIG = "config.json"
FORMER = "arguments.json"
"""What runs of earlier versions have in its place."""
DONE = "metrics.json"
"""Written last: a run folder that has it is complete."""


@contextmanager
def run_folder(job: str, name: str, out: Path | None, config: Mapping[str, Any], resume: Path | None) -> Iterator[Path]:
    """A run folder: ``out``, which must be empty or not exist, or else the next free ``runs/<job>-<name>-<n>``.

    ``config``, as JSON, is what the run was told and has decided, for another with its folder as ``resume``: that goes
    on in it. Raises ``InputError`` where the folder can't be made. Of several processes the first has the run folder,
    the others one that vanishes.
    """
    if not is_main_process():
        with tempfile.TemporaryDirectory() as other:
            yield Path(other)
        return
    if resume is not None:
        folder, made = resume, None
        atomic.clear(folder)
    else:
        folder, made = _make(out) if out is not None else _make_next(Path("runs"), f"{_plain(job)}-{_plain(name)}")
    with _kept_or_removed(job, folder, made):
        if resume is None:
            content = {"job": job, "statewise": __version__, "folder": str(Path.cwd()), "config": dict(config)}
            atomic.write(folder / CONFIG, json.dumps(content, indent=1) + "\n")
        yield folder


def config_of(job: str, folder: Path) -> tuple[Any, Path]:
    """The configuration of the run in ``folder``, as JSON, and where it was begun.

    Raises ``InputError`` where there is none, or none that can be gone on with.
    """
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        whose, config, where = content["job"], content["config"], Path(content["folder"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        if (folder / FORMER).exists():
            raise InputError(f"--resume {folder}: an earlier version of statewise began it and has to end it") from None
        raise InputError(f"--resume {folder}: not a run folder: no {CONFIG} that can be read") from None
    if whose != job:
        raise InputError(f"--resume {folder}: is a run of statewise {whose}, not of statewise {job}")
    if (folder / DONE).exists():
        raise InputError(f"--resume {folder}: the run is complete, there is nothing to go on with")
    return config, where


@contextmanager
def _kept_or_removed(job: str, folder: Path, made: list[Path] | None = None) -> Iterator[None]:
    """Leave ``folder`` as a complete run or, where something is raised, as one to go on with or not at all.

    ``made`` are the folders that a new run has made, innermost first; a run that is resumed is never removed.
    """
    try:
        yield
    except BaseException as error:
        kept = made is None or any(any(folder.glob(pattern)) for pattern in ("*.checkpoint", "*.journal"))
        if made is not None and not kept:
            _remove(folder, made)
        if isinstance(error, KeyboardInterrupt) and kept:
            raise Interrupted(f"go on with: statewise {job} --resume {shlex.quote(str(folder))}") from None
        if isinstance(error, OSError) and _is_about(error, folder):
            raise InputError(f"can't write to {folder}: {error.strerror or error}") from None
        raise
    for checkpoint in folder.glob("*.checkpoint"):
        checkpoint.unlink()
    atomic.clear(folder)


def _remove(folder: Path, made: list[Path]) -> None:
    """Remove what is in ``folder``, and of ``made`` what is empty then."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    for empty in made:
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()


def _is_about(error: OSError, folder: Path) -> bool:
    """Whether writing to ``folder`` failed. An error without a file's name is a write's; pipes and sockets aside."""
    if isinstance(error, (ConnectionError, TimeoutError)):  # a broken pipe among them
        return False
    return error.filename is None or folder.absolute() in Path(os.fsdecode(error.filename)).absolute().parents


def _make(out: Path) -> tuple[Path, list[Path]]:
    """``out``, and what of it and its parents was not there before, innermost first."""
    if out.is_dir():
        if any(out.iterdir()):
            raise InputError(f"--out {out}: the folder is not empty; name another one or empty it")
    elif out.exists():
        raise InputError(f"--out {out}: is a file, expected a folder")
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK):
            raise PermissionError(0, "the folder is not writable")
    except OSError as error:
        raise InputError(f"can't write to {out}: {error.strerror}") from None
    return out, made


def _make_next(parent: Path, stem: str) -> tuple[Path, list[Path]]:
    """The first free folder in ``parent`` and, innermost first, what was made."""
    made = [] if parent.exists() else [parent]
    for n in count(1):
        folder = parent / f"{stem}-{n}"
        if folder.exists():
            continue
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # another run took the name in between
            if parent.is_dir():
                continue
            raise InputError(f"can't write to {parent}: is a file, expected a folder") from None
        except OSError as error:
            raise InputError(f"can't write to {parent}: {error.strerror}") from None
        return folder, [folder, *made]
    raise AssertionError("unreachable")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "data"
