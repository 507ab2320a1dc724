"""Many segments at once: members are those of a computation of everybody, whatever was kept of the refreshes before."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences import kept_slots, together
from segment_copilot.audiences.references import References
from segment_copilot.audiences.together import Together
from segment_copilot.compiler import CompiledQuery, SlotSets
from segment_copilot.errors import Unavailable
from segment_copilot.language import encode
from segment_copilot.language.lengths import MICROSECOND
from segment_copilot.resources import Resources
from segment_copilot.stores.merging import DISTINCT, ROWS
from tests.support.histories import DAY, World, computed, deliver, erased, event, live_segment, members, replayed
from tests.support.language.data_sets import draw_world

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("TOGETHER_HISTORIES", "1"))
"""Each is a tenant with some segments, refreshed some times; more of them: a longer search."""

REFRESHES = 5

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _share(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many users are touched: only they are asked about."""
    monkeypatch.setattr(together, "SHARE", 10.0)


async def refresh(resources: Resources, tenant: Tenant, as_of: datetime) -> None:
    """Compute all segments of the tenant together, as a schedule does."""
    await resources.computations.request_all(tenant, as_of=as_of)
    while await resources.computations.run_next():
        pass


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_after_every_refresh_members_are_those_of_a_computation_of_everybody(
    module_resources: Resources, seed: int
):
    resources = module_resources
    tenant = await resources.tenants.create(f"together-{seed}", timezone=draw_world(seed).zones[0])
    world = World(resources, tenant, seed, "manual")
    await world.begin()
    for _ in range(REFRESHES):
        await world.happen(is_erased=True)
        as_of = world.go_on()
        await refresh(resources, tenant, as_of)
        expected = await computed(resources, tenant, world.segments, as_of)
        for segment_id, found in expected.items():
            definition = encode(await References(resources.postgres).definition(tenant, segment_id))
            told = (seed, as_of, world.told, definition)
            assert await members(resources, tenant, segment_id) == found, told
            assert await replayed(resources, tenant, segment_id) == found, told


# What is kept, one thing at a time

BOUGHT, VIEWED = (
    {"logic": "AND", "conditions": [{"type": "event_count", "event_type": one, "window_days": 7}]}
    for one in ("buy", "view")
)
SETS = 3  # buyers, viewers, everybody


@pytest.fixture
async def shop(module_resources: Resources) -> Tenant:
    """A tenant with a buyer, a viewer, and a segment of each."""
    tenant = await module_resources.tenants.create(f"shop-{uuid4().hex[:8]}")
    await deliver(module_resources, tenant, [event("ana", "buy", START - DAY), event("vic", "view", START - DAY)])
    for name, definition in (("Buyers", BOUGHT), ("Viewers", VIEWED)):
        await live_segment(module_resources, tenant, definition, name, "manual")
    return tenant


async def found(resources: Resources, tenant: Tenant) -> list[set[str]]:
    """Who is in each segment."""
    rows = await resources.postgres.fetch("SELECT id FROM segments WHERE tenant_id = $1 ORDER BY id", tenant.id)
    return [await members(resources, tenant, row["id"]) for row in rows]


async def kept(resources: Resources, tenant: Tenant, as_of: datetime) -> set[tuple[UUID, int]]:
    """Where the sets stand that are kept as of an instant."""
    sql = "SELECT set_id, place FROM kept_slots WHERE tenant_id = $1 AND as_of = $2"
    return {(row["set_id"], row["place"]) for row in await resources.postgres.fetch(sql, tenant.id, as_of)}


async def begun(resources: Resources, tenant: Tenant) -> int:
    """How many statements were begun that ask for sets."""
    return await resources.postgres.fetchval("SELECT count(*) FROM slot_sets WHERE tenant_id = $1", tenant.id)


async def stored(resources: Resources, tenant: Tenant, condition: str = "true") -> int:
    """How many sets ClickHouse has of the tenant."""
    sql = f"SELECT set_id, place FROM kept_slots WHERE tenant_id = {{tenant:UInt32}} AND {condition}"
    return len((await resources.clickhouse.fetch(sql, {"tenant": tenant.id}, purpose="catalog", merge=DISTINCT)).rows)


async def test_what_nothing_happened_to_is_not_asked_again(module_resources: Resources, shop: Tenant):
    resources, later = module_resources, START + timedelta(minutes=2)
    await refresh(resources, shop, START)
    first = await kept(resources, shop, START)
    assert len(first) == await begun(resources, shop) == SETS
    await deliver(resources, shop, [event("ben", "view", START + MICROSECOND)])

    await refresh(resources, shop, later)
    assert await found(resources, shop) == [{"ana"}, {"ben", "vic"}]
    assert await begun(resources, shop) == SETS + 2  # who there is, and who viewed
    second = await kept(resources, shop, later)
    assert (len(second), len(first & second)) == (SETS, 1)
    assert not await kept(resources, shop, START)

    await refresh(resources, shop, later)
    assert await begun(resources, shop) == SETS + 2  # nothing
    await refresh(resources, shop, START + 6 * DAY + MICROSECOND)  # ana and vic were last seen seven days ago
    assert await found(resources, shop) == [set(), {"ben"}]
    assert await begun(resources, shop) == SETS + 4


async def test_what_is_kept_is_a_tenants_own(module_resources: Resources, shop: Tenant):
    resources = module_resources
    other = await resources.tenants.create(f"shop-{uuid4().hex[:8]}")
    await deliver(resources, other, [event("oda", "buy", START - DAY)])
    for name, definition in (("Buyers", BOUGHT), ("Viewers", VIEWED)):
        await live_segment(resources, other, definition, name, "manual")
    await refresh(resources, shop, START)
    await refresh(resources, other, START)
    assert await found(resources, other) == [{"oda"}, set()]
    assert await found(resources, shop) == [{"ana"}, {"vic"}]
    assert not await kept(resources, shop, START) & await kept(resources, other, START)


