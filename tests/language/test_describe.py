"""Definitions in words: what a marketer reads, and whether it says who is included without ever having done it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from segment_copilot.language import decode
from segment_copilot.language.describe import describe, describe_condition, entitle, in_percent, percent
from tests.support.language.reference import Person, Reading
from tests.support.language.reference_times import Clock
from tests.support.language.strategies import AS_OFS, ZONES, Draw, world

Json = dict[str, Any]

ORDERS = {"type": "event_count", "event_type": "order_placed"}
LAST = {"type": "recency", "event_type": "page_viewed", "window_days": 30}
FIRST = {"type": "event_time", "event_type": "order_placed"}
TOTAL = {"type": "monetary", "event_type": "order_placed", "property": "total", "value": 50}
COUPON = {"type": "event_property", "event_type": "order_placed", "property": "coupon", "operator": "eq", "value": "X"}
COUNTRY = {"type": "user_property", "property": "country"}
DAYS = {"type": "event_periods", "event_type": "page_viewed", "period": "day", "last": 7}
FUNNEL = {"type": "event_sequence", "events": ["product_viewed", "order_placed"]}
NOT = {"negate": True}

TIMES = {"measure": "count", "event_type": "order_placed"}
SPENT = {"measure": "sum", "event_type": "order_placed", "property": "total"}


def compared(left: Json, operator: str, right: Json, **fields: Any) -> Json:
    right = {name: value for name, value in right.items() if name != "property" or right["measure"] != "days_active"}
    return {"type": "measure_compare", "left": left, "operator": operator, "right": right} | fields


PHRASES = [
    (ORDERS, "who placed an order"),
    (ORDERS | NOT, "who have never placed an order"),
    (ORDERS | {"operator": "gt", "value": 1}, "who placed an order more than once"),
    (ORDERS | {"operator": "eq", "value": 3}, "who placed an order exactly 3 times"),
    (ORDERS | {"value": 3} | NOT, "who placed an order fewer than 3 times (people who never did are included)"),
    ({"type": "segment_membership", "segment_ids": [1, 2, 1]}, "who are in any of the segments “VIP” and 2"),
    (
        {"type": "segment_membership", "segment_ids": [1, 2], "operator": "not_in"} | NOT,
        "who are in any of the segments “VIP” and 2",
    ),
    ({"type": "segment_membership", "segment_ids": [1, 2]} | NOT, "who are in none of the segments “VIP” and 2"),
    ({"type": "segment_membership", "segment_ids": [1], "operator": "not_in"}, "who are not in the segment “VIP”"),
    (
        ORDERS | {"window": {"last": "2w", "days": "complete"}},
        "who placed an order in the 2 weeks before today",
    ),
    (
        ORDERS | {"window": {"last": "7d", "days": "with_today"}} | NOT,
        "who have not placed an order in the last 7 days, today and whole days before it (people who never did are included)",
    ),
    (ORDERS | {"window": {"last": "1d", "days": "complete"}}, "who placed an order yesterday"),
    (ORDERS | {"window": {"last": "1d", "days": "with_today"}}, "who placed an order today"),
    (COUNTRY | {"operator": "is_empty"}, "whose country is unknown or empty"),
    (COUNTRY | {"operator": "is_empty"} | NOT, "whose country is known and not empty"),
    (ORDERS | {"at": {"weekdays": ["sun", "sat"]}}, "who placed an order (on a Saturday or Sunday)"),
    (
        ORDERS | {"at": {"hours": ["22:00", "06:00"]}} | NOT,
        "who have never placed an order (between 22:00 and 06:00)",
    ),
    (
        LAST | {"operator": "gt", "at": {"weekdays": ["mon", "tue", "wed", "thu", "fri"], "hours": ["09:00", "17:00"]}},
        ("who have not viewed a page (from Monday to Friday, between 09:00 and 17:00) for more than 30 days "
        "(people who never did are not included)"),
    ),
    (
        ORDERS | {"operator": "eq", "value": 0, "window_days": 30},
        "who have not placed an order in the last 30 days (people who never did are included)",
    ),
    (
        ORDERS | {"where": [{"property": "total", "operator": "gt", "value": 5}, {"property": "coupon", "operator": "is_set", "negate": True}]},
        "who placed an order (where total is more than 5 and coupon is unknown)",
    ),
    (ORDERS | {"event_type": ["order_placed", "order_placed", "cart_add"]}, "who placed an order or did “cart_add”"),
    (ORDERS | {"event_type": "*"} | NOT, "who have never done anything"),
    (ORDERS | {"event_type": "context_identified"}, "who were identified"),
    (ORDERS | {"event_type": "review_written"}, "who wrote a review"),
    (ORDERS | {"event_type": "review_written"} | NOT, "who have never written a review"),
    (ORDERS | {"event_type": "items_bought"}, "who bought items"),
    (ORDERS | {"event_type": "user_invited"}, "who invited a user"),
    (ORDERS | {"event_type": "SignedUp"}, "who did “SignedUp”"),
    (ORDERS | {"event_type": "a\nb"}, "who did “a\\nb”"),
    (ORDERS | {"window": {"from": "2026-06-01", "to": "2026-07-01"}}, "who placed an order from 1 June 2026 to 30 June 2026, both days included"),
    (ORDERS | {"window": {"from": "2026-06-01", "to": "2026-06-02"}}, "who placed an order on 1 June 2026"),
    (ORDERS | {"window": {"from": "2026-06-01T10:00:00Z"}}, "who placed an order since 1 June 2026 at 10:00 UTC"),
    (ORDERS | {"window": {"to": "2026-06-01T10:00:05+02:00"}}, "who placed an order before 1 June 2026 at 10:00:05 (+02:00)"),
    (ORDERS | {"window": {"between": ["10d", "0d"]}}, "who placed an order in the last 10 days"),
    (LAST | {"operator": "gt"}, "who have not viewed a page for more than 30 days (people who never did are not included)"),
    (LAST | {"operator": "lt"} | NOT, "who have not viewed a page for 30 days or more (people who never did are included)"),
    (LAST | {"operator": "gt"} | NOT, "who last viewed a page at most 30 days ago, or never did"),
    (LAST | {"operator": "between", "value2": 60}, "who last viewed a page from 30 to 60 days ago"),
    (FIRST | {"operator": "in_last", "value": "30d"}, "for whom the first time they placed an order was in the last 30 days"),
    (
        FIRST | {"operator": "not_in_last", "value": "1d"},
        "for whom the first time they placed an order was not in the last day (people who never did are included)",
    ),
    (TOTAL | {"metric": "sum", "operator": "gt"}, "whose total adds up to more than 50 over all the times they placed an order"),
    (
        TOTAL | {"metric": "sum", "operator": "lt"},
        "whose total adds up to less than 50 over all the times they placed an order (people without any total are included)",
    ),
    (
        TOTAL | {"metric": "avg", "operator": "lt"},
        "whose average total is less than 50 over all the times they placed an order (people without any total are not included)",
    ),
    (
        TOTAL | {"metric": "min", "operator": "gte"} | NOT,
        "whose lowest total is less than 50 over all the times they placed an order (people without any total are included)",
    ),
    (
        TOTAL | {"metric": "count_distinct", "operator": "gte", "property": "category", "value": 3},
        "who placed an order with at least 3 different values of category",
    ),
    (COUPON, "whose coupon was “X” the last time they placed an order"),
    (COUPON | NOT, "whose coupon was not “X” the last time they placed an order (or was unknown, or they never did)"),
    (COUPON | {"occurrence": "any"}, "whose coupon was “X” at least once when they placed an order"),
    (COUPON | {"occurrence": "any"} | NOT, "whose coupon at no time was “X” when they placed an order (people who never did are included)"),
    (COUPON | {"occurrence": "every"}, "whose coupon was “X” every time they placed an order (people who never did are not included)"),
    (
        COUPON | {"occurrence": "any", "operator": "neq"} | NOT,
        "whose coupon was “X” every time they placed an order (people who never did are included)",
    ),
    (COUNTRY | {"operator": "neq", "value": "ES"}, "whose country is not “ES” (or is unknown)"),
    (COUNTRY | {"operator": "eq", "value": "es", "ignore_case": True} | NOT, "whose country is not “es” (ignoring case, or is unknown)"),
    (COUNTRY | {"operator": "not_in", "value": ["ES", "DE"]} | NOT, "whose country is “ES” or “DE”"),
    (COUNTRY | {"operator": "in", "value": list(range(1000))}, "whose country is 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 or 990 others"),
    (COUNTRY | {"operator": "gte", "value": "E", "value_type": "string"}, "whose country sorts at or after “E”"),
    (COUNTRY | {"operator": "gt", "value": "2026-06-01"}, "whose country is after 1 June 2026"),
    (COUNTRY | {"operator": "contains_all", "value": ["a", "b"]} | NOT, "whose country does not contain all of “a” and “b” (or is unknown)"),
    (COUNTRY | {"operator": "is_set"} | NOT, "whose country is unknown"),
    (DAYS | {"operator": "gte", "value": 3}, "who viewed a page in at least 3 of the last 7 days, today included"),
    (DAYS | {"operator": "eq", "value": 7, "min_per_period": 2}, "who viewed a page at least 2 times a day in every one of the last 7 days, today included"),
    (DAYS | {"operator": "eq", "value": 0}, "who viewed a page in none of the last 7 days, today included (people who never did are included)"),
    (DAYS | {"operator": "lt", "value": 1, "last": 1}, "who have not viewed a page today (people who never did are included)"),
    (
        FUNNEL | {"window_days": 1, "none_between": ["cart_add", "*"]} | NOT,
        "who are not among those who viewed a product, then placed an order, all within 1 day, without having done “cart_add” or done anything in between",
    ),
    (
        compared(SPENT | {"window": {"period": "this_month"}}, "gt", SPENT | {"window": {"period": "last_month"}}),
        "for whom the sum of total over all the times they placed an order this month is more than the sum of total over all the times they placed an order last month",
    ),
    (
        compared(TIMES | {"event_type": "mail_opened"}, "lt", TIMES, factor=0.1),
        "for whom the number of times they opened a mail is less than 10% of the number of times they placed an order",
    ),
    (
        compared(TIMES, "gte", SPENT | {"measure": "days_active"}, factor=2) | NOT,
        "for whom the number of times they placed an order is less than twice the number of days on which they placed an order",
    ),
    (
        compared(TIMES, "lte", SPENT | {"measure": "count_distinct"}, factor=1.5),
        "for whom the number of times they placed an order is at most 1.5 times the number of different values of total over all the times they placed an order (people for whom both are 0 are included)",
    ),
    (
        compared(SPENT | {"measure": "max"}, "eq", SPENT | {"measure": "min"}),
        "for whom the highest total over all the times they placed an order is exactly the lowest total over all the times they placed an order (people without any total are not included)",
    ),
    (
        compared(SPENT | {"measure": "avg"}, "gt", SPENT, factor=0.5) | NOT,
        "for whom the average total over all the times they placed an order is at most half the sum of total over all the times they placed an order (people without any total are included)",
    ),
    (
        {"type": "rank", "by": SPENT, "top_percent": 10},
        "who are in the top 10% of all users by the sum of total over all the times they placed an order (people without any total are not ranked)",
    ),
    (
        {"type": "rank", "by": TIMES | {"window": {"last": "30d"}}, "top": 1500} | NOT,
        "who are not in the top 1,500 of all users by the number of times they placed an order in the last 30 days (people who never did are included)",
    ),
    (
        {"type": "rank", "by": SPENT | {"measure": "avg"}, "bottom_percent": 0.5},
        "who are in the bottom 0.5% of all users by the average total over all the times they placed an order (people without any total are not ranked)",
    ),
    ({"type": "sample", "salt": "s", "from": 0, "to": 12.5}, "who are in the part from 0% up to 12.5% of the random split “s”"),
    ({"type": "segment_membership", "segment_id": 1} | NOT, "who are not in the segment “VIP”"),
    ({"type": "segment_membership", "segment_id": 2}, "who are in segment 2"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "phrase"), PHRASES, ids=[phrase for _, phrase in PHRASES])
def test_a_condition_in_words(condition: Json, phrase: str):
    definition = decode({"logic": "AND", "conditions": [condition]})

    assert describe_condition(definition.conditions[0], {1: "VIP"}) == phrase
    assert describe(definition, {1: "VIP"}) == f"Users {phrase}."


def test_groups_have_brackets_unless_they_hold_one_condition():
    def group(*conditions: Json, logic: str = "OR", **fields: Any) -> Json:
        return {"type": "group", "logic": logic, "conditions": list(conditions)} | fields

    spain, germany = ({**COUNTRY, "operator": "eq", "value": code} for code in ("ES", "DE"))
    conditions = [group(spain, germany), group(ORDERS), group(spain, ORDERS, logic="AND", **NOT)]
    excluded = {"logic": "OR", "conditions": [group(group(germany))]}
    definition = decode({"logic": "AND", "conditions": conditions, "exclude": excluded})

    assert describe(definition, {}) == (
        "Users (whose country is “ES”, or whose country is “DE”), and who placed an order, "
        "and who are not among those (whose country is “ES”, and who placed an order); "
        "leaving out users whose country is “DE”."
    )


def test_a_group_that_counts_says_how_many_of_how_many():
    spain, germany = ({**COUNTRY, "operator": "eq", "value": code} for code in ("ES", "DE"))
    group = {"type": "group", "logic": "AT_LEAST", "at_least": 2, "conditions": [spain, germany, ORDERS]}
    inside = "of these 3 conditions (whose country is “ES”; whose country is “DE”; who placed an order)"
    told = [
        (group, f"who meet at least 2 {inside}"),
        (group | NOT, f"who meet fewer than 2 {inside}"),
        (group | {"at_least": 1} | NOT, f"who meet none {inside}"),
        (group | {"at_least": 1, "conditions": [spain]}, "whose country is “ES”"),
    ]
    for condition, words in told:
        assert describe(decode({"logic": "AND", "conditions": [condition]}), {}) == f"Users {words}."


WITH_NOTHING = re.compile(
    r"are included|have never|or (?:they )?never did|not among those|is unknown|are not in (?:the )?(?:part|segment)"
)
"""What a phrase says when it means people of whom nothing is known."""


def without_where(condition: Json) -> Json:
    """Its tests are about single events, and say "unknown" of their values."""
    kept = {name: value for name, value in condition.items() if name != "where"}
    for name in kept.keys() & {"left", "right", "by"}:
        kept[name] = without_where(kept[name])
    for name in kept.keys() & {"events", "none_between"}:
        kept[name] = [without_where(step) if isinstance(step, dict) else step for step in kept[name]]
    return kept


def test_a_phrase_says_when_it_means_people_who_never_did_anything():
    """The interpreter is asked about somebody without events and traits; a sample asks about nothing known."""
    as_of = AS_OFS[0]
    nobody = Person("nobody", (), {})
    draw, reading, clock = (
        Draw(3, world(AS_OFS[:1], ZONES[:1])),
        Reading(as_of, "UTC", {}, {}),
        Clock(as_of, ZoneInfo("UTC")),
    )
    meant = 0
    for _ in range(3_000):
        leaf = without_where(draw.leaf())
        if leaf["type"] == "sample":
            continue
        told = describe(decode({"logic": "AND", "conditions": [leaf]}), {})
        included = reading.holds(leaf, nobody, clock)
        assert bool(WITH_NOTHING.search(told)) == included, (leaf, told)
        meant += included
    assert meant > 500


def test_every_definition_is_one_line_and_the_same_on_every_run():
    draw = Draw(4, world(AS_OFS[:1], ZONES[:1]))
    for _ in range(500):
        definition = decode(draw.definition((1,)))
        told = describe(definition, {1: "VIP"})
        assert told == describe(definition, {1: "VIP"})
        assert told.startswith("Users ")
        assert told.endswith(".")
        assert told.isprintable()
        assert not re.search(r"  | \(\)| ,|\bNone\b|UNSET", told), told


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        ({"conditions": [ORDERS | {"value": 3} | NOT]}, "Placed an order fewer than 3 times"),
        ({"logic": "OR", "conditions": [ORDERS, DAYS | {"operator": "gte", "value": 3}]},
         "Placed an order or …"),
        ({"conditions": [COUNTRY | {"operator": "eq", "value": "ES"}, ORDERS]}, "Country is ES, placed an order"),
        ({"conditions": [{"type": "group", "logic": "OR", "conditions": [ORDERS, COUNTRY | {"operator": "is_set"}]}]},
         "Placed an order, or whose country is known"),
        ({"conditions": [ORDERS], "exclude": {"logic": "OR", "conditions": [{"type": "segment_membership", "segment_id": 1}]}},
         "Placed an order, not in the segment VIP"),
        ({"conditions": [ORDERS | {"window_days": days} for days in range(1, 9)]},
         "Placed an order in the last day, placed an order in the last 2 days, …"),
    ],
)  # fmt: skip
def test_a_name_says_who_is_in_it_as_far_as_there_is_room(definition: Json, name: str):
    assert entitle(decode({"logic": "AND", **definition}), {1: "VIP"}) == name


def test_every_definition_has_a_name_that_fits():
    draw = Draw(5, world(AS_OFS[:1], ZONES[:1]))
    for _ in range(500):
        made = entitle(decode(draw.definition((1,))), {1: "VIP"})
        assert 2 < len(made) <= 80, made
        assert not re.search("[“”]", made), made
        assert made.isprintable()
        assert made == made.strip()


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "0 %"), (0, 20_000, "0 %"), (20_000, 20_000, "100 %"), (10_000, 20_000, "50 %"), (1, 3, "33.33 %"),
        (2, 3, "66.67 %"), (3, 20_000, "0.01 %"), (1, 1_000_000, "0.0001 %"), (999_999, 1_000_000, "99.9999 %"),
        (1, 7_000_000, "0.00001 %"),
    ],
)  # fmt: skip
def test_a_share_never_says_nobody_of_somebody_nor_all_of_not_all(part: int, whole: int, shown: str):
    assert in_percent(percent(part, whole)) == shown


def test_no_other_place_rounds_a_percentage():
    """What a draft, a text, a terminal and an explanation say of one share is one number."""
    source = Path(__file__).parents[2] / "src" / "segment_copilot"
    other = re.compile(r"\.\d%\}|:g\} ?%|100 \* \w+ / |:\.\df\} ?%")
    found = [path.name for path in source.rglob("*.py") if other.search(path.read_text())]

    assert found == ["shares.py"]
