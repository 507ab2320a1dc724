"""No event is larger than 64 KiB, whatever the model writes; the invariants measure every one."""

from __future__ import annotations

from typing import Any

import msgspec

from segment_copilot.copilot import models
from segment_copilot.copilot.guards.bounds import first_findings, pieces
from segment_copilot.copilot.models import AssistantMessage, ToolCall, TurnEnded
from segment_copilot.errors import Finding
from tests.support.copilot_runs import BUYERS, TOKENS, Ask, Script, calls, says

HUGE = "ñ\x07" * 100_000


async def test_a_huge_delta_arrives_in_pieces(ask: Ask):
    turn = [models.ReasoningDelta(HUGE), models.TextDelta(HUGE), TurnEnded("end_turn", AssistantMessage(HUGE), TOKENS)]

    told = await ask(Script(turn))

    assert told.text == HUGE.replace("\x07", ""), "characters that nobody sees go"
    assert len(told.of("text.delta")) > 1


async def test_huge_arguments_are_left_to_their_deltas(ask: Ask):
    told = await ask(Script(calls(("list_segments", {"query": HUGE})), says("Sorry.")))

    args = told.one("tool.args")
    assert (args["truncated"], "args" in args) == (True, False)
    written = "".join(frame["delta"] for frame in told.of("tool.args.delta"))
    assert msgspec.json.decode(written) == {"query": HUGE}


async def test_huge_arguments_that_are_no_object_do_not_break_the_stream(ask: Ask):
    call = ToolCall("c", "n" * 70_000, {}, malformed=HUGE)
    turn = [
        models.ToolCallStarted("c", "n" * 70_000),
        models.ToolArgumentsDelta("c", HUGE),
        call,
        TurnEnded("tool_use", AssistantMessage("", (call,)), TOKENS),
    ]

    told = await ask(Script(turn, says("Sorry.")))

    assert told.one("tool.result")["ok"] is False


async def test_a_definition_that_would_not_fit_into_a_draft_is_refused(ask: Ask):
    value = [f"{number:0100}" for number in range(900)]
    condition = {"type": "user_property", "property": "country", "operator": "in", "value": value}
    proposal = {"name": "Long", "description": "Long.", "definition": {**BUYERS, "conditions": [condition]}}

    told = await ask(Script(calls(("propose_segment", proposal)), says("Sorry.")))

    assert told.one("tool.result")["error"]["code"] == "draft_too_large"
    assert told.of("segment.draft") == []


def test_findings_are_few_and_small():
    long: list[Any] = [Finding("/x", "code", "d" * 1_000, ("s" * 1_000,))] * 100

    assert 0 < len(first_findings(long)) <= 20
    assert len(msgspec.json.encode(first_findings(long))) <= 8 * 1024


def test_pieces_are_the_whole():
    assert "".join(pieces(HUGE)) == HUGE
    assert list(pieces("")) == []
