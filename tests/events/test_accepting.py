"""AcceptedEvents means stored, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.events import AcceptedEvents, Forwarding, Ingestion, RecentEvents
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres

TENANT, OTHER_TENANT = Tenant(1, "acme"), Tenant(2, "rival")
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


def event(**fields: Any) -> bytes:
    return msgspec.json.encode({"user_id": "ana", "event_type": "order_placed", **fields})


async def take(
    postgres: Postgres, *events: Any, tenant: Tenant = TENANT, key: str | None = None, at=NOW
) -> AcceptedEvents:
    return await Ingestion(postgres).accept(tenant, events, received_at=at, idempotency_key=key)


async def stored(postgres: Postgres, column: str = "event_id") -> list[Any]:
    return [row[0] for row in await postgres.fetch(f"SELECT {column} FROM events ORDER BY seq")]


async def test_good_events_are_stored_and_bad_ones_named(postgres: Postgres):
    accepted = await take(postgres, event(event_id="1"), b"{}", event(event_id="2"), event(user_id=""))

    assert (accepted.queued, accepted.stored) == (2, 2)
    assert [(skip.index, skip.pointer, skip.code) for skip in accepted.skipped] == [
        (1, "/user_id", "missing_field"),
        (3, "/user_id", "empty_string"),
    ]
    assert await stored(postgres) == ["1", "2"]


async def test_the_first_copy_of_an_id_stands_and_later_ones_count_as_queued(postgres: Postgres):
    first = await take(postgres, event(event_id="1", payload={"n": 1}), event(event_id="1", payload={"n": 2}))
    again = await take(postgres, event(event_id="1", user_id="ben", event_type="other", payload={"n": 3}))

    assert (first.queued, first.stored) == (2, 1)
    assert (again.queued, again.stored) == (1, 0)
    assert await stored(postgres, "payload") == ['{"n":1}']


async def test_an_identify_and_an_event_share_one_space_of_ids_but_tenants_do_not(postgres: Postgres):
    await take(postgres, event(event_id="1"))
    same_tenant = await take(postgres, event(event_id="1", event_type="context_identified"))
    other_tenant = await take(postgres, event(event_id="1"), tenant=OTHER_TENANT)

    assert (same_tenant.stored, other_tenant.stored) == (0, 1)


@pytest.mark.parametrize("first", range(0, 12_000, 3000))  # large, and often: the order of the ids is a race
async def test_the_same_batch_at_the_same_time_is_stored_once(postgres: Postgres, first):
    ids = [str(number) for number in range(first, first + 3000)]
    batch = [event(event_id=event_id) for event_id in ids]

    answers = await asyncio.gather(*(take(postgres, *order) for order in (batch, batch[::-1]) * 4))

    assert {answer.queued for answer in answers} == {3000}
    assert sum(answer.stored for answer in answers) == 3000
    assert sorted(await stored(postgres)) == sorted(ids)


async def test_events_without_an_id_are_never_duplicates_and_their_ids_follow_their_order(postgres: Postgres):
    for _ in range(3):
        await take(postgres, *[event()] * 100)

    ids = await stored(postgres)

    assert len(set(ids)) == 300
    assert ids == sorted(ids)


async def test_a_repeated_request_with_an_idempotency_key_adds_nothing(postgres: Postgres):
    batch = [event(), event(), event(payload={"n": 1})]

    first = await take(postgres, *batch, key="k")
    again = await take(postgres, *batch, key="k", at=NOW + timedelta(seconds=5))
    ids = await stored(postgres)

    assert (first.stored, again.queued, again.stored) == (3, 3, 0)
    assert ids == sorted(ids)


async def test_other_events_under_a_used_idempotency_key_are_not_lost(postgres: Postgres):
    await take(postgres, event(payload={"n": 1}), key="k")

    assert (await take(postgres, event(payload={"n": 2}), key="k")).stored == 1
    assert (await take(postgres, event(payload={"n": 1}), key="other")).stored == 1
    assert (await take(postgres, event(payload={"n": 1}), key="k", tenant=OTHER_TENANT)).stored == 1


async def test_an_id_is_forgotten_after_its_days(postgres: Postgres, clickhouse: ClickHouse):
    await take(postgres, event(event_id="1"))
    days = {"recent": timedelta(hours=72), "remembered": timedelta(days=90)}
    clean_up = Forwarding(postgres, clickhouse).clean_up

    await clean_up(now=NOW + timedelta(days=89), **days)
    within = await take(postgres, event(event_id="1"))
    await clean_up(now=NOW + timedelta(days=91), **days)
    after = await take(postgres, event(event_id="1"))

    assert (within.stored, after.stored) == (0, 1)


async def test_recent_events_come_newest_first_with_counts_of_all_since(postgres: Postgres):
    await take(postgres, event(event_type="a"), event(event_type="b"), at=NOW - timedelta(hours=2))
    await take(postgres, event(event_type="b"), event(event_type="b", user_id="ben"), event(event_type="a"), at=NOW)
    await take(postgres, event(event_type="c"), tenant=OTHER_TENANT, at=NOW)

    recent = await RecentEvents(postgres).list(TENANT, since=NOW - timedelta(hours=1), limit=2)
    every = await RecentEvents(postgres).list(TENANT)

    assert [(one.event_type, one.user_id, one.received_at) for one in recent.events] == [
        ("a", "ana", NOW),
        ("b", "ben", NOW),
    ]
    assert [(kind.event_type, kind.count) for kind in recent.by_type] == [("b", 2), ("a", 1)]
    assert (recent.total, every.total, len(every.events)) == (3, 5, 5)


async def test_what_is_stored_is_pending_for_its_tenant_alone(postgres: Postgres):
    await take(postgres, event(), event(), at=datetime.now(UTC) - timedelta(seconds=30))

    mine, theirs = await Ingestion(postgres).status(TENANT), await Ingestion(postgres).status(OTHER_TENANT)

    assert (mine.pending, mine.forwarded, mine.failed) == (2, 0, 0)
    assert 30_000 <= mine.oldest_pending_ms < 90_000
    assert (theirs.pending, theirs.oldest_pending_ms) == (0, 0)
