"""USE CASE: write a tenant's past, as if its events had been forwarded when they happened, or remove all of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import uuid4

from segment_copilot.access.tenants import Tenant
from segment_copilot.events.arrivals import note_rewritten
from segment_copilot.events.names import ObservedNames, find_new_names, write_names
from segment_copilot.events.rows import Event, write_block
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import grouped
from segment_copilot.stores.postgres import Postgres

BLOCK_EVENTS: Final = 50_000
_AT_ONCE: Final = 2  # while ClickHouse reads one block, the next is being encoded

_HOUR_BLOCK: Final = """
INSERT INTO blocks (status, attempts, event_count, created_at, forwarded_at)
VALUES ('forwarded', 1, $1, $2, $2) RETURNING id
"""
_COLUMNS: Final = (
    "tenant_id", "event_id", "user_id", "event_type", "occurred_at", "payload", "received_at", "block_id",
)  # fmt: skip
_OF_PREFIX: Final = "tenant_id = {tenant:UInt32} AND startsWith(event_id, {prefix:String})"
_FORGET: Final = (  # events last: they tell which users are meant, should this be cut short and begun again
    f"""DELETE FROM users WHERE tenant_id = {{tenant:UInt32}}
        AND user_key IN (SELECT user_key FROM events WHERE {_OF_PREFIX})""",
    f"DELETE FROM traits WHERE {_OF_PREFIX}",
    f"DELETE FROM events WHERE {_OF_PREFIX}",
)
_REMEMBER: Final = """
INSERT INTO users (tenant_id, user_id, first_seen, last_seen)
SELECT {tenant:UInt32}, any(known.user_id), min(occurred_at), max(occurred_at)
FROM events INNER JOIN (SELECT user_key, any(user_id) AS user_id FROM users WHERE tenant_id = {tenant:UInt32} GROUP BY user_key)
    AS known USING (user_key)
WHERE tenant_id = {tenant:UInt32} AND NOT startsWith(event_id, {prefix:String})
GROUP BY user_key
"""
_COUNTS: Final = """
SELECT event_type, count(), min(occurred_at), max(occurred_at) FROM events WHERE tenant_id = {tenant:UInt32} GROUP BY event_type
"""
_COUNTED: Final = """
UPDATE observed_names AS names SET event_count = found.event_count, first_seen = found.first_seen, last_seen = found.last_seen
FROM unnest($2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[])
    AS found (event_type, event_count, first_seen, last_seen)
