"""The command: ``make programs``, or ``python -m programs [NAME ...]`` with tools/ on the path.

Installs each program, measures it, accelerated or carried over, and writes docs/programs.json and docs/programs.md;
with names, only those are measured anew. The exit status is 1 where a program is left out or computes something else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import NAMES, program
from .install import NotInstalledError, environment, last_words
from .report import page, table_of

FOLDER = Path("build/programs")
DOCS = Path("docs")
SECONDS = 900  # for one program


def main(argv: Sequence[str]) -> int:
    """Measure what is named; the exit status."""
    parser = argparse.ArgumentParser(prog="programs", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all unless given")
    parser.add_argument("--quick", action="store_true", help="a first impression: nothing is written")
    args = parser.parse_args(argv)
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"expected names of {', '.join(NAMES)}, got {', '.join(sorted(unknown))}")
    found = {}
    for name in args.names or NAMES:
        found[name] = _found(name, quick=args.quick)
        print(f"{name}: {_told(found[name])}", flush=True)
    wrong = any(record.get("wrong") for record in found.values())
    if wrong:
        print("wrong results; nothing is written", file=sys.stderr)
    elif not args.quick:
        _write(found)
    return int(wrong or any("left_out" in record for record in found.values()))


def _found(name: str, *, quick: bool) -> dict[str, Any]:
    """What ``measure`` says of a program, or why it can't."""
    try:
        python = environment(FOLDER / name, program(name).REQUIREMENTS)
    except NotInstalledError as error:
        return {"left_out": f"it can't be installed. {error}"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "found.json")
        command: list[str | Path] = [python, "-m", "programs.measure", name, file, *(["--quick"] if quick else [])]
        try:
            result = subprocess.run(
                command, env=_environment_variables(), capture_output=True, text=True, check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return {"left_out": f"it took more than {SECONDS} seconds"}
        if result.returncode:
            return {"left_out": f"it doesn't run. {last_words(result.stderr)}"}
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def _environment_variables() -> dict[str, str]:
    """Where the process finds this package and benchmarks; numpy's products on one thread, as the rest."""
    tools = Path(__file__).resolve().parents[1]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (tools, tools.parent))), "OPENBLAS_NUM_THREADS": "1"}


def _told(record: dict[str, Any]) -> str:
    """For the terminal."""
    if "left_out" in record:
        return f"left out: {record['left_out']}"
    if record["wrong"]:
        return "\n  ".join(["WRONG", *record["wrong"]])
    return f"{record['version']}\n{table_of(record)}"


def _write(found: dict[str, Any]) -> None:
    """The figures of ``found``, and beside them those that were there."""
    file = DOCS / "programs.json"
    records = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    records = {name: (records | found)[name] for name in NAMES if name in records | found}
    file.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    (DOCS / "programs.md").write_text(page(records), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
