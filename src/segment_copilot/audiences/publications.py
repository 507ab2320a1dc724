"""USE CASE: the outbox of publications: what computations published, and which of them failed, for whoever tells others.

A row is written in the transaction that publishes. Numbers are given afterwards, by one worker at a time: so whoever has
read up to a number has read all before it, whatever order the transactions ended in. Of one segment they are in the order
of its states. The users are in the log of changes; here is how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.changes import Comparison
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ordered
from segment_copilot.stores.postgres import Connection, Postgres, Record

Change = Literal["entered", "left"]

KEPT: Final = timedelta(days=30)
"""So long a publication can be told again."""

_TURN: Final = 7_220_417  # the advisory lock of whoever gives numbers
_AT_ONCE: Final = 200
_COLUMNS: Final = """id, tenant_id, segment_id, segment_name, computation_id, change_set, entered, left_count, member_count,
    computed_at, published_at, error, sequence"""

_ANNOUNCE: Final = """
INSERT INTO publications (tenant_id, segment_id, segment_name, computation_id, change_set, entered, left_count, member_count,
    computed_at, error)
SELECT $1, id, name, $3, $4, $5, $6, $7, $8, $9::text::json FROM segments WHERE tenant_id = $1 AND id = $2
"""
_NUMBER: Final = f"""
UPDATE publications SET sequence = fresh.number
FROM (
    SELECT id AS fresh_id, nextval('publications_order') AS number
    FROM (SELECT id FROM publications WHERE sequence IS NULL ORDER BY id LIMIT {_AT_ONCE}) AS oldest) AS fresh
WHERE id = fresh_id
RETURNING {_COLUMNS}
"""
# Users are divided by their keys, so that a part stays the same when somebody of another part is erased.
_USERS: Final = """
SELECT user_id FROM membership_changes
WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND computation_id = {computation:UInt64}
    AND change_set = {change_set:UUID} AND has_entered = {entered:Bool}
    AND sipHash64(user_id) % {parts:UInt32} = {part:UInt32} - 1
ORDER BY user_id
"""


class Publication(Struct, frozen=True):
    """A state of a segment that was published, with the set of changes that led to it; or a computation that failed.

    *sequence* is its place among all of them: 0 until it has one.
    """

    id: int
    tenant_id: int
    segment_id: int
    segment_name: str
    computation_id: int
    change_set: UUID | None
    entered: int
    left: int
    member_count: int | None
    computed_at: datetime
    published_at: datetime
    error: str | None = None
    sequence: int = 0

    def count(self, change: Change) -> int:
        """Return how many users changed so."""
        return self.entered if change == "entered" else self.left


async def announce(
    transaction: Connection,
    tenant: Tenant,
    segment_id: int,
    *,
    computation_id: int,
    found: Comparison,
    computed_at: datetime,
) -> None:
    """Write down, in the transaction that publishes them, that a segment has the members that *found* counted."""
    counts = (found.entered, found.left, found.member_count)
    await transaction.execute(
        _ANNOUNCE, tenant.id, segment_id, computation_id, found.change_set, *counts, computed_at, None
    )


async def announce_failure(
    transaction: Connection, tenant: Tenant, segment_id: int, *, computation_id: int, as_of: datetime, error: str
) -> None:
    """Write down, in the transaction that ends it, that a computation failed; *error* is JSON of its code and detail."""
    await transaction.execute(_ANNOUNCE, tenant.id, segment_id, computation_id, None, 0, 0, None, as_of, error)


class Publications:
    """Reads the outbox; a caller's methods take the tenant, a worker's none."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def number(self, transaction: Connection) -> list[Publication]:
        """Give the oldest publications without a number theirs, and return them; none while another worker does so."""
        if not await transaction.fetchval("SELECT pg_try_advisory_xact_lock($1)", _TURN):
            return []
        return sorted(map(read_publication, await transaction.fetch(_NUMBER)), key=_sequence)

    async def since(self, tenant: Tenant, at: datetime, *, connection: Connection | None = None) -> list[Publication]:
        """Return the tenant's publications of *at* or later that have a number, oldest first."""
        sql = f"""
            SELECT {_COLUMNS} FROM publications WHERE tenant_id = $1 AND published_at >= $2 AND sequence IS NOT NULL
            ORDER BY sequence"""
        rows = await (connection or self._postgres).fetch(sql, tenant.id, at)
        return [read_publication(row) for row in rows]

    async def after(self, tenant: Tenant, sequence: int, *, limit: int) -> list[Publication]:
        """Return the tenant's publications that come after a number, oldest first."""
        sql = f"SELECT {_COLUMNS} FROM publications WHERE tenant_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3"
        return [read_publication(row) for row in await self._postgres.fetch(sql, tenant.id, sequence, limit)]

    async def newest(self, tenant: Tenant) -> int:
        """Return the number of the tenant's newest publication; 0 where it has none."""
        sql = "SELECT coalesce(max(sequence), 0) FROM publications WHERE tenant_id = $1"
        return await self._postgres.fetchval(sql, tenant.id)

    async def users(self, publication: Publication, change: Change, *, part: int, parts: int) -> Sequence[str]:
        """Return the users of one of *parts* (from 1) of those that changed so, by id; those who were erased are not there."""
        if publication.change_set is None:
            return ()
        params = {
            "tenant": publication.tenant_id,
            "segment": publication.segment_id,
            "computation": publication.computation_id,
            "change_set": publication.change_set,
            "entered": change == "entered",
            "part": part,
            "parts": parts,
        }
        return [
            user_id
            for (user_id,) in (await self._clickhouse.fetch(_USERS, params, purpose="members", merge=ordered(0))).rows
        ]

    async def clean_up(self, *, now: datetime) -> None:
        """Remove what is too old to be told again, and what was to be told of it."""
        sql = "DELETE FROM publications WHERE published_at < $1 AND sequence IS NOT NULL"
        await self._postgres.execute(sql, now - KEPT)


def read_publication(row: Record) -> Publication:
    """Return the publication of a row."""
    return Publication(
        id=row["id"],
        tenant_id=row["tenant_id"],
        segment_id=row["segment_id"],
        segment_name=row["segment_name"],
        computation_id=row["computation_id"],
        change_set=row["change_set"],
        entered=row["entered"],
        left=row["left_count"],
        member_count=row["member_count"],
        computed_at=row["computed_at"],
        published_at=row["published_at"],
        error=row["error"],
        sequence=row["sequence"] or 0,
    )


def _sequence(publication: Publication) -> int:
    return publication.sequence