WHERE tenant_id = $1 AND names.event_type = found.event_type AND path = ''
"""
_BLOCKS: Final = """
SELECT DISTINCT block_id FROM events WHERE tenant_id = $1 AND starts_with(event_id, $2) AND block_id IS NOT NULL
"""
_DELETE: Final = "DELETE FROM events WHERE tenant_id = $1 AND starts_with(event_id, $2)"
_EMPTY_BLOCKS: Final = """
DELETE FROM blocks WHERE id = ANY ($1::bigint[]) AND NOT EXISTS (SELECT FROM events WHERE block_id = blocks.id)
"""


class History:
    """Writes and removes the past of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def write(
        self, tenant: Tenant, events: Sequence[Event], *, recent_since: datetime, progress: Callable[[int], None]
    ) -> None:
        """Write *events* (valid, of *tenant*, in the order of time) to ClickHouse, and their names to the catalog.

        Those after *recent_since* are kept in PostgreSQL too, as if just forwarded. *progress* is told how many are
        written. No id is looked up, so what is written twice counts twice.
        """
        recent = [event for event in events if event.occurred_at > recent_since]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_blocks(tenant, events, progress))
            group.create_task(self._observe(events))
            group.create_task(self._keep_recent(recent))
        await note_rewritten(self._postgres, tenant.id)

    async def rewrite(
        self,
        tenant: Tenant,
        events: Sequence[Event],
        *,
        prefix: str,
        recent_since: datetime,
        progress: Callable[[int], None],
    ) -> None:
        """Write *events* in the place of those whose ids begin with *prefix*: the same ones, at later times.

        All others stay, and what is known of their users with them. Cut short, it is to be done again. Current traits
        need no removal: the newer ones take the place of the older.
        """
        params = {"tenant": tenant.id, "prefix": prefix}
        await self._delete_recent(tenant, prefix)
        for sql in _FORGET:
            await self._clickhouse.execute(sql, params, purpose="ingest")
        await self._write_blocks(tenant, events, progress)
        await self._clickhouse.execute(_REMEMBER, params, purpose="ingest")
        merge = grouped(1, "add", "min", "max")
        counts = (await self._clickhouse.fetch(_COUNTS, {"tenant": tenant.id}, purpose="ingest", merge=merge)).rows
        await self._postgres.execute(_COUNTED, tenant.id, *map(list, zip(*counts, strict=True)))
        await self._keep_recent([event for event in events if event.occurred_at > recent_since])
        await note_rewritten(self._postgres, tenant.id)

    async def delete(self, tenant: Tenant) -> None:
        """Delete every event of the tenant, and which ids are one person's.

        That it is to go is decided where its caller marks the tenant, and carried on by the next call if this one fails
        anywhere. From PostgreSQL first, so that no event still arrives in ClickHouse; blocks hold events of others, too.
        """
        await self._delete_recent(tenant, prefix="")
        for sql in ("DELETE FROM identity_links WHERE tenant_id = $1", "DELETE FROM event_counts WHERE tenant_id = $1"):
            await self._postgres.execute(sql, tenant.id)
        for table in ("events", "traits", "traits_current", "users", "identity_links"):
            params = {"table": table, "tenant": tenant.id}
            sql = "DELETE FROM {table:Identifier} WHERE tenant_id = {tenant:UInt32}"
            await self._clickhouse.execute(sql, params, purpose="ingest")
        await note_rewritten(self._postgres, tenant.id)

    async def _delete_recent(self, tenant: Tenant, prefix: str) -> None:
        """Delete from PostgreSQL the events whose ids begin with *prefix*, and the blocks that nothing is left in."""
        async with self._postgres.transaction() as transaction:
            blocks = [row["block_id"] for row in await transaction.fetch(_BLOCKS, tenant.id, prefix)]
            await transaction.execute(_DELETE, tenant.id, prefix)
            await transaction.execute(_EMPTY_BLOCKS, blocks)

    async def _write_blocks(self, tenant: Tenant, events: Sequence[Event], progress: Callable[[int], None]) -> None:
        starts = iter(range(0, len(events), BLOCK_EVENTS))
        writing = uuid4().hex  # ClickHouse forgets a token that it knows, also of rows that were deleted since

        async def write() -> None:
            for start in starts:
                progress(start)
                block = events[start : start + BLOCK_EVENTS]
                await write_block(self._clickhouse, block, token=f"history-{tenant.id}-{writing}-{start}")

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(write())

    async def _observe(self, events: Sequence[Event]) -> None:
        """Record the names of *events*, found off the event loop: of a million events it takes seconds."""
        await write_names(self._postgres, await asyncio.to_thread(_names_of, events))

    async def _keep_recent(self, recent: Sequence[Event]) -> None:
        """Keep *recent* in PostgreSQL; events of one hour share a block, which the worker deletes when it is old."""
        rows: list[tuple[Any, ...]] = []
        for _, group in groupby(recent, key=lambda event: event.occurred_at.replace(minute=0, second=0, microsecond=0)):
            hour = list(group)
            block_id = await self._postgres.fetchval(_HOUR_BLOCK, len(hour), hour[-1].occurred_at)
            rows.extend(
                (e.tenant_id, e.event_id, e.user_id, e.event_type, e.occurred_at, e.payload, e.occurred_at, block_id)
                for e in hour
            )
        await self._postgres.copy("events", columns=_COLUMNS, rows=rows)


def _names_of(events: Sequence[Event]) -> ObservedNames:
    """Return the names of *events*. Most payloads come often; their first and last are read."""
    first: dict[tuple[str, str], Event] = {}
    last: dict[tuple[str, str], Event] = {}
    for event in events:
        alike = event.event_type, event.payload
        first.setdefault(alike, event)
        last[alike] = event
    names = find_new_names([*first.values(), *last.values()], known=ObservedNames())
    names.event_counts = dict(Counter((event.tenant_id, event.event_type) for event in events))
    return names
