"""A shard is added or emptied: everybody moves with all that is known of them, and nothing changes for who asks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Conflict
from segment_copilot.resources import Resources
from segment_copilot.stores import moving
from segment_copilot.stores.cluster import Cluster, Shard
from segment_copilot.stores.merging import ROWS
from segment_copilot.stores.moving import ROWS_OF_USERS, SETS_OF_USERS, rebalance, settle
from segment_copilot.stores.placement import BUCKETS, read_placement, spread, write_placement
from tests.cluster.story import BOUGHT, DAY, IN_MADRID, NOW, compute, definition, happened, send

pytestmark = pytest.mark.cluster


@pytest.fixture
async def segments(resources: Resources, tenant: Tenant) -> list[int]:
    """A tenant with segments that were computed twice, a list, a snapshot and linked ids."""
    await send(resources, tenant, happened(range(10)))
    ids = [
        (await resources.segments.create(tenant, name=name, definition=definition(one))).segment.id
        for name, one in (("bought", BOUGHT), ("madrid", IN_MADRID))
    ]
    listed = (await resources.segments.create(tenant, name="listed", segment_type="static")).segment.id
    await resources.uploads.receive(tenant, listed, ["user-01", "user-02", "anon_4", "stranger"], mode="replace")
    await compute(resources, tenant, *ids, as_of=NOW - 30 * DAY)
    await resources.identity.alias(tenant, "4", "user-02")
    await send(resources, tenant, happened(range(10, 40)))
    await compute(resources, tenant, *ids, as_of=NOW)
    await resources.snapshots.request(tenant, ids[0], name="kept")
    while await resources.snapshots.run_next():
        pass
    return [*ids, listed]


async def told(resources: Resources, tenant: Tenant, segments: list[int]) -> list[Any]:
    """What those who ask are told."""
    pages = [await resources.members.page(tenant, one, limit=500) for one in segments]
    past = datetime.now(UTC) - timedelta(seconds=0.001)
    users = ["user-01", "user-02", "anon_4", "user-07", "stranger"]
    return [
        [(page.count, [one.user_id for one in page.members]) for page in pages],
        [len((await resources.members.page(tenant, one, as_of=past, limit=500)).members) for one in segments[:2]],
        [(one.user_id, one.change) for one in (await resources.changes.page(tenant, segments[0])).results],
        await resources.members.segments_of_users(tenant, users),
        (await resources.previews.preview(tenant, definition(BOUGHT, IN_MADRID), as_of=NOW)).sample_user_ids,
        await resources.profiles.search(tenant, ""),
        await resources.profiles.events(tenant, "user-02"),
        await resources.profiles.profile(tenant, "user-07"),
        [one.member_count for one in (await resources.snapshots.list(tenant)).results],
    ]


async def all_on(resources: Resources, cluster: Cluster, number: int) -> None:
    """What was before another shard came."""
    await write_placement(resources.postgres, [number] * BUCKETS)
    cluster.placement.forget()
    await settle(cluster)


async def users_on(cluster: Cluster) -> list[int]:
    sql = "SELECT uniqExact(user_key) FROM events"
    return [(await shard.server.fetch(sql, purpose="catalog")).rows[0][0] for shard in await cluster.all_shards()]


async def test_a_shard_that_was_added_gets_its_share_and_nothing_else_changes(
    resources: Resources, cluster: Cluster, tenant: Tenant, segments: list[int]
):
    before = await told(resources, tenant, segments)
    await all_on(resources, cluster, 1)
    assert (await users_on(cluster))[1] == 0
    assert await told(resources, tenant, segments) == before
    steps = list[str]()

    moved = await rebalance(cluster, resources.postgres, progress=steps.append)

    assert moved > 10
    assert len(steps) == 8
    assert min(await users_on(cluster)) > 10
    assert Counter(await read_placement(resources.postgres) or ()) == Counter(spread({1: 1, 2: 1}))
    assert await told(resources, tenant, segments) == before
    assert await rebalance(cluster, resources.postgres, progress=steps.append) == 0
    await compute(resources, tenant, *segments[:2], as_of=NOW + 5 * DAY)  # goes on from what was moved
    await compute(resources, tenant, *segments[:2], as_of=NOW)
    assert (await told(resources, tenant, segments))[0] == before[0]


async def test_a_move_that_was_cut_short_is_carried_on(
    resources: Resources,
    cluster: Cluster,
    tenant: Tenant,
    segments: list[int],
    monkeypatch: pytest.MonkeyPatch,
):
    before = await told(resources, tenant, segments)
    deleting = moving._delete

    async def cut(params: dict[str, Any], source: Shard) -> None:
        raise ConnectionError

    monkeypatch.setattr(moving, "_delete", cut)
    with pytest.raises(ConnectionError):
        await all_on(resources, cluster, 1)
    monkeypatch.setattr(moving, "_delete", deleting)

    await settle(cluster)

    assert (await users_on(cluster))[1] == 0
    assert await told(resources, tenant, segments) == before


async def test_while_a_worker_runs_nobody_is_moved(resources: Resources, cluster: Cluster):
    async with resources.presence.kept():
        with pytest.raises(Conflict, match="Stop all of them"):
            await rebalance(cluster, resources.postgres, progress=print)


async def test_all_tables_with_users_are_moved(cluster: Cluster):
    sql = """
        SELECT table, groupArray(name) FROM system.columns WHERE database = currentDatabase() AND {}
        GROUP BY table"""
    server = (await cluster.shards())[0].server
    rows = await server.fetch(sql.format("name IN ('tenant_id', 'user_key')"), purpose="catalog")
    assert {table for table, columns in rows.rows if len(columns) == 2} == {one.table for one in ROWS_OF_USERS}
    sets = await server.fetch(sql.format("type LIKE '%groupBitmap%'"), purpose="catalog")
    assert {table: sorted(columns) for table, columns in sets.rows} == {
        one.table: sorted(one.sets) for one in SETS_OF_USERS
    }


async def test_who_was_seen_in_the_last_microsecond_there_is_moves_as_they_are(
    resources: Resources, cluster: Cluster, tenant: Tenant
):
    last = datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    events = [
        msgspec.json.encode({"user_id": f"user-{n}", "event_type": "order_placed", "occurred_at": last, "payload": {}})
        for n in range(20)
    ]
    await send(resources, tenant, events)
    await all_on(resources, cluster, 1)

    await rebalance(cluster, resources.postgres, progress=list[str]().append)

    seen = await cluster.fetch(
        "SELECT user_id, max(last_seen) FROM users GROUP BY user_id", purpose="catalog", merge=ROWS
    )
    assert sorted(seen.rows) == sorted((f"user-{n}", last) for n in range(20))
