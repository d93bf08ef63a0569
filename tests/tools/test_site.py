"""`make docs`: the pages become a site without a warning, and what is public has its place there."""

from __future__ import annotations

import subprocess
import sys
from inspect import isclass, isfunction
from pathlib import Path

import pytest

import statewise
import statewise.jobs
from statewise import runtime

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    reference = (tmp_path / "api.html").read_text()
    for module in (statewise, statewise.jobs, runtime):
        for name in module.__all__:
            if isclass(found := getattr(module, name)) or isfunction(found):
                assert f'id="{module.__name__}.{name}"' in reference, f"{module.__name__}.{name}"
