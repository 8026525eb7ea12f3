"""Prometheus metrics of a server; labels contain route patterns, never names of repositories or users."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0)  # seconds
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # other values are counted together
LABELS = ("route", "method")


class Metrics:
    """Metrics of one server since its start, in a separate registry."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._in_flight = Gauge("seqhub_requests_in_flight", "Requests in progress.", registry=registry)
        self._requests = Counter("seqhub_requests_total", "Completed requests.", (*LABELS, "status"), registry=registry)
        self._received = Counter("seqhub_received_bytes_total", "Bytes of request bodies.", LABELS, registry=registry)
        self._sent = Counter("seqhub_sent_bytes_total", "Bytes of response bodies.", LABELS, registry=registry)
        self._seconds = Histogram(
            "seqhub_request_seconds",
            "Time from the headers of a request to the end of its response.",
            LABELS,
            buckets=BUCKETS,
            registry=registry,
        )

    def begin(self) -> None:
        """Count the start of a request."""
        self._in_flight.inc()

    def end(self, route: str, method: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count the end of a request; bytes are counted for bodies only."""
        method = method if method in METHODS else "other"
        self._in_flight.dec()
        self._requests.labels(route, method, str(status)).inc()
        self._received.labels(route, method).inc(received)
        self._sent.labels(route, method).inc(sent)
        self._seconds.labels(route, method).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
