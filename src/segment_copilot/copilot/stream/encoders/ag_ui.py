"""Encodes a run as AG-UI 1.0, for `@ag-ui/client`, CopilotKit and assistant-ui.

A frame is `data: <one event as JSON>`. A client keeps the messages of many runs in one list, so every id that names a
message or a call carries the run's id in front.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.encoders.frames import data_frames, encode, fields
from segment_copilot.copilot.stream.encoders.native import HEARTBEAT, OPENING
from segment_copilot.copilot.stream.usage import Usage

VERSION: Final = "1.0"
AG_UI: Final = f"ag-ui/{VERSION}"

PREFIX: Final = "segment_copilot."
"""Stands before every name that is ours: activity types and custom events."""


STATE: Final = "segment_copilot"
"""Names our member of the client's state."""


class AgUiEncoder:
    """Makes the frames of one run. *thread_id*, *run_id* and *state* are the client's, *prefix* (our run's id) makes ids unique."""

    opening = OPENING
    heartbeat = HEARTBEAT

    def __init__(self, *, thread_id: str, run_id: str, prefix: str, state: object = None) -> None:
        self._run = {"threadId": thread_id, "runId": run_id}
        self._prefix = prefix
        self._remembers = state is None or isinstance(state, dict)
        self._snapshot = state is None
        self._model = ""
        self._text_of_turn: str | UnsetType = UNSET  # calls belong to the message before them
        self._written = set[str]()  # calls whose arguments have begun
        self._questions: list[run_events.Clarification] = []

    def frame(self, event: run_events.Event) -> bytes:
        """Return *event* as frames: none, one or several."""
        now = time.time_ns() // 1_000_000
        return data_frames({**one, "timestamp": now} for one in self._translate(event))

    def _translate(self, event: run_events.Event) -> Iterator[dict[str, Any]]:
        match event:
            case run_events.RunStarted():
                self._model = event.model
                yield {"type": "RUN_STARTED", **self._run, "protocolVersion": VERSION}
            case run_events.TurnStarted():
                self._text_of_turn = UNSET
                yield {"type": "STEP_STARTED", "stepName": f"turn-{event.turn}"}
            case run_events.TurnFinished():
                yield {"type": "STEP_FINISHED", "stepName": f"turn-{event.turn}"}
            case run_events.Clarification():
                self._questions.append(event)  # a question is how the run ends
            case run_events.Checkpointed():
                yield from self._remember(event.token)
            case run_events.UsageTotal():
                pass  # the terminal event has the sum
            case run_events.Warned():
                yield _custom("warning", event)
            case run_events.TurnReset():
                discard = tuple(self._id(one) for one in event.discard)
                yield _custom("turn_reset", run_events.TurnReset(event.turn, event.reason, discard))
            case run_events.ComponentShown() | run_events.SegmentDraft():
                yield self._activity(event)
            case run_events.RunFinished() | run_events.RunError():
                yield self._terminal(event)
            case run_events.ToolStart() | run_events.ToolArgsDelta() | run_events.ToolArgs() | run_events.ToolResult():
                yield from self._call(event)
            case _:
                yield from self._span(event)

    def _span(
        self,
        event: run_events.TextStart
        | run_events.TextDelta
        | run_events.TextEnd
        | run_events.ReasoningStart
        | run_events.ReasoningDelta
        | run_events.ReasoningEnd,
    ) -> Iterator[dict[str, Any]]:
        message = {"messageId": self._id(event.id)}
        match event:
            case run_events.TextStart():
                self._text_of_turn = message["messageId"]
                yield {"type": "TEXT_MESSAGE_START", **message, "role": "assistant"}
            case run_events.TextDelta():
                yield {"type": "TEXT_MESSAGE_CONTENT", **message, "delta": event.delta}
            case run_events.TextEnd():
                yield {"type": "TEXT_MESSAGE_END", **message}
            case run_events.ReasoningStart():
                yield {"type": "REASONING_START", **message}
                yield {"type": "REASONING_MESSAGE_START", **message, "role": "reasoning"}
            case run_events.ReasoningDelta():
                yield {"type": "REASONING_MESSAGE_CONTENT", **message, "delta": event.delta}
            case run_events.ReasoningEnd():
                yield {"type": "REASONING_MESSAGE_END", **message}
                yield {"type": "REASONING_END", **message}

    def _call(
        self, event: run_events.ToolStart | run_events.ToolArgsDelta | run_events.ToolArgs | run_events.ToolResult
    ) -> Iterator[dict[str, Any]]:
        call_id = self._id(event.tool_call_id)
        call = {"toolCallId": call_id}
        match event:
            case run_events.ToolStart():
                start = {"type": "TOOL_CALL_START", **call, "toolCallName": event.name}
                yield {
                    **start,
                    "parentMessageId": self._text_of_turn,
                    "metadata": fields(event, "tool_call_id", "name"),
                }
            case run_events.ToolArgsDelta():
                self._written.add(call_id)
                yield {"type": "TOOL_CALL_ARGS", **call, "delta": event.delta}
            case run_events.ToolArgs():
                if call_id not in self._written and event.args is not UNSET:  # the model gave them in one piece
                    yield {"type": "TOOL_CALL_ARGS", **call, "delta": encode(event.args).decode()}
                yield {"type": "TOOL_CALL_END", **call}
            case run_events.ToolResult():
                content = encode(fields(event, "tool_call_id")).decode()
                result = {"type": "TOOL_CALL_RESULT", "messageId": f"{call_id}-result", **call}
                yield {**result, "role": "tool", "content": content}

    def _activity(self, event: run_events.ComponentShown | run_events.SegmentDraft) -> dict[str, Any]:
        shown = isinstance(event, run_events.ComponentShown)
        content = fields(event, "id", "op") if shown else fields(event)
        if "tool_call_id" in content:
            content["tool_call_id"] = self._id(content["tool_call_id"])
        return {
            "type": "ACTIVITY_SNAPSHOT",
            "messageId": self._id(event.id if shown else event.draft_id),
            "activityType": PREFIX + (event.name if shown else "segment_draft"),
            "content": content,
        }

    def _remember(self, token: str) -> Iterator[dict[str, Any]]:
        """Keep the state, which goes back with every request; what else the application keeps in it stays."""
        ours = {"checkpoint": token}
        if self._snapshot:
            yield {"type": "STATE_SNAPSHOT", "snapshot": {STATE: ours}}
        elif self._remembers:
            yield {"type": "STATE_DELTA", "delta": [{"op": "add", "path": f"/{STATE}", "value": ours}]}
        self._snapshot = False

    def _terminal(self, event: run_events.Terminal) -> dict[str, Any]:
        usage = [self._usage(event.usage)]
        if isinstance(event, run_events.RunError):
            metadata = {**fields(event, "code", "message", "usage"), **_cost(event.usage)}
            return {
                "type": "RUN_ERROR",
                "message": event.message,
                "code": event.code,
                "usage": usage,
                "metadata": metadata,
            }
        finished = {"type": "RUN_FINISHED", **self._run, "usage": usage}
        result = {**fields(event, "usage"), **_cost(event.usage)}
        if event.outcome == "cancelled":
            return {**finished, "outcome": {"type": "cancelled"}, "result": result}
        if event.outcome == "input_required" and self._questions:
            interrupts = [_interrupt(question) for question in self._questions]
            return {**finished, "outcome": {"type": "interrupt", "interrupts": interrupts}, "result": result}
        return {**finished, "outcome": {"type": "success"}, "result": result}

    def _usage(self, usage: Usage) -> dict[str, Any]:
        return {
            "model": self._model,
            "inputTokens": usage.input_tokens,
            "outputTokens": usage.output_tokens,
            "totalTokens": usage.input_tokens + usage.output_tokens,
            "cachedInputTokens": usage.cache_read_tokens,
            "cacheWriteInputTokens": usage.cache_write_tokens,
            "reasoningTokens": usage.reasoning_tokens,
        }

    def _id(self, name: str) -> str:
        return f"{self._prefix}-{name}"


def _cost(usage: Usage) -> dict[str, Any]:
    """Return the cost, for which AG-UI has no field."""
    known = {"cost_usd": usage.cost_usd, "estimated": usage.estimated}
    return {name: value for name, value in known.items() if value is not UNSET}


def _custom(name: str, event: Struct) -> dict[str, Any]:
    return {"type": "CUSTOM", "name": PREFIX + name, "value": fields(event)}


def _interrupt(question: run_events.Clarification) -> dict[str, Any]:
    """Return a question to the person; the next run's `resume` answers it with `{"answer": …}`."""
    return {
        "id": question.id,
        "reason": "input_required",
        "message": question.question,
        "responseSchema": question.response_schema,
        "metadata": {"options": [fields(option) for option in question.options]},
    }
