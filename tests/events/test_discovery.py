"""A catalog is read once a minute however many ask, anew when it must be, and never another tenant's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.events import Event, discovery, observe_names
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.schemas import Schemas
from segment_copilot.events.shapes import SchemaProperty
from segment_copilot.language.catalog import IDENTIFY, Catalog, EventType, Property, SegmentName
from segment_copilot.stores.postgres import Postgres
from tests.support.clocks import Clock
from tests.support.resources import NOW

DAY = timedelta(days=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time by which a catalog is remembered."""
    clock = Clock()
    monkeypatch.setattr(discovery, "time", clock)
    return clock


@pytest.fixture
async def acme(postgres: Postgres) -> Tenant:
    return await Tenants(postgres).create("acme", timezone="Europe/Madrid")


@pytest.fixture
async def rival(postgres: Postgres) -> Tenant:
    return await Tenants(postgres).create("rival")


async def observe(postgres: Postgres, tenant: Tenant, *names: str, payload: str = "{}", at: Any = NOW) -> None:
    await observe_names(postgres, [Event(tenant.id, f"{name}-{at}", "ana", name, at, payload) for name in names])


async def save_segment(postgres: Postgres, tenant: Tenant, name: str, description: str = "") -> int:
    sql = """
        INSERT INTO segments (tenant_id, name, description, segment_type, tier, definition, words)
        VALUES ($1, $2, $3, 'rule', 'dynamic', '{}', '') RETURNING id"""
    return await postgres.fetchval(sql, tenant.id, name, description)


async def seen(known: Discovery, tenant: Tenant, *, fresh: bool = False) -> set[str]:
    return set((await known.catalog(tenant, fresh=fresh)).event_types)


@asynccontextmanager
async def nobody_reads(postgres: Postgres) -> AsyncGenerator[None]:
    """Whoever reads the names is stopped right there."""
    async with postgres.transaction() as transaction:
        await transaction.execute("LOCK TABLE observed_names IN ACCESS EXCLUSIVE MODE")
        yield


async def held_up(postgres: Postgres, readers: int) -> None:
    """Return as soon as so many *readers* are stopped."""
    sql = "SELECT count(*) FROM pg_locks WHERE relation = 'observed_names'::regclass AND NOT granted"
    async with asyncio.timeout(8):
        while await postgres.fetchval(sql) < readers:
            pass


async def given_at_once(postgres: Postgres, *asked: Any, readers: int = 1) -> list[Catalog]:
    """What all of *asked* are given, when they wait together for what so many *readers* read."""
    async with asyncio.TaskGroup() as group, nobody_reads(postgres):
        tasks = [group.create_task(one) for one in asked]
        await held_up(postgres, readers)
    return [task.result() for task in tasks]


# How long it is remembered


async def test_a_catalog_is_remembered_for_a_minute(clock: Clock, postgres: Postgres, acme: Tenant):
    known = Discovery(postgres)
    first = await known.catalog(acme)
    await observe(postgres, acme, "order_placed")

    clock.now += 60
    assert await known.catalog(acme) is first
    clock.now += 0.001
    assert await seen(known, acme) == {"order_placed"}


async def test_one_of_a_moment_ago_is_read_anew_for_who_wants_none_that_is_older(
    clock: Clock, postgres: Postgres, acme: Tenant
):
    known = Discovery(postgres)
    first = await known.catalog(acme)
    await observe(postgres, acme, "order_placed")

    clock.now += 1
    assert await known.catalog(acme, oldest=1) is first
    clock.now += 0.001
    assert set((await known.catalog(acme, oldest=1)).event_types) == {"order_placed"}


async def test_asking_again_does_not_lengthen_the_minute(clock: Clock, postgres: Postgres, acme: Tenant):
    known = Discovery(postgres)
    await known.catalog(acme)
    clock.now += 59
    await known.catalog(acme)
    await observe(postgres, acme, "order_placed")

    clock.now += 2
    assert await seen(known, acme) == {"order_placed"}


async def test_a_fresh_one_is_read_though_one_is_remembered_and_is_remembered_itself(
    clock: Clock, postgres: Postgres, acme: Tenant
):
    known = Discovery(postgres)
    await known.catalog(acme)
    await observe(postgres, acme, "order_placed")
    clock.now += 1

    assert await seen(known, acme) == set()
    assert await seen(known, acme, fresh=True) == {"order_placed"}
    clock.now += 60
    assert await seen(known, acme) == {"order_placed"}


