"""USE CASE: removing members and changes that nobody reads any more: of old runs, and of segments that are gone.

That some are to go is decided in PostgreSQL, in the transaction that makes them unreadable (`leave_to_remove`). A worker
then removes those of all due segments by one statement, because each DELETE rewrites every part of a table that all
tenants share; while ClickHouse is away it tries again until it is done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

import structlog

from segment_copilot.audiences.states import KEPT
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.leases import LENGTH, Lease, Leases, Queue
from segment_copilot.stores.merging import ROWS, grouped
from segment_copilot.stores.postgres import Connection, Postgres
from segment_copilot.stores.presence import Presence

log = structlog.get_logger()

_QUEUE: Final = Queue("member_removals", waiting="waiting", working="working", of_tenants=True)
_TOGETHER: Final = 1_000
_PAUSE: Final = timedelta(seconds=5)
LATER: Final = timedelta(minutes=10)
"""Longer than a computation whose segment was deleted under it, or an upload, may go on writing."""

_LEAVE: Final = """
INSERT INTO member_removals (tenant_id, segment_id, lease_until)
SELECT $1, segment_id, now() + $3::interval FROM unnest($2::bigint[]) AS segment_id
"""
_RUNNING: Final = """
INSERT INTO member_removals (tenant_id, segment_id, lease_until)
SELECT DISTINCT tenant_id, segment_id, now() + $3::interval FROM (
    SELECT tenant_id, segment_id FROM computations WHERE status = 'running'
    UNION ALL
    SELECT tenant_id, segment_id FROM uploads WHERE created_at > now() - $3::interval
) AS writing
WHERE tenant_id = $1 AND segment_id = ANY ($2::bigint[])
"""
_DUE: Final = """
SELECT DISTINCT tenant_id, segment_id FROM member_removals WHERE id = ANY ($1::bigint[])
"""
_OF_SEGMENTS: Final = "WHERE tenant_id IN {tenants:Array(UInt32)} AND segment_id IN {segments:Array(UInt64)}"
_FOUND: Final = f"SELECT DISTINCT run_id FROM segment_states {_OF_SEGMENTS}"
_READ: Final = """
SELECT run_id FROM (
    SELECT unnest(ARRAY[published_run, previous_run]) AS run_id FROM segments WHERE id = ANY ($1::bigint[])
    UNION ALL
    SELECT run_id FROM computations WHERE segment_id = ANY ($1::bigint[]) AND status = 'running'
    UNION ALL
    SELECT run_id FROM uploads WHERE segment_id = ANY ($1::bigint[]) AND (created_at > now() - $2::interval
        OR EXISTS (SELECT FROM computations WHERE upload = uploads.run_id AND status IN ('queued', 'running')))
    UNION ALL
    SELECT source_run FROM snapshots WHERE segment_id = ANY ($1::bigint[]) AND status IN ('pending', 'running')
    UNION ALL
    SELECT unnest(lists) FROM computations WHERE status = 'running'
    UNION ALL
    SELECT unnest(lists) FROM snapshots WHERE status = 'running'
    UNION ALL
    SELECT unnest(lists) FROM live_refreshes WHERE status = 'working'
) AS runs WHERE run_id IS NOT NULL
"""
_REMOVE: Final = f"""
ALTER TABLE segment_states DELETE {_OF_SEGMENTS} AND run_id IN {{runs:Array(UUID)}} SETTINGS mutations_sync = 1
"""
_FORGET_UPLOADS: Final = """
DELETE FROM uploads WHERE segment_id = ANY ($1::bigint[]) AND created_at <= now() - $2::interval
    AND NOT EXISTS (SELECT FROM computations WHERE upload = uploads.run_id AND status IN ('queued', 'running'))
"""
_FOUND_CHANGES: Final = f"""
SELECT change_set, any(computation_id), max(is_delta) FROM (
    SELECT computation_id, change_set, 0 AS is_delta FROM membership_changes {_OF_SEGMENTS}
    UNION ALL SELECT computation_id, change_set, 1 AS is_delta FROM segment_deltas {_OF_SEGMENTS})
GROUP BY change_set
"""
_READ_CHANGES: Final = """
SELECT id, change_set, status = 'running' AS is_running, finished_at < now() - $2::interval AS is_old FROM computations
WHERE id = ANY ($1::bigint[]) AND (change_set IS NOT NULL OR status = 'running')
"""
_REMOVE_CHANGES: Final = f"DELETE FROM membership_changes {_OF_SEGMENTS} AND change_set IN {{change_sets:Array(UUID)}}"
_REMOVE_DELTAS: Final = f"""
ALTER TABLE segment_deltas DELETE {_OF_SEGMENTS} AND change_set IN {{change_sets:Array(UUID)}} SETTINGS mutations_sync = 1
"""
_MARGIN: Final = timedelta(hours=1)  # after a state may be read no more, for who reads it still


# Whoever decides what to remove after this sees what is kept; whoever did before saw these runs as ones to be read.
_STILL_READ: Final = """
SELECT bool_and(EXISTS (SELECT FROM segments WHERE run IN (published_run, previous_run))) FROM unnest($1::uuid[]) AS run
"""
_LEAVE_RUN: Final = """
INSERT INTO member_removals (tenant_id, segment_id)
SELECT $1, $2 WHERE NOT EXISTS (
    SELECT FROM segments WHERE tenant_id = $1 AND id = $2 AND $3::uuid IN (published_run, previous_run))
