"""Segments beside one another: sizes, trends, what they share; and what a tenant uses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.segments import Changes
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember

DAY = timedelta(days=1)


def did(event_type: str, **more: Any) -> dict[str, Any]:
    return {"logic": "AND", "conditions": [{"type": "event_count", "event_type": event_type, **more}]}


async def segment(resources: Resources, tenant: Tenant, name: str, definition: Any) -> int:
    return (await resources.segments.create(tenant, name=name, definition=definition)).segment.id


async def compute_all(resources: Resources, tenant: Tenant, as_of: datetime = NOW) -> None:
    await resources.computations.request_all(tenant, as_of=as_of)
    while await resources.computations.run_next():
        pass


async def test_an_overview_counts_segments_members_and_events(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    for one in (tenant, other_tenant):
        await segment(resources, one, "Viewers", did("page_viewed"))
        await segment(resources, one, "Buyers", did("order_placed"))
    idle = await segment(resources, tenant, "Idle", did("order_placed"))
    await remember(
        tenant,
        [
            ("ana", "page_viewed", DAY, {}),
            ("ana", "order_placed", 40 * DAY, {}),
            ("ben", "page_viewed", 29 * DAY, {}),  # on the first of the thirty days
            ("ben", "page_viewed", 30 * DAY, {}),  # on the day before it
            ("ben", "context_identified", DAY, {"city": "Vigo"}),
            ("cai", "page_viewed", NOW + DAY, {}),
        ],
    )
    await compute_all(resources, tenant)
    await resources.segments.update(tenant, idle, Changes(is_active=False))

    overview = await resources.standings.overview(tenant, as_of=NOW)
    empty = await resources.standings.overview(other_tenant, as_of=NOW)

    assert (overview.segments, overview.total_members, overview.events) == (3, 2 + 1, 2)
    assert (empty.segments, empty.total_members, empty.events) == (2, 0, 0)


async def test_a_trend_has_the_last_count_of_each_local_day(resources: Resources, remember: Remember):
    tenant = await resources.tenants.create("lisboa", timezone="America/New_York")
    viewers = await segment(resources, tenant, "Viewers", did("page_viewed"))
    once = await segment(resources, tenant, "Once", did("page_viewed"))
    never = await segment(resources, tenant, "Never", did("page_viewed"))
    await remember(tenant, [(f"u{hours}", "page_viewed", timedelta(hours=hours), {}) for hours in range(0, 72, 6)])
    for back in (40 * DAY, 2 * DAY, timedelta(hours=10), timedelta(hours=9), timedelta(hours=1)):
        await resources.computations.request(tenant, viewers, as_of=NOW - back)
        assert await resources.computations.run_next()
    await resources.computations.request(tenant, once, as_of=NOW)
    assert await resources.computations.run_next()

    first, second, third = await resources.standings.segments(tenant, as_of=NOW)

    # NOW is 08:00 there: ten and nine hours before it was the evening of the day before.
    assert [(point.day, point.count) for point in first.trend] == [
        (date(2026, 6, 13), 4),
        (date(2026, 6, 14), 10),
        (date(2026, 6, 15), 11),
    ]
    assert (first.id, first.name, first.member_count, first.last_computed_at) == (
        viewers,
        "Viewers",
        11,
        NOW - timedelta(hours=1),
    )
    assert (second.id, second.member_count, second.trend) == (once, 12, ())  # one day is no trend
    assert (third.id, third.member_count, third.last_computed_at, third.trend) == (never, None, None, ())


async def test_overlaps_are_those_of_the_published_members(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    """Against sets in Python, of random segments and users, with members that are no longer published beside them."""
    dice, types = Random(3), [f"kind_{number}" for number in range(8)]  # noqa: S311
    has = {
        name: {f"u{number}" for number in range(60) if dice.random() < 0.1 + 0.1 * place}
        for place, name in enumerate(types)
    }
    ids = {await segment(resources, tenant, name, did(name)): name for name in types}
    for one in (tenant, other_tenant):
        await remember(one, [("before", name, 9 * DAY, {}) for name in types])
    await segment(resources, other_tenant, "Of others", did("kind_0"))
    await segment(resources, other_tenant, "Of others too", did("kind_1"))
    for one in (tenant, other_tenant):
        await compute_all(resources, one, NOW - 8 * DAY)
    await remember(tenant, [(user, name, DAY, {}) for name, users in has.items() for user in sorted(users)])
    await compute_all(resources, tenant)

    told = await resources.standings.overlaps(tenant)

    members = {segment_id: has[name] | {"before"} for segment_id, name in ids.items()}
    expected = [
        (
            -len(members[a] & members[b]),
            a,
            b,
            round(100 * len(members[a] & members[b]) / min(len(members[a]), len(members[b])), 1),
        )
        for a in members
        for b in members
        if a < b
    ]
    assert [(-one.shared, one.first_id, one.second_id, one.percent) for one in told] == sorted(expected)[:20]
    assert (told[0].first_name, told[0].second_name) == (ids[told[0].first_id], ids[told[0].second_id])
    assert [(one.shared, one.percent) for one in await resources.standings.overlaps(other_tenant)] == [(1, 100.0)]


async def test_nothing_overlaps_where_nothing_is_shared(resources: Resources, tenant: Tenant, remember: Remember):
    await segment(resources, tenant, "Viewers", did("page_viewed"))
    assert await resources.standings.overlaps(tenant) == ()
    buyers = await segment(resources, tenant, "Buyers", did("order_placed"))
    await remember(tenant, [("ana", "page_viewed", DAY, {}), ("ben", "order_placed", DAY, {})])
    await compute_all(resources, tenant)
    assert await resources.standings.overlaps(tenant) == ()

    await remember(tenant, [("ana", "order_placed", DAY, {})])
    await compute_all(resources, tenant, NOW + DAY)
    (shared,) = await resources.standings.overlaps(tenant)
    assert (shared.first_name, shared.second_name, shared.shared, shared.percent) == ("Viewers", "Buyers", 1, 100.0)

    await resources.segments.update(tenant, buyers, Changes(is_active=False))
    assert await resources.standings.overlaps(tenant) == ()


async def test_usage_is_of_the_local_month(resources: Resources, other_tenant: Tenant, remember: Remember):
    tenant = await resources.tenants.create("madrid", timezone="Europe/Madrid", dynamic_plus_limit=5)
    begins = datetime(2026, 5, 31, 22, tzinfo=UTC)
    await segment(resources, tenant, "Viewers", did("page_viewed"))
    await segment(
        resources,
        tenant,
        "Spanish",
        {
            "logic": "AND",
            "conditions": [{"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}],
        },
    )
    await remember(
        tenant,
        [
            ("ana", "page_viewed", begins - timedelta(microseconds=1), {}),
            ("ana", "page_viewed", begins, {}),
            ("ana", "context_identified", begins + DAY, {"country": "ES"}),
            ("ben", "page_viewed", NOW, {}),
            ("cai", "page_viewed", NOW + DAY, {}),
        ],
    )

    used = await resources.usage.this_month(tenant, as_of=NOW)
    nothing = await resources.usage.this_month(other_tenant, as_of=NOW)
    slower = await resources.usage.limited(await resources.tenants.set_requests_per_minute(tenant, 120), as_of=NOW)

    assert (used.since, used.events, used.users) == (begins, 3, 2)
    assert (used.limited.dynamic_plus, used.limited.dynamic_plus_limit) == (1, 5)
    assert (slower.requests_per_minute, used.limited.requests_per_minute) == (120, 60_000)
    assert used.limited.resets_at == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert (nothing.events, nothing.users) == (0, 0)
    assert (nothing.limited.dynamic_plus, nothing.limited.dynamic_plus_limit) == (0, None)
