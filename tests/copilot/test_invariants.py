"""Whatever a model does, a run follows the protocol: random turns, good and bad, on real stores."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Generator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from segment_copilot.copilot import models
from segment_copilot.copilot.models import (
    AssistantMessage,
    Message,
    ModelRequest,
    ToolCall,
    ToolResults,
    TurnEnded,
    UserMessage,
)
from segment_copilot.copilot.runs import failures
from segment_copilot.copilot.runs.run import prepare_run
from segment_copilot.copilot.stream.encoders.native import NativeEncoder
from segment_copilot.errors import Unavailable
from tests.support import copilot_invariants
from tests.support.copilot_runs import BUYERS, TOKENS, Script, Shop, Told, asking, payload, run_to_end, wired

SECRET = "postgres://app:hunter2@db"
"""What only an exception's text holds."""

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
        ("revise_segment", {"patch": [{"op": "replace", "path": "/conditions/0/window_days", "value": 3}]}),
        ("revise_segment", {"patch": [{"op": "remove", "path": "/nowhere"}]}),
        ("preview_segment", {"definition": BUYERS}),
        ("ask_user", {"question": "Which?", "options": [{"label": "Spain", "value": "ES"}]}),
        ("ask_user", {"question": "Which else?"}),
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

_CALLS = itertools.count()
"""Numbers of calls: none is used twice, as the address of something that is gone would be."""


def turn(pieces: list[Any], end: str) -> Any:
    """One turn of a script."""

    def play(request: ModelRequest) -> list[Any]:
        steps: list[Any] = []
        made: list[ToolCall] = []
        for number, (kind, what) in enumerate(pieces):
            call_id = f"c{len(request.messages)}_{request.max_tokens}_{number}_{next(_CALLS)}"
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
                return [*steps, Unavailable(SECRET, code="upstream_overloaded", context={"retry_after_ms": 0})]
            case "bug":
                return [*steps, KeyError(SECRET)]
            case _:
                return [*steps, TurnEnded(end, AssistantMessage("", tuple(made)), TOKENS)]  # pyright: ignore[reportArgumentType]

    return play


def honest(told: Told, *before: dict[str, str]) -> list[dict[str, str]]:
    """The history of a client that shows what it was told."""
    taken_back = {one for frame in told.of("turn.reset") for one in frame["discard"]}
    text = "".join(frame["delta"] for frame in told.of("text.delta") if frame["id"] not in taken_back)
    return [*before, {"role": "assistant", "content": text}]


@pytest.fixture(autouse=True, scope="module")
def impatient() -> Generator[None]:
    """A turn that failed is asked again at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failures, "RETRY_SECONDS", 0.0)
        yield


SETTINGS = settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink a run on real stores takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=40,
)
LIMITS = {"copilot_max_turns": 4}


@given(turns=TURNS, reasoning=st.sampled_from(["none", "summary"]), limit=st.integers(1, 4))
@SETTINGS
async def test_every_run_follows_the_protocol(shop: Shop, turns: list[Any], reasoning: str, limit: int):
    script = Script(*[turn(*one) for one in turns for _ in range(2)], *[turn([], "end_turn")] * 20)

    told = await run_to_end(
        wired(shop.resources, script, copilot_max_tool_calls=limit, **LIMITS),
        shop.tenant,
        asking(options={"reasoning": reasoning}),
    )

    assert script.closed == len(script.requests)
    assert "hunter2" not in str(told.frames)
    assert "manhattan" not in str(told.frames)
    drafts = {frame["draft_id"] for frame in told.of("segment.draft")}
    buttons = {frame["props"]["draft_id"] for frame in told.of("component") if frame["name"] == "CreateSegmentCTA"}
    assert buttons <= drafts
    if told.frames[-1]["type"] == "run.finished":
        assert bool(buttons) == bool(drafts)


@given(first=TURNS, second=TURNS, cut=st.integers(0, 5), partial=st.booleans())
@SETTINGS
async def test_every_checkpoint_of_every_run_is_taken_up(
    shop: Shop, first: list[Any], second: list[Any], cut: int, *, partial: bool
):
    """The next run takes any checkpoint of the one before, and never sends a conversation that cannot be."""
    rest = [turn([("text", "So.")], "end_turn")] * 20
    question = {"role": "user", "content": "How are sales?"}
    before = await run_to_end(
        wired(shop.resources, Script(*[turn(*one) for one in first for _ in range(2)], *rest), **LIMITS),
        shop.tenant,
        asking(messages=[question]),
    )
    tokens = [frame["token"] for frame in before.of("checkpoint")]
    if not tokens:
        return
    token = tokens[cut % len(tokens)]
    finished = before.frames[-1]["type"] == "run.finished" and token == tokens[-1]
    told_so_far = honest(before, question) if finished or partial else [question]
    script = Script(*[turn(*one) for one in second for _ in range(2)], *rest)

    after = await run_to_end(
        wired(shop.resources, script, **LIMITS),
        shop.tenant,
        asking(messages=[*told_so_far, *([{"role": "user", "content": "And?"}] if finished else [])], checkpoint=token),
    )

    faults = {"checkpoint_invalid", "checkpoint_outdated", "history_changed"}
    assert not faults & {frame["code"] for frame in after.of("warning")}
    for request in script.requests:
        check_conversation(request.messages)


def check_conversation(messages: Sequence[Message]) -> None:
    """Each call has one result, in the message that follows."""
    assert isinstance(messages[0], UserMessage)
    for index, message in enumerate(messages):
        waiting = [call.id for call in message.tool_calls] if isinstance(message, AssistantMessage) else []
        following = messages[index + 1] if index + 1 < len(messages) else None
        given_ = [result.tool_call_id for result in following.results] if isinstance(following, ToolResults) else []
        assert waiting == given_


@given(turns=TURNS, after=st.integers(1, 25))
@SETTINGS
async def test_a_run_that_is_left_has_followed_the_protocol_so_far(shop: Shop, turns: list[Any], after: int):
    script = Script(*[turn(*one) for one in turns for _ in range(2)], *[turn([], "end_turn")] * 20)
    copilot = wired(shop.resources, script, **LIMITS)
    run = await prepare_run(copilot, shop.tenant, asking())
    encoder = NativeEncoder(run.id)
    frames: list[dict[str, Any]] = []

    async with asyncio.timeout(30), run.drive():
        while len(frames) < after and (batch := await run.events.take()):
            frames += [payload(encoder.frame(event)) for event in batch]

    assert frames[0]["type"] == "run.started"
    assert [frame["seq"] for frame in frames] == list(range(len(frames)))
    assert all(copilot_invariants.FITS.is_valid(frame) for frame in frames)
    assert not [frame for frame in frames[:-1] if frame["type"] in copilot_invariants.TERMINAL]
    assert script.closed == len(script.requests)
    assert copilot.places.count == 0
