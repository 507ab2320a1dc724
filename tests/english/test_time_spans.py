"""When it happened, as a person says it: calendar periods, dates, first and last times, gaps, periods that count."""

from __future__ import annotations

import pytest

from tests.support.english.brief import brief
from tests.support.english.driver import definition, play

# fmt: off
AUDIENCES = (
    ("users who signed up in the last 30 days", "signup_date in_last 30d"),
    ("Anyone that clicked an email but hasn't purchased since June 1", "count(email_clicked)≥1 & count(order_placed)=0 from 2026-06-01"),
    ("users who opened an email within the last 7 days and then purchased", "seq(email_opened > order_placed) all in 7d"),
    ("users who placed their first order in the last 30 days", "first(order_placed) in_last 30d"),
    ("users that were active last month but not this month", "count(*)≥1 last month & count(*)=0 this month"),
    ("Everyone who added an item to the cart yesterday", "count(cart_add)≥1 yesterday"),
    ("Users who signed up more than a year ago", "signup_date is_set & signup_date not_in_last 1y"),
    ("users whose first order was in the last week", "first(order_placed) in_last 1w"),
    ("users that ordered in May", "count(order_placed)≥1 from 2026-05-01 to 2026-06-01"),
    ("Users who first purchased more than a year ago", "count(order_placed)≥1 & first(order_placed) not_in_last 1y"),
    ("users who ordered last week", "count(order_placed)≥1 last week"),
    ("users who ordered this week but not today", "count(order_placed)≥1 this week & count(order_placed)=0 today"),
    ("users who ordered last quarter but haven't ordered this quarter", "count(order_placed)≥1 last quarter & count(order_placed)=0 this quarter"),
    ("users who ordered last quarter at least twice", "count(order_placed)≥2 last quarter"),
    ("who ordered in the last full month", "count(order_placed)≥1 last month"),
    ("who ordered year to date", "count(order_placed)≥1 this year"),
    ("who ordered earlier this week", "count(order_placed)≥1 this week"),
    ("This month, viewed a product and started a checkout but did not purchase", "count(product_viewed)≥1 this month & count(checkout_started)≥1 this month & count(order_placed)=0 this month"),
    ("users who spent over 500 this year", "sum(order_placed.total)>500 this year"),
    ("users whose average order value is over 80 this year", "avg(order_placed.total)>80 this year"),
    ("users who bought in at least 2 different categories this year", "count_distinct(order_placed.category)≥2 this year"),
    ("users who spent over 500 in 2025", "sum(order_placed.total)>500 from 2025-01-01 to 2026-01-01"),
    ("users that ordered in Q2", "count(order_placed)≥1 from 2026-04-01 to 2026-07-01"),
    ("users that ordered in Q2 2025", "count(order_placed)≥1 from 2025-04-01 to 2025-07-01"),
    ("users that ordered in the fourth quarter", "count(order_placed)≥1 from 2025-10-01 to 2026-01-01"),
    ("users that ordered in August", "count(order_placed)≥1 from 2025-08-01 to 2025-09-01"),
    ("who ordered in the month of May", "count(order_placed)≥1 from 2026-05-01 to 2026-06-01"),
    ("users who ordered in May but not in June", "count(order_placed)≥1 from 2026-05-01 to 2026-06-01 & count(order_placed)=0 from 2026-06-01 to 2026-07-01"),
    ("users that ordered between May 1 and May 15", "count(order_placed)≥1 from 2026-05-01 to 2026-05-16"),
    ("users that ordered between 2026-05-01 and 2026-05-15", "count(order_placed)≥1 from 2026-05-01 to 2026-05-16"),
    ("users that ordered between May 20 and June 20", "count(order_placed)≥1 from 2026-05-20 to 2026-06-21"),
    ("users that ordered between May 1 and May 15, 2024", "count(order_placed)≥1 from 2024-05-01 to 2024-05-16"),
    ("users that ordered from May 1 to May 15", "count(order_placed)≥1 from 2026-05-01 to 2026-05-16"),
    ("users that ordered from May 1 on", "count(order_placed)≥1 from 2026-05-01"),
    ("users that ordered since Monday", "count(order_placed)≥1 from 2026-06-08"),
    ("users that ordered prior to June 1", "count(order_placed)≥1 to 2026-06-01"),
    ("users that ordered on June 5", "count(order_placed)≥1 from 2026-06-05 to 2026-06-06"),
    ("ordered twice or more between 90 and 30 days ago", "count(order_placed)≥2 90d..30d ago"),
    ("users who never ordered before this month", "count(order_placed)=0 to 2026-06-01"),
    ("first-time buyers in May", "first(order_placed) 2026-05-01..2026-05-31"),
    ("customers who made a first-time purchase in the last 30 days", "first(order_placed) in_last 30d"),
    ("users whose first order was in May", "first(order_placed) 2026-05-01..2026-05-31"),
    ("users whose first order was before 2026-03-01", "first(order_placed)<2026-03-01"),
    ("users whose first order was not in the last 30 days", "count(order_placed)≥1 & first(order_placed) not_in_last 30d"),
    ("users who bought shoes for the first time in the last 60 days", "first(order_placed[category=shoes]) in_last 60d"),
    ("users who first ordered between 10 and 7 days ago", "first(order_placed) in_last 10d & first(order_placed) not_in_last 7d"),
    ("users whose last order was in May", "last(order_placed) 2026-05-01..2026-05-31"),
    ("users whose last order was not in May", "count(order_placed)≥1 & last(order_placed) not 2026-05-01..2026-05-31"),
    ("users whose last order was last month", "count(order_placed)≥1 last month & count(order_placed)=0 this month"),
    ("users whose last visit was yesterday", "count(page_viewed)≥1 yesterday & count(page_viewed)=0 today"),
    ("users whose last purchase was this month", "count(order_placed)≥1 this month"),
    ("users who signed up less than 2 weeks ago", "signup_date in_last 2w"),
    ("users who signed up between 10 and 7 days ago", "signup_date in_last 10d & signup_date not_in_last 7d"),
    ("users who have been signed up for more than a year", "signup_date is_set & signup_date not_in_last 1y"),
    ("users who haven't signed up in the last 30 days", "signup_date not_in_last 30d"),
    ("users who signed up in May", "signup_date 2026-05-01..2026-05-31"),
    ("users who signed up this month", "signup_date 2026-06-01..2026-06-30"),
    ("users who signed up yesterday", "signup_date=2026-06-09"),
    ("users who did not sign up in 2025", "signup_date not 2025-01-01..2025-12-31"),
    ("users who signed up more than 6 months ago and ordered this month", "signup_date is_set & signup_date not_in_last 6mo & count(order_placed)≥1 this month"),
    ("users who opened an email and then purchased within 7 days", "seq(email_opened > order_placed) in 7d"),
    ("opened an email and then purchased within a month", "seq(email_opened > order_placed) in 30d"),
    ("users who opened an email and then purchased in the last 30 days", "seq(email_opened > order_placed) all in 30d"),
    ("users who viewed a product in May and then purchased", "seq(product_viewed > order_placed) all from 2026-05-01 to 2026-06-01"),
    ("users who viewed a product this month, then added it to cart, then purchased within 3 days", "seq(product_viewed > cart_add > order_placed) in 3d all this month"),
    ("users who viewed a product, then added it to cart within 1 hour, then purchased within 2 days", "seq(product_viewed > cart_add within 1h > order_placed within 2d)"),
    ("users who viewed a product, then added it to cart within 1 hour, and then purchased", "seq(product_viewed > cart_add within 1h > order_placed)"),
    ("users active in at least 4 of the last 8 weeks", "periods(*)≥4 of 8 weeks"),
    ("users who visited in 3 or more of the past 4 weeks", "periods(page_viewed)≥3 of 4 weeks"),
    ("users who ordered on at least 3 different days in the last 30 days", "periods(order_placed)≥3 of 30 days"),
    ("users who visited on 5 days in the last 2 weeks", "periods(page_viewed)≥5 of 14 days"),
    ("users who visited every day in the last 7 days", "periods(page_viewed)=7 of 7 days"),
    ("users who ordered every month of the last 6 months", "periods(order_placed)=6 of 6 months"),
    ("users who bought shoes in at least 2 of the last 3 months and live in Spain", "periods(order_placed[category=shoes])≥2 of 3 months & country=ES"),
    ("users who visited in fewer than 2 of the last 4 weeks", "periods(page_viewed)<2 of 4 weeks"),
    ("users who ordered during the previous quarter", "count(order_placed)≥1 last quarter"),
    ("users who ordered in the previous 36 hours", "count(order_placed)≥1 in 36h"),
    ("users whose signup anniversary is in the next 30 days", "signup_date anniversary_in_next 30d"),
    ("users with a signup anniversary in the next week", "signup_date anniversary_in_next 1w"),
    ("users whose signup date is in the next 30 days", "signup_date in_next 30d"),
    ("cart abandoners this week", "count(cart_add)≥1 this week & count(order_placed)=0 this week"),
    ("repeat buyers this year", "count(order_placed)≥2 this year"),
    ("US customers who spent more than $500 in Q1", "country=US & sum(order_placed.total)>500 from 2026-01-01 to 2026-04-01"),
    ("VIP Buyers who haven't purchased since May", "in segment 4 & count(order_placed)=0 from 2026-05-01"),
    ("users who signed up in Q1 and ordered in Q2", "signup_date 2026-01-01..2026-03-31 & count(order_placed)≥1 from 2026-04-01 to 2026-07-01"),
    ("users who ordered since 3 days ago", "count(order_placed)≥1 in 3d"),
    ("users who last ordered before 30 days ago", "last(order_placed)>30d"),
)

