"""What people write around a request, and how they say things at several times: what is read, and what is never passed over."""

from __future__ import annotations

import pytest

from evals.corpus.notation import parse_definition
from evals.corpus.printing import write_definition
from segment_copilot.english import Drafted, read_audience
from segment_copilot.english.reading.audience import understand
from segment_copilot.english.reading.same import members
from tests.support.english.catalogs import AS_OF, DEMO

SEGMENTS = {segment.name: number for number, segment in DEMO.segments.items()}


def clean(text: str) -> dict[object, str]:
    found = understand(text, DEMO, AS_OF, DEMO.timezone).candidates
    return {members(one.definition): write_definition(one.definition) for one in found if not one.left}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (
            "Hello, the warehouse has a lot of jackets left over. May I have the people who ordered twice in the last 30 days?",
            "count(order_placed)≥2 in 30d",
        ),
        (
            "Hi, I'm Carmen from the office. I need customers who never ordered. Kind regards, Carmen",
            "count(order_placed)=0",
        ),
        ("Our finance team would love to write to people who never ordered.", "count(order_placed)=0"),
        ("It was not a nice week-end. Please find customers with at least 2 refunds.", "count(order_refunded)≥2"),
        ("Serial shoppers (at least 3 orders)", "count(order_placed)≥3"),
        ("Hello Jan, the printers need a list. Would you find customers who never ordered?", "count(order_placed)=0"),
        ("Customers who ordered twice. They'd enjoy our new guide.", "count(order_placed)≥2"),
        ("Customers who ordered twice. Could you build that today?", "count(order_placed)≥2"),
        (
            "Hi team, and thanks for taking care of this. The spring fair goes live next Tuesday and Anna needs a list. It should hold customers from Germany. Many thanks and best regards, Julia",
            "country=DE",
        ),
        ("Rescue wave 3, day 0-2: customers who never ordered", "count(order_placed)=0"),
        ("Clicked but frosty: never ordered", "count(order_placed)=0"),
        ("Splendid wardrobes, so to speak - at least 3 orders", "count(order_placed)≥3"),
        ("ordered in the last month (30 days)", "count(order_placed)≥1 in 30d"),
    ],
)
def test_what_a_letter_only_tells_is_passed_over(text: str, meaning: str) -> None:
    read = clean(text)

    assert members(parse_definition(meaning, SEGMENTS)) in read, read


