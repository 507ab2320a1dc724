"""One turn at a time, with a model that follows a script: no store, no run around it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from segment_copilot.copilot import models
from segment_copilot.copilot.conversation.thread import Thread
from segment_copilot.copilot.models import AssistantMessage, ModelRequest, TurnEnded, UserMessage
from segment_copilot.copilot.runs.breaker import Breaker
from segment_copilot.copilot.runs.calls import Calls
from segment_copilot.copilot.runs.deadline import Deadline
from segment_copilot.copilot.runs.meter import Meter
from segment_copilot.copilot.runs.turns import MAX_TOKENS, Listener, Turns
from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.outbox import Outbox
from segment_copilot.copilot.stream.transcript import Transcript
from segment_copilot.copilot.tools.context import Memory
from segment_copilot.errors import Unavailable
from segment_copilot.language.catalog import Catalog
from tests.support.copilot_runs import TOKENS, Script, Step, calls, says
from tests.support.resources import NOW


class Bench:
    """What takes turns of *script*, and what came of it."""

    def __init__(self, *script: Step, seconds: float = 60) -> None:
        self.model = Script(*script)
        self.outbox = Outbox()
        self.thread = Thread(messages=[UserMessage("How are sales?")], utterances=[])
        self.deadline = Deadline(seconds)
        self.meter = Meter(None, most_usd=1)
        transcript = Transcript(self.outbox.put, reasoning=False)
        tool_calls = Calls([], transcript=transcript, memory=Memory("run"), surroundings=_no_tool, most=3)
        self.turns = Turns(
            Listener(self.model, breaker=Breaker(), transcript=transcript, calls=tool_calls, outbox=self.outbox),
            ModelRequest("system", (), (), Catalog(), NOW, "UTC"),
            thread=self.thread,
            transcript=transcript,
            calls=tool_calls,
            meter=self.meter,
            deadline=self.deadline,
        )

    async def events(self) -> list[Any]:
        return [type(event) for event in await self.outbox.take()]


def _no_tool(call_id: str) -> Any:
    raise AssertionError(call_id)


def gone(code: str = "upstream_overloaded", retry_after_ms: int = 0) -> Unavailable:
    return Unavailable("Gone.", code=code, context={"retry_after_ms": retry_after_ms})


async def test_an_answer_joins_the_thread():
    bench = Bench(says("They rise."))

    ended = await bench.turns.take(allowed=True)

    assert ended.stop_reason == "end_turn"
    assert bench.thread.messages[-1] == AssistantMessage("They rise.")
    assert (bench.turns.count, bench.meter.total.output_tokens) == (1, TOKENS.output_tokens)
    assert await bench.events() == [
        run_events.TurnStarted,
        run_events.TextStart,
        run_events.TextDelta,
        run_events.TextEnd,
        run_events.TurnFinished,
        run_events.UsageTotal,
    ]


async def test_a_turn_that_failed_in_silence_is_asked_until_the_last_attempt():
    bench = Bench(gone(), gone(), says("They rise."))

    await bench.turns.take(allowed=True)

    assert bench.turns.count == 1
    assert len(bench.model.requests) == 3
    assert (await bench.events()).count(run_events.TurnReset) == 2


async def test_a_turn_that_has_spoken_is_asked_once_more_and_not_twice():
    bench = Bench([models.TextDelta("They "), gone()], gone(), says("Never."))

    with pytest.raises(Unavailable):
        await bench.turns.take(allowed=True)

    assert len(bench.model.requests) == 2
    assert bench.thread.messages == [UserMessage("How are sales?")]


async def test_nobody_waits_past_the_deadline():
    bench = Bench(gone(retry_after_ms=8_000), says("Never."), seconds=5)

    async with asyncio.timeout(1), bench.deadline.running():
        with pytest.raises(Unavailable):
            await bench.turns.take(allowed=True)

    assert len(bench.model.requests) == 1


async def test_a_call_that_was_cut_is_asked_again_with_more_room():
    cut = TurnEnded("max_tokens", AssistantMessage("", (models.ToolCall("call", "look", {}),)), TOKENS)
    bench = Bench([cut], says("They rise."))

    await bench.turns.take(allowed=True)

    assert [request.max_tokens for request in bench.model.requests] == [MAX_TOKENS, 2 * MAX_TOKENS]


async def test_what_may_not_be_called_is_told_and_refused():
    bench = Bench(calls(("look", {}), text="I look."))

    await bench.turns.take(allowed=False)

    (request,) = bench.model.requests
    assert not request.tools_allowed
    assert bench.thread.messages[0] != UserMessage("How are sales?"), "the last turn is told"
    assert bench.thread.messages[-1] == AssistantMessage("I look."), "a call without a result is left out"
    (result,) = [event for event in await bench.outbox.take() if isinstance(event, run_events.ToolResult)]
    assert isinstance(result.error, run_events.ToolError)
    assert result.error.code == "tool_call_limit"


async def test_a_turn_that_is_broken_off_leaves_nothing_open():
    bench = Bench([models.TextDelta("They "), RuntimeError("a bug")])
    with pytest.raises(RuntimeError):
        await bench.turns.take(allowed=True)

    bench.turns.break_off()
    bench.turns.break_off()

    assert (await bench.events())[-3:] == [run_events.TextEnd, run_events.TurnFinished, run_events.UsageTotal]
