"""Where the processor time of a command goes: ``python -m benchmarks.sampler SHARES.json classify FILE --epochs 3``.

Every few milliseconds of processor time, of all threads, the stack of the main thread is looked at, and the time since
the look before is given to the part of the run that is on it. Python looks when a call returns, so a long call has its
whole time. Nothing is slowed down, as a tracing profiler would slow down what is small.

Nothing but the standard library is imported before the clock runs: imports are a part too.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from time import process_time
from types import CodeType, FrameType
from typing import NamedTuple

INTERVAL = 0.005  # seconds of processor time
TORCH, IMPORTS, READING = "import of torch", "other imports", "reading"
NETWORK, OPTIMIZER = "model: network, loss, gradient", "optimizer"
CLIPPING, BATCHES, LOOP, CHECKPOINT = "clipping", "batches", "loop, curve", "checkpoint"
VALIDATION, LINEAR, JUDGING = "validation", "model: what is linear in it", "test, baselines"
REPORT, REST = "report, pictures", "rest"
PARTS = (
    *(TORCH, IMPORTS, NETWORK, LINEAR, OPTIMIZER),
    *(READING, CLIPPING, BATCHES, LOOP, CHECKPOINT, VALIDATION, JUDGING, REPORT, REST),
)
LEARNING = (NETWORK, LINEAR, OPTIMIZER)  # what a run is for; all else comes with it
BESIDE = "neither model nor optimizer"
FIT = "fit"  # the fitting loop: no part, but what is on the stack below it


class Rule(NamedTuple):
    """What a function is about: of any file whose path has ``path`` in it; no ``name``: all of them."""

    path: str
    name: str
    part: str


RULES = (
    Rule("<frozen importlib", "", IMPORTS),
    Rule("statewise/jobs/training/checkpoint.py", "save", CHECKPOINT),
    Rule("statewise/jobs/report/", "", REPORT),
    Rule("site-packages/matplotlib/", "", REPORT),
    Rule("statewise/jobs/experiment.py", "page_of", REPORT),
    Rule("statewise/jobs/training/fit.py", "_validate", VALIDATION),
    Rule("statewise/jobs/tasks/write/caching.py", "", VALIDATION),
    Rule("statewise/jobs/training/fit.py", "fit", FIT),
    Rule("statewise/jobs/training/optimizer.py", "step", OPTIMIZER),
    Rule("statewise/jobs/training/optimizer.py", "clip", CLIPPING),
    Rule("site-packages/torch/nn/", "", NETWORK),
    Rule("site-packages/torch/_tensor.py", "backward", NETWORK),
    Rule("statewise/layers/", "", NETWORK),
    Rule("statewise/ops/", "", NETWORK),
    Rule("/network.py", "", NETWORK),
    Rule("statewise/jobs/tasks/forecast/networks.py", "", NETWORK),
    Rule("statewise/jobs/tasks/tag/crf.py", "", NETWORK),
    Rule("statewise/jobs/tasks/", "loss", BATCHES),
    Rule("statewise/jobs/tasks/forecast/linear/", "", LINEAR),
    Rule("statewise/jobs/tasks/tag/fitting.py", "", LINEAR),
    Rule("statewise/jobs/tasks/classify/rocket.py", "", LINEAR),
    Rule("statewise/jobs/tasks/classify/ngrams.py", "", LINEAR),
    Rule("statewise/jobs/tasks/classify/ridge.py", "", LINEAR),
    Rule("/job.py", "__init__", READING),
    Rule("/job.py", "judge", JUDGING),
)
ANYWHERE = (CHECKPOINT, REPORT, VALIDATION)  # what decides before anything else, in this order,
IN_THE_LOOP = (NETWORK, OPTIMIZER, CLIPPING, BATCHES)  # below the fitting loop,
OUTSIDE = (LINEAR, READING, JUDGING)  # and elsewhere


@cache
def about(path: str, name: str) -> str | None:
    """What a function of a file is about; None: nothing that counts."""
    path = path.replace("\\", "/")
    return next((rule.part for rule in RULES if rule.path in path and rule.name in ("", name)), None)


def part_of(codes: list[CodeType]) -> str:
    """The part of a run that is on a stack, which begins with the innermost function."""
    found = {about(code.co_filename, code.co_name) for code in codes}
    if IMPORTS in found:
        paths = [code.co_filename.replace("\\", "/") for code in reversed(codes)]
        packages = [path.split("site-packages/")[1] for path in paths if "site-packages/" in path]
        outermost = next((package for package in packages if not package.startswith("statewise")), "")
        return TORCH if outermost.startswith("torch/") else IMPORTS
    order = ANYWHERE + ((*IN_THE_LOOP, LOOP) if FIT in found else OUTSIDE)
    return next((part for part in order if part in found), LOOP if FIT in found else REST)


def beside(seconds: Mapping[str, float]) -> float:
    """The share of what comes with a run, of all that follows the imports."""
    after = {part: value for part, value in seconds.items() if part not in (TORCH, IMPORTS)}
    return 1 - sum(after.get(part, 0.0) for part in LEARNING) / sum(after.values())


class Sampler:
    """Gives the processor time between ``begin`` and ``end`` to ``seconds`` of the parts."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.last = 0.0

    def begin(self) -> None:
        """From now on, and what the process has used up to now."""
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)

    def end(self) -> None:
        """No more."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)

    def _look(self, number: int, frame: FrameType | None) -> None:
        now, codes = process_time(), []
        while frame is not None:
            codes.append(frame.f_code)
            frame = frame.f_back
        self.seconds[part_of(codes)] += now - self.last
        self.last = now


def main(argv: list[str]) -> None:
    """Run ``statewise`` with what ``argv`` has behind the name of a file, and write the seconds of each part there."""
    sampler = Sampler()
    sampler.begin()
    from statewise.cli import main as run

    status = run(argv[1:])
    sampler.end()
    if status:
        sys.exit(status)
    total = sum(sampler.seconds.values())
    for part, seconds in sampler.seconds.items():
        if seconds:
            print(f"{part:32}{seconds:8.2f} s {seconds / total:7.1%}")
    print(f"{BESIDE + ', after the imports':42}{beside(sampler.seconds):7.1%}")
    Path(argv[0]).write_text(json.dumps(sampler.seconds), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
