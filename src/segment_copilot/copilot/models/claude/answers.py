"""Reads one answer of the Messages API: the SDK's raw events in, our deltas out, the whole at the end.

The SDK's own accumulation parses a call's arguments anew at every delta, mends a cut document into a shorter one, and
raises at a malformed one. Here pieces are kept, joined once, and read strictly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import structlog

from segment_copilot.copilot.models import (
    AssistantMessage,
    ModelEvent,
    ReasoningDelta,
    StopReason,
    TextDelta,
    TokensCounted,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
    TurnEnded,
)
from segment_copilot.copilot.stream.usage import Usage

log = structlog.get_logger()

_STOP_REASONS: Final[Mapping[str | None, StopReason]] = {
    "end_turn": "end_turn",
    "stop_sequence": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "pause_turn": "pause_turn",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_too_long",
}
_COUNTS: Final = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Answer:
    """Collects one answer. Feed it every event; at `message_stop` ask for `ended`."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._calls: list[ToolCall] = []
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._long_lived = self._thought = 0
        self._stop_reason: str | None = None
        self._refused_for: str | None = None

    def read(self, event: Any) -> Iterator[ModelEvent]:
        """Return *event* as ours; nothing for what nobody has to see. Raises LookupError when it follows no start."""
        match event.type:
            case "content_block_delta":
                yield from self._blocks[event.index].read(event.delta)
            case "content_block_start":
                block = self._blocks[event.index] = _Block(event.content_block)
                yield from block.started()
            case "content_block_stop":
                if call := self._blocks[event.index].call():
                    self._calls.append(call)
                    yield call
            case "message_start":
                self._count(event.message.usage)
                yield TokensCounted(self.usage())
            case "message_delta":
                self._count(event.usage)
                self._stop_reason = event.delta.stop_reason
                self._refused_for = getattr(event.delta.stop_details, "category", None)
            case _:
                return

    def ended(self, request_id: str | None) -> TurnEnded:
        """Return the whole turn; its blocks go back with the next request as they came."""
        if self._stop_reason == "refusal":
            log.warning("copilot.refused", category=self._refused_for, upstream_request_id=request_id)
        elif self._stop_reason not in _STOP_REASONS:
            log.warning("copilot.unknown_stop_reason", stop_reason=self._stop_reason)
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        return TurnEnded(
            stop_reason=_STOP_REASONS.get(self._stop_reason, "truncated"),
            message=AssistantMessage(
                text="".join(block.text for block in blocks if block.kind == "text"),
                tool_calls=tuple(self._calls),
                raw=[form for block in blocks if (form := block.form()) is not None],
            ),
            usage=self.usage(),
            upstream_request_id=request_id,
        )

    def usage(self) -> Usage:
        """Return the tokens as far as they were told; input includes cache reads and writes."""
        given, written, read, created = (self._counts[name] for name in _COUNTS)
        return Usage(given + read + created, written, read, created, self._long_lived, self._thought)

    def _count(self, usage: Any) -> None:
        """Keep the counts, which are totals so far; one that is missing stays as it was."""
        for name in _COUNTS:
            if (count := getattr(usage, name, None)) is not None:
                self._counts[name] = count
        created = getattr(usage, "cache_creation", None)
        self._long_lived = getattr(created, "ephemeral_1h_input_tokens", None) or self._long_lived
        details = getattr(usage, "output_tokens_details", None)
        self._thought = getattr(details, "thinking_tokens", None) or self._thought


class _Block:
    """A block is on its way."""

    def __init__(self, start: Any) -> None:
        self.kind: str = start.type
        self._start: dict[str, Any] = start.to_dict()
        self._pieces: list[str] = []
        self._signature = ""
        self._unread = False

    @property
    def text(self) -> str:
        """Return what was written in the block."""
        return "".join(self._pieces)

    def started(self) -> Iterator[ModelEvent]:
        """Return what the block's start says already."""
        match self.kind:
            case "tool_use":
                yield ToolCallStarted(self._start["id"], self._start["name"])
            case "text" if written := self._start["text"]:
                yield TextDelta(self._keep(written))
            case _:
                return

    def read(self, delta: Any) -> Iterator[ModelEvent]:
        match delta.type:
            case "text_delta" if delta.text:
                yield TextDelta(self._keep(delta.text))
            case "input_json_delta" if delta.partial_json:
                piece = self._keep(delta.partial_json)
                if self.kind == "tool_use":
                    yield ToolArgumentsDelta(self._start["id"], piece)
            case "thinking_delta" if delta.thinking:
                yield ReasoningDelta(self._keep(delta.thinking))
            case "signature_delta":
                self._signature += delta.signature
            case "text_delta" | "input_json_delta" | "thinking_delta" | "citations_delta":
                return
            case unknown:
                self._unread = True
                log.warning("copilot.unknown_delta", type=unknown)

    def _keep(self, piece: str) -> str:
        """Return *piece* as it may be written: JSON can hold halves of characters, text cannot."""
        if not piece.isascii():
            piece = piece.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        self._pieces.append(piece)
        return piece

    def call(self) -> ToolCall | None:
        """Return the block as a complete call."""
        if self.kind != "tool_use":
            return None
        document = self.text or "{}"
        try:
            arguments = msgspec.json.decode(document, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError):
            return ToolCall(self._start["id"], self._start["name"], {}, malformed=document)
        return ToolCall(self._start["id"], self._start["name"], arguments)

    def form(self) -> dict[str, Any] | None:
        """Return the block as the next request repeats it; None for what the API would not take back, or nobody could read."""
        match self.kind:
            case "text":
                return {"type": "text", "text": self.text} if self.text.strip() else None
            case "thinking":
                signature = self._signature or self._start.get("signature", "")
                return {**self._start, "thinking": self.text, "signature": signature}
            case "tool_use":
                call = self.call()
                return {**self._start, "input": call.arguments if call else {}}
            case _:
                return None if self._unread else self._start
