"""A tenant's events of a month are counted exactly, and what would pass its limit is refused whole."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import TooManyRequests
from segment_copilot.events import AcceptedEvents, Ingestion
from segment_copilot.events.quota import EventQuota, month_of
from segment_copilot.stores.postgres import Postgres

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
TENANT = Tenant(1, "acme", "Europe/Madrid", events_per_month=5)
ANY = Tenant(2, "rival")


def events(*ids: str | None) -> list[bytes]:
    named = [{} if event_id is None else {"event_id": event_id} for event_id in ids]
    return [msgspec.json.encode({"user_id": "ana", "event_type": "order_placed", **one}) for one in named]


async def send(postgres: Postgres, *ids: str | None, tenant: Tenant = TENANT, at: datetime = NOW, **options: Any):
    return await Ingestion(postgres).accept(tenant, events(*ids), received_at=at, **options)


async def counted(postgres: Postgres, tenant: Tenant = TENANT, at: datetime = NOW) -> int:
    return await EventQuota(postgres).accepted(tenant, at=at)


async def test_what_is_accepted_counts_once_in_the_month_it_came_in(postgres: Postgres):
    last = datetime(2026, 6, 30, 21, 59, 59, tzinfo=UTC)  # a second before July in Madrid
    await send(postgres, "1", "1", None, tenant=ANY)
    await send(postgres, "1", "2", tenant=ANY)
    await send(postgres, "1", at=last)
    await send(postgres, "2", "3", at=last.replace(hour=22))

    assert await counted(postgres, ANY) == 3
    assert [await counted(postgres, at=at) for at in (NOW, last, last.replace(hour=22))] == [1, 1, 2]


async def test_what_would_pass_the_limit_is_refused_whole_until_the_next_month(postgres: Postgres):
    await send(postgres, "1", "2", "3")
    with pytest.raises(TooManyRequests) as refused:
        await send(postgres, "3", "4", "5", "6")
    stored = await postgres.fetchval("SELECT count(*) FROM events")
    filled = await send(postgres, "3", "4", "5")
    again = await send(postgres, "1", "2", "3", "4", "5", "5")  # a client that did not hear that they are safe
    with pytest.raises(TooManyRequests) as full:
        await send(postgres, None)
    july = await send(postgres, "6", at=datetime(2026, 6, 30, 22, tzinfo=UTC))

    assert (stored, await counted(postgres)) == (3, 5)
    assert (filled.stored, again.queued, again.stored, july.stored) == (2, 6, 0, 1)
    assert (refused.value.code, full.value.code) == ("event_quota_reached", "event_quota_reached")
    assert refused.value.context == {"limit": 5, "remaining": 2, "retry_after_seconds": 15 * 86_400 + 10 * 3600}
    assert refused.value.detail == (
        "This tenant may send 5 events a month, and 2 are left until 2026-06-30T22:00:00Z: of the 3 that are new here, "
        "none was stored. Send them then, or have the limit raised."
    )


async def test_an_event_that_is_not_stored_counts_neither_as_sent_nor_against_the_limit(postgres: Postgres):
    wrong = [b"{}", msgspec.json.encode({"event_type": "order_placed"})]
    accepted = await Ingestion(postgres).accept(TENANT, [*events(*"12345"), *wrong], received_at=NOW)

    assert (accepted.stored, len(accepted.skipped)) == (5, 2)
    assert await counted(postgres) == 5


async def test_events_that_link_ids_are_counted_too(postgres: Postgres):
    both = msgspec.json.encode({"user_id": "ana", "anonymous_id": "a1", "event_type": "login", "event_id": "1"})
    tenant = Tenant(await _tenant(postgres), "acme")
    for _ in range(2):
        await Ingestion(postgres).accept(tenant, [both], received_at=NOW)

    assert await counted(postgres, tenant) == 1


async def test_the_count_is_exact_however_many_send_at_once(postgres: Postgres):
    ids = [[f"{batch}-{number % 7}" for number in range(10)] for batch in (*range(20), *range(20))]
    results: list[AcceptedEvents] = await asyncio.gather(*(send(postgres, *each, tenant=ANY) for each in ids))

    assert sum(result.stored for result in results) == 140 == await counted(postgres, ANY)


async def test_requests_that_race_pass_the_limit_by_what_is_in_them_at_most(postgres: Postgres):
    results = await asyncio.gather(
        *(send(postgres, f"{number}a", f"{number}b") for number in range(10)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, TooManyRequests)]

    assert all(isinstance(result, AcceptedEvents | TooManyRequests) for result in results)
    assert (
        await counted(postgres)
        == 2 * (len(results) - len(refused))
        == await postgres.fetchval("SELECT count(*) FROM events")
    )
    with pytest.raises(TooManyRequests):
        await send(postgres, "last", "of all")


@pytest.mark.parametrize(
    ("instant", "timezone", "begins", "ends"),
    [
        ("2026-03-31T22:30Z", "Europe/Madrid", "2026-03-31T22:00Z", "2026-04-30T22:00Z"),
        ("2026-03-31T22:30Z", "UTC", "2026-03-01T00:00Z", "2026-04-01T00:00Z"),
        ("2026-12-31T23:59Z", "UTC", "2026-12-01T00:00Z", "2027-01-01T00:00Z"),
    ],
)
def test_a_month_goes_from_local_midnight_to_local_midnight(instant, timezone, begins, ends):
    month = month_of(datetime.fromisoformat(instant), timezone)

    assert (month.begins, month.ends) == (datetime.fromisoformat(begins), datetime.fromisoformat(ends))


async def _tenant(postgres: Postgres) -> int:
    return await postgres.fetchval("INSERT INTO tenants (slug) VALUES ('linked') RETURNING id")
