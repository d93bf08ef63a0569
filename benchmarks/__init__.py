"""The benchmark against torch.nn: ``make bench``, ``python -m benchmarks``.

Both sides run in one process, alternating which goes first, on fresh input and freshly stepped weights in every
repetition; a reference product timed around every repetition tells which ones the machine disturbed. No time is taken
before the results agree. Importing this package imports no torch.
"""

from __future__ import annotations

from .command import add_arguments, run

__all__ = ["add_arguments", "run"]
