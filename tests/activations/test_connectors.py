"""What every connector keeps to, tried against a local server of its destination that answers as the real one does."""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from segment_copilot.activations.addresses import LOOPBACK, read_networks
from segment_copilot.activations.connectors import Batch, Outcome, Recipient, Refused, TryLater, connectors
from segment_copilot.activations.connectors.configs import json_schema, mask, secret_fields
from segment_copilot.activations.outgoing import Outgoing, OutgoingFailed
from tests.support.destinations import DESTINATIONS, OUTGOING, Destination, batch, crowd
from tests.support.service_server import Answer, ServiceServer, serving

LATER = (TryLater, OutgoingFailed)
FAULTS = [
    Answer(503, does="html"),
    Answer(does="drop"),
    Answer(does="lose"),
    Answer(429, {"errors": [{"code": "throttled", "detail": "Request was throttled."}]}, {"Retry-After": "7"}),
]


class Hasty(Outgoing):
    """Waits a moment only."""

    async def request(self, method: str, url: str, **options: Any) -> Any:
        options["timeout"] = timedelta(milliseconds=200)
        return await super().request(method, url, **options)


HASTY = Hasty(read_networks(LOOPBACK))


@pytest.fixture(params=list(DESTINATIONS))
async def there(request: pytest.FixtureRequest) -> AsyncGenerator[Destination]:
    async with DESTINATIONS[request.param]() as destination:
        yield destination


async def persist(there: Destination, sent: Batch, *, tries: int = 30) -> Outcome:
    """Send as a worker does: the same batch again, until it is through."""
    for _ in range(tries):
        try:
            return await there.send(sent)
        except LATER:
            continue
    raise AssertionError("It never got through.")


async def test_who_entered_is_there_and_who_left_is_not(there: Destination):
    users = crowd(there.size)

    assert await there.send(batch(users)) == Outcome()
    assert there.members() == {user.user_id for user in users}
    outcome = await there.send(batch(crowd(2, start=1000), users[:2], key="b2"))

    assert outcome == Outcome()
    assert there.members() == {user.user_id for user in users[2:]} | {"u1000", "u1001"}


async def test_somebody_who_left_and_was_never_there_is_no_mistake(there: Destination):
    assert await there.send(batch(left=crowd(there.size))) == Outcome()
    assert there.members() == set()


async def test_an_empty_batch_sends_nothing(there: Destination):
    assert await there.send(batch()) == Outcome()
    assert there.server.requests == []


async def test_a_batch_that_is_sent_again_changes_nothing(there: Destination):
    first = batch(crowd(there.size))
    second = batch(crowd(3, start=500), crowd(3), key="b2")
    await there.send(first)
    await there.send(second)
    before = copy.deepcopy(there.state())

    assert await there.send(second) == Outcome()

    assert there.state() == before


async def test_a_check_changes_nothing_and_sends_nobody(there: Destination):
    before = copy.deepcopy(there.state())

    await there.connector.check(there.config, OUTGOING)

    assert there.state() == before
    assert "u1" not in repr(there.server.requests)


async def test_users_that_are_not_taken_are_named_and_the_others_arrive(there: Destination):
    if there.spoil is None:
        pytest.skip("This destination says nothing of single users.")
    users = crowd(there.size)
    wrong = there.spoil([users[1], users[3]])

    outcome = await there.send(batch([users[0], wrong[0], users[2], wrong[1], *users[4:]]))

    assert [one.user_id for one in outcome.rejected] == ["u1", "u3"]
    assert all(one.reason for one in outcome.rejected)
    assert there.members() == {user.user_id for user in users} - {"u1", "u3"}


async def test_a_whole_batch_may_be_wrong(there: Destination):
    if there.spoil is None:
        pytest.skip("This destination says nothing of single users.")
    wrong = there.spoil(crowd(there.size))

    outcome = await there.send(batch(wrong))

    assert {one.user_id for one in outcome.rejected} == {user.user_id for user in wrong}
    assert there.members() == set()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.status} {fault.does}")
