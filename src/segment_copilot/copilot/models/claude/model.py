"""Asks Claude, or whatever speaks the Messages API: one request is one stream of deltas, every fault `Unavailable`.

The SDK's own retries are off: it obeys a `retry-after` of any length. The loop retries a turn under its deadline.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anthropic
import httpx2
import msgspec
from anthropic import AsyncAnthropic, AsyncStream, DefaultAsyncHttpxClient
from anthropic.types import Message, RawMessageStreamEvent
from msgspec import Struct

from segment_copilot.copilot.models import (
    AssistantMessage,
    ModelEvent,
    ModelRequest,
    ToolSpecification,
    TurnEnded,
)
from segment_copilot.copilot.models.claude.answers import Answer
from segment_copilot.copilot.models.claude.conversation import messages_of
from segment_copilot.copilot.models.claude.faults import fault_of
from segment_copilot.errors import Unavailable
from segment_copilot.settings import Settings

_UNREADABLE = (ValueError, LookupError, AttributeError, TypeError)
"""Errors with which the SDK, or what reads after it, stumbles over what is no answer."""

_DRAIN_SECONDS = 0.2
_KEPT_CONNECTIONS = 100


class Patience(Struct, frozen=True):
    """Says how long to wait, in seconds."""

    connect: float = 5.0
    first: float = 20.0  # from the request until something is said
    idle: float = 30.0  # between two pieces of it


class Claude:
    """Claude is a model behind the Messages API."""

    def __init__(self, client: AsyncAnthropic, *, name: str, effort: str, patience: Patience | None = None) -> None:
        self._client = client
        self._name = name
        self._effort = effort
        self._patience = patience or Patience()
        self._encoded: dict[tuple[str, ...], tuple[tuple[ToolSpecification, ...], bytes]] = {}

    @property
    def name(self) -> str:
        """The model id."""
        return self._name

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Answer with one turn. Closing the generator closes the connection."""
        answer = Answer()
        now = asyncio.get_running_loop().time
        until = now() + self._patience.first
        try:
            async with asyncio.timeout_at(until):  # never around a yield
                upstream = await self._send(request)
            async with upstream:
                request_id = upstream.response.headers.get("request-id")
                while (event := await _next(upstream, until)) is not None:
                    for delta in _read(answer, event):
                        yield delta
                    if event.type == "message_stop":
                        await _drain(upstream)
                        yield answer.ended(request_id)
                        return
                    if event.type != "message_start":
                        until = now() + self._patience.idle
                # It ended as if all were well, without saying that it was done.
                yield TurnEnded("truncated", AssistantMessage(""), answer.usage(), upstream_request_id=request_id)
        except (anthropic.AnthropicError, httpx2.HTTPError, TimeoutError) as error:
            raise fault_of(error) from error

    async def _send(self, request: ModelRequest) -> AsyncStream[RawMessageStreamEvent]:
        """Open the raw stream: `messages.create` would copy the tools for each request, which is most of a waiting stream."""
        patience = self._patience
        body = self._body(request)
        return await self._client.post(
            "/v1/messages",
            content=body,
            cast_to=Message,
            stream=True,
            stream_cls=AsyncStream[RawMessageStreamEvent],
            options={
                "headers": {"content-length": str(body.length)},
                "timeout": httpx2.Timeout(connect=patience.connect, read=patience.idle, write=patience.idle, pool=5.0),
            },
        )

    def _body(self, request: ModelRequest) -> _Body:
        body: dict[str, Any] = {
            # Order of the cached prefix: tools, system, messages. The first two are the same for everybody.
            "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "cache_control": {"type": "ephemeral"},  # the moving end
            "messages": messages_of(request),
            # The last turn keeps its tools: without them the prefix, and what was thought on it, would not hold.
            "tool_choice": {"type": "auto" if request.tools_allowed else "none"},
        }
        if request.user:
            body["metadata"] = {"user_id": self._opaque(request.user)}
        if _thinks(self._name):
            # Shown, or the stream would be silent while it thinks.
            body["thinking"] = {"type": "adaptive", "display": "summarized"}
            body["output_config"] = {"effort": request.effort or self._effort}
        head = {"model": self._name, "max_tokens": request.max_tokens, "stream": True}
        return _Body(
            _encode_open(head) + b',"tools":', self._tools(request.tools), b"," + msgspec.json.encode(body)[1:]
        )

    def _tools(self, tools: tuple[ToolSpecification, ...]) -> bytes:
        """Return the tools as JSON: the same bytes for the same tools, encoded once."""
        names = tuple(tool.name for tool in tools)
        if (known := self._encoded.get(names)) is not None and known[0] == tools:
            return known[1]
        # Eager: a call's arguments are streamed as they are written.
        document = [{**msgspec.to_builtins(tool), "eager_input_streaming": True} for tool in tools]
        encoded = msgspec.json.encode(document)
        self._encoded[names] = (tools, encoded)
        return encoded

    def _opaque(self, user: str) -> str:
        """Return a name that tells users apart, and tells nothing about them to who has not this service's key."""
        return hmac.digest((self._client.api_key or "").encode(), user.encode(), hashlib.sha256).hex()


class _Body:
    """Holds a request's body in parts: all open streams share the tools, which are most of it."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts
        self.length = sum(map(len, parts))

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        for part in self._parts:
            yield part


def _encode_open(document: dict[str, Any]) -> bytes:
    """Return a JSON object that goes on."""
    return msgspec.json.encode(document)[:-1]


@asynccontextmanager
async def open_claude(settings: Settings) -> AsyncGenerator[Claude]:
    """Open Claude as the settings say; its connections are closed at the end."""
    # One connection for each run that may go on: who waited for one would look like a model that is silent.
    limits = httpx2.Limits(max_connections=settings.copilot_max_streams, max_keepalive_connections=_KEPT_CONNECTIONS)
    async with AsyncAnthropic(
        api_key=settings.anthropic_api_key,
        base_url=settings.anthropic_base_url or None,
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(limits=limits),
    ) as client:
        patience = Patience(first=settings.claude_first_seconds, idle=settings.claude_idle_seconds)
        yield Claude(client, name=settings.claude_model, effort=settings.claude_effort, patience=patience)


def _thinks(name: str) -> bool:
    """Return whether the model takes adaptive thinking and an effort: Claude after the 4.5 family."""
    return name.startswith("claude-") and "-4-5" not in name


async def _next(upstream: AsyncStream[RawMessageStreamEvent], until: float) -> Any:
    """Return the next event, or None at the end. Pings are none: a server that only pings counts as silent."""
    try:
        async with asyncio.timeout_at(until):
            return await anext(upstream)
    except StopAsyncIteration:
        return None
    except _UNREADABLE as error:
        raise Unavailable("The model wrote what cannot be read.", code="model_output_invalid") from error


async def _drain(upstream: AsyncStream[RawMessageStreamEvent]) -> None:
    """Read what follows the last event, or the connection could not be used again."""
    with suppress(TimeoutError, httpx2.HTTPError, anthropic.AnthropicError, *_UNREADABLE):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in upstream:
                pass


def _read(answer: Answer, event: Any) -> list[ModelEvent]:
    try:
        return list(answer.read(event))
    except _UNREADABLE as error:
        raise Unavailable("The model wrote what cannot be read.", code="model_output_invalid") from error