ASSUMED = (
    ("users that ordered in May", "'in May' is read as 1 May 2026 to 31 May 2026."),
    ("users that ordered in August", "'in August' is read as 1 August 2025 to 31 August 2025."),
    ("users who spent over 500 since March", "'since March' is read as from 1 March 2026 on."),
    ("Since Monday, viewed a product and purchased", "'Since Monday' is read as from 8 June 2026 on."),
    ("users whose first order was before March 1", "'before March 1' is read as before 1 March 2026."),
    ("users who signed up this month", "'this month' is fixed as 1 June 2026 to 30 June 2026"),
    ("users whose first order was today", "'today' is fixed as 10 June 2026"),
    ("users active in at least 4 of the last 8 weeks", "The 8 weeks of 'the last 8 weeks' are calendar weeks, the current one included."),
    ("users who visited on 5 days in the last 2 weeks", "'5' is read as at least 5."),
    ("users who haven't ordered this month", "People who never did it are included"),
    ("users who haven't signed up in the last 30 days", "People without `signup_date` are included."),
    ("opened an email and then purchased within a month", "1 month is read as 30 days."),
    ("viewed a product and then purchased in the last 30 days", "All steps lie 'in the last 30 days'."),
)
EXACT = (
    "users who purchased today",
    "users who bought jeans more than twice this year",
    "users that were active last month and purchased yesterday",
    "users that ordered in May 2025",
    "users that ordered between 2026-05-01 and 2026-05-15",
    "users who signed up in the last 30 days",
    "users who opened an email this week and then purchased",
)
REFUSED = (
    "users who ordered in 2025 and 2026",
    "users whose first order is in the next 7 days",
    "users who spent over 100 in the next 7 days",
    "In the next 7 days, viewed a product",
    "users whose signup anniversary is this month",
    "users inactive between 60 and 30 days ago",
    "users who ordered next month",
    "users who visited on 3 different days",
    "users who purchased every day this week",
    "users who visited on 3 different weeks in the last 30 days",
    "users who didn't visit in at least 2 of the last 4 weeks",
)
# fmt: on


