"""Events are judged by schemas that are at most a second old; what violates them is counted, and the newest kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.errors import NotFound
from segment_copilot.events import declarations
from segment_copilot.events.declarations import Declarations
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.ingestion import AcceptedEvents, Ingestion
from segment_copilot.events.schemas import EventSchema, SchemaChanges, Schemas
from segment_copilot.events.shapes import SchemaProperty
from segment_copilot.events.violations import MAX_KEPT, Violations
from segment_copilot.lists import Window
from segment_copilot.stores.postgres import Postgres
from tests.support.clocks import Clock
from tests.support.resources import NOW

TOTAL = SchemaProperty("total", "number", required=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(declarations, "time", clock)
    return clock


@pytest.fixture
async def acme(postgres: Postgres) -> Tenant:
    return await Tenants(postgres).create("acme")


async def declare(postgres: Postgres, tenant: Tenant, *, strict: bool = False) -> EventSchema:
    return await Schemas(postgres).create(tenant, event_type="order", properties=[TOTAL], strict=strict)


async def send(ingestion: Ingestion, tenant: Tenant, *payloads: dict[str, Any], **more: Any) -> AcceptedEvents:
    events = [{"user_id": "ana", "event_type": "order", "payload": payload, **more} for payload in payloads]
    return await ingestion.accept(tenant, events, received_at=NOW)


async def test_a_schema_of_another_process_judges_events_after_a_second_at_most(
    clock: Clock, postgres: Postgres, acme: Tenant
):
    ingestion, discovery = Ingestion(postgres), Discovery(postgres)
    assert (await send(ingestion, acme, {})).skipped == ()
    assert (await discovery.catalog(acme)).event_types == {}

    schema = await declare(postgres, acme, strict=True)
    clock.now += 1.001
    assert len((await send(ingestion, acme, {})).skipped) == 1
    assert set((await discovery.catalog(acme)).event_types) == {"order"}

    await Schemas(postgres).update(acme, schema.id, SchemaChanges(strict=False))
    clock.now += 1.001
    assert (await send(ingestion, acme, {})).skipped == ()
    assert not (await discovery.catalog(acme)).event_types["order"].is_strict

    await Schemas(postgres).delete(acme, schema.id)
    clock.now += 1.001
    assert (await discovery.catalog(acme)).event_types == {}


async def test_a_schema_of_this_process_judges_the_next_event(clock: Clock, postgres: Postgres, acme: Tenant):
    shared = Declarations(postgres)
    ingestion, schemas = Ingestion(postgres, shared), Schemas(postgres, shared)
    await send(ingestion, acme, {})

    await schemas.create(acme, event_type="order", properties=[TOTAL], strict=True)

    assert [one.code for one in (await send(ingestion, acme, {})).skipped] == ["missing_property"]


async def test_while_nothing_changes_schemas_are_not_read_again(clock: Clock, postgres: Postgres, acme: Tenant):
    await declare(postgres, acme)
    known = Declarations(postgres)
    first = await known.of(acme)

    clock.now += 5

    assert await known.of(acme) is first


async def test_all_violations_are_counted_and_the_newest_are_kept(postgres: Postgres, acme: Tenant):
    schema = await declare(postgres, acme)
    ingestion = Ingestion(postgres)
    batches = MAX_KEPT // 50 + 1

    for _ in range(batches):
        await send(ingestion, acme, *[{"total": "x"}] * 60)
    await send(ingestion, acme, {}, event_id="last")

    page = await Violations(postgres).list(acme, schema.id, Window(2))
    assert page.kept.count == MAX_KEPT
    assert (page.kept.results[0].event_id, page.kept.results[0].code) == ("last", "missing_property")
    assert [(one.code, one.queued, one.skipped) for one in page.counts] == [
        ("missing_property", 1, 0),
        ("wrong_type", 60 * batches, 0),
    ]
    assert (await Schemas(postgres).get(acme, schema.id)).violation_count == 60 * batches + 1
    with pytest.raises(NotFound):
        await Violations(postgres).list(await Tenants(postgres).create("rival"), schema.id)


async def test_a_copy_of_an_event_is_not_counted_again(postgres: Postgres, acme: Tenant):
    schema = await declare(postgres, acme)
    ingestion = Ingestion(postgres)

    await send(ingestion, acme, {"total": 1}, {}, event_id="twice")  # the first copy stands, and has nothing wrong
    await send(ingestion, acme, {}, event_id="wrong")
    await send(ingestion, acme, {}, {}, event_id="wrong")

    page = await Violations(postgres).list(acme, schema.id)
    assert [one.event_id for one in page.kept.results] == ["wrong"]


async def test_batches_that_violate_at_once_all_count(postgres: Postgres, acme: Tenant):
    schema = await declare(postgres, acme)
    ingestion = Ingestion(postgres)

    await asyncio.gather(*(send(ingestion, acme, {}, {"total": []}) for _ in range(8)))

    page = await Violations(postgres).list(acme, schema.id)
    assert [(one.code, one.queued) for one in page.counts] == [("missing_property", 8), ("wrong_type", 8)]


async def test_a_schema_that_is_gone_meanwhile_stops_no_event(clock: Clock, postgres: Postgres, acme: Tenant):
    schema = await declare(postgres, acme)
    ingestion = Ingestion(postgres)
    await send(ingestion, acme, {})

    await Schemas(postgres).delete(acme, schema.id)

    assert (await send(ingestion, acme, {})).stored == 1