@pytest.mark.parametrize(
    "text",
    [
        "People who own a boat. Please find customers who ordered.",
        "I need dog owners. Please include only those who ordered.",
        "Not the colleagues! Customers who ordered.",
        "Only boats. Please find customers who ordered twice.",
        "We run an evening in Madrid. Please find customers of that city who ordered.",
        "Mia has an evening in Madrid. May I have the customers there who ordered?",
        "Please find customers who ordered. They own a dog.",
        "Please find customers who ordered. Boat, Ana",
        "customers in loyalty tier gold and up",
        "all orders in a single category",
        "Customers who ordered. They had a boat.",
        "Customers who ordered. The order was for a tent.",
        "Not at sea: customers who ordered",
        "Boat owners, from Spain, ordered in May... no, ordered in June",
        "For boat owners, please find customers who ordered",
        "I'd love to invite Madrid folk to a party; they ordered shoes.",
        "tell Ann I need her accounts: ordered twice",
        "Customers who ordered. Call it Boats and take only owners",
        "customers with these traits:\n- gold tier\n- owns a boat",
        "Customers who ordered, because they own a boat",
        "Ordered shoes at sea: three or more such orders",
        "visited at sea, viewed a product, ordered - in that order",
    ],
)
def test_a_sentence_that_says_whom_is_never_passed_over(text: str) -> None:
    made = read_audience(text, DEMO, AS_OF, DEMO.timezone)

    assert not isinstance(made, Drafted), write_definition(made.definition)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (
            "ordered in March and in May 2026",
            "count(order_placed)≥1 from 2026-03-01 to 2026-04-01 & count(order_placed)≥1 from 2026-05-01 to 2026-06-01",
        ),
        ("ordered yesterday or today", "count(order_placed)≥1 yesterday | count(order_placed)≥1 today"),
        (
            "viewed a product in the last 10 days, no order in those days",
            "count(product_viewed)≥1 in 10d & count(order_placed)=0 in 10d",
        ),
        ("ordered every week of the last six", "periods(order_placed)≥6 of 6 weeks"),
        ("more than 90 days since their last order", "last(order_placed)>90d"),
        ("ordered in the 30 last days", "count(order_placed)≥1 in 30d"),
        ("spent less of 20 dollars", "sum(order_placed.total)<20"),
        ("exactly one order, and it was for shoes", "count(order_placed)=1 & count(order_placed[category=shoes])≥1"),
        ("customers and not (from Germany and ordered)", "not (country=DE & count(order_placed)≥1)"),
        (
            "gold or from Spain, but not both",
            "(loyalty_tier=gold & country≠ES) | (country=ES & loyalty_tier≠gold)",
        ),
        ("any of: gold tier, from Spain, ordered twice", "loyalty_tier=gold | country=ES | count(order_placed)≥2"),
        (
            "none of the following in the last 60 days: visit, order",
            "count(page_viewed)=0 in 60d & count(order_placed)=0 in 60d",
        ),
        ("Exactly two of anything? No: exactly two orders", "count(order_placed)=2"),
        (
            "customers from Spain who ordered twice, as well as anyone from France",
            "(country=ES & count(order_placed)≥2) | country=FR",
        ),
        (
            "at least 3 orders, excluding staff and anyone who never opened an email",
            "count(order_placed)≥3 - (in segment Staff | count(email_opened)=0)",
        ),
        (
            "(country is US and tier is gold) or (country is CA and tier is silver)",
            "(country=US & loyalty_tier=gold) | (country=CA & loyalty_tier=silver)",
        ),
        ("Please exclude staff. Otherwise everyone who ordered twice.", "count(order_placed)≥2 - in segment Staff"),
        ("Customers who ordered twice. No need to save it yet. Deadline is tomorrow noon.", "count(order_placed)≥2"),
        (
            "Hi,\nplease help with this list:\n- gold tier\n- ordered twice\nThanks!\nLena",
            "loyalty_tier=gold & count(order_placed)≥2",
        ),
        ("FW: spring\n> From: Paul\n> customers who ordered twice\n\nCould you build that?", "count(order_placed)≥2"),
        ("1) gold tier 2) ordered twice", "loyalty_tier=gold & count(order_placed)≥2"),
        ("For our neighbours' day we'd love to invite customers who ordered twice", "count(order_placed)≥2"),
        ("customers who ordered twice, because we want to thank them", "count(order_placed)≥2"),
        ("ordered within 2 days of a product view", "seq(product_viewed > order_placed within 2d)"),
    ],
)
def test_this_is_among_the_clean_readings(text: str, meaning: str) -> None:
    assert members(parse_definition(meaning, SEGMENTS)) in clean(text), clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "Customers from Spain who ordered. Call it Quiet Sunday.",
        "Customers from Spain who ordered; name it Quiet Sunday",
    ],
)
def test_a_name_that_is_given_in_words_is_the_draft_s(text: str) -> None:
    found = understand(text, DEMO, AS_OF, DEMO.timezone)
    named = [one.reading.label for one in found.candidates if not one.left and one.reading.label]

    assert [found.found.tokens[at].text for at in range(len(found.found.tokens)) if named[0] >> at & 1] == [
        "Quiet",
        "Sunday",
    ]


def test_people_of_different_countries_are_never_both() -> None:
    both = members(parse_definition("country=ES & country=FR & count(order_placed)≥1", SEGMENTS))

    assert both not in clean("customers from Spain and customers from France who ordered")


def test_not_in_one_month_but_in_the_other_is_no_list_of_months() -> None:
    never = members(
        parse_definition(
            "count(order_placed)=0 from 2026-04-01 to 2026-05-01 & count(order_placed)=0 from 2026-05-01 to 2026-06-01",
            SEGMENTS,
        )
    )

    assert never not in clean("didn't order in April, did in May")
