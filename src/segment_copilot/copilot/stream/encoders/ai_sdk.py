"""Encodes a run as the Vercel AI SDK's UI message stream (`ai` 5, 6 and 7): one assistant message.

A frame is `data: <one part as JSON>`; the last one is `data: [DONE]`. Unknown part types break a whole stream, so what
has no part of its own travels as `data-segment-copilot-…`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from msgspec import UNSET

from segment_copilot.copilot.guards.bounds import MAX_STRING
from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.encoders.frames import data_frames, fields
from segment_copilot.copilot.stream.encoders.native import HEARTBEAT, OPENING

AI_SDK: Final = "ai-sdk-ui-message-stream/v1"
HEADERS: Final = {"x-vercel-ai-ui-message-stream": "v1"}

PREFIX: Final = "data-segment-copilot-"
"""Stands before every part that is ours."""

TURN_RESET: Final = f"{PREFIX}turn-reset"
CHECKPOINT: Final = f"{PREFIX}checkpoint"

Major = Literal[5, 6, 7]
"""Major versions of the npm package `ai`; 7 alone knows `reset-step`."""

_RESETS_STEPS: Final = 7
_DONE: Final = b"data: [DONE]\n\n"

_REASONS: Final[Mapping[run_events.Outcome, str]] = {
    "completed": "stop",
    "input_required": "stop",
    "limit": "length",
    "refused": "content-filter",
    "cancelled": "other",
}


class AiSdkEncoder:
    """Makes the frames of one run, whose id is the message's. *major* is the client's version of `ai`."""

    opening = OPENING
    heartbeat = HEARTBEAT

    def __init__(self, run_id: str, *, major: Major = 6) -> None:
        self._run_id = run_id
        self._major = major
        self._names: dict[str, str] = {}  # of the calls: some parts repeat them
        self._written: dict[str, str] = {}  # the arguments as text, as far as they came

    def frame(self, event: run_events.Event) -> bytes:
        """Return *event* as frames: none, one or several."""
        frames = data_frames(self._translate(event))
        return frames + _DONE if isinstance(event, run_events.RunFinished | run_events.RunError) else frames

    def _translate(self, event: run_events.Event) -> Iterator[dict[str, Any]]:
        match event:
            case run_events.RunStarted():
                metadata = {"run_id": self._run_id, **fields(event, "protocol")}
                yield {"type": "start", "messageId": self._run_id, "messageMetadata": metadata}
            case run_events.TurnStarted():
                yield {"type": "start-step"}
            case run_events.TurnFinished():
                yield {"type": "finish-step"}
            case run_events.UsageTotal():
                yield {"type": "message-metadata", "messageMetadata": {"usage": fields(event)}}
            case run_events.TurnReset() if self._major >= _RESETS_STEPS:
                yield {"type": "reset-step"}
            case run_events.TurnReset() | run_events.Warned() | run_events.Clarification():
                yield _data(event)
            case run_events.Checkpointed():
                yield {"type": CHECKPOINT, "id": "checkpoint", "data": fields(event)}  # the last one stands
            case run_events.ComponentShown():
                yield {"type": f"{PREFIX}component", "id": event.id, "data": fields(event, "id", "op")}
            case run_events.SegmentDraft():
                yield {"type": f"{PREFIX}draft", "id": event.draft_id, "data": fields(event)}
            case run_events.RunFinished() | run_events.RunError():
                yield from _terminal(event)
            case run_events.ToolStart() | run_events.ToolArgsDelta() | run_events.ToolArgs() | run_events.ToolResult():
                yield from self._call(event)
            case _:
                # text.start → text-start; a reasoning's likewise
                yield {"type": _tag(event).replace(".", "-"), **fields(event)}

    def _call(
        self, event: run_events.ToolStart | run_events.ToolArgsDelta | run_events.ToolArgs | run_events.ToolResult
    ) -> Iterator[dict[str, Any]]:
        """Return a call as a `dynamic-tool` part: no frontend knows our tools by type."""
        call = {"toolCallId": event.tool_call_id, "dynamic": True}
        match event:
            case run_events.ToolStart():
                self._names[event.tool_call_id] = event.name
                yield {"type": "tool-input-start", **call, "toolName": event.name, "title": event.title}
            case run_events.ToolArgsDelta():
                self._written[event.tool_call_id] = self._written.get(event.tool_call_id, "") + event.delta
                yield {
                    "type": "tool-input-delta",
                    "toolCallId": event.tool_call_id,
                    "inputTextDelta": event.delta,
                }
            case run_events.ToolArgs():
                named = {**call, "toolName": self._names[event.tool_call_id]}
                arguments: Any = {"truncated": True} if event.truncated is True else event.args
                if event.valid:
                    yield {"type": "tool-input-available", **named, "input": arguments}
                else:
                    text = self._written.get(event.tool_call_id, "")[:MAX_STRING]
                    tried = text if arguments is UNSET else arguments
                    yield {"type": "tool-input-error", **named, "input": tried, "errorText": _mistakes(event)}
            case run_events.ToolResult():
                if event.ok:
                    output = fields(event, "tool_call_id")
                    yield {"type": "tool-output-available", **call, "output": output}
                else:
                    text = event.summary if event.error is UNSET else event.error.message
                    yield {"type": "tool-output-error", **call, "errorText": text}


def _terminal(event: run_events.Terminal) -> Iterator[dict[str, Any]]:
    if isinstance(event, run_events.RunError):
        # Before the error: most clients read no further.
        yield {"type": "message-metadata", "messageMetadata": {"error": fields(event, "message", "usage")}}
        yield {"type": "error", "errorText": event.message}
        yield {"type": "finish", "finishReason": "error", "messageMetadata": {"usage": event.usage}}
        return
    reason = _REASONS[event.outcome]
    if event.outcome == "limit" and event.limit != "max_tokens":
        reason = "other"
    yield {"type": "finish", "finishReason": reason, "messageMetadata": fields(event)}


def _data(event: run_events.TurnReset | run_events.Warned | run_events.Clarification) -> dict[str, Any]:
    match event:
        case run_events.Clarification():
            return {"type": f"{PREFIX}clarification", "id": event.id, "data": fields(event)}
        case run_events.TurnReset():
            return {"type": TURN_RESET, "data": fields(event)}
        case run_events.Warned():
            return {"type": f"{PREFIX}warning", "data": fields(event)}


def _mistakes(event: run_events.ToolArgs) -> str:
    if event.errors is UNSET or not event.errors:
        return "The arguments are not complete JSON."
    return " ".join(finding.detail for finding in event.errors)


def _tag(event: run_events.Event) -> str:
    return str(event.__struct_config__.tag)
