"""USE CASE: keep segments true: queue what is due, of one tenant at a time, together and once; pause and resume it.

Nothing is computed here. What is due of a tenant becomes computations of one instant, which a worker then claims and
computes together. A tenant has one such batch at a time, and whose segments have been due longest has the next one; so
nobody waits for another's thousands. How often a segment is due, and when next, are the rules of `schedules.py`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

import structlog

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.schedules import LIVE_EVERY, Defaults, interval_of, next_after
from segment_copilot.audiences.segments import Segment, Segments
from segment_copilot.errors import Conflict
from segment_copilot.stores.postgres import Connection, Postgres

log = structlog.get_logger()

Cause = Literal["request", "schedule", "traits"]
BATCH: Final = 200  # segments that are queued together: as many as one worker computes together
PACE: Final = timedelta(seconds=1)
"""A tenant's dynamic segments are re-tested this often at most."""

_TENANTS: Final = 10  # that are looked at, where other workers are at the first ones
_LOCKS: Final = 0x5E6_0016  # with a tenant's id: one worker at a time queues what is due of it

_FREE: Final = """NOT EXISTS (
    SELECT FROM computations WHERE computations.tenant_id = segments.tenant_id AND segment_id = segments.id
        AND computations.status IN ('queued', 'running'))"""
_IS_BUSY: Final = """
SELECT EXISTS (SELECT FROM computations WHERE tenant_id = $1 AND cause = $2 AND status IN ('queued', 'running'))
"""
_DUE_TENANTS: Final = f"""
SELECT tenant_id FROM segments
WHERE next_refresh_at <= $1 AND refresh_mode <> 'live' AND {_FREE} AND tenant_id <> ALL (ARRAY(
    SELECT tenant_id FROM computations WHERE cause = 'schedule' AND computations.status IN ('queued', 'running')))
GROUP BY tenant_id ORDER BY min(next_refresh_at), tenant_id LIMIT $2
"""
_DUE: Final = f"""
SELECT id, version, refresh_mode, refresh_every, coalesce(last_refreshed_at >= next_refresh_at, false) AS is_done
FROM segments WHERE tenant_id = $1 AND next_refresh_at <= $2 AND refresh_mode <> 'live' AND {_FREE}
ORDER BY next_refresh_at, id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
"""
_DUE_AGAIN: Final = """
UPDATE segments SET next_refresh_at = due.at FROM unnest($2::bigint[], $3::timestamptz[]) AS due (id, at)
WHERE tenant_id = $1 AND segments.id = due.id
"""
_QUEUE: Final = """
WITH queued AS (
    INSERT INTO computations (tenant_id, segment_id, version, as_of, cause)
    SELECT $1, segment_id, version, $4, $5 FROM unnest($2::bigint[], $3::int[]) AS wanted (segment_id, version)
    ORDER BY segment_id
)
UPDATE segments SET status = 'queued' WHERE tenant_id = $1 AND id = ANY ($2::bigint[])
"""

_LIVE_TENANTS: Final = """
SELECT tenant_id, slug, timezone, min(next_refresh_at) AS due FROM segments JOIN tenants ON tenants.id = tenant_id
WHERE next_refresh_at <= $1 AND refresh_mode = 'live' GROUP BY tenant_id, slug, timezone ORDER BY due, tenant_id LIMIT $2
"""
_TICKED: Final = """
UPDATE segments SET next_refresh_at = $3,
    last_refreshed_at = CASE WHEN last_computed_at >= $2 THEN greatest(last_refreshed_at, $2) ELSE last_refreshed_at END
WHERE tenant_id = $1 AND refresh_mode = 'live' AND next_refresh_at <= $2
"""

