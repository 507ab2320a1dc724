"""USE CASE: read events as they arrive: from PostgreSQL, before they are forwarded and for a while after."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.events.analytics import TypeCount
from segment_copilot.stores.postgres import Postgres, Record

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


class RecentEvent(Struct, frozen=True):
    """An event without its payload."""

    event_type: str
    user_id: str
    occurred_at: datetime
    received_at: datetime


class RecentPage(Struct, frozen=True):
    """A page lists the newest events first; *total* and *by_type* (largest first) count all since *since*."""

    events: tuple[RecentEvent, ...]
    total: int
    by_type: tuple[TypeCount, ...]
    since: datetime | None


class RecentEvents:
    """Reads the latest events of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def list(self, tenant: Tenant, *, since: datetime | None = None, limit: int = 20) -> RecentPage:
        """Return events received at or after *since* (None: as far back as they are kept), identifies included."""
        async with self._postgres.connection() as connection:
            newest = await connection.fetch(_RECENT, tenant.id, since, limit)
            counts = await connection.fetch(_BY_TYPE, tenant.id, since)
        by_type = tuple(TypeCount(row[0], count=row[1]) for row in counts)
        return RecentPage(
            events=tuple(_recent_event(row) for row in newest),
            total=sum(kind.count for kind in by_type),
            by_type=by_type,
            since=since,
        )


def _recent_event(row: Record) -> RecentEvent:
    return RecentEvent(row[0], user_id=row[1], occurred_at=row[2], received_at=row[3])
