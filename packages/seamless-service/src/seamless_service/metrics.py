"""What a service counts, as Prometheus text at `/metrics`."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ("CONTENT_TYPE", "Metrics")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0)


class Metrics:
    """The counters of one service. Names get the prefix `seamless_SERVICE_`."""

    def __init__(self, service: str) -> None:
        self._prefix = f"seamless_{service.replace('-', '_')}"
        self._registry = CollectorRegistry()
        self._requests = self.counter("requests", "Requests answered", "method", "status")
        self._by_outcome: dict[tuple[str, int], Counter] = {}
        self._seconds = Histogram(
            f"{self._prefix}_request_seconds",
            "Time from a request's headers to the end of its answer",
            registry=self._registry,
            buckets=_SECONDS,
        )

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Return a new counter; `inc()` it, after `labels()` if it has any."""
        return Counter(f"{self._prefix}_{name}", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, read: Callable[[], float] | None = None) -> Gauge:
        """Return a new gauge; read: called whenever somebody asks for the metrics."""
        gauge = Gauge(f"{self._prefix}_{name}", text, registry=self._registry)
        if read is not None:
            gauge.set_function(read)
        return gauge

    def answered(self, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        counter = self._by_outcome.get((method, status))
        if counter is None:
            known = (
                method if method in _METHODS else "OTHER"
            )  # a client must not make as many rows as it likes
            counter = self._requests.labels(known, str(status))
            if known == method:
                self._by_outcome[method, status] = counter
        counter.inc()
        self._seconds.observe(seconds)

    def text(self) -> bytes:
        """Return all values, in Prometheus text format 0.0.4."""
        return generate_latest(self._registry)


_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"})
