"""Endpoints and what they are sent: of real computations, signed, and of nobody who was erased."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from segops_admin.webhook import verify_webhook
from standardwebhooks import Webhook, WebhookVerificationError

from segment_copilot.access.keys import Caller
from segment_copilot.access.scopes import ROLES
from segment_copilot.activations.secrets import Secrets, new_key
from segment_copilot.activations.webhooks.bodies import EVENTS, MAX_USERS, Piece, pieces
from segment_copilot.activations.webhooks.endpoints import MAX_WEBHOOKS, Webhooks
from segment_copilot.activations.webhooks.signatures import read_secret, signed
from segment_copilot.audiences.publications import Publication
from segment_copilot.errors import Conflict, Forbidden, InvalidInput, NotFound
from tests.activations.conftest import NOW, Shop
from tests.support.receiver import Received, Receiver, Reply
from tests.support.resources import remembering

ORDERED: dict[str, Any] = {
    "logic": "AND",
    "conditions": [
        {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1},
        {"type": "event_count", "event_type": "complained", "operator": "eq", "value": 0},
    ],
}
VECTOR = b'{"event":"segment.recomputed","tenant_slug":"acme","segment_id":42,"segment_name":"Big spenders","member_count":3,"computed_at":"2026-05-02T14:32:00Z"}'


async def compute(shop: Shop, segment_id: int, *, as_of: datetime | None = None) -> int:
    found = await shop.resources.computations.request(shop.tenant, segment_id, as_of=as_of)
    while await shop.resources.computations.run_next():
        pass
    await shop.queue.fan_out()
    return found.id


async def test_who_entered_and_left_is_told_in_order_and_both_signatures_are_verified(shop: Shop, receiver: Receiver):
    remember = remembering(shop.resources)
    webhook = await shop.webhook(receiver)
    assert webhook.secret is not None
    segment = (await shop.resources.segments.create(shop.tenant, name="Happy", definition=ORDERED)).segment.id
    await remember(shop.tenant, [(user, "order_placed", NOW, {}) for user in ("ana", "ben")])
    first = await compute(shop, segment, as_of=NOW + timedelta(hours=1))
    await remember(shop.tenant, [("ana", "complained", NOW, {}), ("cleo", "order_placed", NOW, {})])
    second = await compute(shop, segment, as_of=NOW + timedelta(hours=2))
    await compute(shop, segment, as_of=NOW + timedelta(hours=3))

    await shop.queue.deliver_due()
    told = [msgspec.json.decode(body) for body in receiver.bodies()]
    assert [(one["event"], one.get("user_ids")) for one in told] == [
        ("segment.recomputed", None),
        ("segment.entered", ["ana", "ben"]),
        ("segment.recomputed", None),
        ("segment.entered", ["cleo"]),
        ("segment.left", ["ana"]),
        ("segment.recomputed", None),
    ]
    assert list(told[0])[:6] == ["event", "tenant_slug", "segment_id", "segment_name", "member_count", "computed_at"]
    assert {**told[2], "published_at": ...} == {
        "event": "segment.recomputed",
        "tenant_slug": shop.tenant.slug,
        "segment_id": segment,
        "segment_name": "Happy",
        "member_count": 2,
        "computed_at": "2026-06-15T14:00:00Z",
        "entered": 1,
        "left": 1,
        "computation_id": second,
        "published_at": ...,
    }
    assert (told[1]["part"], told[1]["parts"], told[1]["user_count"], told[1]["computation_id"]) == (1, 1, 2, first)
    for request in receiver.received:
        assert verified(request, webhook.secret)
        assert not verify_webhook(request.body + b" ", request.headers["x-segops-signature"], webhook.secret)


async def test_a_large_change_is_told_in_parts(shop: Shop, receiver: Receiver):
    users = [f"user-{number}" for number in range(2 * MAX_USERS)]
    await remembering(shop.resources)(shop.tenant, [(user, "order_placed", NOW, {}) for user in users])
    await shop.webhook(receiver, events=("segment.entered",))
    segment = (await shop.resources.segments.create(shop.tenant, name="Happy", definition=ORDERED)).segment.id
    await compute(shop, segment, as_of=NOW + timedelta(hours=1))

    await shop.queue.deliver_due()
    told = [msgspec.json.decode(body) for body in receiver.bodies()]
    assert [(one["part"], one["parts"], one["user_count"]) for one in told] == [(n, 3, 2_000) for n in (1, 2, 3)]
    assert sorted(user for one in told for user in one["user_ids"]) == sorted(users)
    assert max(len(one["user_ids"]) for one in told) <= MAX_USERS


async def test_a_computation_that_fails_is_told_once_it_is_over(shop: Shop, receiver: Receiver):
    await shop.webhook(receiver, events=("computation.failed",))
    segment = (await shop.resources.segments.create(shop.tenant, name="Happy", definition=ORDERED)).segment.id
    broken = '{"logic": "AND", "conditions": [{"type": "no_such_type"}]}'
    sql = "UPDATE segment_versions SET definition = $2 WHERE segment_id = $1"
    await shop.resources.postgres.execute(sql, segment, broken)
    failed = await compute(shop, segment, as_of=NOW)

    await shop.queue.deliver_due()
    (told,) = [msgspec.json.decode(body) for body in receiver.bodies()]
    assert (told["event"], told["computation_id"], told["as_of"]) == (
        "computation.failed",
        failed,
        "2026-06-15T12:00:00Z",
    )
    assert told["error"]["code"] == "invalid_definition"


async def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(shop: Shop, receiver: Receiver):
    webhooks = shop.resources.webhooks
    webhook = await shop.webhook(receiver, secret="whsec_test")
    assert webhook.secret is None  # it was given
    now = datetime.now(UTC)
    rotated = await webhooks.rotate(shop.tenant, webhook.webhook.id, now=now)
    assert rotated.webhook.previous_secret_until == now + timedelta(days=1)
    assert rotated.secret is not None
    segment = await shop.segment()

    await shop.publish(segment)
    await shop.queue.deliver_due(now=now)
    (both,) = receiver.received
    assert Webhook("whsec_test").verify(both.body, dict(both.headers))
    assert verified(both, rotated.secret)

    await shop.publish(segment)
    await shop.queue.deliver_due(now=now + timedelta(days=1))
    alone = receiver.received[-1]
    assert len(alone.headers["webhook-signature"].split()) == 1
    with pytest.raises(InvalidInput, match=r"signs by hmac; the secret is of ed25519"):
        await webhooks.rotate(shop.tenant, webhook.webhook.id, secret="whsk_" + base64.b64encode(bytes(32)).decode())


async def test_secrets_are_sealed_anew_when_the_key_is_replaced(shop: Shop, receiver: Receiver):
    old, new, other = (new_key() for _ in range(3))
    postgres, outgoing = shop.resources.postgres, shop.resources.outgoing

    def with_keys(*keys: str) -> Webhooks:
        return Webhooks(postgres, outgoing, Secrets(keys))

    async def sealed() -> list[str]:
        sql = "SELECT id, secret, previous_secret FROM webhooks WHERE tenant_id = $1 ORDER BY id"
        rows = await postgres.fetch(sql, shop.tenant.id)
        return [one for row in rows for one in (row["secret"], row["previous_secret"]) if one]

    first = await with_keys(old).create(shop.tenant, receiver.url, secret="whsec_first")
    await with_keys(old).rotate(shop.tenant, first.webhook.id, secret="whsec_second")
    await with_keys(other).create(shop.tenant, receiver.url, secret="whsec_other")
    before = await sealed()
    assert await with_keys().reseal() is False
    assert await with_keys(old).reseal() is False
    assert await sealed() == before

    assert await with_keys(new, old).reseal() is False

    *ours, theirs = await sealed()
    assert theirs == before[-1]  # its key is nowhere
    assert all(Secrets([new]).is_current(one) for one in ours)
    row = await postgres.fetchrow("SELECT * FROM webhooks WHERE id = $1", first.webhook.id)
    assert row is not None
    opened = with_keys(new).open_secrets(shop.tenant.id, row, now=datetime.now(UTC))
    assert opened == ["whsec_second", "whsec_first"]


async def test_ed25519_is_verified_by_the_public_key_alone(shop: Shop, receiver: Receiver):
    issued = await shop.resources.webhooks.create(shop.tenant, receiver.url, signature="ed25519")
    assert issued.secret is None
    assert issued.webhook.public_key is not None
    await shop.publish(await shop.segment())
    await shop.queue.deliver_due(now=NOW)

    (request,) = receiver.received
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(issued.webhook.public_key.removeprefix("whpk_")))
    version, _, signature = request.headers["webhook-signature"].partition(",")
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    assert version == "v1a"
    assert "x-segops-signature" not in request.headers
    public.verify(base64.b64decode(signature), signed)
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(signature), signed + b" ")


def test_the_signature_is_segops_own():
    headers = signed(VECTOR, ["whsec_test"], message_id="msg_1", now=NOW)
    assert headers["X-SegOps-Signature"] == "sha256=795ff70fc63e17a14ab68feff56d081c8fdc082abf7708c7e16f5e749b4a35c6"
    assert verify_webhook(VECTOR, headers["X-SegOps-Signature"], "whsec_test")


@pytest.mark.parametrize("secret", ["short", "x" * 201, "with\nnewline", "naïve secret", "whsk_AAAA", "whsk_***", ""])
def test_what_cannot_sign_is_no_secret(secret: str):
    with pytest.raises(InvalidInput) as refused:
        read_secret(secret)
    assert [(one.pointer, one.code) for one in refused.value.findings] == [("/secret", "invalid_secret")]


async def test_secrets_are_sealed_and_no_other_tenants_open(shop: Shop, receiver: Receiver):
    await shop.webhook(receiver, secret="a-secret-of-ours")
    row = await shop.resources.postgres.fetchrow("SELECT * FROM webhooks WHERE tenant_id = $1", shop.tenant.id)
    assert row is not None
    assert "a-secret-of-ours" not in str(dict(row.items()))  # type: ignore[attr-defined]
    with pytest.raises(Conflict):
        shop.resources.webhooks.open_secrets(shop.tenant.id + 1, row, now=NOW)


async def test_a_person_who_was_erased_is_told_no_more(shop: Shop, receiver: Receiver):
    webhook = (await shop.webhook(receiver, events=("segment.entered",))).webhook
    await remembering(shop.resources)(shop.tenant, [(user, "order_placed", NOW, {}) for user in ("ana", "ben")])
    segment = (await shop.resources.segments.create(shop.tenant, name="Happy", definition=ORDERED)).segment.id
    await compute(shop, segment, as_of=NOW + timedelta(hours=1))
    receiver.replies.append(Reply(200, body=b'{"added": ["ana", "ben"]}'))
    await shop.queue.deliver_due()

    # What an erasure does, of which this is a part: tests/people/test_erasures.py
    sql = "DELETE FROM membership_changes WHERE tenant_id = {tenant:UInt32} AND user_id = 'ana'"
    await shop.resources.clickhouse.execute(sql, {"tenant": shop.tenant.id}, purpose="compute")
    assert await shop.resources.webhook_deliveries.forget(shop.tenant.id, ["nobody"]) == 0
    assert await shop.resources.webhook_deliveries.forget(shop.tenant.id, ["ana", "anon_7"]) == 1
    deliveries = shop.resources.webhook_deliveries
    (delivery,) = (await deliveries.page(shop.tenant, webhook.id)).results
    assert [one.answer for one in (await deliveries.get(shop.tenant, webhook.id, delivery.id)).log] == [""]
    await deliveries.replay(shop.tenant, webhook.id, delivery.id)
    await shop.queue.deliver_due()
    assert [msgspec.json.decode(body)["user_ids"] for body in receiver.bodies()] == [["ana", "ben"], ["ben"]]


async def test_the_changes_of_a_segment_that_was_deleted_are_dead_and_say_why(shop: Shop, receiver: Receiver):
    webhook = (await shop.webhook(receiver, events=("segment.entered", "segment.recomputed"))).webhook
    await remembering(shop.resources)(shop.tenant, [("ana", "order_placed", NOW, {})])
    segment = (await shop.resources.segments.create(shop.tenant, name="Happy", definition=ORDERED)).segment.id
    await compute(shop, segment, as_of=NOW + timedelta(hours=1))
    await shop.resources.segments.delete(shop.tenant, segment)

    await shop.queue.deliver_due()
    found = (await shop.resources.webhook_deliveries.page(shop.tenant, webhook.id, order="id")).results
    assert [one.status for one in found] == ["done", "dead"]
    assert found[1].error == "The segment was deleted, and with it the log of who entered and left."


async def test_a_test_says_what_came_back(shop: Shop, receiver: Receiver):
    deliveries = shop.resources.webhook_deliveries
    webhook = await shop.webhook(receiver, secret="a-secret-of-ours")
    receiver.replies.extend([Reply(200, body=b"thanks"), Reply(401, body=b"who?"), Reply(does="reset")])

    good = await deliveries.test(shop.tenant, webhook.webhook.id, event="segment.entered")
    assert (good.delivered, good.event, good.status_code, good.answer) == (True, "segment.entered", 200, "thanks")
    assert verified(receiver.received[0], "a-secret-of-ours", key=b"a-secret-of-ours")
    told = msgspec.json.decode(receiver.received[0].body)
    assert (told["test"], told["user_ids"]) == (True, ["user_1", "user_2"])

    bad = await deliveries.test(shop.tenant, webhook.webhook.id)
    assert (bad.delivered, bad.event, bad.error) == (False, "segment.recomputed", "The endpoint answered 401.")
    none = await deliveries.test(shop.tenant, webhook.webhook.id, event="computation.failed")
    assert (none.delivered, none.status_code, none.error) == (
        False,
        None,
        "127.0.0.1 broke off, or does not speak HTTP.",
    )
    assert (await deliveries.page(shop.tenant, webhook.webhook.id)).count == 0


async def test_endpoints_are_their_tenants_alone(shop: Shop, receiver: Receiver):
    webhooks, deliveries = shop.resources.webhooks, shop.resources.webhook_deliveries
    rival = await shop.resources.tenants.create(f"rival-{uuid4().hex[:8]}")
    webhook = (await shop.webhook(receiver)).webhook
    other = (await webhooks.create(rival, receiver.url)).webhook
    await shop.publish(await shop.segment())
    (delivery,) = (await deliveries.page(shop.tenant, webhook.id)).results

    calls = (
        lambda: webhooks.get(rival, webhook.id),
        lambda: webhooks.change(rival, webhook.id, is_active=False),
        lambda: webhooks.delete(rival, webhook.id),
        lambda: webhooks.rotate(rival, webhook.id),
        lambda: deliveries.page(rival, webhook.id),
        lambda: deliveries.get(rival, webhook.id, delivery.id),
        lambda: deliveries.get(rival, other.id, delivery.id),
        lambda: deliveries.replay(rival, other.id, delivery.id),
        lambda: deliveries.recover(rival, webhook.id, since=datetime.now(UTC)),
        lambda: deliveries.test(rival, webhook.id),
    )
    for call in calls:
        with pytest.raises(NotFound):
            await call()
    assert [one.id for one in (await webhooks.page(rival)).results] == [other.id]
    assert (await deliveries.page(rival, other.id)).count == 0


async def test_an_endpoint_is_told_of_users_only_by_who_may_know_them(shop: Shop, receiver: Receiver):
    webhooks = shop.resources.webhooks
    by = Caller(shop.tenant, None, scopes=frozenset({"webhooks:write"}))
    member = Caller(shop.tenant, None, scopes=ROLES["admin"])

    plain = (await webhooks.create(shop.tenant, receiver.url, by=by)).webhook
    with pytest.raises(Forbidden, match="members:read"):
        await webhooks.create(shop.tenant, receiver.url, events=["segment.left"], by=by)
    with pytest.raises(Forbidden, match="members:read"):
        await webhooks.change(shop.tenant, plain.id, events=["segment.entered"], by=by)
    full = (await webhooks.create(shop.tenant, receiver.url, events=EVENTS, by=member)).webhook
    with pytest.raises(Forbidden, match="members:read"):
        await webhooks.change(shop.tenant, full.id, url=f"{receiver.url}/elsewhere", by=by)
    assert (await webhooks.change(shop.tenant, full.id, description="Ours", by=by)).description == "Ours"


async def test_there_are_only_so_many(shop: Shop, receiver: Receiver):
    for _ in range(MAX_WEBHOOKS):
        await shop.webhook(receiver)
    with pytest.raises(Conflict, match="as many as there may be"):
        await shop.webhook(receiver)


async def test_a_url_that_may_not_be_sent_to_is_refused_with_its_place(shop: Shop):
    for url in ("https://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "https://user@example.com/"):
        with pytest.raises(InvalidInput) as refused:
            await shop.resources.webhooks.create(shop.tenant, url)
        assert [(one.pointer, one.code) for one in refused.value.findings] == [("/url", "url_not_allowed")]


async def test_messages_are_read_without_an_endpoint_from_where_one_was(shop: Shop):
    feed = shop.resources.webhook_feed
    segment = await shop.segment()
    await shop.publish(segment)
    begun = await feed.read(shop.tenant)
    assert begun.results == ()
    await shop.publish(segment, 3)

    first = await feed.read(shop.tenant, begun.next_cursor, limit=2)
    rest = await feed.read(shop.tenant, first.next_cursor, limit=2)
    none = await feed.read(shop.tenant, rest.next_cursor)
    members = [[one.body.member_count for one in page.results] for page in (first, rest, none)]  # type: ignore[union-attr]
    assert members == [[2, 3], [4], []]
    assert (await feed.read(shop.tenant, begun.next_cursor, events=["computation.failed"])).results == ()
    rival = await shop.resources.tenants.create(f"rival-{uuid4().hex[:8]}")
    with pytest.raises(InvalidInput):
        await feed.read(rival, begun.next_cursor)
    assert (await feed.read(rival)).results == ()


async def test_publications_go_when_they_are_too_old_and_what_was_told_of_them_too(shop: Shop, receiver: Receiver):
    webhook = (await shop.webhook(receiver)).webhook
    await shop.publish(await shop.segment())
    await shop.resources.publications.clean_up(now=datetime.now(UTC) + timedelta(days=29))
    assert await shop.statuses(webhook.id) == ["queued"]
    await shop.resources.publications.clean_up(now=datetime.now(UTC) + timedelta(days=31))
    assert await shop.statuses(webhook.id) == []


def test_places_are_the_same_whatever_is_wanted():
    told = Publication(
        1, 1, 1, "Buyers", 1, None, entered=2_000, left=1, member_count=9, computed_at=NOW, published_at=NOW
    )
    assert [*pieces(told, EVENTS)] == [
        Piece("segment.recomputed", 0),
        *(Piece("segment.entered", place, place, 3) for place in (1, 2, 3)),
        Piece("segment.left", 4),
    ]
    assert [*pieces(told, ["segment.left"])] == [Piece("segment.left", 4)]


def verified(request: Received, secret: str, *, key: bytes | None = None) -> bool:
    """Whether both of a request's signatures are of *secret*."""
    try:
        Webhook(key or secret).verify(request.body, dict(request.headers))
    except WebhookVerificationError:
        return False
    return verify_webhook(request.body, request.headers["x-segops-signature"], secret)