async def test_what_is_forgotten_is_read_anew_for_that_tenant_alone(postgres: Postgres, acme: Tenant, rival: Tenant):
    known = Discovery(postgres)
    for tenant in (acme, rival):
        await known.catalog(tenant)
        await observe(postgres, tenant, "order_placed")

    known.forget(acme)
    known.forget(acme)  # nothing is remembered now: that is no mistake

    assert (await seen(known, acme), await seen(known, rival)) == ({"order_placed"}, set())


# How often it is read


async def test_of_many_who_ask_at_once_one_reads(postgres: Postgres, acme: Tenant):
    known = Discovery(postgres)

    given = await given_at_once(postgres, *(known.catalog(acme) for _ in range(5)))

    assert all(one is given[0] for one in given)


async def test_nobody_who_wants_a_fresh_one_is_given_one_read_before_and_they_share_the_next(
    postgres: Postgres, acme: Tenant
):
    known = Discovery(postgres)
    before = await known.catalog(acme)

    given = await given_at_once(postgres, *(known.catalog(acme, fresh=True) for _ in range(5)))

    assert not any(one is before for one in given)
    assert all(one is given[1] for one in given[1:])  # the first began to read before they asked


async def test_tenants_do_not_wait_for_one_another(postgres: Postgres, acme: Tenant, rival: Tenant):
    known = Discovery(postgres)

    first, second = await given_at_once(postgres, known.catalog(acme), known.catalog(rival), readers=2)

    assert (first.timezone, second.timezone) == ("Europe/Madrid", "UTC")


async def test_a_reader_that_is_cancelled_leaves_the_catalog_to_the_next(postgres: Postgres, acme: Tenant):
    known = Discovery(postgres)
    async with nobody_reads(postgres):
        asking = asyncio.create_task(known.catalog(acme))
        await held_up(postgres, 1)
        asking.cancel()
        await asyncio.wait([asking])
    await observe(postgres, acme, "order_placed")

    assert asking.cancelled()
    assert await seen(known, acme) == {"order_placed"}


# What is in it


async def test_the_catalog_of_a_new_tenant_is_empty_but_for_its_time_zone(postgres: Postgres, acme: Tenant):
    assert await Discovery(postgres).catalog(acme) == Catalog(timezone="Europe/Madrid")


async def test_names_come_from_events_and_from_schemas(postgres: Postgres, acme: Tenant, rival: Tenant):
    await observe(postgres, acme, "page_viewed", payload='{"path": "/", "total": 3}', at=NOW - DAY)
    await observe(postgres, acme, "page_viewed", at=NOW)
    await observe(postgres, rival, "theirs", payload='{"secret": 1}')
    declared = [SchemaProperty("path", "string", description="Where"), SchemaProperty("at", "datetime")]
    await Schemas(postgres).save(acme, event_type="page_viewed", description="A page was opened", properties=declared)

    catalog = await Discovery(postgres).catalog(acme)

    assert catalog.event_types == {
        "page_viewed": EventType("page_viewed", "A page was opened", 2, NOW, {
            "path": Property("path", ("string",), "string", "Where", ("/",), schema_type="string"),
            "total": Property("total", ("number",), samples=(3,)),
            "at": Property("at", (), "datetime", schema_type="datetime"),
        }, is_declared=True)
    }  # fmt: skip


async def test_what_an_identify_names_are_traits_and_no_event_type(postgres: Postgres, acme: Tenant):
    await observe(postgres, acme, IDENTIFY, payload='{"plan": "pro"}')

    catalog = await Discovery(postgres).catalog(acme)

    assert catalog.traits == {"plan": Property("plan", ("string",), samples=("pro",))}
    assert catalog.event_types == {}


async def test_event_types_come_in_the_order_of_their_names(postgres: Postgres, acme: Tenant):
    await observe(postgres, acme, "wishlist_add", "cart_add")
    await Schemas(postgres).save(acme, event_type="order_placed")

    assert list((await Discovery(postgres).catalog(acme)).event_types) == ["cart_add", "order_placed", "wishlist_add"]


async def test_the_tenants_own_segments_are_named(postgres: Postgres, acme: Tenant, rival: Tenant):
    await save_segment(postgres, rival, "Theirs")
    first, second = [await save_segment(postgres, acme, name, f"{name}!") for name in ("VIP", "Staff")]

    catalog = await Discovery(postgres).catalog(acme)

    assert catalog.segments == {
        first: SegmentName(first, "VIP", "VIP!"),
        second: SegmentName(second, "Staff", "Staff!"),
    }
