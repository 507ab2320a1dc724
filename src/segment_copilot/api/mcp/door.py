"""MCP over HTTP: one path, to which hosts post; each request stands alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from litestar import Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from segment_copilot.access.keys import Caller
from segment_copilot.api.http.audited import Deeds
from segment_copilot.api.http.requests import ApiRequest
from segment_copilot.api.http.routes import Route
from segment_copilot.api.mcp.registry import Registry
from segment_copilot.copilot.runs.run import Copilot
from segment_copilot.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from mcp.server.lowlevel.server import Server

MAX_BODY_BYTES: Final = 2 * 2**20
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Door:
    """Opens the server of a registry when the first request comes: the package takes half a second to import."""

    def __init__(
        self,
        registry: Callable[[], Registry],
        secret: Callable[[], Awaitable[bytes]],
        *,
        allows_origin: Callable[[str], bool],
    ) -> None:
        self._registry = registry
        self._secret = secret
        self._opening = asyncio.Lock()
        self._server: Server[Any] | None = None
        self.allows_origin = allows_origin

    async def server(self) -> Server[Any]:
        """Return the server.

        Raises:
            NotFound: The extra is not installed.
            Unavailable: PostgreSQL does not answer.
        """
        async with self._opening:
            if self._server is None:
                if find_spec("mcp") is None:
                    detail = "MCP is an extra of this service: install segment-copilot[mcp]."
                    raise NotFound(detail, code="mcp_not_installed")
                wire = await asyncio.to_thread(import_module, "segment_copilot.api.mcp.wire")
                self._server = cast("Server[Any]", wire.make_server(self._registry(), secret=await self._secret()))
        return self._server


@post(
    "/mcp",
    status_code=200,
    request_max_body_size=MAX_BODY_BYTES,
    include_in_schema=False,  # the protocol describes itself
    opt=Route(asks=True, scope="segments:read", bodies={"application/json": {}}, stream=str, seconds=None).opt,
)
async def mcp(
    request: Request[Any, Any, State],
    mcp_door: NamedDependency[Door],
    caller: NamedDependency[Caller],
    copilot: NamedDependency[Copilot],
    draining: NamedDependency[asyncio.Event],
) -> ASGIApp:
    """Answer one message of a host."""
    _check_origin(request, mcp_door)
    server = await mcp_door.server()
    body = await cast("ApiRequest", request).body()
    wire = import_module("segment_copilot.api.mcp.wire")
    going = wire.Going(caller, copilot, draining, Deeds.of(request.scope))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        told = False

        async def again() -> Any:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        # White space around a value is not part of it; the parser leaves what stands behind.
        headers = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        manager = wire.manager_of(server)
        async with manager.run():
            await manager.handle_request({**scope, "headers": headers, wire.SCOPE_KEY: going}, again, send)

    return answer


def _check_origin(request: Request[Any, Any, State], door: Door) -> None:
    """Refuse a page that may not call: any page's requests carry its origin, whatever name it reached this service by.

    Raises:
        Forbidden: The origin is neither one of CORS_ORIGINS nor of this machine, where the service is asked on it.
    """
    origin = request.headers.get("origin")
    if origin is None or door.allows_origin(origin):
        return
    if {_host(origin), _host(f"//{request.headers.get('host', '')}")} <= _LOOPBACK:
        return
    raise Forbidden("This origin is not among those that may call (CORS_ORIGINS).", code="origin_not_allowed")


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (mcp,)
