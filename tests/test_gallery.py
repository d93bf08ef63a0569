"""The programs in examples/gallery: what they claim holds, as scripts and as notebooks."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
from sphinx_gallery.notebook import jupyter_notebook
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

PROGRAMS = sorted((Path(__file__).parents[1] / "examples" / "gallery").glob("*.py"))
EVERY = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)


def test_there_are_six() -> None:
    assert len(PROGRAMS) == 6


@EVERY
def test_a_program_is_a_lesson(program: Path, tmp_path: Path) -> None:
    """It says first what is learnt, asserts what it claims, and all of its code is in its notebook."""
    text = program.read_text()
    tree = ast.parse(text)
    assert "**You learn**" in (ast.get_docstring(tree) or "")
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    _, blocks = split_code_and_text_blocks(str(program))
    notebook = jupyter_notebook(blocks, dict(DEFAULT_GALLERY_CONF, first_notebook_cell=""), str(program.parent))
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert ast.dump(ast.parse(code)) == ast.dump(ast.Module(tree.body[1:], []))
    assert json.loads(json.dumps(notebook))["nbformat"] == 4


@pytest.mark.slow
@EVERY
def test_what_a_program_claims(program: Path, tmp_path: Path) -> None:
    """By itself, in a process of its own; a warning is an error."""
    own = {"MPLBACKEND": "agg", "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**{k: v for k, v in os.environ.items() if k != "MNIST"}, **own},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
