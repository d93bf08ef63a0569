"""Which of several processes this is, as ``torchrun`` says it in the environment. Imports no torch."""

from __future__ import annotations

import os


def leads() -> bool:
    """Whether this process is the one that speaks and writes."""
    return os.environ.get("RANK", "0") == "0"
