"""What strangers' words stand for: each way of saying it is among the readings that explain every word."""

from __future__ import annotations

import pytest

from evals.corpus.notation import parse_definition
from evals.corpus.printing import write_definition
from evals.corpus.tenants import tenant
from segment_copilot.english import Drafted, read_audience
from segment_copilot.english.reading.audience import understand
from segment_copilot.english.reading.same import members


@pytest.mark.parametrize(
    ("whose", "text", "meaning"),
    [
        # how often
        ("shop", "one order exactly", "count(order_placed)=1"),
        ("shop", "3 orders min", "count(order_placed)≥3"),
        ("shop", "order count of 3 or above", "count(order_placed)≥3"),
        ("shop", "number of orders exceeds five", "count(order_placed)>5"),
        ("shop", "one order and no more", "count(order_placed)=1"),
        ("shop", "half a dozen orders or more", "count(order_placed)≥6"),
        ("shop", "upward of 5 orders", "count(order_placed)≥5"),
        ("media", "one-and-done donors", 'count("Donation Made")=1'),
        ("media", "repeat donors", 'count("Donation Made")≥2'),
        # how much
        ("shop", "spend more than 80 per order on average", "avg(order_placed.total)>80"),
        ("shop", "have paid us north of 200 dollars", "sum(order_placed.total)>200"),
        ("media", "100+ min of podcast this week", 'sum("Podcast Played".minutesListened)≥100 this week'),
        ("saas", "NPS below 7", "count(nps_submitted[score<7])≥1"),
        ("shop", "looked at 3+ products priced over 150 last week", "count(product_viewed[price>150])≥3 last week"),
        # which
        ("saas", "moved their plan to business", "count(plan_changed[to_plan=business])≥1"),
        ("saas", "two or more P1s", "count(ticket_created[priority=P1])≥2"),
        ("saas", "moved from starter to team", "count(plan_changed[from_plan=starter & to_plan=team])≥1"),
        ("gym", "basic plan", "plan=basico"),
        ("media", "iPhone users", 'count("App Opened"[Platform=iOS any-case])≥1'),
        ("shop", 'searched for something containing "dress"', "count(search_performed[query contains dress])≥1"),
        ("shop", 'city doesn\'t contain "York"', "city does_not_contain York"),
        ("saas", "NPS of 9 or 10", "count(nps_submitted[score in 9,10])≥1"),
        ("saas", "cancelled over price", "count(subscription_cancelled[reason=too_expensive])≥1"),
        ("shop", "on a paid plan", "plan in starter,pro,business"),
        ("media", "searched crossword (any caps)", 'count(Search["Search Term"=crossword any-case])≥1'),
        ("gym", "booked but never came", "count(clase_reservada)≥1 & count(visita_registrada)=0"),
        ("saas", "API calls above 300ms", "count(api_called[latency_ms>300])≥1"),
        (
            "media",
            "they should have finished at least one documentary",
            "count(videoWatched[genre=Documentary any-case & completed=1])≥1",
        ),
        # which not
        ("shop", "country other than Spain", "country≠ES"),
        ("shop", "any plan but free", "plan≠free"),
        ("shop", "live anywhere but Spain", "country≠ES"),
        ("shop", "ordered anything other than shoes", "count(order_placed[category≠shoes])≥1"),
        # a name, a list, a stroke, two years, a comparison
        ("shop", "High value = at least 3 orders AND gold tier", "count(order_placed)≥3 & loyalty_tier=gold"),
        (
            "shop",
            "people who meet at least two of the following: gold tier, from Spain, opted in to email",
            "2 of (loyalty_tier=gold; country=ES; email_opt_in is_true)",
        ),
        ("gym", "plan: premium / city: Madrid", "plan=premium & ciudad=Madrid"),
        (
            "shop",
            "has bought in both 2025 and 2026",
            "count(order_placed)≥1 from 2025-01-01 to 2026-01-01 & count(order_placed)≥1 from 2026-01-01 to 2027-01-01",
        ),
        ("shop", "spent over 80, counted from the first of January 2026", "sum(order_placed.total)>80 from 2026-01-01"),
        (
            "shop",
            "gold and never refunded, or who is silver",
            "(loyalty_tier=gold & count(order_refunded)=0) | loyalty_tier=silver",
        ),
        (
            "shop",
            "Onboarding drop-off: signed up within 30 days, zero product views",
            "signup_date in_last 30d & count(product_viewed)=0",
        ),
        # bounds, times, only
        ("shop", "people aged at least 20 and at most 29", "age 20..29"),
        ("shop", "at least two orders placed on a Saturday or a Sunday", "count(order_placed at sat,sun)≥2"),
        ("shop", "whose most recent order lies further back than 180 days", "last(order_placed)>180d"),
        ("media", "whose last newsletter open lies 15-45 days in the past", 'last("Newsletter Opened") 15d..45d'),
        ("saas", "first API call: no more than 30 days ago", "first(api_called) in_last 30d"),
        ("shop", "only ordered twice this year", "count(order_placed)=2 this year"),
        (
            "saas",
            "those in Power Users, but internal users not",
            'in segment "Power Users" - in segment "Internal Users"',
        ),
        # as others say it
        ("media", "utilisators with the abonnement All Access", '"Plan Type"="All Access" any-case'),
        ("shop", "the clients which have passed two commands or more", "count(order_placed)≥2"),
    ],
)
def test_a_way_of_saying_it_is_among_the_readings(whose: str, text: str, meaning: str) -> None:
    there = tenant(whose)
    found = understand(text, there.catalog, there.as_of, there.catalog.timezone).candidates
    clean = {members(one.definition) for one in found if not one.left}

    assert members(parse_definition(meaning, there.segments)) in clean, [
        write_definition(one.definition) for one in found
    ]


