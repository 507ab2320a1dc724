"""AG-UI and the AI SDK's stream where they differ from ours: questions, refusals, retries, versions."""

from __future__ import annotations

from typing import Any

import pytest

from segment_copilot.copilot import models
from segment_copilot.copilot.models import AssistantMessage, TurnEnded
from segment_copilot.copilot.stream.encoders.ag_ui import AgUiEncoder
from segment_copilot.copilot.stream.encoders.ai_sdk import AiSdkEncoder
from segment_copilot.copilot.stream.run_events import Clarification, ClarificationOption, Event, Outcome, RunFinished
from segment_copilot.copilot.stream.usage import Usage
from tests.support import copilot_encodings
from tests.support.copilot_runs import TOKENS, Ask, Script, says

CUT = [models.TextDelta("Half a "), TurnEnded("truncated", AssistantMessage(""), TOKENS)]


def ends(outcome: Outcome) -> RunFinished:
    return RunFinished(outcome=outcome, usage=Usage(7, 3, 2, 1), turns=1, tool_calls=0, duration_ms=5)


def in_ag_ui(*events: Event) -> list[dict[str, Any]]:
    encoder = AgUiEncoder(thread_id="t", run_id="r", prefix="p")
    return copilot_encodings.documents(encoder.opening + b"".join(encoder.frame(event) for event in events))


QUESTION = Clarification(
    "q",
    "c",
    "Which country?",
    (ClarificationOption("Spain", "ES"), ClarificationOption("France", "FR")),
    {"type": "object", "properties": {"answer": {"type": "string", "enum": ["ES", "FR"]}}},
)


def test_a_question_interrupts_an_ag_ui_run_and_says_how_to_answer():
    (last,) = in_ag_ui(QUESTION, ends("input_required"))

    (interrupt,) = last["outcome"]["interrupts"]
    assert (last["type"], last["outcome"]["type"]) == ("RUN_FINISHED", "interrupt")
    assert (interrupt["id"], interrupt["reason"], interrupt["message"]) == ("q", "input_required", "Which country?")
    assert interrupt["responseSchema"] == QUESTION.response_schema
    assert [option["label"] for option in interrupt["metadata"]["options"]] == ["Spain", "France"]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ("completed", {"type": "success"}),
        ("limit", {"type": "success"}),
        ("refused", {"type": "success"}),
        ("cancelled", {"type": "cancelled"}),
    ],
)
def test_an_end_is_told_with_its_usage(outcome: Outcome, told: Any):
    (last,) = in_ag_ui(ends(outcome))

    assert (last["outcome"], last["result"]["outcome"]) == (told, outcome)
    assert last["usage"] == [
        {
            "model": "",
            "inputTokens": 7,
            "outputTokens": 3,
            "totalTokens": 10,
            "cachedInputTokens": 2,
            "cacheWriteInputTokens": 1,
            "reasoningTokens": 0,
        }
    ]


def test_a_question_is_data_in_the_ai_sdk():
    encoder = AiSdkEncoder("run_1")

    stream = encoder.opening + encoder.frame(QUESTION) + encoder.frame(ends("input_required"))

    question, finish = copilot_encodings.documents(stream.removesuffix(b"data: [DONE]\n\n"))
    assert (question["type"], question["id"]) == ("data-segment-copilot-clarification", "q")
    assert [option["value"] for option in question["data"]["options"]] == ["ES", "FR"]
    assert finish["finishReason"] == "stop"


async def test_a_turn_that_is_taken_back_says_so_as_each_client_knows_it(ask: Ask):
    told = await ask(Script(CUT, says("Whole.")))

    custom = [
        one for one in copilot_encodings.documents(copilot_encodings.ag_ui(told.events)) if one["type"] == "CUSTOM"
    ]
    assert [one["value"]["discard"] for one in custom] == [["run_1-text_1"]]
    assert b'"reset-step"' in copilot_encodings.ai_sdk(told.events, 7)
    for major in (5, 6):
        stream = copilot_encodings.ai_sdk(told.events, major)
        assert b'"data-segment-copilot-turn-reset"' in stream
        assert b"reset-step" not in stream


async def test_ids_of_two_runs_of_a_thread_never_meet(ask: Ask):
    """An AG-UI client keeps the messages of all runs in one list."""
    told = await ask(Script(says("Fine.")))

    def ids(prefix: str) -> set[str]:
        encoder = AgUiEncoder(thread_id="t", run_id="r", prefix=prefix)
        stream = encoder.opening + b"".join(encoder.frame(event) for event in told.events)
        return {one["messageId"] for one in copilot_encodings.documents(stream) if "messageId" in one}

    assert ids("run_1")
    assert not ids("run_1") & ids("run_2")
