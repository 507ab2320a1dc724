"""Deliveries: at least once, in order, when they are due, and none because of another's trouble."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from structlog.testing import capture_logs

from segment_copilot.activations.addresses import Allowed
from segment_copilot.activations.outgoing import Outgoing
from segment_copilot.activations.webhooks.attempts import SCHEDULE
from segment_copilot.activations.webhooks.queue import WebhookQueue
from segment_copilot.errors import Conflict
from tests.activations.conftest import NOW, Shop, counts
from tests.support.receiver import Receiver, Reply, receiving

LATER = timedelta(days=1)


async def test_what_is_published_arrives_in_its_order(shop: Shop, receiver: Receiver):
    webhook = (await shop.webhook(receiver)).webhook
    first, second = await shop.segment("First"), await shop.segment("Second")
    await shop.publish(first, 3)
    await shop.publish(second, 2)

    assert await shop.queue.deliver_due(now=NOW)
    by_segment = {first: list[int](), second: list[int]()}
    for body in receiver.bodies():
        told = msgspec.json.decode(body)
        by_segment[told["segment_id"]].append(told["member_count"])
    assert by_segment == {first: [1, 2, 3], second: [4, 5]}
    assert await shop.statuses(webhook.id) == ["done"] * 5
    assert not await shop.queue.deliver_due(now=NOW + LATER)
    assert len(receiver.received) == 5


async def test_a_delivery_that_fails_is_tried_when_the_schedule_says_and_holds_what_comes_after_it(
    shop: Shop, receiver: Receiver
):
    webhook = (await shop.webhook(receiver)).webhook
    segment = await shop.segment()
    await shop.publish(segment, 2)
    receiver.replies.extend([Reply(500)] * (1 + len(SCHEDULE)))

    await shop.queue.deliver_due(now=NOW)
    at = NOW
    for number, wait in enumerate(SCHEDULE, start=1):
        (_, head) = (await shop.resources.webhook_deliveries.page(shop.tenant, webhook.id)).results
        assert (head.status, head.attempts, head.status_code) == ("failed", number, 500)
        assert head.error == "The endpoint answered 500."
        assert head.next_attempt_at is not None
        assert at + wait <= head.next_attempt_at <= at + wait * 1.1
        assert not await shop.queue.deliver_due(now=head.next_attempt_at - timedelta(seconds=1))
        assert counts(receiver) == [1] * number
        at = head.next_attempt_at
        await shop.queue.deliver_due(now=at)

    assert counts(receiver) == [*[1] * (1 + len(SCHEDULE)), 2]
    (_, head) = (await shop.resources.webhook_deliveries.page(shop.tenant, webhook.id)).results
    logged = await shop.resources.webhook_deliveries.get(shop.tenant, webhook.id, head.id)
    assert (logged.status, logged.finished_at, logged.next_attempt_at) == ("dead", at, None)
    assert [one.status_code for one in logged.log] == [500] * 8
    assert await shop.statuses(webhook.id) == ["dead", "done"]
    assert timedelta(hours=27) < at - NOW < timedelta(hours=31)


@pytest.mark.parametrize(
    ("status", "after", "wait"),
    [
        (429, "120", timedelta(minutes=2)),
        (503, "Mon, 15 Jun 2026 13:00:00 GMT", timedelta(hours=1)),
        (429, "99999999999999999999", timedelta(hours=10)),  # no longer than the longest of ours
        (429, "-7", SCHEDULE[0]),
        (429, "1", SCHEDULE[0]),
        (503, "soon", SCHEDULE[0]),
        (500, "120", SCHEDULE[0]),
        (302, "120", SCHEDULE[0]),
    ],
)
async def test_an_endpoint_may_ask_to_be_left_alone(
    shop: Shop, receiver: Receiver, status: int, after: str, wait: timedelta
):
    webhook = (await shop.webhook(receiver)).webhook
    await shop.publish(await shop.segment())
    receiver.replies.append(Reply(status, {"Retry-After": after}))

    await shop.queue.deliver_due(now=NOW)
    (delivery,) = (await shop.resources.webhook_deliveries.page(shop.tenant, webhook.id)).results
    assert delivery.next_attempt_at is not None
    assert NOW + wait <= delivery.next_attempt_at <= NOW + wait * 1.1


async def test_what_fails_holds_neither_other_endpoints_nor_other_segments(shop: Shop, receiver: Receiver):
    receiver.always |= {"/stalls": Reply(does="stall"), "/resets": Reply(does="reset")}
    stalls, resets, _ = [(await shop.webhook(receiver, f"/{word}")).webhook for word in ("stalls", "resets", "works")]
    segment = await shop.segment()
    await shop.publish(segment, 3)

    await shop.queue.deliver_due(now=NOW)
    assert counts(receiver, "/works") == [1, 2, 3]
    assert await shop.statuses(stalls.id) == ["failed", "queued", "queued"]
    assert await shop.statuses(resets.id) == ["failed", "queued", "queued"]
    (failed, *_) = (await shop.resources.webhook_deliveries.page(shop.tenant, stalls.id, order="id")).results
    assert (failed.status_code, failed.error) == (None, "127.0.0.1 did not answer within 2 seconds.")

    receiver.always.clear()
    await shop.publish(await shop.segment("Other"))
    await shop.queue.deliver_due(now=NOW)  # what waits is not due; the other segment is told all the same
    assert await shop.statuses(stalls.id) == ["failed", "queued", "queued", "done"]
    await shop.queue.deliver_due(now=NOW + LATER)
    assert await shop.statuses(stalls.id) == ["done"] * 4
    assert counts(receiver, "/resets") == [1, 4, 1, 2, 3]


async def test_410_switches_an_endpoint_off_until_somebody_switches_it_on(shop: Shop, receiver: Receiver):
    webhooks, deliveries = shop.resources.webhooks, shop.resources.webhook_deliveries
    webhook = (await shop.webhook(receiver)).webhook
    segment = await shop.segment()
    await shop.publish(segment, 2)
    receiver.replies.append(Reply(410))

    await shop.queue.deliver_due(now=NOW)
    off = await webhooks.get(shop.tenant, webhook.id)
    assert (off.is_active, off.disabled_at, off.disabled_reason) == (False, NOW, "It answered 410: it wants no more.")
    assert await shop.statuses(webhook.id) == ["dead", "dead"]

    await shop.publish(segment)
    assert not await shop.queue.deliver_due(now=NOW + LATER)
    with pytest.raises(Conflict, match="Set is_active to true first"):
        await deliveries.recover(shop.tenant, webhook.id, since=datetime.now(UTC) - LATER)

    on = await webhooks.change(shop.tenant, webhook.id, is_active=True)
    assert (on.is_active, on.disabled_at, on.disabled_reason, on.failing_since) == (True, None, None, None)
    found = await deliveries.recover(shop.tenant, webhook.id, since=datetime.now(UTC) - LATER)
    assert found.queued == 3  # two that were given up, and one that was published meanwhile
    await shop.publish(segment)
    await shop.queue.deliver_due()
    assert counts(receiver) == [1, 1, 2, 3, 4]
    assert (await deliveries.recover(shop.tenant, webhook.id, since=datetime.now(UTC) - LATER)).queued == 0


async def test_five_days_of_failures_switch_an_endpoint_off_and_half_of_them_are_noticed(
    shop: Shop, receiver: Receiver
):
    webhooks = shop.resources.webhooks
    webhook = (await shop.webhook(receiver)).webhook
    segment = await shop.segment()
    receiver.always["/"] = Reply(500)

    async def fail_at(at: datetime) -> None:
        await shop.publish(segment)
        await shop.resources.postgres.execute("UPDATE webhook_lanes SET next_attempt_at = $1", at)
        await shop.queue.deliver_due(now=at)

    await fail_at(NOW)
    await fail_at(NOW + timedelta(days=2.4))
    failing = await webhooks.get(shop.tenant, webhook.id)
    assert (failing.failing_since, failing.notice, failing.is_active) == (NOW, None, True)
    with capture_logs() as logs:
        await fail_at(NOW + timedelta(days=2.5))
        await fail_at(NOW + timedelta(days=4.9))
    noticed = await webhooks.get(shop.tenant, webhook.id)
    assert noticed.is_active
    assert noticed.notice == (
        "It has failed since 2026-06-15T12:00:00Z; if that goes on, it is switched off at 2026-06-20T12:00:00Z."
    )
    assert [line["webhook_id"] for line in logs if line["event"] == "webhook.failing"] == [webhook.id]

    receiver.always.clear()
    receiver.replies.append(Reply(200))
    receiver.always["/"] = Reply(200)
    await fail_at(NOW + timedelta(days=4.95))
    well = await webhooks.get(shop.tenant, webhook.id)
    assert (well.failing_since, well.notice) == (None, None)

    receiver.always["/"] = Reply(500)
    await fail_at(NOW + timedelta(days=5))
    await fail_at(NOW + timedelta(days=10))
    off = await webhooks.get(shop.tenant, webhook.id)
    assert (off.is_active, off.disabled_at) == (False, NOW + timedelta(days=10))
    assert off.disabled_reason == "It failed for 5 days, at last so: The endpoint answered 500."


async def test_a_url_is_judged_again_at_each_attempt(shop: Shop, receiver: Receiver):
    """It was allowed when it was registered; what it leads to now is not."""
    webhook = (await shop.webhook(receiver)).webhook
    await shop.publish(await shop.segment())
    strict = WebhookQueue(
        shop.resources.postgres, shop.resources.webhooks, shop.resources.publications, Outgoing(Allowed())
    )

    await strict.deliver_due(now=NOW)
    (delivery,) = (await shop.resources.webhook_deliveries.page(shop.tenant, webhook.id)).results
    assert delivery.status == "failed"
    assert "does not send to" in (delivery.error or "")
    assert receiver.connections == 0


async def test_a_worker_that_ends_amid_a_request_leaves_it_to_the_next_one(shop: Shop, receiver: Receiver):
    webhook = (await shop.webhook(receiver)).webhook
    await shop.publish(await shop.segment(), 3)
    receiver.replies.extend([Reply(), Reply(does="stall")])

    working = asyncio.create_task(shop.queue.deliver_due(now=NOW))
    async with asyncio.timeout(10):
        while len(receiver.received) < 2:
            receiver.came.clear()
            await receiver.came.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await shop.statuses(webhook.id) == ["done", "queued", "queued"]

    await shop.queue.deliver_due(now=NOW)
    assert counts(receiver) == [1, 2, 2, 3]
    ids = [one.headers["webhook-id"] for one in receiver.received]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3


async def test_one_is_replayed_under_its_id_and_an_endpoint_of_another_tenant_is_not_there(
    shop: Shop, receiver: Receiver
):
    deliveries = shop.resources.webhook_deliveries
    webhook = (await shop.webhook(receiver)).webhook
    await shop.publish(await shop.segment(), 2)
    await shop.queue.deliver_due(now=NOW)
    (_, first) = (await deliveries.page(shop.tenant, webhook.id)).results

    again = await deliveries.replay(shop.tenant, webhook.id, first.id, now=NOW)
    assert (again.status, again.attempts, again.message_id) == ("queued", 0, first.message_id)
    await shop.queue.deliver_due(now=NOW)
    assert counts(receiver) == [1, 2, 1]
    assert receiver.received[0].headers["webhook-id"] == receiver.received[2].headers["webhook-id"]
    assert len((await deliveries.get(shop.tenant, webhook.id, first.id)).log) == 2


async def test_many_endpoints_share_the_workers_turns(shop: Shop):
    """Twelve lanes of one endpoint that stalls leave room for another endpoint's one."""
    async with receiving() as receiver:
        receiver.always["/stalls"] = Reply(does="stall")
        await shop.webhook(receiver, "/stalls")
        segments = [await shop.segment(f"Segment {number}") for number in range(12)]
        for segment in segments:
            await shop.publish(segment)
        await shop.webhook(receiver, "/works")
        await shop.publish(segments[-1])

        working = asyncio.create_task(shop.queue.deliver_due(now=NOW))
        async with asyncio.timeout(10):
            while not receiver.bodies("/works"):
                receiver.came.clear()
                await receiver.came.wait()
        assert len(receiver.bodies("/stalls")) <= 4
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