async def test_whatever_request_fails_the_batch_gets_through_when_it_is_sent_again(there: Destination, fault: Answer):
    users = crowd(there.size)
    await there.send(batch(users[:3]))
    changed = batch(users[3:], users[:2], key="b2")
    begun = len(there.server.requests)
    await there.send(changed)
    needed = len(there.server.requests) - begun
    await there.send(batch(users[:2], users[3:], key="b3"))

    for place in range(needed):
        await persist(there, batch(users[:3], users[3:], key=f"back {place}"))
        there.server.faults = {len(there.server.requests) + place: fault}
        with pytest.raises(LATER) as failed:
            await there.send(changed)
        if fault.status == 429:
            assert isinstance(failed.value, TryLater)
            assert failed.value.after == timedelta(seconds=7)
        there.server.faults = {}
        assert await there.send(changed) == Outcome()
        assert there.members() == {user.user_id for user in users[2:]}


async def test_a_server_that_says_nothing_is_left(there: Destination):
    there.server.always = Answer(does="stall")

    with pytest.raises(OutgoingFailed):
        await there.send(batch(crowd(there.size)), outgoing=HASTY)
    with pytest.raises(OutgoingFailed):
        await there.connector.check(there.config, HASTY)


@pytest.mark.parametrize("what", ["key", "place"])
async def test_what_a_person_has_to_put_right_is_told(there: Destination, what: str):
    config = there.misconfigured(what)

    with pytest.raises(Refused) as sent:
        await there.send(batch(crowd(there.size)), config=config)
    with pytest.raises(Refused) as checked:
        await there.connector.check(config, OUTGOING)

    assert sent.value.reason == checked.value.reason
    assert sent.value.reason.endswith(".")
    assert there.told[what] in sent.value.reason
    assert there.members() == set()


async def test_a_key_without_rights_is_told(there: Destination):
    vars(there.server)["scopes"] = vars(there.server)["permissions"] = frozenset[str]()

    with pytest.raises(Refused, match=there.told["rights"]):
        await there.send(batch(crowd(there.size)))
    with pytest.raises(Refused, match=there.told["rights"]):
        await there.connector.check(there.config, OUTGOING)


@pytest.mark.parametrize("status", [301, 307, 400, 405, 410, 422])
async def test_what_never_helps_is_refused_and_no_redirect_is_followed(there: Destination, status: int):
    document = {"errors": [{"detail": f"No, {there.secret}!"}], "message": f"No, {there.secret}!"}
    there.server.always = Answer(status, document, {"Location": f"{there.server.url}/elsewhere"})

    if (there.size, status) in {(4, 400), (4, 422)}:  # of one profile, these say that this one is wrong
        outcome = await there.send(batch(crowd(there.size)))
        assert len(outcome.rejected) == 4
        assert there.secret not in repr(outcome)
    else:
        with pytest.raises(Refused) as refused:
            await there.send(batch(crowd(there.size)))
        assert there.secret not in refused.value.reason
        assert len(there.server.requests) == 1
    assert all("elsewhere" not in request.path for request in there.server.requests)


async def test_an_answer_that_is_not_the_services_own_is_never_taken_for_success(there: Destination):
    there.server.always = Answer(200, does="html")

    if there.connector.name == "klaviyo":
        with pytest.raises(TryLater):
            await there.send(batch(crowd(there.size)))
    else:  # the others say nothing more than that it was good
        assert await there.send(batch(crowd(there.size))) == Outcome()


