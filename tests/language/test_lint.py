"""Warnings about definitions that nobody or everybody meets: what is found, and that none is ever wrong."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from segment_copilot.compiler import bind
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog, EventType, Property
from segment_copilot.language.lint import lint
from tests.support.language.data_sets import draw_world
from tests.support.language.reference import IDENTIFY, Event, Person, Reading, people
from tests.support.language.reference_times import Clock
from tests.support.language.strategies import Draw

Json = dict[str, Any]

AS_OF = datetime(2026, 6, 15, 12, tzinfo=UTC)
USERS = 40


def warnings(definition: Json, *, as_of: datetime = AS_OF, timezone: str = "UTC") -> dict[str, str]:
    """Pointer → code."""
    parsed = parse(definition).definition
    assert parsed is not None, parse(definition).findings
    found = lint(parsed, as_of=as_of, timezone=timezone)
    assert len({finding.pointer for finding in found}) == len(found)
    return {finding.pointer: finding.code for finding in found}


def both(*conditions: Json) -> Json:
    return {"logic": "AND", "conditions": list(conditions)}


def some_of(least: int, *conditions: Json, negate: bool = False) -> Json:
    group = {"type": "group", "logic": "AT_LEAST", "at_least": least, "conditions": list(conditions)}
    return group | ({"negate": True} if negate else {})


def either(*conditions: Json) -> Json:
    return {"logic": "OR", "conditions": list(conditions)}


def group(definition: Json, **fields: Any) -> Json:
    return {"type": "group"} | definition | fields


def count(operator: str, value: Any, **fields: Any) -> Json:
    return {"type": "event_count", "event_type": "order", "operator": operator, "value": value} | fields


def trait(operator: str, *value: Any, **fields: Any) -> Json:
    return (
        {"type": "user_property", "property": "p", "operator": operator}
        | ({"value": value[0]} if value else {})
        | fields
    )


def latest(operator: str, *value: Any, **fields: Any) -> Json:
    return trait(operator, *value) | {"type": "event_property", "event_type": "order"} | fields


def recency(operator: str, days: int, **fields: Any) -> Json:
    return {"type": "recency", "event_type": "order", "operator": operator, "window_days": days} | fields


def spent(metric: str, operator: str, value: Any, **fields: Any) -> Json:
    return count(operator, value, type="monetary", property="total", metric=metric) | fields


def sample(start: float, end: float, salt: str = "a") -> Json:
    return {"type": "sample", "salt": salt, "from": start, "to": end}


MEASURED = {"measure": "count", "event_type": "a"}


def compared(operator: str, **fields: Any) -> Json:
    sides = {"left": MEASURED, "operator": operator, "right": MEASURED | {"event_type": "b"}}
    return {"type": "measure_compare"} | sides | fields


def periods(operator: str, value: Any) -> Json:
    return count(operator, value, type="event_periods", period="day", last=7)


def first_time(operator: str, value: Any, **fields: Any) -> Json:
    return count(operator, value, type="event_time") | fields


SEQUENCE: Json = {"type": "event_sequence", "events": ["cart", "order"]}
IN_WINDOW = {"window_days": 30}
BUYERS = group(either(count("gte", 1), trait("is_true")))

CONTRADICTIONS = {
    "none and some": both(count("eq", 0), count("gte", 1)),
    "none and some, in days and as a length": both(
        count("eq", 0, **IN_WINDOW), count("gte", 1, window={"last": "30d"})
    ),
    "never, and within a week": both(count("eq", 0), count("gte", 1, window_days=7)),
    "never, and lately": both(count("lt", 1), recency("lt", 7)),
    "never, and a value of the latest": both(count("eq", 0), latest("gt", 10)),
    "never, and spent": both(count("eq", 0), spent("sum", "gt", 0)),
    "between whole numbers": both(count("gt", 1), count("lt", 2)),
    "trait above and below": both(trait("gt", 10), trait("lt", 5)),
    "trait is two strings": both(trait("eq", "a"), trait("eq", "b")),
    "trait is none of those it is one of": both(trait("in", ["a", "b"]), trait("not_in", ["b", "a", "c"])),
    "prefixes": both(trait("starts_with", "ab"), trait("starts_with", "b")),
    "prefix and string, in any case": both(
        trait("starts_with", "Ab", ignore_case=True), trait("eq", "ba", ignore_case=True)
    ),
    "flag": both(trait("is_true"), trait("is_false")),
    "a value where none is": both(trait("is_not_set"), trait("contains", "a")),
    "dates": both(trait("before", "2026-01-01"), trait("after", "2026-02-01")),
    "equal days": both(trait("lt", "2026-01-01"), trait("gte", "2026-01-01T00:00:00Z")),
    "within a week but not within a month": both(trait("in_last", "7d"), trait("not_in_last", "30d")),
    "last week and next week": both(
        trait("in_window", {"period": "last_week"}), trait("in_window", {"period": "next_week"})
    ),
    "within a week, as a window": both(trait("in_window", {"last": "7d"}), trait("not_in_last", "30d")),
    "before a window": both(trait("in_window", {"from": "2026-06-01"}), trait("lt", "2026-06-01")),
    "born in two months": both(trait("anniversary_in", {"month": 6}), trait("anniversary_in", {"month": 7})),
    "whole days before today, and tomorrow": both(
        trait("in_window", {"last": "7d", "days": "complete"}), trait("in_window", {"period": "tomorrow"})
    ),
    "past and to come": both(trait("in_last", "7d"), trait("in_next", "7d")),
    "latest value": both(latest("gt", 10), latest("lt", 5)),
    "recency": both(recency("gt", 10), recency("lt", 5)),
    "recency, both ends in": both(recency("gte", 10), recency("lte", 5)),
    "sums": both(spent("sum", "gt", 100), spent("sum", "lte", 99)),
    "shares": both(sample(0, 50), sample(50, 100)),
    "periods": both(periods("gte", 5), periods("lt", 3)),
    "a rank and its negation": both(
        *({"type": "rank", "by": MEASURED, "top": 5, "negate": no} for no in (False, True))
    ),
    "a comparison of measures and its complement": both(compared("eq"), compared("neq")),
    "a comparison of measures and its negation": both(compared("gt"), compared("gt", negate=True)),
    "a sequence and its negation": both(SEQUENCE, SEQUENCE | {"negate": True}),
    "a group and its negation": both(BUYERS, BUYERS | {"negate": True}),
    "a group and the negation of its parts": both(BUYERS, count("eq", 0), trait("is_true", negate=True)),
    "across a nested group": both(count("eq", 0), group(both(trait("is_set"), count("gte", 1)))),
    "neither of two nested": both(group(either(trait("eq", 1), trait("eq", 2))), trait("eq", 3)),
    "negated tautology of a group": group(either(trait("is_set"), trait("is_not_set")), negate=True),
    "segment": both(*({"type": "segment_membership", "segment_id": 1, "operator": word} for word in ("in", "not_in"))),
    "excluded as included": both(count("gte", 1)) | {"exclude": either(trait("is_set"), count("gte", 1))},
    "excluded more widely": both(count("gte", 3)) | {"exclude": either(count("gte", 1))},
}
LEAF_CONTRADICTIONS = {
    "fewer than none": count("lt", 0),
    "eight of seven periods": periods("eq", 8),
    "any of none": latest("lt", "", value_type="string", occurrence="any"),
    "first time to come": first_time("in_next", "7d"),
    "first time tomorrow": first_time("in_window", {"period": "tomorrow"}),
    "below every string": trait("lt", "", value_type="string"),
    "negated tautology": count("gte", 0, negate=True),
}
TAUTOLOGIES = {
    "some or none": either(count("eq", 0), count("gte", 1)),
    "less or at least": either(count("lt", 3), count("gte", 3)),
    "set or not": either(trait("is_set"), trait("is_not_set")),
    "other than either": either(trait("neq", "a"), trait("neq", "b")),
    "shares": either(sample(0, 50), sample(50, 100)),
    "a sequence or its negation": either(SEQUENCE, SEQUENCE | {"negate": True}),
    "a group or its negation": either(BUYERS, BUYERS | {"negate": True}),
}
LEAF_TAUTOLOGIES = {
    "none or more": count("gte", 0),
    "all shares": sample(0, 100),
    "at most seven of seven": periods("lte", 7),
    "negated contradiction": trait("lt", "", value_type="string", negate=True),
}
POSSIBLE = {
    "some": both(count("gte", 1), count("lte", 1)),
    "another window": both(count("eq", 0, window_days=7), count("gte", 1, window_days=30)),
    "another filter": both(count("eq", 0, where=[{"property": "a", "operator": "is_set"}]), count("gte", 1)),
    "another type": both(trait("gt", 10), trait("lt", "5", value_type="string")),
    "another trait": both(trait("eq", "a"), trait("eq", "b") | {"property": "q"}),
    "1 and true": both(trait("contains", 1), trait("does_not_contain", True)),
    "not all have it": either(trait("gt", 1), trait("lte", 1)),
    "some never did": either(recency("gt", 5), recency("lte", 5)),
    "between whole numbers, of all numbers": both(trait("gt", 1), trait("lt", 2)),
    "nothing is a sum of 0": both(count("eq", 0), spent("sum", "eq", 0)),
    "nothing is no average": both(count("eq", 0), spent("avg", "gt", 0, negate=True)),
    "negative operators hold without a value": both(trait("is_not_set"), trait("neq", "a")),
    "any of several": both(latest("eq", 1, occurrence="any"), latest("eq", 2, occurrence="any")),
    "months and days": both(trait("in_last", "1mo"), trait("not_in_last", "30d")),
    "this week and last month": both(
        trait("in_window", {"period": "this_week"}), trait("in_window", {"period": "last_month"})
    ),
    "a day of June and of this week": both(
        trait("anniversary_in", {"month": 6}), trait("anniversary_in", {"period": "last_week"})
    ),
    "days and a length": both(
        trait("in_window", {"last": "1d"}), trait("in_window", {"last": "2d", "days": "complete"})
    ),
    "in millionths these are equal": both(spent("sum", "gte", 1.0000002), spent("sum", "lte", 1.0000001)),
    "other salts": both(sample(0, 50), sample(50, 100, salt="b")),
    "at another time of the day": both(count("eq", 0, at={"weekdays": ["mon"]}), count("gte", 1)),
    "two of three that agree": both(some_of(2, trait("eq", 1), trait("eq", 2), trait("gt", 0))),
    "included and not excluded": both(count("gte", 1)) | {"exclude": both(count("gte", 1), trait("is_set"))},
}


def cases(definitions: dict[str, Json], pointer: str) -> list[Any]:
    return [pytest.param(definition, pointer, id=name) for name, definition in definitions.items()]


@pytest.mark.parametrize(("definition", "pointer"), cases(CONTRADICTIONS, "") + cases(LEAF_CONTRADICTIONS, "leaf"))
def test_what_nobody_can_meet_is_a_contradiction(definition: Json, pointer: str):
    if "type" in definition:
        definition, pointer = both(trait("is_set"), definition), "/conditions/1"
    assert warnings(definition) == {pointer: "contradiction"}


@pytest.mark.parametrize(("definition", "pointer"), cases(TAUTOLOGIES, "") + cases(LEAF_TAUTOLOGIES, "leaf"))
def test_what_everybody_meets_is_a_tautology(definition: Json, pointer: str):
    if "type" in definition:
        definition, pointer = both(trait("is_set"), definition), "/conditions/1"
    assert warnings(definition) == {pointer: "tautology"}


@pytest.mark.parametrize("definition", [pytest.param(each, id=name) for name, each in POSSIBLE.items()])
def test_what_somebody_may_meet_is_neither(definition: Json):
    assert warnings(definition) == {}


def test_the_cause_is_named_once_and_where_it_is():
    inner = group(both(trait("gt", 10), trait("lt", 5)))

    assert warnings(both(inner, count("gte", 1))) == {"/conditions/0": "contradiction"}
    assert warnings(either(count("gte", 1)) | {"exclude": both(inner)}) == {"/exclude/conditions/0": "contradiction"}


def test_it_says_which_conditions():
    parsed = parse(both(count("gte", 1), trait("gt", 10), trait("lt", 5))).definition
    assert parsed is not None

    (found,) = lint(parsed, as_of=AS_OF, timezone="UTC")

    assert found.detail == "No user can match: conditions 2 and 3 exclude one another."


def test_so_many_of_several_may_be_more_than_ever_hold_or_fewer_than_always_do():
    values = [trait("eq", value) for value in (1, 2, 3)]
    assert warnings(both(some_of(2, *values), count("gte", 1))) == {"/conditions/0": "contradiction"}
    assert warnings(both(some_of(2, *values, negate=True), count("gte", 1))) == {"/conditions/0": "tautology"}
    anyway = [count("gte", 1), count("eq", 0), trait("is_set")]
    assert warnings(both(some_of(1, *anyway), count("gte", 1))) == {"/conditions/0": "tautology"}
    assert warnings(both(some_of(3, *anyway), count("gte", 1))) == {"/conditions/0": "contradiction"}
    many = [trait("eq", value) for value in range(40)]
    assert warnings(both(some_of(20, *many), count("gte", 1))) == {}  # too many choices to look through


def test_the_tests_of_a_filter_are_looked_at_too():
    tests = [{"property": "a", "operator": "gt", "value": 2}, {"property": "a", "operator": "lt", "value": 1}]
    assert warnings(both(count("gte", 1, where=tests))) == {"/conditions/0/where": "contradiction"}

    step = {"event_type": "order", "where": {"logic": "OR", "conditions": [tests[0], tests[0] | {"negate": True}]}}
    sequence = {"type": "event_sequence", "events": ["cart", step]}
    assert warnings(both(sequence)) == {"/conditions/0/events/1/where": "tautology"}


@pytest.mark.parametrize(
    ("condition", "where"),
    [
        pytest.param(count("gte", 1, window={"from": "2026-06-16"}), "window", id="begins tomorrow"),
        pytest.param(
            compared("gt", right=MEASURED | {"window": {"from": "2026-06-16"}}),
            "right/window",
            id="a measure's begins tomorrow",
        ),
        pytest.param(count("gte", 1, window={"from": "2026-06-15T12:00:00.000001Z"}), "window", id="just after as_of"),
        pytest.param(count("gte", 1, window={"to": "1900-01-01"}), "window", id="before everything"),
        pytest.param(SEQUENCE | {"search_window": {"from": "2027-01-01"}}, "search_window", id="of a sequence"),
        pytest.param(first_time("after", "2026-06-15"), "value", id="first time after today"),
    ],
)
def test_a_window_in_which_nothing_can_have_happened(condition: Json, where: str):
    assert warnings(both(condition)) == {f"/conditions/0/{where}": "unreachable_window"}


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(count("gte", 1, window={"from": "2026-06-15T12:00:00Z"}), id="begins now"),
        pytest.param(count("gte", 1, window={"from": "2026-06-15", "to": "2026-07-01"}), id="ends later"),
        pytest.param(count("gte", 1, window={"period": "today"}), id="today"),
        pytest.param(first_time("gte", "2026-06-15"), id="first time today or later"),
        pytest.param(first_time("after", "2026-06-15", negate=True), id="not after today"),
    ],
)
def test_a_window_that_reaches_as_of_is_in_order(condition: Json):
    assert warnings(both(condition)) == {}


def test_a_bare_date_begins_in_the_time_zone():
    tomorrow = both(count("gte", 1, window={"from": "2026-06-16"}))

    assert warnings(tomorrow, timezone="Pacific/Auckland") == {}
    assert warnings(tomorrow | {"timezone": "UTC"}, timezone="Pacific/Auckland") == {
        "/conditions/0/window": "unreachable_window"
    }


def test_an_event_type_that_only_a_schema_names_was_never_received():
    types = {"order": EventType("order"), "orders_placed": EventType("orders_placed", event_count=3)}

    bound = bind(parse(both(count("gte", 1))), Catalog(event_types=types), {})

    (found,) = bound.warnings
    assert (found.pointer, found.code) == ("/conditions/0/event_type", "never_received")
    assert found.suggestions == ("orders_placed",)


def test_a_property_that_only_a_schema_names_was_never_received_unless_none_of_its_events_was():
    named = {path: Property(path, declared="number", schema_type="number") for path in ("total", "to.zip")}
    seen = {"status": Property("status", ("string",), schema_type="string"), "note": Property("note", ("string",))}
    test = [{"property": path, "operator": "is_set"} for path in ("total", "to", "status", "note")]
    condition = both(count("gte", 1, where=test))

    received = Catalog(event_types={"order": EventType("order", event_count=3, properties=named | seen)})
    assert [(one.pointer, one.code) for one in bind(parse(condition), received, {}).warnings] == [
        ("/conditions/0/where/0/property", "never_received"),
        ("/conditions/0/where/1/property", "never_received"),
    ]
    coming = Catalog(event_types={"order": EventType("order", properties=named | seen)})
    assert [(one.pointer, one.code) for one in bind(parse(condition), coming, {}).warnings] == [
        ("/conditions/0/event_type", "never_received")
    ]
    trait = both({"type": "user_property", "property": "total", "operator": "is_set"})
    (found,) = bind(parse(trait), Catalog(traits=named), {}).warnings
    assert (found.pointer, found.code) == ("/conditions/0/property", "never_received")


# No warning is ever wrong.


class Narrow(Draw):
    """Draws conditions about few things with few values, which often contradict one another or leave nobody out."""

    def leaf(self, segment_ids: Any = ()) -> Json:  # noqa: ARG002  # these refer to no segment
        kinds = [
            lambda: {"type": "user_property", "property": "amount"} | self.test((0, 1, 2, 10)),
            lambda: {"type": "user_property", "property": "status"} | self.text(),
            lambda: {"type": "user_property", "property": "at"} | self.day(),
            lambda: {
                "type": "user_property",
                "property": "flag",
                "operator": self.one(["is_true", "is_false", "is_set"]),
            },
            lambda: count("eq", 0) | {"event_type": "view"} | self.test((0, 1, 2)) | self.near(),
            lambda: recency(self.one(["gt", "gte", "lt", "lte", "eq"]), self.one([1, 2, 7]), event_type="view"),
            lambda: {"type": "event_time", "event_type": "view"} | self.day(),
            lambda: (
                spent(self.one(["sum", "avg", "min", "count_distinct"]), "eq", 0)
                | {"event_type": "view", "property": "amount"}
                | self.test((0, 1, 2, 0.3))
                | self.near()
            ),
            lambda: (
                {"type": "event_property", "event_type": "view", "property": "amount"}
                | self.test((1, 2))
                | {"occurrence": self.one(["latest", "first", "any", "every"])}
                | self.near()
            ),
            lambda: sample(*self.one([(0, 50), (50, 100), (0, 100), (20, 70)])),
            lambda: (
                count("eq", 0, type="event_periods", period="day", last=2, event_type="view") | self.test((0, 1, 2))
            ),
            lambda: count("gte", 1, event_type="view", where=[self.property_of_event() for _ in range(2)]),
        ]
        return self.one(kinds)() | self.negate()

    def test(self, values: Any) -> Json:
        return self.one([self.equality(values), self.order(values), self.order(values)])

    def text(self) -> Json:
        texts = ("a", "A", "ab", "b", "")
        start = {"operator": self.one(["starts_with", "contains", "does_not_contain"]), "value": self.one(texts)}
        test = self.one([self.equality(texts), self.choice(texts), self.order(texts), start])
        return self.one([test | self.any_case(), {"operator": self.one(["is_set", "is_not_set"])}])

    def day(self) -> Json:
        ends = ("2026-06-01", "2026-06-01T00:00:00Z", "2026-06-15", "2026-03-29T02:30:00")
        lengths = {"operator": self.one(["in_last", "not_in_last", "in_next"]), "value": self.one(["1d", "7d", "1mo"])}
        window = {"operator": self.one(["in_window", "not_in_window"]), "value": self.date_window()}
        season = {"operator": "anniversary_in", "value": self.one([{"month": 6}, {"month": 7}, {"period": "today"}])}
        sided = {"operator": self.one(["before", "after"]), "value": self.one(ends)}
        return self.one([self.order(ends), sided, lengths, window, season])

    def date_window(self) -> Json:
        calendar = {"period": self.one(["today", "tomorrow", "this_week", "last_week", "next_month", "this_month"])}
        days = {"last": self.one(["1d", "7d"])} | self.one([{}, {"days": "complete"}, {"days": "with_today"}])
        fixed = self.one([{"from": "2026-06-15"}, {"to": "2026-06-15"}, {"from": "2026-06-01", "to": "2026-06-15"}])
        return self.one([calendar, calendar, days, fixed, {"between": self.one([["7d", "1d"], ["1mo", "7d"]])}])

    def near(self) -> Json:
        return self.one([{}, {}, {"window_days": 7}, {"window": {"last": "7d"}}, {"window": {"from": "2026-06-15"}}])

    def property_of_event(self) -> Json:
        return {"property": "amount"} | self.test((0, 1, 2)) | self.negate()


def holds(reading: Reading, definition: Json, pointer: str, person: Person, zone: str) -> list[bool]:
    """What stands at *pointer*, read for a person: of a filter, for each of their events; of a window, whether any is in it."""
    clock = Clock(reading.as_of, ZoneInfo(definition.get("timezone") or zone))
    if pointer == "":
        return [reading.has(definition, person)]
    steps = pointer.split("/")[1:]
    node: Any = definition
    for number, step in enumerate(steps):
        if step in {"window", "search_window"}:
            anything = {"type": "event_count", "window": node[step]}
            return [reading.holds(anything | {"event_type": name}, person, clock) for name in ("*", IDENTIFY)]
        if step == "value":
            break
        if step == "where":
            return holds_for_events(reading, node, steps[number:], person, clock)
        node = node[int(step)] if isinstance(node, list) else node[step]
    if isinstance(node, list):
        return [reading.has({name: definition[name] for name in definition if name != "exclude"}, person)]
    if "type" not in node:
        return [reading.has(node | {"timezone": clock.zone.key}, person)]
    return [reading.holds(node, person, clock)]


def holds_for_events(reading: Reading, match: Json, steps: list[str], person: Person, clock: Clock) -> list[bool]:
    where = match["where"]
    if steps[-1].isdigit():
        where = [(where if isinstance(where, list) else where["conditions"])[int(steps[-1])]]
    return [reading._where(event, {"event_type": "*", "where": where}, clock, person) for event in person.events]


def wrong_warnings(draw: Draw, definitions: int) -> tuple[list[str], Counter[str]]:
    wrong, seen = list[str](), Counter[str]()
    zone = draw.one(draw.world.zones)
    history: list[Event] = [event for number in range(USERS) for event in draw.history(f"u{number}")]
    for as_of in draw.world.as_ofs:
        universe = people(history, as_of)
        reading = Reading(as_of, zone, {}, {})
        for _ in range(definitions):
            definition = draw.definition()
            for pointer, code in warnings(definition, as_of=as_of, timezone=zone).items():
                seen[code] += 1
                verdicts = [
                    one for person in universe.values() for one in holds(reading, definition, pointer, person, zone)
                ]
                if any(verdict is (code != "tautology") for verdict in verdicts):
                    wrong.append(f"{code} at {pointer!r}: {definition}")
    return wrong, seen


@pytest.mark.parametrize("seed", range(4))
def test_a_contradiction_finds_nobody_and_a_tautology_everybody(seed: int):
    wrong, seen = wrong_warnings(Narrow(seed, draw_world(seed)), 600)

    assert wrong == []
    assert seen["contradiction"] > 100
    assert seen["tautology"] > 40


@pytest.mark.parametrize("seed", range(3))
def test_no_warning_about_any_definition_is_wrong(seed: int):
    wrong, seen = wrong_warnings(Draw(seed, draw_world(seed)), 400)

    assert wrong == []
    assert seen
