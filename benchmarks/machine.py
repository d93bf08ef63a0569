"""Where the figures come from: processor, instruction set, versions. What would date or locate a run is left out."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch

from statewise import __version__

Facts = dict[str, str | int]


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe(packages: Iterable[str] = ()) -> Facts:
    """For the file of a run, with the versions of those of ``packages`` that are installed."""
    facts: Facts = {
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "statewise": __version__,
    }
    return facts | {package: version(package) for package in packages if find_spec(package)}


def sentence(facts: Facts) -> str:
    """The same in words."""
    place = f"{facts['processor']} ({facts['instruction_set']}, {facts['cores']} cores)"
    versions = [f"{name} {number}" for name, number in list(facts.items())[4:]]
    return ", ".join([place, *versions])
