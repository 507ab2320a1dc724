"""The trap with JSON sub-columns: one number, written as an integer, a fraction and text, lies in four places.

A reader of one sub-column loses the others without an error; the first test shows that. Every numeric test finds all
of them, however the blocks came and wherever ClickHouse keeps the path.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec import Struct

from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.compiler import compile_definition, render_members
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ROWS
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import deliver, fetch_members
from tests.support.language.reference import IDENTIFY, Event, members
from tests.support.language.strategies import AS_OFS

Json = dict[str, Any]

AS_OF = AS_OFS[0]
NUMBERS: dict[str, Any] = {
    "integer": 12,
    "fraction": 12.5,
    "negative fraction": -12.5,
    "beyond signed 64 bits": 2**64 - 1,
    "beyond unsigned 64 bits": 2**70,
    "integer as text": "12",
    "fraction as text": "12.50",
    "exponent as text": "1.2e1",
}
NO_NUMBERS: dict[str, Any] = {
    "word": "twelve",
    "padded text": " 12",
    "boolean": True,
    "list": [12],
    "object": {"n": 12},
    "null": None,
}
SUB_COLUMNS = {
    "Int64": {"integer"},
    "Float64": {"fraction", "negative fraction", "beyond unsigned 64 bits"},
    "UInt64": {"beyond signed 64 bits"},
    "String": {"integer as text", "fraction as text", "exponent as text", "word", "padded text"},
}


class Layout(Struct, frozen=True):
    """How the same events come to lie in ClickHouse."""

    name: str
    chunk: int  # events a block
    crowd: int = 0  # other properties of each event, more than have a column of their own
    merged: bool = False


LAYOUTS = (
    Layout("one block", 1_000),
    Layout("a block each", 1),
    Layout("merged", 1, merged=True),
    Layout("in the shared data", 1_000, crowd=300),
    Layout("merged shared data", 1, crowd=300, merged=True),
)


def history(layout: Layout) -> list[Event]:
    """A user per value, named after it, who has it as a trait and in an event; users without it come after."""
    crowd = {f"a{number}": number for number in range(layout.crowd)}  # sorts before n, and so takes the columns
    events = [
        Event(user, event_type, AS_OF - timedelta(days=1), crowd | {"n": value})
        for user, value in (NUMBERS | NO_NUMBERS).items()
        for event_type in ("view", IDENTIFY)
    ]
    return [*events, Event("nobody", "view", AS_OF - timedelta(days=1), crowd)]


@pytest.fixture(scope="module", params=LAYOUTS, ids=[layout.name for layout in LAYOUTS])
async def stored(
    request: pytest.FixtureRequest, module_postgres: Postgres, module_clickhouse: ClickHouse
) -> tuple[Tenant, Sequence[Event]]:
    layout: Layout = request.param
    tenant = await Tenants(module_postgres).create(layout.name.replace(" ", "-"))
    deliveries = history(layout)
    await deliver(module_postgres, module_clickhouse, tenant, deliveries=deliveries, chunk=layout.chunk)
    if layout.merged:
        for table in ("events", "traits", "users"):
            await module_clickhouse.execute(f"OPTIMIZE TABLE {table} FINAL", purpose="migrate")
    return tenant, deliveries


async def test_each_sub_column_alone_loses_numbers(
    module_clickhouse: ClickHouse, stored: tuple[Tenant, Sequence[Event]]
):
    for type_, users in SUB_COLUMNS.items():
        sql = (
            "SELECT user_id FROM users FINAL WHERE tenant_id = {tenant:UInt32} AND user_key IN ("
            "SELECT user_key FROM events WHERE tenant_id = {tenant:UInt32} AND event_type = 'view'"
            f" AND payload.n.:{type_} IS NOT NULL)"
        )
        rows = (await module_clickhouse.fetch(sql, {"tenant": stored[0].id}, purpose="compute", merge=ROWS)).rows
        assert {row[0] for row in rows} == users, type_


EVERY = set(NUMBERS)
AT_LEAST_12 = EVERY - {"negative fraction"}
TWELVE = {"integer", "integer as text", "exponent as text"}
TESTS: list[tuple[Json, set[str]]] = [
    ({"operator": "gte", "value": 12}, AT_LEAST_12),
    ({"operator": "gt", "value": -1e300}, EVERY),
    ({"operator": "eq", "value": 12.0}, TWELVE),
    ({"operator": "eq", "value": 12.5}, {"fraction", "fraction as text"}),
    ({"operator": "eq", "value": 2**64 - 1}, {"beyond signed 64 bits"}),
    ({"operator": "eq", "value": 2**70}, {"beyond unsigned 64 bits"}),
    ({"operator": "in", "value": [12, -12.5]}, TWELVE | {"negative fraction"}),
    ({"operator": "between", "value": 12, "value2": 12.5}, TWELVE | {"fraction", "fraction as text"}),
]
METRICS: list[tuple[Json, set[str]]] = [
    ({"metric": metric, "operator": "gte", "value": 12}, AT_LEAST_12) for metric in ("min", "max")
] + [
    ({"metric": metric, "operator": "between", "value": 12, "value2": 13}, TWELVE | {"fraction", "fraction as text"})
    for metric in ("sum", "avg", "median", "min", "max")
]
CONDITIONS = [
    *(({"type": "user_property", "property": "n"} | test, users) for test, users in TESTS),
    *(({"type": "event_property", "event_type": "view", "property": "n"} | test, users) for test, users in TESTS),
    *(({"type": "event_count", "event_type": "view", "where": [{"property": "n"} | test]}, users) for test, users in TESTS),
    *(({"type": "monetary", "event_type": "view", "property": "n"} | test, users) for test, users in METRICS),
]  # fmt: skip


async def test_every_numeric_test_finds_a_number_however_it_was_written(
    module_clickhouse: ClickHouse, stored: tuple[Tenant, Sequence[Event]]
):
    tenant, deliveries = stored
    for condition, users in CONDITIONS:
        definition = {"logic": "AND", "conditions": [condition]}
        assert members(definition, deliveries, as_of=AS_OF) == users, condition
        options: Json = {"catalog": Catalog(), "references": {}, "tenant_id": tenant.id, "as_of": AS_OF}
        query = render_members(compile_definition(parse(definition), **options).plan)
        assert await fetch_members(module_clickhouse, query) == users, json.dumps(condition)
