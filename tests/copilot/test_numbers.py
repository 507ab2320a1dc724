"""A text states no number that nobody gave: what a model makes up is told, in a warning and in words."""

from __future__ import annotations

from typing import Any

import pytest

from segment_copilot.copilot import models
from segment_copilot.copilot.guards.numbers import unsupported_numbers
from segment_copilot.copilot.models.offline import OfflineModel
from segment_copilot.errors import Unavailable
from tests.support.copilot_runs import BUYERS, Ask, Script, asking, calls, says

COUNTED = {"matched_users": 4711, "universe": 20_000, "percent": 23.56, "as_of": "2026-06-15T12:00:00Z"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("There are 4,712 users.", ("4,712",)),
        ("There are 4.712 users.", ("4.712",)),
        ("4712 of 20,000 users, 23.6 %.", ("4712",)),
        ("That is 25 % of all.", ("25 %",)),
        ("That is 25% of all, about 5k users, 12 of them new.", ("25%", "12")),
        ("They bought in the last 90 days.", ("90",)),
        ("I found 15 users.", ("15",)),  # the day of as_of is no count
        ("There are “4,712” users.", ("4,712",)),
        ("There are 3 million users.", ("3 million",)),
        ("5,000 users match.", ("5,000",)),
        ("They spent $30,875 and 12 € each.", ("30,875", "12")),
        ("One of 7, 8, 9, 10, 11 and 12.", ("7", "8", "9", "10", "11")),
    ],
)
def test_a_number_that_nobody_gave_is_found(text: str, found: tuple[str, ...]):
    assert unsupported_numbers(text, [COUNTED]) == found


@pytest.mark.parametrize(
    "text",
    [
        "4,711 of 20,000 users (23.56 %).",
        "4.711 usuarios de 20.000, el 23,6 %.",
        "4\u202f711 users, 24 percent.",
        "About 4,700 users, nearly 5,000.",
        "4.7k users, or 20 thousand in all.",
        "On June 15, 2026 at 14:30, and on 2026-05-01, and in May 2026.",
        "In 2026 they came back.",
        "1. First\n2. Second\n  10) Tenth",
        "Try “users with 7 orders”, 'users with 8 orders' or `window_days: 9`.",
        "Did you mean 5 or 10 orders?",
        "user_02043 of Q2 bought SKU-77 with COUPON10, see /page/404 and #12.",
        "The 7th day was the busiest.",
        "No number at all.",
        "",
    ],
)
def test_what_was_given_or_is_no_number_is_left_alone(text: str):
    assert unsupported_numbers(text, [COUNTED]) == ()


def test_what_a_person_said_in_words_may_come_back_in_digits():
    assert unsupported_numbers("2 orders, 500,000 users, 7 days.", ["twice", "half of 500k", "last week"]) == ()


def test_a_list_gives_its_length():
    assert unsupported_numbers("There are 3 segments.", [{"segments": [{}, {}, {}]}]) == ()


def test_what_a_call_asked_for_counts_for_lengths_of_time_alone():
    asked = [{"days": 30, "limit": 50}]

    assert unsupported_numbers("In the last 30 days there were 50 events.", [{}], asked) == ("50",)
    assert unsupported_numbers("14 days", [{"from": "2026-06-01", "to": "2026-06-15"}]) == ()


# In a run

COUNTS = calls(("preview_segment", {"definition": BUYERS}))
CARD = ("display_metric_card", {"title": "Of 4,711 users", "value": 2, "note": "4,712 last week"})


def warned(told: Any) -> list[str]:
    return [frame["message"] for frame in told.of("warning") if frame["code"] == "unsupported_number"]


async def test_a_number_beside_the_tools_is_told_with_the_one_that_was_counted(ask: Ask):
    told = await ask(Script(COUNTS, says("There are 4,711 users who placed an order.")))

    (warning,) = warned(told)
    assert "4,711" in warning
    assert told.text.endswith("4,711 stands in no look-up of this answer and is not checked. The last count: 2 of 4 users.")  # fmt: skip


async def test_a_number_without_any_look_up_is_told(ask: Ask):
    told = await ask(Script(says("There are 4,711 users who placed an order.")))

    assert len(warned(told)) == 1
    assert told.text.endswith("I did not look anything up for this answer: 4,711 is not checked.")


@pytest.mark.parametrize(
    ("question", "text"),
    [("How many?", "2 of 4 users bought."), ("More than 17 orders?", "You asked for 17 orders: 2 of 4 users.")],
)
async def test_a_number_of_a_tool_or_of_the_person_is_left_alone(ask: Ask, question: str, text: str):
    told = await ask(Script(COUNTS, says(text)), asking(question))

    assert warned(told) == []
    assert told.text == text


async def test_what_a_draft_says_may_be_said(ask: Ask):
    made = {"name": "Buyers", "description": "They bought 4,711 times.", "definition": BUYERS}

    told = await ask(Script(calls(("propose_segment", made)), says("Bought in the last 7 days: 2 users, 50 %.")))

    (warning,) = warned(told)
    assert "4,711" in warning, "the draft's description is the model's own words"


async def test_a_number_in_what_is_drawn_is_told_too(ask: Ask):
    told = await ask(Script(COUNTS, calls(CARD), says("Here it is.")))

    (warning,) = warned(told)
    assert "4,711" in warning
    assert "4,712" in warning


async def test_a_number_of_an_earlier_answer_was_looked_up_where_a_checkpoint_says_so(ask: Ask):
    first = await ask(Script(COUNTS, says("2 of 4 users bought.")))
    messages = [
        {"role": "user", "content": "How are sales?"},
        {"role": "assistant", "content": first.text},
        {"role": "user", "content": "Again?"},
    ]
    again = Script(says("2 of 4 users, as I said."))

    known = await ask(again, asking(messages=messages, checkpoint=first.of("checkpoint")[-1]["token"]))
    claimed = await ask(Script(says("2 of 4 users, as I said.")), asking(messages=messages))

    assert warned(known) == []
    assert len(warned(claimed)) == 1, "what a client says of an earlier answer proves nothing"


async def test_options_are_offered_and_not_claimed(ask: Ask):
    question = {"question": "How often?", "options": [{"label": "17 times", "value": "17"}]}

    told = await ask(Script(calls(("ask_user", question), text="Often may be 17 times or more.")))

    assert warned(told) == []


async def test_a_number_that_a_turn_took_back_does_not_count(ask: Ask):
    down = Unavailable("x", code="upstream_overloaded", context={"retry_after_ms": 0})

    told = await ask(Script([models.TextDelta("4,711 users. "), down], says("I do not know.")))

    assert warned(told) == []


@pytest.mark.parametrize(
    "question",
    [
        "Users who ordered at least twice in the last month",
        "How many orders were there per day last week?",
        "Top 5 events this month",
        "How many users are in Buyers?",
        "Is Buyers growing?",
        "Users who ordered a lot",
        "Users with 7 golden lives",
        "What can you do?",
    ],
)
async def test_the_offline_model_says_none(ask: Ask, question: str):
    assert warned(await ask(OfflineModel(), asking(question))) == []
