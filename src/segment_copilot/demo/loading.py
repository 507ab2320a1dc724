"""Loads the demo shop: straight into the stores, in blocks, then schemas, connectors, segments and their history.

The tenant gets its name last: until then it is called `demo-loading`, so that one whose loading died is recognised
by whoever comes next and begun again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

import structlog
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.demo.moving import MOVING, move_to_now
from segment_copilot.demo.schemas import SCHEMAS
from segment_copilot.demo.segments import SEGMENTS
from segment_copilot.demo.shop import SEED, USERS, event_prefix, generate_shop
from segment_copilot.errors import NotFound, Unavailable
from segment_copilot.lists import Window
from segment_copilot.resources import Resources
from segment_copilot.stores.merging import SUMS
from segment_copilot.stores.postgres import Postgres

log = structlog.get_logger()

SLUG: Final = "demo"
UNFINISHED: Final = "demo-loading"
HISTORY_DAYS: Final = 30
_AT_ONCE: Final = 2  # computations
_MANY: Final = 1_000_000  # all segments
_LOCK: Final = 0x5E6DE30  # of the advisory lock: one process at a time loads
_COMPUTING_SECONDS: Final = 60

_OWN_EVENTS: Final = """
SELECT count() FROM events WHERE tenant_id = {tenant:UInt32} AND NOT startsWith(event_id, {prefix:String})
"""

Progress = Callable[[str], None]
"""Takes a few words on how far the loading is."""


def _ignore(_text: str) -> None: ...


async def load_demo(
    resources: Resources,
    *,
    ends_at: datetime,
    seed: int = SEED,
    users: int = USERS,
    history_days: int = HISTORY_DAYS,
    progress: Progress = _ignore,
    notice: Progress = _ignore,
) -> Tenant:
    """Return the tenant `demo`, loaded if it is missing; its last event is just before *ends_at* (aware, past).

    One that is there is moved there by whole days, if it ends more than a day before; one that was loaded half-way is
    cleared away. Takes about 15 seconds, half of it for a move. *notice* is told what a person is to know of it.
    """
    async with _hold_lock(resources.postgres):
        if (tenant := await _find(resources)) is not None:
            if await move_to_now(
                resources, tenant, now=ends_at, seed=seed, users=users, progress=progress, notice=notice
            ):
                await _compute_again(resources, tenant, as_of=ends_at)
                tenant = await resources.tenants.rename(tenant, SLUG)
            return tenant
        await _clear_away(resources)
        tenant = await resources.tenants.create(UNFINISHED)
        tenant_id = tenant.id
        progress("making the shop up")
        shop = await asyncio.to_thread(generate_shop, seed=seed, users=users)
        # Not on the event loop: on a busy machine it would stand still for longer than a store waits for an answer.
        events = await asyncio.to_thread(lambda: list(shop.events(tenant_id, ends_at=ends_at)))
        await resources.history.write(
            tenant,
            events,
            recent_since=ends_at - timedelta(hours=resources.settings.recent_event_hours),
            progress=lambda written: progress(f"{written:,} of {len(events):,} events"),
        )
        for schema in SCHEMAS:
            await resources.schemas.save(
                tenant,
                event_type=schema.event_type,
                description=schema.description,
                properties=schema.properties,
            )
        resources.discovery.forget(tenant)
        ids = await _save_segments(resources, tenant, ends_at=ends_at)
        days = [ends_at - timedelta(days=ago) for ago in range(history_days - 1, 0, -1)]
        await _compute_history(resources, tenant, ids.values(), days=days, progress=progress)
        await _compute(resources, tenant, as_of=ends_at)
        tenant = await resources.tenants.rename(tenant, SLUG)
    log.info("demo.loaded", tenant_id=tenant.id, events=len(events), seed=seed)
    return tenant


class OwnData(Struct, frozen=True):
    """Says what people have put into the demo tenant themselves."""

    segments: tuple[str, ...] = ()
    events: int = 0


async def find_own_data(resources: Resources, *, seed: int = SEED) -> OwnData:
    """Return what a reset of the demo tenant would take away besides the demo: segments made or edited, events sent."""
    if (tenant := await _find(resources)) is None:
        return OwnData()
    demo = {segment.name for segment in SEGMENTS}
    segments = [
        segment.name
        for segment in (await resources.segments.list(tenant, Window(_MANY))).results
        if segment.version > 1 or segment.name not in demo
    ]
    params = {"tenant": tenant.id, "prefix": event_prefix(seed)}
    ((events,),) = (await resources.clickhouse.fetch(_OWN_EVENTS, params, purpose="catalog", merge=SUMS)).rows
    pending = (await resources.ingestion.status(tenant)).pending
    return OwnData(tuple(segments), events + pending)


async def discard_demo(resources: Resources) -> None:
    """Remove the demo tenant with all that is in it, so that the next `load_demo` makes it anew."""
    async with _hold_lock(resources.postgres):
        await _clear_away(resources)
        if (tenant := await _find(resources)) is not None:
            await resources.tenants.rename(tenant, UNFINISHED)  # whatever happens from here, it is not taken for whole
            await _clear_away(resources)


async def _find(resources: Resources) -> Tenant | None:
    """Return the demo tenant, also one whose shop is on the move."""
    found = [each for each in await resources.tenants.list() if each.slug == SLUG or each.slug.startswith(MOVING)]
    return found[0] if found else None


@asynccontextmanager
async def _hold_lock(postgres: Postgres) -> AsyncGenerator[None]:
    """Hold the lock under which one process loads at a time; whatever ends the connection gives it back."""
    async with postgres.connection(seconds=300) as connection:
        await connection.execute("SET lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            yield
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
            await connection.execute("RESET lock_timeout")


async def _clear_away(resources: Resources) -> None:
    """Remove what a loading that died has left; the tenant's row last, since it leads to the rest."""
    try:
        left = await resources.tenants.get(UNFINISHED)
    except NotFound:
        return
    await resources.activations.delete_all(left)
    await resources.snapshots.delete_all(left)
    await resources.user_numbers.delete_all(left)
    await resources.segments.delete_all(left)
    await resources.history.delete(left)
    await resources.tenants.delete(left)


