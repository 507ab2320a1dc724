"""Users are found, and what is known of one is read, with what waits to be forwarded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler import Person
from segment_copilot.errors import InvalidInput, NotFound
from segment_copilot.events import Event as StoredEvent
from segment_copilot.events.waiting import WaitingEvents
from segment_copilot.lists import Window
from segment_copilot.people.profiles import Profiles, WhichEvents
from segment_copilot.resources import Resources
from tests.support.language.data_sets import STRANGE_USERS, deliver, draw_world
from tests.support.language.reference import IDENTIFY, Event, people
from tests.support.language.strategies import Draw
from tests.support.resources import NOW, Remember

pytestmark = pytest.mark.shared

DAY = timedelta(days=1)
VIEW, ORDER = "page_viewed", "order_placed"


async def found(resources: Resources, tenant: Tenant, text: str, **window: Any) -> list[str]:
    listed = await resources.profiles.search(tenant, text, Window(**window))
    return [user.user_id for user in listed.results]


async def test_a_user_is_found_by_any_part_of_the_id(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    ids = ["Ana", "ana@shop.es", "ÑANDÚ", "banana", "b_n", "bon", "100%"]
    await remember(tenant, [(user_id, VIEW, DAY, {}) for user_id in ids])
    await remember(other_tenant, [("ana-of-others", VIEW, DAY, {})])

    assert await found(resources, tenant, "ana") == ["Ana", "ana@shop.es", "banana"]  # this id, begins with it, has it
    assert await found(resources, tenant, "ñandú") == ["ÑANDÚ"]
    assert await found(resources, tenant, "b_n") == ["b_n"]
    assert await found(resources, tenant, "%") == ["100%"]
    assert await found(resources, tenant, "nobody") == []
    assert await found(resources, tenant, "") == sorted(ids, key=str.encode)


async def test_what_is_found_says_how_much_a_user_did_and_when(
    resources: Resources, tenant: Tenant, remember: Remember
):
    await remember(tenant, [("ana", VIEW, 3 * DAY, {}), ("ana", ORDER, DAY, {}), ("ben", IDENTIFY, DAY, {"age": 3})])
    await remember(tenant, [("ana", VIEW, 9 * DAY, {})])  # another row of the same user, until the table is merged

    listed = await resources.profiles.search(tenant, "")

    assert listed.count == 2
    assert [(one.user_id, one.event_count, one.first_seen, one.last_seen) for one in listed.results] == [
        ("ana", 3, NOW - 9 * DAY, NOW - DAY),
        ("ben", 1, NOW - DAY, NOW - DAY),
    ]


async def test_what_is_found_is_read_page_by_page(resources: Resources, tenant: Tenant, remember: Remember):
    await remember(tenant, [(user_id, VIEW, DAY, {}) for user_id in ["an", "bana", "ana", "any", "san"]])

    pages, cursor, last = list[list[str]](), None, ""
    while True:
        listed = await resources.profiles.search(tenant, "an", Window(limit=2, cursor=cursor))
        pages.append([user.user_id for user in listed.results])
        assert listed.count == 5
        if (cursor := listed.cursor) is None:
            break
        last = cursor

    assert pages == [["an", "ana"], ["any", "bana"], ["san"]]
    assert await found(resources, tenant, "an", limit=2, offset=3) == ["bana", "san"]
    with pytest.raises(InvalidInput) as refused:
        await resources.profiles.search(tenant, "other", Window(cursor=last))
    assert refused.value.code == "bad_cursor"


async def test_a_profile_has_the_traits_as_they_are_now(resources: Resources, tenant: Tenant, remember: Remember):
    await remember(
        tenant,
        [
            ("ana", VIEW, 5 * DAY, {"path": "/"}),
            (
                "ana",
                IDENTIFY,
                4 * DAY,
                {"city": "Vigo", "plan": "free", "tags": ["a", 1, True], "address": {"zip.code": "3"}},
            ),
            ("ana", IDENTIFY, 2 * DAY, {"city": "Lugo", "plan": None}),
            ("ana", IDENTIFY, 3 * DAY, {"city": "Ourense", "age": 31.5}),
            ("ben", IDENTIFY, 1 * DAY, {"city": "Porto"}),
        ],
    )

    profile = await resources.profiles.profile(tenant, "ana")

    assert (profile.user_id, profile.event_count, profile.event_type_count) == ("ana", 4, 2)
    assert (profile.first_seen, profile.last_seen) == (NOW - 5 * DAY, NOW - 2 * DAY)
    assert profile.properties == {
        "address": {"zip.code": "3"},
        "age": 31.5,
        "city": "Lugo",
        "tags": ["a", 1, True],
    }


async def test_nobody_has_seen_a_user_of_another_tenant(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    await remember(other_tenant, [("ana", VIEW, DAY, {})])

    told = list[str]()
    for user_id in ("ana", "never"):
        with pytest.raises(NotFound) as missing:
            await resources.profiles.profile(tenant, user_id)
        told.append(f"{missing.value.code}: {missing.value.detail}")
        assert (await resources.profiles.events(tenant, user_id)).results == ()

    assert told[0] == told[1]
    assert told[0].startswith("user_not_found: ")


def sent(user_id: str, event_type: str, hour: int, payload: Any = None, event_id: str | None = None) -> dict[str, Any]:
    at = datetime(2026, 6, 1, hour, tzinfo=UTC).isoformat()
    return {"user_id": user_id, "event_type": event_type, "occurred_at": at, "payload": payload, "event_id": event_id}


async def test_what_waits_to_be_forwarded_is_known_already(resources: Resources, tenant: Tenant, other_tenant: Tenant):
    first = [sent("ana", VIEW, 1), sent("ana", IDENTIFY, 2, {"city": "Vigo", "age": 30})]
    then = [sent("ana", ORDER, 3, {"total": 5}), sent("ana", IDENTIFY, 4, {"city": "Lugo"}), sent("ben", ORDER, 5)]
    await resources.ingestion.accept(tenant, first, received_at=NOW)
    await resources.ingestion.accept(other_tenant, [sent("ana", ORDER, 9)], received_at=NOW)
    assert await resources.forwarding.forward_next()
    await resources.ingestion.accept(tenant, then, received_at=NOW)

    waiting = await resources.profiles.profile(tenant, "ana")
    events = await resources.profiles.events(tenant, "ana")
    assert await resources.forwarding.forward_next()

    assert (waiting.event_count, waiting.event_type_count, waiting.properties) == (4, 3, {"age": 30, "city": "Lugo"})
    assert waiting.last_seen == datetime(2026, 6, 1, 4, tzinfo=UTC)
    assert [(one.event_type, one.payload) for one in events.results] == [
        (IDENTIFY, {"city": "Lugo"}),
        (ORDER, {"total": 5}),
        (IDENTIFY, {"city": "Vigo", "age": 30}),
        (VIEW, {}),
    ]
    assert await resources.profiles.profile(tenant, "ana") == waiting
    assert await resources.profiles.events(tenant, "ana") == events


async def test_an_event_that_is_forwarded_between_the_two_reads_is_there_once(resources: Resources, tenant: Tenant):
    await resources.ingestion.accept(tenant, [sent("ana", ORDER, 3)], received_at=NOW)
    waiting = await resources.profiles._waiting.of_person(tenant, Person("ana"))
    assert await resources.forwarding.forward_next()

    class Read(WaitingEvents):
        """What was read a moment before."""

        async def of_person(self, tenant: Tenant, person: Person) -> tuple[StoredEvent, ...]:  # noqa: ARG002
            return waiting

    profiles = Profiles(resources.clickhouse, Read(resources.postgres), resources.identity_links)

    assert (await profiles.profile(tenant, "ana")).event_count == 1
    assert (await profiles.events(tenant, "ana")).count == 1


async def test_events_are_read_newest_first_and_page_by_page(resources: Resources, tenant: Tenant):
    """Events of one instant are told apart by their ids, as everywhere."""
    events = [
        sent("ana", ORDER if number % 3 else VIEW, number // 3, {"n": number}, f"e{number}") for number in range(12)
    ]
    await resources.ingestion.accept(tenant, events[:8], received_at=NOW)
    assert await resources.forwarding.forward_next()
    await resources.ingestion.accept(tenant, events[8:], received_at=NOW)
    newest = sorted(events, key=lambda event: (event["occurred_at"], event["event_id"]), reverse=True)

    pages, cursor = list[list[str]](), None
    while True:
        listed = await resources.profiles.events(tenant, "ana", window=Window(limit=5, cursor=cursor))
        assert listed.count == 12
        pages.append([event.event_id for event in listed.results])
        if (cursor := listed.cursor) is None:
            break

    assert [len(page) for page in pages] == [5, 5, 2]
    read = [event_id for page in pages for event_id in page]
    assert read == [event["event_id"] for event in newest]
    by_offset = await resources.profiles.events(tenant, "ana", window=Window(limit=3, offset=4))
    assert [event.event_id for event in by_offset.results] == read[4:7]


async def test_events_of_a_type_and_of_a_time(resources: Resources, tenant: Tenant):
    events = [sent("ana", VIEW if hour == 3 else ORDER, hour, {"hour": hour}) for hour in range(6)]
    await resources.ingestion.accept(tenant, events, received_at=NOW)
    assert await resources.forwarding.forward_next()
    day = datetime(2026, 6, 1, tzinfo=UTC)
    hours = timedelta(hours=1)

    async def found(**which: Any) -> list[int]:
        listed = await resources.profiles.events(tenant, "ana", WhichEvents(**which))
        assert listed.count == len(listed.results)
        return [event.payload["hour"] for event in listed.results]

    assert await found(event_type=VIEW) == [3]
    assert await found(event_type="never") == []
    assert await found(since=day + 2 * hours, until=day + 4 * hours) == [3, 2]
    assert await found(since=day + 2 * hours, event_type=ORDER) == [5, 4, 2]
    assert await found(since=day + 9 * hours) == []


def as_kept(value: Any) -> Any:
    """What the store keeps of a payload: no nulls, and no objects that are empty but for them; in a list one may become the other."""
    if isinstance(value, list):
        return [None if item == {} else item for item in map(as_kept, value)]
    if isinstance(value, dict):
        kept = {key: as_kept(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None and item != {}}
    return value


async def test_payloads_come_back_as_they_were_sent(resources: Resources, tenant: Tenant):
    """Payloads of every kind of value, by users of every kind of id."""
    draw = Draw(5, draw_world(5))
    events = [event for user_id in STRANGE_USERS for event in draw.history(user_id)]
    draw.random.shuffle(events)
    numbered = [
        Event(e.user_id, e.event_type, e.occurred_at, e.payload, f"n{number}") for number, e in enumerate(events)
    ]
    await deliver(resources.postgres, resources.clickhouse, tenant, deliveries=numbered)
    by_id = {event.event_id: event for event in numbered}

    for user_id in STRANGE_USERS:
        listed = await resources.profiles.events(tenant, user_id, window=Window(limit=1_000))
        assert len(listed.results) == sum(event.user_id == user_id for event in numbered)
        for event in listed.results:
            assert as_kept(event.payload) == as_kept(by_id[event.event_id].payload)
        profile = await resources.profiles.profile(tenant, user_id)
        latest = people(numbered, datetime(2299, 12, 31, tzinfo=UTC))[user_id]
        assert as_kept(profile.properties) == as_kept(latest.traits)
        assert (await found(resources, tenant, user_id))[0] == user_id
