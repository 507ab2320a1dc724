"""Random histories of a tenant with segments: what may happen between two refreshes, and what must be true after each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import References
from segment_copilot.audiences.segments import Changes
from segment_copilot.compiler import SharedSlots
from segment_copilot.errors import Conflict
from segment_copilot.language import encode
from segment_copilot.language.lengths import MICROSECOND
from segment_copilot.lists import Window
from segment_copilot.resources import Resources
from segment_copilot.stores.merging import ROWS
from tests.support.language.data_sets import draw_world, sent_event, user_ids
from tests.support.language.reference import Said
from tests.support.language.strategies import Draw

Json = dict[str, Any]
DAY = timedelta(days=1)


Mode = Literal["live", "manual"]


async def live_segment(
    resources: Resources, tenant: Tenant, definition: Json, name: str = "Live", mode: Mode = "live"
) -> int:
    segment = (await resources.segments.create(tenant, name=name, definition=definition)).segment
    await set_mode(resources, segment.id, mode)
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
        rows = (await session.fetch("SELECT segment_id, user_id FROM shared_members", merge=ROWS)).rows
        for segment_id, user_id in rows:
            found[segment_id].add(user_id)
    return found


async def erased(resources: Resources, tenant: Tenant, erasure_id: int) -> None:
    """Carry out an erasure to its end."""
    while (await resources.erasures.get(tenant, erasure_id)).status != "done":
        await resources.postgres.execute("UPDATE erasures SET lease_until = NULL")
        await resources.erasures.run_next()


class World:
    """A tenant with segments, and what may happen to it between two refreshes."""

    def __init__(self, resources: Resources, tenant: Tenant, seed: int, mode: Mode = "live") -> None:
        self.mode: Mode = mode
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
                await live_segment(
                    self.resources, self.tenant, self.definition(), name=f"Segment {number}", mode=self.mode
                )
            )

    def definition(self) -> Json:
        return self.draw.definition([*self.segments, self.static] if self.segments else ())

    async def happen(self, *, is_erased: bool = False) -> None:
        """Something, and mostly not all of it."""
        kinds = [self.events, self.events, self.recent, self.recent, self.links, self.nothing]
        rare = [self.redefine, self.upload, self.compute, self.add]
        if is_erased:
            rare.append(self.erase)
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
        self.segments.append(
            await live_segment(self.resources, self.tenant, self.definition(), name="Added", mode=self.mode)
        )

    async def erase(self) -> None:
        erasure = await self.resources.erasures.request(self.tenant, self.draw.one(self.users))
        await erased(self.resources, self.tenant, erasure.id)


STEPS = (timedelta(0), MICROSECOND, timedelta(minutes=1), timedelta(minutes=1), timedelta(hours=3), DAY, 31 * DAY)
