"""At which times of the day, how many of a list, which ends a time has, and who is taken out behind: each by what is drafted."""

from __future__ import annotations

import pytest

from evals.corpus.printing import write_definition
from segment_copilot.english import Asked, Drafted, Refused, read_audience
from segment_copilot.english.reading.audience import Rated, decision
from segment_copilot.english.times.of_day import OfDay, said
from segment_copilot.english.words.lexer import read
from tests.support.english.catalogs import AS_OF, DEMO

WORKING = ("mon", "tue", "wed", "thu", "fri")


def drafted(text: str) -> str:
    made = read_audience(text, DEMO, AS_OF, DEMO.timezone)
    assert isinstance(made, Drafted), made
    return write_definition(made.definition, {number: one.name for number, one in DEMO.segments.items()})


@pytest.mark.parametrize(
    ("text", "weekdays", "hours"),
    [
        ("on weekends", ("sat", "sun"), None),
        ("on Sundays", ("sun",), None),
        ("Mon-Fri", WORKING, None),
        ("Friday to Monday", ("mon", "fri", "sat", "sun"), None),
        ("on working days between 9 and 17h", WORKING, (540, 1020)),
        ("between 10pm and 2am", (), (1320, 120)),
        ("from 12am to 5am", (), (0, 300)),
        ("5 to 9pm", (), (1020, 1260)),
        ("18:00–08:30", (), (1080, 510)),
        ("before 8am", (), (0, 480)),
        ("after nine in the evening", (), (1260, 0)),
        ("between midnight and noon", (), (0, 720)),
    ],
)
def test_weekdays_and_hours_are_read(text: str, weekdays: tuple[str, ...], hours: tuple[int, int] | None) -> None:
    found = OfDay()
    for _, _, one in said(read(text)):
        found = found.with_(one) or pytest.fail("two of a kind")

    assert (found.weekdays, found.hours) == (weekdays, hours)


@pytest.mark.parametrize(
    "text", ["this weekend", "on Monday", "between 9 and 17", "at 8 orders", "after 20 hours", "25:00 to 26:00"]
)
def test_what_is_one_time_or_a_number_is_no_time_of_the_day(text: str) -> None:
    assert list(said(read(text))) == []


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("users who ordered on weekends", "count(order_placed at sat,sun)≥1"),
        ("users who ordered between 10pm and 2am in the last 30 days", "count(order_placed at 22:00-02:00)≥1 in 30d"),
        ("users who ordered in the last 7 full days", "count(order_placed)≥1 in 7d complete"),
        ("users who ordered in the last 7 days, today excluded", "count(order_placed)≥1 in 7d complete"),
        ("users who ordered in May or later", "count(order_placed)≥1 from 2026-05-01"),
        ("users who ordered in the last 7 days, Churn Risk excluded", 'count(order_placed)≥1 in 7d - in segment "Churn Risk"'),
    ],
)  # fmt: skip
def test_what_stands_behind_is_heard(text: str, meaning: str) -> None:
    assert drafted(text) == meaning


def test_of_a_list_so_many_have_to_hold() -> None:
    made = drafted(
        "Any two of: ordered in the last 30 days; opened an email in the last 30 days; opened a support ticket in the last 7 days"
    )

    assert (
        made
        == "2 of (count(order_placed)≥1 in 30d; count(email_opened)≥1 in 30d; count(support_ticket_opened)≥1 in 7d)"
    )


def test_where_a_word_names_nothing_the_rest_is_offered_and_says_so() -> None:
    made = read_audience("users who bought unicorn shoes in the last 30 days", DEMO, AS_OF, DEMO.timezone)

    assert isinstance(made, Refused)
    (one, *_) = made.without
    assert "“unicorn” is left out." in one.draft.assumptions
    assert any(part.unmapped and part.text == "unicorn" for part in one.draft.reading)


@pytest.mark.parametrize("word", ["never", "5 times", "only", "in May"])
def test_what_binds_is_never_left_out(word: str) -> None:
    made = read_audience(f"users frobbing {word} who bought shoes", DEMO, AS_OF, DEMO.timezone)

    offered = made.without if isinstance(made, Refused) else ()
    assert not [one for one in offered if any(word in note for note in one.draft.assumptions)]


def rated(*likely: float, clean: bool = True, loose: bool = False) -> list[Rated]:
    return [Rated(one, clean, near=not clean, loose=loose) for one in likely]


def test_one_reading_is_drafted_several_are_offered_and_no_silly_one_beside_them() -> None:
    assert decision(rated(0.8, 0.2)).drafted == 0
    assert decision(rated(0.5, 0.02)).drafted == 0, "it has no rival"
    assert decision(rated(0.5, 0.02, loose=True)).drafted is None
    assert decision(rated(0.5, 0.3, 0.1, 0.05)).asked == (0, 1, 2)
    assert decision(rated(0.5, 0.3, 0.001)).asked == (0, 1)
    assert decision(rated(0.9, clean=False)).without == (0,)


def test_who_never_did_something_is_told_and_not_asked_about() -> None:
    made = read_audience("users who have not ordered in 30 days", DEMO, AS_OF, DEMO.timezone)

    assert not isinstance(made, Asked)
