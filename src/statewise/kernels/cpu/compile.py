"""Compiling a cell's kernel on the machine where it runs, by its C++ compiler, once: the user's cache keeps it.

The cache is the folder that STATEWISE_CACHE names, else ``statewise`` in XDG_CACHE_HOME or ``~/.cache``. A file there
is called by what it was made from and ends in a hash of its content, so that one which a full disk or a crash has
damaged is made again. Files appear whole: several processes may compile the same cell at once.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

from ...cells import Cell
from ...cells.generate import CLOSING, OPENING
from ...cells.printer import struct_of, type_of

_HERE = Path(__file__).parent
_ENTRY = "cell.hpp"
_DIGEST = 32  # bytes of a hash at a file's end, which the dynamic linker takes no notice of


class CompilationError(RuntimeError):
    """A cell's kernel could not be compiled; the message has the compiler's words."""


class NoCompilerError(CompilationError):
    """There is no C++ compiler on this machine."""


def compile_cell(cell: Cell, instruction_set: str) -> Path:
    """The shared library with the kernel of ``cell`` for ``instruction_set``, compiled where it isn't there yet.

    Raises:
        Unsupported: the kernels can't serve the cell.
        CompilationError: there is no compiler (``NoCompilerError``), or it fails.
    """
    name = type_of(cell)
    return build(source_of(cell), f"{name}-{instruction_set}", instruction_set)


def source_of(cell: Cell) -> str:
    """The C++ that is compiled for ``cell``. Raises ``Unsupported`` where the kernels can't serve it."""
    name = type_of(cell)
    return f'#include "{_ENTRY}"\n\n{OPENING}\n{struct_of(cell)}\n{CLOSING}\nSTATEWISE_EXPORT_CELL({name})\n'


def build(source: str, name: str, instruction_set: str) -> Path:
    """The shared library that ``source`` becomes, in the cache under ``name`` and a hash.

    Raises ``CompilationError`` or ``NoCompilerError``.
    """
    cxx = compiler()
    command = [*cxx, "-std=c++20", "-fPIC", "-shared", f"-DSTATEWISE_NS={instruction_set}", *flags(instruction_set)]
    key = sha256()
    for part in (source, *headers().values(), *command, _version(tuple(cxx))):
        key.update(sha256(part.encode()).digest())
    file = f"{name}-{key.hexdigest()[:32]}.so"
    library = cache_folder() / file
    if _is_whole(library):
        return library
    try:
        return _compile([*command, f"-I{_HERE}"], source, name, library)
    except OSError:  # a full disk, say
        return _compile([*command, f"-I{_HERE}"], source, name, _temporary_folder() / file)


def compiler() -> list[str]:
    """The command of the C++ compiler: CXX, or the first that is there of c++, g++ and clang++.

    Raises ``NoCompilerError``.
    """
    given = shlex.split(os.environ.get("CXX", ""))
    for candidate in [given] if given else [["c++"], ["g++"], ["clang++"]]:
        if shutil.which(candidate[0]):
            return candidate
    reason = f"CXX names {given[0]}, which is not there" if given else "there is no c++, g++ or clang++ on the PATH"
    raise NoCompilerError(f"no C++ compiler was found: {reason}")


def flags(instruction_set: str) -> list[str]:
    """What the compiler is told for ``instruction_set``. KeyError for one that there is not."""
    lines = [line.split() for line in (_HERE / "instruction_sets.txt").read_text().splitlines()]
    known = {words[0]: words[1:] for words in lines if words and words[0] != "#"}
    return [*known["every"], *known[instruction_set]]


@cache
def headers() -> dict[str, str]:
    """The text of ``cell.hpp`` and of every header of ours that it includes, by their names."""
    found: dict[str, str] = {}
    left = [_ENTRY]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = (_HERE / name).read_text()
            left += re.findall(r'^\s*#\s*include\s+"([^"]+)"', found[name], re.MULTILINE)
    return dict(sorted(found.items()))


@cache
def _version(command: tuple[str, ...]) -> str:
    """What the compiler says it is."""
    return _run([*command, "--version"]).stdout


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise CompilationError(f"the C++ compiler can't be run: {shlex.join(command)}: {error}") from None


def _compile(command: list[str], source: str, name: str, library: Path) -> Path:
    """Make ``library``, or replace it, and return it."""
    with tempfile.TemporaryDirectory(dir=library.parent, prefix=f".{name}-", ignore_cleanup_errors=True) as own:
        text, made = Path(own, f"{name}.cpp"), Path(own, library.name)
        text.write_text(source)
        done = _run([*command, str(text), "-o", str(made)])
        if done.returncode or not made.is_file():
            raise CompilationError(
                f"compiling {name} failed: {shlex.join(done.args)}\n{(done.stderr or done.stdout).strip()}"
            )
        content = made.read_bytes()
        with made.open("ab") as file:
            file.write(sha256(content).digest())
            file.flush()
            os.fsync(file.fileno())
        return made.replace(library)


def _is_whole(library: Path) -> bool:
    """Whether ``library`` is there, ours, and as it was made."""
    try:
        content = library.read_bytes()
        return library.stat().st_uid == os.getuid() and sha256(content[:-_DIGEST]).digest() == content[-_DIGEST:]
    except OSError:
        return False


def cache_folder() -> Path:
    """Where compiled cells are kept; a folder of this process alone where the user's can't be written to."""
    named = os.environ.get("STATEWISE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    with suppress(OSError, RuntimeError):  # RuntimeError: there is no home
        folder = (Path(named) if named else Path(base).expanduser() / "statewise").absolute() / "cells"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private = folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o022
        if private and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return _temporary_folder()


_temporary: tempfile.TemporaryDirectory[str] | None = None


def _temporary_folder() -> Path:
    """A folder that goes when the process ends."""
    global _temporary
    if _temporary is None or not Path(_temporary.name).is_dir():
        _temporary = tempfile.TemporaryDirectory(prefix="statewise-", ignore_cleanup_errors=True)
    return Path(_temporary.name)
