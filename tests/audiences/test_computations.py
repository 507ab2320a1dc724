"""Computations as a client sees them: how they are listed, what each says, how one is cancelled."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.computations import Computations
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.lists import Window
from segment_copilot.resources import Resources
from segment_copilot.stores.leases import LeaseLost
from tests.support.resources import NOW, Remember

DAY = timedelta(days=1)
BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 7}]}


async def buyers(resources: Resources, tenant: Tenant) -> int:
    return (await resources.segments.create(tenant, name="Buyers", definition=BUYERS)).segment.id


async def status(resources: Resources, tenant: Tenant, segment_id: int) -> str:
    return (await resources.segments.get(tenant, segment_id)).status


async def test_a_computation_says_how_it_went(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {}), ("ben", "order_placed", NOW + 9 * DAY, {})])
    computations = resources.computations

    queued = await computations.request(tenant, segment, as_of=NOW)
    assert queued == await resources.computation_records.get(tenant, queued.id)
    assert (queued.status, queued.started_at, queued.finished_at, queued.member_count) == ("queued", None, None, None)
    (claimed,) = await computations._claim()
    computing = await resources.computation_records.get(tenant, queued.id)
    await computations._settle(claimed, computations._compute(claimed))
    done = await resources.computation_records.get(tenant, queued.id)
    second = await computations.request(tenant, segment, as_of=NOW + 10 * DAY)
    await computations.run_next()
    second = await resources.computation_records.get(tenant, second.id)

    assert computing.status == "computing"
    assert (queued.progress, computing.progress, done.progress) == (None, 0, 1)
    assert computing.started_at == done.started_at
    assert done.started_at is not None
    assert done.finished_at is not None
    assert done.created_at <= done.started_at <= done.finished_at
    assert (done.status, done.segment_id, done.version, done.as_of) == ("done", segment, 1, NOW)
    assert (done.member_count, done.entered, done.left, done.error) == (1, 1, 0, None)
    assert (second.member_count, second.entered, second.left) == (1, 1, 1)
    with pytest.raises(NotFound) as absent:
        await resources.computation_records.get(other_tenant, done.id)
    with pytest.raises(NotFound) as never:
        await resources.computation_records.get(tenant, 10**15)
    assert absent.value.code == never.value.code == "computation_not_found"


async def test_a_computation_says_how_far_it_is(resources: Resources, tenant: Tenant, remember: Remember):
    """Alone and together: after its members are written, and before they are published."""
    segments = [await buyers(resources, tenant) for _ in range(3)]
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    computations = resources.computations
    told = list[float | None]()

    for together, written in (([segments[0]], 0.5), (segments[1:], 0.9)):
        asked = [await computations.request(tenant, one, as_of=NOW) for one in together]
        claims = await computations._claim()
        async with resources.postgres.transaction() as holder:  # publishing waits for the segment's row
            await holder.fetch("SELECT FROM segments WHERE id = ANY ($1::bigint[]) FOR UPDATE", together)
            running = computations._run_together(claims) if len(claims) > 1 else computations._compute(claims[0])
            working = asyncio.create_task(running)
            async with asyncio.timeout(30):
                while (  # noqa: ASYNC110  # nothing to be woken by
                    (found := await resources.computation_records.get(tenant, asked[-1].id)).progress or 0
                ) < written:
                    await asyncio.sleep(0)
            told.append(found.progress)
        await working
        assert (await resources.computation_records.get(tenant, asked[-1].id)).progress == 1

    assert told == [pytest.approx(0.5), pytest.approx(0.9)]


async def test_computations_are_listed_the_newest_first(resources: Resources, tenant: Tenant, other_tenant: Tenant):
    segment, another = await buyers(resources, tenant), await buyers(resources, tenant)
    computations = resources.computations
    ids = [(await computations.request(tenant, segment, as_of=NOW + day * DAY)).id for day in range(4)]
    await computations.request(tenant, another, as_of=NOW)
    assert await computations.run_next()  # the first, with that of the other segment
    await resources.computation_records.cancel(tenant, ids[1])

    page = await resources.computation_records.list(tenant, segment, Window(3))
    rest = await resources.computation_records.list(tenant, segment, Window(3, 3))
    assert [one.id for one in (*page.results, *rest.results)] == ids[::-1]
    assert page.count == rest.count == 4
    for state, found in {
        "queued": ids[:1:-1],
        "done": ids[:1],
        "cancelled": ids[1:2],
        "computing": [],
        "failed": [],
    }.items():
        page = await resources.computation_records.list(tenant, segment, status=state)  # type: ignore[arg-type]
        assert ([one.id for one in page.results], page.count) == (found, len(found))
    with pytest.raises(NotFound):
        await resources.computation_records.list(other_tenant, segment)


async def test_a_queued_computation_that_is_cancelled_never_begins(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    computations = resources.computations
    queued = await computations.request(tenant, segment, as_of=NOW)
    with pytest.raises(NotFound):
        await resources.computation_records.cancel(other_tenant, queued.id)

    cancelled = await resources.computation_records.cancel(tenant, queued.id)

    assert (cancelled.status, cancelled.started_at, cancelled.finished_at is None) == ("cancelled", None, False)
    assert await resources.computation_records.cancel(tenant, queued.id) == cancelled
    assert await status(resources, tenant, segment) == "draft"
    assert not await computations.run_next()
    assert (await computations.request(tenant, segment, as_of=NOW)).id != queued.id
    assert await status(resources, tenant, segment) == "queued"
    assert await computations.run_next()
    (done,) = (await resources.computation_records.list(tenant, segment, status="done")).results
    with pytest.raises(Conflict) as refused:
        await resources.computation_records.cancel(tenant, done.id)
    assert refused.value.code == "computation_finished"
    last = await computations.request(tenant, segment, as_of=NOW + DAY)
    await resources.computation_records.cancel(tenant, last.id)
    assert await status(resources, tenant, segment) == "computed"


async def test_cancelling_a_running_computation_kills_its_query_and_keeps_the_members(
    resources: Resources, tenant: Tenant, remember: Remember, monkeypatch: pytest.MonkeyPatch
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    await resources.computations.request(tenant, segment, as_of=NOW)
    await resources.computations.run_next()
    worker = Computations(
        resources.postgres,
        resources.clickhouse,
        resources.segments,
        resources.previews,
        resources.changes,
        resources.together,
        lease=timedelta(seconds=1),
    )
    queued = await resources.computations.request(tenant, segment, as_of=NOW + 30 * DAY)
    render = compiler.render_membership_insert

    def render_slow(*args: Any, **options: Any) -> compiler.CompiledQuery:
        """A query that takes a minute."""
        query = render(*args, **options)
        waits = "SELECT number FROM numbers(60) WHERE sleepEachRow(1) SETTINGS max_block_size = 1"
        return compiler.CompiledQuery(f"{query.sql} WHERE user_key NOT IN ({waits})", query.params)

    monkeypatch.setattr(compiler, "render_membership_insert", render_slow)
    running = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%' AND query NOT LIKE '%processes%' AND current_database = currentDatabase()"

    async def is_running() -> bool:
        return bool((await resources.clickhouse.fetch(running, purpose="catalog")).rows[0][0])

    work = asyncio.create_task(worker.run_next())
    async with asyncio.timeout(20):
        while not await is_running():
            pass
        cancelled = await resources.computation_records.cancel(tenant, queued.id)
        with pytest.raises(LeaseLost):
            await work
        while await is_running():
            pass

    assert (cancelled.status, await status(resources, tenant, segment)) == ("cancelled", "computed")
    assert (await resources.computation_records.get(tenant, queued.id)).status == "cancelled"
    page = await resources.members.page(tenant, segment)
    assert [one.user_id for one in page.members] == ["ana"]
    assert not await resources.computations.run_next()
    await resources.postgres.execute("UPDATE member_removals SET lease_until = NULL")
    await resources.removals.remove_due()
    runs = "SELECT DISTINCT run_id FROM segment_states"
    assert len((await resources.clickhouse.fetch(runs, purpose="catalog")).rows) == 1
