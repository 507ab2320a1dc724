"""Counts what Prometheus reads: requests by route template, open streams, and the process."""

from __future__ import annotations

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("segment_copilot_http_requests", "Requests answered.", ("method", "route", "status"))
SECONDS = Histogram(
    "segment_copilot_http_request_duration_seconds",
    "From the request's head to the answer's last byte; streams are counted apart.",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
OPEN_STREAMS = Gauge("segment_copilot_http_open_streams", "Streams being sent now.")
STREAM_SECONDS = Histogram(
    "segment_copilot_http_stream_duration_seconds",
    "How long streams lasted.",
    ("route",),
    buckets=(1, 5, 15, 30, 60, 120, 300),
)

FAILED_EVENTS = Gauge(
    "segment_copilot_events_failed",
    "Accepted events that ClickHouse refuses, kept in PostgreSQL; as last counted.",
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def count_request(*, method: str, route: str, status: int, seconds: float, streamed: bool) -> None:
    """Count one answer. *route* is a template, never a path: labels must stay few."""
    method = method if method in _METHODS else "other"
    _requests(method, route, status).inc()
    _durations(method, route, streamed=streamed).observe(seconds)


# Finding a series by its labels takes longer than counting in it.


@cache
def _requests(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, status)


@cache
def _durations(method: str, route: str, *, streamed: bool) -> Histogram:
    return STREAM_SECONDS.labels(route) if streamed else SECONDS.labels(method, route)
