"""Tells what has arrived in ClickHouse since somebody last asked: of which users, exactly, and never too few.

The worker marks blocks and links as forwarded after ClickHouse has stored them. Who asks takes a mark along, and first
asks here and then ClickHouse: what is marked only afterwards is told the next time, perhaps again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.stores.postgres import Connection, Postgres

# One statement, so one snapshot. A link that is no news but was changed may have been anybody's before.
_SINCE: Final = """
SELECT pg_snapshot_xmin(pg_current_snapshot()) AS transaction, now() AS at,
    (SELECT coalesce(min(version) FILTER (WHERE status = 'pending') - 1, max(version), 0)
        FROM identity_links WHERE tenant_id = $1) AS link,
    $2::xid8 > pg_snapshot_xmax(pg_current_snapshot()) AS is_of_other_database,
    (SELECT rewritten_by >= $2::xid8 FROM tenants WHERE id = $1) AS is_rewritten,
    EXISTS (SELECT FROM identity_links WHERE tenant_id = $1 AND version > $3 AND updated_at > created_at) AS is_moved,
    ARRAY(
        SELECT user_id FROM events WHERE tenant_id = $1 AND block_id IN (
            SELECT id FROM blocks WHERE status = 'forwarded' AND forwarded_by >= $2::xid8)
        UNION
        SELECT unnest(ARRAY[alias_id, person_id]) FROM identity_links WHERE tenant_id = $1 AND version > $3
        LIMIT $4::bigint) AS user_ids
"""
_BY_TYPE: Final = """
SELECT event_type, user_id FROM events WHERE tenant_id = $1 AND block_id IN (
    SELECT id FROM blocks WHERE status = 'forwarded' AND forwarded_by >= $2::xid8)
UNION
SELECT '*', unnest(ARRAY[alias_id, person_id]) FROM identity_links WHERE tenant_id = $1 AND version > $3
"""
_REWRITTEN: Final = "UPDATE tenants SET rewritten_by = pg_current_xact_id() WHERE id = $1"

Why = Literal["nothing_seen", "seen_too_long_ago", "rewritten", "links_moved", "too_many"]
"""Why only everybody can be named: who asks had no mark; events of then are no longer kept in PostgreSQL; rows were
removed, or written beside the blocks; an id was somebody's and is another's now; or the users are more than were wanted."""


class Mark(Struct, frozen=True):
    """A mark is what somebody had seen: all that was said by transactions before one, and links up to a version."""

    transaction: int
    link: int
    at: datetime


class Arrived(Struct, frozen=True):
    """Tells what has arrived, and the mark to ask with next. *why* is None where *user_ids* are all ids that anything is of."""

    mark: Mark
    user_ids: Sequence[str] = ()
    why: Why | None = None


class Arrivals:
    """Reads what arrived for all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres, *, recent: timedelta) -> None:
        self._postgres = postgres
        self._kept = recent / 2  # they are deleted when they are older than that; by then nobody still counts on them

    async def since(self, tenant: Tenant, mark: Mark | None, *, most: int) -> Arrived:
        """Return the ids of users with events, traits or links that arrived since, if they are at most so many.

        What was seen when the mark was made may be among it.
        """
        seen = (tenant.id, mark.transaction if mark else 0, mark.link if mark else 0)
        row = await self._postgres.fetchrow(_SINCE, *seen, most + 1 if mark else 0)
        assert row is not None  # noqa: S101  # a SELECT without FROM gives a row
        new = Mark(row["transaction"], row["link"], row["at"])
        if mark is None:
            return Arrived(new, why="nothing_seen")
        if row["is_of_other_database"] or new.at - mark.at > self._kept:
            return Arrived(new, why="seen_too_long_ago")
        if row["is_rewritten"]:
            return Arrived(new, why="rewritten")
        if row["is_moved"]:
            return Arrived(new, why="links_moved")
        if len(row["user_ids"]) > most:
            return Arrived(new, why="too_many")
        return Arrived(new, row["user_ids"])

    async def by_type(self, tenant: Tenant, mark: Mark) -> list[tuple[str, str]]:
        """Return event types, each with an id that something of it arrived for since; "*" for an id that was linked.

        It is asked after `since`, and tells all that is told there, perhaps more.
        """
        rows = await self._postgres.fetch(_BY_TYPE, tenant.id, mark.transaction, mark.link)
        return [(row[0], row[1]) for row in rows]


async def note_rewritten(connection: Connection | Postgres, tenant_id: int) -> None:
    """Say that a tenant's rows in ClickHouse were removed, or written by other ways than blocks: after that was done."""
    await connection.execute(_REWRITTEN, tenant_id)
