"""What happens to computations whose worker is slow, dies, or meets what nobody foresaw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.computations import Computations
from segment_copilot.audiences.kept_slots import KeptSlots
from segment_copilot.audiences.planning import Planning
from segment_copilot.audiences.previews import Previews
from segment_copilot.audiences.references import References
from segment_copilot.audiences.segments import Segment
from segment_copilot.audiences.together import Together
from segment_copilot.events.arrivals import Arrivals
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.values import Values
from segment_copilot.resources import Resources
from segment_copilot.stores.clickhouse import ClickHouse, open_clickhouse
from segment_copilot.stores.cluster import Cluster
from segment_copilot.stores.postgres import Postgres
from tests.support.resources import NOW, Remember

SHORT = timedelta(seconds=1)


@pytest.fixture
async def saved(resources: Resources, tenant: Tenant, remember: Remember) -> list[Segment]:
    """Four segments with ana in each."""
    await remember(tenant, [("ana", "order_placed", timedelta(days=1), {})])
    definitions = [
        {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": days}]}
        for days in (7, 8, 9, 10)
    ]
    return [(await resources.segments.create(tenant, name="Buyers", definition=one)).segment for one in definitions]


@asynccontextmanager
async def locked(postgres: Postgres, table: str) -> AsyncGenerator[None]:
    """Nobody reads *table*: whoever wants to is stopped right there."""
    async with postgres.transaction() as transaction:
        await transaction.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


async def refuse(resources: Resources, segment: Segment) -> None:
    """Let ClickHouse refuse this segment's members, with an error that is in no table of ours."""
    sql = f"ALTER TABLE segment_states ADD CONSTRAINT refused CHECK segment_id != {segment.id}"
    await resources.clickhouse.execute(sql, purpose="migrate")


async def lapse(resources: Resources) -> None:
    """As if the time of every lease and pause had come."""
    await resources.postgres.execute("UPDATE computations SET lease_until = now() WHERE lease_until > now()")


async def states(resources: Resources, tenant: Tenant, saved: list[Segment]) -> list[str]:
    return [(await resources.segments.get(tenant, segment.id)).status for segment in saved]


async def attempts(resources: Resources) -> list[int]:
    return [row[0] for row in await resources.postgres.fetch("SELECT attempts FROM computations ORDER BY id")]


async def members(resources: Resources, tenant: Tenant, segment: Segment) -> list[str]:
    return [member.user_id for member in (await resources.members.page(tenant, segment.id)).members]


def together(resources: Resources, clickhouse: ClickHouse) -> Together:
    postgres, recent = resources.postgres, timedelta(hours=72)
    planning = Planning(
        Discovery(postgres), References(postgres), resources.identity_links, spread=isinstance(clickhouse, Cluster)
    )
    kept = KeptSlots(postgres, clickhouse, recent=recent)
    return Together(postgres, clickhouse, Arrivals(postgres, recent=recent), planning, kept)


def another(resources: Resources) -> Computations:
    """A worker in another process: it remembers no catalog."""
    postgres, clickhouse = resources.postgres, resources.clickhouse
    previews = Previews(
        clickhouse, Discovery(postgres), Values(clickhouse), References(postgres), resources.identity_links
    )
    segments, changes = resources.segments, resources.changes
    return Computations(postgres, clickhouse, segments, previews, changes, together(resources, clickhouse), lease=SHORT)


async def test_computations_that_take_longer_than_a_lease_are_not_taken_over(
    resources: Resources, tenant: Tenant, saved: list[Segment]
):
    postgres = resources.postgres
    await resources.computations.request_all(tenant, as_of=NOW)
    async with asyncio.TaskGroup() as group, locked(postgres, "observed_names"):
        slow = group.create_task(another(resources).run_next())
        while not await postgres.fetchval("SELECT EXISTS (SELECT FROM computations WHERE status = 'running')"):
            pass
        first_end = await postgres.fetchval("SELECT max(lease_until) FROM computations")
        while await postgres.fetchval("SELECT clock_timestamp() <= $1::timestamptz + $2", first_end, SHORT):
            assert not await resources.computations.run_next()

    assert slow.result()
    assert await states(resources, tenant, saved) == ["computed"] * 4
    assert await attempts(resources) == [1] * 4
    assert [await members(resources, tenant, segment) for segment in saved] == [["ana"]] * 4


