"""What a service counts, as Prometheus text at `/metrics`."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

__all__ = ("CONTENT_TYPE", "Metrics")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"})


class Metrics:
    """The counters of one service. Names get the prefix `seamless_SERVICE_`."""

    def __init__(self, service: str) -> None:
        self._prefix = f"seamless_{service.replace('-', '_')}"
        self._registry = CollectorRegistry()
        self._requests = _Requests(self._prefix)
        self._registry.register(self._requests)
        self.answered = self._requests.answered

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Return a new counter; `inc()` it, after `labels()` if it has any."""
        return Counter(f"{self._prefix}_{name}", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, read: Callable[[], float] | None = None) -> Gauge:
        """Return a new gauge; read: called whenever somebody asks for the metrics."""
        gauge = Gauge(f"{self._prefix}_{name}", text, registry=self._registry)
        if read is not None:
            gauge.set_function(read)
        return gauge

    def text(self) -> bytes:
        """Return all values, in Prometheus text format 0.0.4."""
        return generate_latest(self._registry)


class _Requests(Collector):
    """Counts requests in plain numbers, on the event loop's thread: the library's own counters cost 8 us a request."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._by_outcome: dict[tuple[str, int], int] = defaultdict(int)
        self._by_bucket = [0] * (len(_BUCKETS_S) + 1)
        self._sum_s = 0.0

    def answered(self, method: str, status: int, seconds: float) -> None:
        """Count one request. A method that HTTP does not know counts as OTHER."""
        self._by_outcome[method if method in _METHODS else "OTHER", status] += 1
        self._by_bucket[bisect_left(_BUCKETS_S, seconds)] += 1
        self._sum_s += seconds

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            f"{self._prefix}_requests", "Requests answered", labels=["method", "status"]
        )
        for (method, status), n_requests in sorted(self._by_outcome.items()):
            requests.add_metric([method, str(status)], n_requests)
        yield requests
        buckets, total = [], 0
        for limit, n_requests in zip([*map(str, _BUCKETS_S), "+Inf"], self._by_bucket, strict=True):
            total += n_requests
            buckets.append((limit, float(total)))
        text = "Time from a request's headers to the end of its answer"
        yield HistogramMetricFamily(
            f"{self._prefix}_request_seconds", text, buckets=buckets, sum_value=self._sum_s
        )
