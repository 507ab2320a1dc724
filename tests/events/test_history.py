"""A tenant's past, written at once and removed at once."""

from __future__ import annotations

from datetime import timedelta

from segment_copilot.access.tenants import Tenant
from segment_copilot.events import Event
from segment_copilot.resources import Resources
from tests.support.resources import NOW


def past(tenant: Tenant) -> list[Event]:
    """One event an hour, up to NOW."""
    return [
        Event(tenant.id, f"{hour}", "ana", "order_placed", NOW - timedelta(hours=hour), '{"total":1}')
        for hour in range(48, 0, -1)
    ]


async def test_what_is_written_can_be_queried_and_its_end_is_recent(resources: Resources, tenant: Tenant):
    reported = list[int]()

    await resources.history.write(tenant, past(tenant), recent_since=NOW - timedelta(hours=4), progress=reported.append)

    catalog = await resources.discovery.catalog(tenant)
    status = await resources.ingestion.status(tenant)
    recent = await resources.recent_events.list(tenant)
    assert await stored(resources, tenant) == 48
    assert catalog.event_types["order_placed"].event_count == 48
    assert (status.pending, status.forwarded) == (0, 48)
    assert [event.occurred_at for event in recent.events] == [NOW - timedelta(hours=hour) for hour in (1, 2, 3)]
    assert reported == [0]


async def test_only_the_tenants_own_past_is_removed(resources: Resources, tenant: Tenant, other_tenant: Tenant):
    for one in (tenant, other_tenant):
        await resources.history.write(one, past(one), recent_since=NOW - timedelta(hours=4), progress=lambda _: None)

    await resources.history.delete(tenant)

    assert [await stored(resources, one) for one in (tenant, other_tenant)] == [0, 48]
    assert [(await resources.recent_events.list(one)).total for one in (tenant, other_tenant)] == [0, 3]


async def stored(resources: Resources, tenant: Tenant) -> int:
    sql = "SELECT count() FROM events WHERE tenant_id = {tenant:UInt32}"
    return (await resources.clickhouse.fetch(sql, {"tenant": tenant.id}, purpose="catalog")).rows[0][0]


async def test_events_of_others_in_the_same_block_are_forwarded_all_the_same(
    resources: Resources, tenant: Tenant, other_tenant: Tenant
):
    for one in (tenant, other_tenant, tenant):
        event = b'{"user_id": "ana", "event_type": "order_placed"}'
        await resources.ingestion.accept(one, [event], received_at=NOW)
    assert await resources.forwarding._form()

    await resources.history.delete(tenant)
    while await resources.forwarding.forward_next():
        pass

    assert [await stored(resources, one) for one in (tenant, other_tenant)] == [0, 1]
    status = await resources.ingestion.status(other_tenant)
    assert (status.pending, status.forwarded) == (0, 1)
