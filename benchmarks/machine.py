"""Where the figures come from: processor, instruction set, versions. What would date or locate a run is left out."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe() -> dict[str, str | int]:
    """For the JSON file and the page's first line."""
    import torch

    from statewise._version import __version__

    return {
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "statewise": __version__,
    }


def sentence(machine: dict[str, str | int]) -> str:
    """The same in words."""
    return (
        f"{machine['processor']} ({machine['instruction_set']}, {machine['cores']} cores), "
        f"torch {machine['torch']}, statewise {machine['statewise']}"
    )