# What was registered and saved


async def _save_segments(resources: Resources, tenant: Tenant, *, ends_at: datetime) -> dict[str, int]:
    """Save the segments and return their ids by name. They are dated before their history begins, one a day."""
    ids: dict[str, int] = {}
    for place, segment in enumerate(SEGMENTS):
        saved = await resources.segments.create(
            tenant,
            name=segment.name,
            description=segment.description,
            definition=segment.definition(ids),
            saved_at=ends_at - timedelta(days=HISTORY_DAYS + len(SEGMENTS) - place),
        )
        ids[segment.name] = saved.segment.id
    return ids


# Members, on each day before and now


async def _compute_history(
    resources: Resources, tenant: Tenant, segment_ids: Collection[int], *, days: Sequence[datetime], progress: Progress
) -> None:
    """Record the number of members on each of the days, by our own compiler."""
    waiting = iter(enumerate(segment_ids))

    async def fill() -> None:
        for place, segment_id in waiting:
            progress(f"history of {place + 1} of {len(segment_ids)} segments")
            await resources.computations.backfill(tenant, segment_id, days)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(fill())


async def _compute_again(resources: Resources, tenant: Tenant, *, as_of: datetime) -> None:
    """Compute the segments that were computed before, people's own among them."""
    for segment in (await resources.segments.list(tenant, Window(_MANY))).results:
        if segment.is_active and segment.last_computed_at is not None:
            await resources.computations.request(tenant, segment.id, as_of=as_of)
    await _wait_until_computed(resources, tenant)


async def _compute(resources: Resources, tenant: Tenant, *, as_of: datetime) -> None:
    await resources.computations.request_all(tenant, as_of=as_of)
    await _wait_until_computed(resources, tenant)


async def _wait_until_computed(resources: Resources, tenant: Tenant) -> None:
    """Compute what was requested, or wait for a worker that took some of it."""
    try:
        async with asyncio.timeout(_COMPUTING_SECONDS):
            while await resources.computation_records.count_unfinished(tenant):
                done = await asyncio.gather(*(resources.computations.run_next() for _ in range(_AT_ONCE)))
                if not any(done):
                    await asyncio.sleep(0.05)
    except TimeoutError:
        raise Unavailable("The segments of the demo tenant were not computed in time.") from None
