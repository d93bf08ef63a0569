"""JSON as it comes and goes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from ..jobs.errors import InputError
from .problem import MEDIA_TYPE, Problem, busy

logger = logging.getLogger("statewise.serving")


def encoded(content: Any) -> bytes:
    """``content`` as JSON, which has no number that isn't finite: null in its place."""
    return to_json(content, inf_nan_mode="null")


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``content`` as JSON."""
    return Response(encoded(content), status, headers, "application/json")


def refusal(problem: Problem) -> Response:
    """The answer that says what is wrong."""
    return Response(encoded(problem.told()), problem.status, problem.headers, MEDIA_TYPE)


def parsed(kind: type[BaseModel], data: bytes | str) -> Any:
    """``data`` as a ``kind``. Raises ``Problem`` with the first of what is wrong."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    where = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in first["loc"]).lstrip(".")
    if first["type"] == "json_invalid":
        raise Problem(400, first["msg"])
    said = "is not known here" if first["type"] == "extra_forbidden" else first["msg"]
    came = "" if first["type"] in ("missing", "extra_forbidden") else f", got {_short(first['input'])}"
    raise Problem(422, f"{where[:200]}: {said[:300]}{came}" if where else f"{said[:300]}{came}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def problem_of(error: Exception) -> Problem:
    """What a client is told of ``error``; of a defect no more than that there is one, and the log gets the rest."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, InputError):
        return Problem(422, str(error))
    if isinstance(error, MemoryError):
        return busy("there isn't memory enough for this just now")
    logger.error("a request has met a defect", exc_info=error)
    return Problem(500, "a defect of the server's; its log says more")
