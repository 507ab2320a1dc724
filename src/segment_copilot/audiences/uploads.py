"""USE CASE: give a static segment its members: a list of users that replaces them, is added to them, or taken from them.

The users are written among the members in ClickHouse under a run of their own, which nobody reads, and a computation is
queued. It makes the next members of them and of the members there are then, and publishes them as any other does. The
uploads of a segment are worked on one after the other, in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID, uuid4

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import not_found
from segment_copilot.audiences.removals import LATER, leave_to_remove
from segment_copilot.compiler import CompiledQuery
from segment_copilot.errors import Conflict
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Connection, Postgres

Mode = Literal["replace", "add", "remove"]

_BLOCK: Final = 50_000  # users in one INSERT
_COLUMNS: Final = ("tenant_id", "segment_id", "run_id", "user_id")
_MARGIN: Final = timedelta(minutes=1)

_UNKNOWN: Final = """
SELECT count() FROM memberships
WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {run:UUID}
    AND user_key NOT IN (SELECT user_key FROM users WHERE tenant_id = {tenant:UInt32})
"""
_INTO: Final = """
INSERT INTO memberships (tenant_id, segment_id, run_id, user_id, user_key)
SELECT tenant_id, segment_id, {run:UUID}, user_id, user_key FROM memberships
WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND """
_LISTED: Final = "run_id = {upload:UUID}"
_OTHERS: Final = """run_id = {before:UUID} AND user_key NOT IN (
    SELECT user_key FROM memberships
    WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {upload:UUID})"""
_MERGE: Final[dict[Mode, str]] = {
    "replace": f"{_INTO}{_LISTED}",
    "add": f"{_INTO}({_LISTED} OR {_OTHERS})",
    "remove": f"{_INTO}{_OTHERS}",
}


class Upload(Struct, frozen=True):
    """An upload that is on its way: *unknown* of the *accepted* users have never been seen in an event."""

    computation_id: int
    accepted: int
    unknown: int


class Uploads:
    """Receives lists of users for static segments of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def receive(self, tenant: Tenant, segment_id: int, user_ids: Sequence[str], *, mode: Mode) -> Upload:
        """Keep a list of distinct users, and queue the computation that applies it.

        A user whom nobody has seen is kept as a member, and found by rules from their first event on.

        Raises:
            NotFound: There is no such segment.
            Conflict: It is not static.
        """
        run_id = uuid4()
        async with self._postgres.transaction() as transaction:
            await _check_static(transaction, tenant, segment_id)
            sql = "INSERT INTO uploads (run_id, tenant_id, segment_id, mode) VALUES ($1, $2, $3, $4)"
            await transaction.execute(sql, run_id, tenant.id, segment_id, mode)
            # If nothing comes of it, what was written goes then; the row above keeps it until then.
            await leave_to_remove(transaction, tenant.id, [segment_id], after=LATER + _MARGIN)
        for start in range(0, len(user_ids), _BLOCK):
            rows = [(tenant.id, segment_id, run_id, user_id) for user_id in user_ids[start : start + _BLOCK]]
            await self._clickhouse.insert("memberships", _COLUMNS, rows, token=f"{run_id}-{start}")
        params = {"tenant": tenant.id, "segment": segment_id, "run": run_id}
        unknown = (await self._clickhouse.fetch(_UNKNOWN, params, purpose="compute")).rows[0][0]
        async with self._postgres.transaction() as transaction:
            await _check_static(transaction, tenant, segment_id)
            sql = """
                INSERT INTO computations (tenant_id, segment_id, version, as_of, upload)
                SELECT tenant_id, id, version, clock_timestamp(), $3 FROM segments WHERE tenant_id = $1 AND id = $2
                RETURNING id"""
            computation_id = await transaction.fetchval(sql, tenant.id, segment_id, run_id)
            sql = "UPDATE segments SET status = 'queued' WHERE tenant_id = $1 AND id = $2"
            await transaction.execute(sql, tenant.id, segment_id)
        return Upload(computation_id, accepted=len(user_ids), unknown=unknown)


def merge(
    tenant: Tenant, segment_id: int, *, mode: Mode, upload: UUID, run_id: UUID, before: UUID | None
) -> CompiledQuery:
    """Return the statement that writes, as the members of *run_id*, those of *before* (None: nobody) with the *upload* applied."""
    params = {"tenant": tenant.id, "segment": segment_id, "run": run_id, "upload": upload}
    if mode != "replace":
        params["before"] = before or UUID(int=0)
    return CompiledQuery(_MERGE[mode], params)


async def _check_static(transaction: Connection, tenant: Tenant, segment_id: int) -> None:
    sql = "SELECT segment_type FROM segments WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
    segment_type = await transaction.fetchval(sql, tenant.id, segment_id)
    if segment_type is None:
        raise not_found(segment_id)
    if segment_type != "static":
        detail = (
            f"Segment {segment_id} has a definition, which says who is in it; users are uploaded to static segments."
        )
        raise Conflict(detail, code="segment_is_not_static")
