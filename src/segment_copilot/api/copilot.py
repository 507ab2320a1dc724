"""The copilot over HTTP takes one question and answers it as a stream, or in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from segment_copilot.access.keys import Caller
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import SECONDS, Route
from segment_copilot.api.http.sse import Encoder, EventStream, frames
from segment_copilot.copilot.conversation.foreign import (
    AgUiRequest,
    AiSdkRequest,
    TranslatedRequest,
    translate_ag_ui,
    translate_ai_sdk,
)
from segment_copilot.copilot.conversation.request import ChatMessage, CopilotContext, CopilotRequest
from segment_copilot.copilot.runs.collect import collect
from segment_copilot.copilot.runs.failures import error_of
from segment_copilot.copilot.runs.run import Copilot, Run, prepare_run
from segment_copilot.copilot.stream.components import Draft
from segment_copilot.copilot.stream.encoders.ag_ui import AG_UI, AgUiEncoder
from segment_copilot.copilot.stream.encoders.ai_sdk import AI_SDK, AiSdkEncoder, Major
from segment_copilot.copilot.stream.encoders.ai_sdk import HEADERS as AI_SDK_HEADERS
from segment_copilot.copilot.stream.encoders.native import NativeEncoder
from segment_copilot.copilot.stream.protocol import PROTOCOL, protocol_document
from segment_copilot.copilot.stream.run_events import Clarification, Event, Outcome, RunError, Unmapped, Warned
from segment_copilot.errors import Conflict, InvalidInput, TooManyRequests, Unavailable
from segment_copilot.language.lengths import Instant

MAX_BODY_BYTES: Final = 2 * 2**20

_STOPPING: Final = "This process is being stopped."

_POINTERS: Final = {
    "/messages/0": "/description",
    "/messages/0/content": "/description",
    "/context/as_of": "/as_of",
    "/context/timezone": "/timezone",
}


class GenerateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An audience in words."""

    description: Annotated[str, Meta(min_length=1, max_length=100_000)]
    as_of: Instant | None = None
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class Generated(Struct, frozen=True):
    """What the copilot answered. *draft* is absent when it made none: *text* then says why.

    *warnings* are those of the stream: `missing_scope` says what the credential may not hear of.
    """

    outcome: Outcome
    text: str
    model: str
    draft: Draft | UnsetType = UNSET
    clarification: Clarification | UnsetType = UNSET
    unmapped: tuple[Unmapped, ...] | UnsetType = UNSET
    warnings: tuple[Warned, ...] = ()


def _copilot_route(stream: Any = None, *, seconds: float | None = SECONDS) -> dict[str, Any]:
    """Return what every route declares that runs the copilot."""
    return Route(asks=True, problems=(Conflict, TooManyRequests), stream=stream, seconds=seconds).opt


