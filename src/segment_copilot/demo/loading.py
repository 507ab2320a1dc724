"""Loading the demo shop: straight into the stores, in blocks, then schemas, connectors, segments and their history.

The tenant gets its name last: until then it is called `demo-loading`, so that one whose loading died is recognised
by whoever comes next and begun again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

import msgspec
import structlog

from segment_copilot.access import tenants
from segment_copilot.access.tenants import Tenant
from segment_copilot.demo.schemas import SCHEMAS
from segment_copilot.demo.segments import ACTIVATIONS, SEGMENTS
from segment_copilot.demo.shop import SEED, USERS, generate_shop
from segment_copilot.errors import NotFound, Unavailable
from segment_copilot.events import Event, ObservedNames, write_block
from segment_copilot.events.names import new_names, write_names
from segment_copilot.events.schemas import save_schema
from segment_copilot.resources import Resources
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres

log = structlog.get_logger()

SLUG: Final = "demo"
UNFINISHED: Final = "demo-loading"
HISTORY_DAYS: Final = 30
BLOCK_EVENTS: Final = 50_000
_AT_ONCE: Final = 2  # while ClickHouse reads one block, the next is being encoded
_LOCK: Final = 0x5E6DE30  # of the advisory lock: one process at a time loads
_COMPUTING_SECONDS: Final = 60

Progress = Callable[[str], None]
"""Told in a few words how far the loading is."""


def _ignore(_told: str) -> None: ...


async def load_demo(
    resources: Resources,
    *,
    ends_at: datetime,
    seed: int = SEED,
    users: int = USERS,
    history_days: int = HISTORY_DAYS,
    progress: Progress = _ignore,
) -> Tenant:
    """The tenant `demo`, whose last event is just before *ends_at* (aware, not in the future).

    Does nothing when the tenant is there; clears away one that was loaded half-way. Takes about 15 seconds.
    """
    async with _alone(resources.postgres):
        try:
            return await tenants.get_tenant(resources.postgres, SLUG)
        except NotFound:
            await _clear_away(resources)
        tenant = await tenants.create_tenant(resources.postgres, UNFINISHED)
        progress("making the shop up")
        shop = await asyncio.to_thread(generate_shop, seed=seed, users=users)
        events = list(shop.events(tenant.id, ends_at=ends_at))
        await _load_events(resources, events, ends_at=ends_at, progress=progress)
        for schema in SCHEMAS:
            await save_schema(
                resources.postgres,
                tenant.id,
                event_type=schema.event_type,
                description=schema.description,
                properties=schema.properties,
            )
        resources.discovery.forget(tenant.id)
        ids = await _save_segments(resources, tenant, ends_at=ends_at)
        await _connect(resources.postgres, tenant, ids, ends_at=ends_at)
        days = [ends_at - timedelta(days=ago) for ago in range(history_days - 1, 0, -1)]
        await _compute_history(resources, tenant, ids.values(), days=days, progress=progress)
        await _compute(resources, tenant, as_of=ends_at)
        await resources.postgres.execute("UPDATE tenants SET slug = $2 WHERE id = $1", tenant.id, SLUG)
    log.info("demo.loaded", tenant_id=tenant.id, events=len(events), seed=seed)
    return await tenants.get_tenant(resources.postgres, SLUG)


@asynccontextmanager
async def _alone(postgres: Postgres) -> AsyncGenerator[None]:
    """No other process loads meanwhile; whatever ends the connection gives the lock back."""
    async with postgres.connection(seconds=300) as connection:
        await connection.execute("SET lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            yield
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
            await connection.execute("RESET lock_timeout")


_CLEAR_AWAY: Final = (  # what does not go with the tenant's row
    "DELETE FROM blocks WHERE id IN (SELECT block_id FROM events WHERE tenant_id = $1)",
    "DELETE FROM events WHERE tenant_id = $1",
    "DELETE FROM activations WHERE tenant_id = $1",
    "DELETE FROM segment_references WHERE segment_id IN (SELECT id FROM segments WHERE tenant_id = $1)",
)


async def _clear_away(resources: Resources) -> None:
    """Remove what a loading that died has left: what is in ClickHouse first, since the tenant's row leads to it."""
    try:
        left = await tenants.get_tenant(resources.postgres, UNFINISHED)
    except NotFound:
        return
    for table in ("events", "traits", "traits_current", "users", "memberships"):
        params = {"table": table, "tenant": left.id}
        await resources.clickhouse.execute(
            "DELETE FROM {table:Identifier} WHERE tenant_id = {tenant:UInt32}", params, purpose="ingest"
        )
    async with resources.postgres.transaction() as transaction:
        for sql in _CLEAR_AWAY:
            await transaction.execute(sql, left.id)
        await transaction.execute("DELETE FROM tenants WHERE id = $1", left.id)
    resources.discovery.forget(left.id)


# Events


