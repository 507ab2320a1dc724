"""One question about words that are open; the answer takes their place, however it is given."""

from __future__ import annotations

import json

import pytest

from segment_copilot.copilot.models import (
    AssistantMessage,
    Message,
    ModelRequest,
    ToolCall,
    ToolResult,
    ToolResults,
    UserMessage,
)
from tests.support.english.brief import brief
from tests.support.english.catalogs import AS_OF, DEMO
from tests.support.english.driver import SPECIFICATIONS, play, turn


def _asked(*messages: Message) -> ToolCall:
    request = ModelRequest("", messages, SPECIFICATIONS, DEMO, AS_OF, DEMO.timezone)
    calls = [event for event in turn(request) if isinstance(event, ToolCall)]
    assert len(calls) == 1
    return calls[0]


@pytest.mark.parametrize(
    ("sentence", "about"),
    [
        ("big spenders who went quiet", "big"),
        ("customers who order often", "often"),
        ("our active users", "active"),
        ("people who visited recently", "recently"),
        ("loyal customers in Germany", "loyal"),
    ],
)
def test_open_words_are_asked_about_with_options_that_can_be_drafted(sentence: str, about: str) -> None:
    asked = play(sentence).calls[-1]
    assert about in asked.arguments["question"]
    assert asked.arguments["question"].count("?") == 1
    options = asked.arguments["options"]
    assert 2 <= len(options) <= 4
    for option in options:
        answered = _asked(UserMessage(sentence), AssistantMessage("…"), UserMessage(option["value"]))
        assert answered.name in {"propose_segment", "ask_user"}
        assert answered.arguments.get("question") != asked.arguments["question"]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["more than 800", "60 days"], "sum(order_placed.total)>800 & count(page_viewed)=0 in 60d"),
        (["the second one"], "sum(order_placed.total)>1000 & count(order_placed)=0 in 60d"),
        (["Spent over 1000 in total", "have not visited in 30 days"], "sum(order_placed.total)>1000 & last(page_viewed)>30d"),
        (["made at least 3 orders", "have not ordered in 90 days"], "count(order_placed)≥3 & last(order_placed)>90d"),
    ],
)  # fmt: skip
def test_answers_settle_a_sentence_one_after_the_other(answers: list[str], expected: str) -> None:
    messages: list[Message] = [UserMessage("big spenders who went quiet")]
    for answer in answers:
        asked = _asked(*messages)
        assert asked.name == "ask_user"
        messages += [AssistantMessage(asked.arguments["question"]), UserMessage(answer)]
    proposed = _asked(*messages)
    if proposed.name == "ask_user":  # which reading of the whole
        proposed = _asked(*messages, AssistantMessage("…"), UserMessage("the first one"))
    assert brief(proposed.arguments["definition"]) == expected


def test_the_answer_of_a_resumed_run_counts_like_a_message() -> None:
    question = UserMessage("customers who order often")
    asked = _asked(question)
    result = ToolResult(asked.id, "ask_user", json.dumps({"answer": asked.arguments["options"][1]["value"]}))
    proposed = _asked(question, AssistantMessage("", (asked,)), ToolResults((result,)))
    assert brief(proposed.arguments["definition"]) == "count(order_placed)≥5 in 90d"


def test_a_new_request_is_no_answer() -> None:
    new = "Users who viewed a product in the last 7 days and never added to cart"
    proposed = _asked(UserMessage("big spenders"), AssistantMessage("…"), UserMessage(new))
    assert brief(proposed.arguments["definition"]) == "count(product_viewed)≥1 in 7d & count(cart_add)=0"
