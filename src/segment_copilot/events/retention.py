"""USE CASE: drop the events of tenants that keep them for so many days only. It belongs to the worker.

Once a day of UTC, whole days at a time: a mutation that finds nothing of the tenant in a part leaves that as it is. Traits, users and
what the catalog knows by name stay. What is computed afterwards no longer knows of what was dropped. In a cluster each shard drops
its own, and no user moves meanwhile: rows on their way to another shard would arrive there after it had dropped what was old.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from segment_copilot.events.arrivals import note_rewritten
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import grouped
from segment_copilot.stores.postgres import Postgres

log = structlog.get_logger()

_LEASE: Final = timedelta(hours=1)  # more than the mutation's limit of time

_CLAIM: Final = """
UPDATE tenants SET dropping_until = $1 + $3::interval WHERE id = (
    SELECT id FROM tenants WHERE event_days IS NOT NULL AND coalesce(dropping_until, $1) <= $1
        AND coalesce(events_dropped_before, '-infinity') < $2::timestamptz - make_interval(days => event_days)
    ORDER BY events_dropped_before NULLS FIRST, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, $2::timestamptz - make_interval(days => event_days) AS before
"""
_OLD: Final = "FROM events WHERE tenant_id = {tenant:UInt32} AND occurred_at < {before:DateTime64(6, 'UTC')}"
_COUNT: Final = f"SELECT event_type, count() {_OLD} GROUP BY event_type"
_DROP: Final = """
ALTER TABLE events DELETE WHERE tenant_id = {tenant:UInt32} AND occurred_at < {before:DateTime64(6, 'UTC')}
SETTINGS mutations_sync = 2
"""
_RECOUNT: Final = """
UPDATE observed_names AS names
SET event_count = greatest(names.event_count - dropped.number, 0), first_seen = greatest(names.first_seen, $4),
    last_seen = greatest(names.last_seen, $4)
FROM unnest($2::text[], $3::bigint[]) AS dropped (event_type, number)
WHERE tenant_id = $1 AND names.event_type = dropped.event_type AND path = ''
"""
_FORGET: Final = "DELETE FROM schema_violations WHERE tenant_id = $1 AND occurred_at < $2"
_DONE: Final = "UPDATE tenants SET events_dropped_before = $2, dropping_until = NULL WHERE id = $1"


class Retention:
    """Drops old events of all tenants."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def drop_next(self, *, now: datetime) -> bool:
        """Drop the old events of one tenant that has not been looked at today; return whether there was one.

        One that fails is left to whoever comes after the lease: what was dropped then is nothing new.
        """
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if (claim := await self._postgres.fetchrow(_CLAIM, now, today, _LEASE)) is None:
            return False
        tenant_id, before = claim["id"], claim["before"]
        counts = await self._drop({"tenant": tenant_id, "before": before})
        async with self._postgres.transaction() as transaction:
            if counts:
                await transaction.execute(_RECOUNT, tenant_id, list(counts), list(counts.values()), before)
                await note_rewritten(transaction, tenant_id)
            await transaction.execute(_FORGET, tenant_id, before)
            await transaction.execute(_DONE, tenant_id, before)
        log.info("events.dropped", tenant_id=tenant_id, before=before.isoformat(), events=sum(counts.values()))
        return True

    async def _drop(self, params: Mapping[str, object]) -> dict[str, int]:
        """Drop the events of a tenant before an instant, wherever they are; return how many of each type there were."""
        async with self._clickhouse.users_stay():
            found = await self._clickhouse.fetch(_COUNT, params, purpose="compute", merge=grouped(1, "add"))
            if found.rows:
                await self._clickhouse.execute(_DROP, params, purpose="compute")
        return dict(found.rows)
