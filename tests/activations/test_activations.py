"""Where members are sent: whose, what is refused, what is kept, and what is shown of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segment_copilot.activations.activations import ActivationChanges, Activations, Only
from segment_copilot.activations.connectors import connectors
from segment_copilot.activations.secrets import Secrets
from segment_copilot.errors import Conflict, InvalidInput, NotFound
from segment_copilot.lists import FIRST_PAGE
from tests.support.receiver import Reply
from tests.support.sending import DEFINITION, KEYS, Sending

HOOK: dict[str, Any] = {"url": "https://hooks.example.com/buyers"}


async def stored(sending: Sending, activation_id: int) -> dict[str, Any]:
    sql = "SELECT config FROM activations WHERE id = $1"
    return msgspec.json.decode(await sending.resources.postgres.fetchval(sql, activation_id))


def with_keys(sending: Sending, *keys: str) -> Activations:
    """The use case of a process with these keys."""
    return Activations(
        sending.resources.postgres, Secrets(keys), connectors(), sending.resources.outgoing, sending.resources.discovery
    )


async def test_an_activation_is_its_tenants_alone_and_shows_no_secret(sending: Sending):
    activations, tenant = sending.resources.activations, sending.tenant
    rival = await sending.resources.tenants.create(f"rival-{tenant.slug}")
    config = HOOK | {"secret": "whsec_live"}

    made = await activations.create(tenant, sending.segment_id, connector_type="webhook", config=config)
    with pytest.raises(NotFound, match="There is no segment"):
        await activations.create(rival, sending.segment_id, connector_type="webhook", config=HOOK)

    assert (made.segment_name, made.status, made.config["secret"]) == ("Buyers", "inactive", "***")
    assert await activations.list(tenant) == (made,)
    assert (await activations.page(tenant, FIRST_PAGE, order="-id", only=Only())).results == (made,)
    assert "whsec_live" not in str(await stored(sending, made.id))
    assert await activations.list(rival) == ()
    for asked in (
        activations.get(rival, made.id),
        activations.update(rival, made.id, ActivationChanges(status="active")),
        activations.check(rival, made.id),
        activations.delete(rival, made.id),
    ):
        with pytest.raises(NotFound, match=f"There is no activation {made.id}"):
            await asked
    await activations.delete(tenant, made.id)
    assert await activations.list(tenant) == ()


@pytest.mark.parametrize(
    ("connector_type", "config", "pointer", "code"),
    [
        ("webhok", HOOK, "/connector_type", "unknown_connector"),
        ("webhook", {}, "/config/url", "missing_field"),
        ("webhook", HOOK | {"urls": 1}, "/config/urls", "unknown_field"),
        ("webhook", {"url": "http://169.254.169.254/latest"}, "/config/url", "url_not_allowed"),
        ("webhook", {"url": "ftp://example.com"}, "/config/url", "url_not_allowed"),
        ("webhook", HOOK | {"secret": "***"}, "/config/secret", "masked_secret"),
        ("webhook", HOOK | {"secret": "short"}, "/config/secret", "invalid_config"),
        ("csv", {}, "/config/directory", "invalid_config"),
        ("csv", {"directory": "../x"}, "/config/directory", "wrong_type"),
        ("csv", {"directory": "/etc"}, "/config/directory", "wrong_type"),
        ("csv", {"directory": "a", "url": "https://s3.example.com/b"}, "/config/directory", "invalid_config"),
        ("parquet", {"url": "https://s3.example.com/b"}, "/config/access_key_id", "invalid_config"),
    ],
)
async def test_a_wrong_config_is_refused_where_it_is_wrong(
    sending: Sending, connector_type: str, config: dict[str, Any], pointer: str, code: str
):
    with pytest.raises(InvalidInput) as refused:
        await sending.resources.activations.create(
            sending.tenant, sending.segment_id, connector_type=connector_type, config=config
        )

    assert [(one.pointer, one.code) for one in refused.value.findings] == [(pointer, code)]
    assert await sending.resources.activations.list(sending.tenant) == ()


async def test_a_change_keeps_what_it_leaves_out_and_a_masked_secret(sending: Sending):
    activations, tenant = sending.resources.activations, sending.tenant
    config = HOOK | {"secret": "whsec_live", "traits": ["email"]}
    made = await activations.create(tenant, sending.segment_id, connector_type="webhook", config=config)
    before = await stored(sending, made.id)

    same = await activations.update(tenant, made.id, ActivationChanges(config=made.config, segment_id=made.segment_id))
    moved = await activations.update(tenant, made.id, ActivationChanges(config={"url": "https://b.example.com/"}))

    assert same.config == made.config
    assert moved.config == {"url": "https://b.example.com/", "secret": "***", "traits": ["email"]}
    assert (await stored(sending, made.id))["secret"] == before["secret"]
    without = await activations.update(tenant, made.id, ActivationChanges(config={"secret": None}))
    assert without.config["secret"] is None
    with pytest.raises(InvalidInput, match="stays 'webhook'"):
        await activations.update(tenant, made.id, ActivationChanges(connector_type="csv"))
    with pytest.raises(InvalidInput, match="set to error by a sync"):
        await activations.update(tenant, made.id, ActivationChanges(status="error"))


async def test_secrets_need_a_key_and_follow_it_when_it_is_replaced(sending: Sending):
    old, new = KEYS
    config = HOOK | {"secret": "whsec_live"}
    with pytest.raises(Conflict, match="Set SECRETS_KEYS"):
        await with_keys(sending).create(sending.tenant, sending.segment_id, connector_type="webhook", config=config)
    made = await with_keys(sending, old).create(
        sending.tenant, sending.segment_id, connector_type="webhook", config=config
    )
    sql = "INSERT INTO activations (tenant_id, segment_id, connector_type, config) VALUES ($1, $2, $3, $4) RETURNING id"
    text = msgspec.json.encode({"api_key": "in the clear", "list": "x"}).decode()
    former = await sending.resources.postgres.fetchval(sql, sending.tenant.id, sending.segment_id, "former", text)
    assert (await with_keys(sending).get(sending.tenant, former)).config == {"api_key": "***", "list": "x"}

    assert await with_keys(sending, new, old).reseal() is False

    assert (await stored(sending, made.id))["secret"].startswith(f"s1.{Secrets([new]).newest}.")
    assert (await stored(sending, former))["api_key"].startswith(f"s1.{Secrets([new]).newest}.")
    only_new = with_keys(sending, new)
    row = await sending.resources.postgres.fetchrow("SELECT * FROM activations WHERE id = $1", made.id)
    assert row is not None
    _, opened = only_new.open(sending.tenant, row)
    assert getattr(opened, "secret", None) == "whsec_live"
    with pytest.raises(Conflict, match="which SECRETS_KEYS does not hold"):
        with_keys(sending, old).open(sending.tenant, row)
    with pytest.raises(Conflict, match="no connector 'former'"):
        await only_new.check(sending.tenant, former)


async def test_a_worker_that_lacks_the_key_of_a_secret_leaves_the_delivery_to_those_that_have_it(sending: Sending):
    """Keys are replaced in one process after another."""
    old, new = KEYS
    await sending.publish("ab")
    activation = await sending.activate()
    assert await with_keys(sending, new, old).reseal() is False

    await sending.work()  # by the old key alone

    (waiting,) = await sending.deliveries(activation)
    assert (waiting.status, waiting.sent) == ("queued", 0)
    assert "which SECRETS_KEYS does not hold" in (waiting.error or "")
    assert waiting.next_attempt_at is not None
    assert (await sending.read(activation)).status == "active"

    assert await with_keys(sending, old, new).reseal() is False
    await sending.resources.postgres.execute("UPDATE deliveries SET lease_until = NULL WHERE id = $1", waiting.id)
    await sending.work()

    (done,) = await sending.deliveries(activation)
    assert (done.status, done.entered, done.error) == ("done", 2, None)


async def test_a_destination_is_tried_without_sending_anybody(sending: Sending):
    made = await sending.activate()
    check = sending.resources.activations.check
    sending.receiver.replies.extend([Reply(), Reply(404), Reply(503), Reply(302, {"location": "/elsewhere"})])

    told = [await check(sending.tenant, made.id) for _ in range(4)]

    assert [(one.ok, one.may_pass) for one in told] == [(True, False), (False, False), (False, True), (False, False)]
    assert told[1].detail == "The webhook answered 404."
    assert all(b"activation.test" in one.body for one in sending.receiver.received)


async def test_segments_that_refer_to_one_another_go_together_once_no_activation_uses_them(sending: Sending):
    segments, tenant = sending.resources.segments, sending.tenant
    refers: dict[str, Any] = {"type": "segment_membership", "segment_id": sending.segment_id}
    await segments.create(tenant, name="Again", definition={"logic": "AND", "conditions": [refers]})
    rival = await sending.resources.tenants.create(f"rival-{tenant.slug}")
    await segments.create(rival, name="Theirs", definition=DEFINITION)
    await sending.activate()

    with pytest.raises(Conflict):
        await segments.delete_all(tenant)
    assert (await segments.list(tenant)).count == 2
    await sending.resources.activations.delete_all(tenant)
    await segments.delete_all(tenant)

    assert [(await segments.list(one)).count for one in (tenant, rival)] == [0, 1]


async def test_a_draft_cannot_be_sent_and_a_static_segment_can(sending: Sending):
    create, tenant = sending.resources.activations.create, sending.tenant
    draft = (await sending.resources.segments.create(tenant, name="Draft", definition=None)).segment
    listed = (await sending.resources.segments.create(tenant, name="List", segment_type="static")).segment

    with pytest.raises(Conflict, match="no definition"):
        await create(tenant, draft.id, connector_type="webhook", config=HOOK)
    assert (await create(tenant, listed.id, connector_type="webhook", config=HOOK)).segment_name == "List"


def test_every_connector_tells_its_name_what_it_does_and_a_schema():
    for name, connector in connectors().items():
        assert connector.name == name
        assert connector.summary.endswith(".")
        assert connector.batch_size > 0
