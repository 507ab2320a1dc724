"""Events that take long to read, to see what becomes of a query that nobody waits for any more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from segment_copilot.events import Event, observe_names, write_block
from segment_copilot.resources import Resources


@asynccontextmanager
async def slow_events(resources: Resources, key: str) -> AsyncGenerator[Callable[[], Awaitable[int]]]:
    """Every look at an event of the tenant of *key* takes long; tells how many queries are looking."""
    clickhouse, postgres = resources.clickhouse, resources.postgres
    tenant = (await resources.keys.identify(key)).tenant
    event = Event(
        tenant_id=tenant.id,
        event_id="e",
        user_id="ana",
        event_type="order_placed",
        occurred_at=datetime(2026, 6, 1, 12, tzinfo=UTC),
        payload="{}",
    )
    await write_block(clickhouse, [event], token="slow")
    await observe_names(postgres, [event])
    await clickhouse.execute("RENAME TABLE events TO stored_events", purpose="migrate")
    await clickhouse.execute(
        "CREATE VIEW events AS SELECT stored_events.* FROM stored_events, numbers(1000) AS n "
        "WHERE sleepEachRow(0.1) = 0 SETTINGS max_block_size = 1",
        purpose="migrate",
    )
    sql = "SELECT count() FROM system.processes WHERE query LIKE '%sum(count()) OVER ()%' AND query NOT LIKE '%processes%'"

    async def looking() -> int:
        return (await clickhouse.fetch(sql, purpose="catalog")).rows[0][0]

    try:
        yield looking
    finally:
        await clickhouse.execute("DROP VIEW events", purpose="migrate")
        await clickhouse.execute("RENAME TABLE stored_events TO events", purpose="migrate")
