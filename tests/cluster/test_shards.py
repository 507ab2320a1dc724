"""Two servers of ClickHouse as one: each user on one of them, and answers as from one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from segment_copilot.access.tenants import Tenant
from segment_copilot.commands.shards import cli
from segment_copilot.doctor.cluster import examine_cluster
from segment_copilot.doctor.findings import Check
from segment_copilot.embedded import Engines
from segment_copilot.errors import Conflict, Unavailable
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.clickhouse_urls import read_url
from segment_copilot.stores.cluster import Cluster, NotOverShards, Shard, on_each, open_cluster
from segment_copilot.stores.literals import literal
from segment_copilot.stores.merging import ROWS
from segment_copilot.stores.migrations import lacking, migrate
from segment_copilot.stores.placement import (
    BUCKETS,
    bucket_of,
    key_of,
    read_placement,
    spread,
    steps_to,
    write_placement,
)
from segment_copilot.telemetry.work import silent_shards, working
from tests.support.databases import run_clickhouse

pytestmark = pytest.mark.cluster

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
ORDERED = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}


async def order(resources: Resources, tenant: Tenant, *user_ids: str, at: datetime = NOW - timedelta(hours=1)) -> None:
    """An order of each user, all the way from the door to the shards."""
    events = [
        msgspec.json.encode(
            {
                "user_id": user,
                "event_type": "order_placed",
                "occurred_at": at,
                "payload": {"n": 1},
            }
        )
        for user in user_ids
    ]
    assert not (await resources.ingestion.accept(tenant, events, received_at=NOW)).skipped
    while await resources.forwarding.forward_next():
        pass


async def users_of_shards(cluster: Cluster) -> list[set[str]]:
    found = [
        await shard.server.fetch("SELECT user_id FROM users", purpose="catalog") for shard in await cluster.shards()
    ]
    return [{user_id for (user_id,) in one.rows} for one in found]


async def test_old_events_go_from_every_shard_and_from_the_counts(
    resources: Resources, cluster: Cluster, tenant: Tenant
):
    users = [f"user-{n}" for n in range(40)]
    await order(resources, tenant, *users)
    await order(resources, tenant, *users, at=NOW - timedelta(days=200))
    await resources.tenants.set_event_days(tenant, 30)

    assert await resources.retention.drop_next(now=NOW)

    for shard in await cluster.shards():
        found = await shard.server.fetch("SELECT count(), min(occurred_at) FROM events", purpose="catalog")
        assert found.rows[0][0] > 10
        assert found.rows[0][1] == NOW - timedelta(hours=1)
    left = await cluster.fetch("SELECT user_key FROM events", purpose="catalog", merge=ROWS)
    assert len(left.rows) == 40
    counted = "SELECT event_count FROM observed_names WHERE tenant_id = $1 AND path = ''"
    assert await resources.postgres.fetchval(counted, tenant.id) == 40


async def test_every_user_is_on_one_shard_with_all_rows(resources: Resources, cluster: Cluster, tenant: Tenant):
    users = {f"user-{n}" for n in range(60)}
    await order(resources, tenant, *users)

    first, second = await users_of_shards(cluster)
    assert first | second == users
    assert first & second == set()
    assert min(len(first), len(second)) > 15
    events = await cluster.fetch("SELECT user_key FROM events", purpose="catalog", merge=ROWS)
    assert sorted(key for (key,) in events.rows) == sorted(map(key_of, users))
    for shard, there in zip(await cluster.shards(), (first, second), strict=True):
        keys = await shard.server.fetch("SELECT user_key FROM events", purpose="catalog")
        assert {key for (key,) in keys.rows} == set(map(key_of, there))


async def test_a_preview_counts_both_and_shows_the_first_of_all(resources: Resources, tenant: Tenant):
    await order(resources, tenant, *(f"user-{n:02}" for n in range(40)))

    preview = await resources.previews.preview(tenant, ORDERED, as_of=NOW, limit=7)

    assert (preview.universe, preview.matched_users) == (40, 40)
    assert preview.sample_user_ids == tuple(f"user-{n:02}" for n in range(7))


async def test_what_nobody_said_how_to_put_together_is_refused(cluster: Cluster):
    with pytest.raises(NotOverShards, match="spread over shards"):
        await cluster.fetch("SELECT count() FROM users", purpose="catalog")


async def test_a_dead_shard_is_named_and_one_that_is_back_answers(
    resources: Resources, cluster_engines: Engines, tenant: Tenant
):
    await order(resources, tenant, "ana", "bob", "cem", "dora")
    (second,) = cluster_engines.other_shards
    second.kill()
    try:
        with pytest.raises(Unavailable, match="Shard 2 of ClickHouse cannot be asked"):
            await resources.previews.preview(tenant, ORDERED, as_of=NOW)
    finally:
        await asyncio.to_thread(second.restart)

    assert (await resources.previews.preview(tenant, ORDERED, as_of=NOW)).matched_users == 4


async def test_a_shard_that_is_silent_is_named_when_the_question_is_given_up(
    resources: Resources, cluster_engines: Engines, tenant: Tenant
):
    await order(resources, tenant, "ana", "bob", "cem", "dora")
    (second,) = cluster_engines.other_shards
    with working():
        os.kill(second.pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await resources.previews.preview(tenant, ORDERED, as_of=NOW)
        finally:
            os.kill(second.pid, signal.SIGCONT)
        assert silent_shards() == [2]


async def test_a_cluster_that_the_server_does_not_know(settings: Settings):
    async with open_resources(msgspec.structs.replace(settings, clickhouse_cluster="none")) as resources:
        with pytest.raises(Unavailable, match="knows no cluster none"):
            await migrate(resources.postgres, resources.clickhouse)


async def test_a_shard_without_tables_lacks_them_until_the_next_migrate(
    resources: Resources, cluster: Cluster, cluster_engines: Engines
):
    (second,) = cluster_engines.other_shards
    await run_clickhouse(second.url.replace("/segment_copilot", f"/{cluster.database}"), "DROP TABLE kept_slots")

    assert await lacking(resources.postgres, cluster) == ["clickhouse: kept_slots"]
    await migrate(resources.postgres, cluster)
    assert await lacking(resources.postgres, cluster) == []


async def test_a_server_that_had_everybody_keeps_them_when_a_shard_comes_beside_it(
    resources: Resources, cluster: Cluster, tenant: Tenant
):
    await order(resources, tenant, "ana")
    await resources.postgres.execute("DELETE FROM shard_placement")
    await migrate(resources.postgres, cluster)

    number = 1 if "ana" in (await users_of_shards(cluster))[0] else 2
    assert await read_placement(resources.postgres) == [number] * BUCKETS


async def test_shards_with_users_of_whom_nothing_is_written_down_are_left_alone(
    resources: Resources, cluster: Cluster, tenant: Tenant
):
    await order(resources, tenant, *(f"user-{n}" for n in range(20)))
    await resources.postgres.execute("DELETE FROM shard_placement")

    with pytest.raises(Conflict, match="Shards 1, 2 of ClickHouse have users"):
        await migrate(resources.postgres, cluster)


async def test_a_placement_that_names_a_shard_which_is_gone_is_told(resources: Resources, cluster: Cluster):
    await write_placement(resources.postgres, [3] * BUCKETS)
    cluster.placement.forget()
    with pytest.raises(Unavailable, match="Shard 3 has users, and the cluster shards has no such shard"):
        await cluster.ping()


async def test_keys_are_those_of_clickhouse(cluster: Cluster):
    texts = ["", "a", "ana@example.com", "żółw", "x" * 300, "\x01 '\\"]
    sql = f"SELECT arrayMap(text -> sipHash64(text), {literal('Array(String)', texts)})"
    ((keys,),) = (await (await cluster.shards())[0].server.fetch(sql, purpose="catalog")).rows
    assert [key_of(text) for text in texts] == keys


@given(st.dictionaries(st.integers(1, 9), st.integers(1, 5), min_size=1))
def test_buckets_are_spread_by_weight(weights: dict[int, int]):
    placement = spread(weights)
    assert len(placement) == BUCKETS
    for shard, weight in weights.items():
        assert abs(placement.count(shard) - BUCKETS * weight / sum(weights.values())) <= 1


def test_a_bucket_is_of_the_key():
    assert bucket_of("ana") == key_of("ana") % BUCKETS


@given(
    st.dictionaries(st.integers(1, 5), st.integers(0, 4), min_size=1).filter(lambda weights: any(weights.values())),
    st.integers(1, 6),
)
def test_steps_lead_to_what_weights_say_and_move_no_more_than_needed(weights: dict[int, int], shards: int):
    first = spread(dict.fromkeys(range(1, shards + 1), 1))
    steps = steps_to(first, weights, at_once=100)
    last = steps[-1] if steps else first
    assert Counter(last) == Counter(spread(weights))
    moved = sum(one != other for one, other in zip(first, last, strict=True))
    assert moved == (Counter(first) - Counter(last)).total()
    for before, after in pairwise([first, *steps]):
        assert sum(one != other for one, other in zip(before, after, strict=True)) <= 100


async def test_a_migration_for_all_as_they_stand_is_said_once_and_another_to_each(cluster: Cluster):
    there = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name IN ('once', 'each')"
    await cluster.define("CREATE TABLE once (id UInt8) ENGINE = MergeTree ORDER BY id", once=True)
    await cluster.define("CREATE TABLE each (id UInt8) ENGINE = MergeTree ORDER BY id", once=False)
    counts = [await shard.server.fetch(there, purpose="catalog") for shard in await cluster.all_shards()]
    assert [one.rows[0][0] for one in counts] == [2, 1]


async def test_after_a_replica_that_is_away_the_next_is_asked(cluster: Cluster, settings: Settings):
    (first, _) = await cluster.all_shards()
    away = msgspec.structs.replace(first.host, port=1)
    shard = Shard([away, first.host], read_url(settings.clickhouse_url), pool=1)

    async def ask(one: Shard) -> int:
        return (await one.server.fetch("SELECT 1", purpose="catalog")).rows[0][0]

    with pytest.raises(Unavailable, match="Shard 1 of ClickHouse cannot be asked"):
        await on_each([shard], ask)
    assert await on_each([shard], ask) == [1]
    await shard.close()


async def test_the_doctor_names_each_shard(settings: Settings, cluster_engines: Engines, resources: Resources):
    async def look() -> dict[str, Check]:
        found = await examine_cluster(settings, resources.postgres, pool=2)
        return {one.name: one for one in found}

    found = await look()
    assert [one.verdict for one in found.values()] == ["ok"] * 3
    assert "512 of 1024 buckets, weight 1" in found["clickhouse.shard.2"].detail

    await write_placement(resources.postgres, [1] * BUCKETS)
    (second,) = cluster_engines.other_shards
    second.kill()
    try:
        found = await look()
    finally:
        await asyncio.to_thread(second.restart)
    assert found["clickhouse.shard.2"].verdict == "wrong"
    assert f"127.0.0.1:{second.port}" in found["clickhouse.shard.2"].detail
    assert "shards rebalance" in found["clickhouse.placement"].remedy


def test_shards_are_shown_and_given_their_share_by_command(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    for name in ("database_url", "clickhouse_url", "clickhouse_cluster"):
        monkeypatch.setenv(name.upper(), getattr(settings, name))
    shown, moved = CliRunner().invoke(cli, ["list"]), CliRunner().invoke(cli, ["rebalance"])
    assert [line.split()[-2:] for line in shown.output.splitlines()[1:]] == [["1", "512"], ["1", "512"]]
    assert "0 users moved. Every shard has its share" in moved.output


async def test_who_only_reads_is_told_where_the_shards_are(settings: Settings, resources: Resources, tenant: Tenant):
    """A user that may not look into system.clusters, as that of CLICKHOUSE_READ_URL: here one that may not even log in."""
    await order(resources, tenant, "ana", "bob")
    nobody = settings.clickhouse_url.replace("app:", "nobody:")
    assert isinstance(resources.clickhouse, Cluster)
    options = {"name": settings.clickhouse_cluster, "postgres": resources.postgres}
    async with open_cluster(nobody, **options, beside=resources.clickhouse) as reading:
        assert [shard.number for shard in await reading.shards()] == [1, 2]
        with pytest.raises(Unavailable, match="refuses the user"):
            await reading.ping()
