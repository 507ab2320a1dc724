"""Takes the turns of a run: the model is asked, what it says is passed on, the tools that it calls are run.

A turn that fails is taken back and asked again, within limits. When a run goes on and when it ends is decided in `run`.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import Final

from msgspec import structs

from segment_copilot.copilot import models
from segment_copilot.copilot.conversation.thread import Thread
from segment_copilot.copilot.models import AssistantMessage, Model, ModelRequest, TurnEnded
from segment_copilot.copilot.runs.breaker import Breaker
from segment_copilot.copilot.runs.calls import Calls
from segment_copilot.copilot.runs.deadline import Deadline
from segment_copilot.copilot.runs.failures import Failure, failure_of
from segment_copilot.copilot.runs.meter import Attempt, Meter
from segment_copilot.copilot.runs.spans import chat_span, tell_answer
from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.outbox import Outbox
from segment_copilot.copilot.stream.transcript import Transcript
from segment_copilot.errors import Unavailable

MAX_TOKENS: Final = 8_000
_ATTEMPTS: Final = 3
_CUT: Final = "The model's answer ended before it was complete."
_COMPACTED: Final = "The conversation grew too long: results of its earlier look-ups were left out."
_TOO_LONG: Final = "The conversation is too long for the model."


class Listener:
    """Sends the model one request and writes what it says into the transcript, as it comes."""

    def __init__(self, model: Model, *, breaker: Breaker, transcript: Transcript, calls: Calls, outbox: Outbox) -> None:
        self._model = model
        self._breaker = breaker
        self._transcript = transcript
        self._calls = calls
        self._outbox = outbox

    async def listen(self, request: ModelRequest, attempt: Attempt) -> TurnEnded:
        """Return the end of the answer. A slow reader of the outbox slows the model down.

        Raises:
            Unavailable: The model failed, its answer was cut, or the conversation is too long for it.
        """
        with self._breaker.watching(), chat_span(self._model.name, request) as span:
            async with aclosing(self._model.stream(request)) as stream:
                async for event in stream:
                    attempt.hear(event)
                    await self._outbox.room()
                    if isinstance(event, TurnEnded):
                        tell_answer(span, event, first_seconds=attempt.first_seconds)
                        return _complete(event)
                    self._pass_on(event)
            raise Unavailable(_CUT, code="upstream_disconnected")

    def announce(self, call: models.ToolCall) -> None:
        """Write the beginning and the arguments of *call*, unless they were written before."""
        self._transcript.tool_start(self._calls.start(call.id, call.name))
        self._transcript.tool_args(self._calls.arguments(call))

    def _pass_on(self, event: models.ModelEvent) -> None:
        match event:
            case models.TextDelta(delta):
                self._transcript.text(delta)
            case models.ReasoningDelta(delta):
                self._transcript.reasoning(delta)
            case models.ToolCallStarted(call_id, name):
                self._transcript.tool_start(self._calls.start(call_id, name))
            case models.ToolArgumentsDelta(call_id, delta):
                self._transcript.tool_args_delta(call_id, delta)
            case models.ToolCall():
                self.announce(event)
            case models.TokensCounted() | TurnEnded():
                pass  # not for the client


def _complete(ended: TurnEnded) -> TurnEnded:
    """Return *ended* if the answer is one; raise Unavailable as if the model had refused, if it is not."""
    match ended.stop_reason:
        case "truncated":
            raise Unavailable(_CUT, code="upstream_disconnected")
        case "context_too_long":
            raise Unavailable(_TOO_LONG, code="context_too_long")
        case _:
            return ended


class Turns:
    """Takes the turns of one run, one after the other. *count* says how many were begun."""

    def __init__(
        self,
        listener: Listener,
        request: ModelRequest,
        *,
        thread: Thread,
        transcript: Transcript,
        calls: Calls,
        meter: Meter,
        deadline: Deadline,
    ) -> None:
        self._listener = listener
        self._request = request  # without messages: they are the thread's
        self._thread = thread
        self._transcript = transcript
        self._calls = calls
        self._meter = meter
        self._deadline = deadline
        self.count = 0

    async def take(self, *, allowed: bool) -> TurnEnded:
        """Take one turn: ask the model, run its calls if they are *allowed*, and add both to the thread.

        A turn that fails is asked again, but only once after it has said something.

        Raises:
            Unavailable: Asking again is of no use, or a store that a tool reads is gone.
        """
        self.count += 1
        max_tokens = MAX_TOKENS
        spoken = False
        if not allowed:
            self._thread.end_calls()
        for number in range(1, _ATTEMPTS + 1):
            attempt = self._begin(number)
            try:
                ended = await self._listener.listen(self._next(allowed=allowed, max_tokens=max_tokens), attempt)
            except Unavailable as error:
                failed = failure_of(error)
                wait = self._wait_seconds(failed, number, spoken=spoken)
                if wait is None:
                    raise
                spoken = self._take_back(failed.code)
                await asyncio.sleep(wait)
                continue
            cut = ended.stop_reason == "max_tokens" and ended.message.tool_calls
            if cut and max_tokens == MAX_TOKENS and number < _ATTEMPTS:
                # A call was cut: its arguments look complete and are not. Ask again with more room.
                self._take_back("max_tokens", stop_reason="max_tokens")
                max_tokens *= 2
                continue
            await self._conclude(ended, allowed=allowed)
            return ended
        raise AssertionError  # the last attempt returns or raises

    def break_off(self) -> None:
        """End the turn that goes on, if one does, and everything that it left open."""
        self._transcript.close_all()
        self._end("failed")

    def _begin(self, number: int) -> Attempt:
        attempt = self._meter.begin(self.count)
        self._transcript.begin_turn()
        self._transcript.emit(run_events.TurnStarted(self.count, number))
        return attempt

    def _next(self, *, allowed: bool, max_tokens: int) -> ModelRequest:
        messages = tuple(self._thread.messages)
        return structs.replace(self._request, messages=messages, tools_allowed=allowed, max_tokens=max_tokens)

    def _wait_seconds(self, failed: Failure, number: int, *, spoken: bool) -> float | None:
        """Return how long to wait before the turn is asked again; None when it is not."""
        if number == _ATTEMPTS:
            return None
        if failed.code == "context_too_long":
            if not self._thread.compact():
                return None
            self._transcript.emit(run_events.Warned("history_compacted", _COMPACTED))
            return 0
        wait = failed.wait_seconds(number) * random.uniform(1, 1.25)  # noqa: S311 — spread, no secret
        return None if spoken or not failed.retryable or wait >= self._deadline.seconds_left() else wait

    def _take_back(self, reason: str, *, stop_reason: str = "failed") -> bool:
        """Take back what the turn has said; return whether it had said anything."""
        spoken = self._transcript.reset(turn=self.count, reason=reason)
        self._end(stop_reason)
        return spoken

    async def _conclude(self, ended: TurnEnded, *, allowed: bool) -> None:
        """Run the turn's calls and remember what was said."""
        self._transcript.close_text()
        calls = ended.message.tool_calls
        runs = ended.stop_reason == "tool_use" and allowed
        # A call without its result would make the conversation one that nobody takes.
        message = ended.message if runs or not calls else AssistantMessage(ended.message.text)
        if message.text or message.raw or message.tool_calls:
            self._thread.messages.append(message)
        if ended.stop_reason == "tool_use" and calls:
            for call in calls:
                self._listener.announce(call)
            if allowed:
                self._thread.messages.append(await self._calls.run(calls))
            else:
                self._calls.refuse(calls)
        self._transcript.close_all()
        self._end(ended.stop_reason, ended.upstream_request_id)

    def _end(self, stop_reason: str, upstream_request_id: str | None = None) -> None:
        for event in self._meter.end(stop_reason, upstream_request_id):
            self._transcript.emit(event)