_CHANGED_TENANTS: Final = """
SELECT tenant_id FROM trait_changes
WHERE (changed > seen OR latest > tested_at AND latest <= $1) AND coalesce(tested_at <= $1 - $2::interval, true)
    AND tenant_id <> ALL (ARRAY(
        SELECT tenant_id FROM computations WHERE cause = 'traits' AND computations.status IN ('queued', 'running')))
ORDER BY tested_at NULLS FIRST, tenant_id LIMIT $3
"""
_CLAIM_CHANGES: Final = "SELECT FROM trait_changes WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED"
_SEEN: Final = "UPDATE trait_changes SET seen = changed, tested_at = $2 WHERE tenant_id = $1"
_DYNAMIC: Final = """
SELECT id, version FROM segments
WHERE tenant_id = $1 AND tier = 'dynamic' AND refresh_mode = 'auto' AND next_refresh_at IS NOT NULL AND refresh_failures = 0
ORDER BY id FOR NO KEY UPDATE
"""

_NOTE_DONE: Final = """
UPDATE segments SET refresh_failures = 0, last_refreshed_at = greatest(last_refreshed_at,
    CASE WHEN cause = 'request' THEN least(as_of, clock_timestamp()) ELSE as_of END)
FROM computations
WHERE segments.tenant_id = $1 AND computations.id = $2 AND segments.id = segment_id AND segments.version = computations.version
"""
# A minute later, then twice as long each time, until it is due anyway; what is live is due at its next tick.
_NOTE_FAILED: Final = """
UPDATE segments SET refresh_failures = refresh_failures + 1,
    next_refresh_at = CASE WHEN next_refresh_at IS NOT NULL THEN least(
        greatest(clock_timestamp(), as_of) + least(interval '1 minute' * power(2, least(refresh_failures, 10)), interval '3 hours'),
        CASE WHEN refresh_mode <> 'live' AND next_refresh_at > greatest(clock_timestamp(), as_of) THEN next_refresh_at END) END
FROM computations
WHERE segments.tenant_id = $1 AND computations.id = $2 AND segments.id = segment_id AND cause <> 'request'
"""

_PAUSE: Final = """
UPDATE segments SET paused_since = $3, next_refresh_at = NULL, updated_at = greatest(now(), updated_at + interval '1 microsecond')
WHERE tenant_id = $1 AND id = $2 AND paused_since IS NULL
"""
_RESUME: Final = """
UPDATE segments SET paused_since = NULL, refresh_failures = 0, updated_at = greatest(now(), updated_at + interval '1 microsecond'),
    next_refresh_at = CASE WHEN is_active AND definition IS NOT NULL THEN $3::timestamptz END
WHERE tenant_id = $1 AND id = $2 AND paused_since IS NOT NULL
"""


class Live(Protocol):
    """Makes a tenant's live segments true at an instant."""

    async def tick(self, tenant: Tenant, *, as_of: datetime) -> bool:
        """Return False where another worker is at it."""
        ...


