"""What computes here, and when it does not."""

from __future__ import annotations

import torch

from .._version import __version__
from ..kernels import cpu
from .fallback import served_dtypes, warn_on_fallback


def show_config() -> str:
    """How statewise computes in this process, as text, one fact a line: version, instruction set, threads, doors.

    The environment variable ``STATEWISE_ISA`` forces one of the instruction sets listed; the number of threads is
    torch's (``torch.set_num_threads``).
    """
    return "\n".join(
        (
            f"statewise {__version__}, torch {torch.__version__}",
            f"instruction set: {cpu.instruction_set()} (this machine has {', '.join(cpu.instruction_sets())})",
            f"threads: {torch.get_num_threads()}, by {cpu.thread_runtime()}",
            f"cells with kernels: {', '.join(sorted(cpu.cells()))}",
            f"by the kernels: {served_dtypes()} on the CPU, forward and backward, torch.compile, torch.func",
            f'bfloat16 (its weights, autocast, the matmul precision "medium"): {_bfloat16()}',
            "by torch's own kernels: other 16 bits on the CPU, CUDA, MPS, XPU",
            "by the slow reference: what these don't serve, forward-mode derivatives, a gradient's gradient;",
            "  statewise.warn_on_fallback() makes it audible",
        )
    )


def _bfloat16() -> str:
    if cpu.computes_bfloat16():
        return "the kernels, by AVX512-BF16"
    return 'torch\'s own kernels; "medium" changes nothing here'


__all__ = ["show_config", "warn_on_fallback"]
