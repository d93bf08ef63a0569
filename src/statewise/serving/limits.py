"""How much one client may ask of the server, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass

from ..jobs.config import Config, Positive, Whole, option

MEGABYTE = 10**6


@dataclass(kw_only=True)
class Limits(Config):
    """Raises ``InputError`` where a value can't be used."""

    body: Positive = option(1.0, "what a request or a message may hold at most", group="limits", metavar="MB")
    length: Whole = option(
        10_000,
        "steps of a sequence, words, characters or rows of a request, symbols to write",
        group="limits",
        metavar="N",
    )
    answer: Whole = option(1_000_000, "numbers of an answer", group="limits", metavar="N")
    streams: Whole = option(1000, "streams of a model that are open at once", group="limits", metavar="N")
    connections: Whole = option(4000, "connections at once", group="limits", metavar="N")
    queue: Whole = option(1000, "requests that wait for a model", group="limits", metavar="N")
    batch: Whole = option(256, "requests that are computed at once", group="limits", metavar="N")
    timeout: Positive = option(
        30.0, "for a request to be read, for its answer to be found, and to be sent", group="limits", metavar="SECONDS"
    )
    keep: Positive = option(
        600.0, "how long a stream is kept that nobody is connected to", group="limits", metavar="SECONDS"
    )

    @property
    def body_bytes(self) -> int:
        """``body`` in bytes."""
        return int(self.body * MEGABYTE)
