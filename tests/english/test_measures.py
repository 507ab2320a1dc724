"""People beside others, one number beside another, and what is known beside what was done."""

from __future__ import annotations

import pytest

from evals.corpus.notation import parse_definition
from evals.corpus.printing import write_definition
from evals.corpus.tenants import tenant
from segment_copilot.english.reading.audience import understand
from segment_copilot.english.reading.same import members
from segment_copilot.english.times.dates import local_date
from segment_copilot.language import MeasureCompare, Rank

SENTENCES = [
    ("shop", "top 15% by refunds this year", "top 15% by count(order_refunded) this year"),
    ("shop", "the 30 people who searched most often", "top 30 by count(search_performed)"),
    ("shop", "bottom 40 by average order value", "bottom 40 by avg(order_placed.total)"),
    ("shop", "not among the top 20% of spenders", "not top 20% by sum(order_placed.total)"),
    ("gym", "the 12 most frequent visitors of Playa", "top 12 by count(visita_registrada[sede=Playa])"),
    ("shop", "more searches this week than last week", "compare count(search_performed) this week > count(search_performed) last week"),
    ("shop", "placed fewer orders than they opened tickets", "compare count(order_placed) < count(support_ticket_opened)"),
    ("shop", "opened at least three times as many emails as they clicked", "compare count(email_opened) ≥ 3 * count(email_clicked)"),
    ("saas", "their logins last month were more than double those of this month", "compare count(logged_in) last month > 2 * count(logged_in) this month"),
    ("saas", "renews next quarter", "renewal_date in_window next quarter"),
    ("media", "birthday next month", '"Date of Birth" anniversary_in next month as datetime'),
    ("shop", "signup anniversary in March", "signup_date anniversary_in month 3"),
    ("shop", "tags exactly sale and gift, nothing else", "tags equals_set sale,gift"),
    ("gym", "interests are empty", "intereses is_empty"),
    ("saas", "in none of: Promoters, At Risk, Power Users", 'not in any segment Promoters,"At Risk","Power Users"'),
    ("gym", "booked a class at a different club than their home club", "count(clase_reservada[sede≠trait(sede_habitual)])≥1"),
    ("saas", "started a trial of the same plan they are on", "count(trial_began[plan=trait(plan)])≥1"),
    ("shop", "users whose first refund was not in the last 60 days", "count(order_refunded)≥1 & first(order_refunded) not_in_last 60d"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "meaning"), SENTENCES)
def test_what_was_meant_is_among_the_readings_that_explain_every_word(name: str, text: str, meaning: str) -> None:
    whose = tenant(name)
    today = local_date(whose.as_of, whose.catalog.timezone)

    made = understand(text, whose.catalog, whose.as_of, whose.catalog.timezone).candidates

    wanted = members(parse_definition(meaning, whose.segments), today)
    found = [one for one in made if members(one.definition, today) == wanted and not one.left]
    assert found, [write_definition(one.definition) for one in made[:3]]


@pytest.mark.parametrize(
    "text",
    [
        "ordered at least 3 times",
        "spent more than 100 this month",
        "the largest order was above 400",
        "at most 2 refunds in the last 30 days",
    ],
)
def test_what_compares_with_a_number_ranks_nobody(text: str) -> None:
    whose = tenant("shop")

    made = understand(text, whose.catalog, whose.as_of, whose.catalog.timezone).candidates

    assert not any(isinstance(one, Rank | MeasureCompare) for one in made[0].definition.conditions)
