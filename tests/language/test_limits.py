"""At every limit of the language a definition runs and is right; one past it is an error with a code and a place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenants
from segment_copilot.compiler import (
    Plan,
    bind,
    compile_definition,
    leaves,
    render_counts,
    render_members,
    render_preview,
)
from segment_copilot.errors import Finding, InvalidDefinition
from segment_copilot.language import Definition, decode, parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import SUMS, sampled
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import DataSet, deliver, fetch_members
from tests.support.language.reference import IDENTIFY, Event
from tests.support.language.strategies import AS_OFS, ZONES, Draw, world

Json = dict[str, Any]

AS_OF = AS_OFS[0]
CONDITIONS, DEPTH, LEAVES, TEXT, VALUES, BYTES, NESTED = 100, 8, 500, 1_024, 1_000, 256 * 1024, 8
LEAF: Json = {"type": "event_count", "event_type": "view"}
COUNTED: Json = {"measure": "count", "event_type": "view"}
RANK: Json = {"type": "rank", "by": COUNTED}
COMPARED: Json = {"type": "measure_compare", "left": COUNTED, "operator": "gt", "right": COUNTED}


def of(*conditions: Json, logic: str = "AND") -> Json:
    return {"logic": logic, "conditions": list(conditions)}


def group(*conditions: Json, logic: str = "AND", negate: bool = False) -> Json:
    return {"type": "group", "negate": negate} | of(*conditions, logic=logic)


def wide(leaves: list[Json]) -> Json:
    """Any of *leaves*, in groups of a hundred."""
    groups = [leaves[start : start + CONDITIONS] for start in range(0, len(leaves), CONDITIONS)]
    return of(*(group(*some, logic="OR") for some in groups), logic="OR")


def deep(leaves: list[Json]) -> Json:
    """A leaf and a group in each level, AND and OR in turn, every third group negated."""
    inside = group(leaves[-1])
    for level in range(len(leaves) - 2, 0, -1):
        inside = group(leaves[level], inside, logic=("OR", "AND")[level % 2], negate=level % 3 == 0)
    return of(leaves[0], inside, logic="OR")


def in_chain(depth: int) -> dict[int, Definition]:
    """Segment 1 refers to 2, 2 to 3, and so on; the last counts."""
    link: Callable[[int], Json] = lambda number: {"type": "segment_membership", "segment_id": number + 1}  # noqa: E731
    return {number: decode(of(link(number) if number < depth else LEAF)) for number in range(1, depth + 1)}


def findings(definition: Json, references: dict[int, Definition] | None = None) -> list[Finding]:
    with pytest.raises(InvalidDefinition) as caught:
        bind(parse(definition), Catalog(), references or {})
    return list(caught.value.findings)


EQUALS: Json = {"property": "p", "operator": "eq", "value": "a"}
TRAIT: Json = {"type": "user_property"} | EQUALS
CODES = [
    pytest.param(of(*[LEAF] * 101), "/conditions", "too_many_conditions", id="conditions in a group"),
    pytest.param(of(LEAF, group(*[LEAF] * 101)), "/conditions/1/conditions", "too_many_conditions", id="in a nested group"),
    pytest.param(
        of(LEAF) | {"exclude": of(*[LEAF] * 101)}, "/exclude/conditions", "too_many_conditions", id="in what is excluded"
    ),
    pytest.param(
        of(LEAF | {"where": [{"property": "p", "operator": "is_set"}] * 101}),
        "/conditions/0/where",
        "too_many_conditions",
        id="tests in a where",
    ),
    *(
        pytest.param(of(RANK | changed), f"/conditions/0{where}", code, id=f"of a rank: {name}")
        for name, changed, where, code in [
            ("how many", {}, "", "missing_field"),
            ("twice how many", {"top": 1, "bottom": 1}, "", "unread_field"),
            ("none", {"top": 0}, "/top", "out_of_range"),
            ("too many", {"bottom": 10_000_001}, "/bottom", "out_of_range"),
            ("a part of one", {"top": 1.5}, "/top", "wrong_type"),
            ("no per cent", {"top_percent": 0}, "/top_percent", "out_of_range"),
            ("more than all", {"bottom_percent": 100.001}, "/bottom_percent", "out_of_range"),
            ("four decimals", {"top_percent": 0.0001}, "/top_percent", "too_many_decimals"),
            ("nothing to measure", {"top": 1, "by": {"measure": "max", "event_type": "v"}}, "/by", "missing_field"),
            ("an empty where", {"top": 1, "by": COUNTED | {"where": []}}, "/by/where", "empty_group"),
        ]
    ),
    *(
        pytest.param(of(COMPARED | changed), f"/conditions/0{where}", code, id=f"of a measure: {name}")
        for name, changed, where, code in [
            ("nothing to measure", {"left": {"measure": "sum", "event_type": "v"}}, "/left", "missing_field"),
            ("a property that is not read", {"right": COUNTED | {"property": "p"}}, "/right/property", "unread_field"),
            ("an unknown measure", {"right": COUNTED | {"measure": "median"}}, "/right/measure", "unknown_value"),
            ("no event type", {"left": COUNTED | {"event_type": []}}, "/left/event_type", "empty_list"),
            ("an empty where", {"left": COUNTED | {"where": []}}, "/left/where", "empty_group"),
            ("hours of no time", {"left": COUNTED | {"at": {}}}, "/left/at", "missing_field"),
            ("a window of two", {"right": COUNTED | {"window": {"last": "1d", "period": "today"}}}, "/right/window", "bad_window"),
            ("days for a window", {"right": COUNTED | {"window_days": 7}}, "/right/window_days", "unknown_field"),
            ("a bad path", {"left": {"measure": "avg", "event_type": "v", "property": "a..b"}}, "/left/property", "bad_path"),
            ("a range", {"operator": "between"}, "/operator", "unknown_operator"),
            ("seven decimals", {"factor": 0.1234567}, "/factor", "too_many_decimals"),
            ("a factor too large to be exact", {"factor": 1e13}, "/factor", "out_of_range"),
            ("no number", {"factor": "2"}, "/factor", "wrong_type"),
        ]
    ),
    *(
        pytest.param(of(group(LEAF, LEAF, logic="AT_LEAST") | {"at_least": least}), "/conditions/0/at_least", code, id=name)
        for name, least, code in [
            ("none of them", 0, "out_of_range"),
            ("more than there are", 3, "out_of_range"),
            ("a part of a condition", 1.5, "wrong_type"),
            ("no number", True, "wrong_type"),
        ]
    ),
    *(
        pytest.param(of(LEAF | {"at": at}), f"/conditions/0/at{where}", code, id=name)
        for name, at, where, code in [
            ("no time of the day", {}, "", "missing_field"),
            ("no weekday", {"weekdays": []}, "/weekdays", "empty_list"),
            ("a weekday by another name", {"weekdays": ["monday"]}, "/weekdays/0", "unknown_value"),
            ("one hour", {"hours": ["09:00"]}, "/hours", "wrong_type"),
        ]
    ),
    pytest.param(
        of({"type": "event_sequence", "events": ["a", {"event_type": "b", "at": {"hours": ["09:00", "24:00"]}}]}),
        "/conditions/0/events/1/at/hours/1",
        "wrong_type",
        id="midnight in a step",
    ),
    pytest.param(
        of(LEAF | {"at": {"hours": ["09:00", "09:00"]}}),
        "/conditions/0/at/hours",
        "reversed_range",
        id="hours that end when they begin",
    ),
    *(
        pytest.param(of(LEAF | {"window": window}), f"/conditions/0/window/{where}", code, id=name)
        for name, window, where, code in [
            ("whole days of hours", {"last": "36h", "days": "complete"}, "last", "bad_length"),
            ("whole days of a month", {"last": "1mo", "days": "with_today"}, "last", "bad_length"),
            ("whole days of a period", {"period": "today", "days": "complete"}, "days", "unread_field"),
            ("whole days by another name", {"last": "7d", "days": "whole"}, "days", "unknown_value"),
        ]
    ),
    pytest.param(
        of(TRAIT | {"operator": "anniversary_in_last", "value": "36h"}), "/conditions/0/value", "bad_length", id="hours"
    ),
    *(
        pytest.param(of(TRAIT | {"operator": operator, "value": value}), f"/conditions/0/value{where}", code, id=name)
        for name, operator, value, where, code in [
            ("no window", "in_window", "30d", "", "wrong_type"),
            ("an empty window", "in_window", {}, "", "bad_window"),
            ("two windows", "in_window", {"last": "7d", "period": "today"}, "", "bad_window"),
            ("a month for a window", "in_window", {"month": 6}, "/month", "unread_field"),
            ("a period by another name", "in_window", {"period": "next_day"}, "/period", "unknown_value"),
            ("whole days of hours", "not_in_window", {"last": "36h", "days": "complete"}, "/last", "bad_length"),
            ("a window that ends first", "in_window", {"from": "2026-06-02", "to": "2026-06-01"}, "", "reversed_range"),
            ("an unknown field of a window", "in_window", {"next": "7d"}, "/next", "unknown_field"),
            ("a thirteenth month", "anniversary_in", {"month": 13}, "/month", "out_of_range"),
            ("half a month", "anniversary_in", {"month": 1.5}, "/month", "wrong_type"),
            ("a month and a period", "anniversary_in", {"month": 6, "period": "today"}, "", "bad_window"),
            ("an anniversary in a length", "anniversary_in", {"last": "7d"}, "", "bad_window"),
            ("a window for a length", "in_last", {"period": "today"}, "", "wrong_type"),
            ("a window for a value", "eq", {"period": "today"}, "", "wrong_type"),
            ("a window for two ends", "between", {"period": "today"}, "", "wrong_type"),
            ("a window for a list", "in", {"period": "today"}, "", "wrong_type"),
        ]
    ),
    pytest.param(
        of(LEAF | {"window": {"period": "next_month"}}),
        "/conditions/0/window/period",
        "unknown_value",
        id="events to come",
    ),
    pytest.param(
        of(TRAIT | {"operator": "in_window", "value": {"period": "today"}, "value2": 1}),
        "/conditions/0/value2",
        "unread_field",
        id="a window and more",
    ),
    pytest.param(of(TRAIT | {"operator": "in_last", "value": "0d"}), "/conditions/0/value", "bad_length", id="no time"),
    pytest.param(of(TRAIT | {"operator": "is_empty"}), "/conditions/0/value", "unread_field", id="empty as what"),
    pytest.param(
        of(TRAIT | {"operator": "before", "value": "2026-06-01 10:00:00"}),
        "/conditions/0/value",
        "wrong_type",
        id="a space in a date of a definition",
    ),
    pytest.param(of(group(LEAF, logic="AT_LEAST")), "/conditions/0", "missing_field", id="how many"),
    pytest.param(of(group(LEAF) | {"at_least": 1}), "/conditions/0/at_least", "unread_field", id="how many of all"),
    pytest.param(of(LEAF, logic="AT_LEAST"), "/logic", "wrong_logic", id="how many at the top"),
    pytest.param(wide([LEAF] * 501), "", "too_many_leaves", id="conditions in all"),
    pytest.param(wide([LEAF] * 500) | {"exclude": of(LEAF)}, "", "too_many_leaves", id="with what is excluded"),
    pytest.param(
        deep([LEAF] * 9), "/conditions/1" * 8, "too_deep", id="depth"
    ),
    pytest.param(
        deep([*[LEAF] * 7, LEAF | {"where": of(EQUALS)}]),
        "/conditions/1" * 7 + "/conditions/0/where",
        "too_deep",
        id="depth with a where group",
    ),
    pytest.param(of(TRAIT | {"value": "é" * 1_025}), "/conditions/0/value", "string_too_long", id="characters of a value"),
    pytest.param(of(LEAF | {"event_type": "v" * 1_025}), "/conditions/0/event_type", "string_too_long", id="of a name"),
    pytest.param(
        of(TRAIT | {"operator": "in", "value": ["a"] * 1_001}), "/conditions/0/value", "list_too_long", id="values of a list"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("definition", "pointer", "code"), CODES)
def test_one_past_a_limit_is_an_error_with_its_code_and_place(definition: Json, pointer: str, code: str):
    assert [(finding.pointer, finding.code) for finding in findings(definition)] == [(pointer, code)]


@pytest.mark.parametrize(
    ("named", "where", "code"),
    [
        pytest.param({}, "", "missing_field", id="no segment"),
        pytest.param({"segment_id": 1, "segment_ids": [1]}, "", "missing_field", id="a segment and several"),
        pytest.param({"segment_ids": []}, "/segment_ids", "empty_list", id="none of several"),
        pytest.param({"segment_ids": list(range(1, 52))}, "/segment_ids", "list_too_long", id="too many"),
        pytest.param({"segment_ids": [1, 0]}, "/segment_ids/1", "out_of_range", id="of no number"),
    ],
)
def test_a_membership_names_one_segment_or_up_to_fifty(named: Json, where: str, code: str):
    found = parse(of({"type": "segment_membership"} | named)).findings
    assert [(one.pointer, one.code) for one in found] == [(f"/conditions/0{where}", code)]


def test_each_unknown_segment_of_several_is_named_where_it_stands():
    several = {"type": "segment_membership", "segment_ids": [3, 1, 4]}
    found = findings(of(several), {1: decode(of(LEAF))})
    assert [(one.pointer, one.code) for one in found] == [
        ("/conditions/0/segment_ids/0", "unknown_segment"),
        ("/conditions/0/segment_ids/2", "unknown_segment"),
    ]


def nested(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("definition", "pointer", "code"),
    [
        (of(TRAIT | {"value": "a\0"}), "/conditions/0/value", "nul_character"),
        (of(LEAF | {"a/\ud800": 1}), r"/conditions/0/a~1\ud800", "lone_surrogate"),
        (of(LEAF | {"\0": 1}), "/conditions/0/\0", "nul_character"),
        (of(TRAIT | {"value": nested(5_000)}), "/conditions/0/value" + "/0" * 63, "too_deep"),
    ],
    ids=["NUL", "half a character in a key", "NUL in a key", "depth"],
)
def test_what_no_store_can_keep_is_a_mistake_where_it_stands(definition: Json, pointer: str, code: str):
    assert [(one.pointer, one.code) for one in parse(definition).findings] == [(pointer, code)]


def test_a_body_has_256_kib():
    body = json.dumps(wide([TRAIT | {"value": "x" * TEXT}] * 230)).encode()
    assert len(body) < BYTES
    assert parse(body.ljust(BYTES)).definition is not None
    assert [(one.pointer, one.code) for one in parse(body.ljust(BYTES + 1)).findings] == [("", "definition_too_large")]


def test_references_nest_eight_deep():
    member = {"type": "segment_membership", "segment_id": 1}
    bind(parse(of(member)), Catalog(), in_chain(NESTED))

    found = findings(of(LEAF, member), in_chain(NESTED + 1))

    assert [(one.pointer, one.code) for one in found] == [("/conditions/1/segment_id", "references_too_deep")]


def test_all_segments_reached_hold_500_conditions_each_counted_once():
    """The reference itself is a condition too."""
    member = {"type": "segment_membership", "segment_id": 1}
    bind(parse(of(member, member)), Catalog(), {1: decode(wide([LEAF] * 498))})

    found = findings(of(member, member), {1: decode(wide([LEAF] * 499))})

    assert [(one.pointer, one.code) for one in found] == [("", "too_many_leaves")]
    assert "501" in found[0].detail


# At the limits, on real data.


@pytest.fixture(scope="module")
async def data(module_postgres: Postgres, module_clickhouse: ClickHouse) -> DataSet:
    """Forty users, whose events and traits lie on the edges of drawn conditions."""
    draw = Draw(12, world(AS_OFS[:1], ZONES[:1]))
    tenant = await Tenants(module_postgres).create("limits")
    deliveries = [event for number in range(40) for event in draw.history(f"u{number:02}")]
    await deliver(module_postgres, module_clickhouse, tenant, deliveries=deliveries)
    return DataSet(12, draw.world, tenant, tuple(deliveries), {})


def drawn(data: DataSet, number: int, seed: int = 34) -> list[Json]:
    draw = Draw(seed, data.world)
    return [draw.leaf() for _ in range(number)]


async def sample(clickhouse: ClickHouse, plan: Plan) -> list[str]:
    query = render_preview(plan, sample=10_000)
    ((_, _, found),) = (await clickhouse.fetch(query.sql, query.params, purpose="compute", merge=sampled(10_000))).rows
    return list(found)


async def assert_right(clickhouse: ClickHouse, data: DataSet, definition: Json) -> set[str]:
    """The members, and the preview of the same, are the interpreter's."""
    wanted = data.read(definition, AS_OF, data.universe(AS_OF))
    plan = data.plan(definition, AS_OF)
    assert await fetch_members(clickhouse, render_members(plan)) == wanted
    assert await sample(clickhouse, plan) == sorted(wanted)
    return wanted