class CopilotController(Controller):
    """Answers questions in words about segments and events, and drafts segments. Nothing is ever saved by it."""

    path = "/api/copilot"
    tags = ("copilot",)

    @post(
        "/stream",
        status_code=200,
        request_max_body_size=MAX_BODY_BYTES,
        opt=_copilot_route(Event),
        response_description="The answer as it is made. The last event is run.finished or run.error.",
    )
    async def stream_copilot(
        self,
        data: JSONBody[CopilotRequest],
        copilot: NamedDependency[Copilot],
        caller: NamedDependency[Caller],
        draining: NamedDependency[asyncio.Event],
    ) -> Response[Any]:
        """Ask, and follow the answer.

        A client that leaves ends the run: the model's connection is closed and its queries are stopped.
        """
        if draining.is_set():
            raise Unavailable(_STOPPING, code="server_draining")
        run = await prepare_run(copilot, caller.tenant, data, user=caller.session_user, scopes=caller.scopes)
        return _stream_response(copilot, run, NativeEncoder(run.id), draining=draining, protocol=PROTOCOL)

    @post(
        "/ag-ui",
        status_code=200,
        request_max_body_size=MAX_BODY_BYTES,
        opt=_copilot_route(str),
        response_description="AG-UI events. The last one is RUN_FINISHED or RUN_ERROR.",
    )
    async def stream_ag_ui(
        self,
        data: JSONBody[AgUiRequest],
        copilot: NamedDependency[Copilot],
        caller: NamedDependency[Caller],
        draining: NamedDependency[asyncio.Event],
    ) -> Response[Any]:
        """Ask over AG-UI 1.0.

        The same run as a stream of our own; `forwardedProps` holds its `context` and `options`.
        """
        run = await _foreign_run(translate_ag_ui(data), copilot, caller, draining)
        encoder = AgUiEncoder(thread_id=data.thread_id, run_id=data.run_id, prefix=run.id, state=data.state)
        return _stream_response(copilot, run, encoder, draining=draining, protocol=AG_UI)

    @post(
        "/ai-sdk",
        status_code=200,
        request_max_body_size=MAX_BODY_BYTES,
        opt=_copilot_route(str),
        response_description="Parts of a UI message stream. The last ones are finish and [DONE].",
    )
    async def stream_ai_sdk(
        self,
        data: JSONBody[AiSdkRequest],
        copilot: NamedDependency[Copilot],
        caller: NamedDependency[Caller],
        draining: NamedDependency[asyncio.Event],
        sdk: Annotated[Major, QueryParameter(description="Major version of the client's npm package `ai`")] = 6,
    ) -> Response[Any]:
        """Ask over the Vercel AI SDK's UI message stream.

        The same run as a stream of our own; the transport's `body` adds `context` and `options`.
        """
        run = await _foreign_run(translate_ai_sdk(data), copilot, caller, draining)
        encoder = AiSdkEncoder(run.id, major=sdk)
        return _stream_response(copilot, run, encoder, draining=draining, protocol=AI_SDK, headers=AI_SDK_HEADERS)

    @post("/generate", status_code=200, opt=_copilot_route(seconds=None), response_description="The whole answer.")
    async def generate_segment(
        self,
        data: JSONBody[GenerateRequest],
        request: Request[Any, Any, Any],
        copilot: NamedDependency[Copilot],
        caller: NamedDependency[Caller],
        draining: NamedDependency[asyncio.Event],
    ) -> Generated:
        """Turn a description into a draft in one request.

        The same run as a stream, collected. A client that leaves ends it.
        """
        asked = CopilotRequest(
            messages=(ChatMessage("user", data.description),),
            context=CopilotContext(as_of=data.as_of, timezone=data.timezone),
        )
        try:
            run = await prepare_run(copilot, caller.tenant, asked, user=caller.session_user, scopes=caller.scopes)
        except InvalidInput as error:
            raise error.relocate(lambda pointer: _POINTERS.get(pointer, "")) from error
        collected = await run_while_connected(request, collect(run, draining=draining))
        if isinstance(collected.end, RunError):
            raise error_of(collected.end)
        return Generated(
            outcome=collected.end.outcome,
            text=collected.text,
            model=run.model,
            draft=collected.draft or UNSET,
            clarification=collected.clarification or UNSET,
            unmapped=collected.end.unmapped,
            warnings=collected.warnings,
        )

    @get(
        "/protocol.json",
        opt=Route(public=True).opt,
        response_description="JSON Schema 2020-12.",
    )
    async def get_protocol(self) -> dict[str, Any]:
        """The schema of the stream's events and of the components' props.

        The same for every tenant; also committed beside this document.
        """
        return _PROTOCOL


async def _foreign_run(asked: TranslatedRequest, copilot: Copilot, caller: Caller, draining: asyncio.Event) -> Run:
    """Begin a run for another protocol's client; findings point into what that client sent."""
    if draining.is_set():
        raise Unavailable(_STOPPING, code="server_draining")
    try:
        return await prepare_run(
            copilot,
            caller.tenant,
            asked.request,
            user=caller.session_user,
            scopes=caller.scopes,
            warnings=asked.warnings,
        )
    except InvalidInput as error:
        raise asked.relocate(error) from error


def _stream_response(
    copilot: Copilot,
    run: Run,
    encoder: Encoder,
    *,
    draining: asyncio.Event,
    protocol: str,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> EventStream:
    heartbeat_seconds = copilot.settings.copilot_heartbeat_seconds
    source = frames(run, encoder, heartbeat_seconds=heartbeat_seconds, draining=draining)
    return EventStream(source, headers={"x-copilot-run-id": run.id, "x-copilot-protocol": protocol, **headers})


_PROTOCOL: Final = protocol_document()
