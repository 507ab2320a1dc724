"""USE CASE: say how many entered a segment and left it in a span of time, and who the first of them are.

The numbers are those that computations published, the users those in the log of changes. Somebody who entered twice
counts twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ordered
from segment_copilot.stores.postgres import Postgres, Record

_PUBLISHED: Final = """
SELECT id, change_set, finished_at, entered, left_count,
    NOT EXISTS (SELECT FROM computations AS earlier
                WHERE earlier.tenant_id = $1 AND earlier.segment_id = $2 AND earlier.change_set IS NOT NULL
                    AND earlier.id < computations.id)
        AND entered = member_count AND left_count = 0 AS is_first -- those of before may be forgotten
FROM computations
WHERE tenant_id = $1 AND segment_id = $2 AND change_set IS NOT NULL AND finished_at >= $3 AND finished_at < $4
ORDER BY id
"""
_READ: Final = """
SELECT user_id, computation_id FROM membership_changes
WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND has_entered = {has_entered:Bool}
    AND computation_id IN {computations:Array(UInt64)} AND change_set IN {change_sets:Array(UUID)}
ORDER BY computation_id, change_set, user_id LIMIT {limit:UInt32}
"""


class Mover(Struct, frozen=True):
    """A user who entered or left, and when that was published."""

    user_id: str
    at: datetime


class Movement(Struct, frozen=True):
    """A movement is how many entered a segment and left it, by how many publications, and the first of them in time.

    *first_computed_at* is set when the segment's first publication is one of these: everybody in it has entered then.
    """

    entered: int
    left: int
    publications: int
    first_computed_at: datetime | None
    entered_users: tuple[Mover, ...]
    left_users: tuple[Mover, ...]


class Movements:
    """Reads what moved in all tenants' segments; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def between(
        self, tenant: Tenant, segment_id: int, start: datetime, end: datetime, *, limit: int = 10
    ) -> Movement:
        """Return what was published from *start* to before *end*, with at most *limit* users of each kind."""
        published = await self._postgres.fetch(_PUBLISHED, tenant.id, segment_id, start, end)
        return Movement(
            entered=sum(row["entered"] for row in published),
            left=sum(row["left_count"] for row in published),
            publications=len(published),
            first_computed_at=next((row["finished_at"] for row in published if row["is_first"]), None),
            entered_users=await self._users(tenant, segment_id, published, "entered", limit),
            left_users=await self._users(tenant, segment_id, published, "left_count", limit),
        )

    async def _users(
        self, tenant: Tenant, segment_id: int, published: Sequence[Record], column: str, limit: int
    ) -> tuple[Mover, ...]:
        wanted, found = list[Record](), 0
        for row in published:
            if found >= limit:
                break
            if row[column]:
                wanted.append(row)
                found += row[column]
        if not wanted:
            return ()
        params = {
            "tenant": tenant.id,
            "segment": segment_id,
            "has_entered": column == "entered",
            "computations": [row["id"] for row in wanted],
            "change_sets": [row["change_set"] for row in wanted],
            "limit": limit,
        }
        at = {row["id"]: row["finished_at"] for row in wanted}
        rows = (await self._clickhouse.fetch(_READ, params, purpose="members", merge=ordered(1, 0, limit=limit))).rows
        return tuple(Mover(user_id, at[computation_id]) for user_id, computation_id in rows)
