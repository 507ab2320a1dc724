"""USE CASE: give a static segment its members: a list of users that replaces them, is added to them, or taken from them.

The users get numbers where they have none, and are written in ClickHouse as a state under a run of its own, which nobody reads, and a computation is
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
from segment_copilot.audiences.states import NOBODY
from segment_copilot.audiences.user_numbers import UserNumbers
from segment_copilot.compiler import CompiledQuery
from segment_copilot.errors import Conflict, Finding, InvalidInput
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import SUMS
from segment_copilot.stores.postgres import Connection, Postgres

Mode = Literal["replace", "add", "remove"]

_MARGIN: Final = timedelta(minutes=1)

_UNKNOWN: Final = """
SELECT count() FROM listed_users
WHERE sipHash64(user_id) NOT IN (SELECT user_key FROM users WHERE tenant_id = {tenant:UInt32})
"""
_INTO: Final = "INSERT INTO segment_states (tenant_id, segment_id, run_id, members)"
_RECEIVE: Final = f"""
{_INTO}
SELECT {{tenant:UInt32}}, {{segment:UInt64}}, {{run:UUID}}, groupBitmapState(number) FROM user_numbers
WHERE tenant_id = {{tenant:UInt32}} AND user_id IN (SELECT user_id FROM listed_users)
"""
_MERGED: Final[dict[Mode, str]] = {
    "replace": "listed",
    "add": "bitmapOr(before, listed)",
    "remove": "bitmapAndnot(before, listed)",
}
_MERGE: Final = f"""
{_INTO}
SELECT {{tenant:UInt32}}, {{segment:UInt64}}, {{run:UUID}}, __MERGED__
FROM (
    SELECT groupBitmapMergeStateIf(members, run_id = {{upload:UUID}}) AS listed,
        groupBitmapMergeStateIf(members, run_id = {{before:UUID}}) AS before
    FROM segment_states
    WHERE tenant_id = {{tenant:UInt32}} AND segment_id = {{segment:UInt64}} AND run_id IN ({{upload:UUID}}, {{before:UUID}}))
"""


class Upload(Struct, frozen=True):
    """An upload that is on its way: *unknown* of the *accepted* users have never been seen in an event."""

    computation_id: int
    accepted: int
    unknown: int


class Uploads:
    """Receives lists of users for static segments of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._numbers = UserNumbers(postgres, clickhouse)

    async def receive(
        self, tenant: Tenant, segment_id: int, user_ids: Sequence[str], *, mode: Mode, allow_empty: bool = False
    ) -> Upload:
        """Keep a list of distinct users, and queue the computation that applies it.

        A user whom nobody has seen is kept as a member, and found by rules from their first event on.

        Raises:
            NotFound: There is no such segment.
            Conflict: It is not static.
            InvalidInput: The list has nobody and would replace all members, and *allow_empty* does not say that it is meant.
        """
        run_id = uuid4()
        async with self._postgres.transaction() as transaction:
            await _check_static(transaction, tenant, segment_id)
            if mode == "replace" and not user_ids and not allow_empty:
                raise _empty()
            sql = "INSERT INTO uploads (run_id, tenant_id, segment_id, mode) VALUES ($1, $2, $3, $4)"
            await transaction.execute(sql, run_id, tenant.id, segment_id, mode)
            # If nothing comes of it, what was written goes then; the row above keeps it until then.
            await leave_to_remove(transaction, tenant.id, [segment_id], after=LATER + _MARGIN)
        async with self._numbers.listed(tenant, user_ids) as session:
            await session.fetch(_RECEIVE, {"tenant": tenant.id, "segment": segment_id, "run": run_id})
            unknown = (await session.fetch(_UNKNOWN, {"tenant": tenant.id}, merge=SUMS)).rows[0][0]
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
    params = {"tenant": tenant.id, "segment": segment_id, "run": run_id, "upload": upload, "before": before or NOBODY}
    return CompiledQuery(_MERGE.replace("__MERGED__", _MERGED[mode]), params)


def _empty() -> InvalidInput:
    detail = (
        "The list names no user, and in its mode, replace, it would take out every member. If that is meant, send it with "
        "allow_empty=true; to take out some, send these with mode=remove."
    )
    return InvalidInput(detail, code="empty_list", findings=[Finding("", "empty_list", detail)])


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
