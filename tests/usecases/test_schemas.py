"""What a tenant declares about its events."""

from __future__ import annotations

import pytest

from segment_copilot.catalog import EventType, Property
from segment_copilot.discovery import read_catalog
from segment_copilot.errors import NotFound
from segment_copilot.postgres import Postgres
from segment_copilot.schemas import SchemaProperty, get_schema, list_schemas, save_schema
from segment_copilot.tenants import create_tenant

TOTAL = SchemaProperty("total", type="number", required=True, description="With tax")
PLACED_AT = SchemaProperty("placed_at", type="datetime")


async def test_a_schema_is_declared_replaced_and_read_by_its_tenant_alone(postgres: Postgres):
    acme, rival = [(await create_tenant(postgres, slug)).id for slug in ("acme", "rival")]
    first = await save_schema(postgres, acme, event_type="order_placed", properties=[TOTAL])
    await save_schema(postgres, acme, event_type="cart_add")

    second = await save_schema(
        postgres, acme, event_type="order_placed", description="Paid", properties=[TOTAL, PLACED_AT]
    )

    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert await get_schema(postgres, acme, first.id) == second
    assert second.properties == (TOTAL, PLACED_AT)
    assert [schema.event_type for schema in await list_schemas(postgres, acme)] == ["cart_add", "order_placed"]
    assert await list_schemas(postgres, rival) == ()
    with pytest.raises(NotFound):
        await get_schema(postgres, rival, first.id)


async def test_a_declared_event_type_is_in_the_catalog_before_its_first_event(postgres: Postgres):
    tenant = await create_tenant(postgres, "acme")
    await save_schema(postgres, tenant.id, event_type="order_placed", description="Paid", properties=[PLACED_AT])

    catalog = await read_catalog(postgres, tenant.id)

    assert catalog.event_types == {
        "order_placed": EventType(
            "order_placed", "Paid", properties={"placed_at": Property("placed_at", declared="datetime")}
        )
    }
