"""USE CASE: computations as records: what became of each, and stopping those that are not over."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.failures import Failure
from segment_copilot.audiences.references import not_found
from segment_copilot.audiences.refresh import Cause
from segment_copilot.audiences.removals import leave_to_remove
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.lists import FIRST_PAGE, Listed, Window
from segment_copilot.stores.leases import LENGTH
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Postgres, Record

RECORD: Final = """id, segment_id, version, status, cause, as_of, member_count, entered, left_count, error, progress,
    created_at, started_at, finished_at"""
IDLE: Final = """
UPDATE segments SET status = (CASE
    WHEN EXISTS (SELECT FROM computations WHERE segment_id = $2 AND status = 'running') THEN 'computing'
    WHEN EXISTS (SELECT FROM computations WHERE segment_id = $2 AND status = 'queued') THEN 'queued'
    WHEN last_error IS NOT NULL THEN 'failed' WHEN published_run IS NOT NULL THEN 'computed' ELSE 'draft' END)
WHERE tenant_id = $1 AND id = $2
"""
_TOGETHER: Final = 1_000
# What names a state that is read stays, and so do changes that an activation has yet to send.
_OLD: Final = """
DELETE FROM computations WHERE id = ANY (ARRAY(
    SELECT id FROM computations AS old
    WHERE status IN ('done', 'failed', 'cancelled') AND finished_at < $1
        AND NOT EXISTS (SELECT FROM segments WHERE id = old.segment_id AND old.run_id IN (published_run, previous_run))
        AND NOT EXISTS (SELECT FROM activations WHERE segment_id = old.segment_id AND synced_computation < old.id)
    LIMIT $2))
RETURNING tenant_id, segment_id
"""
Status = Literal["queued", "computing", "done", "failed", "cancelled"]
Order = Literal["id", "-id", "as_of", "-as_of"]
_SORTINGS: Final = {"id": BY_ID, "as_of": Sorting("as_of", datetime, "timestamptz")}
_STORED: Final[dict[Status, str]] = {"computing": "running"}  # the queue's own word


class Computation(Struct, frozen=True):
    """A computation is one run that finds a segment's members at *as_of*, or failed to.

    *entered* and *left* say how its members differ from those before it; *error* is of the last attempt. Its *cause* is that
    somebody asked (`request`), that it was due (`schedule`), or that traits had changed (`traits`). *progress* is the part of
    its steps that is done, from 0 to 1; they take unequal times. It is None before it begins.
    """

    id: int
    segment_id: int
    version: int
    status: Status
    cause: Cause
    as_of: datetime
    progress: float | None
    member_count: int | None
    entered: int | None
    left: int | None
    error: Failure | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class ComputationRecords:
    """Reads and stops computations of all tenants' segments; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def get(self, tenant: Tenant, computation_id: int) -> Computation:
        """Return one computation; raises NotFound."""
        sql = f"SELECT {RECORD} FROM computations WHERE tenant_id = $1 AND id = $2"
        if (row := await self._postgres.fetchrow(sql, tenant.id, computation_id)) is None:
            raise NotFound(f"There is no computation {computation_id}.", code="computation_not_found")
        return read_computation(row)

    async def list(
        self,
        tenant: Tenant,
        segment_id: int,
        window: Window = FIRST_PAGE,
        *,
        status: Status | None = None,
        order: Order = "-id",
    ) -> Listed[Computation]:
        """Return a page of a segment's computations, the newest first; *status* keeps those in it."""
        stored = _STORED.get(status, status) if status else None
        conditions = (("tenant_id = {}", tenant.id), ("segment_id = {}", segment_id), ("status = {}", stored))
        rows = Rows(RECORD, "computations", conditions, _SORTINGS)
        page = await rows.page(self._postgres, window, order, read_computation)
        exists = "SELECT EXISTS (SELECT FROM segments WHERE tenant_id = $1 AND id = $2)"
        if not page.count and not await self._postgres.fetchval(exists, tenant.id, segment_id):
            raise not_found(segment_id)
        return page

    async def count_unfinished(self, tenant: Tenant) -> int:
        """Return how many of the tenant's computations are queued or running."""
        sql = "SELECT count(*) FROM computations WHERE tenant_id = $1 AND status IN ('queued', 'running')"
        return await self._postgres.fetchval(sql, tenant.id)

    async def clean_up(self, *, before: datetime) -> bool:
        """Forget, of all tenants, what was over before an instant, and who entered and left by it; True if there may be more."""
        async with self._postgres.transaction() as transaction:
            rows = await transaction.fetch(_OLD, before, _TOGETHER)
            for tenant_id in {row["tenant_id"] for row in rows}:
                segments = sorted({row["segment_id"] for row in rows if row["tenant_id"] == tenant_id})
                await leave_to_remove(transaction, tenant_id, segments)
        return len(rows) == _TOGETHER

    async def cancel(self, tenant: Tenant, computation_id: int) -> Computation:
        """Stop a computation that is not over; the members stay as they are.

        The worker of one that is running loses its lease by this, and its query is killed when that is seen: within a
        fourth of the lease. One that is cancelled already is returned as it is.

        Raises:
            NotFound: There is no such computation.
            Conflict: It is done, or has failed.
        """
        sql = f"""
            UPDATE computations SET status = 'cancelled', lease_until = NULL, finished_at = now()
            WHERE tenant_id = $1 AND id = $2 AND status IN ('queued', 'running') RETURNING {RECORD}"""
        async with self._postgres.transaction() as transaction:
            row = await transaction.fetchrow(sql, tenant.id, computation_id)
            if row is not None:
                await leave_to_remove(transaction, tenant.id, [row["segment_id"]], after=LENGTH)
                await transaction.execute(IDLE, tenant.id, row["segment_id"])
                return read_computation(row)
        found = await self.get(tenant, computation_id)
        if found.status != "cancelled":
            over = "is done" if found.status == "done" else "has failed"
            detail = f"Computation {computation_id} {over}: there is nothing to cancel. Its result stays."
            raise Conflict(detail, code="computation_finished", context={"status": found.status})
        return found


def read_computation(row: Record) -> Computation:
    """Return the computation of a row with the columns RECORD."""
    return Computation(
        id=row["id"],
        segment_id=row["segment_id"],
        version=row["version"],
        status="computing" if row["status"] == "running" else row["status"],
        cause=row["cause"],
        as_of=row["as_of"],
        progress=_progress(row),
        member_count=row["member_count"],
        entered=row["entered"],
        left=row["left_count"],
        error=msgspec.json.decode(row["error"], type=Failure) if row["error"] else None,
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _progress(row: Record) -> float | None:
    match row["status"]:
        case "done":
            return 1.0
        case "queued":
            return None
        case "running":
            return round(row["progress"] or 0.0, 3)
        case _:
            return row["progress"] and round(row["progress"], 3)
