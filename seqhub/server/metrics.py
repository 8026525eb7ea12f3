"""Counts of one server for Prometheus; labels hold route patterns, never names of repositories or users."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0)  # seconds
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # clients may invent others
LABELS = ("route", "method")


class Metrics:
    """Counts of one server since it started, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._in_flight = Gauge("seqhub_requests_in_flight", "Requests that are being answered.", registry=registry)
        self._requests = Counter(
            "seqhub_requests_total", "Requests that were answered.", (*LABELS, "status"), registry=registry
        )
        self._received = Counter("seqhub_received_bytes_total", "Bytes of request bodies.", LABELS, registry=registry)
        self._sent = Counter("seqhub_sent_bytes_total", "Bytes of response bodies.", LABELS, registry=registry)
        self._seconds = Histogram(
            "seqhub_request_seconds",
            "Time from a request's headers to the end of its answer.",
            LABELS,
            buckets=BUCKETS,
            registry=registry,
        )

    def begin(self) -> None:
        """Count a request that is being answered."""
        self._in_flight.inc()

    def end(self, route: str, method: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count an answered request; bytes are those of bodies."""
        method = method if method in METHODS else "other"
        self._in_flight.dec()
        self._requests.labels(route, method, str(status)).inc()
        self._received.labels(route, method).inc(received)
        self._sent.labels(route, method).inc(sent)
        self._seconds.labels(route, method).observe(seconds)

    def text(self) -> bytes:
        """Return all counts in the text format that Prometheus reads."""
        return generate_latest(self._registry)
