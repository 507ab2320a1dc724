"""What a tenant declares about its events."""

from __future__ import annotations

import json

import pytest

from segment_copilot.access.tenants import Tenants
from segment_copilot.compiler import bind
from segment_copilot.errors import InvalidInput, NotFound
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.schemas import Schemas
from segment_copilot.events.shapes import SchemaProperty
from segment_copilot.language import encode, parse
from segment_copilot.language.catalog import EventType, Property
from segment_copilot.stores.postgres import Postgres

TOTAL = SchemaProperty("total", type="number", required=True, description="With tax")
PLACED_AT = SchemaProperty("placed_at", type="datetime")


async def test_a_schema_is_declared_replaced_and_read_by_its_tenant_alone(postgres: Postgres):
    acme, rival = [await Tenants(postgres).create(slug) for slug in ("acme", "rival")]
    first = await Schemas(postgres).save(acme, event_type="order_placed", properties=[TOTAL])
    await Schemas(postgres).save(acme, event_type="cart_add")

    second = await Schemas(postgres).save(
        acme, event_type="order_placed", description="Paid", properties=[TOTAL, PLACED_AT]
    )

    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert await Schemas(postgres).get(acme, first.id) == second
    assert second.properties == (TOTAL, PLACED_AT)
    assert [schema.event_type for schema in await Schemas(postgres).list(acme)] == ["cart_add", "order_placed"]
    assert await Schemas(postgres).list(rival) == ()
    with pytest.raises(NotFound):
        await Schemas(postgres).get(rival, first.id)


async def test_a_declared_event_type_is_in_the_catalog_before_its_first_event(postgres: Postgres):
    tenant = await Tenants(postgres).create("acme")
    await Schemas(postgres).save(tenant, event_type="order_placed", description="Paid", properties=[PLACED_AT])

    catalog = await Discovery(postgres).catalog(tenant)

    assert catalog.event_types == {
        "order_placed": EventType(
            "order_placed",
            "Paid",
            properties={"placed_at": Property("placed_at", declared="datetime", schema_type="datetime")},
            is_declared=True,
        )
    }


async def test_numbers_of_a_declared_datetime_are_seconds_or_milliseconds_and_a_saved_definition_says_which(
    postgres: Postgres,
):
    tenant = await Tenants(postgres).create("acme")
    properties = [
        SchemaProperty("paid", type="datetime", format="epoch_s"),
        SchemaProperty("sent", type="datetime", format="epoch_ms"),
    ]
    await Schemas(postgres).save(tenant, event_type="order_placed", properties=properties)
    catalog = await Discovery(postgres).catalog(tenant)
    conditions = [
        {"type": "event_property", "event_type": "order_placed", "property": name, "operator": operator, "value": value}
        for name, operator, value in (
            ("paid", "in_last", "30d"),
            ("sent", "eq", "2026-06-01"),
            ("paid", "is_set", None),
        )
    ]
    del conditions[2]["value"]

    bound = bind(parse({"logic": "AND", "conditions": conditions}), catalog, {}).definition

    assert [condition.get("value_type") for condition in json.loads(encode(bound))["conditions"]] == [
        "epoch_s",
        "epoch_ms",
        None,
    ]


async def test_only_a_datetime_has_a_format(postgres: Postgres):
    tenant = await Tenants(postgres).create("acme")
    wrong = SchemaProperty("net", type="number", format="epoch_s")

    with pytest.raises(InvalidInput) as raised:
        await Schemas(postgres).save(tenant, event_type="order_placed", properties=[TOTAL, wrong])

    assert [finding.pointer for finding in raised.value.findings] == ["/properties/1/format"]
