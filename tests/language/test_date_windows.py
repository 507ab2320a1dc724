"""Stored dates in windows, and days that come round: smallest cases, over real data and in the interpreter alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from segment_copilot.language import decode, tier_of
from segment_copilot.language.describe import describe
from segment_copilot.stores.clickhouse import ClickHouse
from tests.language.test_regressions import Case, at, compiled_members, identify, known, store, trait
from tests.support.language.data_sets import WAYS
from tests.support.language.reference import members

MADRID, APIA = "Europe/Madrid", "Pacific/Apia"


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def first_view(operator: str, value: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "event_time", "event_type": "view", "operator": operator, "value": value} | fields


JULY = known(
    a="2026-06-30",
    b="2026-07-01",
    c="2026-07-31",
    d="2026-08-01",
    e="2026-06-30T21:59:59.999999Z",
    f="2026-06-30T22:00:00Z",
    g="2026-07-31T21:59:59.999999Z",
    h="2026-07-31T22:00:00Z",
    i="soon",
    j=None,
)
"""Around the edges of July, in Madrid, where 30 June ends at 22:00 UTC."""

DAYS = known(
    a="2026-06-12T23:59:59.999999Z",
    b="2026-06-13",
    c="2026-06-14T23:59:59.999999Z",
    d="2026-06-15",
    e="2026-06-15T12:00:00Z",
    f="2026-06-15T12:00:00.000001Z",
    g="2026-06-16",
    h="2026-06-13T12:00:00Z",
    i="2026-06-13T11:59:59.999999Z",
)
"""Around now, which is 15 June at noon."""

BORN = known(
    a="1990-06-15",
    b="1990-06-21",
    c="1990-06-22",
    d="2026-06-18",  # comes round for the first time in 2027
    e="2025-06-18",
    f="1990-05-31",
    g="1990-07-01",
    h="1990-12-31",
    i="2000-02-29",
)

CASES = [
    *(
        Case(f"{operator} {value}, in Madrid", trait(operator, value), JULY, expected, timezone=MADRID)
        for operator, value, expected in [
            ("in_window", {"period": "next_month"}, "bcfg"),
            ("not_in_window", {"period": "next_month"}, "adehij"),
            ("in_window", {"period": "this_month"}, "ae"),  # also what is to come of it
            ("in_window", {"from": "2026-07-01", "to": "2026-08-01"}, "bcfg"),
            ("in_window", {"from": "2026-07-31T22:00:00Z"}, "dh"),
            ("in_window", {"to": "2026-07-01"}, "ae"),
            ("in_window", {"period": "next_quarter"}, "bcdfgh"),
        ]
    ),
    *(
        Case(f"{operator} {value} at noon", trait(operator, value), DAYS, expected)
        for operator, value, expected in [
            ("in_window", {"period": "today"}, "def"),
            ("in_window", {"period": "tomorrow"}, "g"),
            ("in_window", {"period": "next_week"}, ""),
            ("in_window", {"period": "this_week"}, "defg"),  # 15 June is a Monday
            ("in_window", {"last": "2d"}, "cdeh"),
            ("in_window", {"last": "2d", "days": "complete"}, "bchi"),
            ("in_window", {"last": "2d", "days": "with_today"}, "cde"),
            ("in_window", {"between": ["2d", "1h"]}, "cdh"),
            ("not_in_window", {"last": "2d"}, "abfgi"),
        ]
    ),
    *(
        Case(f"an anniversary in {value}", trait("anniversary_in", value, negate=negate), BORN, expected)
        for value, negate, expected in [
            ({"period": "this_week"}, False, "abe"),
            ({"period": "this_week"}, True, "cdfghi"),
            ({"period": "this_month"}, False, "abce"),
            ({"period": "last_month"}, False, "f"),
            ({"period": "next_month"}, False, "g"),
            ({"period": "next_year"}, False, "abcdefghi"),
            ({"period": "this_year"}, False, "abcefghi"),
            ({"period": "tomorrow"}, False, ""),
            ({"month": 6}, False, "abcde"),
            ({"month": 2}, False, "i"),
            ({"month": 12}, False, "h"),
        ]
    ),
    *(
        Case(
            f"29 February, on {day}",
            trait("anniversary_in", {"period": "tomorrow"}),
            known(a="2000-02-29", b="2000-02-28", c="2000-03-01"),
            expected,
            as_of=instant(f"{day}T12:00:00Z"),
        )
        for day, expected in [
            ("2027-02-27", "ab"),
            ("2027-02-28", "c"),
            ("2028-02-27", "b"),
            ("2028-02-28", "a"),
        ]
    ),
    Case(
        "the month of an instant is the local one",
        trait("anniversary_in", {"month": 3}),
        known(a="2020-02-29T23:30:00Z", b="2020-02-29T22:30:00Z", c="2020-03-31T22:30:00Z"),
        "a",
        timezone=MADRID,
    ),
    Case(
        "tomorrow has 23 hours",
        trait("in_window", {"period": "tomorrow"}),
        known(a="2026-03-28T22:59:59Z", b="2026-03-28T23:00:00Z", c="2026-03-29T21:59:59Z", d="2026-03-29T22:00:00Z"),
        "bc",
        as_of=instant("2026-03-28T12:00:00Z"),
        timezone=MADRID,
    ),
    Case(
        "a day that a zone never had",
        trait("in_window", {"period": "tomorrow"}),
        known(a="2011-12-30", b="2011-12-31", c="2011-12-30T09:59:59Z", d="2011-12-30T10:00:00Z"),
        "",
        as_of=instant("2011-12-30T00:00:00Z"),  # there the 29th, which the 31st follows
        timezone=APIA,
    ),
    *(
        Case(
            f"the first view was {value}",
            first_view("in_window", value, **fields),
            [
                *(at("a", "2026-05-31T23:59:59Z"), at("a", "2026-06-02T00:00:00Z"), at("b", "2026-06-01T00:00:00Z")),
                *(at("c", "2026-06-16T00:00:00Z"), at("d", "2025-06-20T00:00:00Z"), identify("e")),
            ],
            expected,
        )
        for value, fields, expected in [
            ({"period": "this_month"}, {}, "b"),
            ({"period": "this_month"}, {"occurrence": "last"}, "ab"),
            ({"period": "this_month"}, {"negate": True}, "ade"),  # c is seen later than now
            ({"period": "tomorrow"}, {}, ""),
            ({"last": "365d"}, {}, "abd"),
        ]
    ),
    Case(
        "the first view comes round",
        first_view("anniversary_in", {"period": "this_week"}),
        [at("a", "2025-06-20T00:00:00Z"), at("b", "2026-06-15T00:00:00Z"), at("c", "2025-06-22T00:00:00Z")],
        "a",
    ),
    *(
        Case(
            f"a property of an event, {where}",
            {"type": "event_property", "event_type": "view"}
            | trait("in_window", {"period": "next_month"}, **where)
            | {"type": "event_property"},
            [
                *(at("a", "2026-06-01T00:00:00Z", p="2026-07-05"), at("a", "2026-06-02T00:00:00Z", p="2026-08-05")),
                *(at("b", "2026-06-02T00:00:00Z", p="2026-07-05"), at("c", "2026-06-02T00:00:00Z")),
            ],
            expected,
        )
        for where, expected in [({}, "b"), ({"occurrence": "any"}, "ab"), ({"occurrence": "every"}, "b")]
    ),
]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
async def test_both_readings_find(module_clickhouse: ClickHouse, number: int):
    case = CASES[number]
    await store(module_clickhouse, number + 1, case.history)
    definition = {"logic": "AND", "conditions": [case.condition]}
    assert members(definition, case.history, as_of=case.as_of, tenant_zone=case.timezone) == set(case.expected)
    for way in WAYS:
        assert await compiled_members(module_clickhouse, number + 1, case, way) == set(case.expected), way


@pytest.mark.parametrize(
    ("test", "tier"),
    [
        (trait("in_window", {"from": "2026-06-01", "to": "2026-07-01"}), "dynamic"),
        (trait("not_in_window", {"to": "2026-07-01"}), "dynamic"),
        (trait("in_window", {"period": "next_month"}), "dynamic_plus"),
        (trait("not_in_window", {"last": "30d", "days": "complete"}), "dynamic_plus"),
        (trait("in_window", {"between": ["10d", "7d"]}), "dynamic_plus"),
        (trait("anniversary_in", {"period": "this_week"}), "dynamic_plus"),
        (trait("anniversary_in", {"month": 6}), "dynamic_plus"),
    ],
)
def test_a_window_that_moves_is_recomputed(test: dict[str, Any], tier: str):
    assert tier_of(decode({"logic": "AND", "conditions": [test]}))[0] == tier


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (trait("in_window", {"period": "next_month"}), "is next month"),
        (trait("in_window", {"period": "tomorrow"}, negate=True), "is not tomorrow (or is unknown)"),
        (trait("not_in_window", {"period": "last_week"}), "was not last week (or is unknown)"),
        (trait("in_window", {"last": "30d"}), "is in the last 30 days"),
        (trait("in_window", {"last": "7d", "days": "complete"}), "is in the 7 days before today"),
        (trait("in_window", {"from": "2026-06-01", "to": "2026-07-01"}), "is from 1 June 2026 to 30 June 2026, both days included"),
        (trait("in_window", {"from": "2026-06-01"}), "is on or after 1 June 2026"),
        (trait("in_window", {"to": "2026-06-01T10:00:00Z"}), "is before 1 June 2026 at 10:00 UTC"),
        (trait("in_window", {"between": ["10d", "7d"]}), "is between 10 days and 7 days ago"),
        (trait("anniversary_in", {"period": "this_week"}), "has an anniversary this week"),
        (trait("anniversary_in", {"period": "yesterday"}), "had an anniversary yesterday"),
        (trait("anniversary_in", {"month": 6}, negate=True), "has no anniversary in June (or is unknown)"),
    ],
)  # fmt: skip
def test_words_of_a_window_of_dates(test: dict[str, Any], words: str):
    assert describe(decode({"logic": "AND", "conditions": [test]}), {}) == f"Users whose p {words}."
