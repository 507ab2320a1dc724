"""The events are one typed stream: everything a run says, whatever protocol carries it.

Optional fields are absent (`UNSET`), never null. An encoder adds what belongs to the wire: sequence numbers, the run's
id, the time and the turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from segment_copilot.copilot.stream.components import Component, Draft
from segment_copilot.copilot.stream.usage import Usage
from segment_copilot.errors import Finding

ToolKind = Literal["data", "draft", "display", "ask"]
Source = Literal["postgres", "clickhouse", "none"]
Retry = Literal["never", "once", "adjust"]
Outcome = Literal["completed", "input_required", "limit", "refused", "cancelled"]
Limit = Literal["max_turns", "max_tool_calls", "max_tokens", "max_cost", "repeated_calls"]
ErrorCode = Literal[
    "upstream_overloaded",
    "upstream_rate_limited",
    "upstream_spend_limit",
    "upstream_timeout",
    "upstream_disconnected",
    "upstream_bad_request",
    "upstream_auth",
    "model_output_invalid",
    "context_too_long",
    "tool_backend_unavailable",
    "deadline_exceeded",
    "server_draining",
    "internal",
]
"""Every code a `run.error` may carry: a closed set."""


class Limits(Struct, frozen=True):
    """Says what a run may use; *max_cost_usd* where the model's price is known."""

    max_turns: int
    max_tool_calls: int
    deadline_ms: int
    max_cost_usd: float | UnsetType = UNSET


class RunStarted(Struct, frozen=True, tag="run.started"):
    """The run has started; this event is always the first. *as_of* is the run's one instant: every tool, window and "today" uses it."""

    thread_id: str
    protocol: str
    model: str
    limits: Limits
    as_of: datetime
    timezone: str
    prompt_version: str
    tools_version: str


class TurnStarted(Struct, frozen=True, tag="turn.started"):
    """The model is asked; *attempt* 2 follows a `turn.reset`."""

    turn: int
    attempt: int


class ReasoningStart(Struct, frozen=True, tag="reasoning.start"):
    """A summary of the model's reasoning begins."""

    id: str


class ReasoningDelta(Struct, frozen=True, tag="reasoning.delta"):
    """The summary goes on with a piece."""

    id: str
    delta: str


class ReasoningEnd(Struct, frozen=True, tag="reasoning.end"):
    """The summary is complete."""

    id: str


class TextStart(Struct, frozen=True, tag="text.start"):
    """A text for the person begins."""

    id: str


class TextDelta(Struct, frozen=True, tag="text.delta"):
    """The text goes on with a piece."""

    id: str
    delta: str


class TextEnd(Struct, frozen=True, tag="text.end"):
    """The text is complete."""

    id: str


class ToolStart(Struct, frozen=True, tag="tool.start"):
    """The model has begun to write a call. *title* says in words what the call does."""

    tool_call_id: str
    name: str
    kind: ToolKind
    title: str


class ToolArgsDelta(Struct, frozen=True, tag="tool.args.delta"):
    """The arguments go on with a piece of raw JSON text."""

    tool_call_id: str
    delta: str


class ToolArgs(Struct, frozen=True, tag="tool.args"):
    """The arguments are complete and checked.

    *args* is absent when what the model wrote is not a JSON object, and when it is too long for one event (*truncated*).
    """

    tool_call_id: str
    valid: bool
    args: Mapping[str, Any] | UnsetType = UNSET
    truncated: bool | UnsetType = UNSET
    errors: tuple[Finding, ...] | UnsetType = UNSET


class ToolError(Struct, frozen=True):
    """Says why a call failed, in our words, and whether trying again can help."""

    code: str
    message: str
    retry: Retry
    findings: tuple[Finding, ...] | UnsetType = UNSET


class ToolResult(Struct, frozen=True, tag="tool.result"):
    """The call is over; *data* is the JSON document that the model reads."""

    tool_call_id: str
    ok: bool
    summary: str
    truncated: bool
    duration_ms: int
    cached: bool
    source: Source
    data: Raw | UnsetType = UNSET
    error: ToolError | UnsetType = UNSET


class ComponentShown(Struct, frozen=True, tag="component"):
    """The frontend draws something; *props* are a component's, already checked."""

    id: str
    name: str
    schema_version: int
    op: Literal["render", "replace"]
    props: Component
    tool_call_id: str | UnsetType = UNSET


class SegmentDraft(Draft, frozen=True, tag="segment.draft"):
    """A draft was made: a segment that decoded, bound, compiled and was previewed. Nothing is saved."""


class ClarificationOption(Struct, frozen=True):
    """An option is one answer a person may pick."""

    label: str
    value: str
    effect: str | UnsetType = UNSET


class Clarification(Struct, frozen=True, tag="clarification"):
    """The person is asked; the run then ends with `input_required`.

    *response_schema* is the JSON Schema of the answer, which the next request gives in `resume`.
    """

    id: str
    tool_call_id: str
    question: str
    options: tuple[ClarificationOption, ...]
    response_schema: Mapping[str, Any]


class Warned(Struct, frozen=True, tag="warning"):
    """The caller should know something; the run goes on."""

    code: str
    message: str


SuggestionKind = Literal["event_type", "property", "trait", "segment", "value"]


class Suggestion(Struct, frozen=True):
    """A suggestion names what there is and might have been meant."""

    kind: SuggestionKind
    name: str


class Unmapped(Struct, frozen=True):
    """Tells of one part of a request that was refused: its *text* in the person's words, and the reason."""

    text: str
    reason: str
    suggestions: tuple[Suggestion, ...] = ()


class TurnReset(Struct, frozen=True, tag="turn.reset"):
    """The turn failed and is asked again: what it said so far (*discard*) does not count."""

    turn: int
    reason: str
    discard: tuple[str, ...]


class TurnFinished(Struct, frozen=True, tag="turn.finished"):
    """The model's answer and its tools are done; *ttft_ms* is absent when nothing arrived."""

    turn: int
    stop_reason: str
    usage: Usage
    duration_ms: int
    ttft_ms: int | UnsetType = UNSET
    upstream_request_id: str | UnsetType = UNSET


class UsageTotal(Usage, frozen=True, tag="usage"):
    """Counts the tokens of all turns so far."""


class Checkpointed(Struct, frozen=True, tag="checkpoint"):
    """The thread so far is an opaque *token*: the next request gives it back, and the run goes on where this one was."""

    token: str


class RunFinished(Struct, frozen=True, tag="run.finished"):
    """The run ended well; nothing follows. *unmapped* says of what was `refused` what it was, and why."""

    outcome: Outcome
    usage: Usage
    turns: int
    tool_calls: int
    duration_ms: int
    limit: Limit | UnsetType = UNSET
    unmapped: tuple[Unmapped, ...] | UnsetType = UNSET


class RunError(Struct, frozen=True, tag="run.error"):
    """The run could not go on; nothing follows. *message* is ours, never an exception's text."""

    code: ErrorCode
    message: str
    retryable: bool
    usage: Usage
    retry_after_ms: int | UnsetType = UNSET
    upstream_request_id: str | UnsetType = UNSET


Event = (
    RunStarted
    | TurnStarted
    | ReasoningStart
    | ReasoningDelta
    | ReasoningEnd
    | TextStart
    | TextDelta
    | TextEnd
    | ToolStart
    | ToolArgsDelta
    | ToolArgs
    | ToolResult
    | ComponentShown
    | SegmentDraft
    | Clarification
    | Warned
    | TurnReset
    | TurnFinished
    | UsageTotal
    | Checkpointed
    | RunFinished
    | RunError
)

Terminal = RunFinished | RunError
