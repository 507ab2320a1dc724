"""Events arrive once on the shards, whichever of them dies on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import msgspec
import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.embedded import Engines
from segment_copilot.errors import Unavailable
from segment_copilot.resources import Resources
from segment_copilot.stores.cluster import Cluster
from segment_copilot.stores.merging import ROWS
from tests.cluster.story import NOW

pytestmark = pytest.mark.cluster

BATCH = 300


def batch(number: int) -> list[bytes]:
    return [
        msgspec.json.encode(
            {
                "event_id": f"event-{n}",
                "user_id": f"user-{n % 97}",
                "event_type": "context_identified" if n % 10 == 0 else "order_placed",
                "occurred_at": NOW - timedelta(days=n % 70),
                "payload": {"n": n},
            }
        )
        for n in range(number * BATCH, (number + 1) * BATCH)
    ]


async def forward(resources: Resources, stop: asyncio.Event) -> None:
    """As a worker does, without its pauses; leases lapse at once, so that a block that failed is taken up again."""
    while not stop.is_set():
        with suppress(Unavailable):
            while await resources.forwarding.forward_next():
                pass
        await resources.postgres.execute("UPDATE blocks SET lease_until = now() WHERE status = 'pending'")
        await asyncio.sleep(0)


@pytest.mark.timeout(120)
async def test_every_event_is_there_once_after_kills_of_either_shard(
    resources: Resources, cluster: Cluster, cluster_engines: Engines, tenant: Tenant
):
    (second,) = cluster_engines.other_shards
    assert cluster_engines.clickhouse is not None
    shards, stop, sent = [cluster_engines.clickhouse, second], asyncio.Event(), 0

    async def send(batches: int) -> None:
        nonlocal sent
        for number in range(sent, sent + batches):
            assert not (await resources.ingestion.accept(tenant, batch(number), received_at=NOW)).skipped
        sent += batches

    async with asyncio.TaskGroup() as group:
        group.create_task(forward(resources, stop))
        for engine in (*shards, *shards):
            await send(4)
            await asyncio.to_thread(engine.kill)  # while a block is under way, or just before
            await send(2)
            await asyncio.to_thread(engine.restart)
        while (await resources.ingestion.status(tenant)).pending:  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0.05)
        stop.set()

    found = await cluster.fetch("SELECT event_id, user_key FROM events", purpose="compute", merge=ROWS)
    assert Counter(event_id for event_id, _ in found.rows) == Counter(f"event-{n}" for n in range(sent * BATCH))
    homes = [
        await shard.server.fetch("SELECT DISTINCT user_key FROM events", purpose="compute")
        for shard in await cluster.shards()
    ]
    keys = [{key for (key,) in one.rows} for one in homes]
    assert keys[0] & keys[1] == set()
    assert len(keys[0] | keys[1]) == 97
