"""``python -m benchmarks``. What can't be used of the arguments ends in one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from statewise.jobs.errors import InputError

from .command import add_arguments, run


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what ``argv`` names; the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        return run(args)
    except InputError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
