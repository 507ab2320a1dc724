"""Speaks the protocol for a registry, with the package `mcp`: 2026-07-28, and the versions with a handshake before it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from importlib.metadata import version
from typing import Any, Final, TypeVar, cast

import mcp_types as types
import msgspec
import structlog
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from msgspec import Struct
from pydantic import BaseModel

from segment_copilot.access.keys import Caller
from segment_copilot.access.scopes import missing
from segment_copilot.api.http.audited import Deeds
from segment_copilot.api.http.routes import SECONDS
from segment_copilot.api.mcp.registry import Asking, Document, Offer, Registry
from segment_copilot.copilot.runs.run import Copilot
from segment_copilot.errors import Finding, SegmentCopilotError, Unavailable
from segment_copilot.language.catalog import nearest

log = structlog.get_logger()

APPS: Final = "io.modelcontextprotocol/ui"
_HOUR: Final = CacheHint(ttl_ms=3_600_000, scope="private")
_MINUTES: Final = CacheHint(ttl_ms=300_000, scope="private")
_STATE_SECONDS: Final = 24 * 60 * 60.0  # as long as a checkpoint lives
_MOST: Final = 100  # completions, as the protocol has it
_OF_REQUEST: Final = {  # what a server may ask for → what a host says that it can do
    "elicitation/create": "elicitation",
    "roots/list": "roots",
    "sampling/createMessage": "sampling",
}

_Context = ServerRequestContext[Any, Any]

T = TypeVar("T")


def make_server(registry: Registry, *, secret: bytes) -> Server[Any]:
    """Return the server of *registry*. What it gives a host to keep for it is sealed with *secret*, for that caller and call."""
    serving = _Serving(registry)
    server: Server[Any] = Server(
        registry.name,
        title=registry.title,
        version=version("segment-copilot"),
        instructions=registry.instructions,
        cache_hints={
            "server/discover": _HOUR,
            "tools/list": _MINUTES,
            "resources/list": _MINUTES,
            "resources/templates/list": _MINUTES,
            "resources/read": _MINUTES,
            "prompts/list": _MINUTES,
        },
        get_tool_input_schema=serving.input_schema,
        on_list_tools=serving.list_tools,
        on_call_tool=serving.call_tool,
        on_list_resources=serving.list_resources,
        on_list_resource_templates=serving.list_templates,
        on_read_resource=serving.read_resource,
        on_list_prompts=serving.list_prompts,
        on_get_prompt=serving.get_prompt,
        on_completion=serving.complete,
    )
    server.extensions = {APPS: {}}
    sealing = RequestStateSecurity(keys=[secret], ttl=_STATE_SECONDS, bind_principal=_principal)
    server.middleware.append(RequestStateBoundary(sealing, default_audience=registry.name))
    return server


def manager_of(server: Server[Any]) -> StreamableHTTPSessionManager:
    """Return what serves one request: it keeps nothing for another."""
    return StreamableHTTPSessionManager(server, stateless=True)


class Going(Struct, frozen=True):
    """Is what a request brings along from the door."""

    caller: Caller
    copilot: Copilot
    draining: asyncio.Event
    deeds: Deeds


SCOPE_KEY: Final = "segment_copilot.mcp"
"""Where, in a request's scope, the door leaves it."""


