"""An environment for each program. What is installed in the one that runs this is seen there, and stays as it is."""

from __future__ import annotations

import subprocess
import sysconfig
import venv
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

KEPT = ("torch", "numpy")  # which statewise's kernels and these programs share: no other version may come in
_DONE = "installed"


class NotInstalledError(Exception):
    """Why a program can't be had, in pip's own words."""


def environment(folder: Path, requirements: Sequence[str]) -> Path:
    """The interpreter of an environment in ``folder`` that has ``requirements``, made unless it is there already."""
    python, done = folder / "bin" / "python", folder / _DONE
    wanted = "\n".join((*requirements, *_constraints()))
    if done.exists() and done.read_text() == wanted:
        return python
    venv.create(folder, clear=True, with_pip=False)
    scheme = {"base": str(folder), "platbase": str(folder)}
    here = Path(sysconfig.get_path("purelib", vars=scheme))
    (here / "statewise-environment.pth").write_text(sysconfig.get_path("purelib") + "\n")
    limits = folder / "constraints.txt"
    limits.write_text("\n".join(_constraints()) + "\n")
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check"]
    command = [*pip, "install", "--quiet", "--constraint", limits, *requirements]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise NotInstalledError(last_words(result.stderr))
    done.write_text(wanted)
    return python


def _constraints() -> list[str]:
    """With their local versions (``+cpu``), which no index has a second build of."""
    return [f"{name}=={version(name)}" for name in KEPT]


def last_words(stderr: str) -> str:
    """Pip's first line of error, or the last line of anything else."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines[-1:] or ["it says nothing"])[0]