class Refreshing:
    """Refreshes the segments of all tenants; a caller's methods take the tenant, a worker's none, but all the time."""

    def __init__(self, postgres: Postgres, segments: Segments, live: Live, defaults: Defaults | None = None) -> None:
        self._postgres = postgres
        self._segments = segments
        self._live = live
        self._usual = (defaults or Defaults()).every

    # What a worker does

    async def refresh_due(self, *, now: datetime) -> bool:
        """Queue what has been due longest, of one tenant, at the instant *now*; False when nothing is due.

        What was computed since it was due, because somebody asked, is only due again later.
        """
        for row in await self._postgres.fetch(_DUE_TENANTS, now, _TENANTS):
            async with self._postgres.transaction() as transaction:
                if await self._queue_due(transaction, row["tenant_id"], now):
                    return True
        return False

    async def _queue_due(self, transaction: Connection, tenant_id: int, now: datetime) -> bool:
        locked = await transaction.fetchval("SELECT pg_try_advisory_xact_lock($1, $2)", _LOCKS, tenant_id)
        if not locked or await transaction.fetchval(_IS_BUSY, tenant_id, "schedule"):
            return False
        rows = await transaction.fetch(_DUE, tenant_id, now, BATCH)
        intervals = [interval_of(row["refresh_mode"], row["refresh_every"], self._usual) for row in rows]
        later = [next_after(now, interval, tenant_id) for interval in intervals]
        await transaction.execute(_DUE_AGAIN, tenant_id, [row["id"] for row in rows], later)
        due = [row for row in rows if not row["is_done"]]
        await _queue(transaction, tenant_id, due, now, "schedule")
        return bool(rows)

    async def refresh_live(self, *, now: datetime) -> bool:
        """Make the live segments true at *now* of the tenant whose have been due longest; False when none is due."""
        for row in await self._postgres.fetch(_LIVE_TENANTS, now, _TENANTS):
            tenant = Tenant(row["tenant_id"], row["slug"], row["timezone"])
            if await self._live.tick(tenant, as_of=now):
                await self._postgres.execute(_TICKED, tenant.id, now, next_after(now, LIVE_EVERY, tenant.id))
                return True
        return False

    async def retest_dynamic(self, *, now: datetime) -> bool:
        """Queue, at the instant *now*, the dynamic segments of a tenant whose traits changed; False when there is none.

        A change that is dated a little ahead is looked at twice: now, and when its time has come.
        """
        for row in await self._postgres.fetch(_CHANGED_TENANTS, now, PACE, _TENANTS):
            tenant_id = row["tenant_id"]
            async with self._postgres.transaction() as transaction:
                if await transaction.fetchrow(_CLAIM_CHANGES, tenant_id) is None:
                    continue
                if await transaction.fetchval(_IS_BUSY, tenant_id, "traits"):
                    continue
                await transaction.execute(_SEEN, tenant_id, now)
                await _queue(transaction, tenant_id, await transaction.fetch(_DYNAMIC, tenant_id), now, "traits")
                return True
        return False

    # What people do

    async def pause(self, tenant: Tenant, segment_id: int, *, now: datetime | None = None) -> Segment:
        """Refresh a segment no more until it is resumed; its members stay. One that is paused stays as it is.

        Raises:
            NotFound: There is no such segment.
            Conflict: Nothing refreshes it, because its mode is manual.
        """
        found = await self._segments.get(tenant, segment_id)
        if found.refresh.mode == "manual":
            detail = f"Segment {segment_id} is refreshed by hand alone (its mode is manual): there is nothing to pause."
            raise Conflict(detail, code="nothing_to_pause")
        await self._postgres.execute(_PAUSE, tenant.id, segment_id, now or await self._postgres.now())
        return await self._segments.get(tenant, segment_id)

    async def resume(self, tenant: Tenant, segment_id: int, *, now: datetime | None = None) -> Segment:
        """Refresh a segment again: it is due at once. One that is not paused stays as it is; raises NotFound."""
        await self._postgres.execute(_RESUME, tenant.id, segment_id, now or await self._postgres.now())
        return await self._segments.get(tenant, segment_id)


async def note_done(transaction: Connection, tenant_id: int, computation_id: int) -> None:
    """Note that the members of a segment are true as of a computation's instant."""
    await transaction.execute(_NOTE_DONE, tenant_id, computation_id)


async def note_failed(transaction: Connection, tenant_id: int, computation_id: int) -> None:
    """Note that a refresh failed: the segment is due again after a while, a longer one each time."""
    await transaction.execute(_NOTE_FAILED, tenant_id, computation_id)


async def _queue(transaction: Connection, tenant_id: int, rows: list[Any], now: datetime, cause: Cause) -> None:
    if rows:
        ids, versions = [row["id"] for row in rows], [row["version"] for row in rows]
        await transaction.execute(_QUEUE, tenant_id, ids, versions, now, cause)
        log.info("refresh.queued", tenant_id=tenant_id, segments=len(rows), cause=cause)
