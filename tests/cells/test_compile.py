"""Kernels that are compiled where they run: what is made, kept, made again, and said where it can't be."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from odd_cells import ODD_CELLS
from statewise import Recurrent, warn_on_fallback
from statewise.cells import Cell
from statewise.kernels import cpu
from statewise.kernels.cpu import compile
from statewise.ops import kernel_of
from statewise.ops.fallback import FallbackWarning
from statewise.reference import recurrent

ANSWER = 'extern "C" int answer() { return 42; }\n'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATEWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cells"


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    compile._version.cache_clear()


# A compiler that writes down each call, and into its output what the source holds.
COPY = """\
case "$1" in --version) echo fake 1.0; exit;; esac
echo "$@" >> {log}
while [ "$1" != -o ]; do case "$1" in *.cpp) source=$1;; esac; shift; done
cat "$source" > "$2"
"""


class FakeCompiler:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = COPY) -> None:
        self.path, self.log = folder / "fake c++", folder / "calls"
        self.path.write_text("#!/bin/sh\n" + script.format(log=f"'{self.log}'"))
        self.path.chmod(0o755)
        monkeypatch.setenv("CXX", f"'{self.path}'")

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCompiler:
    return FakeCompiler(tmp_path, monkeypatch)


def content(library: Path) -> bytes:
    return library.read_bytes()[: -compile._DIGEST]


def test_what_is_compiled_is_kept(fake: FakeCompiler, cache: Path) -> None:
    library = compile.build("some source", "name", "avx2")
    assert library.parent == cache
    assert content(library) == b"some source"
    assert compile.build("some source", "name", "avx2") == library
    (call,) = fake.calls()
    assert "-std=c++20 -fPIC -shared -DSTATEWISE_NS=avx2 -O3" in call
    assert "-mavx2 -mfma" in call
    assert f"-I{Path(cpu.__file__).parent}" in call
    assert [f.name for f in cache.iterdir()] == [library.name]


def test_other_sources_sets_and_compilers_are_other_files(
    fake: FakeCompiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [compile.build(source, "name", name) for source in ("one", "two") for name in ("avx2", "baseline")]
    monkeypatch.setattr(compile, "headers", lambda: {"cell.hpp": "other"})
    made.append(compile.build("one", "name", "avx2"))
    (tmp_path / "newer").mkdir()
    FakeCompiler(tmp_path / "newer", monkeypatch, COPY.replace("1.0", "2.0"))
    made.append(compile.build("one", "name", "avx2"))
    assert len(set(made)) == 6


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-1] + b"x", lambda b: b + b"x"]
)
def test_a_damaged_file_is_made_again(fake: FakeCompiler, damage: Any) -> None:
    library = compile.build("some source", "name", "avx2")
    library.write_bytes(damage(library.read_bytes()))
    assert content(compile.build("some source", "name", "avx2")) == b"some source"
    assert len(fake.calls()) == 2


def test_a_failure_has_the_compilers_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    FakeCompiler(tmp_path, monkeypatch, 'echo "cell.cpp:3: error: no such thing" >&2; exit 1')
    with pytest.raises(compile.CompilationError, match=r"compiling name failed: [^\n]* -mavx2 [^\n]*\n.*no such thing"):
        compile.build("some source", "name", "avx2")
    assert list(cache.iterdir()) == []


def test_a_compiler_that_makes_nothing_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCompiler(tmp_path, monkeypatch, "exit 0")
    with pytest.raises(compile.CompilationError, match="compiling name failed"):
        compile.build("some source", "name", "avx2")


def test_a_compiler_that_cannot_be_run_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c++").write_text("not a program")
    (tmp_path / "c++").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "c++"))
    with pytest.raises(compile.CompilationError, match="can't be run"):
        compile.build("some source", "name", "avx2")


def test_no_compiler_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(compile.NoCompilerError, match=r"^no C\+\+ compiler was found: there is no c\+\+, g"):
        compile.build("some source", "name", "avx2")
    monkeypatch.setenv("CXX", "my-c++ -m64")
    with pytest.raises(compile.NoCompilerError, match=r"CXX names my-c\+\+, which is not there"):
        compile.build("some source", "name", "avx2")


def test_compilers_are_tried_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("clang++", "g++", "c++"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert compile.compiler() == [name]


def test_the_cache_is_where_the_user_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compile.cache_folder() == tmp_path / "cache" / "cells"
    monkeypatch.delenv("STATEWISE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert compile.cache_folder() == tmp_path / "xdg" / "statewise" / "cells"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert compile.cache_folder() == tmp_path / "home" / ".cache" / "statewise" / "cells"
    assert stat.S_IMODE(compile.cache_folder().stat().st_mode) == 0o700


def test_without_a_cache_a_temporary_folder_serves(
    fake: FakeCompiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STATEWISE_CACHE", str(tmp_path / "file"))
    library = compile.build("some source", "name", "avx2")
    assert content(library) == b"some source"
    assert compile.build("some source", "name", "avx2") == library
    assert len(fake.calls()) == 1


def test_a_cache_that_others_can_write_to_is_not_used(tmp_path: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    assert compile.cache_folder() != cache
    cache.chmod(0o755)
    assert compile.cache_folder() == cache


def test_a_full_disk_leaves_the_temporary_folder(
    fake: FakeCompiler, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    full = iter([True])

    def fsync(descriptor: int) -> None:
        if next(full, False):
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    library = compile.build("some source", "name", "avx2")
    assert content(library) == b"some source"
    assert library.parent != cache
    assert list(cache.iterdir()) == []


TWO = """\
import sys
from pathlib import Path
from statewise.kernels.cpu import compile
Path(sys.argv[1]).touch()
while not Path(sys.argv[2]).exists():
    pass
