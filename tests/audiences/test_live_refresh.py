"""Live segments: after every refresh the members are what a computation of everybody gives, and the log leads to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable
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
from segment_copilot.compiler import SharedSlots
from segment_copilot.compiler.tables import TableNames
from segment_copilot.errors import Conflict, Unavailable
from segment_copilot.events.arrivals import Arrivals
from segment_copilot.language import encode
from segment_copilot.language.lengths import MICROSECOND
from segment_copilot.lists import Window
from segment_copilot.resources import Resources
from tests.support.language.data_sets import draw_world, sent_event, user_ids
from tests.support.language.reference import Said
from tests.support.language.strategies import Draw

Json = dict[str, Any]

HISTORIES = int(os.environ.get("LIVE_HISTORIES", "1"))
"""Each is a tenant with some segments, refreshed some times; more of them: a longer search."""

REFRESHES = 6

ALWAYS = LivePolicy(share=1.0, segments=0)
"""However many users are touched: only they are evaluated."""

BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "buy", "window_days": 7}]}
PROS = {"logic": "AND", "conditions": [{"type": "user_property", "property": "plan", "operator": "eq", "value": "pro"}]}
DAY = timedelta(days=1)
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


async def live_segment(resources: Resources, tenant: Tenant, definition: Json, name: str = "Live") -> int:
    segment = (await resources.segments.create(tenant, name=name, definition=definition)).segment
    await set_mode(resources, segment.id, "live")
    return segment.id


async def set_mode(resources: Resources, segment_id: int, mode: str) -> None:
    await resources.postgres.execute("UPDATE segments SET refresh_mode = $2 WHERE id = $1", segment_id, mode)


async def deliver(resources: Resources, tenant: Tenant, events: Iterable[Json]) -> None:
    sent = list(events)
    accepted = await resources.ingestion.accept(tenant, sent, received_at=datetime.now(UTC))
    assert not accepted.skipped, accepted.skipped
    while await resources.forwarding.forward_next():
        pass


def event(user_id: str, event_type: str, when: datetime, **payload: Any) -> Json:
    return {"user_id": user_id, "event_type": event_type, "occurred_at": when.isoformat(), "payload": payload}


async def members(resources: Resources, tenant: Tenant, segment_id: int) -> set[str]:
    page = await resources.members.page(tenant, segment_id, limit=10_000)
    assert page.count == len(page.members)
    return {one.user_id for one in page.members}


async def replayed(resources: Resources, tenant: Tenant, segment_id: int) -> set[str]:
    """The members by the log alone."""
    found = set[str]()
    for one in (await resources.changes.page(tenant, segment_id, Window(10_000))).results:
        if one.change == "entered":
            assert one.user_id not in found
            found.add(one.user_id)
        else:
            found.remove(one.user_id)
    return found


async def computed(
    resources: Resources, tenant: Tenant, segment_ids: list[int], as_of: datetime
) -> dict[int, set[str]]:
    """What a computation of everybody finds."""
    plans = list[Any]()
    for segment_id in segment_ids:
        definition = await References(resources.postgres).definition(tenant, segment_id)
        plans.append((await resources.previews.prepare(tenant, encode(definition), as_of=as_of)).compiled.plan)
    shared = SharedSlots(plans)
    found = {segment_id: set[str]() for segment_id in segment_ids}
    async with resources.clickhouse.session(purpose="compute") as session:
        for query in (shared.create(), shared.create_members(segment_ids)):
            await session.fetch(query.sql, query.params)
        for segment_id, user_id in (await session.fetch("SELECT segment_id, user_id FROM shared_members")).rows:
            found[segment_id].add(user_id)
    return found


class World:
    """A tenant whose segments are live, and what may happen to it between two refreshes."""

    def __init__(self, resources: Resources, tenant: Tenant, seed: int) -> None:
        self.resources = resources
        self.tenant = tenant
        self.draw = Draw(seed, draw_world(seed))
        self.users = user_ids(24)
        self.said = list[Said]()
        self.segments = list[int]()
        self.told = list[str]()
        self.as_of = self.draw.one(self.draw.world.as_ofs) - self.draw.one([0, 1, 2]) * DAY

    async def begin(self) -> None:
        self.static = (
            await self.resources.segments.create(self.tenant, name="Static", segment_type="static")
        ).segment.id
        await deliver(
            self.resources, self.tenant, [sent_event(one) for user in self.users for one in self.draw.history(user)]
        )
        for number in range(4):
            self.segments.append(
                await live_segment(self.resources, self.tenant, self.definition(), name=f"Segment {number}")
            )

    def definition(self) -> Json:
        return self.draw.definition([*self.segments, self.static] if self.segments else ())

    async def happen(self) -> None:
        """Something, and mostly not all of it."""
        kinds = [self.events, self.events, self.recent, self.recent, self.links, self.nothing]
        rare = [self.redefine, self.upload, self.compute, self.add]
        for kind in self.draw.some([*kinds, *kinds, *rare], 1, 2):
            self.told.append(kind.__name__)
            await kind()

    def go_on(self) -> datetime:
        """The clock's next instant."""
        step = self.draw.one(STEPS)
        self.told.append(str(step))
        self.as_of = min(self.as_of + step, datetime(2299, 12, 31, tzinfo=UTC))
        return self.as_of

    async def nothing(self) -> None:
        pass

    async def events(self) -> None:
        """Of any time: late ones, and ones from the future."""
        users = self.draw.some([*self.users, "new", "newer"], 1, 3)
        await deliver(self.resources, self.tenant, [sent_event(one) for u in users for one in self.draw.history(u)])

    async def recent(self) -> None:
        """Around the instant itself."""
        moments = [self.as_of + step * timedelta(minutes=1) for step in (-90, -2, -1, 0, 1, 2, 90)]
        drawn = [self.draw.event(self.draw.one(self.users), self.draw.one(moments)) for _ in range(3)]
        sent = [sent_event(one) | {"occurred_at": self.draw.one(moments).isoformat()} for one in drawn]
        await deliver(self.resources, self.tenant, sent)

    async def links(self) -> None:
        links = self.resources.identity_links
        anonymous = [one for one in self.users if one.startswith("anon_")]
        known = [one for one in self.users if not one.startswith("anon_")]
        if self.draw.chance(3):
            one, other = self.draw.random.sample(known, 2)
            with contextlib.suppress(Conflict):
                await links.merge(self.tenant, one, other)
        else:
            await links.alias(self.tenant, self.draw.one(anonymous), self.draw.one(known))
        if not self.draw.chance(4):
            await links.forward_next()

    async def redefine(self) -> None:
        index = self.draw.one(range(len(self.segments)))
        below = [*self.segments[:index], self.static]
        await self.resources.segments.update(
            self.tenant, self.segments[index], Changes(definition=msgspec.json.encode(self.draw.definition(below)))
        )

    async def upload(self) -> None:
        mode = self.draw.one(["replace", "add", "remove"])
        users = sorted(set(self.draw.some(self.users, 1, 9)))
        await self.resources.uploads.receive(self.tenant, self.static, users, mode=mode)
        while await self.resources.computations.run_next():
            pass

    async def compute(self) -> None:
        """As somebody else may ask for it, at another instant."""
        segment = self.draw.one(self.segments)
        await self.resources.computations.request(
            self.tenant, segment, as_of=self.as_of - self.draw.one([0, 1, 40]) * DAY
        )
        while await self.resources.computations.run_next():
            pass

    async def add(self) -> None:
        self.segments.append(await live_segment(self.resources, self.tenant, self.definition(), name="Added"))


STEPS = (timedelta(0), MICROSECOND, timedelta(minutes=1), timedelta(minutes=1), timedelta(hours=3), DAY, 31 * DAY)


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
