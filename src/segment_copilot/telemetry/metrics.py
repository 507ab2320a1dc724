"""Counts what Prometheus reads of this process. docs/operations/metrics.md lists all of it, and a test compares the two.

Names are those of OpenTelemetry's semantic conventions in Prometheus' spelling, where they have one, behind our prefix.
Labels are few by construction: route templates, purposes, queues, codes of our own; never a tenant, an id or a path.
"""

from __future__ import annotations

import time
from functools import cache

from prometheus_client import Counter, Gauge, Histogram, Info

from segment_copilot.telemetry.work import note_question

_P = "segment_copilot_"

BUILD = Info(f"{_P}build", "The version that runs.")

# Requests

REQUESTS = Counter(f"{_P}http_requests", "Requests answered.", ("method", "route", "status"))
SECONDS = Histogram(
    f"{_P}http_request_duration_seconds",
    "From the request's head to the answer's last byte; streams are counted apart.",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
OPEN_STREAMS = Gauge(f"{_P}http_open_streams", "Streams being sent now.")
STREAM_SECONDS = Histogram(
    f"{_P}http_stream_duration_seconds",
    "How long streams lasted.",
    ("route",),
    buckets=(1, 5, 15, 30, 60, 120, 300),
)
STALLED_STREAMS = Counter(f"{_P}http_stalled_streams", "Streams that were ended because nobody read them.")

# Stores

QUERY_SECONDS = Histogram(
    f"{_P}db_client_operation_duration_seconds",
    "What a store was asked, from the moment a connection was there to the last row; or that no connection could be opened.",
    ("db_system_name", "purpose", "error_type"),
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
WAIT_SECONDS = Histogram(
    f"{_P}db_client_connection_wait_time_seconds",
    "How long it took to get a connection of the pool.",
    ("pool",),
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 2, 5),
)
POOL_TIMEOUTS = Counter(
    f"{_P}db_client_connection_timeouts", "Times that no connection of the pool came free in time.", ("pool",)
)

# Work

JOBS = Counter(f"{_P}jobs", "Attempts at rows of a queue that this worker ended, by how.", ("queue", "outcome"))
JOB_SECONDS = Histogram(
    f"{_P}job_duration_seconds",
    "From the claim of a queue's row to its end.",
    ("queue",),
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800),
)
STEP_FAILURES = Counter(f"{_P}worker_step_failures", "Times that a step of the worker raised an error.", ("step",))
STEP_SUCCEEDED = Gauge(
    f"{_P}worker_step_last_success_timestamp_seconds",
    "When a step of the worker last ended well, with something to do or without.",
    ("step",),
)
EVENTS_ACCEPTED = Counter(f"{_P}events_accepted", "Events stored in PostgreSQL; repetitions are not.")
EVENTS_FORWARDED = Counter(f"{_P}events_forwarded", "Events that this worker took to ClickHouse.")
DELIVERIES = Counter(
    f"{_P}deliveries",
    "Deliveries to destinations and webhooks that were tried, by how that ended.",
    ("kind", "outcome"),
)

# What PostgreSQL knows: the same of every process. `stores/backlog.py` asks it when somebody scrapes.

BACKLOG_DEPTH = Gauge(
    f"{_P}queue_depth", "Rows of a queue that wait for a worker; at most 100,000 are counted.", ("queue",)
)
BACKLOG_AGE = Gauge(
    f"{_P}queue_oldest_age_seconds",
    "Since when the oldest of them could have been done; 0 where none waits.",
    ("queue",),
)
FORWARDER_LAG = Gauge(
    f"{_P}forwarder_lag_seconds", "Age of the oldest accepted event that is not in ClickHouse; 0 where all are."
)
REFRESH_LAG = Gauge(
    f"{_P}refresh_lag_seconds",
    "How late the latest refresh is: of a segment that is due, or whose computation waits or runs.",
)
STOPPED = Gauge(
    f"{_P}stopped",
    "What came to an end that a person has to look at, by kind; it stays until it is dealt with.",
    ("kind",),
)
FAILED_EVENTS = Gauge(
    f"{_P}events_failed", "Accepted events that ClickHouse refuses, kept in PostgreSQL; as last counted."
)
WORKERS = Gauge(f"{_P}workers", "Workers that live, as PostgreSQL sees them.")
BACKLOG_READ = Gauge(
    f"{_P}backlog_read_timestamp_seconds",
    "When PostgreSQL last told the queues, lags and workers; older values are the last that it told.",
)

