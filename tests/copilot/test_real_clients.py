"""The real npm packages read recorded runs and make of them what the runs said: `@ag-ui/client`, and `ai` 5, 6 and 7."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from segment_copilot.copilot import models
from segment_copilot.copilot.models import AssistantMessage, ModelRequest, ToolCall, TurnEnded
from segment_copilot.copilot.stream.encoders.native import NativeEncoder
from segment_copilot.copilot.tools import COMPONENTS
from segment_copilot.errors import Unavailable
from tests.support import copilot_encodings
from tests.support.copilot_runs import BUYERS, NOBODY, TOKENS, Ask, Script, Told, asking, calls, says
from tests.support.nodes import RunNode

PROPOSAL = {"name": "Buyers", "description": "They bought.", "definition": BUYERS}
QUESTION = {
    "question": "Which visits?",
    "options": [{"label": "Pricing", "value": "/pricing", "effect": "Fewer"}, {"label": "Any", "value": "*"}],
}
OVERLOADED = Unavailable("x", code="upstream_overloaded", context={"retry_after_ms": 0})
SPENT = Unavailable("secret", code="upstream_spend_limit")

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = ("native", "ag-ui", "ai-sdk")

KNOWN_COMPLAINTS: dict[str, str] = {}
"""What a client may say on its console, and why: nothing so far."""


def broken(request: ModelRequest) -> list[Any]:
    """Arguments that are not JSON, and a call that was never completed."""
    call = ToolCall(f"b{len(request.messages)}", "list_segments", {}, malformed='{"limit": ')
    return [
        models.ToolCallStarted(call.id, call.name),
        models.ToolArgumentsDelta(call.id, '{"limit": '),
        call,
        models.ToolCallStarted(f"h{len(request.messages)}", "list_segments"),
        TurnEnded("tool_use", AssistantMessage("", (call,)), TOKENS),
    ]


def stopped(reason: Any) -> list[Any]:
    """A turn that the model ended for that reason."""
    return [models.TextDelta("So far. "), TurnEnded(reason, AssistantMessage("So far. "), TOKENS)]


THINKS = [models.ReasoningDelta("Hm. "), models.ReasoningDelta("½ \u2028"), *says("Ça va 🙂")]
LOOKS = calls(("list_segments", {}), ("query_top_events", {"from": "2026-06-01", "to": "2026-06-15"}), text="I look.")
DRAFTS = calls(("propose_segment", PROPOSAL), ("propose_segment", {**PROPOSAL, "definition": {}}))
NOBODY_FITS = calls(("propose_segment", {**PROPOSAL, "definition": NOBODY}))
DRAWS = calls(
    ("display_metric_card", {"title": "Users", "value": 2}),
    ("display_segment_table", {"title": "Segments", "segment_ids": [1]}),
    ("display_event_chart", {"title": "Top", "measure": "event_types"}),
    ("no_such_tool", {"a": [1, {"b": False}]}),
)
ASKS = calls(("ask_user", QUESTION), text="Which visits?")
RESET = [models.ReasoningDelta("Hm."), models.TextDelta("Half "), OVERLOADED]

RUNS: dict[str, Sequence[Any]] = {
    "a text with reasoning": [THINKS],
    "calls side by side, a draft, components": [LOOKS, DRAFTS, DRAWS, says("Done.")],
    "a draft of nobody": [NOBODY_FITS, says("Nobody.")],
    "a question": [LOOKS, ASKS],
    "broken and half calls": [broken, says("Sorry.")],
    "a turn taken back": [LOOKS, RESET, says("Whole.")],
    "an error at once": [SPENT],
    "an error after a text": [[models.TextDelta("Half "), SPENT]],
    "a refusal": [stopped("refusal")],
    "out of tokens": [stopped("max_tokens"), stopped("max_tokens")],
    "a bug": [[models.TextDelta("Half "), KeyError("secret")]],
    "too many turns": [LOOKS, DRAFTS, broken, DRAWS, says("Enough.")],
}
KINDS = [THINKS, LOOKS, DRAFTS, NOBODY_FITS, DRAWS, ASKS, RESET, broken, says("And so on."), SPENT]


def streams(told: Told) -> dict[str, str]:
    """The run in each client's protocol."""
    sdk = {f"ai {major}": copilot_encodings.ai_sdk(told.events, major) for major in (5, 6, 7)}
    native = NativeEncoder(copilot_encodings.PREFIX)
    ours = native.opening + b"".join(native.frame(event) for event in told.events)
    made = {"ag-ui": copilot_encodings.ag_ui(told.events), **sdk, "native": ours}
    return {name: stream.decode() for name, stream in made.items()}


