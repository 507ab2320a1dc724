"""The reference interpreter against the language's own sentences, so that it may be trusted as the oracle."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.language import reference
from tests.support.language.reference import Event, accept, members
from tests.support.language.reference_times import Clock, Span, day_span, shift, window_span
from tests.support.language.reference_values import MISSING, as_number, look_up, passes

AS_OF = datetime(2026, 6, 15, 12, tzinfo=UTC)  # a Monday
MADRID = ZoneInfo("Europe/Madrid")
MICROSECOND = timedelta(microseconds=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def ago(**length: float) -> datetime:
    return AS_OF - timedelta(**length)


def event(user: str, when: datetime, kind: str = "order", event_id: str = "", **payload: Any) -> Event:
    return Event(user, kind, when, payload, event_id)


def identify(user: str, when: datetime = AS_OF, event_id: str = "", **traits: Any) -> Event:
    return Event(user, "context_identified", when, traits, event_id)


def find(condition: dict[str, Any], *history: Event, as_of: datetime = AS_OF, **options: Any) -> str:
    """The members of a segment of this one condition, as one string of their ids, in order."""
    definition = {"logic": "AND", "conditions": [condition]}
    return "".join(sorted(members(definition, history, as_of=as_of, **options)))


def order_count(**fields: Any) -> dict[str, Any]:
    return {"type": "event_count", "event_type": "order", **fields}


def trait(**fields: Any) -> dict[str, Any]:
    return {"type": "user_property", "property": "p", **fields}


def test_the_interpreter_shares_no_code_with_the_compiler():
    for path in Path(reference.__file__).parent.glob("reference*.py"):
        assert "segment_copilot" not in path.read_text()


# The universe, logic, negation.


def test_the_universe_is_everyone_seen_in_an_event_or_identify_up_to_as_of():
    everyone = order_count(operator="gte", value=0)
    history = [event("a", AS_OF), identify("b"), event("c", AS_OF + MICROSECOND), identify("d", AS_OF + MICROSECOND)]
    assert find(everyone, *history) == "ab"


def test_groups_nest_and_negate_is_the_complement():
    history = [event("a", ago(days=1)), event("b", ago(days=1), "view"), identify("c")]
    ordered, viewed = order_count(), order_count(event_type="view")
    either = {"type": "group", "logic": "or", "conditions": [ordered, viewed]}
    assert find(either, *history) == "ab"
    assert find(either | {"negate": True}, *history) == "c"
    assert find(ordered | {"negate": True}, *history) == "bc"
    assert find({"type": "group", "logic": "AND", "conditions": [ordered, viewed]}, *history) == ""


def test_who_matches_the_exclusion_is_out():
    definition = {
        "logic": "OR",
        "conditions": [order_count(), order_count(event_type="view")],
        "exclude": {"logic": "AND", "conditions": [order_count(event_type="view")]},
    }
    history = [event("a", AS_OF), event("b", AS_OF, "view"), event("b", AS_OF), identify("c")]
    assert members(definition, history, as_of=AS_OF) == {"a"}


# Events.


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [("order", "a"), (["order", "view"], "ab"), ("*", "ab"), ("context_identified", "c"), ("never", "")],
)
def test_an_identify_is_an_event_only_where_it_is_named(event_type, expected):
    history = [event("a", AS_OF), event("b", AS_OF, "view"), identify("c", plan="pro")]
    assert find(order_count(event_type=event_type), *history) == expected


def test_an_identify_that_is_named_has_its_traits_as_payload():
    where = [{"property": "plan", "operator": "eq", "value": "pro"}]
    condition = order_count(event_type="context_identified", where=where)
    assert find(condition, identify("a", plan="pro"), identify("b", plan="free")) == "a"


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("gte", 1, "bc"),
        ("lte", 1, "ab"),
        ("lt", 2, "ab"),
        ("eq", 0, "a"),
        ("neq", 0, "bc"),
        ("gt", 1, "c"),
        ("between", [1, 2], "bc"),
        ("not_between", [1, 2], "a"),
    ],
)
def test_a_count_over_no_events_is_zero(operator, value, expected):
    history = [identify("a"), event("b", AS_OF), event("c", AS_OF), event("c", AS_OF)]
    assert find(order_count(operator=operator, value=value), *history) == expected


def test_the_first_delivery_of_an_id_wins_across_users_and_kinds():
    history = [
        event("a", AS_OF, event_id="1", total=5),
        event("b", AS_OF, event_id="1", total=7),
        identify("c", event_id="1"),
        event("a", AS_OF, event_id="1"),
        event("d", AS_OF),
        event("d", AS_OF),
    ]
    assert find(order_count(operator="eq", value=1), *history) == "a"
    assert find(order_count(operator="eq", value=2), *history) == "d"
    assert find(order_count(operator="gte", value=0), *history) == "ad"


def test_an_id_is_remembered_for_ninety_days_after_its_acceptance():
    first = datetime(2026, 1, 1, tzinfo=UTC)
    again = [first + timedelta(days=days) for days in (0, 90, 91, 92)]
    assert len(accept(Event("a", "order", AS_OF, {}, "1", accepted_at) for accepted_at in again)) == 2


def test_where_tests_must_all_hold_on_the_same_event_unless_joined_by_or():
    tests = [{"property": "x", "operator": "eq", "value": 1}, {"property": "y", "operator": "eq", "value": 1}]
    history = [event("a", AS_OF, x=1, y=1), event("b", AS_OF, x=1), event("b", AS_OF, y=1)]
    assert find(order_count(where=tests), *history) == "a"
    assert find(order_count(where={"logic": "OR", "conditions": tests}), *history) == "ab"
    negated = [{**tests[0], "negate": True}]
    assert find(order_count(where=negated), *history) == "b"


# Windows.


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        ({"window_days": 7}, [ago(days=7), AS_OF], [ago(days=7) - MICROSECOND, AS_OF + MICROSECOND]),
        ({"window_days": 0}, [AS_OF], [AS_OF - MICROSECOND, AS_OF + MICROSECOND]),
        ({"window": {"last": "36h"}}, [ago(hours=36)], [ago(hours=36) - MICROSECOND]),
        ({"window": {"last": "90m"}}, [ago(minutes=90)], [ago(minutes=90) - MICROSECOND]),
        ({"window": {"last": "2w"}}, [ago(days=14)], [ago(days=14) - MICROSECOND]),
        ({"window": {"last": "1mo"}}, [at("2026-05-15T12:00Z")], [at("2026-05-15T12:00Z") - MICROSECOND]),
        ({"window": {"last": "1y"}}, [at("2025-06-15T12:00Z")], [at("2025-06-15T12:00Z") - MICROSECOND]),
        (
            {"window": {"between": ["10d", "7d"]}},
            [ago(days=10), ago(days=7)],
            [ago(days=10) - MICROSECOND, ago(days=7) + MICROSECOND],
        ),
        ({"window": {"between": ["10d", "0d"]}}, [ago(days=10), AS_OF], [AS_OF + MICROSECOND]),
        (
            {"window": {"from": "2026-06-01", "to": "2026-06-03T10:00:00Z"}},
            [at("2026-06-01T00:00Z"), at("2026-06-03T10:00Z") - MICROSECOND],
            [at("2026-06-01T00:00Z") - MICROSECOND, at("2026-06-03T10:00Z")],
        ),
        ({"window": {"from": "2026-06-15"}}, [at("2026-06-15T00:00Z"), AS_OF], [AS_OF + MICROSECOND]),
        ({"window": {"to": "2026-06-01"}}, [at("1950-01-01T00:00Z")], [at("2026-06-01T00:00Z")]),
        ({"window": {"to": "2027-06-01"}}, [AS_OF], [AS_OF + MICROSECOND]),
        ({"window": {"period": "today"}}, [at("2026-06-15T00:00Z"), AS_OF], [at("2026-06-14T23:59Z")]),
        ({"window": {"period": "yesterday"}}, [at("2026-06-14T00:00Z")], [at("2026-06-15T00:00Z")]),
        ({"window": {"period": "this_week"}}, [at("2026-06-15T00:00Z")], [at("2026-06-14T23:59Z")]),
        ({"window": {"period": "last_week"}}, [at("2026-06-08T00:00Z")], [at("2026-06-07T23:59Z"), AS_OF]),
        ({"window": {"period": "last_month"}}, [at("2026-05-31T23:59Z")], [at("2026-04-30T23:59Z"), AS_OF]),
        ({"window": {"period": "this_quarter"}}, [at("2026-04-01T00:00Z")], [at("2026-03-31T23:59Z")]),
        ({"window": {"period": "last_quarter"}}, [at("2026-01-01T00:00Z")], [at("2026-04-01T00:00Z")]),
        ({"window": {"period": "last_year"}}, [at("2025-01-01T00:00Z")], [at("2026-01-01T00:00Z")]),
        ({}, [at("1900-01-01T00:00Z"), AS_OF], [AS_OF + MICROSECOND]),
    ],
)
def test_a_window_has_these_ends(window, inside, outside):
    span = window_span(window, Clock(AS_OF, ZoneInfo("UTC")))
    assert [span.holds(instant) for instant in inside] == [True] * len(inside)
    assert [span.holds(instant) for instant in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    ("instant", "length", "expected"),
    [
        ("2026-03-31T10:00Z", (-1, "mo"), "2026-02-28T11:00Z"),  # the month clamps, the wall time stays: 12:00
        ("2024-02-29T10:00Z", (-1, "y"), "2023-02-28T10:00Z"),
        ("2026-03-29T10:00Z", (-1, "d"), "2026-03-28T11:00Z"),  # that day had 23 hours
        ("2026-03-29T10:00Z", (-24, "h"), "2026-03-28T10:00Z"),
        ("2026-03-30T00:30Z", (-1, "d"), "2026-03-29T01:30Z"),  # 02:30 does not occur: 03:30
        ("2026-10-26T01:30Z", (-1, "d"), "2026-10-25T00:30Z"),  # 02:30 occurs twice: the first
        ("2026-10-25T01:30Z", (0, "d"), "2026-10-25T01:30Z"),  # nothing to step
    ],
)
def test_calendar_steps_keep_the_wall_time_and_hours_do_not(instant, length, expected):
    assert shift(at(instant), *length, MADRID) == at(expected)


def test_steps_past_the_ends_of_time_stop_there():
    assert shift(AS_OF, -36_500, "y", MADRID) < at("1900-01-01T00:00Z")
    assert shift(AS_OF, 36_500, "y", MADRID) > at("2299-12-31T00:00Z")


def test_a_local_day_begins_at_its_first_instant():
    cairo = day_span(datetime(2026, 4, 24).date(), ZoneInfo("Africa/Cairo"))  # noqa: DTZ001  (midnight does not occur)
    assert cairo == Span(at("2026-04-23T22:00Z"), at("2026-04-24T21:00Z"))
    havana = day_span(datetime(2026, 11, 1).date(), ZoneInfo("America/Havana"))  # noqa: DTZ001  (it occurs twice)
    assert havana == Span(at("2026-11-01T04:00Z"), at("2026-11-02T05:00Z"))
    monrovia = day_span(datetime(1972, 1, 7).date(), ZoneInfo("Africa/Monrovia"))  # noqa: DTZ001  (a gap of 44:30)
    assert monrovia.start == at("1972-01-07T00:44:30Z")


def test_the_definition_s_zone_stands_before_the_tenant_s():
    history = [event("a", at("2026-06-14T22:30Z"))]
    today = order_count(window={"period": "today"})
    assert find(today, *history) == ""
    assert find(today, *history, tenant_zone="Europe/Madrid") == "a"
    zoned = {"logic": "AND", "conditions": [today], "timezone": "UTC"}
    assert members(zoned, history, as_of=AS_OF, tenant_zone="Europe/Madrid") == set()


# Recency.


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("gt", "e"), ("gte", "de"), ("lt", "ab"), ("lte", "abd"), ("eq", "d"), ("between", "de")],
)
def test_recency_compares_the_age_of_the_last_event(operator, expected):
    history = [
        event("a", AS_OF),
        event("b", ago(days=2) + MICROSECOND),
        event("b", ago(days=9)),
        event("d", ago(days=2)),
        event("e", ago(days=3)),
        identify("f"),
    ]
    condition = {"type": "recency", "event_type": "order", "operator": operator, "window_days": 2}
    if operator == "between":
        condition["value2"] = 3
    assert find(condition, *history) == expected
    assert find(condition | {"negate": True}, *history) == "".join(sorted(set("abdef") - set(expected)))


def test_recency_eq_compares_whole_elapsed_days():
    condition = {"type": "recency", "event_type": "order", "operator": "eq", "window_days": 2}
    history = [event("a", ago(days=3) + MICROSECOND), event("b", ago(days=3)), event("c", ago(days=2) + MICROSECOND)]
    assert find(condition, *history) == "a"


# When the first or last one happened.


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"operator": "in_last", "value": "30d"}, "b"),
        ({"operator": "in_last", "value": "30d", "occurrence": "last"}, "ab"),
        ({"operator": "not_in_last", "value": "30d"}, "ac"),
        ({"operator": "before", "value": "2026-06-14"}, "a"),
        ({"operator": "eq", "value": "2026-06-14"}, "b"),
        ({"operator": "is_not_set"}, "c"),
    ],
)
def test_event_time_tests_the_first_or_last_event(fields, expected):
    history = [event("a", ago(days=90)), event("a", ago(days=1)), event("b", ago(days=1)), identify("c")]
    assert find({"type": "event_time", "event_type": "order", **fields}, *history) == expected


# Aggregates.


@pytest.mark.parametrize(
    ("metric", "operator", "value", "expected"),
    [
        ("sum", "eq", 0.3, "a"),
        ("sum", "lte", 0, "cd"),
        ("avg", "eq", 0.15, "a"),
        ("avg", "lt", 100, "ab"),
        ("avg", "neq", 0.15, "bcd"),
        ("min", "eq", 0.1, "a"),
        ("max", "gte", 0.2, "ab"),
        ("max", "not_between", [0, 1], "bcd"),
        ("median", "eq", 0.15, "a"),
        ("count_distinct", "eq", 0, "d"),
        ("count_distinct", "eq", 1, "c"),
        ("count_distinct", "eq", 4, "b"),
    ],
)
def test_aggregates_take_the_present_values_of_their_type(metric, operator, value, expected):
    history = [
        event("a", AS_OF, x=0.1),
        event("a", AS_OF, x="0.2"),
        *(event("b", AS_OF, x=value) for value in (5, 5.0, "5", True, "007", None, [1], {"y": 1})),
        event("c", AS_OF, x="many"),
        identify("d"),
    ]
    condition = {"type": "monetary", "event_type": "order", "property": "x", "metric": metric}
    assert find(condition | {"operator": operator, "value": value}, *history) == expected


def test_sums_add_whole_millionths():
    condition = {"type": "monetary", "event_type": "order", "property": "x", "operator": "eq"}
    tiny = [event("a", AS_OF, x=0.0000005), event("b", AS_OF, x=0.0000015)]  # ties to even: 0 and 2 millionths
    assert find(condition | {"metric": "sum", "value": 0}, *tiny) == "a"
    assert find(condition | {"metric": "sum", "value": 0.000002}, *tiny) == "b"
    large = [event("a", AS_OF, x=9e12), event("a", AS_OF, x=9.1e12), event("a", AS_OF, x=-9.1e12)]
    assert find(condition | {"metric": "sum", "value": 9e12}, *large) == "a"
    assert find(condition | {"metric": "max", "value": 9.1e12}, *large) == "a"
    assert find(condition | {"metric": "avg", "value": 9e12}, *large) == "a"


def test_avg_compares_the_sum_with_bound_times_count():
    condition = {"type": "monetary", "event_type": "order", "property": "x", "metric": "avg", "operator": "eq"}
    thirds = [event("a", AS_OF, x=1), event("a", AS_OF, x=0), event("a", AS_OF, x=0)]
    assert find(condition | {"value": 1 / 3}, *thirds) == ""


# One property.


@pytest.mark.parametrize(
    ("occurrence", "test", "expected"),
    [
        ("latest", {"operator": "eq", "value": 1}, "b"),
        ("latest", {"operator": "neq", "value": 1}, "acd"),
        ("latest", {"operator": "is_not_set"}, "cd"),
        ("first", {"operator": "eq", "value": 1}, "ac"),
        ("any", {"operator": "eq", "value": 1}, "abc"),
        ("any", {"operator": "neq", "value": 1}, "abc"),
        ("every", {"operator": "is_set"}, "ab"),
        ("every", {"operator": "neq", "value": 7}, "abc"),
        ("any", {"operator": "eq", "value": 1, "negate": True}, "d"),
    ],
)
def test_the_occurrence_chooses_which_events_decide(occurrence, test, expected):
    history = [
        event("a", ago(days=2), x=1),
        event("a", ago(days=1), x=2),
        event("b", ago(days=2), x=2),
        event("b", ago(days=1), x="1"),
        event("c", ago(days=2), x=1),
        event("c", ago(days=1), x=None),
        identify("d"),
    ]
    condition = {"type": "event_property", "event_type": "order", "property": "x", "occurrence": occurrence, **test}
    assert find(condition, *history) == expected


def test_ties_in_time_break_by_the_bytes_of_the_event_id():
    condition = {"type": "event_property", "event_type": "order", "property": "x", "operator": "eq", "value": 1}
    assert find(condition, event("a", AS_OF, event_id="é", x=1), event("a", AS_OF, event_id="z", x=2)) == "a"
    assert find(condition, event("a", AS_OF, event_id="10", x=2), event("a", AS_OF, event_id="9", x=1)) == "a"
    assert find(condition, event("a", AS_OF, x=2), event("a", AS_OF, x=1)) == "a"  # the order of acceptance


def test_traits_merge_key_by_key_as_they_stood_at_as_of():
    history = [
        identify("a", ago(days=1), p=2, q=1),
        identify("a", ago(days=2), p=1, r=1),
        identify("a", AS_OF + MICROSECOND, p=9),
        identify("b", ago(days=2), p=2),
        identify("b", ago(days=1), p=None),
        identify("c", ago(days=2), p={"x": 1, "y": 2}),
        identify("c", ago(days=1), p={"x": 3}),
        identify("d", AS_OF, "1", p=1),
        identify("d", AS_OF, "2", p=2),
    ]
    assert find(trait(operator="eq", value=2), *history) == "ad"
    assert find(trait(operator="is_not_set"), *history) == "b"
    assert find(trait(operator="eq", value=3, property="p.x"), *history) == "c"
    assert find(trait(operator="is_set", property="p.y"), *history) == ""
    assert find(trait(operator="eq", value=1, property="r"), *history) == "a"


# Paths and values.


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", {"b": 1, "c.d": 2, "e\\": [{"f": 3}], "n": None}),
        ("a.b", 1),
        (r"a.c\.d", 2),
        ("a.c.d", MISSING),
        (r"a.e\\", [{"f": 3}]),
        (r"a.e\\.f", MISSING),
        ("a.n", MISSING),
        ("a.b.x", MISSING),
        ("z", MISSING),
    ],
)
def test_paths_walk_objects_only(path, expected):
    payload = {"a": {"b": 1, "c.d": 2, "e\\": [{"f": 3}], "n": None}}
    assert look_up(payload, path) == expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        *((text, float(text)) for text in ("89.95", "10.0", "1e3", "-0", "0", "1E+2", "-1.5e-3")),
        *((text, None) for text in ("", " 10", "10 ", "1,000", "NaN", "0x10", "007", "+5", ".5", "5.", "1e400", "inf")),
        *((text, None) for text in ("10\n", "١", "-", "1e", "--1")),
        *((value, None) for value in (True, False, [1], {"a": 1}, 10**400)),
        (10**19, 1e19),
        (2**53 + 1, 2.0**53),
    ],
)
def test_numbers_are_json_numbers_and_strings_that_are_one(stored, expected):
    assert as_number(stored) == expected


TRUE, FALSE = True, False


@pytest.mark.parametrize(
    ("test", "stored", "expected"),
    [
        # types never mix
        ({"operator": "eq", "value": 1}, True, FALSE),
        ({"operator": "eq", "value": 1}, "1.0", TRUE),
        ({"operator": "eq", "value": "1"}, 1, FALSE),
        ({"operator": "neq", "value": "1"}, 1, TRUE),
        ({"operator": "eq", "value": True}, "true", FALSE),
        ({"operator": "eq", "value": True}, 1, FALSE),
        ({"operator": "in", "value": [True]}, True, TRUE),
        ({"operator": "in", "value": [1, 2]}, "2", TRUE),
        ({"operator": "not_in", "value": ["a"]}, MISSING, TRUE),
        ({"operator": "is_true"}, True, TRUE),
        ({"operator": "is_true"}, 1, FALSE),
        ({"operator": "is_false"}, False, TRUE),
        ({"operator": "is_false"}, MISSING, FALSE),
        # missing
        *(({"operator": operator, "value": 1}, MISSING, FALSE) for operator in ("eq", "gt", "gte", "lt", "lte")),
        ({"operator": "neq", "value": 1}, MISSING, TRUE),
        ({"operator": "neq", "value": 1}, "one", TRUE),
        ({"operator": "not_between", "value": 1, "value2": 2}, MISSING, TRUE),
        ({"operator": "between", "value": [1, 2]}, 2, TRUE),
        ({"operator": "between", "value": 1, "value2": 2}, 2.5, FALSE),
        *(({"operator": "is_set"}, value, TRUE) for value in ("", 0, False, [], [None], {"x": {"y": 0}})),
        *(({"operator": "is_set"}, value, FALSE) for value in ({}, {"x": None}, {"x": {}})),
        ({"operator": "is_set", "value_type": "number"}, "x", TRUE),
        ({"operator": "is_not_set"}, MISSING, TRUE),
        # strings
        ({"operator": "gt", "value": "Z"}, "a", TRUE),
        ({"operator": "gt", "value": "\uffff"}, "🙂", TRUE),
        ({"operator": "eq", "value": "É"}, "é", FALSE),
        ({"operator": "eq", "value": "É", "ignore_case": True}, "é", TRUE),
        ({"operator": "eq", "value": "é"}, "e\u0301", FALSE),
        ({"operator": "in", "value": ["A"], "ignore_case": True}, "a", TRUE),
        ({"operator": "gt", "value": "B", "ignore_case": True}, "a", FALSE),
        ({"operator": "starts_with", "value": ""}, "", TRUE),
        ({"operator": "starts_with", "value": "%"}, "a%", FALSE),
        ({"operator": "ends_with", "value": "_"}, "ab", FALSE),
        ({"operator": "ends_with", "value": "B", "ignore_case": True}, "ab", TRUE),
        ({"operator": "starts_with", "value": "a"}, ["a"], FALSE),
        ({"operator": "matches_regex", "value": "a.c"}, "xabcx", TRUE),
        ({"operator": "matches_regex", "value": "a.c"}, "a\nc", FALSE),
        ({"operator": "matches_regex", "value": "(?s)a.c"}, "a\nc", TRUE),
        ({"operator": "matches_regex", "value": "^É$", "ignore_case": True}, "é", TRUE),
        ({"operator": "matches_regex", "value": ""}, MISSING, FALSE),
        ({"operator": "matches_regex", "value": "1"}, 1, FALSE),
        # lists
        ({"operator": "contains", "value": "b"}, "abc", TRUE),
        ({"operator": "contains", "value": "b"}, ["abc"], FALSE),
        ({"operator": "contains", "value": "b"}, ["a", "b"], TRUE),
        ({"operator": "contains", "value": "B", "ignore_case": True}, ["b"], TRUE),
        ({"operator": "contains", "value": "B", "ignore_case": True, "value_type": "list"}, "abc", TRUE),
        ({"operator": "contains", "value": 1}, ["1.0"], TRUE),
        ({"operator": "contains", "value": "1"}, [1], FALSE),
        ({"operator": "contains", "value": 1}, [True], FALSE),
        ({"operator": "contains", "value": True}, [1, True], TRUE),
        ({"operator": "contains", "value": 1}, "1", FALSE),
        ({"operator": "contains", "value": 1}, [[1], None, {"a": 1}], FALSE),
        ({"operator": "does_not_contain", "value": "a"}, 5, TRUE),
        ({"operator": "does_not_contain", "value": "a"}, MISSING, TRUE),
        ({"operator": "contains_any", "value": ["a", "z"]}, ["z"], TRUE),
        ({"operator": "contains_any", "value": ["a"]}, "a", FALSE),
        ({"operator": "contains_all", "value": ["a", "z"]}, ["z"], FALSE),
        ({"operator": "contains_all", "value": ["a", "z"]}, ["z", "a", 1], TRUE),
        ({"operator": "contains_none", "value": ["a", "z"]}, "a", TRUE),
        ({"operator": "contains_none", "value": ["a", "z"]}, ["z"], FALSE),
        # datetimes; the zone is Madrid, two hours ahead in June
        ({"operator": "gt", "value": "2026-06-01"}, "2026-06-01T22:00:00Z", TRUE),
        ({"operator": "gt", "value": "2026-06-01"}, "2026-06-01T21:59:59.999999Z", FALSE),
        ({"operator": "gte", "value": "2026-06-01"}, "2026-05-31T22:00:00", TRUE),
        ({"operator": "gte", "value": "2026-06-01"}, "2026-06-01", TRUE),
        ({"operator": "lte", "value": "2026-06-01"}, "2026-06-01T23:59:59+02:00", TRUE),
        ({"operator": "lt", "value": "2026-06-01"}, "2026-05-31T22:00:00", FALSE),
        ({"operator": "gte", "value": "2026-06-01T10:00:00"}, "2026-06-01T08:00:00Z", TRUE),
        ({"operator": "between", "value": ["2026-06-01", "2026-06-02"]}, "2026-06-02T21:00:00Z", TRUE),
        ({"operator": "not_between", "value": ["2026-06-01", "2026-06-02"]}, "yesterday", TRUE),
        ({"operator": "gt", "value": "2026-06-01", "value_type": "string"}, "zebra", TRUE),
        ({"operator": "gt", "value": "2026-06-01"}, "zebra", FALSE),
        ({"operator": "eq", "value": "2026-06-01"}, "2026-06-01T00:00:00Z", FALSE),
        ({"operator": "eq", "value": "2026-06-01", "value_type": "datetime"}, "2026-06-01T00:00:00Z", TRUE),
        ({"operator": "in", "value": ["2026-06-01"], "value_type": "datetime"}, "2026-06-01", TRUE),
        ({"operator": "neq", "value": "2026-06-01", "value_type": "datetime"}, 5, TRUE),
        ({"operator": "before", "value": "2026-06-01T00:00:00Z"}, "2026-06-01T00:00:00Z", FALSE),
        ({"operator": "after", "value": "2026-06-01"}, "2026-06-01T22:00:00Z", TRUE),
        # 1780272000 is 2026-06-01T00:00:00Z
        ({"operator": "eq", "value": "2026-06-01T00:00:00Z", "value_type": "epoch_s"}, 1780272000, TRUE),
        ({"operator": "eq", "value": "2026-06-01T00:00:00Z", "value_type": "epoch_s"}, 1780272000.0, TRUE),
        ({"operator": "eq", "value": "2026-06-01T00:00:00Z", "value_type": "epoch_ms"}, 1780272000000, TRUE),
        (
            {"operator": "eq", "value": "2026-06-01T00:00:00.123456Z", "value_type": "epoch_ms"},
            1780272000123.4567,
            TRUE,
        ),
        ({"operator": "eq", "value": "2026-06-01T00:00:00Z", "value_type": "datetime"}, 1780272000, FALSE),
        ({"operator": "eq", "value": "2026-06-01T00:00:00Z", "value_type": "epoch_s"}, "1780272000", FALSE),
        ({"operator": "eq", "value": "2026-06-01T00:00:00Z", "value_type": "epoch_s"}, "2026-06-01T00:00:00Z", TRUE),
        ({"operator": "eq", "value": "1970-01-01T00:00:01Z", "value_type": "epoch_s"}, True, FALSE),
        ({"operator": "lt", "value": "1950-01-01", "value_type": "epoch_s"}, -2208988800, TRUE),
        ({"operator": "lt", "value": "1950-01-01", "value_type": "epoch_s"}, -2208988801, FALSE),
        ({"operator": "gt", "value": "2250-01-01", "value_type": "epoch_ms"}, 10413791999999, TRUE),
        ({"operator": "gt", "value": "2250-01-01", "value_type": "epoch_ms"}, 10413792000000, FALSE),
        ({"operator": "in_last", "value": "15d", "value_type": "epoch_s"}, 1780272000, TRUE),
        ({"operator": "anniversary_in_next", "value": "7d", "value_type": "epoch_s"}, 645451200, TRUE),  # 15 June 1990
        ({"operator": "in_last", "value": "1d"}, "2026-06-14T12:00:00Z", TRUE),
        ({"operator": "in_last", "value": "1d"}, "2026-06-15T12:00:00.000001Z", FALSE),
        ({"operator": "not_in_last", "value": "1d"}, MISSING, TRUE),
        ({"operator": "in_next", "value": "1d"}, "2026-06-15T12:00:00Z", FALSE),
        ({"operator": "in_next", "value": "1d"}, "2026-06-16T12:00:00Z", TRUE),
        *(
            ({"operator": "gt", "value": "1999-01-01"}, text, FALSE)
            for text in ("2026-06-01  10:00:00", "2026-06-01T10:00", "2026-02-30", "20260601", "2300-01-01", "2026-6-1")
        ),
        ({"operator": "gt", "value": "1999-01-01"}, "2026-06-01 10:00:00", TRUE),
        ({"operator": "lt", "value": "1999-01-01"}, "1899-12-31", FALSE),
        ({"operator": "gte", "value": "2026-06-01T00:00:00.000001Z"}, "2026-06-01T00:00:00.0000019Z", TRUE),
        ({"operator": "anniversary_in_next", "value": "7d"}, "1990-06-15", TRUE),
        ({"operator": "anniversary_in_next", "value": "7d"}, "1990-06-22", TRUE),
        ({"operator": "anniversary_in_next", "value": "7d"}, "1990-06-23", FALSE),
        ({"operator": "anniversary_in_next", "value": "7d"}, "2026-06-16", FALSE),
        ({"operator": "anniversary_in_next", "value": "2y"}, "2026-06-16", TRUE),
    ],
)
def test_a_test_of_one_value(test, stored, expected):
    assert passes(test, stored, clock=Clock(AS_OF, MADRID)) is expected


def test_29_february_counts_as_28_february_in_common_years():
    test, born = {"operator": "anniversary_in_next", "value": "1d"}, "2000-02-29"
    days = {"2027-02-27": True, "2027-02-28": True, "2027-03-01": False, "2028-02-27": False, "2028-02-29": True}
    for day, expected in days.items():
        assert passes(test, born, clock=Clock(at(f"{day}T12:00Z"), MADRID)) is expected


def test_the_schema_decides_when_all_named_types_agree():
    schemas = {"order": {"x": "datetime"}, "view": {"x": "datetime"}, "other": {}}
    test = {"property": "x", "operator": "eq", "value": "2026-06-15"}
    history = [event("a", AS_OF, x="2026-06-15T10:00:00Z"), event("b", AS_OF, x="2026-06-15")]
    for event_type, expected in (("order", "ab"), (["order", "view"], "ab"), (["order", "other"], "b"), ("*", "b")):
        assert find(order_count(event_type=event_type, where=[test]), *history, schemas=schemas) == expected
    assert find(order_count(where=[{**test, "value_type": "string"}]), *history, schemas=schemas) == "b"


def test_a_schema_may_say_that_numbers_are_datetimes():
    test = {"property": "x", "operator": "in_last", "value": "1d"}
    history = [event("a", AS_OF, x=AS_OF.timestamp()), event("b", AS_OF, x=AS_OF.isoformat())]
    for declared, expected in (("epoch_s", "ab"), ("epoch_ms", "b"), ("datetime", "b")):
        assert find(order_count(where=[test]), *history, schemas={"order": {"x": declared}}) == expected


# Sequences.


def sequence(*events: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "event_sequence", "events": list(events), **fields}


def path(user: str, *steps: tuple[str, float]) -> list[Event]:
    """Events at so many minutes before as_of."""
    return [event(user, ago(minutes=minutes), kind) for kind, minutes in steps]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (sequence("A", "B"), "adef"),
        (sequence("A", "A"), "f"),
        (sequence("A", "B", strict=True), "ae"),
        (sequence("A", "B", window={"last": "10m"}), "ae"),
        (sequence("A", "B", window={"last": "9m"}), "e"),
        (sequence("A", {"event_type": "B", "within": "10m"}), "ae"),
        (sequence("A", "B", none_between=["X"]), "ae"),
        (sequence("A", "B", none_between=["A"]), "adef"),
        (sequence("A", "B", none_between=["context_identified"]), "adf"),
        (sequence("A", "B", search_window={"last": "60m"}), "ade"),
        (sequence("A", "B", window_days=0), ""),
    ],
)
def test_sequences(condition, expected):
    history = [
        *path("a", ("A", 20), ("B", 10)),
        *path("b", ("B", 20), ("A", 10)),
        *path("c", ("A", 10), ("B", 10)),  # at once is not one after the other
        *path("d", ("A", 50), ("X", 30), ("B", 20)),
        *path("e", ("A", 3), ("context_identified", 2), ("B", 1)),
        *path("f", ("A", 90), ("X", 80), ("A", 70), ("X", 60), ("B", 30)),
    ]
    assert find(condition, *history) == expected


def test_sequences_are_not_greedy():
    history = path("a", ("A", 100), ("B", 90), ("A", 30), ("B", 20), ("C", 10))
    assert find(sequence("A", "B", "C", window={"last": "20m"}), *history) == "a"
    assert find(sequence("A", {"event_type": "B", "within": "10m"}, "C", strict=True), *history) == "a"
    assert find(sequence("A", "B", {"event_type": "C", "within": "5m"}), *history) == ""


def test_a_day_between_steps_is_24_hours():
    spring = [event("a", at("2026-03-28T12:00+01:00"), "A"), event("a", at("2026-03-29T12:30+02:00"), "B")]
    assert find(sequence("A", "B", window_days=1), *spring, tenant_zone="Europe/Madrid") == "a"


def test_events_at_the_time_of_a_step_are_not_between():
    history = [*path("a", ("A", 20), ("X", 20), ("X", 10), ("B", 10))]
    assert find(sequence("A", "B", strict=True), *history) == "a"


# Periods, references, samples.


def test_event_periods_counts_the_active_ones_of_the_last():
    history = [*path("a", ("order", 0), ("order", 1)), event("a", ago(days=7)), event("a", ago(days=21))]
    condition = {"type": "event_periods", "event_type": "order", "period": "week", "last": 3, "operator": "eq"}
    assert find(condition | {"value": 2}, *history) == "a"
    assert find(condition | {"value": 1, "min_per_period": 2}, *history) == "a"
    assert find(condition | {"value": 3, "last": 4}, *history) == "a"
    assert find(condition | {"value": 0, "event_type": "view"}, *history) == "a"


def test_another_segment_is_read_at_the_same_as_of_in_its_own_zone():
    today = order_count(window={"period": "today"})
    references = {7: {"logic": "AND", "conditions": [today], "timezone": "Europe/Madrid"}}
    history = [event("a", at("2026-06-14T22:30Z")), identify("b")]
    condition = {"type": "segment_membership", "segment_id": 7}
    assert find(condition | {"operator": "in"}, *history, references=references) == "a"
    assert find(condition | {"operator": "not_in"}, *history, references=references) == "b"


def test_samples_split_the_universe():
    history = [identify(f"u{number:03}") for number in range(200)]
    edges = [0, 12.5, 50, 100]
    condition = {"type": "sample", "salt": "s"}
    shares = [find(condition | {"from": low, "to": high}, *history) for low, high in pairwise(edges)]
    assert sum(len(share) for share in shares) == 200 * 4
    assert 60 < len(shares[2]) / 4 < 140
    digest = hashlib.sha256(b"s\0u000").digest()
    share = 100 * int.from_bytes(digest[:8], "big") / 2**64
    assert ("u000" in shares[2]) == (share >= 50)
