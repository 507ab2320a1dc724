"""The connector `klaviyo`: what is its alone. What it shares with the others is in test_connectors.py."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from segment_copilot.activations.connectors import Outcome, Recipient, TryLater
from segment_copilot.activations.connectors.configs import read_config
from segment_copilot.activations.connectors.klaviyo import Klaviyo, KlaviyoConfig
from segment_copilot.errors import InvalidInput
from tests.support.destinations import OUTGOING, batch, crowd
from tests.support.klaviyo_server import KlaviyoServer
from tests.support.service_server import serving

SOON = [timedelta(0)] * 4


@pytest.fixture
async def server() -> AsyncGenerator[KlaviyoServer]:
    async with serving(KlaviyoServer()) as server:
        yield server


async def send(server: KlaviyoServer, *users: Recipient, left: tuple[Recipient, ...] = ()) -> Outcome:
    config = KlaviyoConfig(list_id=server.list_id, api_key=f" {server.key}\n")  # as it is pasted
    return await Klaviyo(f"{server.url}/", pauses=SOON).send(batch(users, left), config, OUTGOING)


async def test_a_profile_has_id_email_and_names_and_nothing_else(server: KlaviyoServer):
    traits = {"email": "ana@example.com", "first_name": "Ana", "last_name": "", "plan": "gold"}

    await send(server, Recipient("ana", traits), Recipient("bob", {"email": 7, "first_name": "B" * 300}))

    assert list(server.profiles.values()) == [
        {"external_id": "ana", "email": "ana@example.com", "first_name": "Ana"},
        {"external_id": "bob"},
    ]


@pytest.mark.parametrize("others", [0, 20])
async def test_a_profile_that_is_there_by_its_email_is_taken_and_keeps_what_it_has(server: KlaviyoServer, others: int):
    server.profiles = {"01": {"email": "ana@example.com", "last_name": "Ruiz"}, "02": {"external_id": "u9"}}
    server.lists["Other1"] = {"01"}

    ana = Recipient("ana", {"email": "ana@example.com"})
    await send(server, ana, *crowd(others))
    assert "ana" in server.members
    await send(server, left=(ana, *crowd(others)))

    assert server.profiles["01"] == {"external_id": "ana", "email": "ana@example.com", "last_name": "Ruiz"}
    assert server.lists == {server.list_id: set(), "Other1": {"01"}}


@pytest.mark.parametrize("others", [0, 20])
async def test_an_email_of_another_profile_is_told_of_the_user(server: KlaviyoServer, others: int):
    server.profiles = {"01": {"external_id": "old", "email": "ana@example.com"}, "02": {"external_id": "ana"}}

    outcome = await send(server, Recipient("ana", {"email": "ana@example.com"}), *crowd(others))

    (rejected,) = outcome.rejected
    assert rejected.user_id == "ana"
    assert "another external_id" in rejected.reason
    assert server.members == {user.user_id for user in crowd(others)}


async def test_an_import_that_is_judged_at_once_is_sent_again_without_the_wrong_profiles(server: KlaviyoServer):
    server.judges_at_once = True
    users = [Recipient(f"u{one}", {"email": "no" if one % 4 == 0 else f"u{one}@example.com"}) for one in range(30)]

    outcome = await send(server, *users)

    assert [one.user_id for one in outcome.rejected] == [f"u{one}" for one in range(0, 30, 4)]
    assert {one.reason for one in outcome.rejected} == {"Invalid email address"}
    assert len(server.members) == 22


async def test_every_page_of_errors_is_read_and_no_link_is_followed(server: KlaviyoServer):
    users = [Recipient(f"u{one}", {"email": "no"}) for one in range(130)]

    outcome = await send(server, *users, *crowd(20, start=500))

    assert [one.user_id for one in outcome.rejected] == [user.user_id for user in users]
    assert [one.query.get("page[cursor]") for one in server.requests if "import-errors" in one.path] == [
        None,
        "50",
        "100",
    ]


async def test_an_import_is_waited_for_and_not_for_ever(server: KlaviyoServer):
    server.polls = 3
    assert await send(server, *crowd(20)) == Outcome()
    server.polls = 4

    with pytest.raises(TryLater, match="takes long") as late:
        await send(server, *crowd(20, start=100))

    assert late.value.after == timedelta(minutes=2)
    server.cancels = True
    with pytest.raises(TryLater, match="cancelled"):
        await send(server, *crowd(20))


async def test_a_few_are_written_one_by_one_and_more_are_imported(server: KlaviyoServer):
    await send(server, *crowd(10))
    few = [request.path for request in server.requests]
    await send(server, *crowd(11))

    assert few == ["/api/profile-import/"] * 10 + [f"/api/lists/{server.list_id}/relationships/profiles/"]
    assert [request.path for request in server.requests[11:]][:1] == ["/api/profile-bulk-import-jobs/"]
    assert len(server.requests) == 11 + 1 + server.polls + 1


async def test_an_id_that_no_address_can_hold_is_told(server: KlaviyoServer):
    long = Recipient("漢" * 400)

    outcome = await send(server, left=(long, *crowd(3)))

    assert [one.user_id for one in outcome.rejected] == [long.user_id]


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"api_key": "pk_1"}, "/config"),
        ({"list_id": "../profiles", "api_key": "pk_1"}, "/config/list_id"),
        ({"list_id": "", "api_key": "pk_1"}, "/config/list_id"),
        ({"list_id": "Y6nRLr", "api_key": ""}, "/config/api_key"),
        ({"list_id": "Y6nRLr", "api_key": "pk_1", "list": 1}, "/config/list"),
    ],
)
def test_a_config_is_judged_when_it_is_given(config: dict[str, object], pointer: str):
    with pytest.raises(InvalidInput) as refused:
        read_config(config, KlaviyoConfig)

    assert refused.value.findings[0].pointer.startswith(pointer)
