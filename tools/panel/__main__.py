"""The command: ``make panel``, or ``python -m panel [SET ...]`` with tools/ and the repository on the path.

Fetches the sets into build/panel, runs ``statewise forecast`` and all baselines on them, and writes docs/panel.json,
docs/panel.md and the table in docs/jobs/forecast.md. With names, only those sets are measured anew; ``--only
statewise`` keeps the figures of the other methods. What others wrote is installed into an environment of its own.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REQUIREMENTS = ("statsforecast>=2", "scikit-learn>=1.5")


def main(argv: Sequence[str]) -> int:
    """Measure, in an environment that has all methods; the exit status."""
    if importlib.util.find_spec("statsforecast") is None:
        from programs.install import environment

        python = environment(Path("build/panel/environment"), REQUIREMENTS)
        return subprocess.run([python, "-m", "panel", *argv], check=False).returncode
    from .measure import main  # imports what may have had to be installed

    return main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
