"""The worker's loop."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec

from segment_copilot import worker
from segment_copilot.access.tenants import Tenant
from segment_copilot.resources import Resources
from segment_copilot.settings import Settings


async def test_an_event_is_queryable_soon_and_the_worker_stops_when_told(resources: Resources, tenant: Tenant):
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run_worker(resources, stop=stop))
    event = b'{"user_id":"ana","event_type":"order_placed"}'
    await resources.ingestion.accept(tenant, [event], received_at=datetime.now(UTC))

    async with asyncio.timeout(10):
        while (await resources.ingestion.status(tenant)).pending:  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0.02)
    stop.set()
    async with asyncio.timeout(10):
        await working

    assert (await resources.clickhouse.fetch("SELECT count() FROM events", purpose="catalog")).rows == [(1,)]


async def test_a_step_that_fails_is_tried_again_and_one_with_more_to_do_at_once():
    stop = asyncio.Event()
    taken: list[str] = []

    async def step() -> bool:
        taken.append("step")
        if len(taken) == 1:
            raise ZeroDivisionError
        if len(taken) == 5:
            stop.set()
        return True

    async with asyncio.timeout(10):
        await worker._repeat(worker.Step("testing", step, idle_seconds=3600), stop=stop)

    assert len(taken) == 5


async def test_work_that_does_not_end_is_cancelled_after_the_grace(resources: Resources, monkeypatch):
    monkeypatch.setattr(worker, "GRACE_SECONDS", 0.1)
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def endless() -> bool:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return False

    monkeypatch.setattr(resources.computations, "run_next", endless)
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run_worker(resources, stop=stop))
    await entered.wait()
    stop.set()
    async with asyncio.timeout(10):
        await working

    assert cancelled.is_set()


async def test_old_events_are_cleaned_up_by_the_settings(resources: Resources):
    await resources.postgres.execute(
        "INSERT INTO event_ids (tenant_id, key, accepted_at) VALUES (1, 'a', now() - interval '25 hours'), (1, 'b', now())"
    )
    await resources.postgres.execute(
        "INSERT INTO blocks (status, event_count, forwarded_at) VALUES "
        "('forwarded', 0, now() - interval '2 hours'), ('forwarded', 0, now())"
    )
    kept = msgspec.structs.replace(resources, settings=Settings(recent_event_hours=1, event_id_days=1))

    while await worker._clean_up(kept):
        pass

    assert await resources.postgres.fetchval("SELECT count(*) FROM event_ids") == 1
    assert await resources.postgres.fetchval("SELECT count(*) FROM blocks") == 1
