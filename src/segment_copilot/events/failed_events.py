"""USE CASE: events that were accepted and that ClickHouse refuses: which, why, and try them again.

For whoever runs the service, so its methods are told a tenant or None, for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.stores.postgres import Postgres

_LIST = """
SELECT seq, slug, event_id, user_id, event_type, occurred_at, received_at, coalesce(error, '') AS reason
FROM events JOIN blocks ON blocks.id = block_id JOIN tenants ON tenants.id = tenant_id
WHERE status = 'failed' AND ($1::int IS NULL OR tenant_id = $1) ORDER BY seq LIMIT $2::int
"""
_RETRY = """
WITH wanted AS (
    UPDATE blocks SET status = 'pending', attempts = 0, lease_until = NULL, lease_id = NULL, failing_since = NULL
    WHERE status = 'failed' AND id IN (
        SELECT block_id FROM events
        WHERE block_id = ANY (ARRAY(SELECT id FROM blocks WHERE status = 'failed'))
            AND ($1::int IS NULL OR tenant_id = $1) AND ($2::bigint[] IS NULL OR seq = ANY ($2)))
    RETURNING event_count
)
SELECT coalesce(sum(event_count), 0)::bigint FROM wanted
"""


class FailedEvent(Struct, frozen=True):
    """An event that is kept in PostgreSQL because ClickHouse refused it, alone; *number* names it to `retry`."""

    number: int
    tenant: str
    event_id: str
    user_id: str
    event_type: str
    occurred_at: datetime
    received_at: datetime
    reason: str


class FailedEvents:
    """Events that were set aside, of one tenant or of all."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def count(self) -> int:
        """Return how many there are, of all tenants."""
        sql = "SELECT coalesce(sum(event_count), 0)::bigint FROM blocks WHERE status = 'failed'"
        return await self._postgres.fetchval(sql)

    async def list(self, tenant: Tenant | None = None, *, limit: int = 100) -> tuple[FailedEvent, ...]:
        """Return the first *limit*, the oldest before the others."""
        rows = await self._postgres.fetch(_LIST, tenant.id if tenant else None, limit)
        return tuple(FailedEvent(*row.values()) for row in rows)

    async def retry(self, tenant: Tenant | None = None, *, numbers: Sequence[int] = ()) -> int:
        """Let those with these *numbers* (default: all) be forwarded again; return how many those are."""
        async with self._postgres.transaction() as transaction:
            return await transaction.fetchval(_RETRY, tenant.id if tenant else None, list(numbers) or None)
