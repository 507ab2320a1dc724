"""What has arrived in ClickHouse since somebody asked last: nothing too few, whoever was at it meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from segment_copilot.access.tenants import Tenant
from segment_copilot.events.arrivals import Arrivals, Mark
from segment_copilot.resources import Resources

RECENT = timedelta(hours=72)


@pytest.fixture
def arrivals(resources: Resources) -> Arrivals:
    return Arrivals(resources.postgres, recent=RECENT)


async def send(resources: Resources, tenant: Tenant, *user_ids: str, forward: bool = True) -> None:
    when = datetime.now(UTC).isoformat()
    events: list[Any] = [{"user_id": one, "event_type": "view", "occurred_at": when} for one in user_ids]
    await resources.ingestion.accept(tenant, events, received_at=datetime.now(UTC))
    while forward and await resources.forwarding.forward_next():
        pass


async def mark(arrivals: Arrivals, tenant: Tenant) -> Mark:
    return (await arrivals.since(tenant, None, most=100)).mark


async def test_users_of_what_was_forwarded_since_are_told_and_no_others(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, arrivals: Arrivals
):
    await send(resources, tenant, "before")
    seen = await mark(arrivals, tenant)
    await send(resources, other_tenant, "theirs")
    await send(resources, tenant, "ana", "ben", "ana")
    await send(resources, tenant, "waits", forward=False)

    first = await arrivals.since(tenant, seen, most=100)
    again = await arrivals.since(tenant, first.mark, most=100)

    assert (first.why, sorted(first.user_ids)) == (None, ["ana", "ben"])
    assert (again.why, sorted(again.user_ids)) == (None, [])


async def test_what_is_marked_by_a_transaction_that_began_before_is_told_when_it_is_over(
    resources: Resources, tenant: Tenant, arrivals: Arrivals
):
    await send(resources, tenant, "slow", forward=False)
    await resources.forwarding._form()
    async with resources.postgres.transaction() as transaction:
        sql = "UPDATE blocks SET status = 'forwarded', forwarded_by = pg_current_xact_id()"
        await transaction.execute(sql)
        meanwhile = await arrivals.since(tenant, await mark(arrivals, tenant), most=100)
        await send(resources, tenant, "quick")
        later = await arrivals.since(tenant, meanwhile.mark, most=100)
    at_last = await arrivals.since(tenant, later.mark, most=100)

    assert list(meanwhile.user_ids) == []
    assert list(later.user_ids) == ["quick"]
    assert sorted(at_last.user_ids) == ["quick", "slow"]  # what was seen may be told again


async def test_a_new_link_touches_both_ids_and_one_that_moves_anybody(
    resources: Resources, tenant: Tenant, arrivals: Arrivals
):
    links, seen = resources.identity_links, await mark(arrivals, tenant)
    await links.alias(tenant, "anon_1", "ana")
    waiting = await arrivals.since(tenant, seen, most=100)
    await links.forward_next()
    arrived = await arrivals.since(tenant, waiting.mark, most=100)
    after = await arrivals.since(tenant, arrived.mark, most=100)
    await links.merge(tenant, "ana", "bea")  # and with her whoever was hers
    await links.forward_next()
    moved = await arrivals.since(tenant, after.mark, most=100)

    assert sorted(waiting.user_ids) == sorted(arrived.user_ids) == ["ana", "anon_1"]  # until it is in ClickHouse
    assert (after.why, list(after.user_ids)) == (None, [])
    assert moved.why == "links_moved"
    assert (await arrivals.since(tenant, moved.mark, most=100)).why is None


async def test_where_not_all_can_be_named_it_is_said_why(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, arrivals: Arrivals
):
    assert (await arrivals.since(tenant, None, most=100)).why == "nothing_seen"
    seen = await mark(arrivals, tenant)
    await send(resources, tenant, "ana", "ben")
    assert (await arrivals.since(tenant, seen, most=2)).why is None
    assert (await arrivals.since(tenant, seen, most=1)).why == "too_many"
    old = replace(seen, at=seen.at - RECENT)
    assert (await arrivals.since(tenant, old, most=100)).why == "seen_too_long_ago"
    of_a_copy = replace(seen, transaction=seen.transaction + 10_000_000)  # in a database that was restored elsewhere
    assert (await arrivals.since(tenant, of_a_copy, most=100)).why == "seen_too_long_ago"
    await resources.history.delete(tenant)
    assert (await arrivals.since(tenant, seen, most=100)).why == "rewritten"
    assert (await arrivals.since(other_tenant, seen, most=100)).why is None
    now = await mark(arrivals, tenant)
    assert (await arrivals.since(tenant, now, most=100)).why is None