async def test_a_set_that_is_gone_is_asked_again_and_not_taken_for_nobody(module_resources: Resources, shop: Tenant):
    resources, before = module_resources, START
    for number, events in enumerate(([], [event("ben", "buy", START)], [event("cem", "view", START)]), 1):
        await refresh(resources, shop, before)
        await resources.clickhouse.execute("TRUNCATE TABLE kept_slots", purpose="migrate")
        await deliver(resources, shop, events)
        before = START + number * timedelta(minutes=1)
        await refresh(resources, shop, before)
        assert await found(resources, shop) == [{"ana", "ben"} if number > 1 else {"ana"}, {"vic", "cem"} if number > 2 else {"vic"}]  # fmt: skip


async def test_a_statement_that_is_killed_is_tried_again_and_what_was_found_before_it_stays(
    module_resources: Resources, shop: Tenant, monkeypatch: pytest.MonkeyPatch
):
    resources, ask, asked = module_resources, SlotSets.ask, list[UUID]()

    def ask_slowly(sets: SlotSets, slots: Sequence[Any], *, set_id: UUID) -> CompiledQuery:
        """The third takes a minute."""
        query = ask(sets, slots, set_id=set_id)
        asked.append(set_id)
        if len(asked) != SETS:
            return query
        waits = "SELECT number FROM numbers(60) WHERE sleepEachRow(1) SETTINGS max_block_size = 1"
        return CompiledQuery(f"{query.sql}\nWHERE place NOT IN ({waits})", query.params)

    monkeypatch.setattr(SlotSets, "ask", ask_slowly)
    running = asyncio.create_task(refresh(resources, shop, START))
    kill = "KILL QUERY WHERE query LIKE '%INSERT INTO kept_slots%sleepEachRow%' AND query NOT LIKE '%KILL%' SYNC"
    async with asyncio.timeout(30):
        while not (await resources.clickhouse.fetch(kill, purpose="migrate", merge=ROWS)).rows:  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0)
    await running
    assert await found(resources, shop) == [{"ana"}, {"vic"}]
    assert await begun(resources, shop) == SETS + 1
    assert set(asked) - {set_id for set_id, _ in await kept(resources, shop, START)} == {asked[SETS - 1]}


async def test_who_takes_over_goes_on_from_what_was_found(
    module_resources: Resources, shop: Tenant, monkeypatch: pytest.MonkeyPatch
):
    resources = module_resources

    async def die(*_: object) -> None:
        raise Unavailable("gone")

    await resources.computations.request_all(shop, as_of=START)
    with monkeypatch.context() as patched:
        patched.setattr(Together, "_make_members", die)
        assert await resources.computations.run_next()
    assert await begun(resources, shop) == SETS
    await deliver(resources, shop, [event("ben", "buy", START - DAY)])
    await resources.postgres.execute("UPDATE computations SET lease_until = NULL WHERE tenant_id = $1", shop.id)
    while await resources.computations.run_next():
        pass
    assert await found(resources, shop) == [{"ana", "ben"}, {"vic"}]
    assert await begun(resources, shop) == SETS + 2


async def test_of_somebody_who_is_erased_no_kept_set_holds_anything(module_resources: Resources, shop: Tenant):
    resources = module_resources
    await refresh(resources, shop, START)
    sql = "SELECT number FROM user_numbers WHERE tenant_id = {tenant:UInt32} AND user_id = 'ana'"
    number = (await resources.clickhouse.fetch(sql, {"tenant": shop.id}, purpose="catalog", merge=ROWS)).rows[0][0]
    holds = f"bitmapContains(users, toUInt32({number}))"
    assert await stored(resources, shop, holds) == 2  # buyers, everybody

    erasure = await resources.erasures.request(shop, "ana")
    await refresh(resources, shop, START + MICROSECOND)
    assert not await kept(resources, shop, START + MICROSECOND)  # not while it is open
    await erased(resources, shop, erasure.id)
    assert not await stored(resources, shop, holds)
    await refresh(resources, shop, START + DAY)
    assert await found(resources, shop) == [set(), {"vic"}]
    assert not await stored(resources, shop, holds)


async def test_what_is_kept_is_bounded_and_what_is_of_no_use_goes(
    module_resources: Resources, shop: Tenant, monkeypatch: pytest.MonkeyPatch
):
    resources = module_resources
    await refresh(resources, shop, START)
    await deliver(resources, shop, [event("ben", "buy", START)])
    await refresh(resources, shop, START + DAY)
    assert await stored(resources, shop) == SETS + 2
    monkeypatch.setattr(kept_slots, "UNUSED", timedelta(0))
    await resources.kept_slots.remove_unused()
    assert await stored(resources, shop) == await begun(resources, shop) == SETS

    monkeypatch.setattr(kept_slots, "MOST", 1)
    await refresh(resources, shop, START + 2 * DAY)
    assert len(await kept(resources, shop, START + 2 * DAY)) == 1
    await refresh(resources, shop, START + 3 * DAY)
    assert await found(resources, shop) == [{"ana", "ben"}, {"vic"}]
    await resources.postgres.execute("DELETE FROM kept_slots WHERE tenant_id = $1", shop.id)
    await resources.kept_slots.remove_unused()
    assert not await stored(resources, shop)