# The copilot

RUNS = Counter(f"{_P}copilot_runs", "Runs of the copilot that ended, by outcome or code of the error.", ("outcome",))
RUN_SECONDS = Histogram(
    f"{_P}copilot_run_duration_seconds", "How long runs took.", buckets=(0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 120)
)
TURNS = Counter(f"{_P}copilot_turns", "Requests to the model, by how its answer ended.", ("model", "stop_reason"))
TURN_SECONDS = Histogram(
    f"{_P}gen_ai_client_inference_duration_seconds",
    "Requests to the model, from sending to the end of the answer.",
    ("model",),
    buckets=(0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 80),
)
FIRST_CHUNK_SECONDS = Histogram(
    f"{_P}gen_ai_client_inference_time_to_first_chunk_seconds",
    "Until the model said something.",
    ("model",),
    buckets=(0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
TOKENS = Counter(
    f"{_P}gen_ai_client_inference_usage_tokens",
    "Tokens used. Of input and output those from a cache, written to it, and of reasoning are counted again by themselves.",
    ("model", "type"),
)
COST = Counter(f"{_P}copilot_cost_usd", "What the tokens cost, where the model's price is known.", ("model",))
TOOL_CALLS = Counter(f"{_P}copilot_tool_calls", "Calls of the copilot's tools.", ("tool", "outcome"))
TOOL_SECONDS = Histogram(
    f"{_P}gen_ai_execute_tool_duration_seconds",
    "How long the copilot's tools took.",
    ("tool",),
    buckets=(0.001, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20),
)
UPSTREAM_FAILURES = Counter(
    f"{_P}copilot_upstream_failures", "Requests to the model that failed, by code of the error.", ("code",)
)
BREAKER_OPEN = Gauge(
    f"{_P}copilot_breaker_open", "1 while runs are refused because the model did not answer lately, else 0."
)
BREAKER_OPENED = Counter(f"{_P}copilot_breaker_opened", "Times that the breaker opened.")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def count_request(*, method: str, route: str, status: int, seconds: float, streamed: bool) -> None:
    """Count one answer. *route* is a template, never a path: labels must stay few."""
    method = method if method in _METHODS else "other"
    _requests(method, route, status).inc()
    _durations(method, route, streamed=streamed).observe(seconds)


def count_query(system: str, purpose: str, seconds: float, error: str = "") -> None:
    """Count one question to a store, here and in the line of the request or job that asks (`work.py`)."""
    _queries(system, purpose, error).observe(seconds)
    note_question(system, seconds)


def count_job(queue: str, outcome: str, seconds: float) -> None:
    """Count one attempt at a row of *queue*."""
    JOBS.labels(queue, outcome).inc()
    JOB_SECONDS.labels(queue).observe(seconds)


def count_step(step: str, *, failed: bool) -> None:
    """Count that a step of the worker ended."""
    if failed:
        _step_failures(step).inc()
    else:
        _step_succeeded(step).set(time.time())


def begin_steps(steps: tuple[str, ...]) -> None:
    """Make the series of *steps*, so that none of them is missing because it never failed."""
    for step in steps:
        _step_failures(step)


def count_turn(*, model: str, stop_reason: str, seconds: float, first: float | None, tokens: dict[str, int]) -> None:
    """Count one request to the model; *tokens* by type."""
    TURNS.labels(model, stop_reason).inc()
    TURN_SECONDS.labels(model).observe(seconds)
    if first is not None:
        FIRST_CHUNK_SECONDS.labels(model).observe(first)
    for type_, count in tokens.items():
        TOKENS.labels(model, type_).inc(count)


# Finding a series by its labels takes longer than counting in it.


@cache
def _requests(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, status)


@cache
def _durations(method: str, route: str, *, streamed: bool) -> Histogram:
    return STREAM_SECONDS.labels(route) if streamed else SECONDS.labels(method, route)


@cache
def _queries(system: str, purpose: str, error: str) -> Histogram:
    return QUERY_SECONDS.labels(system, purpose, error)


@cache
def _step_failures(step: str) -> Counter:
    return STEP_FAILURES.labels(step)


@cache
def _step_succeeded(step: str) -> Gauge:
    return STEP_SUCCEEDED.labels(step)