async def test_a_computation_that_clickhouse_refuses_is_tried_three_times_and_fails_alone(
    resources: Resources, tenant: Tenant, saved: list[Segment]
):
    await refuse(resources, saved[1])

    await resources.computations.request_all(tenant, as_of=NOW)
    assert await resources.computations.run_next()
    after_one = await states(resources, tenant, saved)
    for _ in range(2):
        assert not await resources.computations.run_next()  # it waits for its pause
        await lapse(resources)
        assert await resources.computations.run_next()

    assert after_one == ["computed", "computing", "computed", "computed"]
    assert await states(resources, tenant, saved) == ["computed", "failed", "computed", "computed"]
    error = (await resources.segments.get(tenant, saved[1].id)).last_error
    assert error is not None
    assert error.code == "computation_failed"
    assert "ClickHouseError 469" in error.detail
    assert "order_placed" not in error.detail  # nothing of what ClickHouse quotes
    assert [await members(resources, tenant, segment) for segment in saved] == [["ana"], [], ["ana"], ["ana"]]
    await lapse(resources)
    assert not await resources.computations.run_next()


async def test_when_clickhouse_refuses_everything_no_segment_stays_computing(
    resources: Resources, tenant: Tenant, saved: list[Segment]
):
    refused = "ALTER TABLE segment_states ADD CONSTRAINT refused CHECK segment_id = 0"
    await resources.clickhouse.execute(refused, purpose="migrate")

    await resources.computations.request_all(tenant, as_of=NOW)
    while await resources.computations.run_next():
        await lapse(resources)

    assert await states(resources, tenant, saved) == ["failed"] * 4
    assert await attempts(resources) == [3] * 4


async def test_while_the_table_is_missing_computations_wait_and_none_is_counted(
    resources: Resources, tenant: Tenant, saved: list[Segment]
):
    await resources.clickhouse.execute("RENAME TABLE segment_states TO elsewhere", purpose="migrate")
    await resources.computations.request_all(tenant, as_of=NOW)
    for _ in range(5):
        await lapse(resources)
        assert await resources.computations.run_next()
    waiting = await attempts(resources)
    await resources.clickhouse.execute("RENAME TABLE elsewhere TO segment_states", purpose="migrate")

    await lapse(resources)
    while await resources.computations.run_next():
        pass

    assert waiting == [0] * 4
    assert await states(resources, tenant, saved) == ["computed"] * 4


async def test_of_those_claimed_together_only_what_was_begun_counts_when_the_worker_dies(
    resources: Resources, tenant: Tenant, saved: list[Segment]
):
    await resources.computations.request_all(tenant, as_of=NOW)
    claimed = await resources.computations._claim()
    await resources.computations._leases.begin([claimed[0].lease])
    await lapse(resources)

    assert await resources.computations.run_next()
    alone = await states(resources, tenant, saved)
    assert await resources.computations.run_next()

    assert alone == ["computed", "computing", "computing", "computing"]
    assert await states(resources, tenant, saved) == ["computed"] * 4
    assert await attempts(resources) == [2, 1, 1, 1]


async def test_what_falls_back_to_one_by_one_is_begun_one_by_one(
    resources: Resources, tenant: Tenant, saved: list[Segment]
):
    """The worker dies on the first by itself, after what it did together was refused."""
    await refuse(resources, saved[3])
    await resources.computations.request_all(tenant, as_of=NOW)
    claimed = await resources.computations._claim()

    async with resources.postgres.transaction() as transaction:
        await transaction.execute("SELECT FROM segments WHERE id = $1 FOR UPDATE", saved[0].id)  # it cannot publish
        dying = asyncio.create_task(resources.computations._run_together(claimed))
        async with asyncio.timeout(8):
            while await attempts(resources) != [1, 0, 0, 0]:
                pass
        dying.cancel()
        await asyncio.wait([dying])

    assert dying.cancelled()
    assert await attempts(resources) == [1, 0, 0, 0]


async def test_after_a_worker_died_on_many_each_is_tried_by_itself(
    resources: Resources, tenant: Tenant, saved: list[Segment]
):
    """So the one that killed it, if one did, is found out, and the others are computed."""
    await resources.computations.request_all(tenant, as_of=NOW)
    await resources.computations._leases.begin([one.lease for one in await resources.computations._claim()])
    for _ in range(2):  # and the first of them kills two more
        await lapse(resources)
        (poison,) = await resources.computations._claim()
        await resources.computations._leases.begin([poison.lease])
    await lapse(resources)

    while await resources.computations.run_next():
        pass

    assert await states(resources, tenant, saved) == ["failed", "computed", "computed", "computed"]


async def test_while_clickhouse_is_away_computations_wait_and_none_is_counted(
    resources: Resources, tenant: Tenant, saved: list[Segment]
):
    await resources.computations.request_all(tenant, as_of=NOW)
    async with open_clickhouse("clickhouse://app:x@127.0.0.1:1/nowhere") as away:
        segments, previews, changes = resources.segments, resources.previews, resources.changes
        cut_off = Computations(resources.postgres, away, segments, previews, changes, together(resources, away))
        for _ in range(2):
            assert await cut_off.run_next()
            await lapse(resources)

    assert await attempts(resources) == [0] * 4
    assert await resources.computations.run_next()
    assert await states(resources, tenant, saved) == ["computed"] * 4
