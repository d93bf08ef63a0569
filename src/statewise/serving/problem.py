"""What a client is told in the place of an answer, as RFC 9457 has it: one JSON object with a status and a sentence."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818  (the RFC's word)
    """Raised where a request can't be answered. ``headers`` go with the answer."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}

    def told(self) -> dict[str, Any]:
        """The object."""
        title = HTTPStatus(self.status).phrase
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}


def busy(detail: str) -> Problem:
    """The server has too much to do just now: the client had better come again."""
    return Problem(503, detail, {"retry-after": "1"})
