"""USE CASE: write a tenant's past, as if its events had been forwarded when they happened, or remove all of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from segment_copilot.access.tenants import Tenant
from segment_copilot.events.names import ObservedNames, find_new_names, write_names
from segment_copilot.events.rows import Event, write_block
from segment_copilot.stores.clickhouse import ClickHouse
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
_BLOCKS: Final = "SELECT DISTINCT block_id FROM events WHERE tenant_id = $1 AND block_id IS NOT NULL"
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

    async def delete(self, tenant: Tenant) -> None:
        """Delete every event of the tenant.

        That it is to go is decided where its caller marks the tenant, and carried on by the next call if this one fails
        anywhere. From PostgreSQL first, so that no event still arrives in ClickHouse; blocks hold events of others, too.
        """
        async with self._postgres.transaction() as transaction:
            blocks = [row["block_id"] for row in await transaction.fetch(_BLOCKS, tenant.id)]
            await transaction.execute("DELETE FROM events WHERE tenant_id = $1", tenant.id)
            await transaction.execute(_EMPTY_BLOCKS, blocks)
        for table in ("events", "traits", "traits_current", "users"):
            params = {"table": table, "tenant": tenant.id}
            sql = "DELETE FROM {table:Identifier} WHERE tenant_id = {tenant:UInt32}"
            await self._clickhouse.execute(sql, params, purpose="ingest")

    async def _write_blocks(self, tenant: Tenant, events: Sequence[Event], progress: Callable[[int], None]) -> None:
        starts = iter(range(0, len(events), BLOCK_EVENTS))

        async def write() -> None:
            for start in starts:
                progress(start)
                block = events[start : start + BLOCK_EVENTS]
                await write_block(self._clickhouse, block, token=f"history-{tenant.id}-{start}")

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(write())

    async def _observe(self, events: Sequence[Event]) -> None:
        """Record the names of *events*. Most payloads come often; their first and last are read."""
        first: dict[tuple[str, str], Event] = {}
        last: dict[tuple[str, str], Event] = {}
        for event in events:
            alike = event.event_type, event.payload
            first.setdefault(alike, event)
            last[alike] = event
        names = find_new_names([*first.values(), *last.values()], known=ObservedNames())
        names.event_counts = dict(Counter((event.tenant_id, event.event_type) for event in events))
        await write_names(self._postgres, names)

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