@pytest.mark.parametrize(("sentence", "meaning"), AUDIENCES)
def test_a_sentence_with_a_time_span_means(sentence: str, meaning: str) -> None:
    assert brief(definition(sentence)) == meaning


@pytest.mark.parametrize(("sentence", "assumption"), ASSUMED)
def test_what_a_time_span_left_open_is_said(sentence: str, assumption: str) -> None:
    played = play(sentence)
    assert any(one.startswith(assumption) for one in played.arguments("propose_segment")["assumptions"])
    assert assumption in played.text


@pytest.mark.parametrize("sentence", EXACT)
def test_a_time_span_that_the_language_has_words_for_needs_no_assumption(sentence: str) -> None:
    assumptions = play(sentence).arguments("propose_segment")["assumptions"]
    assert [one for one in assumptions if "active" not in one] == []


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_time_span_that_is_not_told_is_asked_for(sentence: str) -> None:
    played = play(sentence)
    assert played.refuses
    assert played.asks or "Nothing is drafted" in played.text


@pytest.mark.parametrize("rows", [AUDIENCES[start::4] for start in range(4)])
def test_no_word_is_lost_beside_a_time_span(rows: tuple[tuple[str, str], ...]) -> None:
    for place, (sentence, _) in enumerate(rows):
        words = sentence.split()
        for at in range(1 + place % 4, len(words) + 1, 4):
            changed = " ".join([*words[:at], "frobnicated", *words[at:]])
            assert play(changed).refuses, changed


@pytest.mark.parametrize(
    ("question", "start", "end"),
    [
        ("how many orders between 10 and 7 days ago", "2026-05-31T15:30:00Z", "2026-06-03T15:30:00Z"),
        ("top 5 events 3 days ago", "2026-06-06T22:00:00Z", "2026-06-07T22:00:00Z"),
        ("how many orders less than 2 weeks ago", "2026-05-27T15:30:00Z", "2026-06-10T15:30:00Z"),
        ("how many orders were placed more than 30 days ago", "1969-12-31T23:00:00Z", "2026-05-11T15:30:00Z"),
        ("how many orders in May", "2026-04-30T22:00:00Z", "2026-05-31T22:00:00Z"),
        ("what events came in during May", "2026-04-30T22:00:00Z", "2026-05-31T22:00:00Z"),
    ],
)
def test_a_question_looks_at_the_time_that_was_said(question: str, start: str, end: str) -> None:
    arguments = play(question).calls[0].arguments
    assert (arguments["from"], arguments["to"]) == (start, end)


def test_a_question_about_what_is_still_to_come_is_not_answered_with_the_past() -> None:
    played = play("how many orders in the next 7 days")
    assert played.tools == []
    assert "still to come" in played.text
