"""Networks that run without torch: on numpy and the kernels alone. See docs/runtime.md.

net = runtime.load("net.safetensors")  # what statewise.save wrote, or the model file of a job
y = net.run(x, lengths)
state = net.start(batch)
y, state = net.step(x_t, state)
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from . import file
from .file import LoadError
from .jobs import JOBS, draw
from .network import Network, Pool, State
from .ops import KEPT
from .tagger import Tagger
from .translator import Hypothesis, Translator

__all__ = ["Hypothesis", "LoadError", "Network", "Pool", "State", "Tagger", "Translator", "draw", "load"]

KIND, FORMAT = "network", 1


def load(path: str | PathLike[str], *, threads: int = 1, dtype: str | None = None) -> Any:
    """The ``Network`` in a file of ``statewise.save``'s or a job's; of tag a ``Tagger``, of translate a ``Translator``.

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
        return net if dtype is None else Network(_kept_in(dtype, net.content), net._arrays, threads)
    told, arrays = file.read(data, str(path))
    kind, format = told.get("kind"), told.get("format")
    known = {KIND: FORMAT} | {name: job.format for name, job in JOBS.items()}
    if not isinstance(kind, str) or kind not in known:
        raise LoadError(f"{path}: the runtime runs no {' '.join(str(kind).split())[:40]}")
    if format != known[kind]:
        raise LoadError(
            f"{path}: a {kind} of format {str(format)[:20]}, written by statewise {str(told.get('version'))[:40]}; the"
            f" runtime reads format {known[kind]}"
        )
    try:
        content = told["content"]
        make: Any = Network
        if kind != KIND:
            make = JOBS[kind].network
            content, arrays = JOBS[kind].read(content, arrays)
        return make(content if dtype is None else _kept_in(dtype, content), arrays, threads)
    except LoadError as error:
        raise LoadError(f"{path}: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LoadError(f"{path}: a damaged {kind}: {reason[:300]}") from None


def _kept_in(dtype: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A program, or several, whose recurrent ops keep their weights in ``dtype``."""
    found = {name: _kept_in(dtype, value) if isinstance(value, dict) else value for name, value in content.items()}
    if isinstance(ops := content.get("ops"), list):
        found["ops"] = [op | {"dtype": dtype} if op.get("op") == "recurrent" else op for op in ops]
    return found


def _from_elsewhere(data: bytes, path: str, threads: int) -> Network:
    from .. import weights

    try:
        return weights.network(data, threads)
    except LoadError as error:
        raise LoadError(f"{path}: {error}") from None