print(compile.build("some source", "name", "avx2"))
"""


def test_two_processes_at_once_make_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    # Neither compiler ends before both have begun.
    wait = 'touch "$0.$$"; while [ "$(ls "$0".* | wc -l)" -lt 2 ]; do sleep 0.01; done\n'
    fake = FakeCompiler(tmp_path, monkeypatch, COPY.replace("cat ", wait + "cat "))
    began = [tmp_path / "a", tmp_path / "b"]
    run = [[sys.executable, "-c", TWO, str(own), str(other)] for own, other in (began, began[::-1])]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in run]
    found = [process.communicate(timeout=60)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(fake.calls()) == 2
    assert len(set(found)) == 1
    assert [str(f) for f in cache.iterdir()] == found[:1]
    assert content(Path(found[0])) == b"some source"


def test_a_real_compiler_makes_what_can_be_loaded() -> None:
    try:
        compile.compiler()
    except compile.NoCompilerError as reason:
        pytest.skip(str(reason))
    library = compile.build(ANSWER, "answer", cpu.instruction_set())
    assert ctypes.CDLL(str(library)).answer() == 42


def test_all_headers_that_are_needed_are_there_and_no_others() -> None:
    assert {f.name for f in Path(cpu.__file__).parent.rglob("*.[hc]pp")} == set(compile.headers())
    assert "simd.hpp" in compile.headers()


def test_flags_are_known_for_every_set_of_this_machine() -> None:
    for name in cpu.instruction_sets():
        assert "-ffp-contract=off" in compile.flags(name)
    with pytest.raises(KeyError, match="sse9"):
        compile.flags("sse9")


def test_a_cell_is_compiled_to_what_the_kernels_load() -> None:
    try:
        compile.compiler()
    except compile.NoCompilerError as reason:
        pytest.skip(str(reason))
    cell: Cell = ODD_CELLS[0]
    library = compile.compile_cell(cell, cpu.instruction_set())
    assert library.name.startswith("OddIndrnn-" + cpu.instruction_set())
    number = cpu._kernels.load_cell(str(library), "test_compile")
    assert number == cpu._kernels.load_cell(str(library), "test_compile")


def odd_step(ops: Any, x: Any, r: Any, w: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
    return (ops.tanh(x.a + r.a) * 0.5 + state[0] * 0.25,)


FAILURES = {
    "it is refused": ("echo 'error: no such thing' >&2; exit 1", "no such thing"),
    "it can't be loaded": (COPY, "invalid ELF header|file too short"),
}


@pytest.mark.parametrize(("script", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_cell_that_cannot_be_compiled_is_computed_by_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    FakeCompiler(tmp_path, monkeypatch, script)
    cell = Cell("odd_uncompiled", gates="a", states="h", step=odd_step)
    with pytest.warns(FallbackWarning, match=rf"(?s)cell odd_uncompiled has no kernel: .*({reason}).*slow reference"):
        layer = Recurrent(cell, 3, 5)
    x = torch.randn(4, 2, 3)
    assert kernel_of(layer._stack) is None  # and no second warning
    expected, _ = recurrent(x, None, list(layer.parameters()), layer._stack)
    torch.testing.assert_close(layer(x)[0], expected)
    warn_on_fallback()
    try:
        with pytest.warns(FallbackWarning, match=f"(?s)reference is taken: cell odd_uncompiled.*({reason})"):
            layer(x)
    finally:
        warn_on_fallback(False)


def test_a_machine_without_a_compiler_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    cell = Cell("odd_alone", gates="a", states="h", step=odd_step)
    with pytest.warns(FallbackWarning, match=r"no C\+\+ compiler was found: CXX names .*none"):
        Recurrent(cell, 3, 5)
    Recurrent(cell, 4, 6, num_layers=2)


@pytest.mark.slow
def test_two_cells_of_one_name_each_keep_their_kernel() -> None:
    try:
        compile.compiler()
    except compile.NoCompilerError as reason:
        pytest.skip(str(reason))
    x = torch.randn(4, 2, 3)
    found = []
    for factor in (0.5, 2.0):
        cell = Cell("odd_twice", "a", "h", lambda o, x, r, w, s, f=factor: (o.tanh(x.a + r.a) * f,), recurrent="a")
        layer = Recurrent(cell, 3, 5)
        assert kernel_of(layer._stack) is not None
        expected, _ = recurrent(x, None, list(layer.parameters()), layer._stack)
        torch.testing.assert_close(layer(x)[0], expected)
        found.append((layer, expected))
    for layer, expected in found:
        torch.testing.assert_close(layer(x)[0], expected)
