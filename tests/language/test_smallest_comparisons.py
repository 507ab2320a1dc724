"""The smallest cases of values that are compared with other stored ones, read by the SQL in every shape and by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from segment_copilot.compiler import bind
from segment_copilot.errors import InvalidDefinition
from segment_copilot.language import decode, parse
from segment_copilot.language.catalog import Catalog, EventType, Property
from segment_copilot.language.describe import describe_condition
from segment_copilot.language.names import event_properties_of, names_of, traits_of
from segment_copilot.stores.clickhouse import ClickHouse
from tests.language.test_regressions import AS_OF, Case, compiled_members, event, identify, store, trait
from tests.support.language.data_sets import WAYS
from tests.support.language.reference import Event, members

Json = dict[str, Any]


def other(operator: str, value_type: str, **named: str) -> Json:
    """A test of x (or of the trait p) against another stored value."""
    return {"operator": operator, "value": named, "value_type": value_type}


def viewed(operator: str, value_type: str, *, negate: bool = False, **named: str) -> Json:
    test = {"property": "x", "negate": negate} | other(operator, value_type, **named)
    return {"type": "event_count", "event_type": "view", "where": [test]}


def latest(operator: str, value_type: str, **named: str) -> Json:
    return {"type": "event_property", "event_type": "view", "property": "x"} | other(operator, value_type, **named)


LIMITS = [
    *(identify(user, limit=limit) for user, limit in [("a", 10), ("b", "10.0"), ("c", 9), ("d", None), ("e", True)]),
    *(event(user, x=10) for user in "abcdef"),
]
LATER = Event("a", "context_identified", AS_OF + timedelta(minutes=1), {"limit": 99})
EARLIER = Event("c", "context_identified", AS_OF - timedelta(minutes=5), {"limit": 10})

CASES = [
    *(
        Case(f"an event's number beside a trait: {name}", viewed(operator, "number", trait="limit"), LIMITS, expected)
        for name, operator, expected in [
            ("equal, however it is written", "eq", "ab"),
            ("unequal, or one is missing", "neq", "cdef"),
            ("more", "gt", "c"),
            ("at least", "gte", "abc"),
            ("less", "lt", ""),
        ]
    ),
    Case("what is missing passes no positive test, nor its like", latest("lte", "number", trait="none"), LIMITS, ""),
    Case("two that are missing are not equal", viewed("eq", "number", property="y"), [event("a", y=1), event("b")], ""),
    Case("a trait as it stood", viewed("eq", "number", trait="limit"), [*LIMITS, LATER, EARLIER], "ab"),
    Case(
        "an identify that comes later than the event counts",
        latest("eq", "string", trait="plan"),
        [event("a", 9, x="pro"), identify("a", plan="pro"), event("b", 9, x="pro"), identify("b", plan="Pro")],
        "a",
    ),
    Case(
        "capitals do not matter where they are not to",
        latest("eq", "string", trait="plan") | {"ignore_case": True},
        [event("a", x="PRO"), identify("a", plan="Pro"), event("b", x="pros"), identify("b", plan="pro")],
        "a",
    ),
    *(
        Case(
            f"two properties of one event: {occurrence}",
            latest("gt", "number", property="y") | {"occurrence": occurrence},
            [
                *(event("a", 3, x=2, y=1), event("a", 2, x=1, y=2)),
                *(event("b", 3, x=1, y=2), event("b", 2, x=2, y=1)),
                *(event("c", 3, x=3, y=2), event("c", 2, x=2, y=1)),
                *(event("d", 3, x=9), event("d", 2, y=0)),
            ],
            expected,
        )
        for occurrence, expected in [("latest", "bc"), ("first", "ac"), ("any", "abc"), ("every", "c")]
    ),
    *(
        Case(
            f"a trait beside a trait: {operator}",
            trait(operator, {"trait": "q.r"}, value_type="number"),
            [
                *(identify("a", p=2, q={"r": 1}), identify("b", p=1, q={"r": 1}), identify("c", p=1, q={"r": "2"})),
                *(identify("d", p=1), identify("e", q={"r": 1}), event("f")),
            ],
            expected,
        )
        for operator, expected in [("gt", "a"), ("lte", "bc"), ("eq", "b"), ("neq", "acdef")]
    ),
    *(
        Case(
            f"dates begin at local midnight: {operator}",
            trait(operator, {"trait": "q"}, value_type="datetime"),
            [
                identify("a", p="2026-06-01", q="2026-05-31T22:00:00Z"),
                identify("b", p="2026-06-01", q="2026-06-01"),
                identify("c", p="2026-06-01", q="2026-06-01T00:00:00Z"),
                identify("d", p="2026-06-01 00:00:00", q="2026-06-01"),
                identify("e", p="2026-06-31", q="2026-06-01"),
                identify("f", p="2026-06-02", q="yesterday"),
            ],
            expected,
            timezone="Europe/Madrid",
        )
        for operator, expected in [("eq", "ab"), ("before", "c"), ("after", "d"), ("neq", "cdef")]
    ),
    *(
        Case(
            f"a midnight that does not occur is the day's first instant: {zone}",
            trait("eq", {"trait": "q"}, value_type="datetime"),
            [identify("a", p=day, q=instant), identify("b", p=day, q=beside)],
            "a",
            timezone=zone,
        )
        for zone, day, instant, beside in [
            ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z", "2026-04-23T21:00:00Z"),
            ("Pacific/Apia", "2011-12-30", "2011-12-31", "2011-12-29"),
            ("Europe/Madrid", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-28T22:00:00Z"),
        ]
    ),
    Case(
        "numbers since 1970 beside texts",
        trait("eq", {"trait": "q"}, value_type="epoch_s"),
        [identify("a", p=86400, q="1970-01-02"), identify("b", p="86400", q="1970-01-02"), identify("c", p=1e300, q=1e300)],
        "a",
    ),
    Case(
        "each step's event beside the trait",
        {
            "type": "event_sequence",
            "events": [{"event_type": "view", "where": [{"property": "x"} | other("eq", "string", trait="city")]}, "cart"],
            "none_between": [{"event_type": "view", "where": [{"property": "x"} | other("neq", "string", trait="city")]}],
        },
        [
            *(identify("a", city="Vigo"), event("a", 9, x="Vigo"), event("a", 1, "cart")),
            *(identify("b", city="Vigo"), event("b", 9, x="Vigo"), event("b", 5, x="Lugo"), event("b", 1, "cart")),
            *(identify("c", city="Lugo"), event("c", 9, x="Vigo"), event("c", 1, "cart")),
        ],
        "a",
    ),
    Case(
        "days with several events that are like the trait",
        {"type": "event_periods", "event_type": "view", "period": "day", "last": 2, "operator": "eq", "value": 1}
        | {"min_per_period": 2, "where": [{"property": "x"} | other("eq", "string", trait="city")]},
        [identify("a", city="Vigo"), *[event("a", 9, x="Vigo")] * 2, event("b", 9, x="Vigo"), event("b", 8, x="Vigo")],
        "a",
    ),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
async def test_both_readings_find(module_clickhouse: ClickHouse, number):
    case = CASES[number]
    await store(module_clickhouse, number + 1, case.history)
    definition = {"logic": "AND", "conditions": [case.condition]}
    assert members(definition, case.history, as_of=case.as_of, tenant_zone=case.timezone) == set(case.expected)
    for way in WAYS:
        assert await compiled_members(module_clickhouse, number + 1, case, way) == set(case.expected), way


def bound(condition: Json, catalog: Catalog) -> Any:
    return bind(parse({"logic": "AND", "conditions": [condition]}), catalog, {})


UNTYPED = {"type": "user_property", "property": "p", "operator": "gt", "value": {"trait": "q"}}


def test_what_two_values_compare_as_is_said_or_declared():
    stored = {"p": Property("p", types=("number",)), "q": Property("q", types=("number",))}
    with pytest.raises(InvalidDefinition) as refused:
        bound(UNTYPED, Catalog(traits=stored))
    (finding,) = refused.value.findings
    assert (finding.pointer, finding.code) == ("/conditions/0/value_type", "missing_field")
    assert finding.suggestions == ("number",)
    for declared in ({"p": Property("p", declared="number")}, {"q": Property("q", declared="number")}):
        (condition,) = bound(UNTYPED, Catalog(traits=declared)).definition.conditions
        assert condition.value_type == "number"
    (condition,) = bound(UNTYPED | {"operator": "before"}, Catalog()).definition.conditions
    assert condition.operator == "before"


def test_names_and_types_of_the_other_value_are_looked_at():
    catalog = Catalog(
        event_types={"view": EventType("view", properties={"x": Property("x", types=("number",))})},
        traits={"plan": Property("plan", types=("string",), samples=("pro",))},
    )
    found = bound(viewed("eq", "number", trait="plans"), catalog).warnings
    assert ("/conditions/0/where/0/value/trait", "unknown_name") in {(one.pointer, one.code) for one in found}
    found = bound(viewed("eq", "number", property="z"), catalog).warnings
    assert ("/conditions/0/where/0/value/property", "unknown_name") in {(one.pointer, one.code) for one in found}
    found = bound(viewed("eq", "number", trait="plan"), catalog).warnings
    assert ("/conditions/0/where/0/value/trait", "value_type_unseen") in {(one.pointer, one.code) for one in found}


def test_what_is_compared_with_is_named():
    definition = decode(
        {"logic": "AND", "conditions": [viewed("eq", "number", trait="limit.a"), viewed("gt", "number", property="y")]}
    )
    assert traits_of(definition) == ("limit.a",)
    assert ("view", "y") in event_properties_of(definition)
    assert {"limit.a", "y"} <= set(names_of(definition))


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (trait("gt", {"trait": "q"}, value_type="number"), "whose p is more than their q"),
        (trait("neq", {"trait": "q"}, value_type="string"), "whose p is not their q (or one of the two is unknown)"),
        (viewed("lt", "number", property="y"), "who did “view” (where x is less than the event’s y)"),
        (
            latest("before", "datetime", trait="q") | {"negate": True},
            "whose x was not before their q the last time they did “view” (or one of the two was unknown, or they never did)",
        ),
    ],
)  # fmt: skip
def test_words(condition, words):
    told = describe_condition(decode({"logic": "AND", "conditions": [condition]}).conditions[0], {})
    assert told == words
