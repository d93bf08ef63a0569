"""Run folders: a job's results appear together or not at all.

Everything is written into a hidden folder beside the final one, which gets its name only when the job is done.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from .errors import InputError


@dataclass
class Run:
    """``draft`` is where to write; ``folder`` is where it is found afterwards, None until the job is done."""

    draft: Path
    folder: Path | None = None


@contextmanager
def new_run(job: str, name: str, out: Path | None) -> Iterator[Run]:
    """A run folder: ``out``, which must be empty or not exist, or else the next free ``runs/<job>-<name>-<n>``.

    Whatever ends the block early, an error or Ctrl-C, leaves nothing behind.
    """
    stem = f"{job}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-.') or 'data'}"
    parent = Path("runs") if out is None else out.absolute().parent
    if out is not None:
        _refuse_if_taken(out)
    created = _make_folder(parent)
    run = Run(parent / f".{stem}-{os.getpid()}.part")
    try:
        _make_folder(run.draft)
        yield run
        run.folder = _publish(run.draft, parent / stem, out)
    except BaseException as error:
        shutil.rmtree(run.draft, ignore_errors=True)
        for folder in created:
            if not any(folder.iterdir()):
                folder.rmdir()
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise InputError(f"can't write to {parent}: {error.strerror or error}") from None
        raise


def _refuse_if_taken(out: Path) -> None:
    if out.is_dir():
        if any(out.iterdir()):
            raise InputError(f"--out {out}: the folder is not empty; name another one or empty it")
    elif out.exists():
        raise InputError(f"--out {out}: is a file, expected a folder")


def _make_folder(folder: Path) -> list[Path]:
    """Make ``folder`` and what it lies in; what was made, innermost first."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"can't write to {folder}: {error.strerror}") from None
    return missing


def _publish(draft: Path, stem: Path, out: Path | None) -> Path:
    if out is not None:
        _refuse_if_taken(out)
        return draft.rename(out)
    for n in count(1):
        folder = stem.with_name(f"{stem.name}-{n}")
        if not folder.exists():
            try:
                return draft.rename(folder)
            except OSError:  # another run took the name in between
                if not folder.exists():
                    raise
    raise AssertionError("unreachable")
