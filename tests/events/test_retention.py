"""Events are kept for as long as their tenant says, and what is left is true of what is left."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember

ORDERED = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "ordered"}]}


async def matched(resources: Resources, tenant: Tenant) -> int:
    return (await resources.previews.preview(tenant, ORDERED, as_of=NOW)).matched_users


async def drop(resources: Resources, now: datetime = NOW) -> int:
    """How many tenants had something to be looked at."""
    times = 0
    while await resources.retention.drop_next(now=now):
        times += 1
    return times


@pytest.fixture
async def past(resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember) -> None:
    for each in (tenant, other_tenant):
        await remember(
            each,
            [
                ("old", "context_identified", timedelta(days=200), {"plan": "pro"}),
                ("old", "ordered", timedelta(days=200), {}),
                ("old", "only_then", timedelta(days=200), {}),
                ("edge", "ordered", NOW.replace(hour=0) - timedelta(days=30), {}),  # the first moment that is kept
                ("new", "ordered", timedelta(days=2), {}),
            ],
        )


@pytest.mark.usefixtures("past")
async def test_older_events_of_that_tenant_go_and_nothing_else(
    resources: Resources, tenant: Tenant, other_tenant: Tenant
):
    assert await drop(resources) == 0  # nobody said so
    await resources.tenants.set_event_days(tenant, 30)
    before = await resources.postgres.fetchval("SELECT rewritten_by FROM tenants WHERE id = $1", tenant.id)

    assert await drop(resources) == 1

    assert (await matched(resources, tenant), await matched(resources, other_tenant)) == (2, 3)
    found = await resources.previews.preview(
        tenant,
        {
            "logic": "AND",
            "conditions": [{"type": "user_property", "property": "plan", "operator": "eq", "value": "pro"}],
        },
    )
    assert (found.matched_users, found.universe) == (1, 3)  # traits and users stay
    catalog = await resources.discovery.catalog(tenant)
    assert {"ordered", "only_then"} <= catalog.event_types.keys()
    sql = "SELECT event_type, event_count, first_seen FROM observed_names WHERE tenant_id = $1 AND path = '' ORDER BY 1"
    counts = {row[0]: (row[1], row[2]) for row in await resources.postgres.fetch(sql, tenant.id)}
    edge = NOW.replace(hour=0) - timedelta(days=30)
    assert (counts["ordered"], counts["only_then"]) == ((2, edge), (0, edge))
    # Refreshes do not go on from what they saw before.
    assert await resources.postgres.fetchval("SELECT rewritten_by FROM tenants WHERE id = $1", tenant.id) != before


@pytest.mark.usefixtures("past")
async def test_once_a_day_and_again_when_the_days_are_fewer(resources: Resources, tenant: Tenant):
    await resources.tenants.set_event_days(tenant, 300)
    assert [await drop(resources), await drop(resources), await drop(resources, NOW + timedelta(hours=11))] == [1, 0, 0]
    assert await drop(resources, NOW + timedelta(days=1)) == 1
    assert await matched(resources, tenant) == 3

    await resources.tenants.set_event_days(tenant, 30)
    assert await drop(resources, NOW) == 1
    assert await matched(resources, tenant) == 2

    await resources.tenants.set_event_days(tenant, None)
    assert await drop(resources, NOW + timedelta(days=300)) == 0


@pytest.mark.usefixtures("past")
async def test_what_a_dead_worker_held_is_done_after_its_lease(resources: Resources, tenant: Tenant):
    await resources.tenants.set_event_days(tenant, 30)
    await resources.postgres.execute("UPDATE tenants SET dropping_until = $1", NOW + timedelta(minutes=30))

    assert await drop(resources, NOW) == 0
    assert await drop(resources, NOW + timedelta(minutes=31)) == 1
