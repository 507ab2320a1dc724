"""Knows what waits for a worker in every table, since when, and how late events and refreshes are."""

from __future__ import annotations

import time
from typing import Final

from msgspec import Struct

from segment_copilot.stores.confinement import every_tenant
from segment_copilot.stores.postgres import Postgres
from segment_copilot.stores.presence import LIVING
from segment_copilot.telemetry import metrics

AT_MOST: Final = 100_000  # rows that are counted: a queue that is longer is long


class Backlog(Struct, frozen=True):
    """A backlog is rows of a table that wait, the oldest of which says how late the work is."""

    name: str
    says: str
    sql: str
    """Of the rows that wait: `since`, from when on each could have been done. Oldest first, where an index has it so."""
    patience: float
    """Seconds after which the oldest is late; after ten times as many something is wrong."""


BACKLOGS: Final = (
    Backlog(
        "events",
        "events that no block holds yet",
        "SELECT received_at AS since FROM events WHERE block_id IS NULL ORDER BY seq",
        60,
    ),
    Backlog(
        "blocks",
        "blocks of events on their way to ClickHouse",
        "SELECT coalesce(failing_since, created_at) AS since FROM blocks WHERE status = 'pending' ORDER BY id",
        60,
    ),
    Backlog(
        "identity_links",
        "links of ids on their way to ClickHouse",
        "SELECT updated_at AS since FROM identity_links WHERE status = 'pending' ORDER BY version",
        60,
    ),
    Backlog(
        "computations",
        "computations",
        "SELECT created_at AS since FROM computations WHERE status IN ('queued', 'running') ORDER BY id",
        900,
    ),
    Backlog(
        "refreshes",
        "segments that are due for a refresh",
        "SELECT next_refresh_at AS since FROM segments WHERE next_refresh_at <= now() ORDER BY next_refresh_at",
        300,
    ),
    Backlog(
        "snapshots",
        "snapshots",
        "SELECT created_at AS since FROM snapshots WHERE status IN ('pending', 'running') ORDER BY id",
        900,
    ),
    Backlog(
        "exports",
        "exports",
        "SELECT created_at AS since FROM exports WHERE status IN ('pending', 'running') ORDER BY id",
        900,
    ),
    Backlog(
        "erasures",
        "erasures of people",
        "SELECT requested_at AS since FROM erasures WHERE status IN ('queued', 'working') ORDER BY id",
        3_600,
    ),
    Backlog(
        "deliveries",
        "deliveries to destinations that may be sent",
        """SELECT greatest(created_at, lease_until) AS since FROM deliveries
        WHERE status = 'sending' OR status = 'queued' AND coalesce(lease_until, now()) <= now() ORDER BY id""",
        900,
    ),
    Backlog(
        "publications",
        "publications that no webhook was told of",
        "SELECT published_at AS since FROM publications WHERE sequence IS NULL ORDER BY id",
        60,
    ),
    Backlog(
        "webhooks",
        "lanes of webhooks that are due",
        "SELECT next_attempt_at AS since FROM webhook_lanes WHERE next_attempt_at <= now() ORDER BY next_attempt_at",
        300,
    ),
    Backlog(
        "removals",
        "removals of members that are no longer read",
        "SELECT created_at AS since FROM member_removals ORDER BY id",
        3_600,
    ),
)

_WAITING: Final = """
SELECT '__NAME__' AS name, count(*) AS depth,
    coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0)::float8 AS age
FROM (__ROWS__ LIMIT $1) AS waiting
"""
_EVERY: Final = " UNION ALL ".join(
    f"({_WAITING.replace('__NAME__', one.name).replace('__ROWS__', one.sql)})" for one in BACKLOGS
)
_LAGS: Final = f"""
SELECT cardinality({LIVING}) AS workers,
    coalesce(extract(epoch FROM clock_timestamp() - least(
        (SELECT received_at FROM events WHERE block_id IS NULL ORDER BY seq LIMIT 1),
        (SELECT received_at FROM events WHERE block_id = (
            SELECT id FROM blocks WHERE status = 'pending' ORDER BY id LIMIT 1) ORDER BY seq LIMIT 1))), 0)::float8 AS forwarder,
    coalesce(extract(epoch FROM clock_timestamp() - least(
        (SELECT min(next_refresh_at) FROM segments WHERE next_refresh_at <= now()),
        (SELECT min(created_at) FROM computations
            WHERE status IN ('queued', 'running') AND cause <> 'request'))), 0)::float8 AS refresh
"""
_STOPPED: Final = """
SELECT 'failed_events' AS kind, coalesce(sum(event_count), 0)::bigint AS count FROM blocks WHERE status = 'failed'
UNION ALL SELECT 'dead_deliveries', count(*) FROM deliveries WHERE status = 'dead'
UNION ALL SELECT 'held_deliveries', count(*) FROM deliveries WHERE status = 'held'
UNION ALL SELECT 'failed_erasures', count(*) FROM erasures WHERE status = 'failed'
UNION ALL SELECT 'failing_segments', count(*) FROM segments WHERE refresh_failures > 2
UNION ALL SELECT 'disabled_webhooks', count(*) FROM webhooks WHERE NOT is_active AND disabled_reason IS NOT NULL
"""


class Waiting(Struct, frozen=True):
    """Says how many rows of a backlog wait, at most AT_MOST, and for how many seconds the oldest could have been done."""

    name: str
    depth: int
    age: float


class Lags(Struct, frozen=True):
    """Says how many workers live, and in seconds how late the oldest event and the latest refresh are; 0 where none is."""

    workers: int
    forwarder: float
    refresh: float


async def waiting(postgres: Postgres) -> list[Waiting]:
    """Return what waits, in the order of BACKLOGS; to be asked by who may see the rows of every tenant."""
    rows = {row["name"]: row for row in await postgres.fetch(_EVERY, AT_MOST)}
    return [Waiting(one.name, rows[one.name]["depth"], max(rows[one.name]["age"], 0)) for one in BACKLOGS]


async def lags(postgres: Postgres) -> Lags:
    """Return how late events and refreshes are; to be asked by who may see the rows of every tenant."""
    row = await postgres.fetchrow(_LAGS)
    assert row is not None  # noqa: S101  # one row, whatever there is
    return Lags(row["workers"], max(row["forwarder"], 0), max(row["refresh"], 0))


async def count_backlog(postgres: Postgres) -> None:
    """Set the gauges of what PostgreSQL knows, of all tenants.

    Raises:
        Unavailable: It does not say; the gauges keep what it told last.
    """
    with every_tenant():
        every, late = await waiting(postgres), await lags(postgres)
        stopped = {row["kind"]: row["count"] for row in await postgres.fetch(_STOPPED)}
    for one in every:
        metrics.BACKLOG_DEPTH.labels(one.name).set(one.depth)
        metrics.BACKLOG_AGE.labels(one.name).set(one.age)
    for kind, count in stopped.items():
        metrics.STOPPED.labels(kind).set(count)
    metrics.FAILED_EVENTS.set(stopped["failed_events"])
    metrics.FORWARDER_LAG.set(late.forwarder)
    metrics.REFRESH_LAG.set(late.refresh)
    metrics.WORKERS.set(late.workers)
    metrics.BACKLOG_READ.set(time.time())
