"""Whatever a model does, a run follows the protocol: random turns, good and bad, on real stores."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copilot_runs import BUYERS, TOKENS, Script, Shop, asking, run_to_end, wired
from segment_copilot.copilot import models
from segment_copilot.copilot.models import AssistantMessage, ModelRequest, ToolCall, TurnEnded
from segment_copilot.errors import Unavailable

PROPOSAL = {"name": "Buyers", "description": "They bought.", "definition": BUYERS}

CALLS = st.sampled_from(
    [
        ("list_segments", {}),
        ("list_segments", {"limit": 1}),
        ("list_segments", {"limit": "x"}),
        ("no_such_tool", {}),
        ("propose_segment", PROPOSAL),
        ("propose_segment", {**PROPOSAL, "definition": {}}),
        ("display_metric_card", {"title": "Users", "value": 2}),
        ("display_create_segment_cta", {"draft_id": "draft_0"}),
        ("query_top_events", {"from": "2026-06-01", "to": "2026-06-15"}),
    ]
)
TEXTS = st.text(alphabet="ab \n[]()!<>", min_size=1, max_size=8)
PIECES = st.one_of(
    st.tuples(st.just("text"), TEXTS),
    st.tuples(st.just("reasoning"), TEXTS),
    st.tuples(st.just("call"), CALLS),
    st.tuples(st.just("written call"), CALLS),
    st.tuples(st.just("half a call"), CALLS),
    st.tuples(st.just("malformed"), CALLS),
)
ENDS = st.sampled_from(
    [
        "end_turn",
        "tool_use",
        "max_tokens",
        "refusal",
        "pause_turn",
        "truncated",
        "context_too_long",
        "down",
        "bug",
        "nothing",
    ]
)
TURNS = st.lists(st.tuples(st.lists(PIECES, max_size=4), ENDS), min_size=1, max_size=5)


def turn(pieces: list[Any], end: str) -> Any:
    """One turn of a script."""

    def play(request: ModelRequest) -> list[Any]:
        steps: list[Any] = []
        made: list[ToolCall] = []
        for number, (kind, what) in enumerate(pieces):
            call_id = f"c{len(request.messages)}_{request.max_tokens}_{number}_{id(steps)}"
            match kind:
                case "text":
                    steps.append(models.TextDelta(what))
                case "reasoning":
                    steps.append(models.ReasoningDelta(what))
                case "half a call":
                    steps.append(models.ToolCallStarted(call_id, what[0]))
                case _:
                    broken = "{" if kind == "malformed" else None
                    made.append(ToolCall(call_id, what[0], {} if broken else what[1], malformed=broken))
                    steps.append(models.ToolCallStarted(call_id, what[0]))
                    if kind == "written call":
                        steps.append(models.ToolArgumentsDelta(call_id, msgspec.json.encode(what[1]).decode()))
                    steps.append(made[-1])
        match end:
            case "nothing":
                return steps
            case "down":
                return [*steps, Unavailable("x", code="upstream_overloaded", context={"retry_after_ms": 0})]
            case "bug":
                return [*steps, KeyError("x")]
            case _:
                return [*steps, TurnEnded(end, AssistantMessage("", tuple(made)), TOKENS)]  # pyright: ignore[reportArgumentType]

    return play


@given(turns=TURNS, reasoning=st.sampled_from(["none", "summary"]), limit=st.integers(1, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
async def test_every_run_follows_the_protocol(shop: Shop, turns: list[Any], reasoning: str, limit: int):
    script = Script(*[turn(*one) for one in turns for _ in range(2)], *[turn([], "end_turn")] * 20)

    told = await run_to_end(
        wired(shop.resources, script, copilot_max_turns=4, copilot_max_tool_calls=limit),
        shop.tenant,
        asking(options={"reasoning": reasoning}),
    )

    assert script.closed == len(script.requests)
    drafts = {frame["draft_id"] for frame in told.of("segment.draft")}
    buttons = {frame["props"]["draft_id"] for frame in told.of("component") if frame["name"] == "CreateSegmentCTA"}
    assert buttons <= drafts
    if told.frames[-1]["type"] == "run.finished":
        assert bool(buttons) == bool(drafts)
