"""Claude, or whatever speaks the Messages API: one request as one stream of deltas, every fault as `Unavailable`.

The SDK's own retries are off: it obeys a `retry-after` of any length. The loop retries a turn once, under its deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import anthropic
import httpx2
import msgspec
import structlog
from anthropic import AsyncAnthropic, omit
from msgspec import Struct

from segment_copilot.copilot.models import (
    AssistantMessage,
    ModelEvent,
    ModelRequest,
    ReasoningDelta,
    StopReason,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
    TurnEnded,
    Usage,
)
from segment_copilot.copilot.models.conversation import messages_of
from segment_copilot.errors import Unavailable
from segment_copilot.settings import Settings

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
_CODES: Final[Mapping[str, str]] = {
    "overloaded_error": "upstream_overloaded",
    "billing_error": "upstream_spend_limit",
    "request_too_large": "context_too_long",
    "rate_limit_error": "upstream_rate_limited",
    "timeout_error": "upstream_timeout",
    "api_error": "upstream_disconnected",
    "authentication_error": "upstream_auth",
    "permission_error": "upstream_auth",
    "invalid_request_error": "upstream_bad_request",
    "not_found_error": "upstream_bad_request",
}
_STATUSES: Final[Mapping[int, str]] = {
    401: "upstream_auth",
    402: "upstream_spend_limit",
    403: "upstream_auth",
    408: "upstream_timeout",
    409: "upstream_disconnected",
    413: "context_too_long",
    429: "upstream_rate_limited",
    503: "upstream_overloaded",
    504: "upstream_timeout",
    529: "upstream_overloaded",
}
"""For answers of a proxy, which have no type."""
_FOREVER: Final = 10**9
_SPEND_LIMITS: Final = {"enforced_spend_limit_reached", "contract_spend_limit_reached"}


class Patience(Struct, frozen=True):
    """How long to wait, in seconds."""

    connect: float = 5.0
    first: float = 20.0  # until the answer begins
    idle: float = 30.0  # between two pieces of it


class Claude:
    """A model behind the Messages API."""

    def __init__(self, client: AsyncAnthropic, *, name: str, effort: str, patience: Patience | None = None) -> None:
        self._client = client
        self._name = name
        self._effort = effort
        self._patience = patience or Patience()

    @property
    def name(self) -> str:
        """The model id."""
        return self._name

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """One turn. Closing the generator closes the connection."""
        answer = _Answer()
        try:
            async with (
                self._client.messages.stream(**self._parameters(request)) as stream,
                aclosing(self._patiently(aiter(stream))) as upstream,
            ):
                async for event in upstream:
                    for said in answer.read(event):
                        yield said
                    if event.type == "message_stop":
                        yield answer.ended(event.message, stream.request_id)
                        return
                # It ended as if all were well, without saying that it was done.
                yield TurnEnded("truncated", AssistantMessage(""), upstream_request_id=stream.request_id)
        except (anthropic.AnthropicError, httpx2.HTTPError, TimeoutError) as error:
            raise unavailable(error) from error

    async def _patiently(self, stream: AsyncIterator[Any]) -> AsyncGenerator[Any]:
        """The events of *stream*. Pings are none: a server that only pings counts as silent."""
        seconds = self._patience.first
        while True:
            try:
                async with asyncio.timeout(seconds):  # never around a yield
                    event = await anext(stream)
            except StopAsyncIteration:
                return
            except (ValueError, LookupError) as error:  # how the SDK says that it cannot read what came
                raise Unavailable("The model wrote what cannot be read.", code="model_output_invalid") from error
            if event.type != "message_start":
                seconds = self._patience.idle
            yield event

    def _parameters(self, request: ModelRequest) -> dict[str, Any]:
        thinks = _thinks(self._name)
        effort = request.effort or self._effort
        return {
            "model": self._name,
            "max_tokens": request.max_tokens,
            # Order of the cached prefix: tools, system, messages. The first two are the same for everybody.
            "tools": [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.input_schema,
                    "eager_input_streaming": True,
                }
                for tool in request.tools
            ],
            "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "cache_control": {"type": "ephemeral"},  # the moving end
            "messages": messages_of(request),
            # The last turn keeps its tools: without them the prefix, and what was thought on it, would not hold.
            "tool_choice": {"type": "auto"} if request.tools_allowed else {"type": "none"},
            "thinking": {"type": "adaptive", "display": "summarized"} if thinks else omit,
            "output_config": {"effort": effort} if thinks else omit,
            "timeout": httpx2.Timeout(
                connect=self._patience.connect, read=self._patience.idle, write=self._patience.idle, pool=5.0
            ),
        }


@asynccontextmanager
async def open_claude(settings: Settings) -> AsyncGenerator[Claude]:
    """Claude as the settings say; its connections are closed at the end."""
    async with AsyncAnthropic(
        api_key=settings.anthropic_api_key, base_url=settings.anthropic_base_url or None, max_retries=0
    ) as client:
        yield Claude(client, name=settings.claude_model, effort=settings.claude_effort)


def _thinks(name: str) -> bool:
    """Whether the model takes adaptive thinking and an effort: Claude after the 4.5 family."""
    return name.startswith("claude-") and "-4-5" not in name


class _Answer:
    """What has arrived of a turn: the SDK's events, ours out."""

    def __init__(self) -> None:
        self._writing: dict[int, tuple[str, str, list[str]]] = {}  # by block: a call's id, name and text
        self._calls: list[ToolCall] = []

    def read(self, event: Any) -> Iterator[ModelEvent]:
        """*event* as ours; nothing for what only the SDK needs."""
        match event.type:
            case "text" if event.text:
                yield TextDelta(event.text)
            case "thinking" if event.thinking:
                yield ReasoningDelta(event.thinking)
            case "content_block_start" if event.content_block.type == "tool_use":
                block = event.content_block
                self._writing[event.index] = (block.id, block.name, [])
                yield ToolCallStarted(block.id, block.name)
            case "content_block_delta" if event.index in self._writing and event.delta.type == "input_json_delta":
                call_id, _, text = self._writing[event.index]
                text.append(event.delta.partial_json)
                yield ToolArgumentsDelta(call_id, event.delta.partial_json)
            case "content_block_stop" if event.index in self._writing:
                call = _call(*self._writing.pop(event.index))
                self._calls.append(call)
                yield call
            case _:
                return

    def ended(self, message: Any, request_id: str | None) -> TurnEnded:
        """The whole turn; *message* goes back with the next request as it came."""
        if message.stop_reason == "refusal":
            category = getattr(message.stop_details, "category", None)
            log.warning("copilot.refused", category=category, upstream_request_id=request_id)
        elif message.stop_reason not in _STOP_REASONS:
            log.warning("copilot.unknown_stop_reason", stop_reason=message.stop_reason)
        return TurnEnded(
            stop_reason=_STOP_REASONS.get(message.stop_reason, "truncated"),
            message=AssistantMessage(
                text="".join(block.text for block in message.content if block.type == "text"),
                tool_calls=tuple(self._calls),
                raw=message.to_param()["content"],
            ),
            usage=_usage(message.usage),
            upstream_request_id=request_id,
        )


