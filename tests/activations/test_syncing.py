"""Sending on who enters and leaves: in order, at least once, and never an emptied audience by accident."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from segment_copilot.activations.activations import ActivationChanges
from segment_copilot.activations.connectors import webhook
from segment_copilot.activations.syncing import MAX_FAILURES, pause_after
from segment_copilot.audiences.segments import Changes
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.lists import FIRST_PAGE
from tests.support.receiver import Reply
from tests.support.sending import Sending, Sent


async def test_what_changed_is_sent_after_each_computation_and_nothing_twice(sending: Sending):
    await sending.publish("abc")
    activation = await sending.activate()
    await sending.work()
    await sending.publish("bcd")
    await sending.publish("cde")
    await sending.work()
    await sending.work()

    first, second = sending.sent()
    assert (first.entered, first.left, first.full) == (["a", "b", "c"], [], True)
    assert (second.entered, second.left, second.full) == (["d", "e"], ["a", "b"], False)
    assert [(one.status, one.entered, one.left, one.sent) for one in await sending.deliveries(activation)] == [
        ("done", 3, 0, 3),
        ("done", 2, 2, 4),
    ]
    assert (await sending.read(activation)).last_synced_at is not None


async def test_whoever_entered_and_left_again_meanwhile_is_not_sent(sending: Sending):
    await sending.publish("ab")
    await sending.activate()
    await sending.work()
    await sending.publish("abc")
    await sending.publish("a")
    await sending.publish("ab")
    await sending.work()

    assert len(sending.sent()) == 1


async def test_batches_are_cut_and_one_that_failed_is_sent_again_under_its_key(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(webhook.Webhook, "batch_size", 2)
    await sending.publish("abcde")
    activation = await sending.activate()
    sending.receiver.replies.extend([Reply(), Reply(503), Reply(), Reply()])
    await sending.work()
    (waiting,) = await sending.deliveries(activation)
    assert (waiting.status, waiting.sent, waiting.error) == ("queued", 2, "The webhook answered 503.")
    assert waiting.next_attempt_at is not None

    # A worker that goes on begins where the last batch arrived.
    await sending.resources.postgres.execute("UPDATE deliveries SET lease_until = NULL WHERE id = $1", waiting.id)
    await sending.work()

    keys = [one.key.rsplit("-", 1)[1] for one in sending.sent()]
    assert keys == ["1", "2", "2", "3"]
    assert sending.sent()[1] == sending.sent()[2]
    assert sorted({user for one in sending.sent() for user in one.entered}) == list("abcde")
    (done,) = await sending.deliveries(activation)
    assert (done.status, done.sent, done.attempts, done.error) == ("done", 5, 2, None)


async def test_a_worker_that_dies_between_batches_leaves_the_rest_to_another(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(webhook.Webhook, "batch_size", 2)
    await sending.publish("abcd")
    activation = await sending.activate()
    sending.receiver.replies.extend([Reply(), Reply(does="stall")])
    await sending.resources.syncing.notice()
    dying = asyncio.create_task(sending.resources.syncing.send_next())
    async with asyncio.timeout(10):
        while len(sending.receiver.received) < 2:
            sending.receiver.came.clear()
            await sending.receiver.came.wait()
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    await sending.work()

    assert [one.key.rsplit("-", 1)[1] for one in sending.sent()] == ["1", "2", "2"]
    assert [one.status for one in await sending.deliveries(activation)] == ["done"]


async def test_a_first_sync_sends_the_members_that_it_began_with(sending: Sending):
    await sending.publish("ab")
    await sending.activate()
    sending.receiver.replies.append(Reply(does="stall"))
    await sending.resources.syncing.notice()
    dying = asyncio.create_task(sending.resources.syncing.send_next())
    async with asyncio.timeout(10):
        await sending.receiver.came.wait()
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    await sending.publish("bc")
    await sending.work()
    await sending.work()

    first, again, then = sending.sent()
    assert first == again
    assert (again.entered, again.full) == (["a", "b"], True)
    assert (then.entered, then.left) == (["c"], ["a"])


async def test_whoever_dies_between_the_last_batch_and_the_end_sends_nothing_again(sending: Sending):
    await sending.publish("ab")
    activation = await sending.activate()
    # PostgreSQL goes away just then, as a server that is shut down does.
    dies = """
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'gone' USING ERRCODE = '57P01'; END $$;
        CREATE TRIGGER die BEFORE UPDATE OF synced_computation ON activations FOR EACH ROW EXECUTE FUNCTION die()"""
    await sending.resources.postgres.execute(dies)
    await sending.work()
    (waiting,) = await sending.deliveries(activation)
    assert (waiting.status, waiting.sent) == ("queued", 2)

    await sending.resources.postgres.execute("DROP TRIGGER die ON activations")
    await sending.resources.postgres.execute("UPDATE deliveries SET lease_until = NULL")
    await sending.work()
    assert [one.status for one in await sending.deliveries(activation)] == ["done"]
    assert [one.entered for one in sending.sent()] == [["a", "b"]]


async def test_an_emptied_audience_is_held_until_somebody_says_so(sending: Sending):
    await sending.publish("abc")
    activation = await sending.activate()
    await sending.work()
    await sending.publish("")
    await sending.work()

    assert len(sending.sent()) == 1
    *_, held = await sending.deliveries(activation)
    assert (held.status, held.entered, held.left) == ("held", 0, 3)
    stopped = await sending.read(activation)
    assert stopped.status == "error"
    assert "from 3 to 0 members" in (stopped.last_error or "")
    assert f'POST {{"allow_empty": true}} to /api/activations/{activation.id}/sync/' in (stopped.last_error or "")
    with pytest.raises(Conflict, match="held"):
        await sending.resources.deliveries.replay(sending.tenant, held.id)

    await sending.resources.deliveries.request(sending.tenant, activation.id)
    await sending.work()
    assert len(sending.sent()) == 1  # asking alone is not allowing
    await sending.resources.deliveries.request(sending.tenant, activation.id, allow_empty=True)
    await sending.work()

    assert sending.sent()[1].left == ["a", "b", "c"]
    going_on = await sending.read(activation)
    assert (going_on.status, going_on.last_error) == ("active", None)


async def test_a_sharply_shrunk_audience_is_held_and_one_that_shrinks_within_bounds_is_not(sending: Sending):
    many = [f"u{number:03}" for number in range(300)]
    await sending.publish(many)
    activation = await sending.activate()
    await sending.work()
    await sending.publish(many[:160])  # 47 %
    await sending.work()
    await sending.publish(many[:20])  # 88 %
    await sending.work()
    assert [one.status for one in await sending.deliveries(activation)] == ["done", "done", "held"]

    await sending.publish(many[:150])  # it was a mistake, and is mended
    await sending.resources.deliveries.request(sending.tenant, activation.id)
    await sending.work()

    assert [one.status for one in await sending.deliveries(activation)] == ["done", "done", "done"]
    assert len(sending.sent()[-1].left) == 10
    await sending.resources.activations.update(sending.tenant, activation.id, ActivationChanges(max_shrink_percent=95))
    await sending.publish(many[:20])
    await sending.work()
    assert (await sending.deliveries(activation))[-1].status == "done"


async def test_what_is_refused_stops_the_activation_until_it_is_mended(sending: Sending):
    await sending.publish("a")
    activation = await sending.activate()
    sending.receiver.replies.append(Reply(401, {"content-type": "text/plain"}, b"who are you?"))
    await sending.work()
    stopped = await sending.read(activation)
    assert (stopped.status, stopped.last_error) == (
        "error",
        "The webhook answered 401 (who are you?): it does not take these credentials.",
    )
    await sending.publish("ab")
    await sending.work()
    (failed,) = await sending.deliveries(activation)
    assert failed.status == "failed"

    await sending.resources.activations.update(sending.tenant, activation.id, ActivationChanges(status="active"))
    await sending.work()

    assert sending.sent()[-1].entered == ["a", "b"]
    assert (await sending.read(activation)).last_error is None
    with pytest.raises(Conflict, match="followed by delivery"):
        await sending.resources.deliveries.replay(sending.tenant, failed.id)
    stats = await sending.resources.deliveries.stats(sending.tenant, activation.id)
    assert (stats.deliveries, stats.done, stats.failed, stats.success_rate, stats.sent) == (2, 1, 1, 50, 2)


async def test_a_delivery_on_which_three_workers_died_is_tried_again_later(sending: Sending):
    await sending.publish("a")
    activation = await sending.activate()
    sending.receiver.replies.append(Reply(does="reset"))
    await sending.work()
    died = "UPDATE deliveries SET attempts = 3, status = 'sending', lease_until = NULL"
    await sending.resources.postgres.execute(died)
    await sending.work()

    (waiting,) = await sending.deliveries(activation)
    assert (waiting.status, waiting.error) == ("queued", "The worker died 3 times on this delivery.")
    assert (await sending.read(activation)).status == "active"
    await sending.resources.postgres.execute("UPDATE deliveries SET lease_until = NULL")
    await sending.work()
    assert [one.status for one in await sending.deliveries(activation)] == ["done"]
    assert sending.sent()[-1].entered == ["a"]


async def test_deliveries_of_workers_that_died_keep_no_other_from_being_claimed(sending: Sending):
    """More at once than a tenant may have, as two workers claimed them in the same moment before both were killed."""
    await sending.publish("ab")
    activations = [await sending.activate() for _ in range(3)]
    await sending.resources.syncing.notice()
    died = """
        UPDATE deliveries SET status = 'sending', lease_id = gen_random_uuid(), holder = 1, attempts = 1,
            lease_until = now() - interval '1 s'
        WHERE tenant_id = $1"""
    assert await sending.resources.postgres.execute(died, sending.tenant.id) == len(activations)
    await sending.work()

    for activation in activations:
        assert [one.status for one in await sending.deliveries(activation)] == ["done"]


async def test_a_delivery_that_fails_for_a_day_is_dead_and_can_be_replayed(sending: Sending):
    await sending.publish("a")
    activation = await sending.activate()
    for _ in range(MAX_FAILURES):
        sending.receiver.replies.append(Reply(does="reset"))
        await sending.resources.postgres.execute("UPDATE deliveries SET lease_until = NULL WHERE status = 'queued'")
        await sending.resources.postgres.execute("DELETE FROM circuits")
        await sending.work()

    (dead,) = await sending.deliveries(activation)
    assert (dead.status, dead.attempts) == ("dead", MAX_FAILURES)
    assert "failed 15 times in a row" in (dead.error or "")
    assert (await sending.read(activation)).status == "error"
    await sending.resources.deliveries.replay(sending.tenant, dead.id)
    await sending.work()
    assert [one.status for one in await sending.deliveries(activation)] == ["done"]
    assert (await sending.read(activation)).status == "active"


def test_the_pauses_grow_and_are_a_day_together():
    pauses = [pause_after(failures, spread=0) for failures in range(1, MAX_FAILURES)]

    assert pauses[:3] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]
    assert pauses == sorted(pauses)
    assert sum(pauses, timedelta()) >= timedelta(days=1)
    assert pause_after(1, spread=1) == timedelta(seconds=37.5)


async def test_retry_after_is_respected(sending: Sending):
    await sending.publish("a")
    activation = await sending.activate()
    sending.receiver.replies.append(Reply(429, {"retry-after": "7200"}))
    await sending.work()

    (waiting,) = await sending.deliveries(activation)
    assert waiting.next_attempt_at is not None
    assert waiting.next_attempt_at - waiting.created_at > timedelta(seconds=7200)


async def test_a_destination_that_fails_gets_one_probe_and_others_go_on(sending: Sending):
    await sending.publish("a")
    sending.receiver.always["/down"] = Reply(500)
    for number in range(7):
        await sending.activate(
            url=f"{sending.receiver.url}/down?{number}" if number < 6 else f"{sending.receiver.url}/down"
        )
    elsewhere = await sending.resources.activations.create(
        sending.tenant,
        sending.segment_id,
        connector_type="csv",
        config={"directory": "buyers"},
        status="active",
    )
    sending.receiver.always.update({f"/down?{number}": Reply(500) for number in range(6)})
    await sending.work()

    assert len(sending.receiver.received) == 5  # then the circuit is open for the others
    assert [one.status for one in await sending.deliveries(elsewhere)] == ["done"]
    await sending.resources.postgres.execute(
        "UPDATE circuits SET open_until = now() WHERE tenant_id = $1", sending.tenant.id
    )
    await sending.work()
    assert len(sending.receiver.received) == 6
    sending.receiver.always.clear()
    await sending.resources.postgres.execute(
        "UPDATE circuits SET open_until = now() WHERE tenant_id = $1", sending.tenant.id
    )
    await sending.work()
    assert (
        len(sending.receiver.received) == 7
    )  # the probe arrived: the circuit is closed; the others wait out their pauses
    left = await sending.resources.postgres.fetchval(
        "SELECT count(*) FROM circuits WHERE tenant_id = $1", sending.tenant.id
    )
    assert left == 0


async def test_rejected_users_are_told_with_reasons_and_forgotten_with_the_person(sending: Sending):
    await sending.publish("abc")
    activation = await sending.activate()
    sending.receiver.replies.append(Reply(200, {}, b'{"rejected": [{"user_id": "b", "reason": "no consent"}]}'))
    await sending.work()
    (done,) = await sending.deliveries(activation)

    rejected = await sending.resources.deliveries.rejected(sending.tenant, done.id, FIRST_PAGE)
    assert (done.sent, done.rejected) == (2, 1)
    assert [(one.user_id, one.reason) for one in rejected.results] == [("b", "no consent")]
    assert await sending.resources.deliveries.forget(sending.tenant.id, ["b"]) == 1
    assert (await sending.resources.deliveries.rejected(sending.tenant, done.id, FIRST_PAGE)).results == ()


async def test_a_full_sync_sends_all_members_and_who_left_since(sending: Sending):
    await sending.publish("abc")
    activation = await sending.activate()
    await sending.work()
    await sending.resources.activations.update(sending.tenant, activation.id, ActivationChanges(status="inactive"))
    await sending.publish("bcd")
    plan = await sending.resources.syncing.plan(sending.tenant, activation.id, full=True)
    await sending.resources.deliveries.request(sending.tenant, activation.id, full=True)
    await sending.work()

    assert (plan.entered, plan.left, plan.full, plan.held) == (3, 1, True, None)
    assert [(one.entered, one.left) for one in sending.sent()[1:]] == [([], ["a"]), (["b", "c", "d"], [])]
    assert (await sending.read(activation)).status == "inactive"


async def test_a_dry_run_says_what_would_be_sent_and_why_it_would_be_held(sending: Sending):
    await sending.publish("abc")
    activation = await sending.activate()
    await sending.work()
    await sending.resources.activations.update(sending.tenant, activation.id, ActivationChanges(status="inactive"))
    await sending.publish("")

    plan = await sending.resources.syncing.plan(sending.tenant, activation.id, full=False)

    assert (plan.entered, plan.left, plan.member_count) == (0, 3, 0)
    assert "shrink from 3 to 0" in (plan.held or "")
    assert len(sending.sent()) == 1


async def test_paused_holds_back_what_waits_and_active_sends_it(sending: Sending):
    await sending.publish("a")
    activation = await sending.activate()
    await sending.resources.syncing.notice()
    await sending.resources.activations.update(sending.tenant, activation.id, ActivationChanges(status="paused"))
    await sending.work()
    assert sending.sent() == []
    with pytest.raises(Conflict, match="is paused"):
        await sending.resources.deliveries.request(sending.tenant, activation.id)

    await sending.resources.activations.update(sending.tenant, activation.id, ActivationChanges(status="active"))
    await sending.work()
    assert [one.entered for one in sending.sent()] == [["a"]]


async def test_an_inactive_segment_is_not_synced_by_itself(sending: Sending):
    await sending.publish("a")
    activation = await sending.activate()
    await sending.resources.segments.update(sending.tenant, sending.segment_id, Changes(is_active=False))
    await sending.work()
    assert sending.sent() == []

    await sending.resources.deliveries.request(sending.tenant, activation.id)
    await sending.work()
    assert len(sending.sent()) == 1


async def test_another_config_begins_again_with_all_members_and_another_secret_does_not(sending: Sending):
    await sending.publish("ab")
    activation = await sending.activate()
    await sending.work()
    change = sending.resources.activations.update
    await change(sending.tenant, activation.id, ActivationChanges(config={"secret": "whsec_other"}))
    await sending.work()
    assert len(sending.sent()) == 1
    await change(sending.tenant, activation.id, ActivationChanges(config={"url": f"{sending.receiver.url}/new"}))
    await sending.work()

    assert sending.receiver.received[-1].target == "/new"
    assert sending.sent()[-1] == Sent(sending.sent()[-1].key, ["a", "b"], [], True)


async def test_traits_come_with_who_enters(sending: Sending):
    await sending.publish("ab")
    await sending.remember(
        sending.tenant, [("a", "context_identified", sending.at, {"email": "a@x.example", "plan": "pro"})]
    )
    await sending.activate(traits=["email", "country"])
    await sending.work()

    (body,) = [one.body for one in sending.receiver.received]
    assert b'{"user_id":"a","traits":{"email":"a@x.example"}}' in body
    assert b'{"user_id":"b","traits":{}}' in body


async def test_another_tenants_activation_and_delivery_are_not_there(sending: Sending):
    await sending.publish("a")
    activation = await sending.activate()
    await sending.work()
    (done,) = await sending.deliveries(activation)
    rival = await sending.resources.tenants.create(f"rival-{sending.tenant.slug}")

    for asked in (
        sending.resources.deliveries.request(rival, activation.id),
        sending.resources.deliveries.stats(rival, activation.id),
        sending.resources.syncing.plan(rival, activation.id, full=False),
        sending.resources.deliveries.get(rival, done.id),
        sending.resources.deliveries.replay(rival, done.id),
    ):
        with pytest.raises(NotFound, match=r"There is no (activation|delivery) \d+\."):
            await asked


async def test_a_segment_without_members_cannot_be_synced(sending: Sending):
    activation = await sending.activate()
    await sending.work()

    assert await sending.deliveries(activation) == []
    with pytest.raises(Conflict, match="no members yet"):
        await sending.resources.deliveries.request(sending.tenant, activation.id)
