"""statewise's commands as processes of their own: one or several, killed at a given moment, and what they log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def start(*words: object, folder: Path | None = None, processes: int = 1) -> subprocess.Popen:
    """``statewise WORDS`` in ``folder``, on one thread; as torchrun starts it where there are several ``processes``."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    command = [sys.executable, "-m", *(launcher if processes > 1 else []), "statewise", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def finished(job: subprocess.Popen, timeout: float = 180) -> str:
    """What ``job`` prints until its end, which is a good one."""
    out, error = ended(job, timeout)
    assert job.returncode == 0, error
    return out


def ended(job: subprocess.Popen, timeout: float = 180) -> tuple[str, str]:
    """What ``job`` prints until its end, however it ends; one that never does is ended, and its processes with it."""
    try:
        return job.communicate(timeout=timeout)
    finally:
        if job.poll() is None:
            job.terminate()


def kill(job: subprocess.Popen, when: Callable[[], bool]) -> None:
    """Kill ``job``, which is still at work, as soon as ``when()``."""
    deadline = time.monotonic() + 120
    while not when():
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.003)
    job.send_signal(signal.SIGKILL)
    job.communicate()


def logged(run: Path | str) -> list[dict]:
    """The records of ``run``'s ``metrics.jsonl`` without their times; none while there is no such file."""
    log = Path(run, "metrics.jsonl")
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]