"""


async def keep_lists(
    postgres: Postgres,
    reader: Literal["computations", "snapshots", "live_refreshes"],
    id_: int,
    lists: Collection[UUID],
) -> bool:
    """Decide that these runs of static segments stay for as long as a reader's row is being worked on.

    False if they may have been removed before this was known: the reader has to look again which ones there are.
    """
    if not lists:
        return True
    await postgres.execute(f"UPDATE {reader} SET lists = $2 WHERE id = $1", id_, list(lists))
    return bool(await postgres.fetchval(_STILL_READ, list(lists)))


async def leave_to_remove(
    transaction: Connection, tenant_id: int, segment_ids: Sequence[int], *, after: timedelta | None = None
) -> None:
    """Decide that whatever runs of these segments are not to be read, are to go: at once, or *after* a while."""
    await transaction.execute(_LEAVE, tenant_id, segment_ids, after)


async def leave_deleted(transaction: Connection, tenant_id: int, segment_ids: Sequence[int]) -> None:
    """Decide it of segments that are about to be deleted: again later, if they are being computed right now."""
    await transaction.execute(_RUNNING, tenant_id, segment_ids, LATER)
    await leave_to_remove(transaction, tenant_id, segment_ids)


async def leave_run(transaction: Connection, tenant_id: int, segment_id: int, run_id: UUID) -> None:
    """Decide that a run may go which a snapshot has kept, unless the segment's readers have it still."""
    await transaction.execute(_LEAVE_RUN, tenant_id, segment_id, run_id)


class Removals:
    """Members of all tenants that are to go. It belongs to the worker and is told no tenant."""

    def __init__(
        self,
        postgres: Postgres,
        clickhouse: ClickHouse,
        *,
        kept: timedelta = KEPT,
        lease: timedelta = LENGTH,
        presence: Presence | None = None,
    ) -> None:
        self._kept = kept
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._leases = Leases(postgres, _QUEUE, length=lease, presence=presence)

    async def remove_due(self) -> bool:
        """Remove what is due; True if more may be. Raises what the stores raise, and then it stays due."""
        leases = await self._leases.claim(self._postgres, limit=_TOGETHER)
        if not leases:
            return False
        async with self._leases.renewed(leases):
            try:
                await self._remove(leases)
            except Exception:
                await self._leases.release(leases, pause=_PAUSE)
                raise
            await self._leases.remove(leases)
        return len(leases) == _TOGETHER

    async def _remove(self, leases: Sequence[Lease]) -> None:
        """Look what is there before what may be read: a run that begins in between is then not among the first."""
        due = await self._postgres.fetch(_DUE, [lease.id for lease in leases])
        segments = sorted({row["segment_id"] for row in due})
        params = {"tenants": sorted({row["tenant_id"] for row in due}), "segments": segments}
        found: set[UUID] = {
            run for (run,) in (await self._clickhouse.fetch(_FOUND, params, purpose="compute", merge=ROWS)).rows
        }
        read = {row["run_id"] for row in await self._postgres.fetch(_READ, segments, LATER)}
        if unread := sorted(found - read, key=str):
            await self._clickhouse.execute(_REMOVE, params | {"runs": unread}, purpose="compute")
        await self._postgres.execute(_FORGET_UPLOADS, segments, LATER)
        sets = await self._remove_changes(params)
        log.info("members.removed", segments=len(segments), runs=len(unread), change_sets=sets)

    async def _remove_changes(self, params: Mapping[str, object]) -> int:
        """Remove the sets of changes that were never published, or whose segment is gone; return their number.

        Of those from which no state is read any more the bitmaps go too; their rows stay.
        """
        sets = grouped(1, "any", "max")
        found = (await self._clickhouse.fetch(_FOUND_CHANGES, params, purpose="compute", merge=sets)).rows
        computations = list({computation for _, computation, _ in found})
        kept = await self._postgres.fetch(_READ_CHANGES, computations, self._kept + _MARGIN)
        published = {row["change_set"] for row in kept}
        old = {row["change_set"] for row in kept if row["is_old"]}
        running = {row["id"] for row in kept if row["is_running"]}
        unread = [one for one, computation, _ in found if one not in published and computation not in running]
        if unread:
            await self._clickhouse.execute(_REMOVE_CHANGES, {**params, "change_sets": unread}, purpose="compute")
        if deltas := [one for one, _, is_delta in found if is_delta and (one in old or one in unread)]:
            await self._clickhouse.execute(_REMOVE_DELTAS, {**params, "change_sets": deltas}, purpose="compute")
        return len(unread)
