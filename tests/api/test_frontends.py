"""The real npm packages follow live runs: `@ag-ui/client` 1.0.0, and `ai` 5, 6 and 7. They need Node and npm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic import AsyncAnthropic

from segment_copilot.copilot import models
from segment_copilot.copilot.models import AssistantMessage, ModelRequest, ToolCall, TurnEnded
from segment_copilot.copilot.models.claude.model import Claude
from segment_copilot.errors import Unavailable
from segment_copilot.events import Event, observe_names, write_block
from tests.support.copilot_runs import TOKENS, Script, calls, says
from tests.support.messages_server import broken_off, run_messages_server, stall, text
from tests.support.nodes import RunNode

CLIENTS = ["ag-ui", "ai 5", "ai 6", "ai 7"]
ASKED = 2 * len(CLIENTS)  # each client asks two questions

PROPOSAL = {
    "name": "Known country",
    "description": "We know where they live.",
    "definition": {
        "logic": "AND",
        "conditions": [{"type": "user_property", "property": "country", "operator": "is_set"}],
    },
}

QUESTION = {
    "question": "Which visits?",
    "options": [{"label": "The pricing page", "value": "/pricing"}, {"label": "Any page", "value": "*"}],
}

Turns = list[Any]
Consume = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def consume(server: Any, use: Any, run_client: RunNode) -> Consume:
    """Let every client ask two questions of a model that follows a script, and tell what each made of the answers.

    *answers* go to what the copilot asks; with *leave* each client leaves at the first text.
    """

    async def run(*turns: Any, answers: Sequence[str] = (), leave: bool = False, **options: Any) -> dict[str, Any]:
        script = Script(*[turn for _ in range(ASKED) for turn in turns])
        use(script, copilot_breaker_failures=ASKED + 1)
        plan = {"options": options, "questions": ["How are sales?", "And now?"], "answers": answers, "leave": leave}
        told = await run_client("consume.mjs", server.url, server.key, plan)
        assert {name: (one["complaints"], one.get("thrown")) for name, one in told.items()} == {
            name: ([], None) for name in CLIENTS
        }
        assert len(script.requests) == ASKED * len(turns)
        assert warnings(told) == []
        return told

    return run


def of_type(messages: list[dict[str, Any]], *types: str) -> list[dict[str, Any]]:
    """The parts of those types in all answers of an AI SDK client."""
    return [
        part
        for message in messages
        if message["role"] == "assistant"
        for part in message["parts"]
        if part["type"] in types
    ]


def warnings(told: dict[str, Any]) -> list[str]:
    """What the service warned any client of."""
    custom = [name for run in told["ag-ui"]["runs"] for name in run["custom"] if name.endswith(".warning")]
    parts = [of_type(told[name]["messages"], "data-segment-copilot-warning") for name in CLIENTS[1:]]
    return custom + [part["data"]["code"] for found in parts for part in found]


def texts(name: str, told: dict[str, Any]) -> list[str]:
    """The texts of all answers, as the client shows them."""
    messages = told[name]["messages"]
    if name == "ag-ui":
        return [one["content"] for one in messages if one["role"] == "assistant" and one.get("content")]
    return [part["text"] for part in of_type(messages, "text")]


async def test_texts_and_reasoning(consume: Consume):
    told = await consume([models.ReasoningDelta("Hm."), *says("Fine. ½ 🙂 done")], reasoning="summary")

    for name in CLIENTS:
        assert texts(name, told) == ["Fine. ½ 🙂 done"] * 2
    reasoning = [one["content"] for one in told["ag-ui"]["messages"] if one["role"] == "reasoning"]
    assert reasoning == ["Hm."] * 2
    for name in CLIENTS[1:]:
        assert [part["text"] for part in of_type(told[name]["messages"], "reasoning")] == ["Hm."] * 2


async def test_calls_side_by_side_a_draft_and_components(server: Any, consume: Consume):
    tenant = (await server.resources.keys.identify(server.key)).tenant
    known = Event(
        tenant_id=tenant.id,
        event_id="known",
        user_id="ana",
        event_type="context_identified",
        occurred_at=datetime(2026, 6, 1, 12, tzinfo=UTC),
        payload='{"country": "ES"}',
    )
    await write_block(server.resources.clickhouse, [known], token="known")
    await observe_names(server.resources.postgres, [known])
    server.resources.discovery.forget(tenant)

    told = await consume(
        calls(("list_segments", {}), ("propose_segment", PROPOSAL), ("no_such_tool", {}), text="I look."),
        calls(("display_metric_card", {"title": "Users", "value": 1})),
        says("It holds 1 user."),
    )

    names = ["list_segments", "propose_segment", "no_such_tool", "display_metric_card"]
    messages = told["ag-ui"]["messages"]
    made = [call for one in messages if one["role"] == "assistant" for call in one.get("toolCalls", ())]
    assert [call["function"]["name"] for call in made] == names * 2
    assert [call["function"]["arguments"] for call in made][0:2] == ["{}", msgspec.json.encode(PROPOSAL).decode()]
    results = [msgspec.json.decode(one["content"]) for one in messages if one["role"] == "tool"]
    assert [result["ok"] for result in results].count(True) == 6
    assert [one["activityType"] for one in messages if one["role"] == "activity"] == [
        "segment_copilot.segment_draft", "segment_copilot.MetricCard", "segment_copilot.CreateSegmentCTA"
    ] * 2  # fmt: skip
    assert texts("ag-ui", told) == ["I look.", "It holds 1 user."] * 2
    for name in CLIENTS[1:]:
        found = told[name]["messages"]
        parts = of_type(found, "dynamic-tool")
        assert [part["toolName"] for part in parts] == names * 2
        states = ["output-available", "output-available", "output-error", "output-available"]
        assert [part["state"] for part in parts] == states * 2
        assert parts[1]["input"] == PROPOSAL
        (draft, _) = of_type(found, "data-segment-copilot-draft")
        assert draft["data"]["preview"]["count"] == 1
        shown = [part["data"]["name"] for part in of_type(found, "data-segment-copilot-component")]
        assert shown == ["MetricCard", "CreateSegmentCTA"] * 2
        assert texts(name, told) == ["I look.", "It holds 1 user."] * 2


def half_a_call(request: ModelRequest) -> Turns:
    """Arguments that are not JSON, and a call that was never completed."""
    broken = ToolCall(f"b{len(request.messages)}", "list_segments", {}, malformed='{"limit": ')
    return [
        models.ToolCallStarted(broken.id, broken.name),
        models.ToolArgumentsDelta(broken.id, '{"limit": '),
        broken,
        models.ToolCallStarted(f"h{len(request.messages)}", "list_segments"),
        TurnEnded("tool_use", AssistantMessage("", (broken,)), TOKENS),
    ]


async def test_broken_and_half_calls(consume: Consume):
    told = await consume(half_a_call, says("Sorry."))

    for name in CLIENTS:
        assert texts(name, told) == ["Sorry."] * 2
    for name in CLIENTS[1:]:
        states = [part["state"] for part in of_type(told[name]["messages"], "dynamic-tool")]
        assert states == ["output-error"] * 4


async def test_a_turn_that_is_taken_back(consume: Consume):
    down = Unavailable("x", code="upstream_overloaded", context={"retry_after_ms": 0})

    told = await consume([models.TextDelta("Half "), down], says("Whole."))

    assert texts("ai 7", told) == ["Whole."] * 2
    assert [run["custom"] for run in told["ag-ui"]["runs"]] == [["segment_copilot.turn_reset"]] * 2
    for name in ("ai 5", "ai 6"):
        (part, _) = of_type(told[name]["messages"], "data-segment-copilot-turn-reset")
        assert part["data"]["discard"] == ["text_1"]


async def test_a_run_that_fails(consume: Consume):
    told = await consume([models.TextDelta("Half "), Unavailable("secret", code="upstream_spend_limit")])

    assert [run.get("code") for run in told["ag-ui"]["runs"]] == ["upstream_spend_limit"] * 2
    sentence = "The language model's spending limit is reached. Ask an administrator."
    for name in CLIENTS[1:]:
        assert [run["error"] for run in told[name]["runs"]] == [sentence] * 2
        failed = told[name]["messages"][1]["metadata"]["error"]
        assert failed == {"code": "upstream_spend_limit", "retryable": False}
    assert "secret" not in str(told)


async def test_a_question_and_its_answer(consume: Consume):
    """AG-UI resumes an interrupt; in the AI SDK the answer is the next message."""
    told = await consume(
        calls(("ask_user", QUESTION), ("list_segments", {}), text="Which visits?"),
        says("Those of /pricing."),
        answers=["/pricing"],
    )

    asked, answered, *_ = told["ag-ui"]["runs"]
    assert [(one["reason"], one["message"]) for one in asked["asked"]] == [("input_required", QUESTION["question"])]
    assert asked["asked"][0]["metadata"]["options"] == QUESTION["options"]
    assert answered["asked"] == []
    for name in CLIENTS:
        assert texts(name, told) == ["Which visits?", "Those of /pricing."] * 2
    for name in CLIENTS[1:]:
        (question, _) = of_type(told[name]["messages"], "data-segment-copilot-clarification")
        assert question["data"]["options"] == QUESTION["options"]
        users = [one["parts"][0]["text"] for one in told[name]["messages"] if one["role"] == "user"]
        assert users == ["How are sales?", "/pricing", "And now?", "/pricing"]


async def test_a_client_that_leaves_ends_the_run(consume: Consume):
    """No client takes it for a failure of ours."""
    told = await consume([models.TextDelta("Half "), asyncio.Event()], leave=True)

    for run in told["ag-ui"]["runs"]:
        assert "RUN_FINISHED" not in run["types"]
    for name in CLIENTS:
        assert texts(name, told) == ["Half "] * 2


async def test_a_client_that_leaves_closes_what_is_upstream(server: Any, use: Any, run_client: RunNode):
    plan = {"options": {}, "questions": ["How are sales?"], "answers": [], "leave": True}
    async with run_messages_server() as upstream:
        upstream.answers(*[broken_off(text("Half"), then=stall)] * len(CLIENTS))
        async with AsyncAnthropic(api_key="sk-test", base_url=upstream.url, max_retries=0) as anthropic:
            use(Claude(anthropic, name="claude-sonnet-5-5", effort="low"))
            told = await run_client("consume.mjs", server.url, server.key, plan)
            async with asyncio.timeout(5):
                for exchange in upstream.exchanges:
                    await exchange.closed.wait()

    assert len(upstream.exchanges) == len(CLIENTS)
    assert [one["complaints"] for one in told.values()] == [[]] * len(CLIENTS)


async def test_the_capabilities_are_ag_uis(client, run_client: RunNode, tmp_path: Path):
    found = tmp_path / "capabilities.json"
    found.write_bytes((await client.get("/api/copilot/capabilities/")).content)

    assert await run_client("capabilities.mjs", str(found)) == []