@pytest.mark.timeout(900)
async def test_500_drawn_conditions_run_and_each_counts_right(module_clickhouse: ClickHouse, data: DataSet):
    conditions, universe = drawn(data, LEAVES), data.universe(AS_OF)
    plan = data.plan(wide(conditions), AS_OF)
    assert await sample(module_clickhouse, plan) == sorted(data.read(wide(conditions), AS_OF, universe))
    query = render_counts(plan, leaves(plan.root))
    _, *counts = (await module_clickhouse.fetch(query.sql, query.params, purpose="compute", merge=SUMS)).rows[0]
    for leaf, count in zip(conditions, counts, strict=True):
        assert count == len(data.read(of(leaf), AS_OF, universe)), leaf


def leaf_for(number: int) -> Json:
    """A condition that only the user with this number meets; of four kinds, in turn."""
    value: Json = {"property": "number", "operator": "eq", "value": number}
    kinds: list[Json] = [
        {"type": "user_property"} | value,
        {"type": "event_count", "event_type": "view", "where": [value], "window_days": 30},
        {"type": "event_property", "event_type": "view"} | value,
        {"type": "monetary", "event_type": "view", "metric": "max"} | value,
    ]
    return kinds[number % len(kinds)]


@pytest.mark.timeout(900)
async def test_500_conditions_that_each_mean_one_user_find_500(
    module_postgres: Postgres, module_clickhouse: ClickHouse
):
    users = {number: f"u{number:03}" for number in range(LEAVES + 50)}
    tenant = await Tenants(module_postgres).create("numbered")
    deliveries = [
        Event(user, kind, AS_OF, {"number": number}) for number, user in users.items() for kind in (IDENTIFY, "view")
    ]
    await deliver(module_postgres, module_clickhouse, tenant, deliveries=deliveries)
    data = DataSet(0, world(AS_OFS[:1], ZONES[:1]), tenant, tuple(deliveries), {})
    definition = wide([leaf_for(number) for number in range(LEAVES)])

    those = await fetch_members(module_clickhouse, await data.compile(module_clickhouse, definition, AS_OF))
    negated = of(group(*definition["conditions"], logic="OR", negate=True))
    others = await fetch_members(module_clickhouse, await data.compile(module_clickhouse, negated, AS_OF))

    assert those == {user for number, user in users.items() if number < LEAVES}
    assert others == set(users.values()) - those


