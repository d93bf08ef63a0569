"""The command ``statewise inspect``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..jobs.command import Command, Out, say
from ..jobs.config import again, option
from ..jobs.errors import InputError

# By the kind of a model's file the job, whose ``inspected`` reads data and takes a sample of them.
JOBS = {
    "classification model": "classify",
    "forecast model": "forecast",
    "writing model": "write",
    "tagging model": "tag",
    "translation model": "translate",
}


@dataclass(kw_only=True)
class InspectOptions(Out):
    """What ``inspect`` can be told."""

    model: Path = option(..., "a model.safetensors of a job's run", metavar="MODEL", positional=True)
    file: Path = option(..., "data as the job reads them", metavar="DATA", positional=True)
    out: Path | None = again(Out, "out", None, "DATA's name with -inspected.html, here")


COMMAND = Command(
    "inspect",
    InspectOptions,
    "statewise.inspecting.command:run",
    usage="statewise inspect MODEL DATA [option ...]",
    description="""\
Look inside a trained network while it reads some rows of DATA: gates and states over
time, gradients through time, saturated gates, dead units, and what of the input
mattered. Prints what is found and what to do about it, and writes a page with pictures.
""",
    examples="""\
examples:
  statewise inspect runs/tag-sentences-1/model.safetensors SENTENCES.conll
  statewise inspect runs/write-names-1/model.safetensors NAMES.txt --out names.html
""",
)


def run(options: InspectOptions) -> None:
    """Print what is found, and write the page."""
    from ..jobs.artifacts import atomic
    from ..jobs.data.content import plain_name

    out = options.out_file(f"{plain_name(options.file)}-inspected.html")
    tasks = f"{__package__}".replace("inspecting", "jobs.tasks")
    job = import_module(f"{tasks}.{_job_of(options.model)}.inspected")
    model = job.Model.load(options.model)
    try:
        sample = job.sample(model, job.read(model, options.file))
        found: Any = sample.inspected(f"{options.model} on {options.file.name}")
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{options.model}: {error}") from None
    atomic.write(out, found.html())
    say(f"{found}\n\n{out}: the pictures")


def _job_of(path: Path) -> str:
    """The job whose model is in ``path``. InputError where that is none's."""
    from ..runtime import file

    try:
        told, _ = file.read(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(str(error)) from None
    kind = str(told.get("kind"))
    if kind not in JOBS:
        raise InputError(
            f"{path}: a {' '.join(kind.split())[:40]}, expected a {', '.join(JOBS)}; statewise.inspect(module, x) looks"
            " into any module of torch's"
        )
    return JOBS[kind]
