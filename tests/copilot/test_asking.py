"""Questions to the person: how a run ends with one, and how the next one goes on."""

from __future__ import annotations

from typing import Any

import pytest

from segment_copilot.copilot.models import AssistantMessage, UserMessage
from tests.support.copilot_runs import Ask, Script, asking, calls, heard, says

OPTIONS = [{"label": "Spain", "value": "ES", "effect": "2 users"}, {"label": "France", "value": "FR"}]
QUESTION = {"question": "Which country?", "options": OPTIONS}


async def test_a_question_ends_the_run_and_says_how_it_is_answered(ask: Ask):
    told = await ask(Script(calls(("ask_user", QUESTION))))

    asked = told.one("clarification")
    assert asked["question"] == "Which country?"
    assert asked["options"] == OPTIONS
    assert asked["tool_call_id"] == told.one("tool.result")["tool_call_id"]
    assert asked["response_schema"]["properties"]["answer"]["examples"] == ["ES", "FR"]
    assert told.one("tool.start")["kind"] == "ask"
    assert told.frames[-1]["outcome"] == "input_required"
    assert told.text == "Which country?"


async def test_the_question_is_said_once(ask: Ask):
    said = await ask(Script(calls(("ask_user", QUESTION), text="First: Which country?")))
    narrated = await ask(Script(calls(("ask_user", QUESTION), text="I need to know one thing.")))

    assert said.text == "First: Which country?"
    assert narrated.text == "I need to know one thing.Which country?"


async def test_the_other_calls_of_the_turn_have_their_results(ask: Ask):
    told = await ask(Script(calls(("ask_user", QUESTION), ("list_segments", {}))))

    assert [result["ok"] for result in told.of("tool.result")] == [True, True]
    assert told.frames[-1]["outcome"] == "input_required"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"question": ""}, "invalid_arguments"),
        ({"question": "![](https://evil.example)"}, "empty_question"),
        ({"question": "Which?", "options": OPTIONS * 3}, "invalid_arguments"),
        ({"question": "Which?", "options": [OPTIONS[0]] * 2}, "duplicate_option"),
        ({"question": "Which?", "allow_free_text": False}, "nothing_to_answer"),
    ],
)
async def test_a_question_that_cannot_be_asked_is_an_error_and_the_run_goes_on(
    ask: Ask, arguments: dict[str, Any], code: str
):
    told = await ask(Script(calls(("ask_user", arguments)), says("Sorry.")))

    assert told.one("tool.result")["error"]["code"] == code
    assert told.of("clarification") == []
    assert told.frames[-1]["outcome"] == "completed"


async def test_one_question_at_a_time(ask: Ask):
    told = await ask(Script(calls(("ask_user", QUESTION), ("ask_user", {"question": "And which city?"}))))

    assert told.one("clarification")["question"] == "Which country?"
    assert told.result(0)["clarification_id"] == told.one("clarification")["id"]
    assert told.of("tool.result")[1]["error"]["code"] == "already_asked"


async def test_only_the_options_count_when_the_question_says_so(ask: Ask):
    told = await ask(Script(calls(("ask_user", {**QUESTION, "allow_free_text": False}))))

    assert told.one("clarification")["response_schema"]["properties"]["answer"]["enum"] == ["ES", "FR"]


async def test_a_link_in_a_question_loses_its_address(ask: Ask):
    option = {"label": "[Spain](https://evil.example)", "value": "ES", "effect": "![x](https://evil.example)two"}
    told = await ask(
        Script(calls(("ask_user", {"question": "[This](https://evil.example) one?", "options": [option]})))
    )

    assert told.one("clarification")["question"] == "This one?"
    assert told.one("clarification")["options"] == [{"label": "Spain", "value": "ES", "effect": "xtwo"}]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"id": "q", "status": "resolved", "payload": {"answer": "ES"}}, "ES"),
        ({"id": "q", "status": "resolved", "payload": "ES"}, "ES"),
        ({"id": "q", "status": "cancelled"}, "I would rather not answer that. Go on without it."),
    ],
)
async def test_an_answer_is_the_persons_next_message(ask: Ask, entry: Any, said: str):
    model = Script(says("Fine."))
    history = [{"role": "user", "content": "Users there"}, {"role": "assistant", "content": "Which country?"}]

    await ask(model, asking(messages=history, resume=[entry]))

    assert heard(model.requests[0]) == [
        UserMessage("Users there"),
        AssistantMessage("Which country?"),
        UserMessage(said),
    ]
