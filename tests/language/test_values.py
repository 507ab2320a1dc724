"""Every test of one value on every stored value: what random definitions meet too seldom.

A preview counts up to a hundred conditions in one query; a condition whose count differs is asked for its members.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.compiler import Plan, compile_definition, leaves, render_counts, render_members
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import SUMS
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import deliver, fetch_members
from tests.support.language.reference import IDENTIFY, Event, Reading, people
from tests.support.language.strategies import (
    DATES,
    ELEMENTS,
    INSTANTS,
    LARGE_NUMBERS,
    NOT_DATES,
    NOT_NUMBER_STRINGS,
    NUMBER_STRINGS,
    NUMBERS,
    ODD_ELEMENTS,
    ODD_VALUES,
    REGEXES,
    TEXTS,
)

Json = dict[str, Any]

AS_OF = datetime(2026, 6, 15, 12, tzinfo=UTC)
A_QUERY = 100

STORED: list[Any] = [
    *NUMBERS,
    *LARGE_NUMBERS,
    -0.0,
    *NUMBER_STRINGS,
    *NOT_NUMBER_STRINGS,
    *("-1", "-1.5", "1E5", "1.0e-5", "0.0", "00", "1_000", "1e", "１", "1.", "--1"),
    *TEXTS,
    *("ß", "ẞ", "ǅ", "ı", "aΣ", "ΑΣ", "\u212a", "\u2028", "\x01", "\x7f", "a" * 1000),
    *DATES,
    *INSTANTS,
    *NOT_DATES,
    *("2026-06-01T00:00:00+14:00", "2026-06-01T00:00:00-23:59", "2026-06-01T00:00:00+24:00"),
    *("2026-06-01T00:00:00.1", "2026-06-01T00:00:00.123456789012Z", "1950-06-01T12:00:00.25+02:00"),
    *("2026-13-01", "2026-00-01", "2026-06-00", "2026-06-31", "2025-02-29", "1900-02-29", "2000-02-29"),
    *("1900-01-01", "1900-01-01T00:00:00Z", "2299-12-31", "2299-12-31T23:59:59.9999999Z", "1970-01-01T00:00:00Z"),
    *("2026-06-01\n", "2026-06-01T00:00:00Z\n"),
    *(1780272000, 1780272000.5, 1780271999.999999, 1780271999.9999999, 1780272000123, 1780272000123.4567, -1e-7, -0.5),
    *(-2208988800, -2208988801, -2208988800.0000005, 10413791999, 10413792000, 10413791999.999999, 10413791999999.998),
    *(-2208988800000, -2208988800001, 10413791999999, 10413792000000, 1e12, 1e15, 1.7e308),
    True,
    False,
    *ODD_VALUES,
    *([element] for element in (*ELEMENTS, *ODD_ELEMENTS)),
    *([1, True], [True, 1], [1, "a"], ["a", 1], [1.5, "a"], [1, 2.5], [1, None], [None, "a"], [True, "a"], [-0.0]),
    *([2**64 - 1, -1], [1e300, 1], [2**53 + 1, 1], [[1], 1], [{"a": 1}, "a"], ["NaN", 1.5], ["2026-06-01"]),
]
"""One user has each of them, as a trait and in an event."""

BAGS = [
    *([number] for number in (*NUMBERS, *LARGE_NUMBERS, *NUMBER_STRINGS, *NOT_NUMBER_STRINGS[:3])),
    *(
        [0.1, 0.2],
        [0.1, "0.2", True],
        [5e-7, 5e-7],
        [1.5e-6],
        [2.5e-6],
        [-5e-7],
        [-1.5e-6, 0],
        [0.0000014],
        [-0.0000016],
    ),
    *([1, 2, 3, 4], [1, 1.0, "1"], [0, -0.0], [None, {"a": 1}, [1], "many"], [9e12, 9.1e12], [1e303, 1], ["1e303", 2]),
    *([0, 0, 1], [89.95, 89.95, 0.1], [2**53, 2**53 + 1], [True, False, True], ["a", "A", "a"], [-1, 0.5, 1e-7]),
    *([1, "1"], [True, "true"], [False, "false", 0], ["", None], [[], ""], ["\x01", ""], ["b", "btrue", True]),
    *([2**53 + 1, 2.0**53], [2**64 - 1, 2.0**64], [1e22, "1e22"], [1e-7, "1e-7"], [["true"], True], [[1], 1]),
    *([123456789012.123456, 0.3], [4503599627.370497, 1], [8999999999999.999, 8999999999999.999]),
]
"""One user has the events of each."""

AGGREGATES = [
    0,
    1,
    2,
    3,
    4,
    1.5,
    -1,
    0.3,
    0.15,
    0.6,
    1e-6,
    2e-6,
    -2e-6,
    0.000001,
    1 / 3,
    9e12,
    -9e12,
    1e300,
    60,
    1.8e13,
]


def numbers() -> Iterator[Json]:
    for value in (*NUMBERS, *LARGE_NUMBERS, -0.0, -1, 100_000):
        yield from ({"operator": operator, "value": value} for operator in ("eq", "gt", "lte"))
    yield {"operator": "between", "value": [-5, 0.1]}
    yield {"operator": "in", "value": [2**53 + 1, -0.0, 89.95]}


def strings() -> Iterator[Json]:
    for text in (*TEXTS, "Σ", "ς", "ß", "ss", "k", "1e5"):
        for operator in ("eq", "gt", "lte", "starts_with", "ends_with", "contains"):
            yield {"operator": operator, "value": text}
            yield {"operator": operator, "value": text, "ignore_case": True}
        yield {"operator": "in", "value": [text, "zz"], "ignore_case": True}


def patterns_and_flags() -> Iterator[Json]:
    for pattern in REGEXES:
        yield {"operator": "matches_regex", "value": pattern}
        yield {"operator": "matches_regex", "value": pattern, "ignore_case": True}
    yield from ({"operator": operator} for operator in ("is_true", "is_false", "is_set"))
    yield {"operator": "in", "value": [True, False]}
    for element in (*ELEMENTS, 2**53 + 1, 2**64 - 1, 1e300, 0, -1):
        yield {"operator": "contains", "value": element}


def datetimes(value_type: str = "datetime") -> Iterator[Json]:
    for value in (*DATES, *INSTANTS, "1900-01-01", "2299-12-31", "2026-06-01T00:00:00.1Z", "2011-12-31"):
        for operator in ("eq", "gt", "gte", "lt", "lte"):
            yield {"operator": operator, "value": value, "value_type": value_type}


def epochs(value_type: str) -> Iterator[Json]:
    yield from datetimes(value_type)
    for value in ("1970-01-01", "1970-01-01T00:00:00Z", "2026-06-01T00:00:00.123456Z", "2299-12-31T23:59:59.999998Z"):
        for operator in ("eq", "lt", "after"):
            yield {"operator": operator, "value": value, "value_type": value_type}
    for operator in ("in_last", "not_in_last", "in_next", "anniversary_in_next"):
        yield from (
            {"operator": operator, "value": length, "value_type": value_type} for length in ("30d", "9y", "90y", "300y")
        )


def aggregates() -> Iterator[Json]:
    for metric in ("sum", "avg", "min", "max", "median", "count_distinct"):
        for value in AGGREGATES:
            yield from ({"metric": metric, "operator": operator, "value": value} for operator in ("eq", "lt"))
        yield {"metric": metric, "operator": "not_between", "value": [0.1, 2]}


TRAIT = {"type": "user_property", "property": "p"}
LATEST = {"type": "event_property", "event_type": "view", "property": "p"}
AGGREGATE = {"type": "monetary", "event_type": "bag", "property": "p"}

CASES = [
    pytest.param([TRAIT | test for test in numbers()], "UTC", id="numbers"),
    pytest.param([LATEST | test for test in strings()], "UTC", id="strings"),
    pytest.param([TRAIT | test for test in patterns_and_flags()], "UTC", id="patterns and flags"),
    pytest.param([LATEST | test for test in datetimes()], "Europe/Madrid", id="datetimes in Madrid"),
    pytest.param([TRAIT | test for test in datetimes()], "Pacific/Apia", id="datetimes in Apia"),
    pytest.param([LATEST | test for test in epochs("epoch_s")], "Europe/Madrid", id="epoch seconds in Madrid"),
    pytest.param([TRAIT | test for test in epochs("epoch_ms")], "Pacific/Apia", id="epoch milliseconds in Apia"),
    pytest.param([AGGREGATE | test for test in aggregates()], "UTC", id="aggregates"),
]


@pytest.fixture(scope="module")
def history() -> list[Event]:
    values = [
        Event(f"u{number}", event_type, AS_OF, {"p": value})
        for number, value in enumerate(STORED)
        for event_type in (IDENTIFY, "view")
    ]
    bags = [
        Event(f"bag{number}", "bag", AS_OF, {"p": value}) for number, bag in enumerate(BAGS) for value in [*bag, None]
    ]
    return values + bags


@pytest.fixture(scope="module")
async def tenant(module_postgres: Postgres, module_clickhouse: ClickHouse, history: list[Event]) -> Tenant:
    tenant = await Tenants(module_postgres).create("values")
    await deliver(module_postgres, module_clickhouse, tenant, deliveries=history)
    return tenant


def plan(tenant: Tenant, conditions: list[Json], timezone: str) -> Plan:
    definition = {"logic": "OR", "conditions": conditions, "timezone": timezone}
    options: Json = {"catalog": Catalog(), "references": {}, "tenant_id": tenant.id, "as_of": AS_OF}
    return compile_definition(parse(definition), **options).plan


@pytest.mark.parametrize(("conditions", "timezone"), CASES)
async def test_both_readings_agree_on_every_stored_value(
    module_clickhouse: ClickHouse, tenant: Tenant, history: list[Event], conditions: list[Json], timezone: str
):
    universe, reading = people(history, AS_OF), Reading(AS_OF, timezone, {}, {})
    wrong: list[str] = []
    for start in range(0, len(conditions), A_QUERY):
        some = conditions[start : start + A_QUERY]
        asked = plan(tenant, some, timezone)
        query = render_counts(asked, leaves(asked.root))
        counts = (await module_clickhouse.fetch(query.sql, query.params, purpose="compute", merge=SUMS)).rows[0][
            -len(some) :
        ]
        for condition, count in zip(some, counts, strict=True):
            read = reading.members({"logic": "AND", "conditions": [condition]}, universe)
            if count != len(read):
                alone = render_members(plan(tenant, [condition], timezone))
                compiled = await fetch_members(module_clickhouse, alone)
                values = [[event.payload["p"] for event in universe[user].events] for user in compiled ^ read]
                wrong.append(f"{json.dumps(condition, ensure_ascii=False)}: {values}")
    assert not wrong, "\n".join(wrong)