async def test_no_secret_is_said_logged_or_shown(there: Destination, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    for status in (400, 401, 403, 404, 409, 429, 500):
        text = f"The key {there.secret} is bad"
        there.server.always = Answer(status, {"message": text, "errors": [{"title": text, "detail": text}]})
        try:
            said.append(repr(await there.send(batch(crowd(there.size)))))
        except (TryLater, Refused) as error:
            said.append(f"{error!r} {error}")

    assert len(said) == 7
    assert there.secret not in "".join(said) + caplog.text + repr(there.config)
    assert all(there.secret not in f"{one.path} {one.query} {one.document}" for one in there.server.requests)


async def test_the_largest_batch_keeps_every_limit(there: Destination):
    size = there.connector.batch_size
    half = size // 2

    assert await there.send(batch(crowd(size))) == Outcome()  # the server refuses whatever is too large
    assert await there.send(batch(crowd(half, start=size), crowd(size - half), key="b2")) == Outcome()
    assert await there.send(batch(left=crowd(size, start=half), key="b3")) == Outcome()
    assert there.members() == set()


async def test_ids_of_any_shape_arrive_as_they_are(there: Destination):
    names = ['quote"d', "comma, [brackets] (x)", "back\\slash", "ünï çødé 漢字", "a&b=c?d#e%20", "' OR 1=1", "x" * 512]
    users = [*(Recipient(name) for name in names), *crowd(there.size)]

    await there.send(batch(users))
    assert there.members() == {user.user_id for user in users}
    await there.send(batch(left=users, key="b2"))

    assert there.members() == set()


async def test_any_history_with_any_failures_ends_as_the_changes_say(there: Destination):
    dice = random.Random(there.connector.name + str(there.size))  # noqa: S311  # to be the same again
    expected: set[str] = set()
    pool = crowd(there.size)
    for step in range(6):
        inside = [user for user in pool if user.user_id in expected]
        outside = [user for user in pool if user.user_id not in expected]
        entered = dice.sample(outside, dice.randint(0, len(outside)))
        left = dice.sample(inside, dice.randint(0, len(inside)))
        there.server.faults = {
            len(there.server.requests) + place: dice.choice(FAULTS) for place in range(12) if dice.random() < 0.3
        }

        assert await persist(there, batch(entered, left, key=f"step {step}")) == Outcome()

        expected = (expected | {user.user_id for user in entered}) - {user.user_id for user in left}
        assert there.members() == expected


def test_a_config_says_what_is_secret_and_shows_it_to_nobody(there: Destination):
    config = type(there.config)
    stored = {there.secret_field: there.secret}

    assert secret_fields(config) == {there.secret_field}
    assert mask(stored, config) == {there.secret_field: "***"}
    assert tuple(json_schema(config)["required"]) == there.required
    assert there.connector.config is config
    assert there.connector.summary.endswith(".")


HIDDEN = "whsec_" + "c2VjcmV0IG9mIHRoaXMgdGVzdA=="


@pytest.mark.parametrize("kind", ["webhook", "csv"])
async def test_no_webhook_and_no_bucket_has_a_secret_repeated(kind: str):
    """Whatever the other side answers with, and wherever in it the text is cut."""
    said = list[str]()
    async with serving(ServiceServer()) as server:
        connector: Any = connectors()[kind]
        fields = {"secret": HIDDEN} if kind == "webhook" else {"access_key_id": "key", "secret_access_key": HIDDEN}
        config = connector.config(url=f"{server.url}/there", **fields)
        for status in (302, 400, 403, 429, 500):
            for before in ("", "x" * 190):
                server.always = Answer(status, {"why": f"{before}{HIDDEN}"}, {"Content-Type": "application/json"})
                with pytest.raises((TryLater, Refused)) as failed:
                    await connector.check(config, OUTGOING)
                said.append(failed.value.reason)
        if kind == "webhook":
            server.always = Answer(200, {"rejected": [{"user_id": "u0", "reason": f"not with {HIDDEN}"}]})
            said.append((await connector.send(batch(crowd(1)), config, OUTGOING)).rejected[0].reason)
            assert said[-1] == "not with ***"
    assert any("***" in one for one in said)
    assert not any(HIDDEN[:12] in one for one in said)
