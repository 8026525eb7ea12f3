"""Counts of one server in Prometheus' text format; labels hold route patterns, never names of repositories or users."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from threading import Lock

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0)  # seconds
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # others would be labels at will
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What one server has done since it started."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._in_flight = 0
        self._requests: Counter[Labels] = Counter()
        self._received: Counter[Labels] = Counter()
        self._sent: Counter[Labels] = Counter()
        self._seconds: defaultdict[Labels, float] = defaultdict(float)
        self._buckets: defaultdict[Labels, list[int]] = defaultdict(lambda: [0] * len(BUCKETS))
        self._timed: Counter[Labels] = Counter()

    def begin(self) -> None:
        with self._lock:
            self._in_flight += 1

    def end(self, route: str, method: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count one request that is over; bytes are those of bodies."""
        here: Labels = (("route", route), ("method", method if method in METHODS else "other"))
        with self._lock:
            self._in_flight -= 1
            self._requests[(*here, ("status", str(status)))] += 1
            self._received[here] += received
            self._sent[here] += sent
            self._seconds[here] += seconds
            self._timed[here] += 1
            for number, bound in enumerate(BUCKETS):
                self._buckets[here][number] += seconds <= bound

    def text(self) -> str:
        """Everything, as a scraper reads it."""
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _head("seqhub_requests_in_flight", "gauge", "Requests that are being answered.")
        yield f"seqhub_requests_in_flight {self._in_flight}"
        yield from _counter("seqhub_requests_total", "Requests that were answered.", self._requests)
        yield from _counter("seqhub_received_bytes_total", "Bytes of request bodies.", self._received)
        yield from _counter("seqhub_sent_bytes_total", "Bytes of response bodies.", self._sent)
        name = "seqhub_request_seconds"
        yield from _head(name, "histogram", "Time from a request's headers to the end of its answer.")
        for labels, counts in self._buckets.items():
            for bound, count in zip(BUCKETS, counts, strict=True):
                yield f"{name}_bucket{_braces((*labels, ('le', str(bound))))} {count}"
            yield f"{name}_bucket{_braces((*labels, ('le', '+Inf')))} {self._timed[labels]}"
            yield f"{name}_sum{_braces(labels)} {self._seconds[labels]:.6f}"
            yield f"{name}_count{_braces(labels)} {self._timed[labels]}"


def _counter(name: str, help_text: str, values: Counter[Labels]) -> Iterator[str]:
    yield from _head(name, "counter", help_text)
    for labels, value in values.items():
        yield f"{name}{_braces(labels)} {value}"


def _head(name: str, kind: str, help_text: str) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} {kind}"


def _braces(labels: Labels) -> str:
    def quoted(value: str) -> str:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{name}="{quoted(value)}"' for name, value in labels) + "}"