def compare(told: Told, heard: dict[str, dict[str, Any]]) -> None:
    """Fail unless every client, without a complaint, made of the run what it said."""
    said = copilot_encodings.said(told.frames)
    taken_back = {one for frame in told.of("turn.reset") for one in frame["discard"]}
    error = next((frame["message"] for frame in told.of("run.error")), None)
    shown = [one for one in said["shown"] if one != "taken back" and one[0] != "warning"]
    for example in EXAMPLES:
        compare_example(told, heard.pop(f"example {example}"))
    for client, one in heard.items():
        assert "thrown" not in one, (client, one)
        assert [what for what in one["complaints"] if what not in KNOWN_COMPLAINTS] == []
        assert one.get("error") == error
        stands = taken_back if client == "ai 7" else set[str]()
        texts = {name: text for name, text in said["texts"].items() if name not in stands}
        made = {name: call for name, call in said["calls"].items() if name not in stands}
        asked = [[name, question, options] for name, question, options, _ in said["asked"]]
        if client == "ag-ui":
            front = f"{copilot_encodings.PREFIX}-"
            assert one["texts"] == {front + name: text for name, text in texts.items()}
            assert one["calls"].keys() == {front + name for name in made}
            assert [name.removeprefix(front) for name, _ in one["shown"]] == [name for name, _ in shown]
        else:
            assert one["texts"] == list(texts.values())
            assert one["calls"].keys() == made.keys()
            assert [list(pair) for pair in shown] == one["shown"]
        for name, call in made.items():
            compare_call(call, one["calls"][name if client != "ag-ui" else f"{copilot_encodings.PREFIX}-{name}"])
        assert one["asked"] == (asked if told.frames[-1].get("outcome") == "input_required" else [])


def compare_example(told: Told, heard: dict[str, Any]) -> None:
    """What an example of the documentation made of a run."""
    taken_back = {one for frame in told.of("turn.reset") for one in frame["discard"]}
    texts = dict[str, str]()
    for frame in told.of("text.delta"):
        texts[frame["id"]] = texts.get(frame["id"], "") + frame["delta"]
    end = told.frames[-1]
    assert heard.get("error") == (end["message"] if end["type"] == "run.error" else None)
    asked = [[frame["question"], frame["options"]] for frame in told.of("clarification")]
    assert heard["asked"] == (asked if end.get("outcome") == "input_required" else [])
    assert len(heard["blocks"]) == len(told.of("component")) + len(told.of("segment.draft"))
    if end["type"] == "run.finished" and not asked:
        assert heard["said"] == "\n\n".join(text for name, text in texts.items() if name not in taken_back)


def compare_call(call: dict[str, Any], heard: dict[str, Any]) -> None:
    """What a client made of a call: its name, its arguments, its result."""
    assert heard["name"] == call["name"]
    args, result = heard["args"], heard.get("result")
    if isinstance(args, str) and not isinstance(call["args"], str):
        args = msgspec.json.decode(args)
    assert args == call["args"]
    if isinstance(result, dict) and not result["ok"]:
        result = result["error"]["message"]
    assert result == call.get("result")


async def listen(run_client: RunNode, folder: Path, runs: Sequence[Told]) -> None:
    """Let the clients read *runs*, and compare."""
    recorded = folder / "recorded.json"
    recorded.write_bytes(msgspec.json.encode([streams(told) for told in runs]))
    heard = await run_client("recorded.mjs", str(recorded), str(DOCS / "examples"))
    assert len(heard) == len(runs)
    for told, one in zip(runs, heard, strict=True):
        compare(told, one)


@pytest.mark.parametrize("name", RUNS)
async def test_clients_hear_what_a_run_said(ask: Ask, run_client: RunNode, tmp_path: Path, name: str):
    asked = asking(options={"reasoning": "summary", "max_turns": 5})

    told = await ask(Script(*RUNS[name]), asked)

    await listen(run_client, tmp_path, [told])


async def test_the_recorded_runs_draw_all_there_is(ask: Ask):
    told = await ask(Script(*RUNS["calls side by side, a draft, components"]))

    assert {shown["name"] for shown in told.of("component")} == set(COMPONENTS)
    assert told.of("segment.draft")


async def test_clients_hear_what_a_stopped_run_said(ask: Ask, run_client: RunNode, tmp_path: Path):
    """Out of time in the middle of a call; and of a text."""
    silent = asyncio.Event()
    half = [models.TextDelta("Half "), models.ToolCallStarted("h", "list_segments"), silent]

    runs = [await ask(Script([models.TextDelta("Half "), silent]), copilot_deadline_seconds=1)]
    runs.append(await ask(Script(half), copilot_deadline_seconds=1))

    assert [told.names[-1] for told in runs] == ["run.error"] * 2
    await listen(run_client, tmp_path, runs)


async def test_clients_hear_what_random_runs_said(ask: Ask, run_client: RunNode, tmp_path: Path):
    draw = random.Random(20260615)  # noqa: S311  # a fixed draw
    runs: list[Told] = []
    for _ in range(40):
        turns = draw.choices(KINDS, k=draw.randint(1, 4))
        asked = asking(options={"reasoning": draw.choice(["none", "summary"]), "max_turns": 4})
        runs.append(await ask(Script(*turns, *[says("The end.")] * 10), asked))

    await listen(run_client, tmp_path, runs)