async def _load_events(resources: Resources, events: Sequence[Event], *, ends_at: datetime, progress: Progress) -> None:
    """All of them to ClickHouse, their names to the catalog, and the newest to PostgreSQL, as if just forwarded."""
    since = ends_at - timedelta(hours=resources.settings.recent_event_hours)
    recent = [event for event in events if event.occurred_at > since]
    async with asyncio.TaskGroup() as group:
        group.create_task(_write_blocks(resources.clickhouse, events, progress=progress))
        group.create_task(_observe(resources.postgres, events))
        group.create_task(_keep_recent(resources.postgres, recent))


async def _observe(postgres: Postgres, events: Sequence[Event]) -> None:
    """Record the names of *events* (in the order of time). Most payloads come often; their first and last are read."""
    first: dict[tuple[str, str], Event] = {}
    last: dict[tuple[str, str], Event] = {}
    for event in events:
        said = event.event_type, event.payload
        first.setdefault(said, event)
        last[said] = event
    names = new_names([*first.values(), *last.values()], known=ObservedNames())
    names.event_counts = dict(Counter((event.tenant_id, event.event_type) for event in events))
    await write_names(postgres, names)


async def _write_blocks(clickhouse: ClickHouse, events: Sequence[Event], *, progress: Progress) -> None:
    starts = iter(range(0, len(events), BLOCK_EVENTS))

    async def write() -> None:
        for start in starts:
            progress(f"{start:,} of {len(events):,} events")
            block = events[start : start + BLOCK_EVENTS]
            await write_block(clickhouse, block, token=f"demo-{block[0].tenant_id}-{start}")

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(write())


async def _keep_recent(postgres: Postgres, recent: Sequence[Event]) -> None:
    """Events of one hour share a block, which the worker deletes when it is old enough."""
    rows: list[tuple[Any, ...]] = []
    for _, group in groupby(recent, key=lambda event: event.occurred_at.replace(minute=0, second=0, microsecond=0)):
        hour = list(group)
        block_id = await postgres.fetchval(
            "INSERT INTO blocks (status, attempts, event_count, created_at, forwarded_at) "
            "VALUES ('forwarded', 1, $1, $2, $2) RETURNING id",
            len(hour),
            hour[-1].occurred_at,
        )
        rows.extend(
            (e.tenant_id, e.event_id, e.user_id, e.event_type, e.occurred_at, e.payload, e.occurred_at, block_id)
            for e in hour
        )
    columns = (
        "tenant_id", "event_id", "user_id", "event_type", "occurred_at", "payload", "received_at", "block_id",
    )  # fmt: skip
    await postgres.copy("events", columns=columns, rows=rows)


# What was registered and saved


async def _save_segments(resources: Resources, tenant: Tenant, *, ends_at: datetime) -> dict[str, int]:
    """Ids by name. They are dated before their history begins, one a day."""
    ids: dict[str, int] = {}
    for place, segment in enumerate(SEGMENTS):
        saved = await resources.segments.create(
            tenant, name=segment.name, description=segment.description, definition=segment.definition(ids)
        )
        ids[segment.name] = saved.segment.id
        made_at = ends_at - timedelta(days=HISTORY_DAYS + len(SEGMENTS) - place)
        for sql in (
            "UPDATE segments SET created_at = $2, updated_at = $2 WHERE id = $1",
            "UPDATE segment_versions SET created_at = $2 WHERE segment_id = $1",
        ):
            await resources.postgres.execute(sql, saved.segment.id, made_at)
    return ids


async def _connect(postgres: Postgres, tenant: Tenant, ids: dict[str, int], *, ends_at: datetime) -> None:
    rows = [
        (
            tenant.id,
            ids[activation.segment],
            activation.connector_type,
            msgspec.json.encode(activation.config).decode(),
            "active" if activation.active else "inactive",
            ends_at - timedelta(minutes=20) if activation.active else None,
        )
        for activation in ACTIVATIONS
    ]
    await postgres.executemany(
        "INSERT INTO activations (tenant_id, segment_id, connector_type, config, status, last_synced_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        rows,
    )


# Members, on each day before and now


async def _compute_history(
    resources: Resources, tenant: Tenant, segment_ids: Collection[int], *, days: Sequence[datetime], progress: Progress
) -> None:
    """The number of members on each of the days, by our own compiler."""
    waiting = iter(enumerate(segment_ids))

    async def fill() -> None:
        for place, segment_id in waiting:
            progress(f"history of {place + 1} of {len(segment_ids)} segments")
            await resources.computations.backfill(tenant, segment_id, days)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(fill())


async def _compute(resources: Resources, tenant: Tenant, *, as_of: datetime) -> None:
    await resources.computations.request_all(tenant, as_of=as_of)
    await _until_computed(resources, tenant)


async def _until_computed(resources: Resources, tenant: Tenant) -> None:
    """Compute what was requested, or wait for a worker that took some of it."""
    sql = "SELECT count(*) FROM computations WHERE tenant_id = $1 AND status IN ('queued', 'running')"
    try:
        async with asyncio.timeout(_COMPUTING_SECONDS):
            while await resources.postgres.fetchval(sql, tenant.id):
                done = await asyncio.gather(*(resources.computations.run_next() for _ in range(_AT_ONCE)))
                if not any(done):
                    await asyncio.sleep(0.05)
    except TimeoutError:
        raise Unavailable("The segments of the demo tenant were not computed in time.") from None
