"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = tuple(float(2**k) for k in range(11))


class Metrics:
    """Those of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "statewise_requests_total",
            "Requests and websocket messages",
            ["model", "operation", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "statewise_request_seconds",
            "From a whole request to its answer",
            ["model", "operation"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._rows = Histogram(
            "statewise_batch_rows", "Requests computed at once", ["model"], buckets=ROWS, registry=self.registry
        )
        self._batches = Histogram(
            "statewise_batch_seconds", "Time of a batch", ["model"], buckets=SECONDS, registry=self.registry
        )
        self._waiting = Gauge("statewise_waiting", "Requests that wait for a model", ["model"], registry=self.registry)
        self._streams = Gauge("statewise_streams", "Streams that are open", ["model"], registry=self.registry)

    def request(self, model: str, operation: str, status: int, seconds: float) -> None:
        """A request that was answered."""
        self._requests.labels(model, operation, str(status)).inc()
        self._seconds.labels(model, operation).observe(seconds)

    def batches(self, model: str) -> Callable[[str, int, float], None]:
        """Who is told of the batches of ``model``."""
        rows, seconds = self._rows.labels(model), self._batches.labels(model)

        def seen(name: str, count: int, took: float) -> None:
            rows.observe(count)
            seconds.observe(took)

        return seen

    def watch(self, model: str, waiting: Callable[[], int], streams: Callable[[], int]) -> None:
        """Look at these whenever Prometheus asks."""
        self._waiting.labels(model).set_function(waiting)
        self._streams.labels(model).set_function(streams)

    def text(self) -> bytes:
        """What is told by now."""
        return generate_latest(self.registry)
