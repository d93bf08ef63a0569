"""Networks that run without torch: on numpy and the kernels alone. See docs/runtime.md.

net = runtime.load("net.safetensors")  # what statewise.save wrote, or the model file of a job
y = net.run(x, lengths)
state = net.start(batch)
y, state = net.step(x_t, state)
"""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from . import file
from .classifier import Classifier
from .file import LoadError
from .forecaster import Forecaster
from .jobs import JOBS, draw, kept_in
from .network import FORMAT, KIND, Network, Pool, State
from .program import KEPT
from .tagger import Tagger
from .translator import Hypothesis, Translator
from .writer import Writer

__all__ = [
    "Classifier",
    "Forecaster",
    "Hypothesis",
    "LoadError",
    "Network",
    "Pool",
    "State",
    "Tagger",
    "Translator",
    "Writer",
    "draw",
    "load",
]


def load(path: str | PathLike[str], *, threads: int = 1, dtype: str | None = None) -> Any:
    """What runs the network in a file of ``statewise.save``'s, a ``Network``, or a job's model.

    That is a ``Forecaster``, a ``Writer``, a ``Tagger`` or a ``Translator``; of a classifier of numbers that is a
    network alone, a ``Network``, of others a ``Classifier``.

    Args:
        path: a ``.safetensors`` file; or a network of another library's, ``.keras``, RTNeural's JSON or ``.nam``.
        threads: on how many a call of the recurrent layers may compute. Default: 1, the caller's.
        dtype: what the recurrent layers' matrices are packed in: "int8", "bfloat16" or "float32"; see
            ``statewise.freeze``. Default: what the file says, which is float32 unless it was saved in another.

    Raises:
        LoadError: a ValueError of one line that begins with ``path``: the file is damaged, foreign, of a later version,
            or has what the runtime can't run.
        OSError: it can't be read.
        ValueError: ``dtype`` is none of these.
    """
    if dtype not in (None, *KEPT):
        raise ValueError(f"load: expected dtype to be {', '.join(KEPT)} or None, got {dtype!r}")
    data = Path(path).read_bytes()
    if file.kind(data) != "safetensors":
        net = _from_elsewhere(data, str(path), threads)
        return net if dtype is None else Network(kept_in(dtype, net.content), net._arrays, threads)
    told, arrays = file.read(data, str(path))
    kind, format = told.get("kind"), told.get("format")
    if isinstance(kind, str) and kind in JOBS:
        return _of_job(kind, Path(path), threads, dtype)
    if kind != KIND:
        raise LoadError(f"{path}: the runtime runs no {file.shown(kind)}")
    if format != FORMAT:
        raise LoadError(
            f"{path}: a {kind} of format {file.shown(format, 20)}, written by statewise"
            f" {file.shown(told.get('version'))}; the runtime reads format {FORMAT}"
        )
    try:
        return Network(kept_in(dtype, told["content"]), arrays, threads)
    except LoadError as error:
        raise LoadError(f"{path}: {file.in_a_line(error)}") from None
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        raise LoadError(f"{path}: a damaged {kind}: {file.in_a_line(error)}") from None


def _of_job(kind: str, path: Path, threads: int, dtype: str | None) -> Any:
    """What runs a job's model, whichever version wrote it."""
    from ..jobs.artifacts.model_file import Kernels
    from ..jobs.errors import InputError

    model = import_module(f"..jobs.tasks.{JOBS[kind].task}.model", __name__).Model
    try:
        return model.load(path, Kernels(threads, dtype)).running()
    except InputError as error:
        raise LoadError(str(error)) from None


def _from_elsewhere(data: bytes, path: str, threads: int) -> Network:
    from .. import weights

    try:
        return weights.network(data, threads)
    except LoadError as error:
        raise LoadError(f"{path}: {file.in_a_line(error)}") from None
