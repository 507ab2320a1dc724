"""Live segments: after every refresh the members are what a computation of everybody gives, and the log leads to them."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.computation_records import Computation
from segment_copilot.audiences.live_refresh import LivePolicy, LiveRefresh
from segment_copilot.audiences.references import References
from segment_copilot.audiences.segments import Changes
from segment_copilot.compiler.tables import TableNames
from segment_copilot.errors import Unavailable
from segment_copilot.events.arrivals import Arrivals
from segment_copilot.language import encode
from segment_copilot.language.lengths import MICROSECOND
from segment_copilot.resources import Resources
from segment_copilot.stores.merging import DISTINCT
from tests.support.histories import (
    DAY,
    World,
    computed,
    deliver,
    event,
    live_segment,
    members,
    replayed,
    set_mode,
)
from tests.support.language.data_sets import draw_world

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("LIVE_HISTORIES", "1"))
"""Each is a tenant with some segments, refreshed some times; more of them: a longer search."""

REFRESHES = 6

ALWAYS = LivePolicy(share=1.0, segments=0)
"""However many users are touched: only they are evaluated."""

BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "buy", "window_days": 7}]}
PROS = {"logic": "AND", "conditions": [{"type": "user_property", "property": "plan", "operator": "eq", "value": "pro"}]}
START = datetime(2026, 6, 1, 12, tzinfo=UTC)


def live_refresh(resources: Resources, policy: LivePolicy | None = ALWAYS) -> LiveRefresh:
    return LiveRefresh(
        resources.postgres,
        resources.clickhouse,
        Arrivals(resources.postgres, recent=timedelta(hours=72)),
        resources.discovery,
        References(resources.postgres),
        resources.identity_links,
        resources.computations,
        policy=policy,
    )


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_after_every_refresh_members_are_those_of_a_computation_of_everybody(
    module_resources: Resources, seed: int
):
    resources = module_resources
    tenant = await resources.tenants.create(f"live-{seed}", timezone=draw_world(seed).zones[0])
    world, live = World(resources, tenant, seed), live_refresh(resources)
    await world.begin()
    for _ in range(REFRESHES):
        await world.happen()
        as_of = world.go_on()
        assert await live.tick(tenant, as_of=as_of)
        expected = await computed(resources, tenant, world.segments, as_of)
        for segment_id, found in expected.items():
            definition = encode(await References(resources.postgres).definition(tenant, segment_id))
            told = (seed, as_of, world.told, definition)
            assert await members(resources, tenant, segment_id) == found, told
            assert await replayed(resources, tenant, segment_id) == found, told


# What a refresh does, one thing at a time


async def computations(resources: Resources, tenant: Tenant, segment_id: int) -> list[Computation]:
    return list((await resources.computation_records.list(tenant, segment_id)).results)


@pytest.fixture
async def shop(module_resources: Resources) -> Tenant:
    """A tenant with a buyer and a pro."""
    tenant = await module_resources.tenants.create(f"shop-{uuid4().hex[:8]}")
    sent = [event("ana", "buy", START - DAY), event("pro", "context_identified", START - DAY, plan="pro")]
    await deliver(module_resources, tenant, sent)
    return tenant


async def test_who_enters_and_leaves_is_published_and_what_does_not_change_is_not(
    module_resources: Resources, shop: Tenant
):
    resources, live = module_resources, live_refresh(module_resources)
    buyers, pros = [await live_segment(resources, shop, definition) for definition in (BUYERS, PROS)]
    assert await live.tick(shop, as_of=START)
    first = await computations(resources, shop, buyers)
    await deliver(resources, shop, [event("ben", "buy", START + timedelta(minutes=1))])
    assert await live.tick(shop, as_of=START + timedelta(minutes=2))
    assert await members(resources, shop, buyers) == {"ana", "ben"}
    assert await live.tick(shop, as_of=START + 6 * DAY)  # ana bought seven days ago
    assert await live.tick(shop, as_of=START + 6 * DAY + MICROSECOND)

    last, middle, *rest = await computations(resources, shop, buyers)
    assert rest == first
    assert [(one.status, one.member_count, one.entered, one.left) for one in (*first, middle, last)] == [
        ("done", 1, 1, 0),
        ("done", 2, 1, 0),
        ("done", 1, 0, 1),
    ]
    assert last.as_of == START + 6 * DAY + MICROSECOND
    assert len(await computations(resources, shop, pros)) == 1
    segment = await resources.segments.get(shop, pros)
    assert (segment.status, segment.member_count) == ("computed", 1)
    assert segment.last_computed_at == START + 6 * DAY + MICROSECOND
    assert await members(resources, shop, pros) == {"pro"}


async def test_nothing_is_refreshed_that_is_not_live_or_was_refreshed_later(module_resources: Resources, shop: Tenant):
    resources, live = module_resources, live_refresh(module_resources)
    assert not await live.tick(shop, as_of=START)
    segment = await live_segment(resources, shop, BUYERS)
    await set_mode(resources, segment, "manual")
    assert not await live.tick(shop, as_of=START)
    await set_mode(resources, segment, "live")
    assert await live.tick(shop, as_of=START)
    assert not await live.tick(shop, as_of=START - MICROSECOND)
    assert await live.tick(shop, as_of=START)
    assert len(await computations(resources, shop, segment)) == 1


async def test_what_changes_without_an_event_or_the_clock_is_seen(module_resources: Resources, shop: Tenant):
    """A definition, one behind it, an upload behind it, a link, a link that moves, what somebody else published."""
    resources, live = module_resources, live_refresh(module_resources)
    static = (await resources.segments.create(shop, name="Static", segment_type="static")).segment.id
    buyers = await live_segment(resources, shop, BUYERS)
    refers = [
        {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": one}]} for one in (buyers, static)
    ]
    segments = [buyers, *[await live_segment(resources, shop, one) for one in refers]]
    sent = [event("anon_1", "buy", START - DAY), event("bea", "view", START - DAY), event("cy", "view", START - DAY)]
    await deliver(resources, shop, sent)
    links = resources.identity_links

    async def define() -> None:
        await resources.segments.update(shop, buyers, Changes(definition=msgspec.json.encode(PROS)))

    async def define_back() -> None:
        await resources.segments.update(shop, buyers, Changes(definition=msgspec.json.encode(BUYERS)))

    async def upload() -> None:
        await resources.uploads.receive(shop, static, ["pro", "ana"], mode="add")
        while await resources.computations.run_next():
            pass

    async def link() -> None:
        await links.alias(shop, "anon_1", "bea")
        await links.forward_next()

    async def move() -> None:
        await links.merge(shop, "anon_1", "cy")
        await links.forward_next()

    async def compute() -> None:
        await resources.computations.request(shop, buyers, as_of=START - 30 * DAY)
        while await resources.computations.run_next():
            pass

    assert await live.tick(shop, as_of=START)
    seen = list[dict[int, set[str]]]()
    for number, change in enumerate((define, define_back, upload, link, move, compute), 1):
        await change()
        assert await live.tick(shop, as_of=START + number * MICROSECOND)
        found = await computed(resources, shop, segments, START + number * MICROSECOND)
        assert {one: await members(resources, shop, one) for one in segments} == found, change.__name__
        seen.append(found)
    assert seen[0][buyers] == {"pro"}
    assert [one[buyers] for one in seen[1:]] == [
        {"ana", "anon_1"},
        {"ana", "anon_1"},
        {"ana", "bea"},
        {"ana", "cy"},
        {"ana", "cy"},
    ]
    assert seen[2][segments[2]] == {"pro", "ana"}


@pytest.mark.parametrize("policy", [ALWAYS, LivePolicy()], ids=["the touched", "everybody"])
async def test_a_list_that_is_uploaded_anew_meanwhile_is_read_as_it_was_planned(
    module_resources: Resources, shop: Tenant, monkeypatch: pytest.MonkeyPatch, policy: LivePolicy
):
    resources, live = module_resources, live_refresh(module_resources, policy)
    listed = (await resources.segments.create(shop, name="List", segment_type="static")).segment.id

    async def upload(*user_ids: str) -> None:
        await resources.uploads.receive(shop, listed, user_ids, mode="replace")
        while await resources.computations.run_next():
            pass

    async def remove_all_that_is_due() -> None:
        sql = "UPDATE uploads SET created_at = created_at - interval '1 hour' WHERE tenant_id = $1"
        await resources.postgres.execute(sql, shop.id)
        await resources.postgres.execute("UPDATE member_removals SET lease_until = NULL")
        while await resources.removals.remove_due():
            pass

    async def stored() -> int:
        sql = "SELECT DISTINCT run_id FROM segment_states WHERE segment_id = {segment:UInt64}"
        params = {"segment": listed}
        return len((await resources.clickhouse.fetch(sql, params, purpose="catalog", merge=DISTINCT)).rows)

    await upload("ana", "pro")
    inside = {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": listed}]}
    segment = await live_segment(resources, shop, inside)
    assert await live.tick(shop, as_of=START)
    await deliver(resources, shop, [event(user_id, "view", START) for user_id in ("ana", "ben")])
    plan = live._plan

    async def plan_and_be_overtaken(*args: Any, **kwargs: Any) -> Any:
        asked = await plan(*args, **kwargs)
        await upload("ben")
        await upload("ben", "cem")
        await remove_all_that_is_due()
        return asked

    monkeypatch.setattr(live, "_plan", plan_and_be_overtaken)
    assert await live.tick(shop, as_of=START + MICROSECOND)
    assert await members(resources, shop, segment) == {"ana", "pro"}
    assert await stored() == 3
    monkeypatch.undo()

    assert await live.tick(shop, as_of=START + 2 * MICROSECOND)
    assert await members(resources, shop, segment) == {"ben"}
    await upload("ana")  # after which nobody reads the first list
    await remove_all_that_is_due()
    assert await stored() == 2


async def test_one_worker_at_a_time_refreshes_a_tenant(module_resources: Resources, shop: Tenant):
    resources = module_resources
    segment = await live_segment(resources, shop, BUYERS)
    refreshed = await asyncio.gather(*(live_refresh(resources).tick(shop, as_of=START) for _ in range(3)))
    assert sum(refreshed) >= 1
    assert len(await computations(resources, shop, segment)) == 1
    assert await live_refresh(resources).tick(shop, as_of=START + DAY)


async def test_where_everybody_is_cheaper_everybody_is_evaluated(module_resources: Resources, shop: Tenant):
    resources, live = module_resources, live_refresh(module_resources, LivePolicy())
    segment = await live_segment(resources, shop, BUYERS)
    for step in range(3):
        await deliver(resources, shop, [event(f"new {step}", "buy", START)])
        assert await live.tick(shop, as_of=START + step * timedelta(minutes=1))
        found = await computed(resources, shop, [segment], START + step * timedelta(minutes=1))
        assert await members(resources, shop, segment) == found[segment]
    assert len(await computations(resources, shop, segment)) == 3


async def test_a_segment_that_cannot_be_compiled_is_left_to_a_computation_and_holds_up_no_other(
    module_resources: Resources, shop: Tenant
):
    resources, live = module_resources, live_refresh(module_resources)
    gone = (await resources.segments.create(shop, name="Gone", definition=PROS)).segment.id
    refers = {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": gone}]}
    broken, buyers = await live_segment(resources, shop, refers), await live_segment(resources, shop, BUYERS)
    await resources.postgres.execute("UPDATE segments SET definition = NULL WHERE id = $1", gone)

    assert await live.tick(shop, as_of=START)

    assert await members(resources, shop, buyers) == {"ana"}
    assert [one.status for one in await computations(resources, shop, broken)] == ["queued"]
    while await resources.computations.run_next():
        pass
    assert (await computations(resources, shop, broken))[0].error
    assert await live.tick(shop, as_of=START + MICROSECOND)
    assert len(await computations(resources, shop, broken)) == 1  # it has said why
    await resources.segments.update(shop, gone, Changes(definition=msgspec.json.encode(PROS)))
    assert await live.tick(shop, as_of=START + DAY)
    assert await members(resources, shop, broken) == {"pro"}
    found = await resources.segments.get(shop, broken)
    assert (found.status, found.last_error) == ("computed", None)


async def test_what_the_store_refuses_together_is_left_to_single_computations(
    module_resources: Resources, shop: Tenant, monkeypatch: pytest.MonkeyPatch
):
    resources, live = module_resources, live_refresh(module_resources)
    segments = [await live_segment(resources, shop, definition) for definition in (BUYERS, PROS)]
    assert await live.tick(shop, as_of=START)
    await deliver(resources, shop, [event("ben", "buy", START)])
    monkeypatch.setattr("segment_copilot.compiler.TOUCHED", TableNames(events="touched"))

    assert await live.tick(shop, as_of=START + MICROSECOND)
    while await resources.computations.run_next():
        pass
    assert [await members(resources, shop, one) for one in segments] == [{"ana", "ben"}, {"pro"}]
    monkeypatch.undo()
    await deliver(resources, shop, [event("cem", "buy", START)])
    assert await live.tick(shop, as_of=START + DAY)
    assert await members(resources, shop, segments[0]) == {"ana", "ben", "cem"}


async def test_a_worker_that_died_over_it_leaves_the_members_true_at_the_next_refresh(
    module_resources: Resources, shop: Tenant, monkeypatch: pytest.MonkeyPatch
):
    resources, live = module_resources, live_refresh(module_resources)
    segment = await live_segment(resources, shop, BUYERS)
    assert await live.tick(shop, as_of=START)
    await deliver(resources, shop, [event("ben", "buy", START)])

    async def die(*_: object, **__: object) -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(live, "_write_down", die)  # after it was published
    with pytest.raises(Unavailable):
        await live.tick(shop, as_of=START + MICROSECOND)
    monkeypatch.undo()
    await resources.postgres.execute("UPDATE live_refreshes SET lease_until = NULL WHERE tenant_id = $1", shop.id)
    await deliver(resources, shop, [event("cem", "buy", START)])
    assert await live.tick(shop, as_of=START + DAY)

    assert await members(resources, shop, segment) == {"ana", "ben", "cem"}
    assert await replayed(resources, shop, segment) == {"ana", "ben", "cem"}


async def test_erased_people_are_in_no_live_segment(module_resources: Resources, shop: Tenant):
    resources, live = module_resources, live_refresh(module_resources)
    segment = await live_segment(resources, shop, BUYERS)
    assert await live.tick(shop, as_of=START)
    erasure = await resources.erasures.request(shop, "ana")
    while (await resources.erasures.get(shop, erasure.id)).status != "done":
        await resources.postgres.execute("UPDATE erasures SET lease_until = NULL")
        await resources.erasures.run_next()
    await deliver(resources, shop, [event("ben", "buy", START)])
    assert await live.tick(shop, as_of=START + MICROSECOND)
    assert await members(resources, shop, segment) == {"ben"}