async def test_eight_levels_run(module_clickhouse: ClickHouse, data: DataSet):
    everyone = set(data.universe(AS_OF))
    definitions = [deep(drawn(data, DEPTH, seed)) for seed in range(40)]
    valid = [one for one in definitions if parse(one).definition]  # a where group in the last level is one too many
    found = [await assert_right(module_clickhouse, data, definition) for definition in valid[:18]]
    assert len(found) == 18
    assert sum(set() < members < everyone for members in found) >= 4


async def test_a_list_of_1000_values_a_string_of_1024_characters_and_100_tests_run(
    module_clickhouse: ClickHouse, data: DataSet
):
    values = [f"é{number}" for number in range(VALUES - 1)]
    status: Json = {"property": "status", "value": [*values, "a"], "operator": "in"}
    await assert_right(module_clickhouse, data, of({"type": "user_property"} | status))
    tests = [{"property": "status", "operator": "neq", "value": "x" * TEXT}] * (CONDITIONS - 1)
    await assert_right(module_clickhouse, data, of(LEAF | {"where": [*tests, status]}))


async def test_references_eight_deep_run(module_clickhouse: ClickHouse, data: DataSet):
    member = {"type": "segment_membership", "segment_id": 1, "negate": True}
    plan = compile_definition(
        parse(of(member)), catalog=data.catalog, references=in_chain(NESTED), tenant_id=data.tenant.id, as_of=AS_OF
    ).plan
    assert await fetch_members(module_clickhouse, render_members(plan)) == data.read(
        of(LEAF | {"negate": True}), AS_OF, data.universe(AS_OF)
    )
