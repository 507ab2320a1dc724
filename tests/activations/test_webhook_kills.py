"""A worker that is killed amid deliveries: nothing is lost, and nothing overtakes."""

from __future__ import annotations

import asyncio
import itertools
import signal

import msgspec

from segment_copilot.activations.webhooks.signatures import read_secret
from tests.activations.conftest import Shop, counts
from tests.support.receiver import Receiver, Reply
from tests.support.workers import Worker

KILLS = 2


async def test_every_state_arrives_in_order_though_workers_are_killed(
    shop: Shop, receiver: Receiver, module_database_url: str, module_clickhouse_url: str
):
    await shop.webhook(receiver, secret=read_secret("a-secret-of-ours").text)
    segment = await shop.segment()
    for kill in range(KILLS):
        await shop.publish(segment, 3)
        begun = len(receiver.received)
        receiver.replies.extend([Reply(), Reply(does="stall")])  # the worker dies while it waits for this answer
        worker = Worker(module_database_url, module_clickhouse_url)
        await worker.start()
        await until(receiver, begun + 2)
        assert await worker.end(signal.SIGKILL) == -signal.SIGKILL, kill
    async with asyncio.timeout(60):
        while counts(receiver)[-1] < 3 * KILLS:  # until it is seen that the last one is dead
            await shop.queue.deliver_due()

    came = counts(receiver)
    assert [one for one, _ in itertools.groupby(came)] == list(range(1, 3 * KILLS + 1))
    assert len(came) == 3 * KILLS + KILLS  # each kill repeats the one request whose answer was not written down
    ids = {one.headers["webhook-id"]: msgspec.json.decode(one.body)["member_count"] for one in receiver.received}
    assert sorted(ids.values()) == list(range(1, 3 * KILLS + 1))


async def until(receiver: Receiver, number: int) -> None:
    async with asyncio.timeout(60):
        while len(receiver.received) < number:
            receiver.came.clear()
            await receiver.came.wait()