def _call(call_id: str, name: str, text: list[str]) -> ToolCall:
    """A complete call. Read anew and strictly: the SDK mends a cut document into a shorter one."""
    document = "".join(text) or "{}"
    try:
        arguments = msgspec.json.decode(document, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return ToolCall(call_id, name, {}, malformed=document)
    return ToolCall(call_id, name, arguments)


def _usage(usage: Any) -> Usage:
    read = usage.cache_read_input_tokens or 0
    write = usage.cache_creation_input_tokens or 0
    return Usage(usage.input_tokens + read + write, usage.output_tokens, read, write)


def unavailable(error: Exception) -> Unavailable:
    """Any fault of the SDK or below it, as one of our codes; its text goes to the log only."""
    match error:
        case anthropic.APIStatusError():
            return _refused(error)
        case anthropic.APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
            code = "upstream_timeout"
        case _:
            code = "upstream_disconnected"
    log.warning("copilot.upstream_failed", code=code, error=type(error).__name__)
    return Unavailable("The language model could not be reached.", code=code)


def _refused(error: anthropic.APIStatusError) -> Unavailable:
    """An answer that says no; an error inside a stream has status 200 and only its type tells what it is."""
    code = _code(error)
    log.warning(
        "copilot.upstream_refused",
        code=code,
        status=error.status_code,
        type=error.type,
        error_code=error.error_code,
        upstream_request_id=error.request_id,
    )
    context: dict[str, Any] = {}
    if error.request_id:
        context["upstream_request_id"] = error.request_id
    if (after := _retry_after_ms(error.response.headers.get("retry-after"))) is not None:
        context["retry_after_ms"] = after
    return Unavailable("The language model refused the request.", code=code, context=context)


def _code(error: anthropic.APIStatusError) -> str:
    if error.error_code in _SPEND_LIMITS:
        return "upstream_spend_limit"
    if error.type == "invalid_request_error" and "too long" in (error.api_message or ""):
        return "context_too_long"
    known = _CODES.get(error.type or "") or _STATUSES.get(error.status_code)
    if known is not None:
        return known
    refused = HTTPStatus.BAD_REQUEST <= error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    return "upstream_bad_request" if refused else "upstream_disconnected"


def _retry_after_ms(header: str | None) -> int | None:
    """Only the form in seconds; a date is not worth a clock that may differ."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return round(seconds * 1000) if 0 <= seconds < _FOREVER else None