class _Serving:
    """Answers each method of the protocol out of one registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._offers = {offer.name: offer for offer in registry.offers}
        self._pages = {page.document["uri"]: page for page in registry.pages}
        self._prompts = {prompt.document["name"]: prompt for prompt in registry.prompts}

    def input_schema(self, name: str) -> Document | None:
        offer = self._offers.get(name)
        return None if offer is None else offer.document["inputSchema"]

    async def list_tools(self, context: _Context, params: types.PaginatedRequestParams | None) -> Any:
        """List what the caller may call: the same for everybody with these scopes, in one order."""
        _refuse_cursor(params)
        caller = _going(context).caller
        usable = [one.document for one in self._registry.offers if one.scope is None or caller.may(one.scope)]
        return _complete({"tools": usable})

    async def call_tool(self, context: _Context, params: types.CallToolRequestParams) -> Any:
        offer = self._offers.get(params.name)
        if offer is None:
            raise self._unknown_tool(params.name)
        try:
            result = await self._call(offer, _asking(context, params), params.arguments or {})
        except SegmentCopilotError as error:
            return _complete(_refused(error.code, error.detail, error.findings, error.context))
        except MCPError:
            raise
        except Exception:
            log.exception("mcp.tool_failed", tool=params.name)
            return _complete(_refused("internal", "The call failed for a reason of our own; it is logged."))
        return _checked(context, result)

    async def _call(self, offer: Offer, asking: Asking, arguments: Document) -> Document:
        """Call a tool; one that writes once that is written down, refused or not, and any that the caller may not call.

        Hosts are not told of tools that their key may not call, so one that asks for such a tool is worth a line.
        """
        made = offer.made
        if made is None and _may(offer, asking):
            return await self._run(offer, asking, arguments)
        return await asking.deeds.do(
            offer.name,
            "/mcp/",
            lambda: self._run(offer, asking, arguments),
            made=lambda result: "" if made is None else made.format(id=result["structuredContent"]["id"]),
        )

    async def _run(self, offer: Offer, asking: Asking, arguments: Document) -> Document:
        if offer.scope is not None and not _may(offer, asking):
            raise missing(offer.scope)
        return await _in_time(offer.call(asking, arguments), offer.seconds)

    def _unknown_tool(self, name: str) -> MCPError:
        near = nearest(name, self._offers)
        hint = f" Did you mean {near[0]}?" if near else ""
        return MCPError(types.INVALID_PARAMS, f"There is no tool {name[:100]!r}.{hint}", {"suggestions": list(near)})

    async def list_resources(self, context: _Context, params: types.PaginatedRequestParams | None) -> Any:  # noqa: ARG002
        _refuse_cursor(params)
        return _complete({"resources": [one.document for one in self._registry.pages]})

    async def list_templates(self, context: _Context, params: types.PaginatedRequestParams | None) -> Any:  # noqa: ARG002
        _refuse_cursor(params)
        return _complete({"resourceTemplates": [one.document for one in self._registry.templates]})

    async def read_resource(self, context: _Context, params: types.ReadResourceRequestParams) -> Any:
        uri, asking = str(params.uri), _asking(context, params)
        if (page := self._pages.get(uri)) is not None:
            return _complete({"contents": list(await page.read(asking))})
        for template in self._registry.templates:
            if (contents := await template.read(asking, uri)) is not None:
                return _complete({"contents": list(contents)})
        raise MCPError(types.INVALID_PARAMS, f"There is no resource {uri[:200]!r}.", {"uri": uri})

    async def list_prompts(self, context: _Context, params: types.PaginatedRequestParams | None) -> Any:  # noqa: ARG002
        _refuse_cursor(params)
        return _complete({"prompts": [one.document for one in self._registry.prompts]})

    async def get_prompt(self, context: _Context, params: types.GetPromptRequestParams) -> Any:
        prompt = self._prompts.get(params.name)
        if prompt is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no prompt {params.name[:100]!r}.")
        given = params.arguments or {}
        wanted = [one["name"] for one in prompt.document.get("arguments", ()) if one.get("required")]
        if lacking := [name for name in wanted if not given.get(name)]:
            raise MCPError(types.INVALID_PARAMS, f"The prompt needs {', '.join(lacking)}.")
        return _checked(context, await prompt.write(_asking(context, params), given))

    async def complete(self, context: _Context, params: types.CompleteRequestParams) -> Any:
        found: list[str] = []
        if isinstance(params.ref, types.PromptReference):
            prompt = self._prompts.get(params.ref.name)
            if prompt is None:
                raise MCPError(types.INVALID_PARAMS, f"There is no prompt {params.ref.name[:100]!r}.")
            if prompt.complete is not None:
                written = params.argument
                offered = prompt.complete(_asking(context, params), written.name, written.value)
                found = list(await _in_time(offered, SECONDS))
        completion = {"values": found[:_MOST], "total": len(found), "hasMore": len(found) > _MOST}
        return _complete({"completion": completion})


def _may(offer: Offer, asking: Asking) -> bool:
    return offer.scope is None or asking.caller.may(offer.scope)


async def _in_time(work: Awaitable[T], seconds: float | None) -> T:
    """Return what *work* gives.

    Raises:
        Unavailable: It took longer: a frozen store keeps its sockets open and says nothing.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise Unavailable(f"No store answered this within {seconds} seconds.") from None


