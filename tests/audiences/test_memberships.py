"""Which segments a user is in: as stored, of many users at once, and evaluated now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.segments import Changes
from segment_copilot.errors import InvalidInput
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember

DAY = timedelta(days=1)


def all_of(*conditions: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"logic": "AND", "conditions": list(conditions), **rest}


def ordered(**rest: Any) -> dict[str, Any]:
    return {"type": "event_count", "event_type": "order_placed", **rest}


BUYERS = all_of(ordered(window_days=7))
DEFINITIONS = [
    BUYERS,
    all_of(ordered(operator="eq", value=0)),
    all_of(ordered(operator="lt", value=2, window_days=3)),
    all_of({"type": "user_property", "property": "country", "operator": "neq", "value": "ES"}),
    all_of({"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}, ordered(window_days=9)),
    all_of({"type": "sample", "salt": "s", "from": 0, "to": 50}),
    all_of({"type": "event_sequence", "events": ["order_placed", "page_viewed"]}),
    all_of(
        {
            "type": "event_periods",
            "event_type": "order_placed",
            "period": "day",
            "last": 5,
            "operator": "gte",
            "value": 1,
            "min_per_period": 2,
        }
    ),
    all_of(ordered(), exclude={"logic": "AND", "conditions": [ordered(window_days=2)]}),
    all_of(
        {
            "type": "monetary",
            "event_type": "order_placed",
            "property": "total",
            "metric": "sum",
            "operator": "gte",
            "value": 30,
        }
    ),
]


async def create(resources: Resources, tenant: Tenant, definition: dict[str, Any], name: str = "One") -> int:
    return (await resources.segments.create(tenant, name=name, definition=definition)).segment.id


async def compute_all(resources: Resources, tenant: Tenant) -> None:
    await resources.computations.request_all(tenant, as_of=NOW)
    while await resources.computations.run_next():
        pass


async def test_live_memberships_are_those_that_a_computation_would_find(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    happened = [
        (f"user-{n}", event_type, timedelta(hours=7 * n % 240 + hours), {"total": n})
        for n in range(40)
        for hours, event_type in enumerate(["page_viewed", "order_placed", "order_placed"])
        if n % (hours + 2)
    ]
    identified = [
        (f"user-{n}", "context_identified", DAY, {"country": "ES" if n % 3 else "FR"}) for n in range(0, 50, 2)
    ]
    await remember(tenant, [*happened, *identified])
    await remember(other_tenant, [("user-1", "order_placed", DAY, {"total": 99})])
    ids = [await create(resources, tenant, definition) for definition in DEFINITIONS]
    inside = all_of(
        {"type": "segment_membership", "segment_id": ids[0]},
        {"type": "segment_membership", "segment_id": ids[5], "operator": "not_in"},
    )
    ids.append(await create(resources, tenant, inside))
    await compute_all(resources, tenant)

    users = [f"user-{n}" for n in range(51)]  # the last has never been seen
    stored = await resources.members.segments_of_users(tenant, users)
    sizes = set[int]()
    for user_id in users:
        live = await resources.live_memberships.segments_of_user(tenant, user_id, as_of=NOW)
        assert (live.segments, live.not_evaluated, live.as_of) == (stored[user_id], (), NOW)
        sizes.add(len(live.segments))
    assert {one.segment_id for found in stored.values() for one in found} == set(ids)
    assert len(sizes) > 4
    assert stored["user-50"] == ()
    assert (await resources.live_memberships.segments_of_user(other_tenant, "user-1", as_of=NOW)).segments == ()


async def test_live_needs_no_computation_and_tells_what_it_cannot_evaluate(
    resources: Resources, tenant: Tenant, remember: Remember
):
    buyers = await create(resources, tenant, BUYERS)
    idle = await create(resources, tenant, BUYERS)
    await resources.segments.update(tenant, idle, Changes(is_active=False))
    broken = await create(resources, tenant, all_of({"type": "segment_membership", "segment_id": idle}), "Broken")
    await resources.postgres.execute("DELETE FROM segment_references")
    await resources.segments.delete(tenant, idle)
    await remember(tenant, [("ana", "order_placed", DAY, {})])

    live = await resources.live_memberships.segments_of_user(tenant, "ana", as_of=NOW)

    assert [one.segment_id for one in live.segments] == [buyers]
    assert [(one.segment_id, one.segment_name, one.code) for one in live.not_evaluated] == [
        (broken, "Broken", "invalid_definition")
    ]
    assert await resources.members.segments_of_user(tenant, "ana") == ()
    assert (await resources.live_memberships.segments_of_user(tenant, "ben", as_of=NOW)).segments == ()


async def test_many_users_are_looked_up_at_once(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    wide, narrow = await create(resources, tenant, all_of(ordered())), await create(resources, tenant, BUYERS)
    theirs = await create(resources, other_tenant, BUYERS)
    await remember(tenant, [("ana", "order_placed", DAY, {}), ("b'e\\n", "order_placed", 20 * DAY, {})])
    await compute_all(resources, tenant)
    members = resources.members

    async def look_up(tenant: Tenant, **options: Any) -> dict[str, list[int]]:
        found = await members.segments_of_users(tenant, ["b'e\\n", "nobody", "ana", "ana"], **options)
        return {user_id: [one.segment_id for one in segments] for user_id, segments in found.items()}

    assert list(await look_up(tenant)) == ["b'e\\n", "nobody", "ana"]
    assert await look_up(tenant) == {"ana": [wide, narrow], "b'e\\n": [wide], "nobody": []}
    assert await look_up(tenant, segment_ids=[narrow]) == {"ana": [narrow], "b'e\\n": [], "nobody": []}
    await resources.segments.update(tenant, wide, Changes(is_active=False))
    assert await look_up(tenant) == {"ana": [narrow], "b'e\\n": [], "nobody": []}
    assert (await look_up(tenant, segment_ids=[wide]))["ana"] == [wide]
    for unknown in (theirs, 10**15):
        with pytest.raises(InvalidInput) as refused:
            await look_up(tenant, segment_ids=[wide, unknown])
        (finding,) = refused.value.findings
        assert (finding.pointer, finding.code) == ("/segment_ids/1", "unknown_segment")
    assert set((await look_up(other_tenant)).keys()) == {"ana", "b'e\\n", "nobody"}
    assert not any((await look_up(other_tenant)).values())