@pytest.mark.parametrize(
    ("whose", "text"),
    [
        ("shop", "everybody but staff"),  # takes people out, and says no value
        ("shop", "orders above 5"),  # an amount never becomes a count
        ("saas", "who is about to cancel"),  # nothing that was done
        ("saas", "the health of the turnstile"),  # no description of what is tested has the word
        ("gym", "booked but never came"),  # what was done is no small talk
        (
            "gym",
            "more failed payments than received ones in the last year",
        ),  # "than" compares, and is never passed over
        ("shop", "bought in both 2025 and 2026"),  # a year is no count
        ("gym", "joined this year and already left"),  # a part of its own is a condition, and no word to take along
        ("shop", "bought more than they returned"),  # what was sent back is no visit
        ("media", "read no article this month"),  # and no reading time of 0
        ("shop", "country: France / tier: gold"),  # a test is no name for the one behind it
    ],
)
def test_what_looks_like_it_is_not_taken_for_it(whose: str, text: str) -> None:
    there = tenant(whose)
    wrong = {
        "everybody but staff": "tags contains staff",
        "orders above 5": "count(order_placed)>5",
        "who is about to cancel": "count(subscription_cancelled)≥1",
        "the health of the turnstile": "health_score is_set",
        "booked but never came": "count(visita_registrada)=0",
        "more failed payments than received ones in the last year": "count(pago_fallido)≥1 in 1y",
        "bought in both 2025 and 2026": "count(order_placed)≥2025 & count(order_placed)≥2026",
        "joined this year and already left": "count(alta_completada)≥1 this year",
        "bought more than they returned": "compare count(order_placed) > count(page_viewed)",
        "read no article this month": 'count("Article Read"[readTime=0])≥1 this month',
        "country: France / tier: gold": "loyalty_tier=gold",
    }[text]
    found = understand(text, there.catalog, there.as_of, there.catalog.timezone).candidates

    assert members(parse_definition(wrong)) not in {members(one.definition) for one in found if not one.left}


def test_a_reading_that_says_of_nobody_takes_no_share_of_one_that_does() -> None:
    there = tenant("saas")
    made = read_audience("used the AI assistant", there.catalog, there.as_of, there.catalog.timezone)

    assert isinstance(made, Drafted)
    assert write_definition(made.definition) == "count(feature_used[feature=ai_assistant])≥1"


def test_a_part_of_a_name_stands_for_nothing_else() -> None:
    there = tenant("shop")
    found = understand("Repeat Searchers", there.catalog, there.as_of, there.catalog.timezone).candidates

    assert members(found[0].definition) == members(parse_definition('in segment "Repeat Searchers"', there.segments))