def _going(context: _Context) -> Going:
    return cast("Going", cast("Any", context.request).scope[SCOPE_KEY])


def _principal(context: _Context) -> str:
    """Return whom a kept state belongs to: the tenant, and the person whom a session was opened for."""
    caller = _going(context).caller
    return msgspec.json.encode([caller.tenant.id, caller.session_user]).decode()


def _asking(context: _Context, params: types.RequestParams) -> Asking:
    going, session = _going(context), context.session

    async def report(progress: float, message: str) -> None:
        await session.report_progress(progress, None, message)

    answers = cast("dict[str, Any]", getattr(params, "input_responses", None) or {})
    return Asking(
        caller=going.caller,
        copilot=going.copilot,
        draining=going.draining,
        deeds=going.deeds,
        capabilities=_offered(context),
        can_answer=context.protocol_version in MODERN_PROTOCOL_VERSIONS,
        answers={key: _plain(value) for key, value in answers.items()},
        state=getattr(params, "request_state", None),
        report=report,
    )


def _offered(context: _Context) -> dict[str, Any]:
    """Return what the host says that it can do."""
    capabilities = context.session.client_capabilities
    return {} if capabilities is None else _plain(capabilities)


def _plain(model: BaseModel | dict[str, Any]) -> dict[str, Any]:
    return model if isinstance(model, dict) else model.model_dump(by_alias=True, mode="json", exclude_none=True)


def _checked(context: _Context, result: Document) -> Any:
    """Return *result*. One that asks for what the host cannot give is refused, and the host told what it lacks.

    Raises:
        MCPError: It asks for that.
    """
    if result.get("resultType") != "input_required":
        return _complete(result)
    offered = _offered(context)
    asked = [str(one["method"]) for one in result.get("inputRequests", {}).values()]
    lacking: Document = {_OF_REQUEST[method]: {} for method in asked if _OF_REQUEST[method] not in offered}
    if lacking:
        named = ", ".join(lacking)
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"This needs a host that declares {named}.",
            {"requiredCapabilities": lacking},
        )
    return dict(result)


def _complete(result: Document) -> dict[str, Any]:
    """Return *result* marked as the whole one; versions that know no other kind drop the mark."""
    return {"resultType": "complete", **result}


def _refuse_cursor(params: types.PaginatedRequestParams | None) -> None:
    """Refuse a cursor: every list is one page.

    Raises:
        MCPError: There is one.
    """
    if params is not None and params.cursor is not None:
        raise MCPError(types.INVALID_PARAMS, "This list is one page: there is no such cursor.")


def _refused(
    code: str, detail: str, findings: tuple[Finding, ...] = (), context: Mapping[str, Any] | None = None
) -> Document:
    """Return a result that tells a model what was wrong, so that it may do better."""
    error: dict[str, Any] = {"code": code, "message": detail, **(context or {})}
    if findings:
        error["findings"] = msgspec.to_builtins(findings)
    return {"content": [{"type": "text", "text": msgspec.json.encode({"error": error}).decode()}], "isError": True}
