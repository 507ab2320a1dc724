"""What the two readings once disagreed about, smallest case each, over real data. The interpreter is asked too."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from segment_copilot.compiler import KeyRange, compile_definition, render_is_member, render_members
from segment_copilot.events import Event as StoredEvent
from segment_copilot.events import write_block
from segment_copilot.language import decode, parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ROWS
from tests.support.engines import SHARDS
from tests.support.language.data_sets import WAYS, Way, ranked
from tests.support.language.reference import Event, accept, members

AS_OF = datetime(2026, 6, 15, 12, tzinfo=UTC)
REPEATED = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # in Madrid the second 02:30 of that day
MICROSECOND = timedelta(microseconds=1)


def event(user: str, minutes: float = 0, kind: str = "view", event_id: str = "", **payload: Any) -> Event:
    """So many minutes before as_of."""
    return Event(user, kind, AS_OF - timedelta(minutes=minutes), payload, event_id)


def identify(user: str, **traits: Any) -> Event:
    return Event(user, "context_identified", AS_OF, traits)


def trait(operator: str, value: Any = None, **fields: Any) -> dict[str, Any]:
    return (
        {"type": "user_property", "property": "p", "operator": operator}
        | ({"value": value} if value is not None else {})
        | fields
    )


FIRST = datetime(1900, 1, 1, tzinfo=UTC)
"""The first instant there is; the last is a microsecond before 2300."""
SOON_AFTER = datetime(1900, 1, 10, tzinfo=UTC)
SOON_BEFORE_THE_END = datetime(2299, 12, 30, 10, tzinfo=UTC)


def at(user: str, when: str, **payload: Any) -> Event:
    """A view at an instant."""
    return Event(user, "view", datetime.fromisoformat(when), payload)


def known(**values: str | None) -> list[Event]:
    """Users known long before, each with a trait."""
    return [Event(user, "context_identified", FIRST, {"p": value}) for user, value in values.items()]


EDGES = [at("a", "1900-01-01T00:00:00Z"), at("b", "1900-01-01T00:00:00.000001Z"), at("c", "1900-01-05T00:00:00Z")]

OR_IN_A_STEP = {
    "event_type": "view",
    "where": {"logic": "or", "conditions": [{"property": "x", "operator": "eq", "value": 1}]},
}


class Case(Struct, frozen=True):
    """Whom *condition* means, given *history*."""

    name: str
    condition: dict[str, Any]
    history: list[Event]
    expected: str  # a user per letter
    as_of: datetime = AS_OF
    timezone: str = "UTC"


def group(logic: str, *conditions: dict[str, Any], negate: bool = False) -> dict[str, Any]:
    return {"type": "group", "logic": logic, "conditions": list(conditions), "negate": negate}


def viewed(value: int, operator: str = "gte", **fields: Any) -> dict[str, Any]:
    return {"type": "event_count", "event_type": "view", "operator": operator, "value": value} | fields


VIEWS = [event("a"), event("b"), event("b", 1), event("c"), event("c", 1), event("c", 2), event("d", kind="other")]

LAST_OF_WINDOWS = [
    *(event(user, 1440 * days, x=x) for user, days, x in [("a", 1, 1), ("b", 5, 1), ("b", 6, 2), ("c", 20, 1)]),
    *(event("d", 1440 * days, x=x) for days, x in [(1, 2), (4, 1)]),
    event("e", kind="other"),
]
"""Views of a, b, c and d, the last of them 1, 5, 20 and 1 days ago, with 1, 1, 1 and 2."""


def had(occurrence: str, days: int, **fields: Any) -> dict[str, Any]:
    """The view had 1."""
    asked = {"type": "event_property", "event_type": "view", "property": "x", "operator": "eq", "value": 1}
    return asked | {"occurrence": occurrence, "window_days": days} | fields


def measured(measure: str, kind: str = "view", **fields: Any) -> dict[str, Any]:
    of_values = {} if measure in {"count", "days_active"} else {"property": "x"}
    return {"measure": measure, "event_type": kind} | of_values | fields


def compared(left: dict[str, Any], operator: str, right: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "measure_compare", "left": left, "operator": operator, "right": right} | fields


CLICKS = [
    *(event(user, kind="open") for user in "aaaaaaaaaabbbbbbbbbbcd"),
    *(event(user, kind="click") for user in "abbce"),
    event("f", kind="other"),
]
"""Ten opened and one, two clicked; one opened and clicked; one opened; one clicked; neither."""

SPENT = [
    *(
        event(user, 60 * 24 * days, x=x)
        for user, days, x in [("a", 1, 0.1), ("a", 1, 0.2), ("a", 40, 0.3), ("b", 1, 5)]
    ),
    *(event(user, 60 * 24 * days, x=x) for user, days, x in [("c", 40, 7), ("d", 1, "none"), ("d", 40, True)]),
    *(event(user, 60 * 24 * days, x=x) for user, days, x in [("e", 1, 1), ("e", 1, 2), ("e", 40, 1.5), ("f", 1, 1e13)]),
]
"""Views in the last 30 days and before: equal sums, only late, only early, no number, equal averages, one beyond sums."""

LATE: dict[str, Any] = {"window": {"last": "30d"}}
EARLY: dict[str, Any] = {"window": {"between": ["60d", "30d"]}}


def rank(measure: str, negate: bool = False, **fields: Any) -> dict[str, Any]:  # noqa: FBT001
    by = {name: fields.pop(name) for name in ("event_type", "where", "window") if name in fields}
    return {"type": "rank", "by": measured(measure, kind=by.pop("event_type", "view"), **by), "negate": negate} | fields


JUST_BELOW = 8999999999999.998046875  # 9 × 10^12; there is no double between the two

RANKED = [
    *(
        event(user, minutes, x=x)
        for user, minutes, x in [("d", 1, 5), ("d", 2, 5), ("a", 1, 10), ("c", 1, 10), ("b", 1, 3)]
    ),
    *(event(user, 60 * 24 * 40, x=x) for user, x in [("b", -0.0), ("e", "none"), ("f", 1e13)]),
    event("g", kind="other"),
]
"""Sums: a, c and d 10, b 3; of e and f none. Averages: a and c 10, d 5, b 1.5. Times: b and d 2, the others once; g never."""

EXPECTED = [
    ("sum", {"top": 1}, "a"),
    ("sum", {"top": 2}, "ac"),
    ("sum", {"top": 3}, "acd"),
    ("sum", {"top": 10_000_000}, "abcd"),
    ("sum", {"bottom": 1}, "b"),
    ("sum", {"bottom": 2}, "ab"),
    ("sum", {"bottom": 3}, "abc"),
    ("sum", {"bottom": 10_000_000}, "abcd"),
    ("sum", {"top_percent": 100}, "abcd"),
    ("sum", {"top_percent": 1}, "a"),
    ("sum", {"top_percent": 25}, "a"),
    ("sum", {"top_percent": 25.001}, "ac"),
    ("sum", {"bottom_percent": 75}, "abc"),
    ("sum", {"top": 2, "window": {"last": "30d"}}, "ac"),
    ("sum", {"top_percent": 50, "event_type": "other"}, ""),
    ("avg", {"top": 3}, "acd"),
    ("avg", {"bottom": 2}, "bd"),
    ("min", {"top": 1}, "f"),
    ("min", {"bottom": 1}, "b"),
    ("max", {"bottom_percent": 20}, "b"),
    ("max", {"top": 2}, "af"),
    ("count", {"top": 2}, "bd"),
    ("count", {"top": 3}, "abd"),
    ("count", {"bottom": 4}, "acef"),
    ("count", {"top_percent": 100, "event_type": "*"}, "abcdefg"),
    ("count_distinct", {"top": 1}, "b"),
    ("count_distinct", {"bottom": 2}, "ac"),
    ("days_active", {"top": 1}, "b"),
    ("days_active", {"bottom_percent": 0.001}, "a"),
]

TRAITS = range(8)
"""More traits than are read each by itself: read at once, each keeps a newest value of its own."""

STEPS = range(8)
"""More sequences than a chain has levels of `IN`: what does not fit begins another one beside it."""

CASES = [
    *(
        Case(
            f"traits that are read at once, {logic}",
            group(logic, *(trait("eq", 1, property=f"p{number}") for number in TRAITS)),
            [
                Event(user, "context_identified", AS_OF - timedelta(minutes=90 - number), {f"p{number}": value})
                for user, left_out in zip("abcdefghi", [None, *TRAITS], strict=True)
                for number in TRAITS
                for value in [0 if number == left_out else 1]
            ],
            expected,
        )
        for logic, expected in [("AND", "a"), ("OR", "abcdefghi")]
    ),
    Case(
        "more conditions than are narrowed one by another: each of them holds",
        group("AND", *({"type": "event_sequence", "events": [f"view_{step}", f"cart_{step}"]} for step in STEPS)),
        [
            event(user, minutes, f"{kind}_{step}")
            for user, left_out in zip("abcdefghi", [None, *STEPS], strict=True)
            for step in STEPS
            for kind, minutes in [("view", 20), ("cart", 10)][: 1 if step == left_out else 2]
        ],
        "a",
    ),
    *(
        Case(
            f"rank by {measure} {fields}{' negated' * negate}", rank(measure, negate=negate, **fields), RANKED, expected
        )
        for measure, fields, yes in EXPECTED
        for negate, expected in [(False, yes), (True, "".join(sorted({*"abcdefg"} - {*yes})))]
    ),
    Case(
        "a rank is among everybody, whatever stands beside it",
        group("AND", rank("count", top=2), viewed(1), viewed(3, "lt", event_type="other"), rank("sum", top=3)),
        RANKED,
        "d",
    ),
    Case(
        "ties by the bytes of the id",
        rank("count", top=2),
        [event("é"), event("z"), event("Z"), event("🙂")],
        "Zz",
    ),
    Case(
        "averages that differ by less than a double tells",
        rank("avg", top=1),
        [event("a", x=JUST_BELOW), *(event("b", minutes, x=x) for minutes, x in enumerate([*[JUST_BELOW] * 3, 9e12]))],
        "b",
    ),
    *(
        Case(f"clicks {operator} {factor} of what was opened{' negated' * negate}", condition, CLICKS, expected)
        for operator, factor, yes in [
            ("gte", 0.1, "abcef"),
            ("gt", 0.1, "bce"),
            ("lt", 0.2, "ad"),
            ("lte", 0.2, "abdf"),
            ("eq", 0.1, "af"),
            ("neq", 0.1, "bcde"),
            ("gt", 0.100001, "bce"),
            ("gte", 0.100001, "bcef"),
            ("gte", 0, "abcdef"),
            ("gt", -1, "abcde"),
        ]
        for negate, expected in [(False, yes), (True, "".join(sorted({*"abcdef"} - {*yes})))]
        for condition in [
            compared(measured("count", "click"), operator, measured("count", "open"), factor=factor, negate=negate)
        ]
    ),
    *(
        Case(
            f"{left} {operator} the {right} before",
            compared(measured(left, **LATE), operator, measured(right, **EARLY)),
            SPENT,
            expected,
        )
        for left, operator, right, expected in [
            ("sum", "eq", "sum", "adf"),
            ("sum", "neq", "sum", "bce"),
            ("sum", "gt", "sum", "be"),
            ("sum", "lte", "sum", "acdf"),
            ("avg", "eq", "avg", "e"),
            ("avg", "neq", "avg", "abcdf"),
            ("avg", "lt", "max", "a"),
            ("max", "gt", "min", "e"),
            ("min", "lt", "avg", "ae"),
            ("count", "gt", "count", "abef"),
            ("count", "gt", "avg", "ae"),
            ("count_distinct", "lt", "sum", "c"),
            ("sum", "gte", "count_distinct", "bef"),
        ]
    ),
    Case(
        "days with a view, by the local clock, against views",
        compared(measured("days_active"), "lt", measured("count")),
        [
            at("a", "2026-03-28T22:59:59.999999Z"),
            at("a", "2026-03-28T23:00:00Z"),
            at("b", "2026-03-28T23:00:00Z"),
            at("b", "2026-03-29T21:59:59.999999Z"),  # a day of 23 hours
            at("c", "2026-10-24T22:00:00Z"),
            at("c", "2026-10-25T22:59:59.999999Z"),  # a day of 25 hours
            at("d", "2026-10-25T22:59:59.999999Z"),
            at("d", "2026-10-25T23:00:00Z"),
        ],
        "bc",
        REPEATED + timedelta(days=1),
        "Europe/Madrid",
    ),
    Case(
        "an identify is none of all events, and may be compared with them",
        compared(measured("count", "*"), "lt", measured("count", "context_identified", **LATE)),
        [event("a"), identify("a"), identify("b"), identify("c"), identify("c"), event("c"), event("d")],
        "bc",
    ),
    Case(
        "of one type, read with another condition of a shorter window",
        group(
            "AND",
            viewed(1, window_days=30),
            compared(measured("sum"), "gt", measured("sum", where=[{"property": "x", "operator": "gt", "value": 0.2}])),
        ),
        SPENT,
        "a",
    ),
    *(
        Case(f"windows that are read together: {name}", group(logic, *conditions), LAST_OF_WINDOWS, expected)
        for name, logic, conditions, expected in [
            ("the last of each", "AND", [had("latest", 10), had("latest", 30)], "ab"),
            ("the last of either, or none", "OR", [had("latest", 3), had("latest", 10, negate=True)], "acde"),
            ("the last of neither", "AND", [had("latest", 3, negate=True), had("latest", 30, negate=True)], "de"),
            ("any of either", "OR", [had("any", 3), had("any", 5)], "abd"),
            ("any of one, not of the other", "AND", [had("any", 5), had("any", 3, negate=True)], "bd"),
            ("every one of each", "AND", [had("every", 3), had("every", 30)], "a"),
            ("the first of each", "AND", [had("first", 5), had("first", 30)], "ad"),
            (
                "some in one, none in the other",
                "AND",
                [viewed(1, window_days=30), viewed(0, "eq", window_days=3)],
                "bc",
            ),
            ("one in each", "AND", [viewed(1, window_days=3), viewed(1, window_days=10)], "ad"),
            (
                "the last within some time, and before",
                "OR",
                [
                    {"type": "recency", "event_type": "view", "operator": "lt", "window_days": 3},
                    {"type": "recency", "event_type": "view", "operator": "between", "window_days": 10, "value2": 30},
                ],
                "acd",
            ),
            (
                "the last of those that pass, of all",
                "AND",
                [
                    viewed(1, window_days=30),
                    viewed(1, window_days=10, where=[{"property": "x", "operator": "eq", "value": 2}]),
                ],
                "bd",
            ),
        ]
    ),
    Case("who did and did not is nobody", group("AND", viewed(1), viewed(1, negate=True)), VIEWS, ""),
    *(
        Case(
            f"{'fewer than' if negate else 'at least'} {least} of four, one of them negated, one twice",
            group("AT_LEAST", viewed(1), viewed(2), viewed(2), viewed(3, negate=True), negate=negate)
            | {"at_least": least},
            VIEWS,
            "".join(sorted(set("abcd") - set(expected))) if negate else expected,
        )
        for least, expected in [(1, "abcd"), (2, "abc"), (3, "bc"), (4, "b")]
        for negate in (False, True)
    ),
    *(
        Case(
            f"at {json.dumps(hours)} in Madrid",
            viewed(1, at={"hours": hours}),
            [
                at("a", "2026-06-01T06:59:59.999999Z"),
                at("b", "2026-06-01T07:00:00Z"),
                at("c", "2026-06-01T09:59:59.999999Z"),
                at("d", "2026-06-01T10:00:00Z"),
            ],
            expected,
            timezone="Europe/Madrid",
        )
        for hours, expected in [(["09:00", "12:00"], "bc"), (["12:00", "09:00"], "ad"), (["00:00", "12:00"], "abc")]
    ),
    *(
        Case(
            f"on a weekday of its own local time: {days}",
            viewed(1, at={"weekdays": days, "hours": ["22:00", "03:00"]}),
            # a Sunday in Madrid: 23:30, and the hour from 02:00 that occurs twice or not at all
            [
                *(at("a", "2026-06-07T21:30:00Z"), at("b", "2026-10-25T00:30:00Z"), at("c", "2026-10-25T01:30:00Z")),
                # Monday 00:30, Saturday 23:30, and in spring 03:00, an hour after 01:59
                *(at("d", "2026-06-07T22:30:00Z"), at("e", "2026-06-06T21:30:00Z"), at("f", "2026-03-29T01:00:00Z")),
            ],
            expected,
            timezone="Europe/Madrid",
            as_of=REPEATED,
        )
        for days, expected in [(["sun"], "abc"), (["mon", "sat"], "de")]
    ),
    Case(
        "steps at their times, others in between",
        {
            "type": "event_sequence",
            "events": ["view", {"event_type": "cart", "at": {"hours": ["10:00", "11:30"]}}],
            "none_between": [{"event_type": "view", "at": {"weekdays": ["tue"]}}],
        },
        [
            event("a", 120),
            event("a", 60, "cart"),
            event("b", 120),
            event("b", 30, "cart"),
            event("c", 180),
            event("c", 90),
            event("c", 60, "cart"),
        ],
        "ac",
    ),
    *(
        Case(
            f"a set of {json.dumps(value)}{' in any case' if fields else ''}",
            trait("equals_set", value, **fields),
            [
                identify("a", p=["x", "y", "x"]),
                identify("b", p=["y", "x", "z"]),
                identify("c", p=["X", "y"]),
                identify("d", p=["x"]),
                identify("e", p=[]),
                identify("f", p="x"),
                identify("g", p=[1, "2"]),
            ],
            expected,
        )
        for value, fields, expected in [
            (["y", "x"], {}, "a"),
            (["y", "x"], {"ignore_case": True}, "ac"),
            (["x"], {}, "d"),
            ([2, 1], {}, "g"),
            ([1], {}, ""),
        ]
    ),
    Case(
        "what is empty",
        trait("is_empty"),
        [
            identify("a"),
            identify("b", p=""),
            identify("c", p=[]),
            identify("d", p=None),
            identify("e", p={"x": None}),
            identify("f", p=" "),
            identify("g", p=0),
            identify("h", p=[None]),
            identify("i", p={"x": ""}),
            identify("j", p=False),
            identify("k", p="[]"),
        ],
        "abcde",
    ),
    *(
        Case(
            f"two days, {days}, in Madrid",
            viewed(1, window={"last": "2d", "days": days}),
            [
                at("a", "2026-06-12T21:59:59.999999Z"),
                at("b", "2026-06-12T22:00:00Z"),
                at("c", "2026-06-13T22:00:00Z"),
                at("d", "2026-06-14T21:59:59.999999Z"),
                at("e", "2026-06-14T22:00:00Z"),
                at("f", "2026-06-15T12:00:00Z"),
            ],
            expected,
            timezone="Europe/Madrid",
        )
        for days, expected in [("complete", "bcd"), ("with_today", "cdef")]
    ),
    *(
        Case(
            f"an anniversary {operator} {length}",
            trait(operator, length),
            [
                *(identify("a", p="1990-06-15"), identify("b", p="1990-06-14"), identify("c", p="1990-06-13")),
                *(identify("d", p="1990-06-16"), identify("e", p="2026-06-14"), identify("f", p="2025-06-14")),
            ],
            expected,
        )
        for operator, length, expected in [
            ("anniversary_in_last", "0d", "a"),
            ("anniversary_in_last", "1d", "abf"),
            ("anniversary_in_last", "1y", "abcdf"),
            ("anniversary_in_next", "0d", "a"),
            ("anniversary_in_next", "1d", "ad"),
        ]
    ),
    Case(
        "29 February comes round on the 28th, in the last days of a common year's February",
        trait("anniversary_in_last", "1d"),
        [identify("a", p="2000-02-29"), identify("b", p="2000-02-28"), identify("c", p="2000-03-02")],
        "ab",
        as_of=datetime(2027, 3, 1, 12, tzinfo=UTC),
    ),
    Case(
        "a stored datetime with a space",
        trait("gte", "2026-06-01T10:00:00Z", value_type="datetime"),
        [
            identify("a", p="2026-06-01 10:00:00"),
            identify("b", p="2026-06-01 11:00:00+02:00"),
            identify("c", p="2026-06-01 10:00:00.5Z"),
            identify("d", p="2026-06-01  10:00:00"),
            identify("e", p="x"),
        ],
        "ac",
    ),
    Case("who did or did not is everybody", group("OR", viewed(1), viewed(1, negate=True)), VIEWS, "abcd"),
    *(
        Case(f"{name}: {form}", condition, [*VIEWS, event("d", 5), event("d", 4, "cart")], expected)
        for name, those, others, one in [
            ("a sequence", "d", "abc", {"type": "event_sequence", "events": ["view", "cart"]}),
            ("a sample", "abd", "c", {"type": "sample", "salt": "s", "from": 0, "to": 50}),
            (
                "periods of several events",
                "bc",
                "ad",
                {
                    "type": "event_periods",
                    "event_type": "view",
                    "period": "day",
                    "last": 2,
                    "operator": "gte",
                    "value": 1,
                    "min_per_period": 2,
                },
            ),
        ]
        for form, condition, expected in [
            ("by itself", one, those),
            ("and its complement is nobody", group("AND", one, one | {"negate": True}), ""),
            ("or its complement is everybody", group("OR", one | {"negate": True}, one), "abcd"),
            ("and its complement, turned round", group("AND", one, one | {"negate": True}, negate=True), "abcd"),
            ("and a group that refuses it", group("AND", one, group("OR", one, viewed(9), negate=True)), ""),
            ("or, and its complement", group("AND", group("OR", one, viewed(9)), one | {"negate": True}), ""),
            (
                "or its complement, with others",
                group("OR", group("AND", one, viewed(1)), one | {"negate": True}),
                "abcd",
            ),
            (
                "and not, in a group with it",
                group("AND", viewed(1), group("OR", one, group("AND", one, one | {"negate": True}))),
                those,
            ),
            (
                "its complement in a group with it",
                group("AND", viewed(1), one | {"negate": True}, group("OR", one, viewed(1))),
                others,
            ),
        ]
    ),
    Case(
        "a group of alternatives about one kind of event stays a group",
        group("AND", group("OR", viewed(1, "eq"), viewed(2, "eq")), viewed(2)),
        VIEWS,
        "b",
    ),
    Case(
        "the complement of a group of alternatives is all of their complements",
        group("OR", viewed(1, "eq"), viewed(3, "eq"), negate=True),
        VIEWS,
        "bd",
    ),
    Case(
        "the newest of several events decides",
        {"type": "event_property", "event_type": "view", "property": "x", "operator": "eq", "value": 1},
        [event("a", 0, x=1), event("a", 5, x=2), event("b", 0, x=2), event("b", 5, x=1)],
        "a",
    ),
    Case(
        "one of two filters makes the other needless",
        {
            "type": "group",
            "logic": "OR",
            "conditions": [
                {"type": "event_count", "event_type": "view"},
                {
                    "type": "event_count",
                    "event_type": "view",
                    "where": [{"property": "x", "operator": "eq", "value": 1}],
                },
            ],
        },
        [event("a", x=1), event("b", x=2), event("c", kind="other")],
        "ab",
    ),
    Case(
        "logic in any case, in a step's where too",
        {"type": "event_sequence", "events": [OR_IN_A_STEP, "cart"]},
        [event("a", 2, x=1), event("a", 1, "cart"), event("b", 2, x=2), event("b", 1, "cart")],
        "a",
    ),
    Case(
        "no days is no step, in a repeated hour too",
        {"type": "event_count", "event_type": "view", "window_days": 0},
        [Event("a", "view", REPEATED), Event("b", "view", REPEATED - MICROSECOND)],
        "a",
        as_of=REPEATED,
        timezone="Europe/Madrid",
    ),
    Case(
        "a recency that reaches back before 1900",
        {"type": "recency", "event_type": "view", "operator": "gt", "window_days": 36_500, "negate": True},
        [Event("a", "view", datetime(1900, 1, 1, tzinfo=UTC))],
        "a",
        as_of=datetime(1950, 1, 1, tzinfo=UTC),
    ),
    *(
        Case(
            f"before 1900 nothing happens: {json.dumps(condition)} in {zone}",
            {"event_type": "view"} | condition,
            EDGES,
            expected,
            as_of=SOON_AFTER,
            timezone=zone,
        )
        for zone in ("UTC", "America/New_York", "Asia/Kathmandu")
        for condition, expected in [
            *(
                (
                    {"type": "event_periods", "period": period, "last": last, "operator": operator, "value": value},
                    expected,
                )
                for period, last in [("day", 30), ("week", 366), ("month", 366), ("month", 2)]
                for operator, value, expected in [("gte", 1, "abc"), ("eq", 0, ""), ("gte", 2, ""), ("lt", 366, "abc")]
            ),
            (
                {"type": "event_periods", "period": "day", "last": 30, "operator": "gte", "value": 1}
                | {"min_per_period": 2},
                "",
            ),
            *(
                ({"type": "recency", "operator": operator, "window_days": 100}, expected)
                for operator, expected in [("gt", ""), ("gte", ""), ("lt", "abc"), ("lte", "abc"), ("eq", "")]
            ),
            *(
                ({"type": "recency", "operator": operator, "window_days": 9}, expected)
                for operator, expected in [("gt", ""), ("gte", "a"), ("lt", "bc"), ("lte", "abc"), ("eq", "a")]
            ),
            ({"type": "recency", "operator": "between", "window_days": 50, "value2": 100}, ""),
            ({"type": "recency", "operator": "between", "window_days": 9, "value2": 36_500}, "a"),
            ({"type": "event_count", "window": {"between": ["100d", "50d"]}}, ""),
            ({"type": "event_count", "window": {"between": ["100y", "9d"]}}, "a"),
            ({"type": "event_count", "window": {"last": "36500y"}}, "abc"),
            ({"type": "event_count", "window_days": 36_500}, "abc"),
            ({"type": "event_count", "window": {"period": "last_year"}}, "ab" if zone == "America/New_York" else ""),
            ({"type": "event_count", "window": {"to": "1900-01-01T00:00:00Z"}}, ""),
            ({"type": "event_count", "window": {"to": "1900-01-01T00:00:00.000001Z"}}, "a"),
            ({"type": "event_time", "operator": "in_last", "value": "36500h" if zone == "UTC" else "100y"}, "abc"),
            ({"type": "event_time", "operator": "not_in_last", "value": "9d"}, ""),
            (
                {"type": "event_time", "operator": "before", "value": "1900-01-01"},
                "ab" if zone == "America/New_York" else "",
            ),
            (
                {"type": "event_time", "operator": "after", "value": "1900-01-01"},
                "c",
            ),
        ]
    ),
    Case(
        "a period that began before 1900 is one of its own",
        {"type": "event_periods", "event_type": "view", "period": "day", "last": 20, "operator": "eq", "value": 2},
        [
            at("a", "1900-01-01T04:59:59Z"),
            at("a", "1900-01-01T05:00:00Z"),
            at("b", "1900-01-01T00:00:00Z"),
            at("b", "1900-01-01T04:59:59Z"),
        ],
        "a",
        as_of=SOON_AFTER,
        timezone="America/New_York",
    ),
    Case(
        "a month before the first of February is in 1900, whatever year it is on the wall",
        {"type": "event_count", "event_type": "view", "window": {"last": "1mo"}},
        [at("a", "1900-01-01T00:29:59Z"), at("b", "1900-01-01T00:30:00Z")],
        "b",
        as_of=datetime(1900, 2, 1, 0, 30, tzinfo=UTC),
        timezone="America/New_York",
    ),
    *(
        Case(
            f"near the end of 2299 in the next {length} in {zone}",
            trait("in_next", length, value_type="datetime"),
            known(
                a="2299-12-31T10:00:00Z",
                b="2299-12-31T10:00:01Z",
                c="2299-12-31T23:59:59.999999Z",
                d="2299-12-31T04:00:00Z",
            ),
            expected,
            as_of=as_of,
            timezone=zone,
        )
        for length, zone, as_of, expected in [
            ("1d", "UTC", SOON_BEFORE_THE_END, "ad"),
            ("1d", "Asia/Kathmandu", SOON_BEFORE_THE_END, "ad"),
            ("24h", "UTC", SOON_BEFORE_THE_END, "ad"),
            ("1w", "UTC", SOON_BEFORE_THE_END, "abcd"),
            ("1mo", "Asia/Kathmandu", datetime(2299, 11, 30, 20, tzinfo=UTC), "abd"),
            ("1mo", "Asia/Kathmandu", datetime(2299, 12, 1, 20, tzinfo=UTC), "abcd"),
            ("36500y", "UTC", SOON_BEFORE_THE_END, "abcd"),
            ("1m", "UTC", datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), ""),
        ]
    ),
    *(
        Case(
            f"near the end of 2299: {json.dumps(condition)}",
            {"event_type": "view"} | condition,
            [at("a", "2299-12-31T23:59:59.999999Z"), at("b", "2299-12-31T23:59:59.999998Z")],
            expected,
            as_of=datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            timezone="Asia/Kathmandu",
        )
        for condition, expected in [
            ({"type": "event_periods", "period": "month", "last": 366, "operator": "eq", "value": 1}, "ab"),
            ({"type": "event_count", "window": {"period": "this_year"}}, "ab"),
            ({"type": "event_count", "window": {"period": "last_year"}}, ""),
            ({"type": "event_count", "window_days": 0}, "a"),
            ({"type": "recency", "operator": "gt", "window_days": 0}, "b"),
            ({"type": "recency", "operator": "lt", "window_days": 0}, ""),
            ({"type": "event_time", "operator": "after", "value": "2299-12-31T23:59:59.999998Z"}, "a"),
            ({"type": "event_time", "operator": "in_next", "value": "1d"}, ""),
        ]
    ),
    *(
        Case(
            f"{operator} {day} in {zone}",
            trait(operator, day),
            [
                identify(letter, p=text)
                for letter, text in zip("abc", ("1900-01-01", "2026-06-01", "2299-12-31"), strict=True)
            ],
            expected,
            timezone=zone,
        )
        for operator, day, zone, expected in [
            ("lt", "1900-01-01", "America/New_York", ""),
            ("gte", "1900-01-01", "America/New_York", "abc"),
            ("gt", "2299-12-31", "Pacific/Apia", ""),
            ("gt", "2299-12-30", "Pacific/Apia", "c"),
            ("gt", "2299-12-31T20:00:00Z", "Pacific/Apia", ""),
            ("lte", "2299-12-31", "Pacific/Apia", "abc"),
        ]
    ),
    Case(
        "a local day begins at its first instant, even when that is not the hour after midnight",
        trait("gte", "1919-03-31"),
        [
            identify("a", p="1919-03-31T04:30:00Z"),
            identify("b", p="1919-03-31T04:29:59Z"),
            identify("c", p="1919-03-31"),
        ],
        "ac",
        timezone="America/Toronto",
    ),
    *(
        Case(
            f"{metric} leaves out numbers whose millionths are no integer",
            {"type": "monetary", "event_type": "view", "property": "x", "metric": metric, "operator": "eq", "value": 1},
            [event("a", x=x) for x in (1, 1e303, -1e303, "1.7e308", 2**64 - 1)] + [event("b", x=1e303)],
            "a",
        )
        for metric in ("sum", "avg", "median")
    ),
    *(
        Case(
            f"an identify between the steps does not count for strict, {name}",
            {"type": "event_sequence", "events": events, "strict": True} | fields,
            [
                event("a", 40, "view"),
                event("a", 30, "context_identified"),
                event("a", 20, "context_identified"),
                event("a", 10, "cart"),
            ],
            expected,
        )
        for name, events, fields, expected in [
            ("once", ["view", "context_identified", "cart"], {}, "a"),
            ("not at all", ["view", "cart"], {}, "a"),
            ("twice", ["view", "context_identified", "context_identified", "cart"], {}, "a"),
            ("from the later one", ["context_identified", "cart"], {"window": {"last": "10m"}}, "a"),
            ("from the first one", ["view", "context_identified"], {"window": {"last": "10m"}}, "a"),
            ("too many", ["view", *["context_identified"] * 3, "cart"], {}, ""),
        ]
    ),
    Case(
        "a date has a month and a day",
        trait("gt", "1999-01-01"),
        [
            identify("a", p="2026-06-00"),
            identify("b", p="2026-00-01"),
            identify("c", p="2026-06-31"),
            identify("d", p="2026-06-30"),
        ],
        "d",
    ),
    *(
        Case(
            f"a day that the zone skipped begins with the next: {operator} {value}",
            trait(operator, value, value_type="datetime"),
            [identify("a", p="2011-12-30"), identify("b", p="2011-12-31"), identify("c", p="2011-12-29")],
            expected,
            timezone="Pacific/Apia",
        )
        for operator, value, expected in [
            ("gt", "2011-12-29", "ab"),
            ("lt", "2011-12-30", "c"),
            ("eq", "2011-12-30", ""),
            ("eq", "2011-12-31", "ab"),
            ("lt", "2011-12-31", "c"),
        ]
    ),
    *(
        Case(
            f"count_distinct compares with any number: {operator} {value}",
            {"type": "monetary", "event_type": "view", "property": "x", "metric": "count_distinct"}
            | {"operator": operator, "value": value},
            [event("a", x=-0.0), event("a", x=0), event("a", x="0"), event("b", x=1), identify("c")],
            expected,
        )
        for operator, value, expected in [
            ("eq", 2, "a"),
            ("eq", 1.5, ""),
            ("gt", 1.5, "a"),
            ("lt", 0.5, "c"),
            ("gt", -1, "abc"),
        ]
    ),
    *(
        Case(
            f"booleans in a list stay booleans: contains {json.dumps(value)}",
            trait("contains", value),
            [identify("a", p=[1, True]), identify("b", p=["1", True]), identify("c", p=[1]), identify("d", p=["true"])],
            expected,
        )
        for value, expected in [(True, "ab"), (1, "abc"), ("true", "d"), ("1", "b")]
    ),
]


async def compiled_members(clickhouse: ClickHouse, tenant_id: int, case: Case, way: Way) -> set[str]:
    compiled = compile_definition(
        parse({"logic": "AND", "conditions": [case.condition]}),
        catalog=Catalog(case.timezone),
        references={},
        tenant_id=tenant_id,
        as_of=case.as_of,
        spread=SHARDS > 1,
    )
    (plan,) = await ranked(clickhouse, [compiled.plan])
    shape, traits = way
    query = render_members(plan, shape=shape, traits=traits)
    return {row[1] for row in (await clickhouse.fetch(query.sql, query.params, purpose="compute", merge=ROWS)).rows}


async def store(clickhouse: ClickHouse, tenant_id: int, history: list[Event]) -> None:
    """As the worker writes what was accepted."""
    stored = [
        StoredEvent(
            tenant_id, e.event_id, e.user_id, e.event_type, e.occurred_at, msgspec.json.encode(e.payload).decode()
        )
        for e in accept(history)
    ]
    await write_block(clickhouse, stored, token=str(tenant_id))


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
async def test_both_readings_find(module_clickhouse: ClickHouse, number):
    case = CASES[number]
    definition = {"logic": "AND", "conditions": [case.condition]}
    await store(module_clickhouse, number + 1, case.history)
    assert members(definition, case.history, as_of=case.as_of, tenant_zone=case.timezone) == set(case.expected)
    for way in WAYS:
        assert await compiled_members(module_clickhouse, number + 1, case, way) == set(case.expected), way


def test_the_stored_form_of_a_dotted_key_is_no_path():
    r"""Else `a%2Eb` would read the key `a.b`, which only `a\.b` names."""
    findings = parse({"logic": "AND", "conditions": [trait("is_set", property="a%2Eb")]}).findings
    assert [(finding.pointer, finding.code) for finding in findings] == [("/conditions/0/property", "bad_path")]


@pytest.mark.parametrize(("operator", "expected"), [("in", "bcd"), ("not_in", "a")])
async def test_of_several_segments_any_is_enough_and_none_is_asked(module_clickhouse: ClickHouse, operator, expected):
    tenant_id = 10_000 + len(expected)
    history = [identify("a", p=1), identify("b", p=2), identify("c", p=3), identify("d", p=3), event("d", kind="cart")]
    bought = {"type": "event_count", "event_type": "cart"}
    named = {1: trait("eq", 2), 2: trait("eq", 3), 3: bought}
    references = {number: {"logic": "AND", "conditions": [one]} for number, one in named.items()}
    definition = {
        "logic": "AND",
        "conditions": [{"type": "segment_membership", "segment_ids": [1, 2, 3, 1], "operator": operator}],
    }
    await store(module_clickhouse, tenant_id, history)
    assert members(definition, history, as_of=AS_OF, references=references) == set(expected)
    plan = compile_definition(
        parse(definition),
        catalog=Catalog(),
        references={number: decode(one) for number, one in references.items()},
        tenant_id=tenant_id,
        as_of=AS_OF,
    ).plan
    for shape, traits in WAYS:
        query = render_members(plan, shape=shape, traits=traits)
        rows = (await module_clickhouse.fetch(query.sql, query.params, purpose="compute", merge=ROWS)).rows
        assert {row[1] for row in rows} == set(expected), shape


def test_whoever_is_asked_about_everybody_is_ranked():
    """The events of all are read for one user, and in a range of keys."""
    definition = {"logic": "AND", "conditions": [rank("count", top=1)]}
    parsed = parse(json.dumps(definition).encode())
    plan = compile_definition(parsed, catalog=Catalog(), references={}, tenant_id=1, as_of=AS_OF).plan
    for query in (render_is_member(plan, user_id="a"), render_members(plan, keys=KeyRange(0, 2**63))):
        events = query.sql[query.sql.index("FROM events") : query.sql.index("GROUP BY")]
        assert "user_key =" not in events
        assert "user_key BETWEEN" not in events
