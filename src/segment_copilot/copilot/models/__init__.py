"""Models: the contract between a run and a language model: one request in, a stream of typed deltas out.

Two models exist: `claude` (the anthropic SDK) and `offline` (a deterministic parser). The loop cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import Struct

from segment_copilot.copilot.stream.run_events import Unmapped
from segment_copilot.copilot.stream.usage import Usage
from segment_copilot.language.catalog import Catalog

# What goes in


class ToolSpecification(Struct, frozen=True):
    """Describes a tool to a model; *input_schema* is JSON Schema with `type: object` at the root."""

    name: str
    description: str
    input_schema: Mapping[str, Any]


class UserMessage(Struct, frozen=True, tag="user"):
    """Holds what the person wrote. The server says before it what exists (*workspace*), and after it *notes* of its own."""

    text: str
    workspace: str = ""
    notes: tuple[str, ...] = ()


class ToolCall(Struct, frozen=True, tag="tool_call"):
    """A tool call is complete. *arguments* is the decoded JSON object, not yet checked against the schema.

    *malformed* holds the text when the model sent something that is not a JSON object.
    """

    id: str
    name: str
    arguments: Mapping[str, Any]
    malformed: str | None = None


class AssistantMessage(Struct, frozen=True, tag="assistant"):
    """Holds what the model answered in an earlier turn. *raw* is the provider's own form, sent back unchanged."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    raw: Any = None


class ToolResult(Struct, frozen=True):
    """Holds the outcome of one call. *content* is a JSON document (text)."""

    tool_call_id: str
    name: str
    content: str
    is_error: bool = False


class ToolResults(Struct, frozen=True, tag="tool_results"):
    """Holds the outcomes of all calls of the turn before, in call order. *notes* are the server's own words after them."""

    results: tuple[ToolResult, ...]
    notes: tuple[str, ...] = ()


Message = UserMessage | AssistantMessage | ToolResults


class ModelRequest(Struct, frozen=True):
    """A model request asks for one turn: it holds the whole conversation so far, the tools, and what the tenant has."""

    system: str  # the same for every tenant and every day, so that it can be cached
    messages: tuple[Message, ...]
    tools: tuple[ToolSpecification, ...]
    catalog: Catalog
    as_of: datetime
    timezone: str
    tools_allowed: bool = True  # False on the last turn: the tools stay listed, none may be called
    max_tokens: int = 8000
    view: Mapping[str, Any] = {}  # what the person is looking at: a segment, a draft
    effort: str | None = None  # low, medium or high; None: the model's own setting
    user: str = ""  # the same for everything that one tenant asks; a provider is told a keyed hash of it


# What comes out


class ReasoningDelta(Struct, frozen=True, tag="reasoning_delta"):
    """Holds a piece of the model's summarised reasoning."""

    delta: str


class TextDelta(Struct, frozen=True, tag="text_delta"):
    """Holds a piece of the answer."""

    delta: str


class ToolCallStarted(Struct, frozen=True, tag="tool_call_started"):
    """The model has begun to write a call; its arguments follow."""

    id: str
    name: str


class ToolArgumentsDelta(Struct, frozen=True, tag="tool_arguments_delta"):
    """Holds a piece of a call's arguments, as JSON text."""

    id: str
    delta: str


class TokensCounted(Struct, frozen=True, tag="tokens_counted"):
    """Tells the turn's tokens as far as they are known while it goes on."""

    usage: Usage


StopReason = Literal[
    "end_turn", "tool_use", "max_tokens", "refusal", "declined", "pause_turn", "context_too_long", "truncated"
]
"""On `refusal` nothing was said that counts; on `declined` the model's own text says what it cannot do."""


class TurnEnded(Struct, frozen=True, tag="turn_ended"):
    """The turn has ended; no event follows. *message* goes back with the next request; its calls are run only on tool_use.

    *unmapped* holds what was declined.
    """

    stop_reason: StopReason
    message: AssistantMessage
    usage: Usage = Usage()
    upstream_request_id: str | None = None
    unmapped: tuple[Unmapped, ...] = ()


ModelEvent = ReasoningDelta | TextDelta | ToolCallStarted | ToolCall | ToolArgumentsDelta | TokensCounted | TurnEnded


class Model(Protocol):
    """A model answers requests. Failures are raised as `errors.Unavailable` (or a subclass) with a code of the closed set."""

    @property
    def name(self) -> str:
        """The name that `run.started` tells: `offline`, or the model id."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Answer with one turn. Closing the generator closes the upstream connection."""
        ...
