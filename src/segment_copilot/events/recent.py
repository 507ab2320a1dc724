"""Events as they arrive: readable from PostgreSQL before, and for a while after, they are forwarded."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from segment_copilot.stores.postgres import Postgres, Record


class RecentEvent(Struct, frozen=True):
    """An event without its payload."""

    event_type: str
    user_id: str
    occurred_at: datetime
    received_at: datetime


class TypeCount(Struct, frozen=True):
    """How many of the events asked for are of this type."""

    event_type: str
    count: int


class RecentEvents(Struct, frozen=True):
    """The newest events first; *total* and *by_type* (largest first) count all since *since*, not only those listed."""

    events: tuple[RecentEvent, ...]
    total: int
    by_type: tuple[TypeCount, ...]
    since: datetime | None


class IngestionStatus(Struct, frozen=True):
    """Where a tenant's events are. With *pending* 0 everything acknowledged can be queried, but for *failed*.

    *failed* events are stored but ClickHouse refuses them: a mistake of ours, since validation should have.
    """

    pending: int
    oldest_pending_ms: int
    forwarded: int
    failed: int


_RECENT = """
SELECT event_type, user_id, occurred_at, received_at FROM events
WHERE tenant_id = $1 AND ($2::timestamptz IS NULL OR received_at >= $2)
ORDER BY received_at DESC, seq DESC LIMIT $3
"""
_BY_TYPE = """
SELECT event_type, count(*) FROM events
WHERE tenant_id = $1 AND ($2::timestamptz IS NULL OR received_at >= $2)
GROUP BY event_type ORDER BY count(*) DESC, event_type
"""
_STATUS = """
WITH open AS (
    SELECT received_at FROM events WHERE tenant_id = $1 AND block_id IS NULL
    UNION ALL
    SELECT received_at FROM events
    WHERE tenant_id = $1 AND block_id = ANY (ARRAY(SELECT id FROM blocks WHERE status = 'pending'))
)
SELECT
    (SELECT count(*) FROM open),
    (SELECT coalesce(greatest(0, extract(epoch FROM now() - min(received_at)) * 1000), 0)::bigint FROM open),
    (SELECT coalesce(sum(event_count), 0)::bigint FROM observed_names WHERE tenant_id = $1 AND path = ''),
    (
        SELECT count(*) FROM events
        WHERE tenant_id = $1 AND block_id = ANY (ARRAY(SELECT id FROM blocks WHERE status = 'failed'))
    )
"""


async def recent_events(
    postgres: Postgres, tenant_id: int, *, since: datetime | None = None, limit: int = 20
) -> RecentEvents:
    """Events received at or after *since* (None: as far back as they are kept), identifies included."""
    async with postgres.connection() as connection:
        newest = await connection.fetch(_RECENT, tenant_id, since, limit)
        counts = await connection.fetch(_BY_TYPE, tenant_id, since)
    by_type = tuple(TypeCount(row[0], count=row[1]) for row in counts)
    return RecentEvents(
        events=tuple(_recent_event(row) for row in newest),
        total=sum(kind.count for kind in by_type),
        by_type=by_type,
        since=since,
    )


def _recent_event(row: Record) -> RecentEvent:
    return RecentEvent(row[0], user_id=row[1], occurred_at=row[2], received_at=row[3])


async def ingestion_status(postgres: Postgres, tenant_id: int) -> IngestionStatus:
    """How far the tenant's events are, as of one snapshot."""
    row = await postgres.fetchrow(_STATUS, tenant_id)
    if row is None:  # a SELECT without FROM has a row
        raise AssertionError
    return IngestionStatus(pending=row[0], oldest_pending_ms=row[1], forwarded=row[2], failed=row[3])
